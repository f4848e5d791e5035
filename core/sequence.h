/*
 * sequence.h - the order in which samples were taken, packed.
 *
 * Each sample is three LEB128 numbers: the zigzag time delta, the thread and the node; about
 * five bytes at 1 kHz, so that an hour of one busy thread is 18 MB. Append and read in order
 * only.
 *
 * The older part may lie in a file, in the BLOCK_SAMPLES of a journal (core/journal.h): memory
 * then holds only what was not yet written there. The file is walked anew by each cursor; nothing
 * of it is kept in memory.
 *
 * A sequence may be a view of another one with other ids (sequence_view): what is in a file is
 * not copied for a profile with names.
 */
#ifndef MEMPROF_CORE_SEQUENCE_H
#define MEMPROF_CORE_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sample {
    uint64_t time_us; /* CLOCK_MONOTONIC */
    uint32_t thread;  /* thread_id */
    uint32_t node;    /* node_id */
};

struct sequence_block;

/* What each id of a sample becomes; ids past the end are none of the sequence's. */
struct sequence_map {
    uint32_t *ids;
    size_t count;
};

struct sequence {
    struct sequence_block *first, *last; /* in memory, oldest first */
    uint64_t count;
    uint64_t last_time_us;
    /* The older part: blocks from spill_start to spill_end of a file. No file: spill_end is 0. */
    int spill_fd;
    uint64_t spill_start, spill_end;
    /* A view: its blocks and its file are another sequence's. */
    bool is_view;
    struct sequence_map nodes, threads;
};

enum { SEQUENCE_BUFFER_BYTES = 8 * 1024 };

struct sequence_cursor {
    const struct sequence *sequence;
    uint64_t position; /* samples read so far */
    uint64_t time_us;
    const struct sequence_block *block; /* where the buffer is filled from: first the file … */
    size_t block_offset;
    uint64_t spill_at, piece_at; /* … the next block of it, and what is left of the current */
    uint32_t piece_bytes;
    uint32_t at, used; /* of the buffer */
    uint8_t buffer[SEQUENCE_BUFFER_BYTES];
};

void sequence_append(struct sequence *sequence, const struct sample *sample);
struct sequence_cursor sequence_begin(const struct sequence *sequence);
/*
 * Reads the next sample; false at the end, or where a file that was changed meanwhile says what
 * can't be. The sequence must not change meanwhile.
 */
bool sequence_next(struct sequence_cursor *cursor, struct sample *ret_sample);
/*
 * `of` with other ids: its owner keeps it (and its file) unchanged as long as the view is read.
 * Takes both arrays over.
 */
void sequence_view(struct sequence *view, const struct sequence *of, struct sequence_map nodes,
                   struct sequence_map threads);
/* The same, but the new one owns what was the other's, which is empty then. */
void sequence_move(struct sequence *moved, struct sequence *from, struct sequence_map nodes,
                   struct sequence_map threads);
/* Keeps the first `count` samples. */
void sequence_cut(struct sequence *sequence, uint64_t count);
void sequence_release(struct sequence *sequence);

/* The oldest samples in memory, as they are packed; false when there are none. */
bool sequence_oldest(const struct sequence *sequence, const uint8_t **ret_bytes,
                     uint32_t *ret_length);
/*
 * Says that those are the payload of a BLOCK_SAMPLES now, before spill_end of the file, and frees
 * them. The descriptor stays the caller's.
 */
void sequence_spill_oldest(struct sequence *sequence, int fd, uint64_t spill_start,
                           uint64_t spill_end);

#endif
