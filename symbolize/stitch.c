/*
 * stitch.c - splicing the outer part of a stack that the kernel's copy cut off.
 *
 * A frame with the same pc and sp as one of the thread's last whole stack is taken for the
 * same activation, and so are its callers. What speaks for it: between two samples the outer
 * frames of a deep stack rarely return. Two callers of equal frame size that call one function
 * at one depth could be taken for one another; the caller's sp, which the frame's own rule
 * often tells, is compared to make that rarer.
 *
 * A hash table of our own instead of core/hash.h, because threads end: it has to delete.
 */
#include "symbolize/stitch.h"

#include "core/alloc.h"
#include "core/hash.h"

#include <string.h>

static size_t home(const struct stitcher *stitcher, uint32_t tid)
{
    return (size_t)hash_mix(tid) & stitcher->mask;
}

/* The thread's slot, or the free one where it belongs. */
static struct last_stack *slot_of(const struct stitcher *stitcher, uint32_t tid)
{
    size_t at = home(stitcher, tid);
    while (stitcher->slots[at].tid && stitcher->slots[at].tid != tid)
        at = (at + 1) & stitcher->mask;
    return &stitcher->slots[at];
}

static void grow(struct stitcher *stitcher)
{
    struct stitcher larger = {.mask = stitcher->slots ? stitcher->mask * 2 + 1 : 15};
    larger.slots = xcalloc(larger.mask + 1, sizeof *larger.slots);
    larger.count = stitcher->count;
    for (size_t i = 0; stitcher->slots && i <= stitcher->mask; i++)
        if (stitcher->slots[i].tid)
            *slot_of(&larger, stitcher->slots[i].tid) = stitcher->slots[i];
    free(stitcher->slots);
    *stitcher = larger;
}

void stitcher_release(struct stitcher *stitcher)
{
    for (size_t i = 0; stitcher->slots && i <= stitcher->mask; i++)
        free(stitcher->slots[i].frames);
    free(stitcher->slots);
    *stitcher = (struct stitcher){0};
}

void stitcher_remember(struct stitcher *stitcher, uint32_t tid, const struct unwound_frame *frames,
                       size_t count)
{
    if (!stitcher->slots || stitcher->count * 2 > stitcher->mask)
        grow(stitcher);
    struct last_stack *last = slot_of(stitcher, tid);
    if (!last->tid) {
        last->tid = tid;
        stitcher->count++;
    }
    if (last->capacity < count) {
        free(last->frames);
        last->capacity = (uint32_t)(count + count / 2);
        last->frames = xmalloc(last->capacity * sizeof *last->frames);
    }
    memcpy(last->frames, frames, count * sizeof *frames);
    last->count = (uint32_t)count;
}

void stitcher_forget(struct stitcher *stitcher, uint32_t tid)
{
    if (!stitcher->slots || !tid)
        return;
    struct last_stack *last = slot_of(stitcher, tid);
    if (!last->tid)
        return;
    free(last->frames);
    stitcher->count--;
    /* Whoever was pushed past the hole moves back into it, so that no search ends early. */
    size_t hole = (size_t)(last - stitcher->slots);
    for (size_t at = (hole + 1) & stitcher->mask; stitcher->slots[at].tid;
         at = (at + 1) & stitcher->mask) {
        size_t wanted = home(stitcher, stitcher->slots[at].tid);
        if (((at - wanted) & stitcher->mask) >= ((at - hole) & stitcher->mask)) {
            stitcher->slots[hole] = stitcher->slots[at];
            hole = at;
        }
    }
    stitcher->slots[hole] = (struct last_stack){0};
}

const struct unwound_frame *stitcher_tail(const struct stitcher *stitcher, uint32_t tid,
                                          const struct unwound_frame *last, uint64_t caller_sp,
                                          size_t *ret_count)
{
    if (!stitcher->slots || !tid)
        return NULL;
    const struct last_stack *old = slot_of(stitcher, tid);
    for (size_t i = 0; old->tid && i < old->count; i++) {
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
    const struct last_stack *last = stitcher->slots && tid ? slot_of(stitcher, tid) : NULL;
    *ret_count = last && last->tid ? last->count : 0;
    return *ret_count ? last->frames : NULL;
}
