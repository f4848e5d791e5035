/*
 * perf_probe.h - tells when a thread runs certain instructions of a file, by perf_event_open.
 *
 * Either as uprobes, which need CAP_PERFMON or root and put a breakpoint instruction into the
 * process's own copy of the page, or by the processor's debug registers, which need no more than
 * sampling does, change nothing in the process, and are four for each thread. Hits go to a ring of
 * the probe's own. Knows nothing of what the instructions mean.
 *
 * Nothing is inherited by new threads: a uprobe that ends holds up its thread for as long as the
 * kernel takes to be sure that nobody uses it any more (46 ms, measured on Linux 6.18).
 *
 * A uprobe's hit costs an exception; registers and a stack of 16 KiB add a sixth to that. On x86-64
 * the kernel itself carries out a push, a nop, a call or a jump that is watched; any other
 * instruction it lets the processor step over, for a second exception. A hit then costs 25 us
 * instead of 7 us, measured on a virtual machine.
 */
#ifndef MEMPROF_CORE_PERF_PROBE_H
#define MEMPROF_CORE_PERF_PROBE_H

#include "core/error.h"
#include "core/sampler.h"

#include <sys/types.h>

enum { PERF_PROBE_POINTS = 12, PERF_PROBE_BREAKPOINTS = 4 };

enum perf_probe_means { PERF_PROBE_UPROBES, PERF_PROBE_DEBUG_REGISTERS };

struct perf_probe_point {
    uint64_t file_offset; /* for uprobes */
    uint64_t address;     /* in the process, for debug registers */
    bool stack;           /* a hit has a copy of the stack */
};

struct perf_probe_options {
    enum perf_probe_means means;
    int file; /* that the instructions are in; open, and its offset is left alone */
    /* The most important ones first: only the first four fit into debug registers. */
    struct perf_probe_point points[PERF_PROBE_POINTS];
    size_t count;
    uint64_t user_registers; /* sample_regs_user of this machine (arch.h's perf_mask) */
    uint8_t user_register_count;
    uint32_t stack_bytes; /* to copy at most; a multiple of 8 */
};

struct perf_probe; /* on one thread */

/*
 * Whether debug registers can be had and work: on some virtual machines they can be set and never
 * fire. Tried on memprof itself. The error says why not.
 */
int perf_probe_try_debug_registers(struct error *err);
/* Hits are told from now on. The caller frees *ret_probe. */
int perf_probe_open(const struct perf_probe_options *options, pid_t tid,
                    struct perf_probe **ret_probe, struct error *err);
void perf_probe_free(struct perf_probe *probe);
/* No more hits; those that were can still be read. */
void perf_probe_disable(struct perf_probe *probe);
/* Readable when the ring fills; hangs up when the thread has ended. */
int perf_probe_descriptor(const struct perf_probe *probe);
/* How many of the points are watched: the first so many. */
size_t perf_probe_count(const struct perf_probe *probe);

struct perf_probe_hit {
    size_t point;         /* which of the points; SIZE_MAX: none, hits were lost here */
    struct record record; /* a sample without ticks: time, thread, registers and stack */
};

/*
 * The next hit up to `until_ns` (CLOCK_MONOTONIC), in the thread's order; false when there is none.
 * What the record points to holds until the next call.
 */
bool perf_probe_next(struct perf_probe *probe, uint64_t until_ns, struct perf_probe_hit *ret_hit);

#endif
