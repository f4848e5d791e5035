/*
 * range_map.h - from an address to the value of the innermost range that holds it.
 *
 * Fill it with range_map_add, then call range_map_finish once, then look up. Ranges may nest
 * and overlap: of those that hold an address, the one with the latest start wins, then the
 * shortest, then the highest rank.
 */
#ifndef MEMPROF_SYMBOLIZE_RANGE_MAP_H
#define MEMPROF_SYMBOLIZE_RANGE_MAP_H

#include "core/alloc.h"

#include <stdbool.h>
#include <stdint.h>

struct range {
    uint64_t start, end;
    uint32_t value;
    uint32_t rank;
};

struct range_map {
    vec(struct range) ranges;
};

/* An empty range is passed over. */
void range_map_add(struct range_map *map, uint64_t start, uint64_t end, uint32_t value,
                   uint32_t rank);
void range_map_finish(struct range_map *map);
bool range_map_find(const struct range_map *map, uint64_t address, uint32_t *ret_value);
void range_map_release(struct range_map *map);

#endif
