/*
 * Behind a call that may not come back to the code, the frames are found by the return address, in
 * the table behind the instructions. For a check no table says where it stands, but it is a jump to
 * its own exit, and the exits stand in a row at the end of the instructions: so the jumps around an
 * address are looked for by where they lead. Any byte may look like the start of one, but to lead
 * to the start of an exit all four bytes of its distance must be right.
 *
 * Not by disassembling: that needs a start of an instruction and every instruction from there on.
 */
#include "symbolize/v8_deopt.h"

#include "symbolize/v8_translation.h"

#include <string.h>

enum {
    SLOTS_MAX = 16,  /* DeoptimizationData has fewer before its points */
    POINT_SLOTS = 3, /* of a point: bytecode offset, frames, offset in the instructions */
    POINTS_MAX = 1 << 16,
    EXIT_SIZE = 4,    /* a call through the root register, x86-64 */
    WINDOW = 1 << 12, /* bytes looked through before and after an address */
    JUMP_SIZE = 6     /* 0f 80+condition, distance in 4 bytes; e9 without the 0f */
};

static bool smi_within(uint64_t word, uint32_t most, uint32_t *ret_number)
{
    if (!v8_is_smi(word) || v8_smi(word) < 0 || (uint32_t)v8_smi(word) > most)
        return false;
    *ret_number = (uint32_t)v8_smi(word);
    return true;
}

static bool is_function(struct v8_heap *heap, uint64_t object)
{
    return v8_is_object(object) && v8_type(heap, object) == heap->layout.shared_function_info;
}

bool v8_deopt_function(const struct v8_deopt *deopt, uint32_t literal, uint64_t *ret_shared)
{
    uint64_t shared;
    if (!v8_array_item(deopt->heap, deopt->literals, literal, &shared) ||
        !is_function(deopt->heap, shared))
        return false;
    *ret_shared = shared;
    return true;
}

/* The slots behind InliningPositions: start of the exits, number of eager and of lazy ones. */
static bool read_exits(struct v8_deopt *deopt, const uint64_t *slots, uint32_t length)
{
    uint32_t first = deopt->heap->layout.deopt_inlining + 1u, lazy;
    if (!smi_within(slots[first], (uint32_t)deopt->code.size, &deopt->exits) ||
        !smi_within(slots[first + 1], POINTS_MAX, &deopt->eager) ||
        !smi_within(slots[first + 2], POINTS_MAX, &lazy))
        return false;
    deopt->points = deopt->eager + lazy;
    return length == first + 3 + POINT_SLOTS * deopt->points;
}

static bool read_function(struct v8_deopt *deopt, uint64_t word)
{
    if (deopt->heap->layout.deopt_shared_wrapped &&
        (!v8_is_object(word) || v8_type(deopt->heap, word) == V8_NO_TYPE ||
         !v8_field(deopt->heap, word, 8, &word)))
        return false;
    deopt->function = word;
    return is_function(deopt->heap, word);
}

bool v8_deopt_open(struct v8_heap *heap, const struct v8_code *code, struct v8_deopt *ret_deopt)
{
    const struct v8_layout *layout = &heap->layout;
    struct v8_deopt deopt = {.heap = heap, .code = *code};
    uint64_t slots[SLOTS_MAX] = {0};
    uint32_t fixed = layout->deopt_inlining + 4u, length;
    if (!v8_code_renew(heap, &deopt.code))
        return false;
    deopt.data = deopt.code.deoptimization;
    if (fixed > SLOTS_MAX || layout->deopt_literals >= fixed || layout->deopt_shared >= fixed ||
        layout->deopt_count >= fixed || !v8_array_length(heap, deopt.data, &length) ||
        length < fixed ||
        !v8_read(heap, deopt.data - V8_HEAP_OBJECT_TAG + layout->fixed_array_data, slots,
                 fixed * sizeof *slots))
        return false;
    deopt.literals = slots[layout->deopt_literals];
    deopt.inlining = slots[layout->deopt_inlining];
    deopt.frames = slots[0];
    deopt.rules = v8_translations_of(layout);
    deopt.bytecode_literals = deopt.rules && v8_translation_names_bytecodes(deopt.rules)
                                  ? slots[layout->deopt_literals - 1u]
                                  : 0;
    if (!read_function(&deopt, slots[layout->deopt_shared]) ||
        !smi_within(slots[layout->deopt_count], POINTS_MAX, &deopt.inlined) ||
        !read_exits(&deopt, slots, length))
        return false;
    *ret_deopt = deopt;
    return true;
}

struct calls { /* the table of calls, entry by entry */
    struct v8_bytes bytes;
    uint32_t left;
    unsigned pc_size, index_size, rest;
};

/* The head: its bits tell how many bytes each field of an entry has. */
static bool open_calls(const struct v8_deopt *deopt, struct calls *calls)
{
    const struct v8_code *code = &deopt->code;
    bool maglev = code->kind == V8_CODE_MAGLEV;
    if (!deopt->rules)
        return false;
    v8_bytes_init(&calls->bytes, deopt->heap, code->start + code->size, LIMIT_V8_TABLE_BYTES);
    v8_bytes_fixed(&calls->bytes, v8_translation_has_slots(deopt->rules) ? 4 : 0);
    calls->left = (uint32_t)v8_bytes_fixed(&calls->bytes, 4);
    uint32_t bits = (uint32_t)v8_bytes_fixed(&calls->bytes, 4);
    v8_bytes_fixed(&calls->bytes, maglev ? 4 : 0);
    calls->pc_size = bits >> 4 & 7;
    calls->index_size = bits >> 7 & 7;
    calls->rest = (bits >> 1 & 7) + maglev;
    return bits & 1 && calls->pc_size <= 4 && calls->index_size <= 4 && calls->left <= POINTS_MAX;
}

/* The next call: where it returns to, in this code or, once that is to be left, to an exit. */
static bool next_call(struct calls *calls, uint32_t *ret_return, uint32_t *ret_exit,
                      int32_t *ret_index)
{
    if (!calls->left)
        return false;
    calls->left--;
    *ret_return = (uint32_t)v8_bytes_fixed(&calls->bytes, calls->pc_size);
    *ret_index = (int32_t)v8_bytes_fixed(&calls->bytes, calls->index_size) - 1;
    *ret_exit = (uint32_t)v8_bytes_fixed(&calls->bytes, calls->pc_size) - 1;
    v8_bytes_fixed(&calls->bytes, calls->rest);
    return !calls->bytes.broken;
}

static bool is_point(const struct v8_deopt *deopt, int32_t index)
{
    return index >= 0 && (uint32_t)index < deopt->points;
}

int32_t v8_deopt_call(const struct v8_deopt *deopt, uint32_t return_offset)
{
    struct calls calls;
    uint32_t to, exit;
    int32_t index;
    if (open_calls(deopt, &calls))
        while (next_call(&calls, &to, &exit, &index))
            if ((to == return_offset || exit == return_offset) && is_point(deopt, index))
                return index;
    return -1;
}

struct around {
    uint32_t offset;
    struct v8_deopt_point *before, *after;
};

static void consider(struct around *around, uint32_t offset, int32_t index)
{
    struct v8_deopt_point point = {offset, index};
    if (offset <= around->offset) {
        if (around->before->index < 0 || offset >= around->before->offset)
            *around->before = point;
    } else if (around->after->index < 0 || offset < around->after->offset) {
        *around->after = point;
    }
}

/* The check whose exit the jump at bytes[0, 6) leads to; -1: none. */
static int32_t check_of_jump(const struct v8_deopt *deopt, const uint8_t *bytes, uint32_t offset)
{
    int32_t distance;
    bool conditional = bytes[0] == 0x0f && (bytes[1] & 0xf0) == 0x80;
    if (!conditional && bytes[0] != 0xe9)
        return -1;
    memcpy(&distance, bytes + 1 + conditional, sizeof distance);
    int64_t target = (int64_t)offset + JUMP_SIZE - !conditional + distance - deopt->exits;
    if (target < 0 || target % EXIT_SIZE || target / EXIT_SIZE >= deopt->eager)
        return -1;
    return (int32_t)(target / EXIT_SIZE);
}

static void consider_checks(const struct v8_deopt *deopt, struct around *around)
{
    uint8_t bytes[2 * WINDOW];
    uint32_t offset = around->offset;
    uint32_t first = offset > WINDOW ? offset - WINDOW : 0;
    uint32_t end = offset + WINDOW < deopt->exits ? offset + WINDOW : deopt->exits;
    if (!deopt->eager || end <= first ||
        !remote_read(&deopt->heap->memory, deopt->code.start + first, bytes, end - first))
        return;
    for (uint32_t at = first; at + JUMP_SIZE <= end; at++) {
        int32_t index = check_of_jump(deopt, bytes + (at - first), at);
        if (index >= 0)
            consider(around, at, index);
    }
}

void v8_deopt_around(const struct v8_deopt *deopt, uint32_t offset,
                     struct v8_deopt_point *ret_before, struct v8_deopt_point *ret_after)
{
    struct calls calls;
    struct around around = {offset, ret_before, ret_after};
    uint32_t to, exit;
    int32_t index;
    *ret_before = *ret_after = (struct v8_deopt_point){.index = -1};
    if (!deopt->rules)
        return;
    consider_checks(deopt, &around);
    if (open_calls(deopt, &calls))
        while (next_call(&calls, &to, &exit, &index))
            if (to && is_point(deopt, index))
                consider(&around, to - 1, index);
}

static uint64_t bytecodes_of_code(struct v8_heap *heap, uint64_t word)
{
    uint64_t bytecodes;
    if (!v8_is_object(word) || v8_type(heap, word) != heap->layout.code ||
        !v8_field(heap, word, heap->layout.code_deoptimization, &bytecodes))
        return word;
    return bytecodes;
}

/*
 * The BytecodeArray of a function: its data, or what its baseline code keeps in the place of
 * deoptimisation data, or, with the interpreter's entry copied, the first field of either.
 */
static uint64_t bytecodes_of_function(struct v8_heap *heap, uint64_t shared)
{
    uint64_t word, first;
    if (!v8_field(heap, shared, heap->layout.shared_data, &word))
        return 0;
    word = bytecodes_of_code(heap, word);
    if (!v8_is_object(word))
        return 0;
    if (v8_type(heap, word) == heap->layout.bytecode_array)
        return word;
    return v8_field(heap, word, 8, &first) && v8_is_object(first) &&
                   v8_type(heap, first) == heap->layout.bytecode_array
               ? first
               : 0;
}

static bool read_site(const struct v8_deopt *deopt, const struct v8_translated_frame *frame,
                      struct v8_site *ret_site)
{
    uint64_t bytecodes;
    if (!v8_deopt_function(deopt, frame->literal, &ret_site->shared))
        return false;
    if (!deopt->bytecode_literals)
        bytecodes = bytecodes_of_function(deopt->heap, ret_site->shared);
    else if (!v8_array_item(deopt->heap, deopt->bytecode_literals, frame->bytecodes, &bytecodes))
        return false;
    ret_site->position = v8_is_object(bytecodes)
                             ? v8_bytecode_position(deopt->heap, bytecodes, frame->bytecode_offset)
                             : V8_NO_POSITION;
    return true;
}

size_t v8_deopt_sites(const struct v8_deopt *deopt, uint32_t index,
                      struct v8_site ret_sites[LIMIT_INLINE_DEPTH])
{
    struct v8_translated_frame frames[LIMIT_INLINE_DEPTH];
    uint32_t slot = deopt->heap->layout.deopt_inlining + 4u + POINT_SLOTS * index, start;
    uint64_t word;
    if (!deopt->rules || index >= deopt->points ||
        !v8_array_item(deopt->heap, deopt->data, slot + 1, &word) ||
        !smi_within(word, LIMIT_V8_TABLE_BYTES, &start))
        return 0;
    size_t count = v8_translation_read(deopt->heap, deopt->rules, deopt->frames, start, frames);
    for (size_t i = 0; i < count; i++)
        if (!read_site(deopt, &frames[count - 1 - i], &ret_sites[i]))
            return 0;
    /* The outermost function is the one that was compiled: a translation of other code shows. */
    return count && ret_sites[count - 1].shared == deopt->function ? count : 0;
}
