/*
 * code_map.h - which piece of code lies at an address, while code comes, moves and goes.
 *
 * A set of ranges that do not overlap, each with a value of the caller's: what a just-in-time
 * compiler has placed so far. A later range takes the place of all that it overlaps. Knows
 * nothing of names or of where ranges come from. A zeroed map is ready for use.
 */
#ifndef MEMPROF_CORE_CODE_MAP_H
#define MEMPROF_CORE_CODE_MAP_H

#include "core/alloc.h"

#include <stdbool.h>
#include <stdint.h>

struct code_range {
    uint64_t start, end; /* end is behind the last byte */
    uint32_t value;
};

struct code_block;

struct code_map {
    vec(struct code_block *) blocks; /* in order of address, none empty */
    size_t count;                    /* ranges */
};

/*
 * Adds [start, start + size) and removes what it overlaps. Nothing is done for a range that is
 * empty or goes past the end of the address space.
 */
void code_map_add(struct code_map *map, uint64_t start, uint64_t size, uint32_t value);
/* Takes the range that starts there out of the map; false if there is none. */
bool code_map_take(struct code_map *map, uint64_t start, struct code_range *ret_range);
/* The range that holds an address, or NULL; valid until the map changes. */
const struct code_range *code_map_find(const struct code_map *map, uint64_t address);
void code_map_release(struct code_map *map);

#endif
