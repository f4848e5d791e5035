/*
 * range_map.c - nested ranges flattened to disjoint ones, so that a look-up is one binary search.
 *
 * After sorting, outer ranges come before the ones inside them; a sweep keeps the open ranges
 * on a stack and emits a piece of the top one whenever the top changes. A piece begins at
 * `position`, up to which everything is emitted. n ranges give at most 2n pieces. Walking back
 * from the last start instead would be linear where a hostile file wants it.
 */
#include "symbolize/range_map.h"

typedef vec(struct range) range_vec;

void range_map_add(struct range_map *map, uint64_t start, uint64_t end, uint32_t value,
                   uint32_t rank)
{
    if (start < end)
        vec_append(&map->ranges, ((struct range){start, end, value, rank}));
}

static int compare_ranges(const void *left, const void *right)
{
    const struct range *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

static void emit_piece(range_vec *pieces, uint64_t start, uint64_t end, uint32_t value)
{
    if (start >= end)
        return;
    struct range *last = pieces->count ? &pieces->items[pieces->count - 1] : NULL;
    if (last && last->end == start && last->value == value)
        last->end = end;
    else
        vec_append(pieces, ((struct range){start, end, value, 0}));
}

/* Closes the open ranges that end at or before `limit`. */
static uint64_t close_ranges(const struct range_map *map, uint32_t *open, size_t *count,
                             range_vec *pieces, uint64_t position, uint64_t limit)
{
    while (*count) {
        const struct range *top = &map->ranges.items[open[*count - 1]];
        if (top->end > limit)
            break;
        emit_piece(pieces, position, top->end, top->value);
        if (top->end > position)
            position = top->end;
        --*count;
    }
    return position;
}

static bool is_disjoint(const struct range_map *map)
{
    for (size_t i = 1; i < map->ranges.count; i++)
        if (map->ranges.items[i].start < map->ranges.items[i - 1].end)
            return false;
    return true;
}

void range_map_finish(struct range_map *map)
{
    if (is_disjoint(map))
        return;
    qsort(map->ranges.items, map->ranges.count, sizeof *map->ranges.items, compare_ranges);
    if (is_disjoint(map))
        return;
    range_vec pieces = {0};
    _cleanup_free_ uint32_t *open = xreallocarray(NULL, map->ranges.count, sizeof *open);
    size_t count = 0;
    uint64_t position = 0;
    for (size_t i = 0; i < map->ranges.count; i++) {
        const struct range *range = &map->ranges.items[i];
        position = close_ranges(map, open, &count, &pieces, position, range->start);
        if (count)
            emit_piece(&pieces, position, range->start, map->ranges.items[open[count - 1]].value);
        position = range->start;
        open[count++] = (uint32_t)i;
    }
    close_ranges(map, open, &count, &pieces, position, UINT64_MAX);
    free(map->ranges.items);
    map->ranges.items = pieces.items;
    map->ranges.count = pieces.count;
    map->ranges.capacity = pieces.capacity;
}

bool range_map_find(const struct range_map *map, uint64_t address, uint32_t *ret_value)
{
    size_t low = 0, high = map->ranges.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->ranges.items[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || address >= map->ranges.items[low - 1].end)
        return false;
    *ret_value = map->ranges.items[low - 1].value;
    return true;
}

void range_map_release(struct range_map *map)
{
    vec_release(&map->ranges);
}
