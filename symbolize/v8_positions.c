/*
 * Both kinds of table are differences, so they are read from the front each time; what was found is
 * remembered elsewhere, by place. A table that is garbage shows by its end: the last number is cut,
 * or offsets run out of bounds.
 */
#include "symbolize/v8_positions.h"

#include "core/limits.h"
#include "symbolize/v8_bytes.h"
#include "symbolize/v8_code.h"

enum {
    /* Of a position: 1 bit external (no place in a script), 30 the place + 1, 16 inlining + 1. */
    SCRIPT_SHIFT = 1,
    SCRIPT_MASK = 0x3fffffff,
    INLINING_SHIFT = 31,
    INLINING_MASK = 0xffff,
    BYTECODE_PREFIXES = 4 /* Wide, ExtraWide and the two debug breaks with them */
};

void v8_position_unpack(uint64_t packed, struct v8_position *ret_position)
{
    uint32_t place = packed >> SCRIPT_SHIFT & SCRIPT_MASK;
    ret_position->position = packed & 1 || !place ? V8_NO_POSITION : place - 1;
    ret_position->inlining = packed >> INLINING_SHIFT & INLINING_MASK;
}

static int64_t next_signed(struct v8_bytes *bytes)
{
    uint64_t packed = v8_bytes_packed(bytes);
    return (int64_t)(packed >> 1 ^ -(packed & 1));
}

/*
 * Steps to the next entry. Whether a bytecode is an expression's or a statement's is a sign; later
 * V8 has that and more in the lowest bits (src/codegen/source-position-table.cc).
 */
static bool next_entry(struct v8_bytes *bytes, int64_t *offset, uint64_t *packed)
{
    unsigned flags = bytes->heap->layout.position_flags;
    int64_t difference = flags ? (int64_t)(v8_bytes_packed(bytes) >> flags) : next_signed(bytes);
    *packed += (uint64_t)next_signed(bytes);
    difference = difference >= 0 ? difference : -(difference + 1);
    if (difference >= INT32_MAX - *offset)
        bytes->broken = true;
    else
        *offset += difference;
    return !bytes->broken;
}

bool v8_positions_around(struct v8_heap *heap, uint64_t table, int32_t offset,
                         struct v8_position *ret_at, struct v8_position *ret_next)
{
    struct v8_bytes bytes;
    struct v8_position at = {.offset = INT32_MIN, .position = V8_NO_POSITION};
    struct v8_position next = {.offset = INT32_MAX, .position = V8_NO_POSITION};
    int64_t entry = -1;
    uint64_t packed = 0;
    if (!v8_bytes_open(&bytes, heap, table))
        return false;
    while (!v8_bytes_end(&bytes)) {
        if (!next_entry(&bytes, &entry, &packed))
            return false;
        struct v8_position *found = entry <= offset ? &at : &next;
        found->offset = (int32_t)entry;
        v8_position_unpack(packed, found);
        if (found == &next)
            break;
    }
    *ret_at = at;
    *ret_next = next;
    return !bytes.broken;
}

uint32_t v8_bytecode_position(struct v8_heap *heap, uint64_t bytecodes, int32_t offset)
{
    uint64_t table;
    struct v8_position at, next;
    /* The table may be younger than the blocks that are held, and stand where they have another. */
    struct v8_blocks fresh, *before = heap->blocks;
    v8_blocks_clear(&fresh);
    heap->blocks = &fresh;
    bool found = v8_type(heap, bytecodes) == heap->layout.bytecode_array &&
                 v8_field(heap, bytecodes, heap->layout.bytecode_positions, &table) &&
                 v8_positions_around(heap, table, offset, &at, &next) && !at.inlining;
    heap->blocks = before;
    return found ? at.position : V8_NO_POSITION;
}

/* Steps over one bytecode with its prefix; false at the end of the bytecodes. */
static bool skip_bytecode(struct v8_bytes *bytes)
{
    const uint8_t *sizes = bytes->heap->bytecode_sizes;
    uint32_t count = bytes->heap->layout.bytecode_count;
    uint8_t opcode = v8_bytes_next(bytes);
    if (opcode < BYTECODE_PREFIXES) {
        sizes += (size_t)count * (1 + (opcode & 1));
        opcode = v8_bytes_next(bytes);
    }
    if (bytes->broken || opcode >= count || !sizes[opcode] ||
        sizes[opcode] - 1u > bytes->size - bytes->at)
        return false;
    bytes->at += sizes[opcode] - 1u;
    return true;
}

/*
 * The table has one difference for the code before the first bytecode and then one for each
 * bytecode: the end of its instructions.
 */
static int32_t walk_baseline(struct v8_bytes *ends, struct v8_bytes *bytecodes, uint64_t offset)
{
    uint64_t end = v8_bytes_packed(ends);
    while (end <= offset && !ends->broken) {
        uint32_t current = bytecodes->at;
        if (!skip_bytecode(bytecodes))
            return -1;
        end += v8_bytes_packed(ends);
        if (end > offset)
            return ends->broken ? -1 : (int32_t)current;
    }
    return ends->broken ? -1 : 0;
}

int32_t v8_baseline_offset(struct v8_heap *heap, const struct v8_code *code, uint64_t bytecodes,
                           uint64_t pc)
{
    struct v8_bytes ends, stream;
    struct v8_code now = *code;
    uint64_t length;
    const struct v8_layout *layout = &heap->layout;
    if (!heap->bytecode_sizes || pc - code->start >= code->size || !v8_code_renew(heap, &now) ||
        v8_type(heap, bytecodes) != layout->bytecode_array ||
        !v8_field(heap, bytecodes, layout->bytecode_length, &length) || !v8_is_smi(length) ||
        v8_smi(length) < 0 || v8_smi(length) > LIMIT_V8_TABLE_BYTES ||
        !v8_bytes_open(&ends, heap, now.positions))
        return -1;
    v8_bytes_init(&stream, heap, bytecodes - V8_HEAP_OBJECT_TAG + layout->bytecode_data,
                  (uint32_t)v8_smi(length));
    return walk_baseline(&ends, &stream, pc - code->start);
}
