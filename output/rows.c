/*
 * One pass gives each frame its function, one walk over the call tree gives totals. The walk is
 * depth first along sibling links, without a stack of its own; it keeps, per function, how often
 * it is on the current path, so that a recursive function's ticks are counted at its outermost
 * call only.
 */
#include "output/rows.h"

#include <string.h>

#define NO_NODE UINT32_MAX

static enum row_section frame_section(const struct frame *frame)
{
    switch (frame->kind) {
    case FRAME_JAVASCRIPT:
        return ROW_JAVASCRIPT;
    case FRAME_KERNEL:
        return ROW_KERNEL;
    case FRAME_GC:
        return ROW_GC;
    case FRAME_IDLE:
        return ROW_IDLE;
    case FRAME_WAITING:
        return ROW_WAITING;
    case FRAME_RUNNABLE:
        return ROW_RUNNABLE;
    case FRAME_RUNTIME:
        return ROW_NATIVE;
    default:
        if (frame->function)
            return ROW_NATIVE;
        return frame->module ? ROW_LIBRARY : ROW_UNACCOUNTED;
    }
}

/* What makes two frames one function; what does not count is 0. */
static struct frame frame_key(const struct frame *frame, frame_id id)
{
    struct frame key = {.kind = (enum frame_kind)frame_section(frame)};
    /* The root frame's name is no function's. */
    if (id == 0)
        key.kind = (enum frame_kind)ROW_UNACCOUNTED;
    switch ((enum row_section)key.kind) {
    case ROW_JAVASCRIPT:
        key.function = frame->function;
        key.file = frame->file;
        key.line = frame->line;
        key.column = frame->column;
        key.tier = frame->tier;
        break;
    case ROW_LIBRARY:
        key.module = frame->module;
        break;
    case ROW_NATIVE:
    case ROW_KERNEL:
        key.function = frame->function;
        key.module = frame->module;
        key.file = frame->file;
        break;
    default:
        break;
    }
    return key;
}

static uint64_t key_hash(const struct frame *key)
{
    uint64_t hash = hash_combine((uint64_t)key->module << 32 | key->function,
                                 (uint64_t)key->file << 32 | key->line);
    return hash_combine(hash, (uint64_t)key->column << 8 | (uint64_t)key->tier << 5 |
                                  (uint64_t)key->kind);
}

static bool key_equal(const struct frame *a, const struct frame *b)
{
    return a->function == b->function && a->file == b->file && a->line == b->line &&
           a->column == b->column && a->module == b->module && a->kind == b->kind &&
           a->tier == b->tier;
}

static uint64_t function_hash(const void *context, uint32_t id)
{
    const struct rows *rows = context;
    frame_id frame = rows->functions.items[id].frame;
    struct frame key = frame_key(&rows->profile->frames.items[frame], frame);
    return key_hash(&key);
}

static void functions_find(struct rows *rows)
{
    const struct profile *profile = rows->profile;
    struct hash_index index = {0};
    rows->functions_of = xmalloc(profile->frames.count * sizeof *rows->functions_of);
    for (frame_id i = 0; i < profile->frames.count; i++) {
        struct frame key = frame_key(&profile->frames.items[i], i);
        uint64_t hash = key_hash(&key);
        struct hash_probe probe = hash_first(hash);
        uint32_t found = UINT32_MAX;
        for (uint32_t id; found == UINT32_MAX && hash_next(&index, &probe, &id);) {
            frame_id frame = rows->functions.items[id].frame;
            struct frame other = frame_key(&profile->frames.items[frame], frame);
            if (key_equal(&key, &other))
                found = id;
        }
        if (found == UINT32_MAX) {
            found = (uint32_t)rows->functions.count;
            *vec_push(&rows->functions) =
                (struct function_row){.frame = i, .section = (enum row_section)key.kind};
            hash_insert(&index, hash, found, function_hash, rows);
        }
        rows->functions_of[i] = found;
    }
    hash_release(&index);
}

function_id rows_function(const struct rows *rows, node_id node)
{
    return rows->functions_of[rows->profile->nodes.items[node].frame];
}

bool row_is_off_cpu(enum row_section section)
{
    return section == ROW_WAITING || section == ROW_RUNNABLE;
}

static enum row_section section_of(const struct rows *rows, node_id node)
{
    return rows->functions.items[rows_function(rows, node)].section;
}

node_id rows_waiter(const struct rows *rows, node_id node)
{
    do
        node = rows->profile->nodes.items[node].parent;
    while (node && section_of(rows, node) == ROW_KERNEL);
    return node;
}

/* The sample of one thread whose next one, or the end, comes at until_us. */
static void count_sample(struct rows *rows, const struct sample *sample, uint64_t until_us)
{
    uint64_t ticks = 1, period_us = rows->profile->meta.period_us;
    int64_t lasted_us = (int64_t)(until_us - sample->time_us);
    if (period_us && lasted_us > 0 && row_is_off_cpu(section_of(rows, sample->node)))
        ticks = (uint64_t)lasted_us / period_us;
    rows->self[sample->node] += ticks ? ticks : 1;
}

static void count_samples(struct rows *rows, uint32_t tid)
{
    const struct profile *profile = rows->profile;
    struct sequence_cursor cursor = sequence_begin(&profile->samples);
    struct sample last = {0};
    bool any = false;
    for (struct sample sample; sequence_next(&cursor, &sample);) {
        if (sample.thread >= profile->threads.count ||
            profile->threads.items[sample.thread].tid != tid)
            continue;
        if (any)
            count_sample(rows, &last, sample.time_us);
        last = sample;
        any = true;
    }
    if (any)
        count_sample(rows, &last, profile->meta.end_us);
}

/* Self ticks by node: the metric's for all threads, counted from the samples for one. */
static void self_count(struct rows *rows, int64_t tid)
{
    const struct profile *profile = rows->profile;
    rows->self = xcalloc(profile->nodes.count, sizeof *rows->self);
    if (tid >= 0) {
        count_samples(rows, (uint32_t)tid);
    } else {
        int64_t cpu = profile_find_metric(profile, "cpu");
        for (size_t i = 0; cpu >= 0 && i < profile->nodes.count; i++)
            rows->self[i] = profile_self(profile, (metric_id)cpu, (node_id)i);
    }
    for (node_id i = 0; i < profile->nodes.count; i++) {
        struct function_row *function = &rows->functions.items[rows_function(rows, i)];
        function->self += rows->self[i];
        rows->sections[function->section] += rows->self[i];
        if (function->section == ROW_WAITING && rows->self[i]) {
            node_id waiter = rows_waiter(rows, i);
            waiter = waiter ? waiter : i;
            rows->functions.items[rows_function(rows, waiter)].waiting += rows->self[i];
        }
        if (function->section != ROW_IDLE)
            rows->ticks += rows->self[i];
    }
    rows->on_cpu = rows->ticks - rows->sections[ROW_WAITING] - rows->sections[ROW_RUNNABLE];
}

/* first[n] and next[n]: the children of n in order. */
static void links_build(const struct profile *profile, node_id *first, node_id *next)
{
    memset(first, 0xff, profile->nodes.count * sizeof *first);
    for (size_t i = profile->nodes.count; --i > 0;) {
        node_id parent = profile->nodes.items[i].parent;
        next[i] = first[parent];
        first[parent] = (node_id)i;
    }
}

static void totals_count(struct rows *rows)
{
    const struct profile *profile = rows->profile;
    size_t count = profile->nodes.count;
    _cleanup_free_ node_id *first = xmalloc(count * sizeof *first);
    _cleanup_free_ node_id *next = xmalloc(count * sizeof *next);
    _cleanup_free_ uint32_t *on_path = xcalloc(rows->functions.count, sizeof *on_path);
    _cleanup_free_ uint64_t *totals = xmalloc(count * sizeof *totals);
    next[0] = NO_NODE;
    links_build(profile, first, next);
    memcpy(totals, rows->self, count * sizeof *totals);
    for (size_t i = count; --i > 0;)
        totals[profile->nodes.items[i].parent] += totals[i];

    for (node_id node = 0; node != NO_NODE;) {
        function_id function = rows_function(rows, node);
        /* At the root only what is the root's own belongs to UNKNOWN. */
        if (!on_path[function]++)
            rows->functions.items[function].total += node ? totals[node] : rows->self[0];
        if (!node)
            on_path[function] = 0;
        if (first[node] != NO_NODE) {
            node = first[node];
            continue;
        }
        for (;;) {
            if (node)
                on_path[rows_function(rows, node)]--;
            if (!node || next[node] != NO_NODE) {
                node = node ? next[node] : NO_NODE;
                break;
            }
            node = profile->nodes.items[node].parent;
        }
    }
}

struct sorting {
    const struct rows *rows;
    bool by_total;
};

static int function_compare(const void *a, const void *b, void *context)
{
    const struct sorting *sorting = context;
    const struct profile *profile = sorting->rows->profile;
    function_id left = *(const function_id *)a, right = *(const function_id *)b;
    const struct function_row *x = &sorting->rows->functions.items[left];
    const struct function_row *y = &sorting->rows->functions.items[right];
    if (sorting->by_total && x->total != y->total)
        return x->total < y->total ? 1 : -1;
    if (x->self != y->self)
        return x->self < y->self ? 1 : -1;
    if (x->total != y->total)
        return x->total < y->total ? 1 : -1;
    int names = strcmp(profile_string(profile, profile->frames.items[x->frame].function),
                       profile_string(profile, profile->frames.items[y->frame].function));
    return names ? names : (left > right) - (left < right);
}

void rows_gather(const struct profile *profile, int64_t tid, bool sort_total, struct rows *ret_rows)
{
    struct rows rows = {.profile = profile};
    functions_find(&rows);
    self_count(&rows, tid);
    totals_count(&rows);
    rows.order = xmalloc((rows.functions.count + 1) * sizeof *rows.order);
    for (function_id i = 0; i < rows.functions.count; i++)
        rows.order[i] = i;
    struct sorting sorting = {&rows, sort_total};
    qsort_r(rows.order, rows.functions.count, sizeof *rows.order, function_compare, &sorting);
    *ret_rows = rows;
}

void rows_release(struct rows *rows)
{
    free(rows->self);
    free(rows->functions_of);
    vec_release(&rows->functions);
    free(rows->order);
}
