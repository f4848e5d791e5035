/*
 * v8_gc.h - the garbage collector's pauses, from the instructions that begin and end them.
 *
 * Which those are is found by symbol in an executable (v8_gc_find). Whoever watches them
 * (core/perf_probe.h) tells each hit here, thread by thread, and gets pauses back. Knows nothing of
 * how hits are captured.
 *
 * V8's src/heap/gc-tracer.h, heap.cc and incremental-marking.cc, 10.2 to 13.6: a pause lies inside
 * Heap::CollectGarbage(space, reason, flags), from a moment after it is entered (8 to 25 us,
 * measured, and 0.1 ms at most) to GCTracer::StopObservablePause(collector, time). Up to 11.3 that
 * is told neither, and GCTracer::UpdateStatistics(collector) comes next behind it. Between pauses
 * IncrementalMarking::Step() marks for a moment at a time, and tells how long to
 * GCTracer::AddIncrementalMarkingStep().
 */
#ifndef MEMPROF_SYMBOLIZE_V8_GC_H
#define MEMPROF_SYMBOLIZE_V8_GC_H

#include "core/remote_memory.h"
#include "symbolize/elf_file.h"

#include <stdbool.h>
#include <stdint.h>

enum v8_gc_role { V8_GC_BEGIN, V8_GC_END, V8_GC_STEP_BEGIN, V8_GC_STEP_END };

struct v8_gc_hook {
    enum v8_gc_role role;
    uint64_t address; /* in the executable's own address space */
    uint64_t file_offset;
};

enum { V8_GC_HOOKS = 4 };

struct v8_gc_hooks {
    struct v8_gc_hook items[V8_GC_HOOKS]; /* of pauses, then of steps, if they are there */
    size_t count;
    bool end_tells_time; /* in its third argument */
};

/* False if the file has no V8, or one whose pauses can't be seen. */
bool v8_gc_find(struct elf_file *executable, struct v8_gc_hooks *ret_hooks);

struct v8_gc_hit {
    enum v8_gc_role role;
    uint64_t time_ns;
    uint64_t arguments[3]; /* of the function at its entry, `this` first */
};

struct v8_gc_pause {
    uint64_t begin_ns, end_ns;
    const char *what;                   /* "scavenge", "mark-compact", …; NULL: unknown */
    const char *reason;                 /* in V8's words; NULL: unknown */
    uint64_t tracer;                    /* address of the GCTracer; 0 for a step */
    uint64_t before_bytes, after_bytes; /* of the heap's objects; 0: unknown */
};

/* One thread. Zeroed: nothing is known of it. */
struct v8_gc_thread {
    bool collecting, stepping;
    uint64_t begin_ns, step_begin_ns;
    const char *reason;
};

/*
 * Takes in one hit. True if a pause or step has ended with it; its sizes are unknown yet. One whose
 * begin or end was not seen is never told.
 */
bool v8_gc_feed(struct v8_gc_thread *thread, const struct v8_gc_hooks *hooks,
                const struct v8_gc_hit *hit, struct v8_gc_pause *ret_pause);
/* Hits were lost: what has begun is given up. */
void v8_gc_lose(struct v8_gc_thread *thread);

enum { V8_GC_PLACES = 2 };

/* Where in a tracer its records are, as found in this build of V8. Zeroed: not found yet. */
struct v8_gc_places {
    uint32_t offsets[V8_GC_PLACES], count;
    uint32_t failed;         /* searches since the last that found something */
    uint64_t next_search_ns; /* for it reads the whole tracer: not before a pause of this time */
};

/*
 * Completes a pause that is over from the tracer's own record of it: the sizes, and the times as V8
 * took them. False if that record is not there any more, for it is overwritten with the next
 * collection or the one after.
 */
bool v8_gc_read_record(struct remote_memory *memory, struct v8_gc_places *places,
                       struct v8_gc_pause *pause);

#endif
