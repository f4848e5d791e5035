/*
 * v8_gc.c - hits paired up to pauses.
 *
 * V8 has one pause at a time in a thread: a begin while one is open says that an end was missed,
 * and an end without a begin that memprof came in the middle. Neither is guessed at.
 *
 * A step ends with a return at the same stack pointer that it began at, so that no return of a
 * step within a step is taken for its own. Within a pause steps are part of it.
 *
 * V8's own times are taken where they are told: a thread that loses its CPU between V8's look at
 * the clock and the hook would seem to pause for longer than V8 says.
 *
 * The sizes stand in GCTracer::Event, whose place in the tracer moves from version to version. It
 * is known by the times that it holds: start_time and end_time, one behind the other, in
 * milliseconds (a double, up to 11.3) or microseconds of the same clock as the hits'. Then come a
 * word of flags, start_object_size and end_object_size. Pauses of a thread do not overlap, so that
 * a record that does with this one is its record: the search and the check are one.
 */
#include "symbolize/v8_gc.h"

#include <math.h>
#include <string.h>

enum { TRACER_BYTES = 24 * 1024, EVENT_WORDS = 5, SIZE_MIN_BITS = 20, SIZE_MAX_BITS = 44 };

/* GarbageCollector, src/common/globals.h: the same numbers in all versions. */
static const char *name_collector(int32_t collector)
{
    static const char *const names[] = {"scavenge", "mark-compact", "minor mark-compact"};
    return collector >= 0 && collector < 3 ? names[collector] : NULL;
}

/* GarbageCollectionReason, src/common/globals.h: numbers are never used again, and --trace-gc's
 * words. */
static const char *name_reason(uint32_t reason)
{
    static const char *const names[] = {
        NULL,
        "allocation failure",
        "allocation limit",
        "context disposal",
        "counters extension",
        "debugger",
        "deserialize",
        "external memory pressure",
        "finalize incremental marking via stack guard",
        "finalize incremental marking via task",
        "full hash-table",
        "heap profiler",
        "task",
        "last resort",
        "low memory notification",
        "make heap iterable",
        "memory pressure",
        "memory reducer",
        "runtime",
        "sampling profiler",
        "snapshot creator",
        "testing",
        "external finalize",
        "global allocation limit",
        "measure memory",
        "background allocation failure",
        "finalize concurrent minor collection",
        "CppHeap allocation failure",
    };
    return reason < sizeof names / sizeof *names ? names[reason] : NULL;
}

/* The time that V8 has told, in microseconds; the hit's own if that makes no sense. */
static uint64_t told_time(const struct v8_gc_hit *hit, bool told, uint64_t time_us)
{
    enum { LATE_US = 1000000 };
    uint64_t hit_us = hit->time_ns / 1000;
    return told && time_us <= hit_us && hit_us - time_us < LATE_US ? time_us * 1000 : hit->time_ns;
}

static void begin_pause(struct v8_gc_thread *thread, const struct v8_gc_hooks *hooks,
                        const struct v8_gc_hit *hit, uint32_t stack)
{
    thread->paused = true;
    thread->stepping = false;
    thread->collector = -1;
    thread->pause = (struct v8_gc_pause){
        .begin_ns = told_time(hit, hooks->begin_tells_time, hit->arguments[1]),
        .reason = thread->reason_known ? name_reason(thread->reason) : NULL,
        .stack = stack,
        .tracer = hit->arguments[0],
    };
    thread->reason_known = false;
}

static bool end_pause(struct v8_gc_thread *thread, const struct v8_gc_hooks *hooks,
                      const struct v8_gc_hit *hit, struct v8_gc_pause *ret_pause)
{
    uint64_t end_ns = told_time(hit, hooks->end_tells_kind, hit->arguments[2]);
    if (!thread->paused)
        return false;
    thread->paused = false;
    if (hit->arguments[0] != thread->pause.tracer || end_ns < thread->pause.begin_ns)
        return false;
    *ret_pause = thread->pause;
    ret_pause->end_ns = end_ns;
    ret_pause->what =
        name_collector(hooks->end_tells_kind ? (int32_t)hit->arguments[1] : thread->collector);
    return true;
}

static void begin_step(struct v8_gc_thread *thread, const struct v8_gc_hit *hit, uint32_t stack)
{
    if (thread->paused)
        return;
    thread->stepping = true;
    thread->step_sp = hit->sp;
    thread->step = (struct v8_gc_pause){
        .begin_ns = hit->time_ns,
        .what = "incremental step",
        .stack = stack,
    };
}

static bool end_step(struct v8_gc_thread *thread, const struct v8_gc_hit *hit,
                     struct v8_gc_pause *ret_pause)
{
    if (!thread->stepping || hit->sp != thread->step_sp || hit->time_ns < thread->step.begin_ns)
        return false;
    thread->stepping = false;
    *ret_pause = thread->step;
    ret_pause->end_ns = hit->time_ns;
    return true;
}

bool v8_gc_feed(struct v8_gc_thread *thread, const struct v8_gc_hooks *hooks,
                const struct v8_gc_hit *hit, uint32_t stack, struct v8_gc_pause *ret_pause)
{
    switch (hit->role) {
    case V8_GC_BEGIN:
        begin_pause(thread, hooks, hit, stack);
        return false;
    case V8_GC_END:
        return end_pause(thread, hooks, hit, ret_pause);
    case V8_GC_REASON:
        thread->reason_known = true;
        thread->reason = (uint32_t)hit->arguments[2];
        return false;
    case V8_GC_KIND:
        thread->collector = (int32_t)hit->arguments[1];
        return false;
    case V8_GC_STEP_BEGIN:
        begin_step(thread, hit, stack);
        return false;
    case V8_GC_STEP_END:
        return end_step(thread, hit, ret_pause);
    }
    return false;
}

void v8_gc_lose(struct v8_gc_thread *thread)
{
    *thread = (struct v8_gc_thread){0};
}

/* A time as an Event holds it, in microseconds; negative if the word is none. */
static double time_of(uint64_t word, bool milliseconds)
{
    if (!milliseconds)
        return word < (uint64_t)1 << 53 ? (double)word : -1;
    double value;
    memcpy(&value, &word, sizeof value);
    return isfinite(value) && value > 0 && value < 1e15 ? value * 1000 : -1;
}

/* No isolate of Node.js has a heap below 1 MiB; what is less is not written yet, or something else.
 */
static bool is_heap_size(uint64_t bytes)
{
    return bytes >> SIZE_MIN_BITS && bytes >> SIZE_MAX_BITS == 0;
}

/*
 * Words: start_time, end_time, flags, start_object_size, end_object_size. Of a record of this pause
 * the times are given back.
 */
static bool is_record(const uint64_t words[EVENT_WORDS], const struct v8_gc_pause *pause,
                      double *ret_start_us, double *ret_stop_us)
{
    double begin_us = (double)pause->begin_ns / 1e3, end_us = (double)pause->end_ns / 1e3;
    for (int milliseconds = 0; milliseconds < 2; milliseconds++) {
        double start = time_of(words[0], milliseconds), stop = time_of(words[1], milliseconds);
        double shared = fmin(stop, end_us) - fmax(start, begin_us);
        double all = fmax(stop, end_us) - fmin(start, begin_us);
        if (start <= 0 || stop < start || 2 * shared < all)
            continue;
        *ret_start_us = start;
        *ret_stop_us = stop;
        return is_heap_size(words[3]) && is_heap_size(words[4]);
    }
    return false;
}

bool v8_gc_read_record(struct remote_memory *memory, struct v8_gc_pause *pause,
                       uint64_t *ret_before, uint64_t *ret_after)
{
    uint64_t words[TRACER_BYTES / sizeof(uint64_t)];
    size_t count = sizeof words / sizeof *words;
    double start_us, stop_us;
    if (!pause->tracer || pause->tracer % sizeof(uint64_t) ||
        !remote_read(memory, pause->tracer, words, sizeof words))
        return false;
    for (size_t i = 0; i + EVENT_WORDS <= count; i++)
        if (is_record(words + i, pause, &start_us, &stop_us)) {
            pause->begin_ns = (uint64_t)(start_us * 1e3);
            pause->end_ns = (uint64_t)(stop_us * 1e3);
            *ret_before = words[i + 3];
            *ret_after = words[i + 4];
            return true;
        }
    return false;
}
