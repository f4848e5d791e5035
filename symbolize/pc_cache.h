/*
 * pc_cache.h - from a pc to its rule and segment, found once and remembered.
 *
 * Internal to the unwinder. Keys are pc and the generation of the space's mappings; spaces of
 * many processes share one cache, and equal rules of all modules are one entry.
 */
#ifndef MEMPROF_SYMBOLIZE_PC_CACHE_H
#define MEMPROF_SYMBOLIZE_PC_CACHE_H

#include "core/hash.h"
#include "symbolize/cfi.h"
#include "symbolize/modules.h"

enum { PC_CACHE_BITS = 14 };

struct pc_entry {
    uint64_t pc;
    const struct segment *segment; /* NULL: the rule is RULE_INVALID */
    uint32_t generation;           /* 0: free, spaces count from 1 */
    uint32_t rule;                 /* position in rules */
};

struct pc_cache {
    const struct arch *arch;
    struct pc_entry front[1 << PC_CACHE_BITS]; /* direct-mapped */
    vec(struct pc_entry) entries;              /* every pc seen */
    struct hash_index entries_by_pc;
    vec(struct rule) rules;
    struct hash_index rules_by_content;
};

void pc_cache_init(struct pc_cache *cache, const struct arch *arch);
void pc_cache_release(struct pc_cache *cache);
/* Fills the front entry; pc_cache_find's slow path. */
void pc_cache_resolve(struct pc_cache *cache, const struct space *space, uint64_t pc,
                      struct pc_entry *front);

static inline struct pc_entry *pc_cache_front(struct pc_cache *cache, const struct space *space,
                                              uint64_t pc)
{
    uint64_t key = pc ^ (uint64_t)space->generation << 40;
    return &cache->front[key * 0x9e3779b97f4a7c15u >> (64 - PC_CACHE_BITS)];
}

/* The entry of a pc; valid until the next call. */
static inline const struct pc_entry *pc_cache_find(struct pc_cache *cache,
                                                   const struct space *space, uint64_t pc)
{
    struct pc_entry *front = pc_cache_front(cache, space, pc);
    if (__builtin_expect(front->pc != pc || front->generation != space->generation, 0))
        pc_cache_resolve(cache, space, pc, front);
    return front;
}

#endif
