/*
 * session_gc.c - which threads are watched, by what means, and what becomes of the hits.
 *
 * A process that runs V8 is known by a module that has the collector's functions. Its main thread
 * is watched as soon as that module is mapped. Other threads that run JavaScript (Workers) are
 * known by it: their last sample has generated code in its stack. So a Worker's first collections,
 * before its first sample was taken in, are not seen. Watching all threads from their creation
 * would show them, but the target would pay for it: see core/perf_probe.h.
 *
 * Uprobes first, for they are as many as are wanted; then the four debug registers. Where a
 * debugger uses some, two are enough for pauses, but not for the steps of incremental marking.
 *
 * The stack is taken at the end: the calls that led to the pause are still there, and the collector
 * has updated what they hold where it moved objects. To unwind and name it costs as much as a
 * sample does. So where pauses are many it is done for all that are long and one of the others each
 * so often: these tell who sets off the rest, too.
 */
#include "cmd/session_gc.h"

#include "cmd/session.h"
#include "core/limits.h"
#include "core/perf_probe.h"
#include "symbolize/v8_gc.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    MODULE_BYTES_MIN = 8 << 20, /* no build of V8 is as small; others are not searched */
    STACK_BYTES = 16 * 1024,
    LONG_PAUSE_US = 50000,
    WATCHED_MAX = 16,       /* closing a thread's uprobes takes 0.2 s */
    RECENT = V8_GC_PLACES,  /* so many collections back the tracer remembers */
    STACKS_PER_SECOND = 25, /* of pauses that are not long, */
    STACKS_SAVED = 100,     /* and so many at once */
    STACK_LONG_NS = 5000000,
    LONGEST = 10,    /* a report names them */
    PAUSE_HOOKS = 2, /* the first ones */
    LOOK_INTERVAL_NS = 50000000,
    START_NS = 1000000000,
    START_WAIT_MS = 10
};

struct recent {
    struct v8_gc_pause pause;
    size_t event;
};

struct watched {
    pid_t pid, tid;
    struct perf_probe *probe;
    struct v8_gc_thread state;
    struct recent recent[RECENT];
    size_t recent_count;
};

struct session_gc {
    int wake_fd;
    bool tells_end;
    bool launched;
    uint64_t start_ns;
    uint64_t next_look_ns; /* for threads that run JavaScript */
    size_t modules_seen;
    struct module *module; /* that has V8; NULL: none yet */
    struct v8_gc_hooks hooks;
    bool tried, works; /* one of the means was found */
    struct perf_probe_options options;
    struct error failure; /* if none works */
    struct v8_gc_places places;
    double stacks_left; /* of STACKS_SAVED, as of */
    uint64_t stacks_ns;
    uint64_t longest_ns[LONGEST]; /* pauses so far, in no order */
    vec(struct watched) watched;
    vec(struct long_pause) long_pauses;
    size_t long_told;
    uint64_t lost, not_watched, not_kept;
};

struct session_gc *session_gc_new(const struct session *session)
{
    struct session_gc *gc = xcalloc(1, sizeof *gc);
    struct epoll_event event = {.events = EPOLLIN};
    gc->launched = session->launched;
    gc->start_ns = monotonic_ns();
    gc->wake_fd = epoll_create1(EPOLL_CLOEXEC);
    gc->tells_end = !epoll_ctl(gc->wake_fd, EPOLL_CTL_ADD, session->target.pidfd, &event);
    return gc;
}

void session_gc_free(struct session_gc *gc)
{
    if (!gc)
        return;
    for (size_t i = 0; i < gc->watched.count; i++)
        perf_probe_free(gc->watched.items[i].probe);
    if (gc->wake_fd >= 0)
        close(gc->wake_fd);
    vec_release(&gc->watched);
    vec_release(&gc->long_pauses);
    free(gc);
}

int session_gc_descriptor(const struct session_gc *gc)
{
    return gc->wake_fd;
}

bool session_gc_tells_end(const struct session_gc *gc)
{
    return gc->tells_end;
}

int session_gc_patience(const struct session_gc *gc, int otherwise)
{
    /* A program that was just launched collects before a tenth of a second is over. */
    bool starts = gc->launched && !gc->module && monotonic_ns() - gc->start_ns < START_NS;
    return starts ? START_WAIT_MS : otherwise;
}

static void find_v8(struct session_gc *gc, const struct modules *modules)
{
    for (; gc->modules_seen < modules->items.count && !gc->module; gc->modules_seen++) {
        struct module *module = modules->items.items[gc->modules_seen];
        if (module->kind == MODULE_FILE && module->elf && module->elf->size >= MODULE_BYTES_MIN &&
            v8_gc_find(module->elf, &gc->hooks))
            gc->module = module;
    }
}

/* Where a process has the module's code; false if it has not. */
static bool find_bias(const struct session_gc *gc, struct modules *modules, pid_t pid,
                      uint64_t *ret_bias)
{
    struct space space;
    struct error err;
    bool found = false;
    space_init(&space, modules, pid);
    if (!space_read(&space, modules, &err))
        for (size_t i = 0; i < space.segments.count && !found; i++)
            if (space.segments.items[i].module == gc->module) {
                *ret_bias = space.segments.items[i].bias;
                found = true;
            }
    space_release(&space);
    return found;
}

static void fill_options(struct session_gc *gc, enum perf_probe_means means, uint64_t bias)
{
    const struct arch *arch = arch_host();
    gc->options = (struct perf_probe_options){
        .means = means,
        .file = gc->module->elf->fd,
        .user_registers = arch->perf_mask,
        .user_register_count = arch->perf_count,
        .stack_bytes = STACK_BYTES,
    };
    for (size_t i = 0; i < gc->hooks.count; i++) {
        const struct v8_gc_hook *hook = &gc->hooks.items[i];
        gc->options.points[gc->options.count++] = (struct perf_probe_point){
            .file_offset = hook->file_offset,
            .address = hook->address + bias,
            .stack = hook->role == V8_GC_END || hook->role == V8_GC_STEP_END,
        };
    }
}

static int open_probe(struct session_gc *gc, struct modules *modules, enum perf_probe_means means,
                      const struct watched *thread, struct perf_probe **ret_probe,
                      struct error *err)
{
    uint64_t bias = 0;
    if (means == PERF_PROBE_DEBUG_REGISTERS && !find_bias(gc, modules, thread->pid, &bias))
        return error_set(err, ERROR_GONE, "process %d runs no V8", thread->pid);
    fill_options(gc, means, bias);
    int failed = perf_probe_open(&gc->options, thread->tid, ret_probe, err);
    if (failed && means == PERF_PROBE_DEBUG_REGISTERS && err->code == ERROR_LIMIT) {
        gc->options.count = PAUSE_HOOKS;
        failed = perf_probe_open(&gc->options, thread->tid, ret_probe, err);
    }
    return failed;
}

/* The first thread decides by which means all are watched. */
static int open_first(struct session_gc *gc, struct modules *modules, struct watched *thread)
{
    struct error first, second;
    if (!open_probe(gc, modules, PERF_PROBE_UPROBES, thread, &thread->probe, &first))
        return 0;
    if (first.code == ERROR_GONE)
        return -1;
    if (!perf_probe_try_debug_registers(&second) &&
        !open_probe(gc, modules, PERF_PROBE_DEBUG_REGISTERS, thread, &thread->probe, &second))
        return 0;
    if (second.code == ERROR_GONE)
        return -1;
    gc->tried = true;
    if (!strcmp(first.text, second.text))
        return error_set(&gc->failure, second.code, "%s", first.text);
    return error_set(&gc->failure, second.code, "%s, and %s", first.text, second.text);
}

static bool is_watched(const struct session_gc *gc, pid_t tid)
{
    for (size_t i = 0; i < gc->watched.count; i++)
        if (gc->watched.items[i].tid == tid)
            return true;
    return false;
}

static void watch(struct session_gc *gc, struct session *session, pid_t pid, pid_t tid)
{
    struct watched thread = {.pid = pid, .tid = tid};
    struct error err;
    if (gc->watched.count >= WATCHED_MAX) {
        gc->not_watched++;
        return;
    }
    if (!gc->works) {
        if (open_first(gc, session->modules, &thread))
            return;
        gc->works = gc->tried = true;
    } else if (open_probe(gc, session->modules, gc->options.means, &thread, &thread.probe, &err)) {
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = thread.probe};
    epoll_ctl(gc->wake_fd, EPOLL_CTL_ADD, perf_probe_descriptor(thread.probe), &event);
    vec_append(&gc->watched, thread);
}

/* Whether a stack has code in it that V8 has made. */
static bool runs_javascript(const struct session *session, node_id node)
{
    const struct profile *raw = session->raw;
    const struct modules *modules = session->modules;
    for (; node; node = raw->nodes.items[node].parent) {
        const struct frame *frame = profile_frame_of(raw, node);
        if (frame->kind == FRAME_JAVASCRIPT)
            return true;
        if (frame->kind != FRAME_KERNEL && frame->module && frame->module < modules->items.count &&
            module_is_generated(modules->items.items[frame->module]))
            return true;
    }
    return false;
}

static void watch_threads(struct session_gc *gc, struct session *session)
{
    if (!is_watched(gc, session->target.pid))
        watch(gc, session, session->target.pid, session->target.pid);
    gc->not_watched = 0;
    for (size_t i = 0; i < session->raw->threads.count && (gc->works || !gc->tried); i++) {
        const struct thread *thread = &session->raw->threads.items[i];
        if (!is_watched(gc, (pid_t)thread->tid) &&
            runs_javascript(session, recorder_last_node(session->recorder, thread->tid)))
            watch(gc, session, (pid_t)thread->pid, (pid_t)thread->tid);
    }
}

static struct v8_gc_hit read_hit(const struct session_gc *gc, const struct perf_probe_hit *hit)
{
    static const uint8_t x86_64[] = {5, 4, 1}, arm64[] = {0, 1, 2};
    const struct arch *arch = arch_host();
    const uint8_t *arguments = arch == &arch_x86_64 ? x86_64 : arm64;
    struct registers registers;
    arch_registers_from_perf(arch, hit->record.sample.registers, &registers);
    struct v8_gc_hit read = {
        .role = gc->hooks.items[hit->point].role,
        .time_ns = hit->record.time_ns,
    };
    for (size_t i = 0; i < sizeof x86_64; i++)
        read.arguments[i] = registers.value[arguments[i]];
    return read;
}

static bool is_among_longest(struct session_gc *gc, uint64_t duration_ns)
{
    uint64_t *least = gc->longest_ns;
    for (size_t i = 1; i < LONGEST; i++)
        if (gc->longest_ns[i] < *least)
            least = &gc->longest_ns[i];
    if (duration_ns <= *least)
        return false;
    *least = duration_ns;
    return true;
}

/* Whether there is a stack left for a pause, which it has then. */
static bool take_stack(struct session_gc *gc, const struct v8_gc_pause *pause)
{
    if (pause->end_ns > gc->stacks_ns) {
        gc->stacks_left += (double)(pause->end_ns - gc->stacks_ns) / 1e9 * STACKS_PER_SECOND;
        if (gc->stacks_left > STACKS_SAVED)
            gc->stacks_left = STACKS_SAVED;
        gc->stacks_ns = pause->end_ns;
    }
    uint64_t duration_ns = pause->end_ns - pause->begin_ns;
    if (is_among_longest(gc, duration_ns) || duration_ns >= STACK_LONG_NS)
        return true;
    if (gc->stacks_left < 1)
        return false;
    gc->stacks_left--;
    return true;
}

static void add_pause(struct session_gc *gc, struct session *session, struct watched *thread,
                      const struct v8_gc_pause *pause, const struct record *record)
{
    struct profile *raw = session->raw;
    if (raw->events.count >= LIMIT_EVENTS) {
        gc->not_kept++;
        return;
    }
    node_id node = take_stack(gc, pause) ? recorder_stack(session->recorder, record) : 0;
    *vec_push(&raw->events) = (struct profile_event){
        .time_us = pause->begin_ns / 1000,
        .duration_us = (pause->end_ns - pause->begin_ns + 500) / 1000,
        .kind = strings_intern(&raw->strings, EVENT_GC),
        .node = node,
        .what = pause->what ? strings_intern(&raw->strings, pause->what) : 0,
        .reason = pause->reason ? strings_intern(&raw->strings, pause->reason) : 0,
        .tid = (uint32_t)thread->tid,
    };
    if (pause->tracer) {
        memmove(thread->recent + 1, thread->recent, (RECENT - 1) * sizeof *thread->recent);
        thread->recent[0] = (struct recent){*pause, raw->events.count - 1};
        thread->recent_count += thread->recent_count < RECENT;
    }
}

/* What V8 itself still knows of the last collections. */
static void read_records(struct session_gc *gc, struct session *session, struct watched *thread)
{
    struct remote_memory memory = {.pid = thread->pid};
    for (size_t i = 0; i < thread->recent_count; i++) {
        struct v8_gc_pause *pause = &thread->recent[i].pause;
        struct profile_event *event = &session->raw->events.items[thread->recent[i].event];
        if (!v8_gc_read_record(&memory, &gc->places, pause))
            continue;
        event->before_bytes = pause->before_bytes;
        event->after_bytes = pause->after_bytes;
        event->time_us = pause->begin_ns / 1000;
        event->duration_us = (pause->end_ns - pause->begin_ns + 500) / 1000;
    }
    thread->recent_count = 0;
}

static void find_long(struct session_gc *gc, const struct profile *raw, size_t first)
{
    for (size_t i = first; i < raw->events.count; i++) {
        const struct profile_event *event = &raw->events.items[i];
        if (event->duration_us > LONG_PAUSE_US)
            *vec_push(&gc->long_pauses) = (struct long_pause){
                .duration_ms = (double)event->duration_us / 1000,
                .what = event->what ? profile_string(raw, event->what) : NULL,
            };
    }
}

static void read_hits(struct session_gc *gc, struct session *session, struct watched *thread,
                      uint64_t until_ns)
{
    struct perf_probe_hit hit;
    size_t first = session->raw->events.count;
    while (perf_probe_next(thread->probe, until_ns, &hit)) {
        struct v8_gc_pause pause;
        if (hit.point == SIZE_MAX) {
            gc->lost += hit.record.lost.count;
            v8_gc_lose(&thread->state);
            continue;
        }
        if (!hit.record.sample.registers)
            continue;
        struct v8_gc_hit read = read_hit(gc, &hit);
        if (v8_gc_feed(&thread->state, &gc->hooks, &read, &pause))
            add_pause(gc, session, thread, &pause, &hit.record);
    }
    read_records(gc, session, thread);
    find_long(gc, session->raw, first);
}

/* A descriptor that has hung up would wake us for ever. */
void session_gc_woken(struct session_gc *gc)
{
    struct epoll_event events[WATCHED_MAX + 1];
    int count = epoll_wait(gc->wake_fd, events, WATCHED_MAX + 1, 0);
    for (int i = 0; i < count; i++)
        if (events[i].events & (EPOLLHUP | EPOLLERR) && events[i].data.ptr)
            epoll_ctl(gc->wake_fd, EPOLL_CTL_DEL, perf_probe_descriptor(events[i].data.ptr), NULL);
}

void session_gc_step(struct session_gc *gc, struct session *session, uint64_t until_ns)
{
    if (!gc->module)
        find_v8(gc, session->modules);
    if (!gc->module)
        return;
    for (size_t i = 0; i < gc->watched.count; i++)
        read_hits(gc, session, &gc->watched.items[i], until_ns);
    if ((gc->works || !gc->tried) && until_ns >= gc->next_look_ns) {
        watch_threads(gc, session);
        gc->next_look_ns = until_ns + LOOK_INTERVAL_NS;
    }
}

void session_gc_exec(struct session_gc *gc, pid_t pid)
{
    size_t kept = 0;
    for (size_t i = 0; i < gc->watched.count; i++) {
        if (gc->watched.items[i].pid == pid)
            perf_probe_free(gc->watched.items[i].probe);
        else
            gc->watched.items[kept++] = gc->watched.items[i];
    }
    gc->watched.count = kept;
    if (!kept) {
        gc->module = NULL;
        gc->modules_seen = 0;
        gc->places = (struct v8_gc_places){0};
    }
}

void session_gc_finish(struct session_gc *gc, struct session *session)
{
    for (size_t i = 0; i < gc->watched.count; i++) {
        perf_probe_disable(gc->watched.items[i].probe);
        read_hits(gc, session, &gc->watched.items[i], monotonic_ns());
    }
}

void session_gc_note(const struct session_gc *gc, char *ret_note, size_t size)
{
    *ret_note = '\0';
    if (gc->tried && !gc->works)
        snprintf(ret_note, size, "GC pauses estimated from samples: %s", gc->failure.text);
    else if (gc->lost || gc->not_kept)
        snprintf(ret_note, size, "%" PRIu64 " GC hits lost, %" PRIu64 " GC pauses not kept",
                 gc->lost, gc->not_kept);
    else if (gc->not_watched)
        snprintf(ret_note, size, "GC pauses of %" PRIu64 " more threads not seen", gc->not_watched);
    else if (gc->works && gc->options.count < gc->hooks.count)
        snprintf(ret_note, size,
                 "GC steps of incremental marking not seen: uprobes need root or CAP_PERFMON, and "
                 "a debugger uses debug registers");
}

bool session_gc_next_long(struct session_gc *gc, struct long_pause *ret_pause)
{
    if (gc->long_told >= gc->long_pauses.count)
        return false;
    *ret_pause = gc->long_pauses.items[gc->long_told++];
    return true;
}
