/*
 * perf_switch.h - the events that sample one thread's stack at its context switches.
 *
 * Private to core/perf_wall.c. One event for each CPU, not inherited, so that the period can be
 * changed for each thread. It knows nothing of what the samples mean.
 */
#ifndef MEMPROF_CORE_PERF_SWITCH_H
#define MEMPROF_CORE_PERF_SWITCH_H

#include "core/perf_ring.h"

#include <sys/types.h>

/* What all of them share. The CPUs and rings are the sampler's. */
struct perf_switch_source {
    struct perf_event_attr attr;
    const int *cpus;
    const struct perf_ring *rings; /* by position in cpus */
    size_t cpu_count;
};

/* Zeroed: none are open. */
struct perf_switch_events {
    int *fds; /* by position in cpus; owned, and so are the ids */
    uint64_t *ids;
    uint32_t period; /* every so many switches have a sample */
};

/* The attributes, from those of the events that sample CPU time. */
struct perf_event_attr perf_switch_attr(const struct perf_event_attr *sampling);
/* Starts at once, or with attr.enable_on_exec at the next exec. 0, or -1 and errno. */
int perf_switch_open(const struct perf_switch_source *source, pid_t tid, uint32_t period,
                     struct perf_switch_events *ret_events);
/* No more samples; those that were taken are still known by perf_switch_has. */
void perf_switch_disable(const struct perf_switch_source *source,
                         const struct perf_switch_events *events);
void perf_switch_close(const struct perf_switch_source *source, struct perf_switch_events *events);
bool perf_switch_has(const struct perf_switch_source *source,
                     const struct perf_switch_events *events, uint64_t event_id);
void perf_switch_set_period(const struct perf_switch_source *source,
                            struct perf_switch_events *events, uint32_t period);

#endif
