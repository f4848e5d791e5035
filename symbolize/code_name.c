/*
 * code_name.c - V8's names are those of its logger (src/logging/log.cc in V8): a tag, ":", a mark
 * of the tier, and for a function its name, a space, the script, line and column. Function names
 * and scripts may hold spaces themselves: the script begins where something looks like a path
 * or a URL. The mark is dropped, so that the tiers of a function are one function.
 */
#include "symbolize/code_name.h"

#include <ctype.h>
#include <string.h>

/* The tag's length with its colon, or 0. LazyCompile and the Natives are those of older V8s. */
static size_t tag_length(const char *name, enum frame_kind *ret_kind)
{
    static const struct {
        const char *tag;
        enum frame_kind kind;
    } tags[] = {
        {"JS:", FRAME_JAVASCRIPT},
        {"Function:", FRAME_JAVASCRIPT},
        {"LazyCompile:", FRAME_JAVASCRIPT},
        {"Eval:", FRAME_JAVASCRIPT},
        {"Script:", FRAME_JAVASCRIPT},
        {"NativeFunction:", FRAME_JAVASCRIPT},
        {"NativeLazyCompile:", FRAME_JAVASCRIPT},
        {"NativeScript:", FRAME_JAVASCRIPT},
        {"Builtin:", FRAME_RUNTIME},
        {"BytecodeHandler:", FRAME_RUNTIME},
        {"Callback:", FRAME_RUNTIME},
        {"Handler:", FRAME_RUNTIME},
        {"RegExp:", FRAME_RUNTIME},
        {"Stub:", FRAME_RUNTIME},
    };
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        size_t length = strlen(tags[i].tag);
        if (!strncmp(name, tags[i].tag, length)) {
            *ret_kind = tags[i].kind;
            return length;
        }
    }
    return 0;
}

/* Cuts ":NUMBER" off the end of text[0, *length); false, and nothing is cut, if there is none. */
static bool cut_number(const char *text, size_t *length, uint32_t *ret_number)
{
    size_t at = *length;
    uint64_t number = 0, scale = 1;
    while (at && isdigit((unsigned char)text[at - 1]) && *length - at < 9) {
        number += (uint64_t)(text[--at] - '0') * scale;
        scale *= 10;
    }
    if (at == *length || !at || text[at - 1] != ':')
        return false;
    *length = at - 1;
    *ret_number = (uint32_t)number;
    return true;
}

/* "/srv/app.js", "file:///srv/app.js", "node:fs", "evalmachine.<anonymous>" has no such look. */
static bool looks_like_script(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length && (isalnum((unsigned char)text[at]) || strchr("+-.", text[at])))
        at++;
    return length && (*text == '/' || (at > 1 && at < length && text[at] == ':'));
}

/* Splits "name script": `at` the first script-like part, else behind the last space. */
static void split_script(const char *text, size_t length, struct code_name *ret)
{
    size_t split = length;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != ' ')
            continue;
        split = i;
        if (looks_like_script(text + i + 1, length - i - 1))
            break;
    }
    ret->function = text;
    ret->function_length = split;
    if (split < length) {
        ret->file = text + split + 1;
        ret->file_length = length - split - 1;
    }
}

static void parse_javascript(const char *text, struct code_name *ret)
{
    if (*text && strchr("~^+*", *text)) {
        ret->tier = *text;
        text += text[1] == '\'' ? 2 : 1; /* "*'": specialised to its closure */
    }
    size_t length = strlen(text), whole = length;
    if (cut_number(text, &length, &ret->column) && cut_number(text, &length, &ret->line)) {
        split_script(text, length, ret);
    } else {
        ret->column = 0;
        ret->function_length = whole;
        ret->function = text;
    }
}

void code_name_parse(const char *name, struct code_name *ret)
{
    static const char python[] = "py::";
    *ret = (struct code_name){.function = name, .file = "", .kind = FRAME_NATIVE};
    size_t tag = tag_length(name, &ret->kind);
    ret->v8 = tag > 0;
    if (ret->kind == FRAME_JAVASCRIPT) {
        parse_javascript(name + tag, ret);
        return;
    }
    ret->function_length = strlen(name);
    const char *colon = strrchr(name, ':');
    if (!strncmp(name, python, sizeof python - 1) && colon > name + sizeof python - 1) {
        ret->function = name + sizeof python - 1;
        ret->function_length = (size_t)(colon - ret->function);
        ret->file = colon + 1;
        ret->file_length = strlen(colon + 1);
    }
}
