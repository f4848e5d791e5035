/*
 * v8_gc.h - the garbage collector's pauses, from the instructions that begin and end them.
 *
 * Which those are is found by symbol in an executable (v8_gc_find). Whoever watches them
 * (core/perf_probe.h) tells each hit here, thread by thread, and gets pauses back. Knows nothing of
 * how hits are captured.
 *
 * V8's src/heap/gc-tracer.h and heap.cc, 10.2 to 13.6: a pause lies between
 * GCTracer::StartObservablePause() and StopObservablePause(), which in 12.4 and 13.6 are told the
 * time that V8 reckons with, and the latter the collector; before, V8 looks at the clock in them,
 * and Heap::GarbageCollectionEpilogue(collector) is told. Why it collects is told to
 * Heap::CollectGarbage(space, reason, flags) before. Between pauses IncrementalMarking::Step()
 * marks for a moment at a time.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_GC_H
#define MEMPROF_SYMBOLIZE_V8_GC_H

#include "core/remote_memory.h"
#include "symbolize/elf_file.h"

#include <stdbool.h>
#include <stdint.h>

enum v8_gc_role {
    V8_GC_BEGIN,
    V8_GC_END,
    V8_GC_REASON,
    V8_GC_KIND,
    V8_GC_STEP_BEGIN,
    V8_GC_STEP_END /* a return of Step; it has some */
};

struct v8_gc_hook {
    enum v8_gc_role role;
    uint64_t address; /* in the executable's own address space */
    uint64_t file_offset;
};

enum { V8_GC_HOOKS = 12 };

struct v8_gc_hooks {
    struct v8_gc_hook items[V8_GC_HOOKS]; /* the most important ones first */
    size_t count;
    bool end_tells_kind; /* and its time, in its next argument */
    bool begin_tells_time;
};

/* False if the file has no V8, or one whose pauses can't be seen. */
bool v8_gc_find(struct elf_file *executable, struct v8_gc_hooks *ret_hooks);

struct v8_gc_hit {
    enum v8_gc_role role;
    uint64_t time_ns;
    uint64_t arguments[4]; /* of the function at its entry, `this` first */
    uint64_t sp;
};

struct v8_gc_pause {
    uint64_t begin_ns, end_ns;
    const char *what;   /* "scavenge", "mark-compact", …; NULL: unknown */
    const char *reason; /* in V8's words; NULL: unknown */
    uint32_t stack;     /* what v8_gc_feed was given with the hit that began it */
    uint64_t tracer;    /* address of the GCTracer; 0 for a step */
};

/* One thread. Zeroed: nothing is known of it. */
struct v8_gc_thread {
    bool paused, stepping, reason_known;
    uint32_t reason;
    struct v8_gc_pause pause, step;
    uint64_t step_sp;
    int32_t collector; /* of the pause; -1: unknown */
};

/*
 * Takes in one hit; `stack` is the caller's name for the stack at it. True if a pause or step has
 * ended with it. One whose begin or end was not seen is never told.
 */
bool v8_gc_feed(struct v8_gc_thread *thread, const struct v8_gc_hooks *hooks,
                const struct v8_gc_hit *hit, uint32_t stack, struct v8_gc_pause *ret_pause);
/* Hits were lost: what has begun is given up. */
void v8_gc_lose(struct v8_gc_thread *thread);

/*
 * The size of the heap's objects before and after a pause that is over, from the tracer's own
 * record of it, and the pause's times as V8 took them. False if that record is not there any more,
 * for it is overwritten with the next collection or the one after.
 */
bool v8_gc_read_record(struct remote_memory *memory, struct v8_gc_pause *pause,
                       uint64_t *ret_before, uint64_t *ret_after);

#endif
