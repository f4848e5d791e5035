#include "symbolize/v8_cache.h"

#include <string.h>

enum {
    ENTRIES_MAX = 1 << 14, /* of each kind; some 150 bytes each */
    NAMES_MAX = 1 << 17
};

static void free_compiled(struct v8_compiled *compiled)
{
    frame_states_free(compiled->states);
    free(compiled);
}

static void release_entries(struct v8_cache *cache)
{
    for (size_t i = 0; i < cache->bytecodes.count; i++)
        free(cache->bytecodes.items[i]);
    for (size_t i = 0; i < cache->compiled.count; i++)
        free_compiled(cache->compiled.items[i]);
    vec_release(&cache->bytecodes);
    vec_release(&cache->compiled);
    hash_release(&cache->bytecodes_index);
}

void v8_cache_release(struct v8_cache *cache)
{
    release_entries(cache);
    vec_release(&cache->names);
    for (size_t i = 0; i < V8_READINGS; i++)
        free(cache->readings[i]);
}

void v8_cache_trim(struct v8_cache *cache)
{
    if (cache->bytecodes.count >= ENTRIES_MAX || cache->compiled.count >= ENTRIES_MAX)
        release_entries(cache);
    if (cache->names.count >= NAMES_MAX) {
        cache->names.count = 0;
        memset(cache->places, 0, sizeof cache->places);
    }
}

void v8_cache_renew(struct v8_cache *cache, struct v8_entry *entry)
{
    *entry = (struct v8_entry){.serial = ++cache->serials};
}

static uint64_t hash_of_bytecodes(const void *context, uint32_t id)
{
    const struct v8_cache *cache = context;
    return hash_mix(cache->bytecodes.items[id]->array);
}

struct v8_bytecodes *v8_cache_find_bytecodes(const struct v8_cache *cache, uint64_t array)
{
    struct hash_probe probe = hash_first(hash_mix(array));
    for (uint32_t id; hash_next(&cache->bytecodes_index, &probe, &id);)
        if (cache->bytecodes.items[id]->array == array)
            return cache->bytecodes.items[id];
    return NULL;
}

struct v8_bytecodes *v8_cache_bytecodes(struct v8_cache *cache, uint64_t array)
{
    struct v8_bytecodes *bytecodes = v8_cache_find_bytecodes(cache, array);
    if (bytecodes)
        return bytecodes;
    bytecodes = xcalloc(1, sizeof *bytecodes);
    bytecodes->array = array;
    v8_cache_renew(cache, &bytecodes->entry);
    hash_insert(&cache->bytecodes_index, hash_mix(array), (uint32_t)cache->bytecodes.count,
                hash_of_bytecodes, cache);
    vec_append(&cache->bytecodes, bytecodes);
    return bytecodes;
}

/* The position of the first code that ends above pc. */
static size_t position_of(const struct v8_cache *cache, uint64_t pc)
{
    size_t low = 0, high = cache->compiled.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct v8_code *code = &cache->compiled.items[middle]->code;
        if (code->start + code->size <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct v8_compiled *v8_cache_compiled(const struct v8_cache *cache, uint64_t pc)
{
    size_t position = position_of(cache, pc);
    if (position == cache->compiled.count || cache->compiled.items[position]->code.start > pc)
        return NULL;
    return cache->compiled.items[position];
}

struct v8_compiled *v8_cache_add_compiled(struct v8_cache *cache, const struct v8_code *code)
{
    size_t first = position_of(cache, code->start), last = first;
    struct v8_compiled **items = cache->compiled.items;
    while (last < cache->compiled.count && items[last]->code.start < code->start + code->size)
        free_compiled(items[last++]);
    struct v8_compiled *compiled = xcalloc(1, sizeof *compiled);
    compiled->code = *code;
    v8_cache_renew(cache, &compiled->entry);
    vec_reserve(&cache->compiled, cache->compiled.count + 1);
    items = cache->compiled.items;
    memmove(items + first + 1, items + last, (cache->compiled.count - last) * sizeof(*items));
    items[first] = compiled;
    cache->compiled.count = cache->compiled.count + 1 - (last - first);
    return compiled;
}

static size_t slot_of(uint32_t serial, uint32_t key)
{
    return hash_mix((uint64_t)serial << 32 | key) & (V8_PLACES - 1);
}

const struct v8_named *v8_cache_place(const struct v8_cache *cache, uint32_t serial, uint32_t key,
                                      size_t *ret_count)
{
    const struct v8_place *place = &cache->places[slot_of(serial, key)];
    if (place->serial != serial || place->key != key)
        return NULL;
    *ret_count = place->count;
    return cache->names.items + place->first;
}

void v8_cache_add_place(struct v8_cache *cache, uint32_t serial, uint32_t key,
                        const struct v8_named *names, size_t count)
{
    cache->places[slot_of(serial, key)] =
        (struct v8_place){serial, key, (uint32_t)cache->names.count, (uint32_t)count};
    for (size_t i = 0; i < count; i++)
        vec_append(&cache->names, names[i]);
}

/* The one of the entry, else the one that was not used for longest. */
static struct v8_reading *find_reading(struct v8_cache *cache, uint32_t serial)
{
    struct v8_reading **oldest = &cache->readings[0];
    for (size_t i = 0; i < V8_READINGS; i++) {
        struct v8_reading **reading = &cache->readings[i];
        if (!*reading)
            return *reading = xcalloc(1, sizeof **reading);
        if ((*reading)->serial == serial)
            return *reading;
        if ((*reading)->used < (*oldest)->used)
            oldest = reading;
    }
    return *oldest;
}

struct v8_blocks *v8_cache_blocks(struct v8_cache *cache, uint32_t serial, uint64_t since_ns)
{
    struct v8_reading *reading = find_reading(cache, serial);
    reading->used = ++cache->uses;
    if (reading->serial != serial || reading->since_ns != since_ns) {
        reading->serial = serial;
        reading->since_ns = since_ns;
        v8_blocks_clear(&reading->blocks);
    }
    return &reading->blocks;
}

const struct v8_function *v8_cache_function(const struct v8_cache *cache, uint64_t shared,
                                            uint64_t since_ns)
{
    const struct v8_known_function *known =
        &cache->functions[hash_mix(shared) & (V8_FUNCTIONS - 1)];
    return known->shared == shared && known->since_ns == since_ns ? &known->function : NULL;
}

void v8_cache_add_function(struct v8_cache *cache, uint64_t shared, uint64_t since_ns,
                           const struct v8_function *function)
{
    cache->functions[hash_mix(shared) & (V8_FUNCTIONS - 1)] =
        (struct v8_known_function){shared, since_ns, *function};
}

void v8_cache_prove(struct remote_memory *memory, struct v8_entry *const *entries, size_t count,
                    uint64_t needed_ns, uint64_t now_ns)
{
    uint8_t bytes[2 * LIMIT_STACK_FRAMES][V8_CODE_IDENTITY];
    struct memory_read reads[2 * LIMIT_STACK_FRAMES];
    struct v8_entry *asked[2 * LIMIT_STACK_FRAMES];
    size_t wanted = 0;
    for (size_t i = 0; i < count && i < 2 * LIMIT_STACK_FRAMES; i++) {
        struct v8_entry *entry = entries[i];
        if (!entry->known || entry->proven_ns >= needed_ns)
            continue;
        asked[wanted] = entry;
        reads[wanted] = (struct memory_read){.address = entry->identity_address,
                                             .into = bytes[wanted],
                                             .size = entry->identity_size};
        wanted++;
    }
    if (wanted)
        remote_read_all(memory, reads, wanted);
    for (size_t i = 0; i < wanted; i++) {
        asked[i]->known =
            reads[i].done && !memcmp(bytes[i], asked[i]->identity, asked[i]->identity_size);
        asked[i]->proven_ns = now_ns;
    }
}
