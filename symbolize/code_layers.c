/*
 * code_layers.c - runs of ranges, each sorted and disjoint, each at least twice as long as the next
 * newer one: a logarithmic number of binary searches, the newest run first, finds the range that
 * was added last. An addition is a run of one, merged into its elder as long as that is shorter
 * than twice its length; in a merge the newer range cuts the older ones. So n additions cost
 * n log n whether they come one at a time or, as when a large map is first read, all at once.
 * One sorted array would have to move half of itself for each addition.
 */
#include "symbolize/code_layers.h"

#include <string.h>

static void emit(struct code_layers *map, uint64_t start, uint64_t end, uint32_t value)
{
    if (start < end)
        vec_append(&map->merged, ((struct code_layer){start, end, value}));
}

/* Merges the newest run into the one before it. */
static void merge_last(struct code_layers *map)
{
    size_t begin = map->runs.items[map->runs.count - 2];
    const struct code_layer *older = map->ranges.items + begin;
    const struct code_layer *newer = map->ranges.items + map->runs.items[map->runs.count - 1];
    const struct code_layer *older_end = newer, *end = map->ranges.items + map->ranges.count;
    uint64_t from = older->start; /* what is left of *older begins here */
    map->merged.count = 0;
    for (; newer < end; newer++) {
        while (older < older_end && older->end <= newer->start) {
            emit(map, from, older->end, older->value);
            if (++older < older_end)
                from = older->start;
        }
        if (older < older_end && from < newer->start)
            emit(map, from, newer->start, older->value);
        while (older < older_end && older->end <= newer->end)
            if (++older < older_end)
                from = older->start;
        if (older < older_end && from < newer->end)
            from = newer->end;
        emit(map, newer->start, newer->end, newer->value);
    }
    while (older < older_end) {
        emit(map, from, older->end, older->value);
        if (++older < older_end)
            from = older->start;
    }
    vec_reserve(&map->ranges, begin + map->merged.count);
    memcpy(map->ranges.items + begin, map->merged.items,
           map->merged.count * sizeof *map->merged.items);
    map->ranges.count = begin + map->merged.count;
    map->runs.count--;
}

void code_layers_add(struct code_layers *map, uint64_t start, uint64_t end, uint32_t value)
{
    if (start >= end)
        return;
    vec_append(&map->runs, map->ranges.count);
    vec_append(&map->ranges, ((struct code_layer){start, end, value}));
    while (map->runs.count > 1) {
        size_t last = map->runs.items[map->runs.count - 1];
        size_t before = map->runs.items[map->runs.count - 2];
        if (last - before >= 2 * (map->ranges.count - last))
            break;
        merge_last(map);
    }
}

/* The first range of a run that ends above an address; `high` if there is none. */
static size_t upper_range(const struct code_layers *map, size_t low, size_t high, uint64_t address)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->ranges.items[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool code_layers_find(const struct code_layers *map, uint64_t address, uint32_t *ret_value)
{
    size_t end = map->ranges.count;
    for (size_t i = map->runs.count; i-- > 0; end = map->runs.items[i]) {
        size_t at = upper_range(map, map->runs.items[i], end, address);
        if (at == end || map->ranges.items[at].start > address)
            continue;
        if (map->ranges.items[at].value == CODE_LAYERS_NONE)
            return false;
        *ret_value = map->ranges.items[at].value;
        return true;
    }
    return false;
}

bool code_layers_overlaps(const struct code_layers *map, uint64_t start, uint64_t end)
{
    size_t run_end = map->ranges.count;
    for (size_t i = map->runs.count; i-- > 0; run_end = map->runs.items[i]) {
        size_t at = upper_range(map, map->runs.items[i], run_end, start);
        if (at < run_end && map->ranges.items[at].start < end)
            return true;
    }
    return false;
}

void code_layers_release(struct code_layers *map)
{
    vec_release(&map->ranges);
    vec_release(&map->runs);
    vec_release(&map->merged);
}
