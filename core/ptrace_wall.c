/*
 * ptrace_wall.c - one account for each thread, from when it was first seen:
 *
 *     waited = time passed - time run - time waited for a CPU
 *
 * What of it has not been told yet goes to the stack that the thread waits with, a tenth of a
 * second at a time, and the rest when it is seen in another call or running. As it is one
 * account, short waits that fall between two looks are not lost; they go to the stack that is
 * seen.
 *
 * A thread's call, arguments, stack pointer and pc tell its stack from another. A stop is made
 * for a new one only, at most twenty times a second, because the stop wakes the thread up: its
 * call begins again, and one with a timeout starts it anew. Until then nothing is told, for the
 * time is that of the new stack, not of the last one. The same line with more switches is a new
 * wait, most likely with the same stack: that is looked at again twice a second.
 */
#include "core/ptrace_wall.h"

#include "core/hash.h"

#include <string.h>

enum {
    TELL_NS = 100000000,
    STOP_APART_NS = 50000000,
    RENEW_NS = 500000000,
    STALE_NS = 8000000 /* as old as the running time of a thread on a CPU may be, twice */
};

static void begin_account(struct waiting *waiting, const struct thread_times *times,
                          uint64_t now_ns)
{
    if (waiting->since_ns)
        return;
    waiting->since_ns = now_ns;
    waiting->run_ns = times->run_ns;
    waiting->delay_ns = times->delay_ns;
}

/* May be below zero for a moment, by what a running time was behind. */
static int64_t untold_ns(const struct waiting *waiting, const struct thread_times *times,
                         uint64_t now_ns)
{
    return (int64_t)(now_ns - waiting->since_ns) - (int64_t)(times->run_ns - waiting->run_ns) -
           (int64_t)(times->delay_ns - waiting->delay_ns) - (int64_t)waiting->told_ns;
}

static void tell(const struct wall *wall, struct watched_thread *thread, int64_t waited_ns,
                 uint64_t now_ns)
{
    struct waiting *waiting = &thread->waiting;
    uint64_t ticks = waited_ns > 0 ? (uint64_t)waited_ns / wall->period_ns : 0;
    if (!ticks || (!waiting->stack && !waiting->has_stack))
        return;
    struct gathered *gathered = steal(&waiting->stack);
    bool repeated = !gathered;
    if (repeated)
        gathered = gathered_new(RECORD_SAMPLE, now_ns, thread->process->pid, thread->tid);
    gathered->record.time_ns = now_ns;
    gathered->record.sample.waiting = true;
    gathered->record.sample.repeated = repeated;
    gathered->record.sample.ticks = ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
    gathered_push(wall->queue, gathered);
    waiting->told_ns += ticks * wall->period_ns;
    waiting->has_stack = true;
}

/* "NUMBER ARGUMENTS… SP PC"; a call that was interrupted may go on under another number. */
static uint64_t hash_of_call(const char *call)
{
    const char *rest = strchr(call, ' ');
    return rest ? hash_bytes(rest, strlen(rest)) | 1 : 0;
}

bool wall_sleeps(const struct wall *wall, struct watched_thread *thread, const char *call,
                 const struct thread_times *times, uint64_t now_ns)
{
    struct waiting *waiting = &thread->waiting;
    uint64_t line = hash_of_call(call);
    begin_account(waiting, times, now_ns);
    int64_t waited_ns = untold_ns(waiting, times, now_ns);
    bool stacked = waiting->stack || waiting->has_stack;
    bool same = line == waiting->line && stacked;
    if (same && !waiting->slices)
        waiting->slices = times->slices; /* now our own stop is among them */
    if (same ? waited_ns >= TELL_NS : !waiting->moved)
        tell(wall, thread, waited_ns, now_ns);
    waiting->moved = !same;
    if (same && (times->slices == waiting->slices || now_ns - waiting->stacked_ns < RENEW_NS))
        return false;
    if (waiting->stacked_ns && now_ns - waiting->stacked_ns < STOP_APART_NS)
        return false;
    if (!thread_waits(thread))
        return false;
    waiting->line = line;
    return true;
}

void wall_stack(struct watched_thread *thread, struct gathered *stack)
{
    struct waiting *waiting = &thread->waiting;
    free(waiting->stack);
    waiting->stack = stack;
    waiting->stacked_ns = stack->record.time_ns;
    waiting->slices = 0;
    waiting->moved = false;
}

void wall_runs(const struct wall *wall, struct watched_thread *thread,
               const struct thread_times *times, uint64_t now_ns)
{
    begin_account(&thread->waiting, times, now_ns);
    int64_t waited_ns = untold_ns(&thread->waiting, times, now_ns);
    if (waited_ns >= STALE_NS && !thread->waiting.moved)
        tell(wall, thread, waited_ns - STALE_NS / 2, now_ns);
}

void wall_end(const struct wall *wall, struct watched_thread *thread,
              const struct thread_times *times, uint64_t now_ns)
{
    if (thread->waiting.since_ns)
        tell(wall, thread, untold_ns(&thread->waiting, times, now_ns), now_ns);
}
