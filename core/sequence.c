/*
 * One stream of bytes, in two places: first the payloads of the file's BLOCK_SAMPLES, one behind
 * the other, then the blocks in memory. A cursor copies it piece by piece into a buffer of its
 * own and decodes there: one way of reading for both, with bounds, for a file can be changed or
 * cut by others. A sample lies in one block as a whole, so the last bytes of the buffer that make
 * no whole sample are moved to its front before it is filled again.
 *
 * Blocks in memory have a fixed size, so that growing never copies. The file's blocks are found
 * by stepping from one to the next: a table of them would grow with the length of the recording.
 */
#include "core/sequence.h"

#include "core/alloc.h"
#include "core/journal_block.h"
#include "core/packed.h"

#include <string.h>

enum { BLOCK_BYTES = 64 * 1024 - 32, SAMPLE_BYTES_MAX = 10 + 5 + 5 };

struct sequence_block {
    struct sequence_block *next;
    uint32_t used;
    uint8_t data[BLOCK_BYTES];
};

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
    uint8_t *at = block->data + block->used;
    at = packed_put(at, zigzag(sample->time_us - sequence->last_time_us));
    at = packed_put(at, sample->thread);
    at = packed_put(at, sample->node);
    block->used = (uint32_t)(at - block->data);
    sequence->last_time_us = sample->time_us;
    sequence->count++;
}

struct sequence_cursor sequence_begin(const struct sequence *sequence)
{
    struct sequence_cursor cursor;
    memset(&cursor, 0, offsetof(struct sequence_cursor, buffer));
    cursor.sequence = sequence;
    cursor.block = sequence->first;
    cursor.spill_at = sequence->spill_start;
    return cursor;
}

/* The next bytes of the file into the buffer; false when there are no more. */
static bool fill_from_file(struct sequence_cursor *cursor)
{
    const struct sequence *sequence = cursor->sequence;
    struct block block;
    while (!cursor->piece_bytes) {
        if (!sequence->spill_end ||
            !block_step(sequence->spill_fd, &cursor->spill_at, sequence->spill_end, &block))
            return false;
        if (block.type == BLOCK_SAMPLES) {
            cursor->piece_at = block.at;
            cursor->piece_bytes = block.length;
        }
    }
    uint32_t room = SEQUENCE_BUFFER_BYTES - cursor->used;
    uint32_t length = cursor->piece_bytes < room ? cursor->piece_bytes : room;
    if (!read_at(sequence->spill_fd, cursor->piece_at, cursor->buffer + cursor->used, length))
        return false;
    cursor->piece_at += length;
    cursor->piece_bytes -= length;
    cursor->used += length;
    return true;
}

static bool fill_from_memory(struct sequence_cursor *cursor)
{
    while (cursor->block && cursor->block_offset == cursor->block->used) {
        cursor->block = cursor->block->next;
        cursor->block_offset = 0;
    }
    if (!cursor->block)
        return false;
    size_t room = SEQUENCE_BUFFER_BYTES - cursor->used;
    size_t left = cursor->block->used - cursor->block_offset;
    size_t length = left < room ? left : room;
    memcpy(cursor->buffer + cursor->used, cursor->block->data + cursor->block_offset, length);
    cursor->block_offset += length;
    cursor->used += (uint32_t)length;
    return true;
}

static void fill(struct sequence_cursor *cursor)
{
    cursor->used -= cursor->at;
    memmove(cursor->buffer, cursor->buffer + cursor->at, cursor->used);
    cursor->at = 0;
    while (cursor->used < SEQUENCE_BUFFER_BYTES &&
           (fill_from_file(cursor) || fill_from_memory(cursor)))
        ;
}

static bool mapped(const struct sequence_map *map, uint64_t id, uint32_t *ret_id)
{
    if (!map->ids) {
        *ret_id = (uint32_t)id;
        return id <= UINT32_MAX;
    }
    if (id >= map->count)
        return false;
    *ret_id = map->ids[id];
    return true;
}

bool sequence_next(struct sequence_cursor *cursor, struct sample *ret_sample)
{
    const struct sequence *sequence = cursor->sequence;
    if (cursor->position == sequence->count)
        return false;
    if (cursor->used - cursor->at < SAMPLE_BYTES_MAX)
        fill(cursor);
    const uint8_t *at = cursor->buffer + cursor->at, *end = cursor->buffer + cursor->used;
    uint64_t delta, thread, node;
    if (!packed_get(&at, end, &delta) || !packed_get(&at, end, &thread) ||
        !packed_get(&at, end, &node) || !mapped(&sequence->threads, thread, &ret_sample->thread) ||
        !mapped(&sequence->nodes, node, &ret_sample->node))
        return false;
    cursor->time_us += unzigzag(delta);
    ret_sample->time_us = cursor->time_us;
    cursor->at = (uint32_t)(at - cursor->buffer);
    cursor->position++;
    return true;
}

void sequence_view(struct sequence *view, const struct sequence *of, struct sequence_map nodes,
                   struct sequence_map threads)
{
    *view = *of;
    view->is_view = true;
    view->nodes = nodes;
    view->threads = threads;
}

void sequence_move(struct sequence *moved, struct sequence *from, struct sequence_map nodes,
                   struct sequence_map threads)
{
    *moved = *from;
    moved->nodes = nodes;
    moved->threads = threads;
    *from = (struct sequence){0};
}

void sequence_cut(struct sequence *sequence, uint64_t count)
{
    if (count < sequence->count)
        sequence->count = count;
}

static void free_blocks(struct sequence_block *block)
{
    for (struct sequence_block *next; block; block = next) {
        next = block->next;
        free(block);
    }
}

void sequence_release(struct sequence *sequence)
{
    if (!sequence->is_view)
        free_blocks(sequence->first);
    free(sequence->nodes.ids);
    free(sequence->threads.ids);
    *sequence = (struct sequence){0};
}

bool sequence_oldest(const struct sequence *sequence, const uint8_t **ret_bytes,
                     uint32_t *ret_length)
{
    if (!sequence->first || !sequence->first->used)
        return false;
    *ret_bytes = sequence->first->data;
    *ret_length = sequence->first->used;
    return true;
}

/* The last block is filled again, not freed: appending goes on there. */
void sequence_spill_oldest(struct sequence *sequence, int fd, uint64_t spill_start,
                           uint64_t spill_end)
{
    struct sequence_block *oldest = sequence->first;
    sequence->spill_fd = fd;
    sequence->spill_start = spill_start;
    sequence->spill_end = spill_end;
    if (oldest == sequence->last) {
        oldest->used = 0;
        return;
    }
    sequence->first = oldest->next;
    free(oldest);
}
