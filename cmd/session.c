/*
 * session.c - the order of things in a recording.
 *
 * The output comes first, so that a bad destination is told before the target is touched; the
 * events before the mappings, so that none is missed in between; and the events go as soon as
 * their last count is read, because the target pays for them as long as they exist.
 */
#include "cmd/session.h"

#include "cmd/session_journal.h"
#include "core/perf.h"
#include "core/ptrace.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { ACCOUNT_NS = 100000000, CHILDREN_ACCOUNT_NS = 1000000000 };

enum { RING_DELAY_NS = 2000000 }; /* a record may come so late into another CPU's ring */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static int open_output(struct session *session, struct error *err)
{
    const char *path = session->options.output_path;
    session->output_path =
        path ? xstrdup(path) : xasprintf("memprof-%d.cpuprofile", session->target.pid);
    path = session->output_path;
    session->finish = (struct finish){.format = finish_format(path, err),
                                      .write = session->options.write,
                                      .threads_given = session->options.threads_given};
    if (!session->finish.format || output_file_open(path, &session->output, err))
        return -1;
    return session_journal_open(session, err);
}

static int open_target(struct session *session, struct error *err)
{
    if (session->options.pid)
        return target_open(session->options.pid, &session->target, err);
    if (launch_prepare(session->options.command, &session->launch, err))
        return -1;
    session->launched = session->held = true;
    return target_open(session->launch.pid, &session->target, err);
}

/* The text behind "cannot sample PID (NAME): ". */
static const char *reason_of(const struct error *err)
{
    const char *end = strstr(err->text, "): ");
    return end && !strncmp(err->text, "cannot sample", 13) ? end + 3 : err->text;
}

static int open_sampler(struct session *session, const struct sampler_options *options,
                        struct error *err)
{
    struct error first, second;
    const struct target *target = &session->target;
    if (session->options.sampler == SAMPLER_PTRACE)
        return ptrace_open(target, options, &session->sampler, err);
    if (!perf_open(target, options, &session->sampler, &first))
        return 0;
    if (session->options.sampler == SAMPLER_PERF ||
        (first.code != ERROR_PERMISSION && first.code != ERROR_UNSUPPORTED))
        return error_set(err, first.code, "%s", first.text);
    if (ptrace_open(target, options, &session->sampler, &second))
        return error_set(err, second.code, "cannot sample %d (%s): by perf: %s; by ptrace: %s",
                         target->pid, target->command, reason_of(&first), reason_of(&second));
    snprintf(session->fallback, sizeof session->fallback, "%s", reason_of(&first));
    return 0;
}

static int open_events(struct session *session, struct error *err)
{
    const struct arch *arch = arch_host();
    struct sampler_options options = {
        .frequency_hz = session->options.frequency_hz,
        .stack_bytes = session->options.stack_bytes,
        .user_registers = arch->perf_mask,
        .user_register_count = arch->perf_count,
        .kernel = session->options.kernel,
        .children = session->options.children,
        .on_exec = session->launched,
        .wall = session->options.wall,
    };
    return open_sampler(session, &options, err);
}

/*
 * The target's CPU time since the start, as far as samples can show it. Children that run have
 * no account of their own in the target's: for them the events' own count stands.
 */
static uint64_t accounted_ns(const struct session *session)
{
    double user_s = session->last_user_s - session->first_user_s;
    double system_s = session->last_system_s - session->first_system_s;
    if (!session->sampler->kernel_time)
        return (uint64_t)(user_s * 1e9);
    if (session->options.children)
        return sampler_running_ns(session->sampler);
    return (uint64_t)((user_s + system_s) * 1e9);
}

/* With children each look reads every event, under locks that fork takes in the target. */
static void read_cpu_time(struct session *session, bool last)
{
    uint64_t now_ns = monotonic_ns();
    if (!last && now_ns < session->next_account_ns)
        return;
    session->next_account_ns =
        now_ns + (session->options.children ? CHILDREN_ACCOUNT_NS : ACCOUNT_NS);
    if (target_cpu_time(&session->target, session->options.children, &session->last_user_s,
                        &session->last_system_s))
        return;
    session->accounted_ns = accounted_ns(session);
    recorder_account(session->recorder, session->accounted_ns);
    session->last_ticks = recorder_ticks(session->recorder);
}

/* A child that ends meanwhile is no failure. */
static int read_mappings(struct session *session, struct error *err)
{
    _cleanup_free_ pid_t *pids = NULL;
    size_t count;
    target_processes(&session->target, session->options.children, &pids, &count);
    for (size_t i = 1; i < count; i++)
        recorder_read_mappings(session->recorder, pids[i], NULL);
    return recorder_read_mappings(session->recorder, session->target.pid, err);
}

static int open_recorder(struct session *session, struct error *err)
{
    session->modules = modules_new();
    session->raw = profile_new();
    session->recorder = recorder_new(session->raw, session->modules,
                                     &(struct recorder_options){
                                         .pid = session->target.pid,
                                         .kernel = session->sampler->kernel_time,
                                         .children = session->options.children,
                                         .period_ns = 1000000000u / session->sampler->frequency_hz,
                                         .thread_count = session->sampler->thread_count,
                                         .cpu_count = session->sampler->cpu_count,
                                         .wall = session->options.wall,
                                         .mappings_on_demand = session->sampler->mappings_on_demand,
                                         .arch = arch_host(),
                                     });
    target_cpu_time(&session->target, session->options.children, &session->first_user_s,
                    &session->first_system_s);
    /* What ran between the first event and this reading has been sampled, too. */
    session->first_user_s -= (double)sampler_running_ns(session->sampler) / 1e9;
    session->last_user_s = session->first_user_s;
    session->last_system_s = session->first_system_s;
    return session->launched ? 0 : read_mappings(session, err);
}

int session_open(struct session *session, const struct session_options *options, struct error *err)
{
    *session = (struct session){.options = *options, .target.pidfd = -1, .output.fd = -1};
    if (open_target(session, err) || open_output(session, err))
        return -1;
    session->start_ns = monotonic_ns();
    /* Events come before the mappings are read: what is mapped in between is in their records. */
    if (open_events(session, err) || open_recorder(session, err))
        return -1;
    session->gc = session_gc_new(session);
    session_gc_step(session->gc, session, session->start_ns);
    session->node = session_node_new();
    return 0;
}

static void fill_meta(struct session *session)
{
    struct profile_meta *meta = &session->raw->meta;
    struct strings *strings = &session->raw->strings;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    meta->command = strings_intern(strings, session->target.command_line);
    meta->host = strings_intern(strings, host);
    meta->tool = strings_intern(strings, "memprof " MEMPROF_VERSION);
    meta->pid = (uint32_t)session->target.pid;
    meta->start_us = session->start_ns / 1000;
    meta->wall_start_us = (clock_ns(CLOCK_REALTIME) - (monotonic_ns() - session->start_ns)) / 1000;
    meta->period_us =
        (1000000 + session->sampler->frequency_hz / 2) / session->sampler->frequency_hz;
    meta->kernel = session->sampler->kernel_frames;
    session->raw->quality.sampler = strings_intern(strings, session->sampler->name);
}

static void read_memory(struct session *session, bool last)
{
    memory_reader_read(session->memory, monotonic_ns() / 1000, last);
    session_node_read(session->node, session);
}

int session_start(struct session *session, struct error *err)
{
    if (session->held) {
        session->start_ns = monotonic_ns();
        session->held = false;
        if (launch_go(&session->launch, err)) {
            session->launched = false;
            return -1;
        }
        target_name_command(&session->target, session->options.command);
    }
    fill_meta(session);
    session_journal_begin(session);
    session->memory = memory_reader_new(&session->target, session->raw);
    read_memory(session, false);
    session->next_memory_ns = monotonic_ns() + (uint64_t)(session->options.memory_interval_s * 1e9);
    return 0;
}

static void exec_seen(struct session *session, pid_t pid)
{
    session_gc_exec(session->gc, pid);
    session_node_exec(session->node, pid);
}

/* Everything that was recorded up to a time. */
static void drain(struct session *session, uint64_t until_ns)
{
    struct record record;
    while (sampler_next(session->sampler, until_ns, &record)) {
        recorder_feed(session->recorder, &record);
        if (record.kind == RECORD_COMM && record.comm.exec)
            exec_seen(session, (pid_t)record.pid);
    }
    session_gc_step(session->gc, session, until_ns);
}

bool session_step(struct session *session)
{
    int patience_ms = recorder_patience_ms(session->recorder);
    bool woken = sampler_wait(session->sampler, session_gc_descriptor(session->gc),
                              session_gc_patience(session->gc, patience_ms));
    /* What is newer may still be on its way into another CPU's ring. */
    drain(session, monotonic_ns() - RING_DELAY_NS);
    if (woken)
        session_gc_woken(session->gc);
    bool alive = (!woken && session_gc_tells_end(session->gc)) || target_alive(&session->target);
    session_node_step(session->node, session);
    read_cpu_time(session, false);
    if (alive && monotonic_ns() >= session->next_memory_ns) {
        read_memory(session, false);
        session->next_memory_ns += (uint64_t)(session->options.memory_interval_s * 1e9);
        if (session->next_memory_ns < monotonic_ns())
            session->next_memory_ns = monotonic_ns();
    }
    return session_journal_step(session) && alive;
}

void session_measure(struct session *session)
{
    struct quality *quality = &session->raw->quality;
    struct rusage usage;
    double period_s = 1.0 / session->sampler->frequency_hz;
    double user_s = session->last_user_s - session->first_user_s;
    double system_s = session->last_system_s - session->first_system_s;
    bool kernel = session->sampler->kernel_time;
    session->raw->meta.end_us = monotonic_ns() / 1000;
    quality->present = true;
    quality->sampled_cpu_s = (double)session->last_ticks * period_s;
    quality->target_cpu_s = kernel ? user_s + system_s : user_s;
    if (session->options.children) /* of just these processes only the events' own count is known */
        quality->target_cpu_s = kernel ? (double)session->accounted_ns / 1e9 : 0;
    quality->coverage =
        quality->target_cpu_s > 0 ? quality->sampled_cpu_s / quality->target_cpu_s : -1;
    getrusage(RUSAGE_SELF, &usage);
    quality->profiler_cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                              (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    quality->profiler_rss_peak = (uint64_t)usage.ru_maxrss * 1024;
}

static void append_note(char *note, size_t size, const char *more)
{
    size_t length = strlen(note);
    if (*more)
        snprintf(note + length, size - length, "%s%s", length ? "; " : "", more);
}

static void fill_note(struct session *session)
{
    struct profile *raw = session->raw;
    char note[1024];
    snprintf(note, sizeof note, "%s%s%s", session->sampler->note,
             *session->fallback ? "; instead of perf: " : "", session->fallback);
    if (!*note && session->options.kernel && !session->sampler->kernel_time)
        snprintf(note, sizeof note,
                 "no kernel frames, and %.2f s of kernel time not sampled: "
                 "kernel.perf_event_paranoid is above 1 and CAP_PERFMON is missing",
                 session->last_system_s - session->first_system_s);
    char more[512];
    /* Why V8's frames could not be read; the recorder is who tries. */
    if (raw->quality.note)
        snprintf(more, sizeof more, "no names of JavaScript but a perf map's: %s",
                 profile_string(raw, raw->quality.note));
    append_note(note, sizeof note, raw->quality.note ? more : "");
    session_gc_note(session->gc, more, sizeof more);
    append_note(note, sizeof note, more);
    session_node_note(session->node, more, sizeof more);
    append_note(note, sizeof note, more);
    if (session->full.code)
        snprintf(note, sizeof note, "ended early: %s", session->full.text);
    raw->quality.note = strings_intern(&raw->strings, note);
}

int session_finish(struct session *session, struct error *err)
{
    read_memory(session, true);
    sampler_disable(session->sampler);
    drain(session, monotonic_ns());
    session_gc_finish(session->gc, session);
    read_cpu_time(session, true);
    uint64_t ticks = recorder_ticks(session->recorder);
    session->accounted_ns = accounted_ns(session);
    recorder_settle(session->recorder, sampler_running_ns(session->sampler), session->accounted_ns);
    session->last_ticks += recorder_ticks(session->recorder) - ticks;
    session_node_finish(session->node, session);
    session_measure(session);
    fill_note(session);
    sampler_free(session->sampler);
    session->sampler = NULL;
    recorder_finish_names(session->recorder);
    session_journal_finish(session);
    if (!finish_profile(&session->finish, session->raw, session->modules, &session->output, err))
        return 0;
    session->journal_kept = session->journal_path;
    return -1;
}

void session_release(struct session *session)
{
    if (session->held)
        launch_abort(&session->launch);
    memory_reader_free(session->memory);
    session_gc_free(session->gc);
    session_node_free(session->node);
    recorder_free(session->recorder);
    sampler_free(session->sampler);
    profile_free(session->raw);
    modules_free(session->modules);
    journal_close(session->journal, session->journal_kept);
    output_file_release(&session->output);
    free(session->journal_path);
    target_release(&session->target);
    free(session->output_path);
}
