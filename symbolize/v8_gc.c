/*
 * v8_gc.c - hits paired up to pauses.
 *
 * V8 has one pause at a time in a thread: a begin while one is open says that an end was missed,
 * and an end without a begin that memprof came in the middle. Neither is guessed at.
 *
 * A step ends with a return at the same stack pointer that it began at, so that no return of a
 * step within a step is taken for its own. Within a pause steps are part of it.
 *
 * The sizes stand in GCTracer::Event, whose place in the tracer moves from version to version. It
 * is known by the times that it holds: start_time and end_time, one behind the other, in
 * milliseconds (a double, up to 11.3) or microseconds of the same clock as the hits'. Then come a
 * word of flags, start_object_size and end_object_size. Only these times prove that it is this
 * pause's record, so that it is the search and the check in one.
 */
#include "symbolize/v8_gc.h"

#include <math.h>
#include <string.h>

enum { TRACER_BYTES = 24 * 1024, EVENT_WORDS = 5, SIZE_MAX_BITS = 44 };

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

static void begin_pause(struct v8_gc_thread *thread, const struct v8_gc_hit *hit, uint32_t stack)
{
    thread->paused = true;
    thread->stepping = false;
    thread->collector = -1;
    thread->pause = (struct v8_gc_pause){
        .begin_ns = hit->time_ns,
        .reason = thread->reason_known ? name_reason(thread->reason) : NULL,
        .stack = stack,
        .tracer = hit->arguments[0],
    };
    thread->reason_known = false;
}

static bool end_pause(struct v8_gc_thread *thread, bool end_tells_kind, const struct v8_gc_hit *hit,
                      struct v8_gc_pause *ret_pause)
{
    if (!thread->paused)
        return false;
    thread->paused = false;
    if (hit->arguments[0] != thread->pause.tracer || hit->time_ns < thread->pause.begin_ns)
        return false;
    *ret_pause = thread->pause;
    ret_pause->end_ns = hit->time_ns;
    ret_pause->what =
        name_collector(end_tells_kind ? (int32_t)hit->arguments[1] : thread->collector);
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

bool v8_gc_feed(struct v8_gc_thread *thread, bool end_tells_kind, const struct v8_gc_hit *hit,
                uint32_t stack, struct v8_gc_pause *ret_pause)
{
    switch (hit->role) {
    case V8_GC_BEGIN:
        begin_pause(thread, hit, stack);
        return false;
    case V8_GC_END:
        return end_pause(thread, end_tells_kind, hit, ret_pause);
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

/* Words: start_time, end_time, flags, start_object_size, end_object_size. */
static bool is_record(const uint64_t words[EVENT_WORDS], const struct v8_gc_pause *pause)
{
    enum { EARLY_US = 500, LATE_US = 500 };
    double begin_us = (double)pause->begin_ns / 1e3, end_us = (double)pause->end_ns / 1e3;
    for (int milliseconds = 0; milliseconds < 2; milliseconds++) {
        double start = time_of(words[0], milliseconds), stop = time_of(words[1], milliseconds);
        if (start < begin_us - EARLY_US || start > begin_us + LATE_US || stop < end_us - EARLY_US ||
            stop > end_us + LATE_US || stop < start)
            continue;
        return words[3] && words[4] && words[3] >> SIZE_MAX_BITS == 0 &&
               words[4] >> SIZE_MAX_BITS == 0;
    }
    return false;
}

bool v8_gc_sizes(struct remote_memory *memory, const struct v8_gc_pause *pause,
                 uint64_t *ret_before, uint64_t *ret_after)
{
    uint64_t words[TRACER_BYTES / sizeof(uint64_t)];
    size_t count = sizeof words / sizeof *words;
    if (!pause->tracer || pause->tracer % sizeof(uint64_t) ||
        !remote_read(memory, pause->tracer, words, sizeof words))
        return false;
    for (size_t i = 0; i + EVENT_WORDS <= count; i++)
        if (is_record(words + i, pause)) {
            *ret_before = words[i + 3];
            *ret_after = words[i + 4];
            return true;
        }
    return false;
}
