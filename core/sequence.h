/*
 * sequence.h - the order in which samples were taken, packed.
 *
 * Each sample is three LEB128 numbers: the zigzag time delta, the thread and the node; about
 * five bytes at 1 kHz, so that an hour of one busy thread is 18 MB. Append and read in order
 * only. Bytes lie in blocks of fixed size, so that growing never copies.
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

struct sequence {
    struct sequence_block *first, *last;
    uint64_t count;
    uint64_t last_time_us;
};

struct sequence_cursor {
    const struct sequence_block *block;
    size_t offset;
    uint64_t time_us;
};

void sequence_append(struct sequence *sequence, const struct sample *sample);
struct sequence_cursor sequence_begin(const struct sequence *sequence);
/* Reads the next sample; false at the end. The sequence must not change meanwhile. */
bool sequence_next(struct sequence_cursor *cursor, struct sample *ret_sample);
/* The same, but drops what it reads, so that a copy needs no memory of its own. */
bool sequence_take(struct sequence *sequence, struct sequence_cursor *cursor,
                   struct sample *ret_sample);
void sequence_release(struct sequence *sequence);

#endif
