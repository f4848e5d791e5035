/*
 * v8log.h - the log that V8 writes with --prof (isolate-0x…-PID-v8.log of Node.js).
 *
 * Read only, of V8 10 to 13 (Node 18 to 24). Every tick becomes a sample of one thread. JavaScript
 * functions have their tiers. V8's builtins and compiled regular expressions
 * are FRAME_RUNTIME. A tick in a state of garbage collection is one of FRAME_GC and of nothing
 * else, below the stack that caused it; one of a waiting isolate is FRAME_IDLE.
 *
 * Code of mapped files comes as raw frames whose address is an offset in the *file*: that is what
 * the log's numbers give, and what lies there only the file itself tells.
 */
#ifndef MEMPROF_OUTPUT_V8LOG_H
#define MEMPROF_OUTPUT_V8LOG_H

#include "core/profile.h"
#include "output/text_lines.h"

bool v8log_matches(const char *head, size_t length);
/*
 * Times are microseconds since the start of the log. Lines that are malformed are counted in the
 * quality's note and passed over, as is a last line without its end.
 */
int v8log_read(struct text_lines *lines, struct profile **ret_profile, struct error *err);

#endif
