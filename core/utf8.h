/*
 * utf8.h - one step of a strict UTF-8 decoder, for what must be valid text when it goes out, and
 * of an encoder.
 */
#ifndef MEMPROF_CORE_UTF8_H
#define MEMPROF_CORE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decodes the character at `text`, which ends in NUL. Returns its length in bytes, or 0 when
 * the bytes are no character: an overlong form, a surrogate, a stray or missing continuation.
 */
static inline size_t utf8_decode(const char *text, uint32_t *ret_character)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (!length || at[0] > 0xf4)
        return 0;
    uint32_t character = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (at[i] & 0x3f);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (character < least[length] || (character >= 0xd800 && character <= 0xdfff) ||
        character > 0x10ffff)
        return 0;
    *ret_character = character;
    return length;
}

/* Encodes a character up to 0x10ffff into `out`, which has room for 4 bytes; returns the length. */
static inline size_t utf8_encode(uint32_t character, char *out)
{
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = length; --i > 0; character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3f));
    out[0] = (char)((0xf00u >> length & 0xff) | character);
    return length;
}

#endif
