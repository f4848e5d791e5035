/*
 * rows_of.h - a profile as lines of text, to compare readers of text with what they must give.
 */
#ifndef MEMPROF_TESTS_ROWS_OF_H
#define MEMPROF_TESTS_ROWS_OF_H

#include "core/profile.h"
#include "core/v8_name.h"
#include "output/text_lines.h"

#include <check.h>
#include <string.h>

/* "TICKS outermost;…;innermost" of the nodes with ticks, in their order, a line each. */
static inline char *rows_of(const struct profile *profile)
{
    static const char kinds[] = {'?', 'j', 'n', 'k', 'g', 'r', 'i'};
    char *text = xstrdup("");
    for (node_id i = 0; i < profile->nodes.count; i++) {
        uint64_t ticks = profile_self(profile, 0, i);
        if (!ticks)
            continue;
        char *stack = xstrdup("");
        for (node_id at = i; at; at = profile->nodes.items[at].parent) {
            const struct frame *frame = profile_frame_of(profile, at);
            const char *module =
                profile_string(profile, profile->modules.items[frame->module].path);
            const char *file = profile_string(profile, frame->file);
            char *more =
                frame->function || frame->kind == FRAME_JAVASCRIPT
                    ? xasprintf("%c:%s%s%s%s%s%s", kinds[frame->kind], code_tier_mark(frame->tier),
                                profile_string(profile, frame->function), *file ? "@" : "", file,
                                *module ? " " : "", module)
                    : xasprintf("%c:%s+%lx", kinds[frame->kind], module, (long)frame->address);
            char *longer = xasprintf("%s%s%s", more, *stack ? ";" : "", stack);
            free(more);
            free(stack);
            stack = longer;
        }
        char *longer = xasprintf("%s%lu %s\n", text, (unsigned long)ticks, stack);
        free(stack);
        free(text);
        text = longer;
    }
    return text;
}

typedef int text_read(struct text_lines *lines, struct profile **ret_profile, struct error *err);

static inline struct profile *read_text(text_read *read, const char *text, const char *name)
{
    struct profile *profile = NULL;
    struct error err = {0};
    struct text_lines lines = text_lines_of_memory(text, strlen(text), name);
    ck_assert_msg(read(&lines, &profile, &err) == 0, "%s", err.text);
    return profile;
}

static inline void expect_rows(text_read *read, const char *text, const char *expected)
{
    struct profile *profile = read_text(read, text, "text");
    char *rows = rows_of(profile);
    ck_assert_str_eq(rows, expected);
    free(rows);
    profile_free(profile);
}

#endif
