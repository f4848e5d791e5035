/*
 * v8_name.h - V8's names for JavaScript functions, as its logs and perf maps hold them:
 * "fib /srv/app.js:3:13", with the mark of a tier in front ("~" interpreted, "^" baseline,
 * "+" Maglev, "*" optimised) and no name for an anonymous function (" /srv/app.js:3:13").
 *
 * Knows nothing of the files around the names.
 */
#ifndef MEMPROF_CORE_V8_NAME_H
#define MEMPROF_CORE_V8_NAME_H

#include "core/profile.h"

/* Views into the text that was split; not terminated. */
struct v8_name {
    enum code_tier tier;
    const char *function;
    size_t function_length; /* 0: anonymous */
    const char *url;
    size_t url_length;
    uint32_t line, column; /* 1-based, 0: not given */
};

/* A text without a position is all function. */
struct v8_name v8_name_split(const char *text, size_t length);
/*
 * The frame of such a name, its strings interned in `strings`. The function is the bare name, 0 for
 * an anonymous one: the tier stands beside it.
 */
struct frame v8_name_frame(struct strings *strings, const char *text, size_t length);
/* The mark in front of a name, as text: "~", "^", "+", "*"; "" for TIER_NONE. */
const char *code_tier_mark(enum code_tier tier);

#endif
