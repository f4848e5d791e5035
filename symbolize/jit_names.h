/*
 * jit_names.h - the frames of a process's generated code, named while it is recorded.
 *
 * Code that a runtime generates is in no file, and its address may be another function's a moment
 * later: it is named when it is first seen, by the runtime's jitdump or its perf map
 * (jitdump.h, perf_map.h). Both are found here, and taken only if they belong to the process's
 * user or to root: /tmp/perf-PID.map below the process's own root, PID being the one that it has
 * in its own namespace; the jitdump by the mapping that tells of it.
 */
#ifndef MEMPROF_SYMBOLIZE_JIT_NAMES_H
#define MEMPROF_SYMBOLIZE_JIT_NAMES_H

#include "core/profile.h"
#include "symbolize/modules.h"

struct jit_names;

struct frame_line { /* the line in which the code of a raw frame stands */
    frame_id frame;
    uint32_t line;
};
typedef vec(struct frame_line) frame_lines;

/* For the process of pid. Frames are added to `profile`; both outlive the result. */
struct jit_names *jit_names_new(struct profile *profile, frame_lines *lines, pid_t pid);
void jit_names_free(struct jit_names *names);
/* Looks whether there is anything new, once in some milliseconds of the samples' time. */
void jit_names_poll(struct jit_names *names, const struct space *space, uint64_t time_ns);
/*
 * The frame of the code that a sample of time_ns found at pc. It has a name, address pc and module
 * 0; or it is *raw, which is of this process only, and gets its name later if one comes.
 */
frame_id jit_names_frame(struct jit_names *names, const struct space *space, uint64_t pc,
                         const struct frame *raw, uint64_t time_ns);
/* Changes when an address may have another frame than it had; never 0. */
uint32_t jit_names_generation(const struct jit_names *names);
/* Reads what the process has left behind, and names what can be named. */
void jit_names_finish(struct jit_names *names, const struct space *space);
/* Ticks by line (profile.lines) of the leaves among these frames; once, at the end. */
void frame_lines_apply(const frame_lines *lines, struct profile *profile, metric_id ticks);

#endif
