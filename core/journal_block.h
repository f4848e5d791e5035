/*
 * journal_block.h - the frame of a journal: a file of typed blocks with a checksum each.
 *
 * A file begins with 16 bytes: "MPJOURNL", the version and the writer's process id (u32). A block
 * is {u32 length of the payload, u8 type, payload, u32 crc32 of all before it}. Numbers are in
 * the machine's own byte order: a journal is read where it was written, and another order fails
 * at the version. Knows nothing of what is in a block.
 */
#ifndef MEMPROF_CORE_JOURNAL_BLOCK_H
#define MEMPROF_CORE_JOURNAL_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JOURNAL_VERSION = 2,
    JOURNAL_HEAD_BYTES = 16,
    BLOCK_HEAD_BYTES = 5,
    BLOCK_TAIL_BYTES = 4,
    BLOCK_FRAME_BYTES = BLOCK_HEAD_BYTES + BLOCK_TAIL_BYTES
};

/* The order of the types is of no meaning; a reader refuses those that it does not know. */
enum block_type {
    BLOCK_META = 1,
    BLOCK_STRINGS,
    BLOCK_MODULES,
    BLOCK_FRAMES,
    BLOCK_NODES,
    BLOCK_THREADS,
    BLOCK_METRICS,
    BLOCK_SERIES,
    BLOCK_SAMPLES,
    BLOCK_POINTS,
    BLOCK_EVENTS,
    BLOCK_VALUES,
    BLOCK_END,
    BLOCK_NAMES,
    BLOCK_LINES,
    BLOCK_CALLS
};

struct block {
    uint8_t type;
    uint32_t length; /* of the payload */
    uint64_t at;     /* where the payload starts in the file */
};

struct journal_head {
    char magic[8];
    uint32_t version;
    uint32_t writer; /* process id */
};

struct journal_head journal_head_now(void);
bool journal_head_is(const struct journal_head *head);

/*
 * Makes a whole block in `buffer` of BLOCK_FRAME_BYTES + length bytes, the payload of which stands
 * at buffer + BLOCK_HEAD_BYTES already.
 */
void block_seal(uint8_t *buffer, enum block_type type, uint32_t length);
/* The block that begins at *at, of which it steps to the end; false when it does not fit below
 * `end` or can't be read. The payload is not looked at. */
bool block_step(int fd, uint64_t *at, uint64_t end, struct block *ret_block);
/* Whether a whole block of BLOCK_FRAME_BYTES + length bytes is what was written. */
bool block_is_sound(const uint8_t *bytes, uint32_t length);
/* Reads exactly so many bytes, in spite of interruptions; false at the end of the file. */
bool read_at(int fd, uint64_t offset, void *bytes, size_t length);

#endif
