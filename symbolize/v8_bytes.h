/*
 * v8_bytes.h - a table of bytes in another process's memory, read from front to back.
 *
 * V8 packs its tables as numbers of seven bits a byte, the lowest first, the eighth bit set in all
 * but the last byte (src/base/vlq.h). Reading past the end gives zeros and marks the reader broken,
 * so that a caller may check once for many reads. Knows nothing of what the numbers mean.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_BYTES_H
#define MEMPROF_SYMBOLIZE_V8_BYTES_H

#include "symbolize/v8_heap.h"

struct v8_bytes {
    struct v8_heap *heap;
    uint64_t address; /* of the first byte */
    uint32_t size, at;
    bool broken;          /* something read was not there */
    uint32_t first, held; /* buffer[0, held) are the bytes from `first` on */
    uint8_t buffer[256];
};

/* The bytes [address, address + size). */
void v8_bytes_init(struct v8_bytes *bytes, struct v8_heap *heap, uint64_t address, uint32_t size);
/* The contents of a ByteArray (tagged); false if it is none, or of no believable length. */
bool v8_bytes_open(struct v8_bytes *bytes, struct v8_heap *heap, uint64_t array);

static inline bool v8_bytes_end(const struct v8_bytes *bytes)
{
    return bytes->broken || bytes->at >= bytes->size;
}

uint8_t v8_bytes_next(struct v8_bytes *bytes);
/* A number of `count` bytes, the lowest first; count <= 8. */
uint64_t v8_bytes_fixed(struct v8_bytes *bytes, unsigned count);
/* A packed number of at most 64 bits; more is broken. */
uint64_t v8_bytes_packed(struct v8_bytes *bytes);

#endif
