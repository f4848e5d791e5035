#include "core/hash.h"

#include "core/alloc.h"

#include <string.h>

uint64_t hash_bytes(const void *data, size_t length)
{
    const unsigned char *at = data;
    uint64_t hash = 0x9e3779b97f4a7c15u ^ length;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = hash_combine(hash, word);
    }
    uint64_t tail = 0;
    memcpy(&tail, at, length);
    return hash_combine(hash, tail);
}

static void place(struct hash_index *index, uint64_t hash, uint32_t id)
{
    uint32_t position = (uint32_t)hash & index->mask;
    while (index->slots[position].id_plus_1)
        position = (position + 1) & index->mask;
    index->slots[position] = (struct hash_slot){(uint32_t)(hash >> 32), id + 1};
}

static void grow(struct hash_index *index, uint64_t (*hash_of_id)(const void *context, uint32_t id),
                 const void *context)
{
    struct hash_index larger = {.mask = index->slots ? index->mask * 2 + 1 : 63};
    larger.slots = xcalloc((size_t)larger.mask + 1, sizeof *larger.slots);
    larger.count = index->count;
    for (size_t i = 0; index->slots && i <= index->mask; i++) {
        if (index->slots[i].id_plus_1) {
            uint32_t id = index->slots[i].id_plus_1 - 1;
            place(&larger, hash_of_id(context, id), id);
        }
    }
    free(index->slots);
    *index = larger;
}

void hash_insert(struct hash_index *index, uint64_t hash, uint32_t id,
                 uint64_t (*hash_of_id)(const void *context, uint32_t id), const void *context)
{
    /* Kept at most three quarters full: linear probing stays short. */
    if (!index->slots || (uint64_t)index->count * 4 >= ((uint64_t)index->mask + 1) * 3)
        grow(index, hash_of_id, context);
    place(index, hash, id);
    index->count++;
}

void hash_release(struct hash_index *index)
{
    free(index->slots);
    *index = (struct hash_index){0};
}
