/*
 * perf_wall.c - each thread's waits, and which stack they are charged to.
 *
 * Every switch is told with its time (PERF_RECORD_SWITCH, 32 bytes), so how long threads wait is
 * known exactly. A stack at every switch would cost a program that switches 50,000 times a second
 * a tenth of its time, so only some have one: the kernel keeps the samples of the switch events to
 * a frequency. Waits come in two sorts:
 *
 *   - Those that have lasted for REPORT_NS are reported while they last, and a sleeper without a
 * stack is read then (sleeping.h). Each is charged to its own stack with its own time.
 *   - Shorter ones go into the thread's pool. One with a stack takes out of the pool its own
 *     time as often as there were waits since the last one with a stack, this one included: it
 *     stands for them (the Horvitz-Thompson estimate of their sum). To give it the time of
 *     the others instead would be wrong: of waits of 10 ms and of 1 ms in turn each kind would
 *     get a half. The pool is what has been waited and is not charged yet, so that the sum stays
 *     exact; it can't be overdrawn, and what is left at the end goes to the last stack.
 *
 * Waiting and being runnable are counted apart. What is charged becomes ticks; the remainder is
 * carried on.
 */
#include "core/perf_wall.h"

#include "core/alloc.h"
#include "core/descriptors.h"
#include "core/sleeping.h"
#include "core/tid_map.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
    REPORT_NS = 100000000,
    ADAPT_NS = 100000000,
    STACKS_HZ = 4000, /* taken at context switches, of all threads together */
    BURST = 200,      /* switches of one thread between two adaptions … */
    PERIOD_BURST = 29 /* … after which it has this period until the next one */
};

static const uint32_t periods[] = {1,  2,  3,   5,   7,   11,  17,  29,
                                   47, 79, 127, 211, 347, 563, 919, 1499};

enum wait_kind { WAIT_BLOCKED, WAIT_RUNNABLE, WAIT_KINDS };

struct waits {
    uint64_t pool_ns;    /* waited and not charged */
    uint64_t early_ns;   /* the same, from before its switches were sampled */
    uint64_t charged_ns; /* charged and not yet a tick */
    uint32_t skipped;    /* short waits without a stack since the last one with */
};

struct wall_thread {
    uint32_t pid, tid;
    bool off;       /* not on a CPU, since since_ns */
    bool unseen;    /* no record has told of it yet */
    bool sampled;   /* a stack came for the switch that is to be told next */
    bool has_stack; /* this wait has its stack */
    bool reported;  /* this wait has been reported up to since_ns */
    enum wait_kind kind;
    uint64_t since_ns;
    uint32_t switches; /* since the periods were last adapted */
    bool refused;      /* its events could not be opened */
    struct perf_switch_events events;
    struct waits waits[WAIT_KINDS];
};

struct perf_wall {
    struct sampler_options options;
    uint64_t period_ns;
    uint64_t report_ns; /* REPORT_NS, and a tick at least */
    uint64_t adapted_ns;
    struct perf_switch_source source;
    struct tid_map threads; /* of struct wall_thread */
    struct record ready[WAIT_KINDS + 1];
    size_t ready_count;
    size_t flush_slot; /* of threads, the next to look at */
    uint64_t flushed_ns;
    struct sleeping_stack stack; /* of the last record that needed one */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct perf_wall *perf_wall_new(const struct sampler_options *options,
                                const struct perf_switch_source *source, pid_t tid)
{
    struct perf_switch_events probe;
    if (perf_switch_open(source, tid, 1, &probe))
        return NULL;
    perf_switch_close(source, &probe);
    struct perf_wall *wall = xcalloc(1, sizeof *wall);
    wall->options = *options;
    wall->source = *source;
    wall->adapted_ns = now_ns();
    wall->period_ns = 1000000000u / options->frequency_hz;
    wall->report_ns = wall->period_ns > REPORT_NS ? wall->period_ns : REPORT_NS;
    return wall;
}

static void thread_free(struct perf_wall *wall, struct wall_thread *thread)
{
    if (thread)
        perf_switch_close(&wall->source, &thread->events);
    free(thread);
}

/* The next thread from *slot on; NULL: there are no more. */
static struct wall_thread *thread_next(const struct perf_wall *wall, size_t *slot)
{
    while (wall->threads.slots && *slot <= wall->threads.mask) {
        struct wall_thread *thread = wall->threads.slots[(*slot)++].value;
        if (thread)
            return thread;
    }
    return NULL;
}

void perf_wall_disable(struct perf_wall *wall)
{
    size_t slot = 0;
    for (struct wall_thread *thread; (thread = thread_next(wall, &slot));)
        perf_switch_disable(&wall->source, &thread->events);
}

void perf_wall_free(struct perf_wall *wall)
{
    if (!wall)
        return;
    size_t slot = 0;
    for (struct wall_thread *thread; (thread = thread_next(wall, &slot));)
        perf_switch_close(&wall->source, &thread->events);
    tid_map_release(&wall->threads, free);
    sleeping_stack_release(&wall->stack);
    free(wall);
}

static struct wall_thread *thread_get(struct perf_wall *wall, uint32_t pid, uint32_t tid)
{
    struct wall_thread *thread = tid_map_get(&wall->threads, tid);
    if (!thread) {
        thread = xcalloc(1, sizeof *thread);
        thread->tid = tid;
        tid_map_put(&wall->threads, tid, thread);
    }
    thread->pid = pid;
    return thread;
}

/* The state letter behind the name, which may hold anything; '\0' when the thread is gone. */
static char thread_state(pid_t tid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", tid);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    if (!file || !fgets(line, sizeof line, file))
        return '\0';
    const char *name_end = strrchr(line, ')');
    return name_end && name_end[1] ? name_end[2] : '\0';
}

int perf_wall_add_thread(struct perf_wall *wall, pid_t pid, pid_t tid)
{
    struct perf_switch_events events;
    if (perf_switch_open(&wall->source, tid, 1, &events))
        return -1;
    struct wall_thread *thread = thread_get(wall, (uint32_t)pid, (uint32_t)tid);
    thread->events = events;
    /* What is launched waits for its exec, and that is not the recording's. */
    if (wall->options.on_exec)
        return 0;
    char state = thread_state(tid);
    thread->unseen = true;
    thread->off = state && state != 'R';
    thread->since_ns = now_ns();
    return 0;
}

/* A waiting sample of what has been charged, if that is a tick or more. */
static void make_ready(struct perf_wall *wall, struct wall_thread *thread, enum wait_kind kind,
                       uint64_t time_ns)
{
    struct waits *waits = &thread->waits[kind];
    uint64_t ticks = waits->charged_ns / wall->period_ns;
    if (!ticks)
        return;
    waits->charged_ns %= wall->period_ns;
    wall->ready[wall->ready_count++] = (struct record){
        .kind = RECORD_SAMPLE,
        .time_ns = time_ns,
        .pid = thread->pid,
        .tid = thread->tid,
        .sample = {.ticks = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX,
                   .waiting = true,
                   .runnable = kind == WAIT_RUNNABLE,
                   .repeated = true},
    };
}

/* What was waited early is like what was waited soon after. */
static uint64_t take_early(struct waits *waits, uint64_t most_ns)
{
    uint64_t taken_ns = waits->early_ns < most_ns ? waits->early_ns : most_ns;
    waits->early_ns -= taken_ns;
    return taken_ns;
}

/* The wait of a thread is over. */
static void end_wait(struct perf_wall *wall, struct wall_thread *thread, uint64_t time_ns)
{
    struct waits *waits = &thread->waits[thread->kind];
    uint64_t waited_ns = time_ns > thread->since_ns ? time_ns - thread->since_ns : 0;
    thread->off = false;
    if (thread->reported) {
        waits->charged_ns += waited_ns;
    } else {
        waits->pool_ns += waited_ns;
        waits->skipped++;
        if (!thread->has_stack)
            return;
        uint64_t charged_ns = waited_ns * waits->skipped;
        if (charged_ns > waits->pool_ns)
            charged_ns = waits->pool_ns;
        waits->pool_ns -= charged_ns;
        waits->charged_ns += charged_ns + take_early(waits, charged_ns);
        waits->skipped = 0;
    }
    make_ready(wall, thread, thread->kind, time_ns);
}

/* The end of a thread or of the recording: nothing stays in the pools. */
static void end_thread(struct perf_wall *wall, struct wall_thread *thread, uint64_t time_ns)
{
    if (thread->off)
        end_wait(wall, thread, time_ns);
    for (int kind = 0; kind < WAIT_KINDS; kind++) {
        struct waits *waits = &thread->waits[kind];
        waits->charged_ns += waits->pool_ns + waits->early_ns;
        waits->pool_ns = waits->early_ns = 0;
        make_ready(wall, thread, (enum wait_kind)kind, time_ns);
    }
}

static void switch_out(struct perf_wall *wall, struct wall_thread *thread, enum wait_kind kind,
                       uint64_t time_ns)
{
    thread->off = true;
    thread->unseen = false;
    if (++thread->switches == BURST && thread->events.period < PERIOD_BURST)
        perf_switch_set_period(&wall->source, &thread->events, PERIOD_BURST);
    thread->kind = kind;
    thread->since_ns = time_ns;
    thread->has_stack = thread->sampled;
    thread->sampled = thread->reported = false;
}

static void switch_in(struct perf_wall *wall, struct wall_thread *thread, uint64_t time_ns)
{
    /* It was about to run when it was first seen. */
    if (thread->unseen && !thread->off) {
        thread->off = true;
        thread->kind = WAIT_RUNNABLE;
    }
    thread->unseen = false;
    if (thread->off)
        end_wait(wall, thread, time_ns);
}

static void feed_sample(struct perf_wall *wall, const struct perf_origin *origin,
                        struct record *record)
{
    struct wall_thread *thread = thread_get(wall, record->pid, record->tid);
    /* It runs; had it been off, the record of its coming back was lost. */
    thread->off = thread->unseen = false;
    thread->sampled = perf_switch_has(&wall->source, &thread->events, origin->event_id);
    if (thread->sampled) {
        record->sample.waiting = true;
        record->sample.ticks = 0;
    }
}

bool perf_wall_feed(struct perf_wall *wall, const struct perf_origin *origin, struct record *record)
{
    switch (origin->switched) {
    case PERF_SWITCH_IN:
        switch_in(wall, thread_get(wall, record->pid, record->tid), record->time_ns);
        return false;
    case PERF_SWITCH_OUT:
    case PERF_SWITCH_PREEMPTED:
        switch_out(wall, thread_get(wall, record->pid, record->tid),
                   origin->switched == PERF_SWITCH_OUT ? WAIT_BLOCKED : WAIT_RUNNABLE,
                   record->time_ns);
        return false;
    case PERF_SWITCH_NONE:
        break;
    }
    if (record->kind == RECORD_SAMPLE)
        feed_sample(wall, origin, record);
    if (record->kind != RECORD_EXIT && record->kind != RECORD_FORK)
        return true;
    /* The TID may have been used before. */
    struct wall_thread *ended = tid_map_take(&wall->threads, record->tid);
    if (ended && record->kind == RECORD_EXIT)
        end_thread(wall, ended, record->time_ns);
    thread_free(wall, ended);
    return true;
}

bool perf_wall_pop(struct perf_wall *wall, struct record *ret_record)
{
    if (!wall->ready_count)
        return false;
    *ret_record = wall->ready[0];
    memmove(wall->ready, wall->ready + 1, --wall->ready_count * sizeof *wall->ready);
    return true;
}

/* A wait that lasts is charged as far as it has come; it gets a stack if it has none. */
static void report_wait(struct perf_wall *wall, struct wall_thread *thread, uint64_t until_ns)
{
    struct record read = {0};
    enum sleeping_result result = SLEEPING_UNKNOWN;
    bool known = thread->has_stack || thread->reported;
    if (!known)
        result = sleeping_stack_read(&wall->stack, &wall->options, (pid_t)thread->pid,
                                     (pid_t)thread->tid, &read);
    /* Its coming back is told by a record that is still to be read. */
    if (!known && result == SLEEPING_AWAKE)
        return;
    thread->waits[thread->kind].charged_ns += until_ns - thread->since_ns;
    thread->since_ns = until_ns;
    thread->reported = true;
    make_ready(wall, thread, thread->kind, until_ns);
    if (known || !wall->ready_count)
        return;
    struct record *ready = &wall->ready[wall->ready_count - 1];
    read.sample.ticks = ready->sample.ticks;
    read.sample.waiting = true;
    read.sample.runnable = ready->sample.runnable;
    ready->sample = read.sample;
}

/* The period with which `count` switches have no more than `wanted` samples. */
static uint32_t period_for(uint64_t count, uint64_t wanted)
{
    size_t i = 0;
    while (i + 1 < sizeof periods / sizeof *periods && count > wanted * periods[i])
        i++;
    return periods[i];
}

/*
 * While all switches together are not too many, each has its stack. Else those threads have
 * fewer that switch more often than their even share of the stacks allows.
 */
static void adapt_periods(struct perf_wall *wall, uint64_t elapsed_ns)
{
    uint64_t all = 0, wanted = STACKS_HZ * elapsed_ns / 1000000000u, active = 1;
    size_t slot = 0;
    struct wall_thread *thread;
    while ((thread = thread_next(wall, &slot))) {
        all += thread->switches;
        active += thread->switches > 0;
    }
    slot = 0;
    while ((thread = thread_next(wall, &slot))) {
        uint32_t period = 1;
        if (thread->switches * active > wanted)
            period = period_for(all, wanted);
        if (period != thread->events.period)
            perf_switch_set_period(&wall->source, &thread->events, period);
        thread->switches = 0;
    }
}

/* Modules, perf maps and /proc must be opened, too, whatever the number of threads. */
static bool leaves_descriptors(int fd)
{
    enum { SPARE = 256 };
    struct rlimit limit;
    raise_descriptor_limit((size_t)fd + 2 * SPARE);
    return !getrlimit(RLIMIT_NOFILE, &limit) && (rlim_t)fd + SPARE < limit.rlim_cur;
}

/* A thread that was created meanwhile; one that has ended before has no use for events. */
static void sample_thread(struct perf_wall *wall, struct wall_thread *thread)
{
    struct perf_switch_source source = wall->source;
    source.attr.disabled = source.attr.enable_on_exec = 0;
    thread->refused = perf_switch_open(&source, (pid_t)thread->tid, 1, &thread->events);
    if (!thread->refused && source.cpu_count &&
        !leaves_descriptors(thread->events.fds[source.cpu_count - 1])) {
        perf_switch_close(&source, &thread->events);
        thread->refused = true;
    }
    for (int kind = 0; kind < WAIT_KINDS; kind++) {
        struct waits *waits = &thread->waits[kind];
        waits->early_ns = waits->pool_ns;
        waits->pool_ns = waits->skipped = 0;
    }
}

bool perf_wall_flush(struct perf_wall *wall, uint64_t until_ns, bool last,
                     struct record *ret_record)
{
    struct wall_thread *thread;
    if (until_ns != wall->flushed_ns) {
        wall->flushed_ns = until_ns;
        wall->flush_slot = 0;
        if (!last && until_ns >= wall->adapted_ns + ADAPT_NS) {
            adapt_periods(wall, until_ns - wall->adapted_ns);
            wall->adapted_ns = until_ns;
        }
    }
    while (!wall->ready_count && (thread = thread_next(wall, &wall->flush_slot))) {
        if (thread->off && until_ns >= thread->since_ns + wall->report_ns)
            report_wait(wall, thread, until_ns);
        if (!last && !thread->events.fds && !thread->refused)
            sample_thread(wall, thread);
        if (last)
            end_thread(wall, thread, until_ns);
    }
    return perf_wall_pop(wall, ret_record);
}
