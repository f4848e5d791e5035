/*
 * hash.h - hashing, and an index from a hash to an array position.
 *
 * The index holds {hash, id} pairs in an open-addressed table; the things themselves stay in
 * the caller's array, so a probe touches foreign memory only when 32 bits of hash agree.
 * Insert only. A zeroed index is ready for use.
 */
#ifndef MEMPROF_CORE_HASH_H
#define MEMPROF_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_slot {
    uint32_t hash;
    uint32_t id_plus_1; /* 0: free */
};

struct hash_index {
    struct hash_slot *slots;
    uint32_t mask; /* slots - 1, a power of two less one */
    uint32_t count;
};

/* Walks the ids stored under a hash: for (probe = hash_first(…); hash_next(…, &id);) */
struct hash_probe {
    uint32_t hash;
    uint32_t position;
};

/* A 64-bit finalizer with full avalanche (Stafford's mix 13, as in splitmix64). */
static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline uint64_t hash_combine(uint64_t a, uint64_t b)
{
    return hash_mix(a * 0x9e3779b97f4a7c15u + b);
}

uint64_t hash_bytes(const void *data, size_t length);

static inline struct hash_probe hash_first(uint64_t hash)
{
    return (struct hash_probe){.hash = (uint32_t)(hash >> 32), .position = (uint32_t)hash};
}

/* Sets *ret_id to the next candidate and returns 1, or returns 0: not in the index. */
static inline int hash_next(const struct hash_index *index, struct hash_probe *probe,
                            uint32_t *ret_id)
{
    if (!index->slots)
        return 0;
    for (;;) {
        const struct hash_slot *slot = &index->slots[probe->position++ & index->mask];
        if (!slot->id_plus_1)
            return 0;
        if (slot->hash == probe->hash) {
            *ret_id = slot->id_plus_1 - 1;
            return 1;
        }
    }
}

/*
 * Adds an id that is not yet there. `hash` is the 64-bit one given to hash_first;
 * `hash_of_id(context, id)` is asked for the full hash of older ids when the table grows.
 */
void hash_insert(struct hash_index *index, uint64_t hash, uint32_t id,
                 uint64_t (*hash_of_id)(const void *context, uint32_t id), const void *context);
void hash_release(struct hash_index *index);

#endif
