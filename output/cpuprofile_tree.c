/*
 * Entries are found or made by (group, node); a missing one brings its missing ancestors with
 * it, so that a parent's entry comes before its children's. Nodes that no sample leads to still
 * get an entry, outside all groups: lines, addresses and events may refer to them.
 *
 * Only threads with 1 % of the ticks get a frame of their own; the rest share one. A program
 * that starts a thread for every request would have its whole call tree once per request
 * otherwise.
 */
#include "output/cpuprofile_tree.h"

#include <string.h>

static uint64_t entry_key(uint32_t group, node_id node)
{
    return hash_mix((uint64_t)group << 32 | node);
}

static uint64_t entry_hash(const void *context, uint32_t id)
{
    const struct tree *tree = context;
    return entry_key(tree->entries.items[id].group, tree->entries.items[id].node);
}

uint32_t tree_find(const struct tree *tree, uint32_t group, node_id node)
{
    struct hash_probe probe = hash_first(entry_key(group, node));
    for (uint32_t id; hash_next(&tree->index, &probe, &id);)
        if (tree->entries.items[id].group == group && tree->entries.items[id].node == node)
            return id;
    return UINT32_MAX;
}

static uint32_t entry_add(struct tree *tree, uint32_t parent, uint32_t group, node_id node)
{
    uint32_t id = (uint32_t)tree->entries.count;
    *vec_push(&tree->entries) = (struct tree_entry){.parent = parent, .group = group, .node = node};
    hash_insert(&tree->index, entry_key(group, node), id, entry_hash, tree);
    return id;
}

/* Finds or adds an entry and its ancestors within the group; the group's frame is there. */
static uint32_t entry_need(struct tree *tree, uint32_t group, node_id node)
{
    vec(node_id) missing = {0};
    uint32_t entry;
    while ((entry = tree_find(tree, group, node)) == UINT32_MAX) {
        vec_append(&missing, node);
        node = tree->profile->nodes.items[node].parent;
    }
    while (missing.count)
        entry = entry_add(tree, entry, group, missing.items[--missing.count]);
    vec_release(&missing);
    return entry;
}

/* Ticks by thread as the samples tell them. */
static uint64_t *thread_ticks(const struct profile *profile)
{
    uint64_t *ticks = xcalloc(profile->threads.count + 1, sizeof *ticks);
    struct sequence_cursor cursor = sequence_begin(&profile->samples);
    for (struct sample sample; sequence_next(&cursor, &sample);)
        if (sample.thread < profile->threads.count)
            ticks[sample.thread]++;
    return ticks;
}

static int standard_choose(struct tree *tree, const struct write_options *options,
                           struct error *err)
{
    const struct profile *profile = tree->profile;
    uint32_t tid = options->threads == WRITE_THREADS_MAIN ? profile->meta.pid : options->tid;
    bool found = false;
    tree->standard = xcalloc(profile->threads.count + 1, sizeof *tree->standard);
    for (size_t i = 0; i < profile->threads.count; i++) {
        tree->standard[i] =
            options->threads == WRITE_THREADS_ALL || profile->threads.items[i].tid == tid;
        found |= tree->standard[i];
    }
    if (!found && options->threads == WRITE_THREADS_ONE)
        return error_set(err, ERROR_USAGE, "there is no thread %u in this recording", tid);
    for (size_t i = 0; i < profile->threads.count; i++) {
        /* A recording that never saw its main thread shows what it has. */
        tree->standard[i] |= !found;
        tree->has_others |= !tree->standard[i];
        tree->has_waits |= profile->threads.items[i].waiting || profile->threads.items[i].runnable;
    }
    return 0;
}

static void groups_choose(struct tree *tree)
{
    const struct profile *profile = tree->profile;
    _cleanup_free_ uint64_t *ticks = thread_ticks(profile);
    tree->thread_groups = xmalloc((profile->threads.count + 1) * sizeof(uint32_t));
    memset(tree->thread_groups, 0xff, (profile->threads.count + 1) * sizeof(uint32_t));
    if (tree->has_others)
        return;
    uint32_t large = 0;
    for (size_t i = 0; i < profile->threads.count; i++)
        large += ticks[i] && ticks[i] >= profile->samples.count / 100;
    if (large < 2)
        return;
    for (size_t i = 0; i < profile->threads.count; i++) {
        if (ticks[i] && ticks[i] >= profile->samples.count / 100)
            tree->thread_groups[i] = tree->groups++;
        else
            tree->has_rest |= ticks[i] > 0;
    }
    for (size_t i = 0; tree->has_rest && i < profile->threads.count; i++)
        if (tree->thread_groups[i] == TREE_NO_GROUP)
            tree->thread_groups[i] = tree->groups;
    tree->groups += tree->has_rest;
    for (uint32_t group = 0; group < tree->groups; group++)
        entry_add(tree, 0, group, 0);
}

struct tree_cursor tree_samples(const struct tree *tree, bool others)
{
    return (struct tree_cursor){
        .tree = tree,
        .samples = sequence_begin(&tree->profile->samples),
        .others = others,
        .last_us = tree->profile->meta.start_us,
    };
}

static bool pending_read(struct tree_cursor *cursor)
{
    const struct tree *tree = cursor->tree;
    while (sequence_next(&cursor->samples, &cursor->pending)) {
        if (cursor->pending.thread >= tree->profile->threads.count)
            cursor->pending.thread = 0;
        if (!tree->profile->threads.count ||
            tree->standard[cursor->pending.thread] != cursor->others)
            return true;
    }
    return false;
}

/*
 * Readers charge a sample with the time until the next one. Where that is more than two periods
 * the thread slept, and an idle sample ends its share after one; likewise at both ends. Where
 * waits were recorded they are samples themselves, and only what lies before all of them is idle.
 */
bool tree_sample_next(struct tree_cursor *cursor, struct tree_sample *ret_sample)
{
    const struct profile_meta *meta = &cursor->tree->profile->meta;
    bool first = !cursor->has_pending && !cursor->ends && cursor->last_us == meta->start_us &&
                 cursor->samples.position == 0;
    if (cursor->ends)
        return false;
    if (!cursor->has_pending)
        cursor->has_pending = pending_read(cursor);
    uint64_t until = cursor->has_pending ? cursor->pending.time_us : meta->end_us;
    int64_t gap = (int64_t)(until - cursor->last_us);
    bool idle = !cursor->others && (first || !cursor->tree->has_waits) && meta->period_us &&
                cursor->tree->profile->samples.count && gap > 0 &&
                (uint64_t)gap / 2 >= meta->period_us && (uint64_t)gap > 2 * meta->period_us;
    if (idle) {
        uint64_t at = first ? cursor->last_us : cursor->last_us + meta->period_us;
        *ret_sample = (struct tree_sample){at, 0, TREE_IDLE_NODE};
        /* What follows is no further from here than it may be. */
        cursor->last_us = until;
        cursor->ends = !cursor->has_pending;
        return true;
    }
    if (!cursor->has_pending) {
        cursor->ends = true;
        return false;
    }
    *ret_sample =
        (struct tree_sample){cursor->pending.time_us, cursor->pending.thread, cursor->pending.node};
    cursor->last_us = cursor->pending.time_us;
    cursor->has_pending = false;
    return true;
}

static uint32_t sample_group(const struct tree *tree, thread_id thread)
{
    return tree->groups && thread < tree->profile->threads.count ? tree->thread_groups[thread]
                                                                 : TREE_NO_GROUP;
}

uint32_t tree_sample_entry(const struct tree *tree, const struct tree_sample *sample)
{
    if (sample->node == TREE_IDLE_NODE)
        return tree->idle;
    return tree_find(tree, sample_group(tree, sample->thread), sample->node);
}

static void samples_count(struct tree *tree)
{
    struct tree_cursor cursor = tree_samples(tree, false);
    uint64_t idle = 0;
    for (struct tree_sample sample; tree_sample_next(&cursor, &sample);) {
        if (sample.node == TREE_IDLE_NODE) {
            idle++;
            continue;
        }
        uint32_t entry = entry_need(tree, sample_group(tree, sample.thread), sample.node);
        tree->entries.items[entry].hits++;
    }
    if (idle) {
        tree->idle = entry_add(tree, 0, TREE_NO_GROUP, TREE_IDLE_NODE);
        tree->entries.items[tree->idle].hits = idle;
    }
}

/* Every node of the profile has at least one entry. */
static void nodes_complete(struct tree *tree)
{
    const struct profile *profile = tree->profile;
    _cleanup_free_ bool *present = xcalloc(profile->nodes.count, sizeof *present);
    for (size_t i = 0; i < tree->entries.count; i++)
        if (tree->entries.items[i].node != TREE_IDLE_NODE)
            present[tree->entries.items[i].node] = true;
    for (size_t i = 1; i < profile->nodes.count; i++)
        if (!present[i])
            entry_need(tree, TREE_NO_GROUP, (node_id)i);
}

static void entries_number(struct tree *tree)
{
    size_t count = tree->entries.count;
    _cleanup_free_ uint32_t *starts = xcalloc(count + 2, sizeof *starts);
    _cleanup_free_ uint32_t *children = xmalloc(count * sizeof *children);
    tree->child_counts = xcalloc(count, sizeof *tree->child_counts);
    tree->order = xmalloc(count * sizeof *tree->order);
    tree->first_ids = xcalloc(tree->profile->nodes.count, sizeof *tree->first_ids);
    for (size_t i = 1; i < count; i++) {
        starts[tree->entries.items[i].parent + 2]++;
        tree->child_counts[tree->entries.items[i].parent]++;
    }
    for (size_t i = 2; i < count + 2; i++)
        starts[i] += starts[i - 1];
    for (uint32_t i = 1; i < count; i++)
        children[starts[tree->entries.items[i].parent + 1]++] = i;
    tree->order[0] = 0;
    for (size_t i = 0, queued = 1; i < count; i++) {
        uint32_t entry = tree->order[i];
        for (uint32_t at = starts[entry]; at < starts[entry + 1]; at++)
            tree->order[queued++] = children[at];
        tree->entries.items[entry].id = (uint32_t)i + 1;
        node_id node = tree->entries.items[entry].node;
        if (node != TREE_IDLE_NODE && !tree->first_ids[node])
            tree->first_ids[node] = (uint32_t)i + 1;
    }
}

int tree_build(const struct profile *profile, const struct write_options *options,
               struct tree *ret_tree, struct error *err)
{
    struct tree tree = {.profile = profile, .idle = TREE_NO_GROUP};
    if (standard_choose(&tree, options, err) < 0) {
        tree_release(&tree);
        return -1;
    }
    entry_add(&tree, 0, TREE_NO_GROUP, 0);
    groups_choose(&tree);
    /* In the profile's own order, so that a file that is read and written again is the same. */
    if (!tree.groups)
        nodes_complete(&tree);
    samples_count(&tree);
    nodes_complete(&tree);
    entries_number(&tree);
    *ret_tree = tree;
    return 0;
}

void tree_release(struct tree *tree)
{
    vec_release(&tree->entries);
    hash_release(&tree->index);
    free(tree->order);
    free(tree->child_counts);
    free(tree->first_ids);
    free(tree->thread_groups);
    free(tree->standard);
}
