/*
 * v8_gc.c - hits paired up to pauses.
 *
 * V8 has one pause at a time in a thread: a begin while one is open says that an end was missed,
 * and an end without a begin that memprof came in the middle. Neither is guessed at. Within a pause
 * steps are part of it.
 *
 * Two hits for each pause are the least that hold without a look at the target's memory in time:
 * who was told of the end alone would not know when it began once the next two collections are
 * over. Both are outside of what V8 takes for the pause, so that they do not make it longer.
 *
 * The sizes, and when V8 looked at the clock, stand in GCTracer::Event, whose place in the tracer
 * moves from version to version. It is known by the times that it holds: start_time and end_time,
 * one behind the other, in milliseconds (a double, up to 11.3) or microseconds of the same clock as
 * the hits'. Then come a word of flags, start_object_size and end_object_size. Pauses of a thread
 * do not overlap, so that a record whose times lie between the hits of this one is its record: the
 * search and the check are one. What was found once is looked for in the same place again, and the
 * tracer is searched for it less and less often, for a record that is not there may be overwritten.
 */
#include "symbolize/v8_gc.h"

#include <math.h>
#include <string.h>

enum {
    TRACER_BYTES = 24 * 1024,
    EVENT_WORDS = 5,
    SEARCH_INTERVAL_NS = 2000000, /* longer with each that fails, */
    SEARCH_INTERVALS_MAX = 50,    /* up to a tenth of a second */
    SIZE_MIN_BITS = 20,
    SIZE_MAX_BITS = 44
};

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

static void begin_pause(struct v8_gc_thread *thread, const struct v8_gc_hit *hit)
{
    *thread = (struct v8_gc_thread){
        .collecting = true,
        .begin_ns = hit->time_ns,
        .reason = name_reason((uint32_t)hit->arguments[2]),
    };
}

static bool end_pause(struct v8_gc_thread *thread, const struct v8_gc_hooks *hooks,
                      const struct v8_gc_hit *hit, struct v8_gc_pause *ret_pause)
{
    uint64_t end_ns = told_time(hit, hooks->end_tells_time, hit->arguments[2]);
    bool begun = thread->collecting && end_ns >= thread->begin_ns;
    thread->collecting = false;
    if (!begun)
        return false;
    *ret_pause = (struct v8_gc_pause){
        .begin_ns = thread->begin_ns,
        .end_ns = end_ns,
        .what = name_collector((int32_t)hit->arguments[1]),
        .reason = thread->reason,
        .tracer = hit->arguments[0],
    };
    return true;
}

static bool end_step(struct v8_gc_thread *thread, const struct v8_gc_hit *hit,
                     struct v8_gc_pause *ret_pause)
{
    bool begun = thread->stepping && hit->time_ns >= thread->step_begin_ns;
    thread->stepping = false;
    if (!begun)
        return false;
    *ret_pause = (struct v8_gc_pause){
        .begin_ns = thread->step_begin_ns, .end_ns = hit->time_ns, .what = "incremental step"};
    return true;
}

bool v8_gc_feed(struct v8_gc_thread *thread, const struct v8_gc_hooks *hooks,
                const struct v8_gc_hit *hit, struct v8_gc_pause *ret_pause)
{
    switch (hit->role) {
    case V8_GC_BEGIN:
        begin_pause(thread, hit);
        return false;
    case V8_GC_END:
        return end_pause(thread, hooks, hit, ret_pause);
    case V8_GC_STEP_BEGIN:
        thread->stepping = !thread->collecting;
        thread->step_begin_ns = hit->time_ns;
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
 * Words: start_time, end_time, flags, start_object_size, end_object_size. Of this pause's record
 * all is taken over.
 */
static bool take_record(const uint64_t words[EVENT_WORDS], struct v8_gc_pause *pause)
{
    enum { ROUNDING_US = 1 };
    double begin_us = (double)pause->begin_ns / 1e3, end_us = (double)pause->end_ns / 1e3;
    if (!is_heap_size(words[3]) || !is_heap_size(words[4]))
        return false;
    for (int milliseconds = 0; milliseconds < 2; milliseconds++) {
        double start = time_of(words[0], milliseconds), stop = time_of(words[1], milliseconds);
        if (start < begin_us - ROUNDING_US || stop > end_us + ROUNDING_US || stop < start)
            continue;
        pause->begin_ns = (uint64_t)(start * 1e3);
        pause->end_ns = (uint64_t)(stop * 1e3);
        pause->before_bytes = words[3];
        pause->after_bytes = words[4];
        return true;
    }
    return false;
}

static bool read_places(struct remote_memory *memory, const struct v8_gc_places *places,
                        struct v8_gc_pause *pause)
{
    uint64_t words[V8_GC_PLACES][EVENT_WORDS];
    struct memory_read reads[V8_GC_PLACES];
    for (size_t i = 0; i < places->count; i++)
        reads[i] = (struct memory_read){
            .address = pause->tracer + places->offsets[i],
            .into = words[i],
            .size = sizeof words[i],
        };
    remote_read_all(memory, reads, places->count);
    for (size_t i = 0; i < places->count; i++)
        if (reads[i].done && take_record(words[i], pause))
            return true;
    return false;
}

static bool search(struct remote_memory *memory, struct v8_gc_places *places,
                   struct v8_gc_pause *pause)
{
    uint64_t words[TRACER_BYTES / sizeof(uint64_t)];
    size_t count = sizeof words / sizeof *words;
    if (places->count == V8_GC_PLACES || pause->end_ns < places->next_search_ns)
        return false;
    places->failed += places->failed < SEARCH_INTERVALS_MAX;
    places->next_search_ns = pause->end_ns + (uint64_t)places->failed * SEARCH_INTERVAL_NS;
    if (!remote_read(memory, pause->tracer, words, sizeof words))
        return false;
    for (size_t i = 0; i + EVENT_WORDS <= count; i++)
        if (take_record(words + i, pause)) {
            places->offsets[places->count++] = (uint32_t)(i * sizeof *words);
            places->next_search_ns = places->failed = 0;
            return true;
        }
    return false;
}

bool v8_gc_read_record(struct remote_memory *memory, struct v8_gc_places *places,
                       struct v8_gc_pause *pause)
{
    if (!pause->tracer || pause->tracer % sizeof(uint64_t))
        return false;
    return read_places(memory, places, pause) || search(memory, places, pause);
}
