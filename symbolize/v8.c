/*
 * v8.c - which of V8's frames an unwound frame is, and what it is called.
 *
 * A pc in the embedded builtins is a builtin, or the interpreter: the bytecode handlers have no
 * frame of their own and run on that of the interpreted function. A pc in generated code is
 * compiled code, found by the pc. Frames are laid out as in V8's src/execution/frame-constants.h:
 *
 *     fp + 8    return address
 *     fp        caller's fp
 *     fp - 8    context; in frames that are no function's, a type, which is a Smi
 *     fp - 16   JSFunction
 *     fp - 24   number of arguments
 *     fp - 32   BytecodeArray       interpreted and baseline code
 *     fp - 40   bytecode offset     interpreted code
 *
 * Which function that is stands in v8_learn.c, and where in it in v8_places.c.
 */
#include "symbolize/v8.h"

#include "symbolize/symbols.h"
#include "symbolize/v8_internal.h"

#include <string.h>

enum {
    LARGE_MODULE_BYTES = 1 << 24 /* V8 alone has 20 MB of code; symbols of less are not searched */
};

const struct segment *v8_segment(const struct space *space)
{
    for (size_t i = 0; i < space->segments.count; i++) {
        struct module *module = space->segments.items[i].module;
        if (module->v8 == MODULE_V8_UNTRIED)
            module->v8 = module->elf && module->elf->size >= LARGE_MODULE_BYTES &&
                                 symbols_file_has(module->elf, "v8dbg_SmiTag")
                             ? MODULE_V8_PRESENT
                             : MODULE_V8_ABSENT;
        if (module->v8 == MODULE_V8_PRESENT)
            return &space->segments.items[i];
    }
    return NULL;
}

static frame_id add_named_frame(struct v8 *v8, const char *name, enum frame_kind kind)
{
    struct frame frame = {.function = strings_intern(&v8->profile->strings, name), .kind = kind};
    if (kind == FRAME_RUNTIME)
        frame.module = v8->module->index;
    return profile_add_frame(v8->profile, &frame);
}

struct v8 *v8_new(struct profile *profile, struct module *module, uint64_t bias, pid_t pid,
                  struct error *err)
{
    struct v8 *v8 = xcalloc(1, sizeof *v8);
    struct v8_layout *layout = &v8->heap.layout;
    if (v8_layout_read(module->elf, layout, err)) {
        free(v8);
        return NULL;
    }
    v8->profile = profile;
    v8->module = module;
    v8->heap.memory.pid = pid;
    v8->heap.bytecode_sizes =
        elf_file_data(module->elf, layout->bytecode_sizes, (size_t)3 * layout->bytecode_count);
    v8_epoch_init(&v8->epoch, module->elf, bias);
    v8->scripts = v8_scripts_new();
    v8->builtins = v8_builtins_new(module->elf, layout->blob_start, layout->blob_size);
    v8->nameless_builtin = add_named_frame(v8, "(V8 builtin)", FRAME_RUNTIME);
    v8->unknown = add_named_frame(v8, "(unknown JavaScript)", FRAME_JAVASCRIPT);
    snprintf(v8->version, sizeof v8->version, "%d.%d.%d.%d", layout->major, layout->minor,
             layout->build, layout->patch);
    return v8;
}

void v8_free(struct v8 *v8)
{
    if (!v8)
        return;
    v8_scripts_free(v8->scripts);
    v8_cache_release(&v8->cache);
    v8_builtins_free(v8->builtins);
    vec_release(&v8->names.items);
    free(v8);
}

void v8_set_image(struct v8 *v8, memory_image_fn *image, const void *context)
{
    v8->heap.memory.image = image;
    v8->heap.memory.image_context = context;
}

uint64_t v8_reads(const struct v8 *v8)
{
    return v8->heap.memory.calls;
}

const char *v8_version(const struct v8 *v8)
{
    return v8->version;
}

void v8_begin(struct v8 *v8, uint64_t sampled_ns)
{
    enum { FRESH_NS = 5000000 };
    v8->sampled_ns = sampled_ns;
    v8->now_ns = v8_clock_ns();
    if (v8->epoch.read_ns < sampled_ns)
        v8_epoch_read(&v8->epoch, &v8->heap.memory, v8->now_ns);
    v8->heap.types = v8_epoch_is_known(&v8->epoch) ? &v8->types : NULL;
    if (v8->types_ns != v8->epoch.since_ns)
        memset(&v8->types, 0, sizeof v8->types);
    v8->types_ns = v8->epoch.since_ns;
    v8->fresh = v8->now_ns - sampled_ns < FRESH_NS;
    v8->holds = v8_epoch_is_known(&v8->epoch) ? v8_epoch_holds(&v8->epoch, sampled_ns) : v8->fresh;
}

static bool in_builtins(const struct v8 *v8, const struct segment *segment, uint64_t pc)
{
    return segment && segment->module == v8->module &&
           pc - segment->bias - v8->heap.layout.blob_start < v8->heap.layout.blob_size;
}

static bool is_generated(const struct unwound_frame *frame)
{
    return frame->segment && module_is_generated(frame->segment->module);
}

/* The builtin that a frame is in; NULL for other code, and if it has no name. */
static struct v8_builtin *builtin_of(struct v8 *v8, const struct unwound_frame *frame)
{
    return in_builtins(v8, frame->segment, frame->pc)
               ? v8_builtins_find(v8->builtins, frame->pc - frame->segment->bias)
               : NULL;
}

static frame_id frame_of_builtin(struct v8 *v8, struct v8_builtin *builtin)
{
    if (!builtin)
        return v8->nameless_builtin;
    if (!builtin->tag)
        builtin->tag = add_named_frame(v8, builtin->name, FRAME_RUNTIME);
    return builtin->tag;
}

bool v8_frame_word(struct v8_view *view, size_t index, int offset, uint64_t *ret_word)
{
    uint64_t fp = view->frames[index].fp;
    uint64_t at = fp + (uint64_t)(int64_t)offset - view->base;
    /* Below sp is what an earlier call left there: the frame is not complete yet. */
    if (!fp || fp % 8 || fp + (uint64_t)(int64_t)offset < view->frames[index].sp)
        return false;
    if (view->stack->size >= 8 && at <= view->stack->size - 8) {
        memcpy(ret_word, view->stack->data + at, sizeof *ret_word);
        return true;
    }
    /* Beyond the copy the frame may change; its return address shows most of that. */
    uint64_t words[2];
    if (!view->v8->fresh || index + 1 == view->count ||
        !v8_word(&view->v8->heap, fp + 8, &words[0]) ||
        /* The pc of a caller is in its call, but that of a frame to resume is exact. */
        words[0] - view->frames[index + 1].pc > 1 ||
        !v8_word(&view->v8->heap, fp + (uint64_t)(int64_t)offset, &words[1]))
        return false;
    *ret_word = words[1];
    return true;
}

/* Whether a frame in V8's code says that it is no function's. */
static bool is_no_function(struct v8_view *view, size_t index)
{
    const struct v8_layout *layout = &view->v8->heap.layout;
    uint64_t context, function;
    return (v8_frame_word(view, index, layout->frame_context, &context) &&
            !v8_is_object(context)) ||
           (v8_frame_word(view, index, layout->frame_function, &function) &&
            !v8_is_object(function));
}

static bool bytecodes_of_frame(struct v8_view *view, size_t index, uint64_t *ret_array)
{
    return v8_frame_word(view, index, view->v8->heap.layout.frame_bytecode_array, ret_array) &&
           v8_is_object(*ret_array);
}

static void append(struct v8 *v8, struct v8_run *run, const struct v8_named *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        vec_append(&v8->names.items, names[i]);
    run->count += (uint32_t)count;
}

static void append_frame(struct v8 *v8, struct v8_run *run, frame_id frame)
{
    append(v8, run, &(struct v8_named){.frame = frame}, 1);
}

static void append_place(struct v8 *v8, struct v8_run *run, const struct v8_named *names,
                         size_t count)
{
    if (names)
        append(v8, run, names, count);
    else
        append_frame(v8, run, v8->unknown);
}
static void append_interpreted(struct v8_view *view, size_t index, struct v8_run *run,
                               frame_id builtin)
{
    struct v8 *v8 = view->v8;
    const struct v8_layout *layout = &v8->heap.layout;
    uint64_t array, word;
    bool whole = bytecodes_of_frame(view, index, &array) &&
                 v8_frame_word(view, index, layout->frame_bytecode_offset, &word) &&
                 v8_is_smi(word);
    struct v8_bytecodes *bytecodes = whole ? v8_learn_bytecodes(view, index, array) : NULL;
    if (bytecodes) {
        size_t count = 0;
        int32_t offset = v8_smi(word) - (layout->bytecode_data - V8_HEAP_OBJECT_TAG);
        const struct v8_named *names =
            v8_place_of_bytecodes(v8, bytecodes, offset < 0 ? -1 : offset, &count);
        append_place(v8, run, names, count);
        return;
    }
    /* The entry's first instructions have not made the whole frame yet. */
    bool unmade = !index && !whole;
    append_frame(v8, run, unmade || is_no_function(view, index) ? builtin : v8->unknown);
}

/* Code that is not known, or was other code a moment ago, is looked for. */
static struct v8_compiled *compiled_at(struct v8 *v8, uint64_t pc)
{
    struct v8_code code;
    struct v8_compiled *compiled = v8_cache_compiled(&v8->cache, pc);
    if (compiled && compiled->entry.known)
        return compiled;
    struct v8_missing_code *missing = &v8->missing[hash_mix(pc) & (V8_MISSING_CACHED - 1)];
    uint64_t now_ns = v8->now_ns;
    if (missing->pc == pc && v8_missed_lately(missing->missed_ns, now_ns))
        return NULL;
    if (!v8_code_find(&v8->heap, pc, &code)) {
        *missing = (struct v8_missing_code){pc, now_ns};
        return NULL;
    }
    compiled = v8_cache_add_compiled(&v8->cache, &code);
    struct v8_entry *entry = &compiled->entry;
    entry->identity_address = code.identity_address;
    entry->identity_size = code.identity_size;
    memcpy(entry->identity, code.identity, code.identity_size);
    entry->since_ns = entry->proven_ns = now_ns;
    entry->known = true;
    return compiled;
}

/* Whether the frame is one of the code that is at its pc now: baseline code keeps its bytecodes. */
static bool frame_confirms(struct v8_view *view, size_t index, const struct v8_compiled *compiled)
{
    struct v8_heap *heap = &view->v8->heap;
    uint64_t of_code, of_frame;
    switch (compiled->code.kind) {
    case V8_CODE_BASELINE:
        of_code = v8_baseline_bytecodes(heap, &compiled->code);
        return of_code && bytecodes_of_frame(view, index, &of_frame) && of_frame == of_code &&
               v8_learn_bytecodes(view, index, of_code);
    case V8_CODE_MAGLEV:
    case V8_CODE_TURBOFAN:
        return v8_code_function(heap, &compiled->code, &of_code) &&
               v8_frame_shared(view, index, &of_frame) && of_frame == of_code;
    case V8_CODE_BUILTIN: /* its frame alone tells the function */
        return true;
    case V8_CODE_REGEXP:
    case V8_CODE_WASM:
    case V8_CODE_OTHER:
        break;
    }
    return false;
}

static void append_generated(struct v8_view *view, size_t index, struct v8_run *run)
{
    struct v8 *v8 = view->v8;
    const struct v8_named *names;
    size_t count = 0;
    struct v8_compiled *compiled = compiled_at(v8, view->frames[index].pc);
    if (!compiled ||
        (!v8_was_there(v8, &compiled->entry) &&
         !(v8_code_renew(&v8->heap, &compiled->code) && frame_confirms(view, index, compiled)))) {
        if (!is_no_function(view, index))
            append_frame(v8, run, v8->unknown);
        return;
    }
    switch (compiled->code.kind) {
    case V8_CODE_BASELINE:
    case V8_CODE_MAGLEV:
    case V8_CODE_TURBOFAN:
        names = v8_place_of_code(view, index, compiled, &count);
        append_place(v8, run, names, count);
        break;
    case V8_CODE_BUILTIN: /* --interpreted-frames-native-stack has a copy for each function */
        append_interpreted(view, index, run, v8->nameless_builtin);
        break;
    case V8_CODE_REGEXP:
        append_frame(v8, run, add_named_frame(v8, "[regexp]", FRAME_RUNTIME));
        break;
    case V8_CODE_WASM:
        append_frame(v8, run, add_named_frame(v8, "[wasm]", FRAME_RUNTIME));
        break;
    case V8_CODE_OTHER:
        append_frame(v8, run, add_named_frame(v8, "[V8 stub]", FRAME_RUNTIME));
        break;
    }
}

static const struct frame_states *states_of_compiled(struct v8 *v8, struct v8_compiled *compiled)
{
    size_t size = (size_t)compiled->code.size;
    if (compiled->states_tried)
        return compiled->states;
    compiled->states_tried = true;
    if (size > LIMIT_FRAME_CODE_BYTES)
        return NULL;
    _cleanup_free_ uint8_t *code = xmalloc(size + 1);
    if (remote_read(&v8->heap.memory, compiled->code.start, code, size))
        compiled->states =
            frame_states_new(v8->module->elf->machine, code, size, compiled->code.start);
    return compiled->states;
}

enum leaf_frame v8_leaf_frame(void *context, const struct segment *segment, uint64_t pc,
                              uint32_t *ret_where)
{
    struct v8 *v8 = context;
    if (in_builtins(v8, segment, pc)) {
        struct v8_builtin *builtin = v8_builtins_find(v8->builtins, pc - segment->bias);
        return builtin ? v8_builtin_leaf(v8->builtins, builtin, pc - segment->bias, ret_where)
                       : LEAF_UNKNOWN;
    }
    struct v8_compiled *compiled =
        module_is_generated(segment->module) ? compiled_at(v8, pc) : NULL;
    const struct frame_states *states =
        compiled && v8_was_there(v8, &compiled->entry) ? states_of_compiled(v8, compiled) : NULL;
    return states ? frame_states_find(states, pc, ret_where) : LEAF_UNKNOWN;
}

/* Whether a frame's name is that of its bytecodes, and not of its code alone. */
static bool runs_bytecodes(struct v8 *v8, const struct unwound_frame *frame,
                           const struct v8_compiled *compiled)
{
    if (compiled)
        return compiled->code.kind == V8_CODE_BUILTIN;
    const struct v8_builtin *builtin = builtin_of(v8, frame);
    return builtin && builtin->is_interpreter;
}

/* The entries that the frames' names stand on, as far as they are there. */
static size_t gather_entries(struct v8_view *view, struct v8_entry *entries[2 * LIMIT_STACK_FRAMES])
{
    struct v8 *v8 = view->v8;
    size_t count = 0;
    for (size_t i = 0; i < view->count; i++) {
        const struct unwound_frame *frame = &view->frames[i];
        struct v8_compiled *compiled =
            is_generated(frame) ? v8_cache_compiled(&v8->cache, frame->pc) : NULL;
        struct v8_bytecodes *bytecodes = NULL;
        uint64_t array;
        if (runs_bytecodes(v8, frame, compiled) && bytecodes_of_frame(view, i, &array))
            bytecodes = v8_cache_find_bytecodes(&v8->cache, array);
        if (compiled)
            entries[count++] = &compiled->entry;
        if (bytecodes)
            entries[count++] = &bytecodes->entry;
    }
    return count;
}

/*
 * Whether a leaf's fp is its caller's, but the return address can't be told. What the unwinder
 * found next is the caller's caller.
 */
static bool is_buried(struct v8 *v8, struct v8_builtin *builtin, const struct unwound_frame *frame)
{
    uint32_t ignored;
    return !builtin->is_handler &&
           v8_builtin_leaf(v8->builtins, builtin, frame->pc - frame->segment->bias, &ignored) ==
               LEAF_BURIED;
}

/* The function whose frame it is, if it is interpreted: that can be told without a pc. */
static void append_hidden_caller(struct v8_view *view, size_t index, struct v8_run *run)
{
    struct v8 *v8 = view->v8;
    uint64_t array;
    if (bytecodes_of_frame(view, index, &array) &&
        v8_type(&v8->heap, array) == v8->heap.layout.bytecode_array)
        append_interpreted(view, index, run, v8->unknown);
    else if (!is_no_function(view, index))
        append_frame(v8, run, v8->unknown);
}

static void count_frames(struct v8 *v8)
{
    struct profile *profile = v8->profile;
    for (size_t i = 0; i < v8->names.items.count; i++) {
        frame_id frame = v8->names.items.items[i].frame;
        profile->quality.js_frames += profile->frames.items[frame].kind == FRAME_JAVASCRIPT;
        profile->quality.js_named +=
            profile->frames.items[frame].kind == FRAME_JAVASCRIPT && frame != v8->unknown;
    }
}

const struct v8_names *v8_name_stack(struct v8 *v8, const struct unwound_frame *frames,
                                     size_t count, const struct stack_copy *stack)
{
    struct v8_entry *entries[2 * LIMIT_STACK_FRAMES];
    struct v8_view view = {v8, frames, count, stack, count ? frames[0].sp : 0};
    for (size_t i = 0; i < count; i++)
        v8->holds = v8->holds && !v8_epoch_collects(&v8->epoch, frames[i].pc);
    v8_cache_trim(&v8->cache);
    v8->names.items.count = 0;
    v8_cache_prove(&v8->heap.memory, entries, gather_entries(&view, entries), v8->sampled_ns,
                   v8->now_ns);
    for (size_t i = 0; i < count; i++) {
        struct v8_run *run = &v8->names.runs[i];
        *run = (struct v8_run){.first = (uint32_t)v8->names.items.count};
        if (in_builtins(v8, frames[i].segment, frames[i].pc)) {
            struct v8_builtin *builtin = builtin_of(v8, &frames[i]);
            frame_id frame = frame_of_builtin(v8, builtin);
            if (builtin && builtin->is_interpreter)
                append_interpreted(&view, i, run, frame);
            else
                append_frame(v8, run, frame);
            if (builtin && !i && is_buried(v8, builtin, &frames[0]))
                append_hidden_caller(&view, i, run);
        } else if (is_generated(&frames[i])) {
            append_generated(&view, i, run);
        }
    }
    count_frames(v8);
    return &v8->names;
}
