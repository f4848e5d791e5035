/*
 * recorder.c - the state behind a recording: processes, threads, and what they still owe.
 *
 * The clock of a thread ticks once per period of its own CPU time on a CPU and starts at its
 * creation, so a thread that ends has run up to one period per CPU since its last tick; threads
 * shorter than a period never tick at all. Left alone, a program of many short threads would
 * lose that time: a third of it, measured with threads of 1.5 periods. So three amounts are made
 * up for, each only as far as the kernel's own account of the target says that time is missing,
 * and counted (quality.extrapolated):
 *
 *   - The exact running time comes with a thread's end (RECORD_TIME). What its ticks do not cover
 *     goes into a pool, and the pool's whole periods become ticks at the last known stack of the
 *     last sampled thread that ended: short threads are like their kin.
 *   - The events of a thread begin after its creation and end before its exit is through: some
 *     20 µs that no sample can fall into. That is kernel time of its own node.
 *   - At the end, a thousand threads that all stayed below their next tick.
 *
 * Time off the CPU is none of this account. A waiting sample becomes ticks of a leaf below the
 * stack that waits, and one entry in the sequence of samples, where the wait began: readers
 * charge an entry with the time until the next one.
 */
#include "symbolize/recorder.h"

#include "core/reorder.h"
#include "core/tid_map.h"
#include "symbolize/jit_names.h"
#include "symbolize/process.h"
#include "symbolize/stacks.h"

enum { REORDER_US = 500000 }; /* waits are told some 200 ms after their beginning */

struct thread_state {
    uint32_t pid, tid;
    thread_id id; /* in the profile; valid if sampled */
    bool sampled;
    node_id last_node;
    node_id waiting_node; /* of the stack of its last wait, without the leaf */
    uint64_t told_ns;     /* time of its last sample, of either kind */
    uint64_t ticks;
    uint64_t running_ns; /* as told by RECORD_TIME */
    size_t times;        /* RECORD_TIME records so far */
    size_t cpus;         /* of them with any running time */
};

struct recorder {
    struct profile *profile;
    struct recorder_options options;
    struct processes processes;
    struct stacks *stacks;
    metric_id cpu;
    struct tid_map threads; /* of struct thread_state */
    struct reorder reorder; /* with options.wall */
    int64_t pool_ns;        /* running time of ended threads without a tick */
    uint64_t ticks;
    uint64_t last_ns;   /* time of the last tick */
    node_id ended_node; /* last stack of the last sampled thread that ended; 0: none */
    thread_id ended_thread;
    uint64_t exited;                      /* threads that have ended */
    uint64_t forked;                      /* threads created since the start */
    uint64_t ended;                       /* threads whose RECORD_TIME came */
    uint64_t frames_before, named_before; /* of quality, when their share was looked at last */
    int patience_ms;                      /* what came of it */
    uint64_t exit_ticks;                  /* charged to the creation and end of threads */
};

struct recorder *recorder_new(struct profile *profile, struct modules *modules,
                              const struct recorder_options *options)
{
    struct recorder *recorder = xcalloc(1, sizeof *recorder);
    recorder->profile = profile;
    recorder->processes =
        (struct processes){.modules = modules, .mappings_on_demand = options->mappings_on_demand};
    recorder->options = *options;
    recorder->stacks = stacks_new(profile, &recorder->processes, options->arch);
    recorder->cpu = profile_add_metric(profile, "cpu", "ticks");
    return recorder;
}

void recorder_free(struct recorder *recorder)
{
    if (!recorder)
        return;
    stacks_free(recorder->stacks);
    processes_release(&recorder->processes);
    tid_map_release(&recorder->threads, free);
    reorder_release(&recorder->reorder);
    free(recorder);
}

int recorder_read_mappings(struct recorder *recorder, pid_t pid, struct error *err)
{
    struct process *process = process_get(&recorder->processes, (uint32_t)pid);
    if (!process)
        return error_set(err, ERROR_LIMIT, "more processes than can be followed");
    if (space_read(&process->space, recorder->processes.modules, err))
        return -1;
    process_v8(process, recorder->profile); /* it takes a while, and samples would wait */
    return 0;
}

int recorder_patience_ms(struct recorder *recorder)
{
    enum { NATIVE_MS = 100, SHORTEST_MS = 2, LONGEST_MS = 64, FRAMES = 500, MISSED_PERCENT = 1 };
    const struct quality *quality = &recorder->profile->quality;
    uint64_t frames = quality->js_frames - recorder->frames_before;
    if (!quality->v8)
        return NATIVE_MS;
    if (!recorder->patience_ms)
        recorder->patience_ms = SHORTEST_MS;
    if (frames >= FRAMES) {
        uint64_t missed = frames - (quality->js_named - recorder->named_before);
        bool urgent = missed * 100 > frames * MISSED_PERCENT;
        recorder->patience_ms = urgent                               ? SHORTEST_MS
                                : recorder->patience_ms < LONGEST_MS ? 2 * recorder->patience_ms
                                                                     : LONGEST_MS;
        recorder->frames_before = quality->js_frames;
        recorder->named_before = quality->js_named;
    }
    return recorder->patience_ms;
}

uint64_t recorder_ticks(const struct recorder *recorder)
{
    return recorder->ticks;
}

static struct thread_state *thread_get(struct recorder *recorder, uint32_t pid, uint32_t tid)
{
    struct thread_state *thread = tid_map_get(&recorder->threads, tid);
    if (thread)
        return thread;
    thread = xcalloc(1, sizeof *thread);
    thread->pid = pid;
    thread->tid = tid;
    tid_map_put(&recorder->threads, tid, thread);
    return thread;
}

static void append_sample(struct recorder *recorder, const struct sample *sample)
{
    if (recorder->options.wall)
        reorder_add(&recorder->reorder, &recorder->profile->samples, sample, REORDER_US);
    else
        sequence_append(&recorder->profile->samples, sample);
}

/* Time never goes back in the sequence, though records of two CPUs may disagree by a little. */
static void add_ticks(struct recorder *recorder, uint64_t ticks, thread_id thread, node_id node,
                      uint64_t time_ns)
{
    struct profile *profile = recorder->profile;
    if (time_ns < recorder->last_ns)
        time_ns = recorder->last_ns;
    recorder->last_ns = time_ns;
    profile_add_self(profile, recorder->cpu, node, ticks);
    profile->threads.items[thread].ticks += ticks;
    recorder->ticks += ticks;
    for (; ticks; ticks--)
        append_sample(recorder, &(struct sample){time_ns / 1000, thread, node});
}

/* The thread of a sample, with its name. */
static struct thread_state *sampled_thread(struct recorder *recorder, const struct record *record)
{
    struct thread_state *thread = thread_get(recorder, record->pid, record->tid);
    if (!thread->sampled) {
        char name[16];
        target_thread_name((pid_t)record->pid, (pid_t)record->tid, name);
        thread->id = profile_add_thread(recorder->profile, record->pid, record->tid, name);
        thread->sampled = true;
    }
    return thread;
}

static frame_id named_frame(struct recorder *recorder, const char *name, enum frame_kind kind)
{
    struct frame frame = {.function = strings_intern(&recorder->profile->strings, name),
                          .kind = kind};
    return profile_add_frame(recorder->profile, &frame);
}

static void feed_waiting(struct recorder *recorder, struct process *process,
                         const struct record *record)
{
    struct profile *profile = recorder->profile;
    struct thread_state *thread = sampled_thread(recorder, record);
    uint64_t ticks = record->sample.ticks;
    if (!record->sample.repeated) {
        thread->waiting_node = stacks_add(recorder->stacks, process, record, 0);
    }
    if (!ticks)
        return;
    frame_id leaf = record->sample.runnable ? named_frame(recorder, "(runnable)", FRAME_RUNNABLE)
                                            : named_frame(recorder, "(off-CPU)", FRAME_WAITING);
    node_id node = profile_add_node(profile, thread->waiting_node, leaf);
    struct thread *told = &profile->threads.items[thread->id];
    *(record->sample.runnable ? &told->runnable : &told->waiting) += ticks;
    profile_add_self(profile, recorder->cpu, node, ticks);
    /* The ticks hold remainders of earlier waits; this one began after what came before it. */
    uint64_t start_ns = record->time_ns - ticks * recorder->options.period_ns;
    if (start_ns < thread->told_ns)
        start_ns = thread->told_ns;
    thread->told_ns = record->time_ns;
    append_sample(recorder, &(struct sample){start_ns / 1000, thread->id, node});
}

static void feed_sample(struct recorder *recorder, const struct record *record)
{
    /* What a thread waited is told after its end, too, and that revives no process. */
    bool repeated = record->sample.waiting && record->sample.repeated;
    struct process *process = repeated ? process_find(&recorder->processes, record->pid)
                                       : process_get(&recorder->processes, record->pid);
    if (!process)
        return;
    if (!repeated)
        process->ended = false; /* its main thread has, it has not */
    process_renew(&recorder->processes, process, recorder->profile->quality.lost, record->time_ns);
    if (process->jit)
        jit_names_poll(process->jit, &process->space, record->time_ns);
    if (record->sample.waiting) {
        feed_waiting(recorder, process, record);
        return;
    }
    struct thread_state *thread = sampled_thread(recorder, record);
    thread->last_node = stacks_add(recorder->stacks, process, record, record->sample.ticks);
    thread->ticks += record->sample.ticks;
    thread->told_ns = record->time_ns;
    recorder->profile->quality.samples++;
    add_ticks(recorder, record->sample.ticks, thread->id, thread->last_node, record->time_ns);
}

static void feed_map(struct recorder *recorder, const struct record *record)
{
    struct process *process = process_get(&recorder->processes, record->pid);
    if (process)
        space_map(&process->space, recorder->processes.modules,
                  &(struct mapping){record->map.start, record->map.size, record->map.file_offset,
                                    record->map.device, record->map.inode, record->map.path});
}

static void feed_comm(struct recorder *recorder, const struct record *record)
{
    struct thread_state *thread = tid_map_get(&recorder->threads, record->tid);
    if (thread && thread->sampled)
        profile_add_thread(recorder->profile, record->pid, record->tid, record->comm.name);
    struct process *process =
        record->comm.exec ? process_get(&recorder->processes, record->pid) : NULL;
    if (process) {
        process->ended = false;
        process_forget_code(process);
        space_clear(&process->space, recorder->processes.modules);
        stacks_forget_thread(recorder->stacks, record->tid);
    }
}

static void feed_fork(struct recorder *recorder, const struct record *record)
{
    recorder->forked++;
    /* The TID may have been used before, by a thread whose RECORD_TIME was lost. */
    stacks_forget_thread(recorder->stacks, record->tid);
    free(tid_map_take(&recorder->threads, record->tid));
    if (record->pid == record->fork.parent_pid)
        return;
    struct process *parent = process_find(&recorder->processes, record->fork.parent_pid);
    if (!parent)
        return;
    parent->ended = false; /* or making room for the child would drop it */
    struct process *child = process_get(&recorder->processes, record->pid);
    if (!child)
        return;
    child->ended = false;
    process_forget_code(child);
    space_release(&child->space);
    space_copy(&child->space, recorder->processes.modules, &parent->space, (pid_t)record->pid);
}

static void feed_exit(struct recorder *recorder, const struct record *record)
{
    struct process *process = process_find(&recorder->processes, record->pid);
    recorder->exited++;
    stacks_forget_thread(recorder->stacks, record->tid);
    if (process && record->pid == record->tid) {
        process->ended = true;
        process_forget_code(process);
    }
}

/*
 * Running time without a tick: by the clock's nature less than a period per CPU, and a little
 * of another thread's where the kernel swapped their contexts. What is more are ticks that came
 * late or never (a virtual machine that was itself not running), and that time is not the
 * thread's.
 */
static int64_t owed_ns(const struct recorder *recorder, const struct thread_state *thread)
{
    int64_t period_ns = (int64_t)recorder->options.period_ns;
    int64_t owed = (int64_t)thread->running_ns - (int64_t)thread->ticks * period_ns;
    int64_t most = (int64_t)(thread->cpus + 3) * period_ns;
    return owed > most ? most : owed < -most ? -most : owed;
}

static void feed_time(struct recorder *recorder, const struct record *record)
{
    struct thread_state *thread = thread_get(recorder, record->pid, record->tid);
    thread->running_ns += record->time.running_ns;
    thread->cpus += record->time.running_ns > 0;
    if (++thread->times < recorder->options.cpu_count)
        return;
    recorder->pool_ns += owed_ns(recorder, thread);
    if (thread->last_node) {
        recorder->ended_node = thread->last_node;
        recorder->ended_thread = thread->id;
    }
    free(tid_map_take(&recorder->threads, record->tid));
    recorder->ended++;
}

/* Ticks that no sample stands behind, at the time of the last one. */
static void add_extrapolated(struct recorder *recorder, uint64_t ticks, thread_id thread,
                             node_id node)
{
    recorder->profile->quality.extrapolated += ticks;
    add_ticks(recorder, ticks, thread, node, recorder->last_ns);
}

/* The same for those of which no stack is known. */
static void add_stand_in(struct recorder *recorder, uint64_t ticks, const char *name,
                         enum frame_kind kind)
{
    uint32_t pid = (uint32_t)recorder->options.pid;
    if (ticks)
        add_extrapolated(recorder, ticks, profile_add_thread(recorder->profile, pid, pid, ""),
                         profile_add_node(recorder->profile, 0, named_frame(recorder, name, kind)));
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many ticks the kernel's account of the target is ahead of ours. */
static uint64_t missing_ticks(const struct recorder *recorder, uint64_t cpu_ns)
{
    uint64_t accounted = cpu_ns / recorder->options.period_ns;
    return accounted > recorder->ticks ? accounted - recorder->ticks : 0;
}

void recorder_account(struct recorder *recorder, uint64_t cpu_ns)
{
    enum { EXIT_NS_MAX = 100000 };
    uint64_t period_ns = recorder->options.period_ns;
    uint64_t pooled = recorder->pool_ns > 0 ? (uint64_t)recorder->pool_ns / period_ns : 0;
    uint64_t ticks = least(pooled, missing_ticks(recorder, cpu_ns));
    recorder->pool_ns -= (int64_t)(ticks * period_ns);
    if (recorder->ended_node)
        add_extrapolated(recorder, ticks, recorder->ended_thread, recorder->ended_node);
    else
        add_stand_in(recorder, ticks, "(short-lived threads)", FRAME_UNKNOWN);
    if (!recorder->options.kernel || !recorder->options.cpu_count)
        return;
    /* What threads that still run may owe is not the exits'. */
    uint64_t missing = missing_ticks(recorder, cpu_ns);
    uint64_t owed = recorder->threads.count + recorder->options.cpu_count;
    missing = least(missing > owed ? missing - owed : 0,
                    recorder->exited * EXIT_NS_MAX / period_ns - recorder->exit_ticks);
    recorder->exit_ticks += missing;
    add_stand_in(recorder, missing, "(thread start and exit)", FRAME_KERNEL);
}

void recorder_settle(struct recorder *recorder, uint64_t running_ns, uint64_t cpu_ns)
{
    enum { IGNORED_PERCENT = 1 };
    uint64_t expected = running_ns / recorder->options.period_ns;
    uint64_t ticked = recorder->ticks - recorder->exit_ticks;
    uint64_t missing = expected > ticked ? expected - ticked : 0;
    /* The clock of a thread is less than a period behind on each CPU. */
    uint64_t threads = recorder->options.thread_count + recorder->forked;
    threads = threads > recorder->ended ? threads - recorder->ended : 0;
    if (recorder->options.cpu_count)
        missing = least(missing, threads * recorder->options.cpu_count);
    missing = least(missing, missing_ticks(recorder, cpu_ns));
    if (recorder->options.kernel && missing * 100 > expected * IGNORED_PERCENT)
        add_stand_in(recorder, missing, "(unsampled)", FRAME_UNKNOWN);
    reorder_flush(&recorder->reorder, &recorder->profile->samples);
}

node_id recorder_stack(struct recorder *recorder, const struct record *record)
{
    struct process *process = process_find(&recorder->processes, record->pid);
    if (!process)
        return 0;
    struct quality *quality = &recorder->profile->quality;
    const struct quality before = *quality;
    node_id node = stacks_add(recorder->stacks, process, record, 0);
    /* These tell of samples, and this is none. */
    quality->truncated = before.truncated;
    quality->stitched = before.stitched;
    quality->broken = before.broken;
    quality->js_frames = before.js_frames;
    quality->js_named = before.js_named;
    return node;
}

node_id recorder_last_node(const struct recorder *recorder, uint32_t tid)
{
    const struct thread_state *thread = tid_map_get(&recorder->threads, tid);
    return thread && thread->sampled ? thread->last_node : 0;
}

void recorder_release_samples(struct recorder *recorder, uint64_t now_us)
{
    if (recorder->options.wall && now_us > REORDER_US)
        reorder_give(&recorder->reorder, &recorder->profile->samples, now_us - REORDER_US);
}

void recorder_finish_names(struct recorder *recorder)
{
    for (size_t i = 0; i < recorder->processes.items.count; i++)
        process_forget_code(recorder->processes.items.items[i]);
    stacks_finish_lines(recorder->stacks, recorder->cpu);
}

void recorder_feed(struct recorder *recorder, const struct record *record)
{
    if (record->kind != RECORD_LOST && !recorder->options.children &&
        record->pid != (uint32_t)recorder->options.pid)
        return;
    switch (record->kind) {
    case RECORD_SAMPLE:
        feed_sample(recorder, record);
        break;
    case RECORD_MAP:
        feed_map(recorder, record);
        break;
    case RECORD_COMM:
        feed_comm(recorder, record);
        break;
    case RECORD_FORK:
        feed_fork(recorder, record);
        break;
    case RECORD_EXIT:
        feed_exit(recorder, record);
        break;
    case RECORD_TIME:
        feed_time(recorder, record);
        break;
    case RECORD_LOST:
        recorder->profile->quality.lost += record->lost.count;
        break;
    }
}
