/*
 * v8_lines.h - from positions in V8's scripts to lines and columns.
 *
 * The starts of a script's lines are read once, from the table that V8 has made or, if it has made
 * none yet, from the source text. Bounded in memory: the scripts used longest ago are forgotten.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_LINES_H
#define MEMPROF_SYMBOLIZE_V8_LINES_H

#include "symbolize/v8_heap.h"

struct v8_scripts; /* the scripts met */

struct v8_scripts *v8_scripts_new(void);
void v8_scripts_free(struct v8_scripts *scripts);
/*
 * Line and column, 1-based, of a position in a Script (tagged): both count in UTF-16 units, and
 * from where the script stands in its file. False: unknown.
 */
bool v8_script_position(struct v8_heap *heap, struct v8_scripts *scripts, uint64_t script,
                        uint32_t position, uint32_t *ret_line, uint32_t *ret_column);

#endif
