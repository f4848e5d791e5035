#include "core/sequence.h"

#include "core/alloc.h"

enum { BLOCK_BYTES = 64 * 1024 - 32, SAMPLE_BYTES_MAX = 10 + 5 + 5 };

struct sequence_block {
    struct sequence_block *next;
    size_t used;
    uint8_t data[BLOCK_BYTES];
};

static uint8_t *leb_put(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

/* Only what leb_put wrote is read: no bounds to check. */
static uint64_t leb_get(const uint8_t **at)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
}

void sequence_append(struct sequence *sequence, const struct sample *sample)
{
    struct sequence_block *block = sequence->last;
    if (!block || BLOCK_BYTES - block->used < SAMPLE_BYTES_MAX) {
        block = xmalloc(sizeof *block);
        block->next = NULL;
        block->used = 0;
        if (sequence->last)
            sequence->last->next = block;
        else
            sequence->first = block;
        sequence->last = block;
    }
    uint64_t delta = sample->time_us - sequence->last_time_us;
    uint64_t zigzag = delta << 1 ^ (0 - (delta >> 63));
    uint8_t *at = block->data + block->used;
    at = leb_put(at, zigzag);
    at = leb_put(at, sample->thread);
    at = leb_put(at, sample->node);
    block->used = (size_t)(at - block->data);
    sequence->last_time_us = sample->time_us;
    sequence->count++;
}

struct sequence_cursor sequence_begin(const struct sequence *sequence)
{
    return (struct sequence_cursor){.block = sequence->first};
}

bool sequence_next(struct sequence_cursor *cursor, struct sample *ret_sample)
{
    while (cursor->block && cursor->offset == cursor->block->used) {
        cursor->block = cursor->block->next;
        cursor->offset = 0;
    }
    if (!cursor->block)
        return false;
    const uint8_t *at = cursor->block->data + cursor->offset;
    uint64_t zigzag = leb_get(&at);
    cursor->time_us += zigzag >> 1 ^ (0 - (zigzag & 1));
    ret_sample->time_us = cursor->time_us;
    ret_sample->thread = (uint32_t)leb_get(&at);
    ret_sample->node = (uint32_t)leb_get(&at);
    cursor->offset = (size_t)(at - cursor->block->data);
    return true;
}

bool sequence_take(struct sequence *sequence, struct sequence_cursor *cursor,
                   struct sample *ret_sample)
{
    if (!sequence_next(cursor, ret_sample))
        return false;
    while (sequence->first != cursor->block) {
        struct sequence_block *read = sequence->first;
        sequence->first = read->next;
        free(read);
    }
    sequence->count--;
    return true;
}

void sequence_release(struct sequence *sequence)
{
    for (struct sequence_block *block = sequence->first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    *sequence = (struct sequence){0};
}
