/*
 * stitch.c - splicing the outer part of a stack that the kernel's copy cut off.
 *
 * A frame with the same pc and sp as one of the thread's last whole stack is taken for the
 * same activation, and so are its callers. What speaks for it: between two samples the outer
 * frames of a deep stack rarely return. Two callers of equal frame size that call one function
 * at one depth could be taken for one another; the caller's sp, which the frame's own rule
 * often tells, is compared to make that rarer.
 */
#include "symbolize/stitch.h"

#include "core/alloc.h"

#include <string.h>

struct last_stack {
    uint32_t count, capacity;
    struct unwound_frame frames[]; /* innermost first; segments are not kept */
};

void stitcher_release(struct stitcher *stitcher)
{
    tid_map_release(&stitcher->last, free);
}

void stitcher_remember(struct stitcher *stitcher, uint32_t tid, const struct unwound_frame *frames,
                       size_t count)
{
    struct last_stack *last = tid_map_get(&stitcher->last, tid);
    if (!last || last->capacity < count) {
        free(tid_map_take(&stitcher->last, tid));
        size_t capacity = count + count / 2;
        last = xmalloc(sizeof *last + capacity * sizeof *frames);
        last->capacity = (uint32_t)capacity;
        tid_map_put(&stitcher->last, tid, last);
    }
    memcpy(last->frames, frames, count * sizeof *frames);
    last->count = (uint32_t)count;
}

void stitcher_forget(struct stitcher *stitcher, uint32_t tid)
{
    free(tid_map_take(&stitcher->last, tid));
}

const struct unwound_frame *stitcher_tail(const struct stitcher *stitcher, uint32_t tid,
                                          const struct unwound_frame *last, uint64_t caller_sp,
                                          size_t *ret_count)
{
    const struct last_stack *old = tid_map_get(&stitcher->last, tid);
    for (size_t i = 0; old && i < old->count; i++) {
        const struct unwound_frame *frame = &old->frames[i];
        if (frame->sp != last->sp || frame->pc != last->pc)
            continue;
        /* Without a caller there the frame was outermost, and its rule would have said so. */
        if (i + 1 == old->count || (caller_sp && frame[1].sp != caller_sp))
            return NULL;
        *ret_count = old->count - i - 1;
        return frame + 1;
    }
    return NULL;
}

const struct unwound_frame *stitcher_last(const struct stitcher *stitcher, uint32_t tid,
                                          size_t *ret_count)
{
    const struct last_stack *last = tid_map_get(&stitcher->last, tid);
    *ret_count = last ? last->count : 0;
    return last ? last->frames : NULL;
}
