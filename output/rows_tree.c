/*
 * Callers and callees of a profile's functions (rows.h).
 *
 * Bottom up: a row is a set of {node, ticks}: the places in the call tree that it stands for,
 * with the self ticks that came through each. Its callers are the parents of those nodes,
 * grouped by function. The levels are few (the report shows five), so this may recurse.
 *
 * Top down: nodes whose paths from the root have the same functions are merged first, into a
 * tree of its own; that tree may be deep, so it is walked along parent and sibling links.
 */
#include "output/rows.h"

#include <string.h>

struct place {
    node_id node;
    function_id function;
    uint64_t ticks;
};

struct group {
    size_t start, count; /* of places */
    uint64_t ticks;
};

struct caller_walk {
    const struct rows *rows;
    double cut_percent;
    uint32_t levels;
    void (*show)(void *context, const struct tree_row *row);
    void *context;
};

static int place_compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->function != y->function)
        return x->function < y->function ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* Most ticks first; equal ones in the order of the function table, so that output is stable. */
static int group_compare(const void *a, const void *b, void *context)
{
    const struct place *places = context;
    const struct group *x = a, *y = b;
    if (x->ticks != y->ticks)
        return x->ticks < y->ticks ? 1 : -1;
    function_id left = places[x->start].function, right = places[y->start].function;
    return (left > right) - (left < right);
}

/* Sorts places by function, merges those of one node, and gives the groups by ticks. */
static struct group *groups_make(struct place *places, size_t *count, size_t *ret_groups)
{
    qsort(places, *count, sizeof *places, place_compare);
    size_t kept = 0, groups = 0;
    for (size_t i = 0; i < *count; i++) {
        if (kept && places[kept - 1].node == places[i].node &&
            places[kept - 1].function == places[i].function)
            places[kept - 1].ticks += places[i].ticks;
        else
            places[kept++] = places[i];
    }
    *count = kept;
    struct group *list = xmalloc((kept + 1) * sizeof *list);
    for (size_t i = 0; i < kept; i++) {
        if (!i || places[i].function != places[i - 1].function)
            list[groups++] = (struct group){.start = i};
        list[groups - 1].count++;
        list[groups - 1].ticks += places[i].ticks;
    }
    qsort_r(list, groups, sizeof *list, group_compare, places);
    *ret_groups = groups;
    return list;
}

static void callers_walk(const struct caller_walk *walk, struct place *places, size_t count,
                         uint64_t whole, uint32_t level)
{
    const struct profile *profile = walk->rows->profile;
    size_t group_count;
    _cleanup_free_ struct group *groups = groups_make(places, &count, &group_count);
    for (size_t i = 0; i < group_count; i++) {
        const struct group *group = &groups[i];
        double share = 100.0 * (double)group->ticks / (double)whole;
        if (share < walk->cut_percent)
            break;
        walk->show(walk->context, &(struct tree_row){.function = places[group->start].function,
                                                     .level = level,
                                                     .ticks = group->ticks,
                                                     .share = share});
        if (level >= walk->levels)
            continue;
        _cleanup_free_ struct place *callers = xmalloc((group->count + 1) * sizeof *callers);
        size_t used = 0;
        for (size_t j = 0; j < group->count; j++) {
            const struct place *place = &places[group->start + j];
            const struct function_row *row = &walk->rows->functions.items[place->function];
            node_id parent = row_is_off_cpu(row->section)
                                 ? rows_waiter(walk->rows, place->node)
                                 : profile->nodes.items[place->node].parent;
            if (place->node && parent)
                callers[used++] =
                    (struct place){parent, rows_function(walk->rows, parent), place->ticks};
        }
        callers_walk(walk, callers, used, group->ticks, level + 1);
    }
}

void rows_callers(const struct rows *rows, double cut_percent, uint32_t levels,
                  void (*show)(void *context, const struct tree_row *row), void *context)
{
    const struct profile *profile = rows->profile;
    struct caller_walk walk = {rows, cut_percent, levels, show, context};
    vec(struct place) places = {0};
    for (node_id i = 0; i < profile->nodes.count; i++) {
        function_id function = rows_function(rows, i);
        if (rows->self[i] && rows->functions.items[function].section != ROW_IDLE)
            vec_append(&places, ((struct place){i, function, rows->self[i]}));
    }
    if (rows->ticks)
        callers_walk(&walk, places.items, places.count, rows->ticks, 0);
    vec_release(&places);
}

/* --- top down --- */

struct merged {
    uint32_t parent;
    function_id function;
    uint64_t self, total;
    uint32_t level;
};

struct merged_tree {
    vec(struct merged) nodes;
    struct hash_index index;
};

static uint64_t merged_hash(const void *context, uint32_t id)
{
    const struct merged *node = &((const struct merged_tree *)context)->nodes.items[id];
    return hash_mix((uint64_t)node->parent << 32 | node->function);
}

static uint32_t merged_need(struct merged_tree *tree, uint32_t parent, function_id function)
{
    uint64_t hash = hash_mix((uint64_t)parent << 32 | function);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&tree->index, &probe, &id);)
        if (tree->nodes.items[id].parent == parent && tree->nodes.items[id].function == function)
            return id;
    uint32_t level = tree->nodes.items[parent].level + 1;
    *vec_push(&tree->nodes) =
        (struct merged){.parent = parent, .function = function, .level = level};
    hash_insert(&tree->index, hash, (uint32_t)tree->nodes.count - 1, merged_hash, tree);
    return (uint32_t)tree->nodes.count - 1;
}

static void merged_build(const struct rows *rows, struct merged_tree *tree)
{
    const struct profile *profile = rows->profile;
    _cleanup_free_ uint32_t *merged = xcalloc(profile->nodes.count, sizeof *merged);
    vec_push(&tree->nodes);
    for (node_id i = 1; i < profile->nodes.count; i++) {
        function_id function = rows_function(rows, i);
        merged[i] = merged_need(tree, merged[profile->nodes.items[i].parent], function);
        if (rows->functions.items[function].section != ROW_IDLE)
            tree->nodes.items[merged[i]].self += rows->self[i];
    }
    if (rows->self[0]) {
        uint32_t unknown = merged_need(tree, 0, rows_function(rows, 0));
        tree->nodes.items[unknown].self += rows->self[0];
    }
    for (size_t i = tree->nodes.count; --i > 0;) {
        struct merged *node = &tree->nodes.items[i];
        node->total += node->self;
        tree->nodes.items[node->parent].total += node->total;
    }
}

/* Siblings by total, most first: children of one parent lie together in the order. */
static int merged_compare(const void *a, const void *b, void *context)
{
    const struct merged *nodes = context;
    const struct merged *x = &nodes[*(const uint32_t *)a], *y = &nodes[*(const uint32_t *)b];
    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    if (x->total != y->total)
        return x->total < y->total ? 1 : -1;
    return (x->function > y->function) - (x->function < y->function);
}

void rows_callees(const struct rows *rows, double cut_percent,
                  void (*show)(void *context, const struct tree_row *row), void *context)
{
    struct merged_tree tree = {0};
    merged_build(rows, &tree);
    size_t count = tree.nodes.count;
    _cleanup_free_ uint32_t *order = xmalloc(count * sizeof *order);
    _cleanup_free_ uint32_t *first = xmalloc(count * sizeof *first);
    _cleanup_free_ uint32_t *next = xmalloc(count * sizeof *next);
    memset(first, 0xff, count * sizeof *first);
    for (uint32_t i = 1; i < count; i++)
        order[i - 1] = i;
    qsort_r(order, count - 1, sizeof *order, merged_compare, tree.nodes.items);
    for (size_t i = count - 1; i-- > 0;) {
        uint32_t parent = tree.nodes.items[order[i]].parent;
        next[order[i]] = first[parent];
        first[parent] = order[i];
    }
    double least = cut_percent * (double)rows->ticks / 100;
    for (uint32_t at = rows->ticks ? first[0] : UINT32_MAX; at != UINT32_MAX;) {
        const struct merged *node = &tree.nodes.items[at];
        bool shown = node->total > 0 && (double)node->total >= least;
        if (shown) {
            double share = 100.0 * (double)node->total / (double)rows->ticks;
            show(context, &(struct tree_row){.function = node->function,
                                             .level = node->level - 1,
                                             .ticks = node->total,
                                             .self = node->self,
                                             .share = share});
        }
        if (shown && first[at] != UINT32_MAX) {
            at = first[at];
            continue;
        }
        while (at && next[at] == UINT32_MAX)
            at = tree.nodes.items[at].parent;
        at = at ? next[at] : UINT32_MAX;
    }
    vec_release(&tree.nodes);
    hash_release(&tree.index);
}
