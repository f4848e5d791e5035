/*
 * v8_string.h - the text of V8's strings, whatever they are made of.
 *
 * A string is characters (Latin-1 or UTF-16) in the heap or outside, or is made of other strings:
 * two in a row, a slice, or another in its place (V8's src/objects/string.h).
 */
#ifndef MEMPROF_SYMBOLIZE_V8_STRING_H
#define MEMPROF_SYMBOLIZE_V8_STRING_H

#include "symbolize/v8_heap.h"

/* Some characters of a string, in order: bytes of Latin-1, or units of UTF-16. False ends it. */
typedef bool v8_chars_fn(void *context, const void *chars, size_t count, bool one_byte);

/* Whether an object with this instance type is a string. */
bool v8_type_is_string(const struct v8_layout *layout, uint16_t type);
/*
 * Hands out at most `limit` characters. False if it is no string, or a part of it can't be read.
 */
bool v8_string_walk(struct v8_heap *heap, uint64_t object, uint64_t limit, v8_chars_fn *visit,
                    void *context);
/* Its length in UTF-16 units; false if it is no string. */
bool v8_string_length(struct v8_heap *heap, uint64_t object, uint32_t *ret_length);
/*
 * The text in UTF-8, of at most `limit` characters, "…" for what is more, owned by the caller; NULL
 * if it can't be had.
 */
char *v8_string_text(struct v8_heap *heap, uint64_t object, size_t limit);

#endif
