/*
 * v8_function.h - what a SharedFunctionInfo tells: a function's name, script and positions.
 *
 * Names are as in V8's stack traces and its own profiler: the function's own, or the one that was
 * inferred for it ("module.exports.run"), or none. Only for what sets up a class's fields these two
 * differ, from V8 12 on: it is "<instance_members_initializer>" as in the stack traces, which the
 * profiler gives the name of the class. Positions are those of the first parenthesis.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_FUNCTION_H
#define MEMPROF_SYMBOLIZE_V8_FUNCTION_H

#include "core/strings.h"
#include "symbolize/v8_lines.h"

struct v8_function {
    string_id name;     /* 0: anonymous */
    string_id file;     /* a path, a file:// or another URL, "node:internal/…"; 0: none (eval) */
    uint32_t script_id; /* V8's */
    uint32_t line, column; /* of the definition, 1-based; 0: unknown */
    uint64_t script;       /* the Script, tagged, for v8_script_position */
};

/*
 * Reads the function of a SharedFunctionInfo (tagged). False if it is none, or what it holds makes
 * no sense, and then nothing is to be told of it.
 */
bool v8_function_read(struct v8_heap *heap, struct v8_scripts *scripts, struct strings *strings,
                      uint64_t shared, struct v8_function *ret_function);
/*
 * Looks through all functions of a Script (tagged) for the one that has these bytecodes (tagged); a
 * system call for every 64 of them. False if there is none.
 */
bool v8_script_find(struct v8_heap *heap, uint64_t script, uint64_t bytecodes,
                    uint64_t *ret_shared);

#endif
