/*
 * v8_places.c - the functions at a place in code: of a bytecode its own, of compiled code those
 * that are inlined there, too. A place is found out once and remembered; the tables that tell it
 * are read once in an epoch (v8_epoch.h), for they stay where they are until its end. But V8 makes
 * positions only when somebody first asks for them: where one is missing, all is read anew.
 */
#include "symbolize/v8_internal.h"

static struct v8_named named_frame(struct v8 *v8, const struct v8_function *function,
                                   enum code_tier tier, uint32_t position)
{
    struct v8_named named = {0};
    uint32_t column;
    named.frame = profile_add_frame(v8->profile, &(struct frame){.function = function->name,
                                                                 .file = function->file,
                                                                 .line = function->line,
                                                                 .column = function->column,
                                                                 .script = function->script_id,
                                                                 .kind = FRAME_JAVASCRIPT,
                                                                 .tier = tier});
    if (position == V8_NO_POSITION || !v8_script_position(&v8->heap, v8->scripts, function->script,
                                                          position, &named.line, &column))
        named.line = 0;
    return named;
}

/*
 * Whether what is read now may be kept for the epoch. An epoch begins with a mark-compact: for a
 * sample from before it, that may still run.
 */
static bool is_settled(const struct v8 *v8)
{
    return v8_epoch_is_known(&v8->epoch) && v8->holds;
}

/*
 * What is read of an entry's tables holds for an epoch, and then they are read once. True at the
 * end if no epoch has begun in between: what was read of both does not fit together.
 */
static uint64_t begin_reading(struct v8 *v8, const struct v8_entry *entry, bool anew)
{
    bool known = is_settled(v8);
    v8->heap.blocks =
        v8_cache_blocks(&v8->cache, entry->serial, known ? v8->epoch.since_ns : v8->now_ns);
    if (anew)
        v8_blocks_clear(v8->heap.blocks);
    return v8->heap.memory.calls;
}

static bool end_reading(struct v8 *v8, uint64_t calls)
{
    uint64_t since_ns = v8->epoch.since_ns;
    bool known = v8_epoch_is_known(&v8->epoch); /* without epochs freshness has to do */
    v8->heap.blocks = NULL;
    if (known && calls != v8->heap.memory.calls)
        v8_epoch_read(&v8->epoch, &v8->heap.memory, v8_clock_ns());
    return !known || since_ns == v8->epoch.since_ns;
}

struct bytecode_place {
    const struct v8_entry *entry; /* for which its tables are read */
    const struct v8_bytecodes *bytecodes;
    int32_t offset; /* -1: unknown */
    enum code_tier tier;
};

static bool try_bytecode(struct v8 *v8, const struct bytecode_place *place, bool anew,
                         struct v8_named *ret_name)
{
    uint32_t position = V8_NO_POSITION;
    uint64_t calls = begin_reading(v8, place->entry, anew);
    if (place->offset >= 0)
        position = v8_bytecode_position(&v8->heap, place->bytecodes->array, place->offset);
    *ret_name = named_frame(v8, &place->bytecodes->function, place->tier, position);
    return end_reading(v8, calls);
}

static bool name_bytecode(struct v8 *v8, const struct bytecode_place *place,
                          struct v8_named *ret_name)
{
    return try_bytecode(v8, place, false, ret_name) &&
           (ret_name->line || place->offset < 0 || try_bytecode(v8, place, true, ret_name));
}

const struct v8_named *v8_place_of_bytecodes(struct v8 *v8, const struct v8_bytecodes *bytecodes,
                                             int32_t offset, size_t *ret_count)
{
    uint32_t serial = bytecodes->entry.serial, key = (uint32_t)offset;
    const struct v8_named *names = v8_cache_place(&v8->cache, serial, key, ret_count);
    if (names)
        return names;
    struct v8_named named;
    struct bytecode_place place = {&bytecodes->entry, bytecodes, offset, TIER_INTERPRETED};
    if (!name_bytecode(v8, &place, &named))
        return NULL;
    v8_cache_add_place(&v8->cache, serial, key, &named, 1);
    return v8_cache_place(&v8->cache, serial, key, ret_count);
}

/* What the code stands for at pc, as a key of the place in it. */
static uint32_t key_of(const struct v8_compiled *compiled, uint64_t pc, bool call)
{
    return (uint32_t)(pc - compiled->code.start) << 1 | call;
}

/* In the place of deoptimisation data, or the InterpreterData there has it first. */
uint64_t v8_baseline_bytecodes(struct v8_heap *heap, const struct v8_code *code)
{
    uint64_t word = code->deoptimization, first;
    if (v8_type(heap, word) == heap->layout.bytecode_array)
        return word;
    return v8_is_object(word) && v8_field(heap, word, 8, &first) &&
                   v8_type(heap, first) == heap->layout.bytecode_array
               ? first
               : 0;
}

/* Baseline code is one function's: its places are known by the code. */
static size_t names_of_baseline(struct v8_view *view, size_t index,
                                const struct v8_compiled *compiled, struct v8_named *ret_name)
{
    struct v8 *v8 = view->v8;
    uint64_t array = v8_baseline_bytecodes(&v8->heap, &compiled->code);
    struct v8_bytecodes *bytecodes = array ? v8_learn_bytecodes(view, index, array) : NULL;
    if (!bytecodes)
        return 0;
    uint64_t calls = begin_reading(v8, &compiled->entry, false);
    int32_t offset = v8_baseline_offset(&v8->heap, &compiled->code, array, view->frames[index].pc);
    struct bytecode_place place = {&compiled->entry, bytecodes, offset, TIER_BASELINE};
    return end_reading(v8, calls) && name_bytecode(v8, &place, ret_name);
}

/* Once in an epoch: until its end a function stays where it is. */
static bool read_function(struct v8 *v8, uint64_t shared, struct v8_function *ret_function)
{
    bool known = is_settled(v8);
    const struct v8_function *function =
        known ? v8_cache_function(&v8->cache, shared, v8->epoch.since_ns) : NULL;
    if (function) {
        *ret_function = *function;
        return true;
    }
    if (!v8_function_read(&v8->heap, v8->scripts, &v8->profile->strings, shared, ret_function))
        return false;
    if (known)
        v8_cache_add_function(&v8->cache, shared, v8->epoch.since_ns, ret_function);
    return true;
}

/* False if one of them has no line that it should have. */
static bool names_of_sites(struct v8 *v8, const struct v8_site *sites, size_t count,
                           enum code_tier tier, struct v8_named ret_names[LIMIT_INLINE_DEPTH])
{
    bool whole = true;
    for (size_t i = 0; i < count; i++) {
        struct v8_function function;
        if (read_function(v8, sites[i].shared, &function))
            ret_names[i] = named_frame(v8, &function, tier, sites[i].position);
        else
            ret_names[i] = (struct v8_named){.frame = v8->unknown};
        whole = whole && (ret_names[i].line || !i); /* of a leaf it is often not known */
    }
    return whole;
}

static size_t names_of_optimised(struct v8_view *view, size_t index,
                                 const struct v8_compiled *compiled,
                                 struct v8_named ret_names[LIMIT_INLINE_DEPTH])
{
    struct v8 *v8 = view->v8;
    struct v8_site sites[LIMIT_INLINE_DEPTH];
    enum code_tier tier = compiled->code.kind == V8_CODE_MAGLEV ? TIER_MAGLEV : TIER_OPTIMIZED;
    size_t count = 0;
    bool whole = false, same = true;
    for (int tries = 0; tries < 2 && same && !whole; tries++) {
        uint64_t calls = begin_reading(v8, &compiled->entry, tries > 0);
        count = v8_code_sites(&v8->heap, &compiled->code, view->frames[index].pc, index > 0, sites);
        whole = names_of_sites(v8, sites, count, tier, ret_names);
        whole = whole && (!index || !count || ret_names[0].line);
        same = end_reading(v8, calls);
    }
    return same ? count : 0;
}

/* The fields of code, which may have moved with the epoch. */
static bool renew_code(struct v8 *v8, struct v8_compiled *compiled)
{
    if (is_settled(v8) && compiled->renewed_ns == v8->epoch.since_ns)
        return true;
    if (!v8_code_renew(&v8->heap, &compiled->code))
        return false;
    compiled->renewed_ns = is_settled(v8) ? v8->epoch.since_ns : 0;
    return true;
}

static size_t names_of_compiled(struct v8_view *view, size_t index, struct v8_compiled *compiled,
                                struct v8_named ret_names[LIMIT_INLINE_DEPTH])
{
    uint64_t now_ns = view->v8->now_ns;
    bool baseline = compiled->code.kind == V8_CODE_BASELINE;
    if (!baseline && v8_missed_lately(compiled->entry.missed_ns, now_ns))
        return 0;
    size_t count = 0;
    if (renew_code(view->v8, compiled))
        count = baseline ? names_of_baseline(view, index, compiled, ret_names)
                         : names_of_optimised(view, index, compiled, ret_names);
    compiled->entry.missed_ns = count ? 0 : now_ns;
    return count;
}

const struct v8_named *v8_place_of_code(struct v8_view *view, size_t index,
                                        struct v8_compiled *compiled, size_t *ret_count)
{
    struct v8_cache *cache = &view->v8->cache;
    uint32_t serial = compiled->entry.serial;
    uint32_t key = key_of(compiled, view->frames[index].pc, index > 0);
    const struct v8_named *names = v8_cache_place(cache, serial, key, ret_count);
    if (names)
        return names;
    struct v8_named made[LIMIT_INLINE_DEPTH];
    size_t count = names_of_compiled(view, index, compiled, made);
    if (!count)
        return NULL;
    v8_cache_add_place(cache, serial, key, made, count);
    return v8_cache_place(cache, serial, key, ret_count);
}
