/*
 * Names and URLs may both hold spaces ("get size node:fs:3:5", "f /srv/my app/a.js:1:1"), and V8
 * puts one between them. The URL starts at the first space that an absolute path or a scheme
 * follows; else at the last one that a bracket follows ("f [worker eval]:1:1"), else at the last.
 */
#include "core/v8_name.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Cuts ":DIGITS" off the end of the text; false if it does not end so. */
static bool cut_number(const char *text, size_t *length, uint32_t *ret_number)
{
    size_t at = *length;
    while (at && is_digit(text[at - 1]))
        at--;
    if (at == *length || !at || text[at - 1] != ':' || *length - at > 9)
        return false;
    uint32_t number = 0;
    for (size_t i = at; i < *length; i++)
        number = number * 10 + (uint32_t)(text[i] - '0');
    *length = at - 1;
    *ret_number = number;
    return true;
}

static bool starts_url(const char *text, size_t length)
{
    if (length && *text == '/')
        return true;
    size_t letters = 0;
    while (letters < length && ((text[letters] | 0x20) >= 'a' && (text[letters] | 0x20) <= 'z'))
        letters++;
    return letters && letters < length && text[letters] == ':';
}

/* The space between name and URL; `length` if there is none. */
static size_t find_gap(const char *text, size_t length)
{
    size_t last = length, bracket = length;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != ' ')
            continue;
        if (starts_url(text + i + 1, length - i - 1))
            return i;
        last = i;
        if (i + 1 < length && text[i + 1] == '[')
            bracket = i;
    }
    return bracket < length ? bracket : last;
}

/* V8's CodeKindToMarker (src/objects/code-kind.cc), the same from V8 10 to 13. */
static const char *const marks[CODE_TIERS] = {
    [TIER_NONE] = "",    [TIER_INTERPRETED] = "~", [TIER_BASELINE] = "^",
    [TIER_MAGLEV] = "+", [TIER_OPTIMIZED] = "*",
};

const char *code_tier_mark(enum code_tier tier)
{
    return tier < CODE_TIERS ? marks[tier] : "";
}

static enum code_tier tier_of_mark(char mark)
{
    for (int tier = TIER_NONE + 1; tier < CODE_TIERS; tier++)
        if (*marks[tier] == mark)
            return (enum code_tier)tier;
    return TIER_NONE;
}

struct v8_name v8_name_split(const char *text, size_t length)
{
    struct v8_name name = {.url = ""};
    if (length)
        name.tier = tier_of_mark(*text);
    if (name.tier) {
        size_t marked =
            length > 1 && text[1] == '\'' ? 2 : 1; /* "*'": specialised to its closure */
        text += marked;
        length -= marked;
    }
    size_t place = length;
    uint32_t first, second;
    bool positioned = cut_number(text, &place, &first);
    if (positioned) {
        name.line = first;
        if (cut_number(text, &place, &second)) {
            name.line = second;
            name.column = first;
        }
    }
    size_t gap = positioned ? find_gap(text, place) : place;
    name.function = text;
    name.function_length = gap;
    if (gap < place) {
        name.url = text + gap + 1;
        name.url_length = place - gap - 1;
    }
    return name;
}

struct frame v8_name_frame(struct strings *strings, const char *text, size_t length)
{
    struct v8_name name = v8_name_split(text, length);
    return (struct frame){
        .function = strings_intern_length(strings, name.function, name.function_length),
        .file = strings_intern_length(strings, name.url, name.url_length),
        .line = name.line,
        .column = name.column,
        .kind = FRAME_JAVASCRIPT,
        .tier = name.tier,
    };
}
