/*
 * strings.h - interned text: equal strings have equal ids.
 *
 * Ids are array positions and 0 is "". Bytes are kept as given (targets' names need not be
 * UTF-8; a NUL ends a string). A zeroed table is ready for use.
 */
#ifndef MEMPROF_CORE_STRINGS_H
#define MEMPROF_CORE_STRINGS_H

#include "core/arena.h"
#include "core/hash.h"

#include <stddef.h>
#include <stdint.h>

typedef uint32_t string_id;

struct string_entry {
    const char *text;
    uint32_t length;
};

struct strings {
    struct arena arena;
    struct string_entry *entries;
    size_t count;
    size_t capacity;
    struct hash_index index;
};

string_id strings_intern(struct strings *strings, const char *text);
string_id strings_intern_length(struct strings *strings, const char *text, size_t length);
/* NUL-terminated, owned by the table; "" for 0 and for an id that does not exist. */
const char *strings_get(const struct strings *strings, string_id id);
void strings_release(struct strings *strings);

#endif
