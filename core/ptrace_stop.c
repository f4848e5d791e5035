/*
 * ptrace_stop.c - the system calls of a stop, and whatever else may come of them.
 *
 * waitid is asked for any tracee, and not for the one that is wanted: a thread that executes a
 * program goes on under the TID of its process, and would be left stopped if only its old TID
 * was waited for. The end of a child of our own is only looked at (WNOWAIT): its status belongs
 * to the caller. All other ends must be taken: a thread that was seized and has died remains,
 * and with it its process, until its tracer has waited for it.
 *
 * What stops a thread may be a signal on its way to it, instead of our interrupt: PTRACE_DETACH
 * then carries it on. A thread of a process that was stopped by a signal reports that stop; it
 * is let go into the same state.
 *
 * A thread that does not stop in time at the end, for it waits for a disk that hangs or for its
 * vfork, can't be released before it stops: a handler of SIGCHLD lets it go whenever that is.
 *
 * Every stop of a tracee sends SIGCHLD. It is blocked, and read from a signalfd, so that a
 * thread which stops while the sampler sleeps is let go at once.
 *
 * When a thread has really stopped nothing tells. Until it is noticed takes as long as memprof
 * waits for a CPU, and a little; and no longer than since it was asked to stop.
 *
 * The stack is copied by page-sized pieces: process_vm_readv then ends at the first page that is
 * not there, with all before it read.
 */
#include "core/ptrace_stop.h"

#include "core/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

enum {
    PAGE_BYTES = 4096, /* the smallest page: right for larger ones, too */
    STACK_PIECES = LIMIT_STACK_DUMP / PAGE_BYTES + 2,
    WAKE_NS = 30000, /* from a stop until a sleeping tracer has learned of it, on a free CPU */
    RELEASE_NS = 50000000,
    VANISHED_NS = 10000000,
    /* A tracee's stop is reported, and taken, without WSTOPPED as well: ends can't be had alone. */
    ANY_CHANGE = WSTOPPED | WEXITED | WNOHANG | __WALL | __WNOTHREAD,
    SLICE_NS = 100000, /* the kernel's least */
    NICE_URGENT = -20
};

uint64_t stopper_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * While a thread is stopped nothing should come between: our time on a CPU is short, so that the
 * scheduler gives it early, and ahead of others where that is permitted. `nice` restores it.
 */
static void set_urgency(int nice, uint64_t slice_ns)
{
    struct { /* struct sched_attr, sched_setattr(2) */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } attributes = {
        .size = sizeof attributes, .policy = SCHED_OTHER, .nice = nice, .runtime_ns = slice_ns};
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int stopper_init(struct stopper *stopper, uint64_t register_mask, size_t stack_bytes,
                 pid_t own_child)
{
    *stopper = (struct stopper){
        .register_mask = register_mask, .stack_bytes = stack_bytes, .own_child = own_child};
    sigemptyset(&stopper->signals);
    sigaddset(&stopper->signals, SIGCHLD);
    stopper->signal_fd = signalfd(-1, &stopper->signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (stopper->signal_fd < 0)
        return -1;
    stopper->account_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    sigprocmask(SIG_BLOCK, &stopper->signals, &stopper->old_signals);
    stopper->stack = xmalloc(stack_bytes);
    stopper->old_nice = getpriority(PRIO_PROCESS, 0);
    set_urgency(stopper->old_nice, SLICE_NS);
    set_urgency(NICE_URGENT, SLICE_NS);
    return 0;
}

static pid_t child_of_caller; /* own_child, for the handler */

/* System calls only: it may interrupt anything. */
static void let_go_latecomers(int number)
{
    (void)number;
    int kept_errno = errno;
    siginfo_t info = {0};
    while (!waitid(P_ALL, 0, &info, ANY_CHANGE | WNOWAIT) && info.si_pid) {
        pid_t tid = info.si_pid;
        int passed_on = info.si_status >> 8 == PTRACE_EVENT_STOP ? 0 : info.si_status & 0x7f;
        if (info.si_code == CLD_TRAPPED)
            ptrace(PTRACE_DETACH, tid, NULL, passed_on);
        else if (tid == child_of_caller)
            break; /* the caller's to reap */
        info.si_pid = 0;
        waitid(P_PID, (id_t)tid, &info, ANY_CHANGE);
        info.si_pid = 0;
    }
    errno = kept_errno;
}

void stopper_release(struct stopper *stopper)
{
    struct stop_reading reading;
    if (!stopper->stack)
        return;
    uint64_t until_ns = stopper_now_ns() + RELEASE_NS;
    while (stopper->begun.count && stopper_collect(stopper, until_ns, &reading))
        continue;
    if (stopper->begun.count) {
        struct sigaction action = {.sa_handler = let_go_latecomers, .sa_flags = SA_RESTART};
        child_of_caller = stopper->own_child;
        sigaction(SIGCHLD, &action, NULL);
        let_go_latecomers(SIGCHLD);
    }
    vec_release(&stopper->begun);
    free(stopper->stack);
    close(stopper->signal_fd);
    if (stopper->account_fd >= 0)
        close(stopper->account_fd);
    set_urgency(stopper->old_nice, 0);
    sigprocmask(SIG_SETMASK, &stopper->old_signals, NULL);
    *stopper = (struct stopper){.signal_fd = -1};
}

/* How long memprof itself has waited for a CPU so far (schedstat's second number). */
static uint64_t own_delay_ns(const struct stopper *stopper)
{
    char text[96];
    unsigned long long run_ns, delay_ns;
    ssize_t length =
        stopper->account_fd < 0 ? -1 : pread(stopper->account_fd, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    return sscanf(text, "%llu %llu", &run_ns, &delay_ns) == 2 ? delay_ns : 0;
}

int stopper_begin(struct stopper *stopper, pid_t pid, pid_t tid)
{
    uint64_t begun_ns = stopper_now_ns();
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
        return -1;
    /* It can have ended only; then waiting for it tells. */
    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
    vec_append(&stopper->begun, ((struct stop_begun){pid, tid, begun_ns, own_delay_ns(stopper)}));
    return 0;
}

static size_t read_stack(struct stopper *stopper, pid_t tid, uint64_t sp)
{
    struct iovec here = {stopper->stack, stopper->stack_bytes}, there[STACK_PIECES];
    size_t pieces = 0, left = stopper->stack_bytes;
    while (left && pieces < STACK_PIECES) {
        size_t bytes = PAGE_BYTES - sp % PAGE_BYTES;
        if (bytes > left)
            bytes = left;
        there[pieces++] = (struct iovec){(void *)(uintptr_t)sp, bytes};
        sp += bytes;
        left -= bytes;
    }
    ssize_t got = process_vm_readv(tid, &here, 1, there, pieces, 0);
    return got > 0 ? (size_t)got : 0;
}

/*
 * Reads a thread that has stopped and lets it go. `status` is waitid's: signal and event. -1: it
 * does not stand still any more, as it was killed; it stays a tracee until its end is taken.
 */
static int read_and_let_go(struct stopper *stopper, int status, struct stop_reading *reading)
{
    struct user_regs_struct registers;
    uint64_t seen_ns = reading->time_ns;
    bool interrupted = status >> 8 == PTRACE_EVENT_STOP;
    int passed_on = interrupted ? 0 : status & 0x7f;
    if (!registers_read(reading->tid, &registers)) {
        reading->read = true;
        reading->in_call = registers_in_call(&registers);
        registers_to_perf(&registers, stopper->register_mask, reading->registers);
        reading->stack_bytes = read_stack(stopper, reading->tid, registers_sp(&registers));
        reading->stack = stopper->stack;
        if (interrupted)
            registers_restart_call(reading->pid, reading->tid, &registers);
    }
    if (ptrace(PTRACE_DETACH, reading->tid, NULL, passed_on))
        return -1;
    reading->stopped_ns = stopper_now_ns() - seen_ns;
    return 0;
}

static struct stop_begun *find_begun(struct stopper *stopper, pid_t tid)
{
    for (size_t i = 0; i < stopper->begun.count; i++)
        if (stopper->begun.items[i].tid == tid)
            return &stopper->begun.items[i];
    return NULL;
}

static void forget_begun(struct stopper *stopper, struct stop_begun *begun)
{
    *begun = stopper->begun.items[--stopper->begun.count];
}

static bool has_ended(const siginfo_t *info)
{
    return info->si_code == CLD_EXITED || info->si_code == CLD_KILLED ||
           info->si_code == CLD_DUMPED;
}

/* The end of our own child hides all others from P_ALL: then those that were begun are asked for.
 */
static bool next_behind_own_child(struct stopper *stopper, siginfo_t *ret)
{
    for (size_t i = 0; i < stopper->begun.count; i++) {
        pid_t tid = stopper->begun.items[i].tid;
        ret->si_pid = 0;
        if (tid != stopper->own_child && !waitid(P_PID, (id_t)tid, ret, ANY_CHANGE) && ret->si_pid)
            return true;
    }
    waitid(P_PID, (id_t)stopper->own_child, ret, ANY_CHANGE | WNOWAIT);
    return find_begun(stopper, stopper->own_child);
}

/* Takes the next stop or end; that of our own child's end is left to be reaped. */
static bool next_change(struct stopper *stopper, siginfo_t *ret)
{
    *ret = (siginfo_t){0};
    if (waitid(P_ALL, 0, ret, ANY_CHANGE | WNOWAIT) || !ret->si_pid)
        return false;
    if (ret->si_pid == stopper->own_child && has_ended(ret))
        return next_behind_own_child(stopper, ret);
    id_t tid = (id_t)ret->si_pid;
    ret->si_pid = 0;
    return !waitid(P_PID, tid, ret, ANY_CHANGE) && ret->si_pid;
}

static void tell_end(struct stopper *stopper, struct stop_begun *begun, struct stop_reading *ret)
{
    *ret = (struct stop_reading){
        .pid = begun->pid, .tid = begun->tid, .time_ns = stopper_now_ns(), .ended = true};
    forget_begun(stopper, begun);
}

/* The next of those that have stopped or ended. */
static bool collect_changed(struct stopper *stopper, struct stop_reading *ret)
{
    siginfo_t info;
    while (next_change(stopper, &info)) {
        struct stop_begun *begun = find_begun(stopper, info.si_pid);
        if (begun && has_ended(&info)) {
            tell_end(stopper, begun, ret);
            return true;
        }
        if (info.si_code != CLD_TRAPPED)
            continue; /* one that was not begun, or a child of ours that a signal has stopped */
        *ret = (struct stop_reading){.tid = info.si_pid, .time_ns = stopper_now_ns()};
        ret->pid = begun ? begun->pid : info.si_pid;
        uint64_t took_ns = begun ? ret->time_ns - begun->begun_ns : 0;
        uint64_t unseen_ns = begun && stopper->account_fd >= 0
                                 ? WAKE_NS + own_delay_ns(stopper) - begun->own_delay_ns
                                 : took_ns;
        if (read_and_let_go(stopper, info.si_status, ret))
            continue; /* killed meanwhile: its end is still to come */
        ret->asked_ns = took_ns + ret->stopped_ns;
        ret->stopped_ns += unseen_ns < took_ns ? unseen_ns : took_ns;
        if (begun) {
            forget_begun(stopper, begun);
            return true;
        }
    }
    return false;
}

/* The next of those that are our tracees no more: the TID of a thread that has executed. */
static bool collect_vanished(struct stopper *stopper, struct stop_reading *ret)
{
    uint64_t now_ns = stopper_now_ns();
    for (size_t i = 0; i < stopper->begun.count; i++) {
        struct stop_begun *begun = &stopper->begun.items[i];
        siginfo_t info = {0};
        if (now_ns - begun->begun_ns < VANISHED_NS ||
            !waitid(P_PID, (id_t)begun->tid, &info, ANY_CHANGE | WNOWAIT) || errno != ECHILD)
            continue;
        tell_end(stopper, begun, ret);
        return true;
    }
    return false;
}

/* Returns early when something has changed in some tracee or child. */
static void wait_for_change(const struct stopper *stopper, uint64_t now_ns, uint64_t until_ns)
{
    uint64_t left_ns = until_ns - now_ns;
    struct timespec left = {(time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000)};
    sigtimedwait(&stopper->signals, NULL, &left);
}

bool stopper_collect(struct stopper *stopper, uint64_t until_ns, struct stop_reading *ret)
{
    for (;;) {
        if (collect_changed(stopper, ret) || collect_vanished(stopper, ret))
            return true;
        uint64_t now_ns = until_ns ? stopper_now_ns() : 0;
        if (now_ns >= until_ns || !stopper->begun.count)
            return false;
        wait_for_change(stopper, now_ns, until_ns);
    }
}

void stopper_drain(struct stopper *stopper)
{
    struct signalfd_siginfo info;
    while (read(stopper->signal_fd, &info, sizeof info) == sizeof info)
        continue;
}
