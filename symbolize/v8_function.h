/*
 * v8_function.h - what a SharedFunctionInfo tells: a function's name, script and positions.
 *
 * Names are as V8's own profiler writes them: "push" of a class Stack is "push", a function without
 * a name has the name inferred for it ("Stack.push", "module.exports.run"), or "" if there is none.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_FUNCTION_H
#define MEMPROF_SYMBOLIZE_V8_FUNCTION_H

#include "core/strings.h"
#include "symbolize/v8_heap.h"

struct v8_scripts; /* the lines of the scripts met, bounded in memory */

struct v8_scripts *v8_scripts_new(void);
void v8_scripts_free(struct v8_scripts *scripts);

struct v8_function {
    string_id name;     /* 0: anonymous */
    string_id file;     /* a path, a file:// or another URL, "node:internal/…"; 0: none (eval) */
    uint32_t script_id; /* V8's */
    uint32_t line, column; /* of the definition, 1-based; 0: unknown */
    uint64_t script;       /* the Script, tagged, for v8_function_line; 0: none */
};

/*
 * Reads the function of a SharedFunctionInfo (tagged). False if it is none, or what it holds makes
 * no sense, and then nothing is to be told of it.
 */
bool v8_function_read(struct v8_heap *heap, struct v8_scripts *scripts, struct strings *strings,
                      uint64_t shared, struct v8_function *ret_function);
/* The line, 1-based, and column of a position in a script, in UTF-16 units; false: unknown. */
bool v8_script_position(struct v8_heap *heap, struct v8_scripts *scripts, uint64_t script,
                        uint32_t position, uint32_t *ret_line, uint32_t *ret_column);

#endif
