/*
 * unwind.h - from a sample's registers and stack copy to its frames.
 *
 * One unwinder serves all threads and processes of a recording: it caches pc → rule per
 * mapping generation, and keeps each thread's last whole stack to stitch truncated ones.
 * A stack that can't be followed further ends there, and says so; it never goes on by guess
 * to a wrong caller. Reads nothing from the live target itself.
 */
#ifndef MEMPROF_SYMBOLIZE_UNWIND_H
#define MEMPROF_SYMBOLIZE_UNWIND_H

#include "core/limits.h"
#include "symbolize/arch.h"
#include "symbolize/frame_states.h"
#include "symbolize/modules.h"

enum unwind_end {
    UNWIND_COMPLETE,  /* reached the outermost frame */
    UNWIND_STITCHED,  /* the copy ended, the rest is the thread's last stack's */
    UNWIND_TRUNCATED, /* the copy ended and nothing matched */
    UNWIND_BROKEN     /* no rule led on, or the return address is in no executable mapping */
};

struct unwound_frame {
    uint64_t pc; /* the call instruction's last byte for callers, exact for the leaf */
    uint64_t sp;
    uint64_t fp; /* the frame pointer in it; 0: unknown, or it is still the caller's */
    /* Valid until the space changes. NULL: in no mapping (a leaf, or an interrupted call to 0). */
    const struct segment *segment;
};

struct stack_copy {
    const uint8_t *data; /* from the sample's sp upward; may lie unaligned */
    size_t size;         /* bytes that the kernel copied */
    bool cut;            /* the stack may go on beyond: size reached the size asked for */
};

/*
 * What is known of an innermost frame's code that has no unwind tables; see frame_states_find. Of
 * callers it is asked, too: those that stand at LEAF_RESUMED have called nothing before their pc.
 */
typedef enum leaf_frame leaf_frame_fn(void *context, const struct segment *segment, uint64_t pc,
                                      uint32_t *ret_where);

struct unwinder;

struct unwinder *unwinder_new(const struct arch *arch);
void unwinder_free(struct unwinder *unwinder);

/* Is asked from now on; NULL: all such code keeps its frame pointer. */
void unwinder_ask(struct unwinder *unwinder, leaf_frame_fn *leaf_frame, void *context);

/*
 * Unwinds one sample. frames[0] is the leaf; at most LIMIT_STACK_FRAMES, and then it ends as
 * UNWIND_TRUNCATED. `tid` names the thread whose last stack may be stitched (0: don't stitch).
 */
enum unwind_end unwinder_run(struct unwinder *unwinder, const struct space *space, uint32_t tid,
                             const struct registers *registers, const struct stack_copy *stack,
                             struct unwound_frame frames[LIMIT_STACK_FRAMES], size_t *ret_count);

/* A thread has ended: its last stack is dropped. */
void unwinder_forget(struct unwinder *unwinder, uint32_t tid);

#endif
