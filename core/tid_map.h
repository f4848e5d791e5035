/*
 * tid_map.h - from a thread's TID to what is kept of it, while threads come and go.
 *
 * Values are the caller's. Unlike hash.h's index it can remove. A zeroed map is ready for use.
 */
#ifndef MEMPROF_CORE_TID_MAP_H
#define MEMPROF_CORE_TID_MAP_H

#include <stddef.h>
#include <stdint.h>

struct tid_slot {
    uint32_t tid; /* 0: free */
    void *value;
};

struct tid_map {
    struct tid_slot *slots; /* to walk: mask + 1 of them, NULL when empty */
    size_t mask, count;
};

/* NULL if there is none. TID 0 is never there. */
void *tid_map_get(const struct tid_map *map, uint32_t tid);
/* Adds a value that is not NULL, under a TID that is neither 0 nor in the map. */
void tid_map_put(struct tid_map *map, uint32_t tid, void *value);
/* Removes and returns the value, NULL if there was none. */
void *tid_map_take(struct tid_map *map, uint32_t tid);
/* Frees the slots; `free_value` (may be NULL) is called for each value. */
void tid_map_release(struct tid_map *map, void (*free_value)(void *value));

#endif
