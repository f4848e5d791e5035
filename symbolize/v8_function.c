/*
 * v8_function.c - a compiled function has its name and positions in its ScopeInfo.
 *
 * A ScopeInfo is a row of words whose later ones are there or not, as its flags say (V8's
 * src/objects/scope-info.tq; the bits read here are the same from 10.2 to 13.6):
 *
 *     flags, parameters, locals
 *     [start, end]               from 13.6 on
 *     [number of variables]      of a module
 *     names of the locals, or a table of them when they are many; a word for each of them
 *     [a saved class variable]
 *     [function name or 0, its slot]
 *     [inferred name or undefined]
 *     [start, end]               before 13.6
 */
#include "symbolize/v8_function.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "symbolize/v8_string.h"

#include <string.h>

enum {
    LOCALS_INLINED = 75, /* more have a table (kScopeInfoMaxInlinedLocalNamesSize) */
    LOCALS_MAX = 1 << 16,
    NAME_CHARACTERS = 4096,
    NO_POSITION = 1 << 30
};

/* Bits of the flags. */
enum {
    SCOPE_TYPE = 15,
    MODULE_SCOPE = 5,
    MODULE_SCOPE_EARLIER = 3, /* before 13.6 */
    SAVED_CLASS_VARIABLE = 1 << 10,
    FUNCTION_VARIABLE = 3 << 12,
    INFERRED_NAME = 1 << 14,
    FUNCTION_KIND_SHIFT = 17,
    FUNCTION_KIND = 31
};

struct scope {
    uint64_t name, inferred; /* Strings, or 0 */
    const char *given;       /* the name of a kind of functions that have no other; NULL */
    uint32_t start, end;     /* positions; NO_POSITION if they make no sense */
};

static bool is_string(struct v8_heap *heap, uint64_t word)
{
    return v8_is_object(word) && v8_type_is_string(&heap->layout, v8_type(heap, word));
}

static bool slot_at(struct v8_heap *heap, uint64_t info, uint32_t index, uint64_t *ret_word)
{
    return v8_field(heap, info, heap->layout.scope_info_data + index * 8, ret_word);
}

static bool small_number_at(struct v8_heap *heap, uint64_t info, uint32_t index, uint32_t *ret)
{
    uint64_t word;
    if (!slot_at(heap, info, index, &word) || !v8_is_smi(word) || v8_smi(word) < 0 ||
        v8_smi(word) >= NO_POSITION)
        return false;
    *ret = (uint32_t)v8_smi(word);
    return true;
}

/* A Smi, or from 13.6 on an untagged number of 32 bits. */
static bool read_flags(struct v8_heap *heap, uint64_t info, uint32_t *ret_flags)
{
    uint64_t word;
    if (!slot_at(heap, info, 0, &word))
        return false;
    *ret_flags = heap->layout.scope_flags_raw ? (uint32_t)word : (uint32_t)(word >> V8_SMI_SHIFT);
    return heap->layout.scope_flags_raw || v8_is_smi(word);
}

static bool read_positions(struct v8_heap *heap, uint64_t info, uint32_t index, struct scope *scope)
{
    return small_number_at(heap, info, index, &scope->start) &&
           small_number_at(heap, info, index + 1, &scope->end) && scope->start <= scope->end;
}

/* The slot behind those of the context's locals. */
static bool skip_locals(struct v8_heap *heap, uint64_t info, uint32_t flags, uint32_t *ret_index)
{
    const struct v8_layout *layout = &heap->layout;
    uint32_t locals, module = layout->scope_flags_raw ? MODULE_SCOPE : MODULE_SCOPE_EARLIER;
    if (!small_number_at(heap, info, layout->scope_locals_slot, &locals) || locals > LOCALS_MAX)
        return false;
    *ret_index = layout->scope_first_vars + ((flags & SCOPE_TYPE) == module) +
                 (locals < LOCALS_INLINED ? 2 * locals : 1 + locals);
    return true;
}

/* V8's SharedFunctionInfo::DebugName names the functions that set up a class's fields itself. */
static const char *given_name(const struct v8_layout *layout, uint32_t flags)
{
    uint32_t kind = flags >> FUNCTION_KIND_SHIFT & FUNCTION_KIND;
    if (!layout->members_kind || kind < layout->members_kind || kind > layout->members_kind + 1u)
        return NULL;
    return kind == layout->members_kind ? "<instance_members_initializer>" : "<static_initializer>";
}

static bool read_scope(struct v8_heap *heap, uint64_t info, struct scope *ret_scope)
{
    const struct v8_layout *layout = &heap->layout;
    struct scope scope = {0};
    uint32_t flags, index;
    uint64_t word;
    if (!read_flags(heap, info, &flags) || !skip_locals(heap, info, flags, &index))
        return false;
    index += (flags & SAVED_CLASS_VARIABLE) != 0;
    if (flags & FUNCTION_VARIABLE) {
        if (!slot_at(heap, info, index, &word) || !(word == 0 || is_string(heap, word)))
            return false;
        scope.name = word;
        index += 2;
    }
    if (flags & INFERRED_NAME) {
        if (!slot_at(heap, info, index++, &word) || !v8_is_object(word))
            return false;
        scope.inferred = is_string(heap, word) ? word : 0;
    }
    if (!read_positions(heap, info,
                        layout->scope_positions_slot < 0 ? index
                                                         : (uint32_t)layout->scope_positions_slot,
                        &scope))
        return false;
    scope.given = given_name(layout, flags);
    *ret_scope = scope;
    return true;
}

/* The text of a String; 0 for what is something else in its place: undefined, or the Smi 0. */
static bool read_text(struct v8_heap *heap, struct strings *strings, uint64_t word,
                      string_id *ret_text)
{
    uint16_t type = v8_is_object(word) ? v8_type(heap, word) : heap->layout.first_nonstring;
    if (type == V8_NO_TYPE)
        return false;
    *ret_text = 0;
    if (!v8_type_is_string(&heap->layout, type))
        return true;
    _cleanup_free_ char *text = v8_string_text(heap, word, NAME_CHARACTERS);
    if (text)
        *ret_text = strings_intern(strings, text);
    return text != NULL;
}

/* Where a debugger or a measurement of coverage has been at work, it leads through its DebugInfo.
 */
static bool find_script(struct v8_heap *heap, uint64_t shared, uint64_t *ret_script)
{
    const struct v8_layout *layout = &heap->layout;
    uint64_t script;
    if (!v8_field(heap, shared, layout->shared_script, &script))
        return false;
    uint16_t type = v8_type(heap, script);
    if (layout->debug_info_script && type == layout->debug_info) {
        if (!v8_field(heap, script, layout->debug_info_script, &script))
            return false;
        type = v8_type(heap, script);
    }
    *ret_script = script;
    return type == layout->script;
}

/* Code from eval has no name but perhaps a "//# sourceURL=" of its own. */
static bool read_script(struct v8_heap *heap, struct strings *strings, struct v8_function *function)
{
    const struct v8_layout *layout = &heap->layout;
    uint64_t name, url, id;
    if (!v8_field(heap, function->script, layout->script_name, &name) ||
        !v8_field(heap, function->script, layout->script_source_url, &url) ||
        !v8_field(heap, function->script, layout->script_id, &id) || !v8_is_smi(id) ||
        v8_smi(id) < 0 || !read_text(heap, strings, name, &function->file) ||
        (!function->file && !read_text(heap, strings, url, &function->file)))
        return false;
    function->script_id = (uint32_t)v8_smi(id);
    return true;
}

static bool read_names(struct v8_heap *heap, struct strings *strings, const struct scope *scope,
                       string_id *ret_name)
{
    if (scope->given) {
        *ret_name = strings_intern(strings, scope->given);
        return true;
    }
    return read_text(heap, strings, scope->name, ret_name) &&
           (*ret_name || read_text(heap, strings, scope->inferred, ret_name));
}

static bool read_once(struct v8_heap *heap, struct v8_scripts *scripts, struct strings *strings,
                      uint64_t shared, struct v8_function *ret_function)
{
    const struct v8_layout *layout = &heap->layout;
    struct v8_function function = {0};
    struct scope scope = {.start = NO_POSITION};
    uint64_t name;
    if (v8_type(heap, shared) != layout->shared_function_info ||
        !v8_field(heap, shared, layout->shared_name, &name) ||
        !find_script(heap, shared, &function.script) || !read_script(heap, strings, &function))
        return false;
    if (is_string(heap, name))
        scope.name = name;
    else if (v8_type(heap, name) != layout->scope_info || !read_scope(heap, name, &scope))
        return false;
    if (!read_names(heap, strings, &scope, &function.name) ||
        (scope.start < NO_POSITION &&
         !v8_script_position(heap, scripts, function.script, scope.start, &function.line,
                             &function.column)))
        return false;
    *ret_function = function;
    return true;
}

/* By blocks, which hold for one reading. */
static bool read_at_once(struct v8_heap *heap, struct v8_scripts *scripts, struct strings *strings,
                         uint64_t shared, struct v8_function *ret_function)
{
    struct v8_blocks blocks, *before = heap->blocks;
    v8_blocks_clear(&blocks);
    heap->blocks = &blocks;
    bool fine = read_once(heap, scripts, strings, shared, ret_function);
    heap->blocks = before;
    return fine;
}

/*
 * Twice, for what is read may move in between: then its old place is overwritten, but what leads to
 * it is not the same any more.
 */
bool v8_function_read(struct v8_heap *heap, struct v8_scripts *scripts, struct strings *strings,
                      uint64_t shared, struct v8_function *ret_function)
{
    struct v8_function first, second;
    if (!read_at_once(heap, scripts, strings, shared, &first) ||
        !read_at_once(heap, scripts, strings, shared, &second) || first.name != second.name ||
        first.file != second.file || first.script != second.script ||
        first.script_id != second.script_id || first.line != second.line ||
        first.column != second.column)
        return false;
    *ret_function = second;
    return true;
}

/* Script.shared_function_infos is a WeakFixedArray with a slot for each function literal. */
bool v8_script_find(struct v8_heap *heap, uint64_t script, uint64_t bytecodes, uint64_t *ret_shared)
{
    enum { BATCH = 64, WEAK = 2 };
    const struct v8_layout *layout = &heap->layout;
    uint64_t list, length, shared[BATCH], data[BATCH];
    if (v8_type(heap, script) != layout->script ||
        !v8_field(heap, script, layout->script_functions, &list) ||
        v8_type(heap, list) != layout->weak_fixed_array ||
        !v8_field(heap, list, layout->fixed_array_length, &length) || !v8_is_smi(length) ||
        v8_smi(length) < 0 || v8_smi(length) > LIMIT_SCRIPT_FUNCTIONS)
        return false;
    uint64_t at = list - V8_HEAP_OBJECT_TAG + layout->fixed_array_data;
    for (uint32_t first = 0, all = (uint32_t)v8_smi(length); first < all; first += BATCH) {
        uint32_t count = all - first < BATCH ? all - first : BATCH;
        struct memory_read reads[BATCH];
        if (!remote_read(&heap->memory, at + (uint64_t)first * 8, shared, (size_t)count * 8))
            return false;
        for (uint32_t i = 0; i < count; i++) {
            shared[i] &= ~(uint64_t)WEAK;
            uint64_t field = shared[i] - V8_HEAP_OBJECT_TAG + layout->shared_data;
            reads[i] = (struct memory_read){.address = field, .into = &data[i], .size = 8};
        }
        remote_read_all(&heap->memory, reads, count);
        for (uint32_t i = 0; i < count; i++) {
            if (reads[i].done && data[i] == bytecodes) {
                *ret_shared = shared[i];
                return true;
            }
        }
    }
    return false;
}
