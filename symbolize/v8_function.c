/*
 * v8_function.c - a compiled function has its name and positions in its ScopeInfo.
 *
 * A ScopeInfo is a row of words whose later ones are there or not, as its flags say (V8's
 * src/objects/scope-info.tq). The flags' bits move from version to version; what the words are
 * does not, so they are read by what they are: behind the names of the context's locals come
 *
 *     [a saved class variable]  [function name or 0, a Smi]  [inferred name or undefined]  start
 * end
 *
 * and of all readings the first that ends in two positions within the script is the right one: what
 * follows the positions is no pair of Smis. From V8 13.6 on the positions stand in front.
 */
#include "symbolize/v8_function.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "symbolize/v8_string.h"

#include <string.h>

enum {
    SLOTS = 8,           /* as many as the optional ones are */
    LOCALS_INLINED = 75, /* names of more context locals stand in a table (kScopeInfoMaxInlined…) */
    LOCALS_MAX = 1 << 16,
    NAME_CHARACTERS = 4096,
    START = 1 << 30
};

struct scope {
    uint64_t name, inferred; /* Strings, or 0 */
    uint32_t start, end;     /* positions; start is START if there are none */
};

static bool is_string(struct v8_heap *heap, uint64_t word)
{
    return v8_is_object(word) && v8_type_is_string(&heap->layout, v8_type(heap, word));
}

static bool are_positions(uint64_t start, uint64_t end)
{
    return v8_is_smi(start) && v8_is_smi(end) && v8_smi(start) >= 0 &&
           v8_smi(end) >= v8_smi(start) && v8_smi(end) < START;
}

/*
 * Reads the optional words from slots[at] on, with or without a function name in front. False if
 * they don't end in positions; with `positions` false they need not.
 */
static bool read_names(struct v8_heap *heap, const uint64_t slots[SLOTS + 4], size_t at, bool named,
                       bool positions, struct scope *ret_scope)
{
    struct scope scope = {.start = START};
    if (named) {
        if (!(slots[at] == 0 || is_string(heap, slots[at])) || !v8_is_smi(slots[at + 1]))
            return false;
        scope.name = slots[at];
        at += 2;
    }
    if (v8_is_object(slots[at])) {
        scope.inferred = is_string(heap, slots[at]) ? slots[at] : 0;
        at++;
    }
    if (positions) {
        if (!are_positions(slots[at], slots[at + 1]))
            return false;
        scope.start = (uint32_t)v8_smi(slots[at]);
        scope.end = (uint32_t)v8_smi(slots[at + 1]);
    }
    *ret_scope = scope;
    return true;
}

static bool slot_at(struct v8_heap *heap, uint64_t info, uint32_t index, uint64_t *ret_word)
{
    return v8_field(heap, info, heap->layout.scope_info_data + index * 8, ret_word);
}

static bool read_scope(struct v8_heap *heap, uint64_t info, struct scope *ret_scope)
{
    const struct v8_layout *layout = &heap->layout;
    uint64_t locals, slots[SLOTS + 4] = {0}, start, end;
    if (!slot_at(heap, info, layout->scope_locals_slot, &locals) || !v8_is_smi(locals) ||
        v8_smi(locals) < 0 || v8_smi(locals) > LOCALS_MAX)
        return false;
    uint32_t count = (uint32_t)v8_smi(locals);
    uint32_t first = layout->scope_first_vars + (count < LOCALS_INLINED ? 2 * count : 1 + count);
    /* Its end may be the end of what can be read. */
    for (uint32_t i = 0; i < SLOTS && slot_at(heap, info, first + i, &slots[i]); i++)
        ;
    bool positions = layout->scope_positions_slot < 0;
    for (size_t skipped = 0; skipped < 2; skipped++) {
        for (int named = 1; named >= 0; named--) {
            if (!read_names(heap, slots, skipped, named, positions, ret_scope))
                continue;
            if (positions)
                return true;
            if (!slot_at(heap, info, (uint32_t)layout->scope_positions_slot, &start) ||
                !slot_at(heap, info, (uint32_t)layout->scope_positions_slot + 1, &end) ||
                !are_positions(start, end))
                return false;
            ret_scope->start = (uint32_t)v8_smi(start);
            ret_scope->end = (uint32_t)v8_smi(end);
            return true;
        }
    }
    return false;
}

static string_id text_of(struct v8_heap *heap, struct strings *strings, uint64_t string)
{
    _cleanup_free_ char *text = string ? v8_string_text(heap, string, NAME_CHARACTERS) : NULL;
    return text ? strings_intern(strings, text) : 0;
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
        v8_smi(id) < 0)
        return false;
    function->file = is_string(heap, name) ? text_of(heap, strings, name) : 0;
    if (!function->file && is_string(heap, url))
        function->file = text_of(heap, strings, url);
    function->script_id = (uint32_t)v8_smi(id);
    return true;
}

bool v8_function_read(struct v8_heap *heap, struct v8_scripts *scripts, struct strings *strings,
                      uint64_t shared, struct v8_function *ret_function)
{
    const struct v8_layout *layout = &heap->layout;
    struct v8_function function = {0};
    struct scope scope = {.start = START};
    uint64_t name;
    if (v8_type(heap, shared) != layout->shared_function_info ||
        !v8_field(heap, shared, layout->shared_name, &name) ||
        !find_script(heap, shared, &function.script) || !read_script(heap, strings, &function))
        return false;
    if (is_string(heap, name))
        scope.name = name;
    else if (v8_type(heap, name) != layout->scope_info || !read_scope(heap, name, &scope))
        return false;
    function.name = text_of(heap, strings, scope.name);
    if (!function.name)
        function.name = text_of(heap, strings, scope.inferred);
    if (scope.start < START && !v8_script_position(heap, scripts, function.script, scope.start,
                                                   &function.line, &function.column))
        return false;
    *ret_function = function;
    return true;
}
