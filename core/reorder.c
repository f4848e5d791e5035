/*
 * reorder.c - insertion from the end: most samples are the newest, and a late one passes those
 * of a window. What has left the window goes in batches, so that the rest is rarely moved.
 */
#include "core/reorder.h"

#include <string.h>

enum { BATCH = 1024 };

/* The first `count` samples go into the sequence, none of them before its last one. */
static void give(struct reorder *reorder, struct sequence *sequence, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sample sample = reorder->held.items[i];
        if (sequence->count && sample.time_us < sequence->last_time_us)
            sample.time_us = sequence->last_time_us;
        sequence_append(sequence, &sample);
    }
    reorder->held.count -= count;
    if (count)
        memmove(reorder->held.items, reorder->held.items + count,
                reorder->held.count * sizeof *reorder->held.items);
}

void reorder_add(struct reorder *reorder, struct sequence *sequence, const struct sample *sample,
                 uint64_t window_us)
{
    size_t place = reorder->held.count;
    vec_append(&reorder->held, *sample);
    struct sample *held = reorder->held.items;
    for (; place && held[place - 1].time_us > sample->time_us; place--)
        held[place] = held[place - 1];
    held[place] = *sample;
    uint64_t newest_us = held[reorder->held.count - 1].time_us;
    if (reorder->held.count < BATCH || held[BATCH / 2].time_us + window_us > newest_us)
        return;
    reorder_give(reorder, sequence, newest_us - window_us + 1);
}

void reorder_give(struct reorder *reorder, struct sequence *sequence, uint64_t before_us)
{
    size_t old = 0;
    while (old < reorder->held.count && reorder->held.items[old].time_us < before_us)
        old++;
    give(reorder, sequence, old);
}

void reorder_flush(struct reorder *reorder, struct sequence *sequence)
{
    give(reorder, sequence, reorder->held.count);
}

void reorder_release(struct reorder *reorder)
{
    vec_release(&reorder->held);
}
