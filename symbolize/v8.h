/*
 * v8.h - the JavaScript frames of a process that runs V8, named from outside.
 *
 * Takes unwound stacks and gives the frames in V8's code their functions: those that were inlined,
 * too, each with its tier and the line that it is in. Nothing is asked of the process: frames are
 * read from the sample, objects from its memory (v8_heap.h, v8_code.h, v8_function.h), once for
 * each function, and what was learnt is proven again whenever time has passed. What can't be proven
 * is "(unknown JavaScript)"; it never gets another's name.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_H
#define MEMPROF_SYMBOLIZE_V8_H

#include "core/profile.h"
#include "core/remote_memory.h"
#include "symbolize/modules.h"
#include "symbolize/unwind.h"

struct v8;

struct v8_named {
    frame_id frame;
    uint32_t line; /* of the pc in it, or of its call into the next inner one; 0: unknown */
};

struct v8_run { /* the names of one unwound frame: names[first, first + count), innermost first */
    uint32_t first;
    uint32_t count; /* 0: it is none of V8's frames */
};

struct v8_names {
    struct v8_run runs[LIMIT_STACK_FRAMES]; /* by unwound frame */
    vec(struct v8_named) items;
};

/* A segment of the module of a space that has V8 in it, or NULL. Each module is looked at once. */
const struct segment *v8_segment(const struct space *space);
/*
 * For a process that has the module mapped at `bias` above its own addresses. Frames and strings
 * are added to `profile`, which outlives the result, as do the modules. NULL and an error if the
 * layout is not understood.
 */
struct v8 *v8_new(struct profile *profile, struct module *module, uint64_t bias, pid_t pid,
                  struct error *err);
void v8_free(struct v8 *v8);
/* In place of the process: a memory of a test's or a fuzzer's. */
void v8_set_image(struct v8 *v8, memory_image_fn *image, const void *context);
/* Calls of process_vm_readv(2) so far. */
uint64_t v8_reads(const struct v8 *v8);
/* "11.3.244.8", owned by v8. */
const char *v8_version(const struct v8 *v8);
/* A leaf_frame_fn for code of V8's; the context is the struct v8. */
enum leaf_frame v8_leaf_frame(void *v8, const struct segment *segment, uint64_t pc,
                              uint32_t *ret_where);
/*
 * When the sample was taken that is asked about next (CLOCK_MONOTONIC): before its leaf and its
 * stack. What V8 has put in the place of something else since is told apart by it.
 */
void v8_begin(struct v8 *v8, uint64_t sampled_ns);
/*
 * Names the frames of the sample's stack. `stack` is the copy that they were unwound from: it
 * begins at frames[0].sp. The result is owned by v8 and holds until the
 * next call.
 */
const struct v8_names *v8_name_stack(struct v8 *v8, const struct unwound_frame *frames,
                                     size_t count, const struct stack_copy *stack);

#endif
