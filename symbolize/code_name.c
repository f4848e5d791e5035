/*
 * code_name.c - V8's names are those of its logger (src/logging/log.cc in V8): a tag, ":", and for
 * JavaScript what core/v8_name.h reads.
 */
#include "symbolize/code_name.h"

#include "core/v8_name.h"

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

static void parse_javascript(const char *text, struct code_name *ret)
{
    struct v8_name name = v8_name_split(text, strlen(text));
    ret->tier = name.tier;
    ret->function = name.function;
    ret->function_length = name.function_length;
    ret->file = name.url;
    ret->file_length = name.url_length;
    ret->line = name.line;
    ret->column = name.column;
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
