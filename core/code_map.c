/*
 * A sorted array in blocks: the blocks in order, the ranges of a block in order. A look-up is two
 * binary searches; adding moves at most one block's ranges, and the pointers behind a block that
 * was split. Unlike one sorted array it takes a million ranges in any order in a second, and
 * unlike a balanced tree it needs neither links nor luck: its depth does not depend on the input.
 *
 * Invariant: start < end <= the next range's start, and no block is empty.
 */
#include "core/code_map.h"

#include <string.h>

enum { BLOCK_RANGES = 256 };

struct code_block {
    size_t count;
    struct code_range ranges[BLOCK_RANGES];
};

struct place { /* of a range: blocks.items[block]->ranges[range], or the end of all */
    size_t block, range;
};

/* The first range that ends above an address. */
static struct place lower_bound(const struct code_map *map, uint64_t address)
{
    size_t low = 0, high = map->blocks.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct code_block *block = map->blocks.items[middle];
        if (block->ranges[block->count - 1].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    struct place place = {.block = low};
    if (low == map->blocks.count)
        return place;
    const struct code_block *block = map->blocks.items[low];
    high = block->count;
    while (place.range < high) {
        size_t middle = place.range + (high - place.range) / 2;
        if (block->ranges[middle].end <= address)
            place.range = middle + 1;
        else
            high = middle;
    }
    return place;
}

static struct code_range *range_at(const struct code_map *map, struct place place)
{
    return place.block < map->blocks.count ? &map->blocks.items[place.block]->ranges[place.range]
                                           : NULL;
}

static void remove_at(struct code_map *map, struct place place)
{
    struct code_block *block = map->blocks.items[place.block];
    memmove(block->ranges + place.range, block->ranges + place.range + 1,
            (block->count - place.range - 1) * sizeof *block->ranges);
    map->count--;
    if (--block->count)
        return;
    free(block);
    memmove(map->blocks.items + place.block, map->blocks.items + place.block + 1,
            (map->blocks.count - place.block - 1) * sizeof *map->blocks.items);
    map->blocks.count--;
}

static struct code_block *block_insert(struct code_map *map, size_t position)
{
    struct code_block *block = xmalloc(sizeof *block);
    block->count = 0;
    vec_reserve(&map->blocks, map->blocks.count + 1);
    memmove(map->blocks.items + position + 1, map->blocks.items + position,
            (map->blocks.count - position) * sizeof *map->blocks.items);
    map->blocks.items[position] = block;
    map->blocks.count++;
    return block;
}

/* Ranges come mostly in order of address: at the end of all a full block stays full. */
static struct place make_room(struct code_map *map, struct place place)
{
    if (place.block == map->blocks.count) {
        if (place.block && map->blocks.items[place.block - 1]->count < BLOCK_RANGES)
            return (struct place){place.block - 1, map->blocks.items[place.block - 1]->count};
        block_insert(map, place.block);
        return place;
    }
    struct code_block *block = map->blocks.items[place.block];
    if (block->count < BLOCK_RANGES)
        return place;
    struct code_block *upper = block_insert(map, place.block + 1);
    upper->count = BLOCK_RANGES / 2;
    block->count -= upper->count;
    memcpy(upper->ranges, block->ranges + block->count, upper->count * sizeof *upper->ranges);
    if (place.range > block->count)
        place = (struct place){place.block + 1, place.range - block->count};
    return place;
}

void code_map_add(struct code_map *map, uint64_t start, uint64_t size, uint32_t value)
{
    uint64_t end;
    if (!size || __builtin_add_overflow(start, size, &end))
        return;
    struct place place = lower_bound(map, start);
    for (const struct code_range *old; (old = range_at(map, place)) && old->start < end;) {
        remove_at(map, place);
        /* The block may be gone, or its end reached. */
        place = lower_bound(map, start);
    }
    place = make_room(map, place);
    struct code_block *block = map->blocks.items[place.block];
    memmove(block->ranges + place.range + 1, block->ranges + place.range,
            (block->count - place.range) * sizeof *block->ranges);
    block->ranges[place.range] = (struct code_range){start, end, value};
    block->count++;
    map->count++;
}

bool code_map_take(struct code_map *map, uint64_t start, struct code_range *ret_range)
{
    struct place place = lower_bound(map, start);
    const struct code_range *range = range_at(map, place);
    if (!range || range->start != start)
        return false;
    *ret_range = *range;
    remove_at(map, place);
    return true;
}

const struct code_range *code_map_find(const struct code_map *map, uint64_t address)
{
    const struct code_range *range = range_at(map, lower_bound(map, address));
    return range && range->start <= address ? range : NULL;
}

void code_map_release(struct code_map *map)
{
    for (size_t i = 0; i < map->blocks.count; i++)
        free(map->blocks.items[i]);
    vec_release(&map->blocks);
    map->count = 0;
}
