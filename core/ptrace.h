/*
 * ptrace.h - the sampler for where perf_event_open is forbidden: it stops the threads itself.
 *
 * A thread that runs is stopped for some 30 microseconds, its registers and the top of its stack
 * are read, and it runs on; unwinding happens afterwards. Needs no privilege beyond what a
 * debugger needs. A sample's `ticks` are the periods of CPU time that the kernel accounted to
 * the thread since its last sample, so shares follow CPU time whatever rate was achieved.
 *
 * Tells nothing of mappings (`mappings_on_demand`) and has no kernel stacks: what a thread does
 * in the kernel is its user stack's. One thread must make all calls of one sampler, and while one
 * is open SIGCHLD is blocked in it.
 */
#ifndef MEMPROF_CORE_PTRACE_H
#define MEMPROF_CORE_PTRACE_H

#include "core/error.h"
#include "core/sampler.h"
#include "core/target.h"

/*
 * Prepares to sample every thread of the target. Sampling takes place in sampler_wait; with
 * on_exec the target must have left its old program by the first one. Refuses with the reason:
 * a target that is traced already, one that this user may not trace, and a 32-bit one.
 * The caller frees *ret_sampler.
 */
int ptrace_open(const struct target *target, const struct sampler_options *options,
                struct sampler **ret_sampler, struct error *err);

#endif
