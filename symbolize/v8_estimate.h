/*
 * v8_estimate.h - the garbage collector's pauses, guessed from samples.
 *
 * For recordings in which nothing told of the pauses themselves. Samples of one thread that follow
 * each other inside the collector become one event, marked as estimated: one that is shorter than
 * the distance of two samples is often not seen, and two with nothing sampled in between are one.
 * The sum of all is as true as the ticks are.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_ESTIMATE_H
#define MEMPROF_SYMBOLIZE_V8_ESTIMATE_H

#include "core/profile.h"

/*
 * Adds the events to `named`, in order of time. `collecting`: enum v8_collector by node of `raw`,
 * `nodes`: the node of `named` by node of `raw`. A process of which `raw` has such events already
 * gets none.
 */
void v8_estimate_pauses(const struct profile *raw, const uint8_t *collecting, const node_id *nodes,
                        struct profile *named);

#endif
