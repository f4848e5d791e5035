/*
 * sleeping.h - the stack of a thread that sleeps, read without stopping or waking it.
 *
 * A sleeping thread's stack does not change, so it can be copied as it is: /proc tells where it
 * is (its pc and stack pointer at the entry to the kernel), process_vm_readv copies. What can't be
 * had this way are the other registers; they are 0, and a frame that is found by one of them
 * ends the stack. Knows nothing of unwinding.
 */
#ifndef MEMPROF_CORE_SLEEPING_H
#define MEMPROF_CORE_SLEEPING_H

#include "core/sampler.h"

#include <sys/types.h>

enum sleeping_result {
    SLEEPING_READ,
    SLEEPING_AWAKE,  /* it runs, or ran meanwhile */
    SLEEPING_UNKNOWN /* it is gone, or may not be looked at */
};

/* What a stack is read into; zeroed at first, the memory is owned. */
struct sleeping_stack {
    uint64_t registers[64];
    uint8_t *stack;
};

void sleeping_stack_release(struct sleeping_stack *stack);
/*
 * Fills the stack part of *ret_record (registers, stack, stack_bytes, stack_cut), as a sampler with
 * these options would deliver it. Its pointers lead into *stack. Needs what ptrace needs:
 * PTRACE_MODE_ATTACH.
 */
enum sleeping_result sleeping_stack_read(struct sleeping_stack *stack,
                                         const struct sampler_options *options, pid_t pid,
                                         pid_t tid, struct record *ret_record);

#endif
