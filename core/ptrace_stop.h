/*
 * ptrace_stop.h - one stop of one thread: seize, interrupt, read, let go.
 *
 * Private to core/ptrace*.c. Between stops nothing is traced: signals of the target never wait
 * for memprof, a debugger can attach, and the death of memprof leaves no trace. If it dies
 * during a stop the kernel lets the thread run on, because the thread was seized.
 *
 * A thread need not stop at once: one that waits for a CPU or for a disk comes later. Stops are
 * therefore begun (stopper_begin) and collected (stopper_collect), several at a time if need be.
 */
#ifndef MEMPROF_CORE_PTRACE_STOP_H
#define MEMPROF_CORE_PTRACE_STOP_H

#include "core/alloc.h"
#include "core/ptrace_registers.h"

#include <signal.h>

/* What a stop has read. */
struct stop_reading {
    pid_t pid, tid;
    bool ended;   /* the thread ended instead of stopping: nothing below is valid */
    bool read;    /* registers and stack are valid */
    bool in_call; /* it was in a system call */
    uint64_t time_ns;
    uint64_t asked_ns;   /* from when it was asked to stop until it was let go */
    uint64_t stopped_ns; /* how long of that it can have been stopped, as far as we know */
    uint64_t registers[PTRACE_REGISTERS];
    size_t stack_bytes;
    uint8_t *stack; /* the stopper's, valid until the next stopper_collect */
};

struct stop_begun {
    pid_t pid, tid;
    uint64_t begun_ns;
    uint64_t own_delay_ns; /* what memprof had waited for a CPU until then */
};

struct stopper {
    vec(struct stop_begun) begun;
    int account_fd;         /* our own schedstat; -1: not to be had */
    int signal_fd;          /* readable when a thread may have stopped; -1: not to be had */
    sigset_t signals;       /* SIGCHLD */
    sigset_t old_signals;   /* the mask before */
    uint64_t register_mask; /* sample_regs_user */
    size_t stack_bytes;     /* most to copy */
    int old_nice;
    pid_t own_child; /* its end is reaped by the caller; 0: none */
    uint8_t *stack;
};

/* Blocks SIGCHLD; stopper_release restores the mask. 0, or -1 and errno. */
int stopper_init(struct stopper *stopper, uint64_t register_mask, size_t stack_bytes,
                 pid_t own_child);
/* Waits a moment for stops that were begun; what stops later is let go by a signal handler. */
void stopper_release(struct stopper *stopper);
/* 0, or -1 and errno: EPERM for one that another traces or that is ending, ESRCH for one gone. */
int stopper_begin(struct stopper *stopper, pid_t pid, pid_t tid);
/*
 * Waits until `until_ns` (CLOCK_MONOTONIC; 0: not at all) for a thread that has stopped, reads it
 * and lets it go. False: none has.
 */
bool stopper_collect(struct stopper *stopper, uint64_t until_ns, struct stop_reading *ret);

/* Once signal_fd was readable: takes the signals off. */
void stopper_drain(struct stopper *stopper);

uint64_t stopper_now_ns(void);

#endif
