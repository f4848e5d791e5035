/*
 * ptrace_threads.h - the threads that the ptrace sampler looks at, and when.
 *
 * Private to core/ptrace*.c. Knows /proc: which threads there are, which of them run, and how
 * much they have run. Knows nothing of stopping them.
 */
#ifndef MEMPROF_CORE_PTRACE_THREADS_H
#define MEMPROF_CORE_PTRACE_THREADS_H

#include "core/alloc.h"
#include "core/target.h"
#include "core/tid_map.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct gathered;

/* Off-CPU time of a thread, and the stack that it is charged to; ptrace_wall.c's. */
struct waiting {
    uint64_t line;             /* hash of the call that it waits in; 0: it does not wait */
    uint64_t since_ns;         /* of the account below */
    uint64_t run_ns, delay_ns; /* the thread's at that time */
    uint64_t told_ns;          /* delivered since then */
    uint64_t slices;     /* times on a CPU, when the stack was last known to be right; 0: unknown */
    uint64_t stacked_ns; /* when the stack was taken */
    struct gathered *stack; /* not delivered yet; owned */
    bool has_stack;         /* one was delivered */
    bool moved;             /* it waits in another call since, whose stack was not taken yet */
};

struct watched_thread {
    struct watched_process *process;
    pid_t tid;
    char name[16];
    int call_fd, time_fd;      /* its files syscall and schedstat; -1: opened for each look */
    uint64_t next_ns;          /* when to look again */
    uint64_t interval_ns;      /* between looks while it sleeps */
    uint64_t rest_until_ns;    /* not stopped before */
    uint64_t charged_run_ns;   /* running time that samples were delivered for */
    uint64_t charged_ns;       /* when */
    uint64_t charged_delay_ns; /* waited for a CPU until then */
    uint64_t begun_delay_ns;   /* and until the last stop was asked for */
    uint64_t seen_run_ns;      /* running time at the last look, and when */
    uint64_t seen_ns;
    uint64_t since_ns, stopped_ns; /* when it was first seen, how long it was stopped since */
    bool stopping;                 /* a stop was begun */
    bool for_wall;                 /* for the stack that it waits with, and not for a sample */
    bool listed;                   /* seen by the listing that is under way */
    size_t heap_position;
    struct waiting waiting;
};

struct watched_process {
    pid_t pid, parent;
    int task_fd;         /* /proc/PID/task */
    uint64_t link_count; /* of it, when it was listed */
    uint64_t listed_ns;
    uint64_t list_apart_ns; /* not listed again before */
    uint64_t check_ns;      /* when to look for an exec */
    uint64_t program;       /* tells one program it executes from another */
    clockid_t clock;        /* its CPU time */
    uint64_t first_clock_ns, last_clock_ns;
};

struct watched {
    vec(struct watched_process *) processes;
    struct tid_map threads;            /* of struct watched_thread */
    vec(struct watched_thread *) heap; /* by next_ns, the earliest first */
    uint64_t ended_run_ns;             /* CPU time of processes that have ended */
    uint64_t period_ns;
    size_t files_kept, files_most;
};

enum { THREAD_CALL_BYTES = 192 }; /* a number and eight words in hexadecimal */

enum thread_state { THREAD_GONE, THREAD_RUNS, THREAD_SLEEPS, THREAD_FORBIDDEN };

/* The kernel's account of a thread: /proc/PID/task/TID/schedstat. */
struct thread_times {
    uint64_t run_ns;
    uint64_t delay_ns; /* waited for a CPU */
    uint64_t slices;   /* times on a CPU */
};

void watched_init(struct watched *watched, uint64_t period_ns);
void watched_release(struct watched *watched);
struct watched_process *watched_find(const struct watched *watched, pid_t pid);
/*
 * Adds a process. What it has run before counts as sampled if it is `old`; NULL: it is gone.
 */
struct watched_process *watched_add(struct watched *watched, pid_t pid, bool old);
/* All its threads have been removed. */
void watched_remove(struct watched *watched, struct watched_process *process);
/* CPU time since it was added, of all processes, in nanoseconds. */
uint64_t watched_run_ns(const struct watched *watched);

/* A new thread, looked at after a fraction of a period, unlike its neighbours. */
struct watched_thread *watched_add_thread(struct watched *watched, struct watched_process *process,
                                          pid_t tid, bool old, uint64_t now_ns);
void watched_remove_thread(struct watched *watched, struct watched_thread *thread);
/* The thread to be looked at first; NULL: there is none. */
struct watched_thread *watched_first(const struct watched *watched);
void watched_schedule(struct watched *watched, struct watched_thread *thread, uint64_t next_ns);

/*
 * What it does now. `ret_call` gets the call it sleeps in, as the kernel writes it, if not NULL.
 */
enum thread_state thread_look(struct watched *watched, struct watched_thread *thread,
                              char ret_call[THREAD_CALL_BYTES]);
/* -1: not to be had; *ret is then as far as another file tells. */
int thread_times(struct watched *watched, struct watched_thread *thread, struct thread_times *ret);
/* It sleeps, and is neither stopped by a signal nor in an uninterruptible sleep. */
bool thread_waits(const struct watched_thread *thread);
/*
 * Reads what /proc tells of a process at a low rate. Returns false when it has ended. `*ret_exec`
 * is set if it has executed another program since.
 */
bool process_check(struct watched_process *process, bool *ret_exec);

#endif
