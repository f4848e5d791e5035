/*
 * perf.h - the sampler that stands on perf_event_open.
 *
 * One ring per CPU, held by a dummy event on memprof itself; one sampling event per thread and
 * CPU writes into it. Events are inherited, so threads created later are sampled from their
 * first instruction. Records of all rings come out in time order.
 *
 * A sample is the state at a tick of `period_us` of the thread's own CPU time. A thread that
 * ends between two ticks leaves a remainder: the exact running time comes with its end
 * (RECORD_TIME), so that the caller can account for it.
 */
#ifndef MEMPROF_CORE_PERF_H
#define MEMPROF_CORE_PERF_H

#include "core/error.h"
#include "core/sampler.h"
#include "core/target.h"

/*
 * Opens the events of every thread of the target. Sampling starts at once, or with on_exec at
 * the next exec. Frequency, stack copies and rings shrink to what this user may have.
 * ERROR_PERMISSION says which sysctl or capability is missing. The caller frees *ret_sampler.
 */
int perf_open(const struct target *target, const struct sampler_options *options,
              struct sampler **ret_sampler, struct error *err);

#endif
