/*
 * code_name.h - what the names that runtimes give to generated code say.
 *
 * V8 names code "JS:*fib /srv/app.js:3:13", Python "py::hot:/srv/app.py"; what others write is
 * the function's name itself. Knows nothing of where the name was found.
 */
#ifndef MEMPROF_SYMBOLIZE_CODE_NAME_H
#define MEMPROF_SYMBOLIZE_CODE_NAME_H

#include "core/profile.h"

struct code_name { /* views into the name that was parsed */
    const char *function;
    size_t function_length; /* 0: an anonymous JavaScript function */
    const char *file;       /* a path or a URL; length 0 if none is told */
    size_t file_length;
    uint32_t line, column; /* of the definition; 0 if none is told */
    enum frame_kind kind;  /* JavaScript, runtime (V8's own code), native (all others) */
    bool v8;
    enum code_tier tier; /* of JavaScript, by V8's mark */
};

void code_name_parse(const char *name, struct code_name *ret);

#endif
