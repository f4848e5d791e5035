/*
 * dwarf_reader.h - a cursor over untrusted bytes: DWARF's integers and strings, never past the end.
 *
 * The first read that does not fit sets `failed`, moves the cursor to the end and gives 0, as
 * do all that follow: callers may read a whole record and check once.
 */
#ifndef MEMPROF_SYMBOLIZE_DWARF_READER_H
#define MEMPROF_SYMBOLIZE_DWARF_READER_H

#include "symbolize/elf_file.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

/* Over [offset, end) of a section; failed if that does not lie in it. */
static inline struct reader reader_open(const struct elf_section *section, uint64_t offset,
                                        uint64_t end)
{
    if (!section->data || offset > end || end > section->size)
        return (struct reader){.failed = true};
    return (struct reader){section->data + offset, section->data + end, false};
}

static inline uint64_t reader_left(const struct reader *reader)
{
    return (uint64_t)(reader->end - reader->at);
}

static inline void reader_fail(struct reader *reader)
{
    reader->failed = true;
    reader->at = reader->end;
}

static inline void reader_skip(struct reader *reader, uint64_t bytes)
{
    if (bytes > reader_left(reader))
        reader_fail(reader);
    else
        reader->at += bytes;
}

/* A little-endian integer of 1 to 8 bytes. */
static inline uint64_t reader_fixed(struct reader *reader, unsigned bytes)
{
    uint64_t value = 0;
    if (bytes > reader_left(reader)) {
        reader_fail(reader);
        return 0;
    }
    memcpy(&value, reader->at, bytes);
    reader->at += bytes;
    return value;
}

/* Bits past the 64th are read and dropped. */
static inline uint64_t reader_uleb(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        else
            shift = 64;
        if (!(byte & 0x80))
            return value;
    }
    reader->failed = true;
    return 0;
}

static inline int64_t reader_sleb(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; reader->at < reader->end;) {
        uint8_t byte = *reader->at++;
        if (shift < 64) {
            value |= (uint64_t)(byte & 0x7f) << shift;
            shift += 7;
        }
        if (!(byte & 0x80)) {
            if (byte & 0x40 && shift < 64)
                value |= ~(uint64_t)0 << shift;
            return (int64_t)value;
        }
    }
    reader->failed = true;
    return 0;
}

/* A NUL-terminated string inside the bytes, or NULL. */
static inline const char *reader_string(struct reader *reader)
{
    const uint8_t *nul = reader->failed ? NULL : memchr(reader->at, 0, reader_left(reader));
    if (!nul) {
        reader_fail(reader);
        return NULL;
    }
    const char *text = (const char *)reader->at;
    reader->at = nul + 1;
    return text;
}

/* DWARF's initial length: sets *ret_offset_size to 4 or 8 and gives the length. */
static inline uint64_t reader_length(struct reader *reader, uint8_t *ret_offset_size)
{
    uint64_t length = reader_fixed(reader, 4);
    *ret_offset_size = 4;
    if (length == 0xffffffff) {
        *ret_offset_size = 8;
        length = reader_fixed(reader, 8);
    } else if (length >= 0xfffffff0) {
        reader_fail(reader);
    }
    return length;
}

#endif
