/*
 * The standard part of a .cpuprofile: one pass over the text into flat tables. The two long
 * arrays, samples and timeDeltas, are only located here; they are read side by side in the end
 * (cpuprofile_build.c), so that no copy of them is ever held.
 */
#include "output/cpuprofile.h"

#include "core/limits.h"
#include "output/cpuprofile_raw.h"

#include <string.h>

bool cpuprofile_matches(const char *head, size_t length)
{
    static const char *const keys[] = {"nodes",   "startTime",  "endTime",
                                       "samples", "timeDeltas", "memprof"};
    struct json json;
    struct json_string key;
    json_init(&json, head, length, "", NULL);
    if (json_peek(&json) != '{' || !json_object_begin(&json) || !json_object_next(&json, &key))
        return false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_key_is(&key, keys[i]))
            return true;
    return memmem(head, length, "\"callFrame\"", 11) && memmem(head, length, "\"nodes\"", 7);
}

string_id raw_string(struct raw_profile *raw, const struct json_string *string)
{
    struct strings *strings = &raw->profile->strings;
    if (!string->escaped)
        return strings_intern_length(strings, string->text, string->length);
    _cleanup_free_ char *text = xmalloc(string->length + 1);
    size_t length = json_unescape(string, text, string->length + 1);
    return strings_intern_length(strings, text, length);
}

string_id raw_string_read(struct raw_profile *raw, struct json *json)
{
    struct json_string string;
    return json_string_read(json, &string) ? raw_string(raw, &string) : 0;
}

bool raw_unsigned(struct json *json, uint64_t limit, uint64_t *ret_value)
{
    int64_t value = 0;
    if (!json_integer(json, &value))
        return false;
    if (value < 0 || (uint64_t)value > limit)
        return json_fail(json, "a number out of range");
    *ret_value = (uint64_t)value;
    return true;
}

/* V8's lines and columns start at 0 and are -1 for code without source; ours at 1. */
static bool read_position(struct json *json, uint32_t *ret_position)
{
    int64_t value = 0;
    if (!json_integer(json, &value))
        return false;
    *ret_position = value >= 0 && value < UINT32_MAX ? (uint32_t)value + 1 : 0;
    return true;
}

/* A string of digits from V8, a number in traces of Chrome; 0 for anything else. */
static bool read_script(struct json *json, uint32_t *ret_script)
{
    struct json_string text;
    int64_t value = 0;
    if (json_peek(json) == '0') {
        if (!json_integer(json, &value))
            return false;
    } else {
        if (!json_string_read(json, &text))
            return false;
        for (size_t i = 0; i < text.length && value <= UINT32_MAX; i++)
            value = text.text[i] >= '0' && text.text[i] <= '9' ? value * 10 + text.text[i] - '0'
                                                               : (int64_t)1 << 40;
    }
    *ret_script = value >= 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
    return true;
}

static void read_call_frame(struct raw_profile *raw, struct json *json, struct raw_node *node)
{
    struct json_string key;
    if (!json_object_begin(json))
        return;
    while (json_object_next(json, &key)) {
        if (json_key_is(&key, "functionName"))
            node->function = raw_string_read(raw, json);
        else if (json_key_is(&key, "scriptId"))
            read_script(json, &node->script);
        else if (json_key_is(&key, "url"))
            node->url = raw_string_read(raw, json);
        else if (json_key_is(&key, "lineNumber"))
            read_position(json, &node->line);
        else if (json_key_is(&key, "columnNumber"))
            read_position(json, &node->column);
        else
            json_skip(json);
    }
}

static void read_children(struct raw_profile *raw, struct json *json)
{
    int64_t id = 0;
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_integer(json, &id)) {
        if (raw->children.count >= LIMIT_NODES)
            json_fail(json, "too many children");
        vec_append(&raw->children, id);
    }
}

static void read_position_ticks(struct raw_profile *raw, struct json *json)
{
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_object_begin(json)) {
        struct json_string key;
        uint64_t line = 0, ticks = 0;
        while (json_object_next(json, &key)) {
            if (json_key_is(&key, "line"))
                raw_unsigned(json, UINT32_MAX, &line);
            else if (json_key_is(&key, "ticks"))
                raw_unsigned(json, UINT32_MAX, &ticks);
            else
                json_skip(json);
        }
        *vec_push(&raw->lines) =
            (struct raw_line){(uint32_t)raw->nodes.count, (uint32_t)line, ticks};
    }
}

static bool read_node(struct raw_profile *raw, struct json *json)
{
    struct json_string key;
    struct raw_node node = {
        .id = RAW_NO_ID, .parent_id = RAW_NO_ID, .offset = (uint64_t)(json->at - json->start)};
    if (!json_object_begin(json))
        return false;
    while (json_object_next(json, &key)) {
        if (json_key_is(&key, "id")) {
            json_integer(json, &node.id);
        } else if (json_key_is(&key, "callFrame")) {
            read_call_frame(raw, json, &node);
        } else if (json_key_is(&key, "hitCount")) {
            raw_unsigned(json, UINT32_MAX, &node.hits);
            raw->has_hits |= node.hits > 0;
        } else if (json_key_is(&key, "children")) {
            read_children(raw, json);
        } else if (json_key_is(&key, "parent")) {
            json_integer(json, &node.parent_id);
        } else if (json_key_is(&key, "positionTicks")) {
            read_position_ticks(raw, json);
        } else {
            json_skip(json);
        }
    }
    if (json->failed)
        return false;
    if (node.id == RAW_NO_ID)
        return json_fail(json, "a node without an id before");
    node.children_end = (uint32_t)raw->children.count;
    vec_append(&raw->nodes, node);
    return true;
}

static bool read_nodes(struct raw_profile *raw, struct json *json)
{
    if (raw->nodes.count)
        return json_fail(json, "a second array of nodes");
    if (!json_array_begin(json))
        return false;
    while (json_array_next(json)) {
        if (raw->nodes.count >= LIMIT_NODES)
            return json_fail(json, "too many nodes");
        json_peek(json);
        if (!read_node(raw, json))
            return false;
    }
    return !json->failed;
}

static void read_profile(struct raw_profile *raw, struct json *json)
{
    struct json_string key;
    int64_t start = 0, end = 0;
    if (!json_object_begin(json))
        return;
    while (json_object_next(json, &key)) {
        if (json_key_is(&key, "nodes"))
            read_nodes(raw, json);
        else if (json_key_is(&key, "startTime"))
            json_integer(json, &start);
        else if (json_key_is(&key, "endTime"))
            json_integer(json, &end);
        else if (json_key_is(&key, "samples") && json_peek(json) == '[')
            json_defer_numbers(json, &raw->samples.ids);
        else if (json_key_is(&key, "timeDeltas") && json_peek(json) == '[')
            json_defer_numbers(json, &raw->samples.deltas);
        else if (json_key_is(&key, "memprof"))
            raw_extension_read(raw, json);
        else
            json_skip(json);
    }
    raw->profile->meta.start_us = (uint64_t)start;
    raw->profile->meta.end_us = (uint64_t)end;
}

static void raw_profile_release(struct raw_profile *raw)
{
    vec_release(&raw->nodes);
    vec_release(&raw->children);
    vec_release(&raw->lines);
    raw_extension_release(&raw->extension);
}

int cpuprofile_read(const char *text, size_t length, const char *name, struct profile **ret_profile,
                    struct error *err)
{
    _cleanup_profile_ struct profile *profile = profile_new();
    _cleanup_(raw_profile_release) struct raw_profile raw = {
        .name = name, .err = err, .profile = profile};
    raw.extension.idle_id = raw.extension.rest_id = RAW_NO_ID;
    struct json json;
    json_init(&json, text, length, name, err);
    read_profile(&raw, &json);
    if (!json_finish(&json) || raw_profile_build(&raw) < 0)
        return -1;
    *ret_profile = steal(&profile);
    return 0;
}
