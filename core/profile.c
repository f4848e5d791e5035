#include "core/profile.h"

#include "core/limits.h"

#include <string.h>

struct profile *profile_new(void)
{
    struct profile *profile = xcalloc(1, sizeof *profile);
    profile->quality.coverage = -1;
    strings_intern(&profile->strings, "");
    vec_push(&profile->modules);
    *vec_push(&profile->frames) =
        (struct frame){.function = strings_intern(&profile->strings, "(root)")};
    vec_push(&profile->nodes);
    return profile;
}

void profile_free(struct profile *profile)
{
    if (!profile)
        return;
    for (size_t i = 0; i < profile->metrics.count; i++)
        vec_release(&profile->metrics.items[i].self);
    for (size_t i = 0; i < profile->series.count; i++)
        vec_release(&profile->series.items[i].points);
    strings_release(&profile->strings);
    vec_release(&profile->modules);
    vec_release(&profile->frames);
    vec_release(&profile->nodes);
    vec_release(&profile->metrics);
    vec_release(&profile->lines);
    vec_release(&profile->calls);
    vec_release(&profile->addresses);
    vec_release(&profile->threads);
    vec_release(&profile->series);
    vec_release(&profile->events);
    sequence_release(&profile->samples);
    hash_release(&profile->frame_index);
    hash_release(&profile->node_index);
    hash_release(&profile->module_index);
    hash_release(&profile->line_index);
    hash_release(&profile->call_index);
    hash_release(&profile->address_index);
    hash_release(&profile->thread_index);
    free(profile);
}

/*
 * Every table below is an array with a hash_index beside it. The key of an entry is a few
 * words; `x_hash` computes it from the stored entry, for look-ups and for growing the index.
 */

static uint64_t module_hash(const void *context, uint32_t id)
{
    const struct profile_module *module = &((const struct profile *)context)->modules.items[id];
    return hash_combine(module->path, module->build_id);
}

module_id profile_add_module(struct profile *profile, const char *path, const char *build_id)
{
    struct profile_module module = {
        .path = strings_intern(&profile->strings, path),
        .build_id = strings_intern(&profile->strings, build_id),
    };
    if (!module.path && !module.build_id)
        return 0;
    uint64_t hash = hash_combine(module.path, module.build_id);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&profile->module_index, &probe, &id);) {
        const struct profile_module *old = &profile->modules.items[id];
        if (old->path == module.path && old->build_id == module.build_id)
            return id;
    }
    *vec_push(&profile->modules) = module;
    hash_insert(&profile->module_index, hash, (uint32_t)profile->modules.count - 1, module_hash,
                profile);
    return (module_id)profile->modules.count - 1;
}

static uint64_t frame_words_hash(const struct frame *frame)
{
    uint64_t hash = hash_combine(frame->address, (uint64_t)frame->module << 32 | frame->function);
    hash = hash_combine(hash, (uint64_t)frame->file << 32 | frame->line);
    return hash_combine(hash, (uint64_t)frame->column << 32 ^ (uint64_t)frame->script << 8 ^
                                  (uint64_t)frame->tier << 5 ^ (uint64_t)frame->kind);
}

static uint64_t frame_hash(const void *context, uint32_t id)
{
    return frame_words_hash(&((const struct profile *)context)->frames.items[id]);
}

static bool frame_equal(const struct frame *a, const struct frame *b)
{
    return a->address == b->address && a->module == b->module && a->function == b->function &&
           a->file == b->file && a->line == b->line && a->column == b->column &&
           a->script == b->script && a->kind == b->kind && a->tier == b->tier;
}

frame_id profile_add_frame(struct profile *profile, const struct frame *frame)
{
    uint64_t hash = frame_words_hash(frame);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&profile->frame_index, &probe, &id);)
        if (frame_equal(&profile->frames.items[id], frame))
            return id;
    if (profile->frames.count >= LIMIT_FRAMES)
        return 0;
    *vec_push(&profile->frames) = *frame;
    hash_insert(&profile->frame_index, hash, (uint32_t)profile->frames.count - 1, frame_hash,
                profile);
    return (frame_id)profile->frames.count - 1;
}

static uint64_t node_hash(const void *context, uint32_t id)
{
    const struct node *node = &((const struct profile *)context)->nodes.items[id];
    return hash_mix((uint64_t)node->parent << 32 | node->frame);
}

node_id profile_add_node(struct profile *profile, node_id parent, frame_id frame)
{
    uint64_t hash = hash_mix((uint64_t)parent << 32 | frame);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&profile->node_index, &probe, &id);) {
        const struct node *node = &profile->nodes.items[id];
        if (node->parent == parent && node->frame == frame)
            return id;
    }
    /* Past the bound a stack ends at its last known caller: its ticks stay in the right subtree. */
    if (profile->nodes.count >= LIMIT_NODES)
        return parent;
    *vec_push(&profile->nodes) = (struct node){parent, frame};
    hash_insert(&profile->node_index, hash, (uint32_t)profile->nodes.count - 1, node_hash, profile);
    return (node_id)profile->nodes.count - 1;
}

node_id profile_add_stack(struct profile *profile, node_id parent, const frame_id *frames,
                          size_t count)
{
    while (count)
        parent = profile_add_node(profile, parent, frames[--count]);
    return parent;
}

static uint64_t thread_hash(const void *context, uint32_t id)
{
    const struct thread *thread = &((const struct profile *)context)->threads.items[id];
    return hash_mix((uint64_t)thread->pid << 32 | thread->tid);
}

thread_id profile_add_thread(struct profile *profile, uint32_t pid, uint32_t tid, const char *name)
{
    uint64_t hash = hash_mix((uint64_t)pid << 32 | tid);
    struct hash_probe probe = hash_first(hash);
    struct thread *found = NULL;
    for (uint32_t id; !found && hash_next(&profile->thread_index, &probe, &id);) {
        struct thread *thread = &profile->threads.items[id];
        if (thread->pid == pid && thread->tid == tid)
            found = thread;
    }
    if (!found) {
        found = vec_push(&profile->threads);
        *found = (struct thread){.pid = pid, .tid = tid};
        hash_insert(&profile->thread_index, hash, (uint32_t)profile->threads.count - 1, thread_hash,
                    profile);
    }
    if (*name)
        found->name = strings_intern(&profile->strings, name);
    return (thread_id)(found - profile->threads.items);
}

metric_id profile_add_metric(struct profile *profile, const char *name, const char *unit)
{
    int64_t found = profile_find_metric(profile, name);
    if (found >= 0)
        return (metric_id)found;
    struct metric *metric = vec_push(&profile->metrics);
    metric->name = strings_intern(&profile->strings, name);
    metric->unit = strings_intern(&profile->strings, unit);
    return (metric_id)profile->metrics.count - 1;
}

series_id profile_add_series(struct profile *profile, const char *name, const char *unit)
{
    int64_t found = profile_find_series(profile, name);
    if (found >= 0)
        return (series_id)found;
    struct series *series = vec_push(&profile->series);
    series->name = strings_intern(&profile->strings, name);
    series->unit = strings_intern(&profile->strings, unit);
    return (series_id)profile->series.count - 1;
}

void profile_add_self(struct profile *profile, metric_id id, node_id node, uint64_t value)
{
    struct metric *metric = &profile->metrics.items[id];
    if (node >= metric->self.count) {
        size_t old = metric->self.count;
        vec_reserve(&metric->self, profile->nodes.count);
        metric->self.count = profile->nodes.count;
        memset(metric->self.items + old, 0, (metric->self.count - old) * sizeof(uint64_t));
    }
    metric->self.items[node] += value;
}

static uint64_t line_hash(const void *context, uint32_t id)
{
    const struct line_ticks *line = &((const struct line_ticks *)context)[id];
    return hash_mix((uint64_t)line->node << 32 | line->line);
}

/* The entry of a node and a line in lines or calls, NULL if there is none. */
static struct line_ticks *line_find(struct line_ticks *items, const struct hash_index *index,
                                    node_id node, uint32_t line)
{
    struct hash_probe probe = hash_first(hash_mix((uint64_t)node << 32 | line));
    for (uint32_t id; hash_next(index, &probe, &id);)
        if (items[id].node == node && items[id].line == line)
            return &items[id];
    return NULL;
}

static void line_insert(struct line_ticks *items, struct hash_index *index, size_t id)
{
    hash_insert(index, line_hash(items, (uint32_t)id), (uint32_t)id, line_hash, items);
}

void profile_add_line(struct profile *profile, node_id node, uint32_t line, uint64_t ticks)
{
    struct line_ticks *old = line_find(profile->lines.items, &profile->line_index, node, line);
    if (old) {
        old->ticks += ticks;
        return;
    }
    vec_append(&profile->lines, ((struct line_ticks){node, line, ticks}));
    line_insert(profile->lines.items, &profile->line_index, profile->lines.count - 1);
}

void profile_add_call_line(struct profile *profile, node_id node, uint32_t line, uint64_t ticks)
{
    struct line_ticks *old = line_find(profile->calls.items, &profile->call_index, node, line);
    if (old) {
        old->ticks += ticks;
        return;
    }
    vec_append(&profile->calls, ((struct line_ticks){node, line, ticks}));
    line_insert(profile->calls.items, &profile->call_index, profile->calls.count - 1);
}

uint64_t profile_call_ticks(const struct profile *profile, node_id node, uint32_t line)
{
    const struct line_ticks *found =
        line_find(profile->calls.items, &profile->call_index, node, line);
    return found ? found->ticks : 0;
}

static uint64_t address_words_hash(const struct address_ticks *at)
{
    return hash_combine(at->address, (uint64_t)at->node << 32 | at->module);
}

static uint64_t address_hash(const void *context, uint32_t id)
{
    return address_words_hash(&((const struct profile *)context)->addresses.items[id]);
}

void profile_add_address(struct profile *profile, node_id node, module_id module, uint64_t address,
                         uint64_t ticks)
{
    struct address_ticks entry = {node, module, address, ticks};
    uint64_t hash = address_words_hash(&entry);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&profile->address_index, &probe, &id);) {
        struct address_ticks *old = &profile->addresses.items[id];
        if (old->node == node && old->module == module && old->address == address) {
            old->ticks += ticks;
            return;
        }
    }
    *vec_push(&profile->addresses) = entry;
    hash_insert(&profile->address_index, hash, (uint32_t)profile->addresses.count - 1, address_hash,
                profile);
}

/* Half as many points: the larger one of each two, so that a peak stays; the first and last stay.
 */
static void thin_out(struct series *series)
{
    struct series_point *points = series->points.items;
    size_t count = series->points.count, kept = 1;
    for (size_t i = 1; i + 2 < count; i += 2)
        points[kept++] = points[i].value > points[i + 1].value ? points[i] : points[i + 1];
    for (size_t i = count - (count % 2 ? 2 : 1); i < count; i++)
        points[kept++] = points[i];
    series->points.count = kept;
}

void profile_add_point(struct profile *profile, series_id id, uint64_t time_us, double value)
{
    struct series *series = &profile->series.items[id];
    if (series->points.count >= LIMIT_SERIES_POINTS)
        thin_out(series);
    *vec_push(&series->points) = (struct series_point){time_us, value};
}

int64_t profile_find_metric(const struct profile *profile, const char *name)
{
    for (size_t i = 0; i < profile->metrics.count; i++)
        if (!strcmp(profile_string(profile, profile->metrics.items[i].name), name))
            return (int64_t)i;
    return -1;
}

int64_t profile_find_series(const struct profile *profile, const char *name)
{
    for (size_t i = 0; i < profile->series.count; i++)
        if (!strcmp(profile_string(profile, profile->series.items[i].name), name))
            return (int64_t)i;
    return -1;
}

uint64_t profile_self(const struct profile *profile, metric_id metric, node_id node)
{
    if (metric >= profile->metrics.count || node >= profile->metrics.items[metric].self.count)
        return 0;
    return profile->metrics.items[metric].self.items[node];
}

const char *profile_string(const struct profile *profile, string_id id)
{
    return strings_get(&profile->strings, id);
}

const struct frame *profile_frame_of(const struct profile *profile, node_id node)
{
    return &profile->frames.items[profile->nodes.items[node].frame];
}

uint64_t *profile_totals(const struct profile *profile, metric_id metric)
{
    uint64_t *totals = xcalloc(profile->nodes.count, sizeof *totals);
    for (size_t i = profile->nodes.count; i-- > 0;) {
        totals[i] += profile_self(profile, metric, (node_id)i);
        if (i)
            totals[profile->nodes.items[i].parent] += totals[i];
    }
    return totals;
}

static uint64_t sum_where_idle(const struct profile *profile, metric_id metric, bool idle)
{
    uint64_t sum = 0;
    if (metric >= profile->metrics.count)
        return 0;
    for (size_t i = 0; i < profile->metrics.items[metric].self.count; i++)
        if ((profile_frame_of(profile, (node_id)i)->kind == FRAME_IDLE) == idle)
            sum += profile->metrics.items[metric].self.items[i];
    return sum;
}

uint64_t profile_sum(const struct profile *profile, metric_id metric)
{
    return sum_where_idle(profile, metric, false);
}

uint64_t profile_sum_idle(const struct profile *profile, metric_id metric)
{
    return sum_where_idle(profile, metric, true);
}
