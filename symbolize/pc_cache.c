/*
 * pc_cache.c - a direct-mapped front of 16 K entries before an exact table.
 *
 * A recording sees 1,500 to 7,000 distinct pcs, so the front answers nearly always with one
 * cache line; the exact table behind it resolves collisions. Entries hold segment pointers:
 * the generation in the key retires them when mappings change. The exact table would grow
 * with every generation and every JIT address, hence ENTRIES_MAX: it starts afresh then.
 * A pc in no mapping is garbage from a broken stack and stays in the front only.
 *
 * Tables for whole modules, made in advance, would answer the first look-up faster, but cost
 * megabytes for addresses that are never asked for.
 */
#include "symbolize/pc_cache.h"

#include <string.h>

enum {
    ENTRIES_MAX = 1 << 17,
    RULES_MAX = 1 << 16 /* a hostile module can hold a rule for every address */
};

void pc_cache_init(struct pc_cache *cache, const struct arch *arch)
{
    memset(cache, 0, sizeof *cache);
    cache->arch = arch;
}

void pc_cache_release(struct pc_cache *cache)
{
    vec_release(&cache->entries);
    hash_release(&cache->entries_by_pc);
    vec_release(&cache->rules);
    hash_release(&cache->rules_by_content);
}

static void start_afresh(struct pc_cache *cache)
{
    const struct arch *arch = cache->arch;
    pc_cache_release(cache);
    pc_cache_init(cache, arch);
}

static uint64_t rule_hash(const void *context, uint32_t id)
{
    const struct pc_cache *cache = context;
    return hash_bytes(&cache->rules.items[id], sizeof cache->rules.items[id]);
}

static uint32_t rule_intern(struct pc_cache *cache, const struct rule *rule)
{
    uint64_t hash = hash_bytes(rule, sizeof *rule);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&cache->rules_by_content, &probe, &id);)
        if (!memcmp(&cache->rules.items[id], rule, sizeof *rule))
            return id;
    uint32_t id = (uint32_t)cache->rules.count;
    vec_append(&cache->rules, *rule);
    hash_insert(&cache->rules_by_content, hash, id, rule_hash, cache);
    return id;
}

static struct rule rule_find(const struct arch *arch, const struct segment *segment, uint64_t pc)
{
    if (!segment)
        return (struct rule){.kind = RULE_INVALID};
    struct module *module = segment->module;
    if (!module->cfi_tried) {
        module->cfi_tried = true;
        if (module->elf && module->elf->machine == arch->machine)
            module->cfi = cfi_new(module->elf, arch);
    }
    if (!module->cfi)
        return (struct rule){.kind = RULE_NONE};
    return cfi_find(module->cfi, pc - segment->bias);
}

static uint64_t entry_hash(const void *context, uint32_t id)
{
    const struct pc_cache *cache = context;
    const struct pc_entry *entry = &cache->entries.items[id];
    return hash_combine(entry->pc, entry->generation);
}

void pc_cache_resolve(struct pc_cache *cache, const struct space *space, uint64_t pc,
                      struct pc_entry *front)
{
    uint64_t hash = hash_combine(pc, space->generation);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&cache->entries_by_pc, &probe, &id);) {
        const struct pc_entry *entry = &cache->entries.items[id];
        if (entry->pc == pc && entry->generation == space->generation) {
            *front = *entry;
            return;
        }
    }
    if (cache->entries.count == ENTRIES_MAX || cache->rules.count == RULES_MAX)
        start_afresh(cache);
    const struct segment *segment = space_find(space, pc);
    struct rule rule = rule_find(cache->arch, segment, pc);
    *front = (struct pc_entry){pc, segment, space->generation, rule_intern(cache, &rule)};
    if (segment) {
        vec_append(&cache->entries, *front);
        hash_insert(&cache->entries_by_pc, hash, (uint32_t)cache->entries.count - 1, entry_hash,
                    cache);
    }
}
