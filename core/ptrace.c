/*
 * ptrace.c - the sampling loop: whom to look at next, whom to stop, and what it costs.
 *
 * Every thread is looked at once a period; a look stops nothing. One that runs is stopped for a
 * sample, one that sleeps is looked at more and more rarely. A sample stands for the periods
 * that the kernel accounted to the thread since its last one, rounded, with the remainder
 * carried: a rate that is not achieved costs resolution and never truth. A thread that gets a
 * part of a CPU only is stopped when it should have run for a period.
 *
 * Three bounds hold: a thread is not stopped again before twenty times its last stop has passed
 * (REST_FACTOR); memprof's own CPU time stays near OWN_PERCENT of one CPU, by stretching all
 * intervals; and what is gathered between two calls of sampler_next is QUEUE_BYTES at most.
 *
 * Threads are found by listing /proc/PID/task when its number of links has changed, and now and
 * then; exec by the executable and the place of its code.
 */
#include "core/ptrace.h"

#include "core/descriptors.h"
#include "core/limits.h"
#include "core/ptrace_refusals.h"
#include "core/ptrace_wall.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum {
    REST_FACTOR = 20,      /* a thread is stopped for 1/21 of the time at most */
    QUICK_NS = 150000,     /* most threads stop within; the others are collected later */
    TOGETHER_NS = 60000,   /* looks that are due so soon are made at one go */
    SLEEPER_NS = 50000000, /* the rarest look */
    SLEEPERS = 4,          /* so many are looked at in each period, however few there are */
    AWAKE_SHARE = 50,      /* a sleeper that ran 1/50 of the time is looked at often */
    SHARE_PERIODS = 8,     /* the longest that a thread which runs waits for its next stop */
    LIST_NS = 100000000,   /* a listing without a reason */
    CHECK_NS = 25000000,   /* for exec and names */
    FAMILY_NS = 50000000,  /* for new children */
    LIST_COST = 50,        /* the time between listings, in terms of what one takes */
    BUDGET_NS = 100000000, /* between looks at our own CPU time */
    OWN_PERCENT = 12,
    FILES_PER_THREAD = 2,
    FILES_SPARE = 4096,
    QUEUE_BYTES = 16 << 20
};

struct ptrace_sampler {
    struct sampler sampler; /* its base */
    struct sampler_options options;
    const struct target *target;
    struct watched watched;
    struct stopper stopper;
    struct gathered_queue queue;
    struct wall wall;
    bool begun; /* the first sampler_wait has come */
    uint64_t period_ns;
    uint64_t begun_ns;
    uint64_t family_ns; /* when to look for new children */
    /* All intervals are multiplied by it, to stay within the budget. */
    double stretch;
    uint32_t random; /* of jitter() */
    uint64_t budget_ns, budget_cpu_ns;
    size_t name_turn; /* the thread whose name is checked next */
    uint64_t samples, longest_ns;
    double stopped_share; /* of the thread that was stopped most */
};

static uint64_t own_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void push_fork(struct ptrace_sampler *tracer, pid_t pid, pid_t tid, pid_t parent,
                      uint64_t now_ns)
{
    struct gathered *gathered = gathered_new(RECORD_FORK, now_ns, pid, tid);
    gathered->record.fork.parent_pid = gathered->record.fork.parent_tid = (uint32_t)parent;
    gathered_push(&tracer->queue, gathered);
}

/* Of short threads it tells nothing. */
static void note_stopped_share(struct ptrace_sampler *tracer, const struct watched_thread *thread,
                               uint64_t now_ns)
{
    enum { LEAST_NS = 200000000 };
    uint64_t age_ns = now_ns - thread->since_ns;
    double share = age_ns >= LEAST_NS ? (double)thread->stopped_ns / (double)age_ns : 0;
    if (share > tracer->stopped_share)
        tracer->stopped_share = share;
}

static void end_thread(struct ptrace_sampler *tracer, struct watched_thread *thread,
                       uint64_t now_ns)
{
    struct thread_times times = {.run_ns = thread->seen_run_ns};
    if (tracer->options.wall && !thread_times(&tracer->watched, thread, &times))
        wall_end(&tracer->wall, thread, &times, now_ns);
    note_stopped_share(tracer, thread, now_ns);
    gathered_push(&tracer->queue,
                  gathered_new(RECORD_EXIT, now_ns, thread->process->pid, thread->tid));
    watched_remove_thread(&tracer->watched, thread);
}

/*
 * 0.5 to 1.5, 1 in the mean: evenly spaced looks would keep step with what the target, or the
 * scheduler, does every few milliseconds. Numerical Recipes' linear congruential generator.
 */
static double jitter(struct ptrace_sampler *tracer)
{
    tracer->random = tracer->random * 1664525u + 1013904223u;
    return 0.5 + (tracer->random >> 8) / 0x1p24;
}

/* What a stop of a running thread has read becomes a sample; returns when to look again. */
static uint64_t take_sample(struct ptrace_sampler *tracer, struct watched_thread *thread,
                            const struct stop_reading *reading, uint64_t now_ns)
{
    struct thread_times times;
    uint64_t period_ns = tracer->period_ns;
    /* Without an account all that passed was running. */
    if (thread_times(&tracer->watched, thread, &times))
        times =
            (struct thread_times){.run_ns = thread->charged_run_ns + (now_ns - thread->charged_ns)};
    thread->seen_run_ns = times.run_ns;
    thread->seen_ns = now_ns;
    int64_t owed_ns = (int64_t)(times.run_ns - thread->charged_run_ns);
    uint64_t ticks = owed_ns > 0 ? ((uint64_t)owed_ns + period_ns / 2) / period_ns : 0;
    /* Of the time that it could have run; what it slept tells nothing of the next moments. */
    uint64_t able_ns =
        (uint64_t)(owed_ns > 0 ? owed_ns : 0) + times.delay_ns - thread->charged_delay_ns;
    double share = able_ns && owed_ns > 0 ? (double)owed_ns / (double)able_ns : 0;
    if (ticks && reading->read) {
        struct gathered *gathered = gathered_sample(reading, tracer->options.stack_bytes);
        gathered->record.sample.ticks = ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
        gathered_push(&tracer->queue, gathered);
        tracer->samples++;
        thread->charged_run_ns += ticks * period_ns;
        thread->charged_ns = now_ns;
        thread->charged_delay_ns = times.delay_ns;
        owed_ns -= (int64_t)(ticks * period_ns);
    }
    double wanted_ns = (double)period_ns * tracer->stretch - (double)owed_ns;
    double most_ns = SHARE_PERIODS * (double)period_ns * tracer->stretch;
    double wait_ns = share > 1 ? wanted_ns : share > 0 ? wanted_ns / share : most_ns;
    return now_ns + (uint64_t)((wait_ns < most_ns ? wait_ns : most_ns) * jitter(tracer));
}

/*
 * How long the thread was kept from running, at most. A thread stops only when it has a CPU: what
 * it waited for one is not our doing.
 */
static uint64_t kept_ns(struct ptrace_sampler *tracer, struct watched_thread *thread,
                        const struct stop_reading *reading)
{
    struct thread_times times;
    if (thread_times(&tracer->watched, thread, &times))
        return reading->stopped_ns;
    uint64_t waited_ns = times.delay_ns - thread->begun_delay_ns;
    uint64_t most_ns = waited_ns < reading->asked_ns ? reading->asked_ns - waited_ns : 0;
    return most_ns < reading->stopped_ns ? most_ns : reading->stopped_ns;
}

static void take_reading(struct ptrace_sampler *tracer, const struct stop_reading *reading)
{
    struct watched_thread *thread = tid_map_get(&tracer->watched.threads, (uint32_t)reading->tid);
    uint64_t now_ns = stopper_now_ns();
    if (!thread)
        return;
    if (reading->ended) {
        end_thread(tracer, thread, now_ns);
        return;
    }
    thread->stopping = false;
    uint64_t stopped_ns = kept_ns(tracer, thread, reading);
    thread->rest_until_ns = now_ns + REST_FACTOR * stopped_ns;
    thread->stopped_ns += stopped_ns;
    if (stopped_ns > tracer->longest_ns)
        tracer->longest_ns = stopped_ns;
    uint64_t next_ns = now_ns + tracer->period_ns;
    if (!thread->for_wall)
        next_ns = take_sample(tracer, thread, reading, now_ns);
    else if (reading->read)
        wall_stack(thread, gathered_sample(reading, tracer->options.stack_bytes));
    watched_schedule(&tracer->watched, thread, next_ns);
}

static void collect(struct ptrace_sampler *tracer, uint64_t until_ns)
{
    struct stop_reading reading;
    while (stopper_collect(&tracer->stopper, until_ns, &reading))
        take_reading(tracer, &reading);
}

/* The thread may be gone afterwards. */
static void stop(struct ptrace_sampler *tracer, struct watched_thread *thread, bool for_wall,
                 uint64_t now_ns)
{
    uint64_t again_ns = now_ns + (uint64_t)((double)tracer->period_ns * tracer->stretch);
    if (thread->rest_until_ns > now_ns) {
        watched_schedule(&tracer->watched, thread, thread->rest_until_ns);
        return;
    }
    watched_schedule(&tracer->watched, thread, again_ns);
    struct thread_times times = {0};
    thread->begun_delay_ns = thread_times(&tracer->watched, thread, &times) ? 0 : times.delay_ns;
    if (stopper_begin(&tracer->stopper, thread->process->pid, thread->tid))
        return; /* it is ending, or traced by another: it is looked at again */
    thread->stopping = true;
    thread->for_wall = for_wall;
    collect(tracer, now_ns + QUICK_NS);
}

/* A thread that wakes for a moment is caught if few others have to be looked at. */
static uint64_t rarest_look_ns(const struct ptrace_sampler *tracer)
{
    uint64_t apart_ns = tracer->period_ns * (1 + tracer->watched.heap.count / SLEEPERS);
    return apart_ns < SLEEPER_NS ? apart_ns : SLEEPER_NS;
}

static void look_at_sleeper(struct ptrace_sampler *tracer, struct watched_thread *thread,
                            const char *call, uint64_t now_ns)
{
    struct thread_times times = {.run_ns = thread->seen_run_ns};
    bool known = !thread_times(&tracer->watched, thread, &times);
    uint64_t ran_ns = times.run_ns - thread->seen_run_ns;
    uint64_t passed_ns = now_ns - thread->seen_ns, rarest_ns = rarest_look_ns(tracer);
    thread->seen_run_ns = times.run_ns;
    thread->seen_ns = now_ns;
    thread->interval_ns = ran_ns > passed_ns / AWAKE_SHARE      ? tracer->period_ns
                          : thread->interval_ns * 2 < rarest_ns ? thread->interval_ns * 2
                                                                : rarest_ns;
    watched_schedule(&tracer->watched, thread,
                     now_ns + (uint64_t)((double)thread->interval_ns * tracer->stretch));
    if (tracer->options.wall && known && wall_sleeps(&tracer->wall, thread, call, &times, now_ns))
        stop(tracer, thread, true, now_ns);
}

static void look_at_runner(struct ptrace_sampler *tracer, struct watched_thread *thread,
                           uint64_t now_ns)
{
    struct thread_times times;
    thread->interval_ns = tracer->period_ns;
    if (tracer->options.wall && !thread_times(&tracer->watched, thread, &times))
        wall_runs(&tracer->wall, thread, &times, now_ns);
    stop(tracer, thread, false, now_ns);
}

static void look_at(struct ptrace_sampler *tracer, struct watched_thread *thread, uint64_t now_ns)
{
    char call[THREAD_CALL_BYTES];
    if (thread->stopping) {
        watched_schedule(&tracer->watched, thread, now_ns + SLEEPER_NS);
        return;
    }
    switch (thread_look(&tracer->watched, thread, call)) {
    case THREAD_RUNS:
        look_at_runner(tracer, thread, now_ns);
        break;
    case THREAD_SLEEPS:
        look_at_sleeper(tracer, thread, call, now_ns);
        break;
    case THREAD_FORBIDDEN:
        watched_schedule(&tracer->watched, thread, now_ns + SLEEPER_NS);
        break;
    case THREAD_GONE:
        end_thread(tracer, thread, now_ns);
        break;
    }
}

static void check_name(struct ptrace_sampler *tracer, struct watched_thread *thread,
                       uint64_t now_ns)
{
    char name[16];
    target_thread_name(thread->process->pid, thread->tid, name);
    if (!*name || !strcmp(name, thread->name))
        return;
    memcpy(thread->name, name, sizeof name);
    gathered_push(&tracer->queue,
                  gathered_name(now_ns, thread->process->pid, thread->tid, name, false));
}

/* Threads of a process that were not listed have ended. */
static void end_unlisted(struct ptrace_sampler *tracer, struct watched_process *process,
                         uint64_t now_ns)
{
    for (size_t i = tracer->watched.heap.count; i-- > 0;) {
        struct watched_thread *thread = tracer->watched.heap.items[i];
        if (thread->process != process)
            continue;
        if (!thread->listed) {
            end_thread(tracer, thread, now_ns);
            i = tracer->watched.heap.count; /* the heap was moved about */
        }
    }
}

static int list_threads(struct ptrace_sampler *tracer, struct watched_process *process, bool old)
{
    _cleanup_free_ pid_t *tids = NULL;
    size_t count;
    uint64_t now_ns = stopper_now_ns();
    if (target_threads(process->pid, &tids, &count, NULL))
        return -1;
    struct watched *watched = &tracer->watched;
    for (size_t i = 0; i < watched->heap.count; i++)
        watched->heap.items[i]->listed = false;
    for (size_t i = 0; i < count; i++) {
        struct watched_thread *thread = tid_map_get(&watched->threads, (uint32_t)tids[i]);
        if (thread && thread->process != process) {
            end_thread(tracer, thread, now_ns);
            thread = NULL;
        }
        if (!thread) {
            thread = watched_add_thread(watched, process, tids[i], old, now_ns);
            if (!old && tids[i] != process->pid)
                push_fork(tracer, process->pid, tids[i], process->pid, now_ns);
        }
        thread->listed = true;
    }
    end_unlisted(tracer, process, now_ns);
    uint64_t done_ns = stopper_now_ns(), cost_ns = LIST_COST * (done_ns - now_ns);
    process->listed_ns = done_ns;
    process->list_apart_ns = cost_ns > tracer->period_ns ? cost_ns : tracer->period_ns;
    return 0;
}

static void end_process(struct ptrace_sampler *tracer, struct watched_process *process,
                        uint64_t now_ns)
{
    for (size_t i = 0; i < tracer->watched.heap.count; i++)
        tracer->watched.heap.items[i]->listed = false;
    end_unlisted(tracer, process, now_ns);
    watched_remove(&tracer->watched, process);
}

static void tell_exec(struct ptrace_sampler *tracer, struct watched_process *process,
                      uint64_t now_ns)
{
    char name[16];
    target_thread_name(process->pid, process->pid, name);
    gathered_push(&tracer->queue, gathered_name(now_ns, process->pid, process->pid, name, true));
}

/* Names are asked for in turn, one thread for each check. */
static void check_process(struct ptrace_sampler *tracer, struct watched_process *process,
                          uint64_t now_ns)
{
    bool executed;
    struct stat status;
    if (now_ns >= process->check_ns) {
        process->check_ns = now_ns + CHECK_NS;
        if (!process_check(process, &executed)) {
            end_process(tracer, process, now_ns);
            return;
        }
        if (executed)
            tell_exec(tracer, process, now_ns);
        if (tracer->watched.heap.count) {
            tracer->name_turn = (tracer->name_turn + 1) % tracer->watched.heap.count;
            check_name(tracer, tracer->watched.heap.items[tracer->name_turn], now_ns);
        }
    }
    if (now_ns < process->listed_ns + process->list_apart_ns || fstat(process->task_fd, &status))
        return;
    if (status.st_nlink == process->link_count && now_ns < process->listed_ns + LIST_NS)
        return;
    process->link_count = status.st_nlink;
    if (list_threads(tracer, process, false))
        end_process(tracer, process, now_ns);
}

/* The target, and its children if they are wanted, that are not watched yet. */
static void find_processes(struct ptrace_sampler *tracer, bool old)
{
    _cleanup_free_ pid_t *pids = NULL;
    size_t count;
    uint64_t now_ns = stopper_now_ns();
    target_processes(tracer->target, tracer->options.children, &pids, &count);
    for (size_t i = 0; i < count; i++) {
        if (watched_find(&tracer->watched, pids[i]))
            continue;
        struct watched_process *process = watched_add(&tracer->watched, pids[i], old);
        if (!process)
            continue;
        if (!old)
            push_fork(tracer, process->pid, process->pid, process->parent, now_ns);
        if (list_threads(tracer, process, old))
            end_process(tracer, process, now_ns);
    }
    uint64_t done_ns = stopper_now_ns(), cost_ns = LIST_COST * (done_ns - now_ns);
    tracer->family_ns = done_ns + (cost_ns > FAMILY_NS ? cost_ns : FAMILY_NS);
}

static void check_processes(struct ptrace_sampler *tracer, uint64_t now_ns)
{
    for (size_t i = tracer->watched.processes.count; i-- > 0;)
        check_process(tracer, tracer->watched.processes.items[i], now_ns);
    if (tracer->options.children && now_ns >= tracer->family_ns)
        find_processes(tracer, false);
}

static void keep_budget(struct ptrace_sampler *tracer, uint64_t now_ns)
{
    const double most = 64;
    uint64_t passed_ns = now_ns - tracer->budget_ns;
    if (passed_ns < BUDGET_NS)
        return;
    uint64_t cpu_ns = own_cpu_ns();
    double percent = 100 * (double)(cpu_ns - tracer->budget_cpu_ns) / (double)passed_ns;
    tracer->budget_ns = now_ns;
    tracer->budget_cpu_ns = cpu_ns;
    double factor = percent / OWN_PERCENT;
    /* Down at once, up slowly: what was cheap may be so because nothing ran. */
    tracer->stretch *= factor > 1 ? (factor < 2 ? factor : 2) : factor > 0.9 ? 1 : 0.9;
    tracer->stretch = tracer->stretch < 1 ? 1 : tracer->stretch > most ? most : tracer->stretch;
}

/* Sleeps until a time; false: extra_fd is readable. */
static bool sleep_until(struct ptrace_sampler *tracer, int extra_fd, uint64_t until_ns)
{
    struct pollfd polls[] = {{.fd = extra_fd, .events = POLLIN},
                             {.fd = tracer->stopper.signal_fd, .events = POLLIN}};
    uint64_t now_ns = stopper_now_ns(), left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec left = {(time_t)(left_ns / 1000000000), (long)(left_ns % 1000000000)};
    if (ppoll(polls, 2, &left, NULL) <= 0)
        return true;
    if (polls[1].revents) {
        stopper_drain(&tracer->stopper);
        collect(tracer, 0);
    }
    return !polls[0].revents;
}

static void begin(struct ptrace_sampler *tracer)
{
    uint64_t now_ns = stopper_now_ns();
    tracer->begun = true;
    tracer->begun_ns = tracer->budget_ns = now_ns;
    tracer->budget_cpu_ns = own_cpu_ns();
    for (size_t i = 0; i < tracer->watched.processes.count; i++) {
        bool executed;
        process_check(tracer->watched.processes.items[i], &executed);
    }
}

/* What happens while threads are looked at is not told apart: extra_fd may be readable. */
static bool ptrace_wait(struct sampler *sampler, int extra_fd, int timeout_ms)
{
    struct ptrace_sampler *tracer = (struct ptrace_sampler *)sampler;
    uint64_t now_ns = stopper_now_ns(), end_ns = now_ns + (uint64_t)timeout_ms * 1000000;
    if (!tracer->begun)
        begin(tracer);
    while (now_ns < end_ns && tracer->queue.bytes < QUEUE_BYTES) {
        check_processes(tracer, now_ns);
        struct watched_thread *first;
        while ((first = watched_first(&tracer->watched)) &&
               first->next_ns <= now_ns + TOGETHER_NS && now_ns < end_ns) {
            look_at(tracer, first, now_ns);
            if (tracer->stopper.begun.count)
                collect(tracer, 0);
            now_ns = stopper_now_ns();
        }
        keep_budget(tracer, now_ns);
        uint64_t next_ns = now_ns + tracer->period_ns;
        if (first && first->next_ns < next_ns)
            next_ns = first->next_ns;
        if (!sleep_until(tracer, extra_fd, next_ns < end_ns ? next_ns : end_ns))
            break;
        now_ns = stopper_now_ns();
    }
    return true;
}

static bool ptrace_next(struct sampler *sampler, uint64_t until_ns, struct record *ret_record)
{
    return gathered_take(&((struct ptrace_sampler *)sampler)->queue, until_ns, ret_record);
}

static uint64_t ptrace_running_ns(const struct sampler *sampler)
{
    return watched_run_ns(&((const struct ptrace_sampler *)sampler)->watched);
}

static void write_note(struct ptrace_sampler *tracer, uint64_t now_ns)
{
    double seconds = (double)(now_ns - tracer->begun_ns) / 1e9;
    for (size_t i = 0; i < tracer->watched.heap.count; i++)
        note_stopped_share(tracer, tracer->watched.heap.items[i], now_ns);
    snprintf(tracer->sampler.note, sizeof tracer->sampler.note,
             "%.0f samples/s achieved; no thread was stopped more than %.1f %% of the time, "
             "longest stop %.2f ms",
             seconds > 0 ? (double)tracer->samples / seconds : 0, 100 * tracer->stopped_share,
             (double)tracer->longest_ns / 1e6);
}

static void ptrace_disable(struct sampler *sampler)
{
    struct ptrace_sampler *tracer = (struct ptrace_sampler *)sampler;
    uint64_t now_ns = stopper_now_ns();
    stopper_release(&tracer->stopper);
    watched_run_ns(&tracer->watched);
    for (size_t i = 0; tracer->options.wall && i < tracer->watched.heap.count; i++) {
        struct thread_times times;
        struct watched_thread *thread = tracer->watched.heap.items[i];
        if (!thread_times(&tracer->watched, thread, &times))
            wall_end(&tracer->wall, thread, &times, now_ns);
    }
    if (tracer->begun)
        write_note(tracer, now_ns);
}

static void ptrace_free(struct sampler *sampler)
{
    struct ptrace_sampler *tracer = (struct ptrace_sampler *)sampler;
    stopper_release(&tracer->stopper);
    watched_release(&tracer->watched);
    gathered_release(&tracer->queue);
    free(tracer);
}

static const struct sampler_methods ptrace_methods = {
    .free = ptrace_free,
    .disable = ptrace_disable,
    .running_ns = ptrace_running_ns,
    .wait = ptrace_wait,
    .next = ptrace_next,
};

int ptrace_open(const struct target *target, const struct sampler_options *options,
                struct sampler **ret_sampler, struct error *err)
{
    _cleanup_free_ pid_t *tids = NULL;
    size_t count;
    if (ptrace_check(target, err) || target_threads(target->pid, &tids, &count, err))
        return -1;
    struct ptrace_sampler *tracer = xcalloc(1, sizeof *tracer);
    tracer->options = *options;
    tracer->target = target;
    tracer->period_ns = 1000000000u / options->frequency_hz;
    tracer->stretch = 1;
    raise_descriptor_limit(FILES_PER_THREAD * count + FILES_SPARE);
    watched_init(&tracer->watched, tracer->period_ns);
    tracer->wall = (struct wall){&tracer->watched, &tracer->queue, tracer->period_ns};
    if (stopper_init(&tracer->stopper, options->user_registers, options->stack_bytes,
                     options->on_exec ? target->pid : 0)) {
        error_set_errno(err, "cannot sample %d (%s)", target->pid, target->command);
        ptrace_free(&tracer->sampler);
        return -1;
    }
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    find_processes(tracer, true);
    tracer->sampler = (struct sampler){
        .methods = &ptrace_methods,
        .name = "ptrace",
        .frequency_hz = options->frequency_hz,
        .stack_bytes = options->stack_bytes,
        .kernel_time = true,
        .mappings_on_demand = true,
        .thread_count = tracer->watched.heap.count,
    };
    if (!tracer->watched.heap.count) {
        ptrace_free(&tracer->sampler);
        return error_set(err, ERROR_GONE, "process %d (%s) has ended", target->pid,
                         target->command);
    }
    *ret_sampler = &tracer->sampler;
    return 0;
}
