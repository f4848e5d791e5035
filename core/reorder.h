/*
 * reorder.h - samples that come a little out of order, put into a sequence in order of time.
 *
 * A wait is known when it has passed, but stands in the sequence where it began. Samples are
 * held for a window of time; one that is older than that is put where the sequence ends. A
 * zeroed struct is ready for use.
 */
#ifndef MEMPROF_CORE_REORDER_H
#define MEMPROF_CORE_REORDER_H

#include "core/alloc.h"
#include "core/sequence.h"

struct reorder {
    vec(struct sample) held; /* in order of time */
};

/* What is older than `window_us` before the newest sample goes into the sequence. */
void reorder_add(struct reorder *reorder, struct sequence *sequence, const struct sample *sample,
                 uint64_t window_us);
/* What is older than `before_us` goes into the sequence. */
void reorder_give(struct reorder *reorder, struct sequence *sequence, uint64_t before_us);
/* All that is held goes into the sequence. */
void reorder_flush(struct reorder *reorder, struct sequence *sequence);
void reorder_release(struct reorder *reorder);

#endif
