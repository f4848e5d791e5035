/*
 * stacks.h - from a sample to the node of its stack in the call tree.
 *
 * Kernel frames as they came, the user's unwound; generated code named while its names last, the
 * rest as raw frames. Knows nothing of ticks, threads and time.
 */
#ifndef MEMPROF_SYMBOLIZE_STACKS_H
#define MEMPROF_SYMBOLIZE_STACKS_H

#include "core/profile.h"
#include "core/sampler.h"
#include "symbolize/arch.h"
#include "symbolize/process.h"

struct stacks;

/* Profile and processes outlive the result. */
struct stacks *stacks_new(struct profile *profile, struct processes *processes,
                          const struct arch *arch);
void stacks_free(struct stacks *stacks);
/*
 * The node of the innermost frame of a RECORD_SAMPLE; what of the stack is missing is counted in
 * profile.quality. `ticks` of the sample go to source lines: that of the innermost frame, and
 * those of the calls. 0: of none.
 */
node_id stacks_add(struct stacks *stacks, struct process *process, const struct record *record,
                   uint64_t ticks);
/* A thread has ended, or runs another program. */
void stacks_forget_thread(struct stacks *stacks, uint32_t tid);
/* At the end: ticks of `metric` whose lines became known late are added to the profile. */
void stacks_finish_lines(struct stacks *stacks, metric_id metric);

#endif
