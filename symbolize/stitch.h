/*
 * stitch.h - the last whole stack of each thread, to complete truncated ones from.
 *
 * Internal to the unwinder.
 */
#ifndef MEMPROF_SYMBOLIZE_STITCH_H
#define MEMPROF_SYMBOLIZE_STITCH_H

#include "core/tid_map.h"
#include "symbolize/unwind.h"

struct stitcher {        /* zeroed: empty */
    struct tid_map last; /* of struct last_stack */
};

void stitcher_release(struct stitcher *stitcher);
void stitcher_remember(struct stitcher *stitcher, uint32_t tid, const struct unwound_frame *frames,
                       size_t count);
void stitcher_forget(struct stitcher *stitcher, uint32_t tid);
/*
 * The frames above `last` in the thread's last whole stack, or NULL if that frame was not in
 * it. caller_sp: where the caller's frame has to begin, 0 if unknown.
 */
const struct unwound_frame *stitcher_tail(const struct stitcher *stitcher, uint32_t tid,
                                          const struct unwound_frame *last, uint64_t caller_sp,
                                          size_t *ret_count);
/* The thread's last whole stack; NULL and 0 if there is none. */
const struct unwound_frame *stitcher_last(const struct stitcher *stitcher, uint32_t tid,
                                          size_t *ret_count);

#endif
