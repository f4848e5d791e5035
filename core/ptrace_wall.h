/*
 * ptrace_wall.h - what sleeping threads wait for, and for how long.
 *
 * Private to core/ptrace*.c. Is told of every look at a thread; asks for a stop when the stack
 * that a thread waits with is not known. Off-CPU time is what passed, less what the kernel says
 * the thread ran and waited for a CPU.
 */
#ifndef MEMPROF_CORE_PTRACE_WALL_H
#define MEMPROF_CORE_PTRACE_WALL_H

#include "core/ptrace_queue.h"
#include "core/ptrace_threads.h"

struct wall {
    struct watched *watched;
    struct gathered_queue *queue;
    uint64_t period_ns;
};

/*
 * A thread was seen asleep in a call (thread_look's text). True: its stack is wanted, which
 * wall_stack delivers.
 */
bool wall_sleeps(const struct wall *wall, struct watched_thread *thread, const char *call,
                 const struct thread_times *times, uint64_t now_ns);
/* The stack of a stop that was wanted; takes it over. */
void wall_stack(struct watched_thread *thread, struct gathered *stack);
/* A thread was seen running. */
void wall_runs(const struct wall *wall, struct watched_thread *thread,
               const struct thread_times *times, uint64_t now_ns);
/* The end of the recording. */
void wall_end(const struct wall *wall, struct watched_thread *thread,
              const struct thread_times *times, uint64_t now_ns);

#endif
