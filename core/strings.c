#include "core/strings.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <string.h>

static uint64_t entry_hash(const void *context, uint32_t id)
{
    const struct strings *strings = context;
    return hash_bytes(strings->entries[id].text, strings->entries[id].length);
}

static string_id entry_add(struct strings *strings, const char *text, size_t length)
{
    if (strings->count == strings->capacity)
        strings->entries = vec_grow(strings->entries, &strings->capacity, strings->count + 1,
                                    sizeof *strings->entries);
    strings->entries[strings->count] = (struct string_entry){
        .text = length ? arena_strndup(&strings->arena, text, length) : "",
        .length = (uint32_t)length,
    };
    return (string_id)strings->count++;
}

string_id strings_intern_length(struct strings *strings, const char *text, size_t length)
{
    length = strnlen(text, length);
    if (length > LIMIT_STRING_BYTES)
        length = LIMIT_STRING_BYTES;
    if (!strings->count)
        entry_add(strings, "", 0);
    if (!length)
        return 0;
    uint64_t hash = hash_bytes(text, length);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&strings->index, &probe, &id);)
        if (strings->entries[id].length == length &&
            !memcmp(strings->entries[id].text, text, length))
            return id;
    string_id id = entry_add(strings, text, length);
    hash_insert(&strings->index, hash, id, entry_hash, strings);
    return id;
}

string_id strings_intern(struct strings *strings, const char *text)
{
    return strings_intern_length(strings, text, strlen(text));
}

const char *strings_get(const struct strings *strings, string_id id)
{
    return id < strings->count ? strings->entries[id].text : "";
}

void strings_release(struct strings *strings)
{
    arena_release(&strings->arena);
    hash_release(&strings->index);
    free(strings->entries);
    *strings = (struct strings){0};
}
