/*
 * torture [SECONDS] - does what a profiler could disturb, and checks that nothing was. It ends
 * after SECONDS (1) or on SIGTERM, prints {"ok":true,...} and exits with 0 if all held; else
 * "failed" names the first thing that did not, and the status is 1.
 *
 * What must hold: a computation has the same result each time; children (fork, vfork, exec) and
 * threads end with what they were told; queued signals arrive once each and in order, a timer is
 * never early and never dies; a wait with a limit is no shorter than it, and one for an event
 * gets the event; and no call sees EINTR but in the one thread that handles signals, and there
 * only if a handler ran. A thread that is left stopped shows as an end that never comes.
 *
 * EINTR of a call that the kernel never restarts (signal(7)) is counted apart, as "interrupted":
 * a tracer has to repair it, and one that is killed between the stop and the repair can't.
 *
 * SIGCHLD has a handler, too. Left to its default it would wake a thread of any kind: one that
 * comes while its receiver is inside fork(), which blocks all signals, is not dropped as ignored.
 */
#include "burn.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    COMPUTE_ROUNDS = 200000,
    CHILD_ROUNDS = 20000,
    TIMER_NS = 3000000,
    WAIT_MS = 3,
    WAIT_NS = WAIT_MS * 1000000,
    LAST_QUESTION = 1 << 30
};

static _Atomic bool over;            /* all but the receiver of signals end */
static _Atomic bool sent_all;        /* the receiver ends, too */
static _Atomic uint64_t told, heard; /* signals queued, and handled */
static _Atomic uint64_t timer_signals, timer_ticks, handled, interrupted;
static uint64_t timer_start_ns;
static int questions, answers; /* eventfds */
static pthread_t receiver;
static sigset_t handled_signals;

static pthread_mutex_t failure_mutex = PTHREAD_MUTEX_INITIALIZER;
static char failure[128];

BURN_FUNCTION(torture_compute, 6364136223846793005u)

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Keeps the first failure. */
static void check(bool held, const char *what, long value)
{
    if (held)
        return;
    pthread_mutex_lock(&failure_mutex);
    if (!failure[0])
        snprintf(failure, sizeof failure, "%s: %ld", what, value);
    pthread_mutex_unlock(&failure_mutex);
}

/* For what is held by the result of a call: errno is read after it, as an argument it is not. */
static void check_call(bool held, const char *what)
{
    check(held, what, errno);
}

/* For the calls that are never restarted. False: it was interrupted. */
static bool check_never_restarted(bool held, const char *what)
{
    if (!held && errno == EINTR) {
        interrupted++;
        return false;
    }
    check_call(held, what);
    return true;
}

/* A system call that may only fail if all is lost, such as for want of memory. */
static int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(2);
    }
    return result;
}

/* ---- computing ---- */

/* Floating point has registers of its own. */
DISTINCT static double compute_float(int rounds)
{
    double x = 0.5;
    for (int i = 0; i < rounds; i++)
        x = 3.9 * x * (1 - x);
    return x;
}

static void *compute_main(void *argument)
{
    volatile int rounds = COMPUTE_ROUNDS; /* or the compiler computes once for all */
    uint64_t first = torture_compute((uint64_t)rounds);
    double first_float = compute_float(rounds);
    (void)argument;
    do {
        check(torture_compute((uint64_t)rounds) == first, "compute", 0);
        check(compute_float(rounds) == first_float, "compute_float", 0);
    } while (!over);
    return NULL;
}

/* ---- children and threads ---- */

static void *short_main(void *argument)
{
    keep(torture_compute(CHILD_ROUNDS));
    return argument;
}

static pid_t start_fork(int status)
{
    pid_t child = fork();
    if (!child) {
        keep(torture_compute(CHILD_ROUNDS));
        _exit(status);
    }
    return child;
}

static pid_t start_vfork(int status)
{
    pid_t child = vfork();
    if (!child)
        _exit(status);
    return child;
}

static pid_t start_exec(int status)
{
    char number[16], *argv[] = {"torture", "--exit", number, NULL};
    pid_t child;
    snprintf(number, sizeof number, "%d", status);
    if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, NULL))
        return -1;
    return child;
}

static void check_child(pid_t child, int wanted, const char *what)
{
    int status = 0;
    must(child, what);
    check_call(waitpid(child, &status, 0) == child, "waitpid");
    check(WIFEXITED(status) && WEXITSTATUS(status) == wanted, what, status);
}

static void *family_main(void *argument)
{
    int round = 0;
    (void)argument;
    do {
        int status = round % 100 + 1;
        pthread_t thread;
        void *result = NULL;
        check_child(start_fork(status), status, "fork");
        check_child(start_vfork(status), status, "vfork");
        if (round % 8 == 0)
            check_child(start_exec(status), status, "exec");
        must(-pthread_create(&thread, NULL, short_main, &round), "pthread_create");
        check(!pthread_join(thread, &result) && result == &round, "pthread_join", 0);
        round++;
    } while (!over);
    return NULL;
}

/* ---- signals ---- */

static void on_queued(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    handled++;
    /* In order and once each; a gap stays, and the sender waits for it forever. */
    if (info->si_value.sival_int == (int)(heard + 1))
        heard++;
}

static void on_child(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    handled++;
}

static void on_timer(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    handled++;
    timer_signals++;
    timer_ticks += 1 + (uint64_t)info->si_overrun;
}

static void *sender_main(void *argument)
{
    (void)argument;
    do {
        union sigval value = {.sival_int = (int)(told + 1)};
        told++;
        must(-pthread_sigqueue(receiver, SIGRTMIN, value), "pthread_sigqueue");
        do {
            struct timespec pause = {.tv_nsec = 1000000};
            check_call(!nanosleep(&pause, NULL), "nanosleep of the sender");
        } while (heard < told);
    } while (!over);
    return NULL;
}

/* Waits that signals interrupt: EINTR is right if, and only if, a handler ran. */
static void *receiver_main(void *argument)
{
    uint64_t before, last;
    int epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    (void)argument;
    pthread_sigmask(SIG_UNBLOCK, &handled_signals, NULL);
    do {
        struct timespec pause = {.tv_nsec = WAIT_NS};
        struct epoll_event event;
        before = handled;
        int result = nanosleep(&pause, NULL);
        check_call(!result || (errno == EINTR && handled != before), "nanosleep with signals");
        before = handled;
        result = epoll_wait(epoll, &event, 1, WAIT_MS);
        if (handled == before)
            check_never_restarted(!result, "epoll_wait with signals");
        uint64_t ticks = timer_ticks;
        check(ticks * TIMER_NS <= now_ns() - timer_start_ns, "timer early", (long)ticks);
    } while (!sent_all);
    for (last = timer_signals; timer_signals == last;)
        usleep(1000); /* until the timer has shown once more that it lives */
    close(epoll);
    return NULL;
}

static timer_t start_timer(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
    struct itimerspec time = {.it_interval.tv_nsec = TIMER_NS, .it_value.tv_nsec = TIMER_NS};
    timer_t timer;
    must(timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
    timer_start_ns = now_ns();
    must(timer_settime(timer, 0, &time, NULL), "timer_settime");
    return timer;
}

/* ---- waits ---- */

static void check_lasted(uint64_t start, const char *what)
{
    check(now_ns() - start >= WAIT_NS, what, (long)(now_ns() - start));
}

/* The calls that a stop interrupts: some the kernel restarts, and some it does not. */
static void *waits_main(void *argument)
{
    static uint32_t word;
    struct timespec limit = {.tv_nsec = WAIT_NS};
    struct epoll_event event;
    sigset_t never;
    long result;
    int epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    aio_context_t aio = 0;
    struct io_event done;
    must((int)syscall(SYS_io_setup, 1, &aio), "io_setup");
    (void)argument;
    sigemptyset(&never);
    sigaddset(&never, SIGUSR1); /* nobody sends it */
    do {
        uint64_t start = now_ns();
        check_call(!nanosleep(&limit, NULL), "nanosleep");
        check_lasted(start, "nanosleep");
        start = now_ns();
        check_call(!poll(NULL, 0, WAIT_MS), "poll");
        check_lasted(start, "poll");
        start = now_ns();
        result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0);
        check_call(result < 0 && errno == ETIMEDOUT, "futex");
        check_lasted(start, "futex");
        start = now_ns();
        if (check_never_restarted(!epoll_wait(epoll, &event, 1, WAIT_MS), "epoll_wait"))
            check_lasted(start, "epoll_wait");
        start = now_ns();
        result = sigtimedwait(&never, NULL, &limit);
        if (check_never_restarted(result < 0 && errno == EAGAIN, "sigtimedwait"))
            check_lasted(start, "sigtimedwait");
        start = now_ns();
        result = syscall(SYS_io_getevents, aio, 1, 1, &done, &limit);
        if (check_never_restarted(!result, "io_getevents"))
            check_lasted(start, "io_getevents");
    } while (!over);
    syscall(SYS_io_destroy, aio);
    close(epoll);
    return NULL;
}

static void put(int channel, uint64_t value)
{
    check_call(write(channel, &value, sizeof value) == sizeof value, "write");
}

static uint64_t get(int channel)
{
    uint64_t value = 0;
    check_call(read(channel, &value, sizeof value) == sizeof value, "read");
    return value;
}

/* Waits without a limit: it asks by one eventfd and polls for the answer, its question plus 1. */
static void *asker_main(void *argument)
{
    (void)argument;
    for (uint64_t question = 1; !over; question = question % 1000 + 1) {
        struct pollfd wait = {.fd = answers, .events = POLLIN};
        put(questions, question);
        check_call(poll(&wait, 1, -1) == 1, "poll for the answer");
        uint64_t answer = get(answers);
        check(answer == question + 1, "answer", (long)answer);
    }
    put(questions, LAST_QUESTION);
    return NULL;
}

static void *answerer_main(void *argument)
{
    uint64_t question;
    int epoll = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, questions, &event), "epoll_ctl");
    (void)argument;
    do {
        check_never_restarted(epoll_wait(epoll, &event, 1, -1) == 1, "epoll_wait for a question");
        question = get(questions);
        put(answers, question + 1);
    } while (question < LAST_QUESTION);
    close(epoll);
    return NULL;
}

/* ---- all together ---- */

static void handle(int number, void (*handler)(int number, siginfo_t *info, void *context))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    must(sigaction(number, &action, NULL), "sigaction");
    sigaddset(&handled_signals, number);
}

/* Only the receiver handles signals: all are blocked here, and so in the threads from now on. */
static void set_signals(sigset_t *ret_end)
{
    handle(SIGRTMIN, on_queued);
    handle(SIGRTMIN + 1, on_timer);
    handle(SIGCHLD, on_child);
    sigemptyset(ret_end);
    sigaddset(ret_end, SIGTERM);
    must(sigprocmask(SIG_BLOCK, &handled_signals, NULL), "sigprocmask");
    must(sigprocmask(SIG_BLOCK, ret_end, NULL), "sigprocmask");
}

static void wait_for_end(const sigset_t *end, double seconds)
{
    double until = wall_seconds() + seconds;
    struct timespec limit = {.tv_nsec = 20000000};
    while (wall_seconds() < until) {
        int number = sigtimedwait(end, NULL, &limit);
        if (number == SIGTERM)
            return;
        check_never_restarted(number < 0 && errno == EAGAIN, "sigtimedwait for the end");
    }
}

static pthread_t start(void *(*function)(void *argument))
{
    pthread_t thread;
    must(-pthread_create(&thread, NULL, function, NULL), "pthread_create");
    return thread;
}

int main(int argc, char **argv)
{
    static void *(*const functions[])(void *) = {compute_main, compute_main, family_main,
                                                 waits_main,   sender_main,  asker_main,
                                                 answerer_main};
    enum { THREADS = sizeof functions / sizeof *functions };
    pthread_t threads[THREADS];
    sigset_t end;
    if (argc == 3 && !strcmp(argv[1], "--exit"))
        return atoi(argv[2]);
    questions = must(eventfd(0, EFD_CLOEXEC), "eventfd");
    answers = must(eventfd(0, EFD_CLOEXEC), "eventfd");
    set_signals(&end);
    timer_t timer = start_timer();
    receiver = start(receiver_main);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(functions[i]);
    wait_for_end(&end, argc > 1 ? atof(argv[1]) : 1);
    over = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    sent_all = true;
    pthread_join(receiver, NULL);
    timer_delete(timer);
    printf("{\"ok\":%s,\"failed\":\"%s\",\"interrupted\":%llu,\"signals\":%llu,"
           "\"timer_ticks\":%llu,\"cpu_s\":%.6f}\n",
           failure[0] ? "false" : "true", failure, (unsigned long long)interrupted,
           (unsigned long long)told, (unsigned long long)timer_ticks,
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID));
    return failure[0] ? 1 : 0;
}
