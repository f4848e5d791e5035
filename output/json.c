/*
 * The reader keeps a position, a depth and one flag (`fresh`: an opening bracket was just read)
 * and no stack: the caller's own nesting knows what each bracket closes. json_skip, which has no
 * such caller, keeps one bit per level.
 *
 * Invariant: start <= at <= end, and nothing at or behind `end` is read; the text need not end
 * in NUL. Every function that finds an error goes through json_fail, which moves `at` to the
 * end, so that all loops end.
 */
#include "output/json.h"

#include "core/limits.h"
#include "output/digits.h"
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

void json_init(struct json *json, const char *text, size_t length, const char *name,
               struct error *err)
{
    *json =
        (struct json){.start = text, .at = text, .end = text + length, .name = name, .err = err};
    if (length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        json->at += 3;
}

bool json_fail(struct json *json, const char *what)
{
    if (!json->failed)
        error_set(json->err, ERROR_FORMAT, "%s: %s at offset %zu", json->name, what,
                  (size_t)(json->at - json->start));
    json->failed = true;
    json->at = json->end;
    return false;
}

static inline void skip_space(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
}

char json_peek(struct json *json)
{
    skip_space(json);
    if (json->failed || json->at == json->end)
        return 0;
    char c = *json->at;
    return c == '-' || (c >= '0' && c <= '9') ? '0' : c;
}

static bool fail_here(struct json *json, const char *what)
{
    return json_fail(json, json->at == json->end ? "the text ends early" : what);
}

static bool container_begin(struct json *json, char bracket, const char *what)
{
    if (json_peek(json) != bracket)
        return fail_here(json, what);
    if (json->depth >= LIMIT_JSON_DEPTH)
        return json_fail(json, "nested too deeply");
    json->at++;
    json->depth++;
    json->fresh = true;
    return true;
}

bool json_object_begin(struct json *json)
{
    return container_begin(json, '{', "expected an object");
}

bool json_array_begin(struct json *json)
{
    return container_begin(json, '[', "expected an array");
}

/* True: an item follows. False: the container was closed, or an error. */
static inline bool container_next(struct json *json, char closing)
{
    skip_space(json);
    if (json->failed || json->at == json->end)
        return fail_here(json, "");
    if (*json->at == closing) {
        json->at++;
        json->depth--;
        json->fresh = false;
        return false;
    }
    if (json->fresh) {
        json->fresh = false;
        return true;
    }
    if (*json->at != ',')
        return json_fail(json, "expected a comma or a closing bracket");
    json->at++;
    return true;
}

bool json_array_next(struct json *json)
{
    return container_next(json, ']');
}

bool json_object_next(struct json *json, struct json_string *ret_key)
{
    if (!container_next(json, '}') || !json_string_read(json, ret_key))
        return false;
    skip_space(json);
    if (json->at == json->end || *json->at != ':')
        return fail_here(json, "expected a colon");
    json->at++;
    return true;
}

/*
 * The first quote, backslash or control character at or after `at`: eight bytes at a time. For
 * each, x ^ pattern has a zero byte where it matches, and (v - 0x01…) & ~v & 0x80… marks the
 * lowest zero byte exactly; marks above it may be false, which the byte loop then sorts out.
 */
static const char *find_special(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        uint64_t mark = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                        ((word - ones * 0x20) & ~word);
        if (mark & highs)
            break;
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The four digits after \u, or -1. */
static int32_t hex_unit(const char *at, const char *end)
{
    uint64_t unit;
    return end - at >= 4 && number_read(at, 4, 16, &unit) ? (int32_t)unit : -1;
}

/* The bytes of the escape at a backslash; 0 when there is no such escape. */
static size_t escape_length(const char *at, const char *end)
{
    if (end - at < 2 || !strchr("\"\\/bfnrtu", at[1]) || !at[1])
        return 0;
    return at[1] != 'u' ? 2 : hex_unit(at + 2, end) >= 0 ? 6 : 0;
}

bool json_string_read(struct json *json, struct json_string *ret_string)
{
    if (json_peek(json) != '"')
        return fail_here(json, "expected a string");
    const char *text = json->at + 1;
    bool escaped = false;
    const char *at = find_special(text, json->end);
    while (at < json->end && *at == '\\') {
        size_t length = escape_length(at, json->end);
        if (!length) {
            json->at = at;
            return json_fail(json, "an unknown escape in a string");
        }
        escaped = true;
        at = find_special(at + length, json->end);
    }
    if (at == json->end || *at != '"') {
        json->at = at;
        return fail_here(json, "a control character in a string");
    }
    *ret_string = (struct json_string){text, (size_t)(at - text), escaped};
    json->at = at + 1;
    return true;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* A number in full generality: checks its grammar, then leaves its value to strtod. */
static bool number_slow(struct json *json, double *ret_value)
{
    const char *start = json->at, *at = start + (*start == '-');
    const char *digits = at;
    at = skip_digits(at, json->end);
    bool good = at > digits && (at - digits == 1 || *digits != '0');
    if (good && at < json->end && *at == '.') {
        digits = ++at;
        at = skip_digits(at, json->end);
        good = at > digits;
    }
    if (good && at < json->end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < json->end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        at = skip_digits(at, json->end);
        good = at > digits;
    }
    char text[512];
    if (!good || (size_t)(at - start) >= sizeof text)
        return fail_here(json, "a malformed number");
    memcpy(text, start, (size_t)(at - start));
    text[at - start] = 0;
    *ret_value = strtod(text, NULL);
    json->at = at;
    return true;
}

/* Up to 18 digits without a fraction can't overflow; all else takes the slow way. */
static inline bool integer_fast(struct json *json, int64_t *ret_value)
{
    const char *at = json->at;
    bool negative = *at == '-';
    at += negative;
    const char *digits = at;
    const char *limit = json->end - at > 18 ? at + 18 : json->end;
    int64_t value = 0;
    for (; at < limit && is_digit(*at); at++)
        value = value * 10 + (*at - '0');
    if (at == digits || (*digits == '0' && at - digits > 1))
        return false;
    if (at < json->end && (is_digit(*at) || *at == '.' || *at == 'e' || *at == 'E'))
        return false;
    json->at = at;
    *ret_value = negative ? -value : value;
    return true;
}

bool json_integer(struct json *json, int64_t *ret_value)
{
    if (json_peek(json) != '0')
        return fail_here(json, "expected a number");
    if (integer_fast(json, ret_value))
        return true;
    double value = 0;
    if (!number_slow(json, &value))
        return false;
    /* Past the ends of int64_t a conversion would be undefined. */
    *ret_value = value >= 0x1p63 ? INT64_MAX : value <= -0x1p63 ? INT64_MIN : (int64_t)value;
    return true;
}

bool json_next_integer(struct json *json, int64_t *ret_value)
{
    const char *at = json->at;
    /* A comma, a sign, 18 digits and what follows them: all inside the text. */
    if (!json->fresh && json->end - at > 21 && *at == ',') {
        bool negative = *++at == '-';
        at += negative;
        const char *digits = at;
        uint64_t value = 0;
        for (unsigned digit; (digit = (unsigned)*at - '0') < 10 && at - digits < 18; at++)
            value = value * 10 + digit;
        bool plain = at > digits && (*digits != '0' || at - digits == 1);
        if (plain && (*at == ',' || *at == ']')) {
            json->at = at;
            *ret_value = negative ? -(int64_t)value : (int64_t)value;
            return true;
        }
    }
    return json_array_next(json) && json_integer(json, ret_value);
}

bool json_number(struct json *json, double *ret_value)
{
    if (json_peek(json) != '0')
        return fail_here(json, "expected a number");
    const char *start = json->at;
    int64_t integer;
    if (integer_fast(json, &integer) && integer < 1LL << 53 && integer > -(1LL << 53)) {
        *ret_value = (double)integer;
        return true;
    }
    json->at = start;
    return number_slow(json, ret_value);
}

static bool literal(struct json *json, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0)
        return fail_here(json, "an unknown word");
    json->at += length;
    return true;
}

bool json_bool(struct json *json, bool *ret_value)
{
    char c = json_peek(json);
    if (c != 't' && c != 'f')
        return fail_here(json, "expected true or false");
    if (!literal(json, c == 't' ? "true" : "false"))
        return false;
    *ret_value = c == 't';
    return true;
}

static bool skip_scalar(struct json *json)
{
    struct json_string string;
    int64_t integer;
    switch (json_peek(json)) {
    case '"':
        return json_string_read(json, &string);
    case '0':
        return json_integer(json, &integer);
    case 't':
        return literal(json, "true");
    case 'f':
        return literal(json, "false");
    case 'n':
        return literal(json, "null");
    default:
        return fail_here(json, "expected a value");
    }
}

bool json_skip(struct json *json)
{
    /* One bit per open level: whether it is an object. */
    uint8_t levels[LIMIT_JSON_DEPTH / 8 + 1];
    uint32_t outer = json->depth;
    do {
        char c = json_peek(json);
        if (c == '{' || c == '[') {
            if (c == '{' ? !json_object_begin(json) : !json_array_begin(json))
                return false;
            uint32_t level = json->depth;
            levels[level / 8] = (uint8_t)((levels[level / 8] & ~(1u << level % 8)) |
                                          (unsigned)(c == '{') << level % 8);
        } else if (!skip_scalar(json)) {
            return false;
        }
        while (json->depth > outer) {
            struct json_string key;
            bool object = levels[json->depth / 8] >> json->depth % 8 & 1;
            if (object ? json_object_next(json, &key) : json_array_next(json))
                break;
            if (json->failed)
                return false;
        }
    } while (json->depth > outer);
    return true;
}

bool json_defer_numbers(struct json *json, struct json *ret_array)
{
    if (json_peek(json) != '[')
        return fail_here(json, "expected an array");
    *ret_array = *json;
    const char *closing = memchr(json->at, ']', (size_t)(json->end - json->at));
    if (!closing) {
        json->at = json->end;
        return fail_here(json, "");
    }
    json->at = closing + 1;
    json->fresh = false;
    return true;
}

bool json_finish(struct json *json)
{
    skip_space(json);
    if (!json->failed && json->at < json->end)
        return json_fail(json, "something follows the end of the JSON text");
    return !json->failed;
}

bool json_key_is(const struct json_string *key, const char *text)
{
    size_t length = strlen(text);
    if (!key->escaped)
        return key->length == length && !memcmp(key->text, text, length);
    char buffer[64];
    return json_unescape(key, buffer, sizeof buffer) == length && !memcmp(buffer, text, length);
}

/* Decodes the escape at a backslash, which json_string_read has checked; *at moves behind it. */
static uint32_t escape_decode(const char **at, const char *end)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *escape = *at + 1, *found = memchr(from, *escape, sizeof from - 1);
    *at = found ? escape + 1 : escape + 5;
    if (found)
        return (unsigned char)to[found - from];
    int32_t unit = hex_unit(escape + 1, end);
    if (unit < 0xd800 || unit > 0xdfff)
        return (uint32_t)unit;
    int32_t low = unit < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u'
                      ? hex_unit(*at + 2, end)
                      : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    *at += 6;
    return 0x10000 + ((uint32_t)unit - 0xd800) * 0x400 + ((uint32_t)low - 0xdc00);
}

size_t json_unescape(const struct json_string *string, char *buffer, size_t size)
{
    const char *at = string->text, *end = at + string->length;
    size_t used = 0;
    while (at < end) {
        char bytes[4];
        size_t length = 1;
        if (*at == '\\')
            length = utf8_encode(escape_decode(&at, end), bytes);
        else
            bytes[0] = *at++;
        if (length >= size - used)
            break;
        memcpy(buffer + used, bytes, length);
        used += length;
    }
    buffer[used] = 0;
    return used;
}

void json_write_string(struct output_file *file, const char *text)
{
    output_text(file, "\"");
    const char *clean = text;
    for (const char *at = text; *at;) {
        uint32_t character = 0;
        size_t length = utf8_decode(at, &character);
        if (length && character >= 0x20 && character != '"' && character != '\\') {
            at += length;
            continue;
        }
        output_write(file, clean, (size_t)(at - clean));
        if (!length)
            output_text(file, "\xef\xbf\xbd");
        else if (character < 0x20)
            output_printf(file, "\\u%04x", character);
        else
            output_printf(file, "\\%c", (char)character);
        at += length ? length : 1;
        clean = at;
    }
    output_text(file, clean);
    output_text(file, "\"");
}
