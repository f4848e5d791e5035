/*
 * profile.h - the model: what every source builds and every report, diff and format takes.
 *
 * A profile is a set of tables whose ids are array positions. The call tree holds each stack
 * once; only self values are stored, totals are one backward loop (profile_totals) because a
 * parent comes before its children. Id 0 means "", unknown or the root. A profile is built,
 * read and freed as a whole; everything in it belongs to it.
 *
 * It knows nothing of where it came from (perf, a file) or where it goes: functions are
 * matched by name and module, never by address. Times are microseconds of CLOCK_MONOTONIC,
 * lines are 1-based with 0 for unknown.
 *
 * A recording holds *raw* frames at first: no function, an address in a module. The
 * symbolizer makes of it a new profile whose frames have names (symbolize/symbolize.h).
 */
#ifndef MEMPROF_CORE_PROFILE_H
#define MEMPROF_CORE_PROFILE_H

#include "core/alloc.h"
#include "core/hash.h"
#include "core/sequence.h"
#include "core/strings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t frame_id;
typedef uint32_t node_id;
typedef uint32_t module_id;
typedef uint32_t metric_id;
typedef uint32_t series_id;
typedef uint32_t thread_id; /* an index into threads, not a TID */

enum frame_kind {
    FRAME_UNKNOWN = 0,
    FRAME_JAVASCRIPT,
    FRAME_NATIVE,
    FRAME_KERNEL,
    FRAME_GC,
    FRAME_RUNTIME, /* a language's own built-in code: V8's builtins, (program) */
    FRAME_IDLE,    /* (idle): not running; never counted as ticks */
    /* Leaves of time off the CPU, below the stack that waits; files know kinds by number. */
    FRAME_WAITING,  /* (off-CPU): until something happens */
    FRAME_RUNNABLE, /* (runnable): for want of a CPU */
    FRAME_KINDS
};

/* How V8 had compiled a JavaScript function; files know tiers by number. */
enum code_tier {
    TIER_NONE = 0,    /* unknown, or no JavaScript */
    TIER_INTERPRETED, /* ~, Ignition */
    TIER_BASELINE,    /* ^, Sparkplug */
    TIER_MAGLEV,      /* + */
    TIER_OPTIMIZED,   /* *, TurboFan */
    CODE_TIERS
};

/* A file that code was mapped from, or a stand-in such as [vdso], [kernel], [anon]. */
struct profile_module {
    string_id path;     /* as the target saw it; "" for module 0, the unknown one */
    string_id build_id; /* hexadecimal, "" when it has none */
};

struct frame {
    string_id function; /* demangled; 0: no symbol */
    string_id file;     /* source file, or a URL for JavaScript */
    uint32_t line;      /* of the function's definition, 1-based */
    uint32_t column;    /* 1-based */
    uint32_t script;    /* V8's script id */
    module_id module;
    uint64_t address; /* raw frames: in the module's own ELF address space; else 0 */
    enum frame_kind kind;
    enum code_tier tier; /* a function's tiers are frames of their own; names do not tell them */
};

struct node {
    node_id parent;
    frame_id frame;
};

struct metric {
    string_id name;     /* "cpu", "alloc", "live" */
    string_id unit;     /* "ticks", "bytes", "count" */
    vec(uint64_t) self; /* by node; shorter than nodes when the tail is 0 */
};

/*
 * In profile.lines: a node's own ticks by source line of its function (V8's positionTicks). In
 * profile.calls: ticks of the stacks that lead through the node, by the line that its caller stood
 * in; each stack counts once.
 */
struct line_ticks {
    node_id node;
    uint32_t line;
    uint64_t ticks;
};

/* Ticks by instruction, for annotate. */
struct address_ticks {
    node_id node;
    module_id module;
    uint64_t address; /* in the module's ELF address space */
    uint64_t ticks;
};

struct thread {
    uint32_t pid;
    uint32_t tid;
    string_id name;
    uint64_t ticks;             /* on a CPU */
    uint64_t waiting, runnable; /* off it, with FRAME_WAITING and FRAME_RUNNABLE */
};

struct series_point {
    uint64_t time_us;
    double value;
};

struct series {
    string_id name;                  /* "rss", "pss", "smaps.heap", … */
    string_id unit;                  /* "bytes", "count", "seconds" */
    vec(struct series_point) points; /* in time order */
};

/* The kind of events that are pauses of a garbage collector. */
#define EVENT_GC "gc"
#define EVENT_LOOP_BLOCK "event loop block" /* it did not come back to its wait */

struct profile_event {
    uint64_t time_us;
    uint64_t duration_us;
    string_id kind;
    node_id node; /* of the stack that set it off; 0: unknown */
    /* Of EVENT_GC: */
    string_id what;        /* "scavenge", "mark-compact", "incremental step"; 0: unknown */
    string_id reason;      /* the collector's own words; 0: unknown */
    uint64_t before_bytes; /* of the heap's objects, at its begin and end; 0: unknown */
    uint64_t after_bytes;
    uint32_t tid;   /* of the thread that paused; 0: unknown */
    bool estimated; /* from samples alone */
};

/* How far the profile can be trusted; every report shows it. */
struct quality {
    bool present;            /* false for files that know nothing of it */
    uint64_t samples;        /* taken */
    uint64_t lost;           /* dropped by the kernel: the ring was full */
    uint64_t truncated;      /* stacks whose outer part is missing */
    uint64_t stitched;       /* truncated stacks made whole from the thread's last one */
    uint64_t broken;         /* stacks that ended where no rule led on */
    uint64_t unknown_frames; /* distinct addresses without a name */
    uint64_t extrapolated;   /* ticks that no sample stands behind, see symbolize/recorder.c */
    double target_cpu_s;  /* what the kernel accounted to the target; user time alone without kernel
                             samples */
    double sampled_cpu_s; /* ticks × period */
    double coverage;      /* sampled / accounted; negative when it can't be told */
    double profiler_cpu_s;
    uint64_t profiler_rss_peak; /* bytes */
    uint64_t js_frames;         /* of JavaScript, over all samples */
    uint64_t js_named;          /* of them those with their function */
    string_id v8;               /* the version whose frames were read, "11.3.244.8"; "": none */
    string_id sampler;          /* "perf cpu-clock", "perf cycles" */
    string_id note;             /* one line of what was not possible, "" if nothing */
};

struct profile_meta {
    string_id command; /* the target's command line, or what is known of it */
    string_id host;
    string_id tool; /* "memprof 0.1.0" */
    uint32_t pid;   /* 0 when unknown */
    uint64_t start_us;
    uint64_t end_us;
    uint64_t wall_start_us; /* CLOCK_REALTIME at start_us, 0 when unknown */
    uint64_t period_us;     /* of one tick, 0 when unknown */
    bool kernel;            /* kernel frames were recorded */
};

struct profile {
    struct strings strings;
    vec(struct profile_module) modules;
    vec(struct frame) frames;
    vec(struct node) nodes;
    vec(struct metric) metrics;
    vec(struct line_ticks) lines;
    vec(struct line_ticks) calls; /* of callers in JavaScript; empty if the source has none */
    vec(struct address_ticks) addresses;
    vec(struct thread) threads;
    vec(struct series) series;
    vec(struct profile_event) events;
    struct sequence samples;
    struct profile_meta meta;
    struct quality quality;

    /* Indexes behind the add functions. */
    struct hash_index frame_index, node_index, module_index, line_index, call_index, address_index,
        thread_index;
};

/* An empty profile: string, module, frame and node 0 exist, frame 0 is "(root)". */
struct profile *profile_new(void);
void profile_free(struct profile *profile);

static inline void cleanup_profile(struct profile **profile)
{
    profile_free(*profile);
}
#define _cleanup_profile_ _cleanup_(cleanup_profile)

/* Find or add; equal arguments give equal ids. */
module_id profile_add_module(struct profile *profile, const char *path, const char *build_id);
frame_id profile_add_frame(struct profile *profile, const struct frame *frame);
node_id profile_add_node(struct profile *profile, node_id parent, frame_id frame);
/* A chain of nodes below `parent`: frames[0] is the innermost. Returns the innermost node. */
node_id profile_add_stack(struct profile *profile, node_id parent, const frame_id *frames,
                          size_t count);
/* By pid and tid; the name is set when it is not "". */
thread_id profile_add_thread(struct profile *profile, uint32_t pid, uint32_t tid, const char *name);
metric_id profile_add_metric(struct profile *profile, const char *name, const char *unit);
series_id profile_add_series(struct profile *profile, const char *name, const char *unit);

void profile_add_self(struct profile *profile, metric_id metric, node_id node, uint64_t value);
void profile_add_line(struct profile *profile, node_id node, uint32_t line, uint64_t ticks);
/* `node` is the callee's, `line` one of its caller's. */
void profile_add_call_line(struct profile *profile, node_id node, uint32_t line, uint64_t ticks);
void profile_add_address(struct profile *profile, node_id node, module_id module, uint64_t address,
                         uint64_t ticks);
/* In time order. Of more than LIMIT_SERIES_POINTS only every second one is kept, peaks first. */
void profile_add_point(struct profile *profile, series_id series, uint64_t time_us, double value);

/* Look-ups. The find functions return -1 when there is none, else an id. */
int64_t profile_find_metric(const struct profile *profile, const char *name);
int64_t profile_find_series(const struct profile *profile, const char *name);
uint64_t profile_self(const struct profile *profile, metric_id metric, node_id node);
/* The ticks of profile_add_call_line, 0 if there are none. */
uint64_t profile_call_ticks(const struct profile *profile, node_id node, uint32_t line);
const char *profile_string(const struct profile *profile, string_id id);
const struct frame *profile_frame_of(const struct profile *profile, node_id node);
/* Self plus all descendants, one value per node; the caller frees it. */
uint64_t *profile_totals(const struct profile *profile, metric_id metric);

/*
 * Sums over all nodes of a metric, without the idle ones; and the idle ones alone. Time off the
 * CPU that has a stack is not idle.
 */
uint64_t profile_sum(const struct profile *profile, metric_id metric);
uint64_t profile_sum_idle(const struct profile *profile, metric_id metric);

#endif
