/*
 * digits.h - numbers in texts that are not terminated.
 */
#ifndef MEMPROF_OUTPUT_DIGITS_H
#define MEMPROF_OUTPUT_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value of a hexadecimal digit, 16 or more for any other character. */
static inline unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
}

/* All of the text, in base 10 or 16, without a sign or a prefix. False if it is none or too long.
 */
static inline bool number_read(const char *text, size_t length, unsigned base, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!length || length > (base == 16 ? 16 : 19))
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = digit_value(text[i]);
        if (digit >= base)
            return false;
        value = value * base + digit;
    }
    *ret_value = value;
    return true;
}

#endif
