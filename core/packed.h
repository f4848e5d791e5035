/*
 * packed.h - numbers in few bytes: LEB128, and zigzag for those that may be negative.
 *
 * What the sequence of samples and the journal are made of. Reading is bounded: what does not
 * end before `end`, or holds more than 64 bits, is refused.
 */
#ifndef MEMPROF_CORE_PACKED_H
#define MEMPROF_CORE_PACKED_H

#include <stdbool.h>
#include <stdint.h>

enum { PACKED_BYTES_MAX = 10 }; /* of one 64-bit number */

static inline uint64_t zigzag(uint64_t delta)
{
    return delta << 1 ^ (0 - (delta >> 63));
}

static inline uint64_t unzigzag(uint64_t value)
{
    return value >> 1 ^ (0 - (value & 1));
}

/* Writes at most PACKED_BYTES_MAX bytes; returns where the next number belongs. */
static inline uint8_t *packed_put(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

/* Advances *at; on false it stands anywhere up to `end`. */
static inline bool packed_get(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

#endif
