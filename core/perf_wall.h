/*
 * perf_wall.h - time off the CPU, from context-switch records and samples at the switches.
 *
 * Private to core/perf.c, which feeds it what it takes off the rings. It knows each thread's
 * state, has events of its own that sample the stacks (perf_switch.h), and makes waiting samples
 * (sampler.h).
 *
 * Waiting is the time from a switch-out to the next switch-in: with it comes the little that the
 * thread waited for a CPU after it was woken. A thread that was switched out while it could have
 * run on is `runnable` instead.
 */
#ifndef MEMPROF_CORE_PERF_WALL_H
#define MEMPROF_CORE_PERF_WALL_H

#include "core/perf_switch.h"

struct perf_wall;

/*
 * The options are those that the sampler came to; CPUs and rings outlive the result. The switch
 * itself is in the kernel, so that without the right to sample the kernel there is nothing to be
 * had: NULL and errno then, as perf_event_open says on the thread `tid`.
 */
struct perf_wall *perf_wall_new(const struct sampler_options *options,
                                const struct perf_switch_source *source, pid_t tid);
void perf_wall_free(struct perf_wall *wall);
/* A thread that is there when sampling starts. 0, or -1 and errno of perf_event_open. */
int perf_wall_add_thread(struct perf_wall *wall, pid_t pid, pid_t tid);
/* Closes the events. What they have written can still be fed. */
void perf_wall_disable(struct perf_wall *wall);
/*
 * Takes note of a record. Marks a sample at a switch as waiting, with 0 ticks. False: it is no
 * record for the caller of the sampler.
 */
bool perf_wall_feed(struct perf_wall *wall, const struct perf_origin *origin,
                    struct record *record);
/* The next waiting sample that the records fed so far have led to; false when there is none. */
bool perf_wall_pop(struct perf_wall *wall, struct record *ret_record);
/*
 * With all records up to until_ns fed: the next waiting sample of those that have waited for
 * long, or with `last` all that is left. False when there are no more for this until_ns.
 */
bool perf_wall_flush(struct perf_wall *wall, uint64_t until_ns, bool last,
                     struct record *ret_record);

#endif
