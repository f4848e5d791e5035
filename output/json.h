/*
 * json.h - a pull reader for JSON of any size, and the escaping of its writers (RFC 8259).
 *
 * The reader walks text that lies in memory: no tree, no copies, one pass. Its caller asks for
 * what it expects; anything else is skipped or is an error with its offset. Hostile input is
 * bounded by LIMIT_JSON_DEPTH and by the text's own length. After the first error every
 * further call fails, so a caller may check once at the end of an object.
 */
#ifndef MEMPROF_OUTPUT_JSON_H
#define MEMPROF_OUTPUT_JSON_H

#include "core/error.h"
#include "output/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
    const char *start, *at, *end;
    const char *name; /* of the file, for messages */
    uint32_t depth;
    bool fresh; /* an opening bracket was just read: no comma may come */
    bool failed;
    struct error *err;
};

struct json_string { /* a view of the raw text between the quotes, escapes and all */
    const char *text;
    size_t length;
    bool escaped; /* holds a backslash */
};

void json_init(struct json *json, const char *text, size_t length, const char *name,
               struct error *err);

/*
 * Objects: if (json_object_begin(j)) while (json_object_next(j, &key)) { read the value }
 * Arrays:  if (json_array_begin(j)) while (json_array_next(j)) { read the value }
 * The loops end at the closing bracket or on an error.
 */
bool json_object_begin(struct json *json);
bool json_object_next(struct json *json, struct json_string *ret_key);
bool json_array_begin(struct json *json);
bool json_array_next(struct json *json);

/* '{', '[', '"', '0' for a number, 't', 'f', 'n', or 0 at the end or on an error. */
char json_peek(struct json *json);
bool json_string_read(struct json *json, struct json_string *ret_string);
bool json_number(struct json *json, double *ret_value);
bool json_integer(struct json *json, int64_t *ret_value); /* fractions are truncated */
/* json_array_next and json_integer in one, for the millions: false at the end or on an error. */
bool json_next_integer(struct json *json, int64_t *ret_value);
bool json_bool(struct json *json, bool *ret_value);
bool json_skip(struct json *json); /* one value of any kind */
/*
 * Steps over an array of numbers at the speed of memchr and gives a reader that stands at it,
 * for arrays that are read side by side. What lies in it is checked by who reads it; only the
 * place of the closing bracket is taken for granted here.
 */
bool json_defer_numbers(struct json *json, struct json *ret_array);
/* Fails unless only white space is left. */
bool json_finish(struct json *json);
/* Marks the reader failed with a message that names the file and the offset. */
bool json_fail(struct json *json, const char *what);

bool json_key_is(const struct json_string *key, const char *text);
/*
 * Unescapes into buffer (UTF-8; lone surrogates become U+FFFD), at most size - 1 bytes and a
 * NUL. Returns the length. The unescaped text is never longer than the raw text.
 */
size_t json_unescape(const struct json_string *string, char *buffer, size_t size);

/* Writes a quoted string; bytes that are not UTF-8 become U+FFFD. */
void json_write_string(struct output_file *file, const char *text);

#endif
