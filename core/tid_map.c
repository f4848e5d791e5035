/*
 * tid_map.c - linear probing, at most three quarters full. Removal moves the later members of a
 * run up into the hole (Knuth, TAOCP 3, 6.4, Algorithm R): no tombstones, however many threads
 * have come and gone.
 */
#include "core/tid_map.h"

#include "core/alloc.h"
#include "core/hash.h"

enum { SLOTS_FIRST = 16 };

/* The slot of a TID, or the free one where it belongs. */
static struct tid_slot *slot_of(const struct tid_map *map, uint32_t tid)
{
    size_t at = hash_mix(tid) & map->mask;
    while (map->slots[at].tid && map->slots[at].tid != tid)
        at = (at + 1) & map->mask;
    return &map->slots[at];
}

void *tid_map_get(const struct tid_map *map, uint32_t tid)
{
    return map->slots && tid ? slot_of(map, tid)->value : NULL;
}

static void grow(struct tid_map *map)
{
    struct tid_map larger = {.mask = map->slots ? map->mask * 2 + 1 : SLOTS_FIRST - 1};
    larger.slots = xcalloc(larger.mask + 1, sizeof *larger.slots);
    larger.count = map->count;
    for (size_t i = 0; map->slots && i <= map->mask; i++)
        if (map->slots[i].tid)
            *slot_of(&larger, map->slots[i].tid) = map->slots[i];
    free(map->slots);
    *map = larger;
}

void tid_map_put(struct tid_map *map, uint32_t tid, void *value)
{
    if (!map->slots || map->count * 4 >= map->mask * 3)
        grow(map);
    *slot_of(map, tid) = (struct tid_slot){tid, value};
    map->count++;
}

void *tid_map_take(struct tid_map *map, uint32_t tid)
{
    struct tid_slot *slot = map->slots && tid ? slot_of(map, tid) : NULL;
    if (!slot || !slot->tid)
        return NULL;
    void *value = slot->value;
    size_t hole = (size_t)(slot - map->slots);
    for (size_t at = (hole + 1) & map->mask; map->slots[at].tid; at = (at + 1) & map->mask) {
        size_t home = hash_mix(map->slots[at].tid) & map->mask;
        if (((at - home) & map->mask) >= ((at - hole) & map->mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct tid_slot){0};
    map->count--;
    return value;
}

void tid_map_release(struct tid_map *map, void (*free_value)(void *value))
{
    for (size_t i = 0; map->slots && free_value && i <= map->mask; i++)
        if (map->slots[i].tid)
            free_value(map->slots[i].value);
    free(map->slots);
    *map = (struct tid_map){0};
}
