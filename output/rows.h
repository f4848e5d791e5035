/*
 * rows.h - what a report of a CPU profile says, before it is text or JSON: functions with self
 * and total ticks, ticks by kind of code, callers (bottom up) and callees (top down).
 *
 * Functions are matched by name, module and source, never by address; each tier of a JavaScript
 * function has a row of its own. Knows nothing of how rows look.
 */
#ifndef MEMPROF_OUTPUT_ROWS_H
#define MEMPROF_OUTPUT_ROWS_H

#include "core/profile.h"

/* The sections of the report. A tick belongs to one, by its innermost frame. */
enum row_section {
    ROW_JAVASCRIPT,
    ROW_NATIVE, /* with a name, also a language's own runtime */
    ROW_KERNEL,
    ROW_GC,
    ROW_LIBRARY, /* code without a name, by module */
    ROW_UNACCOUNTED,
    ROW_WAITING,  /* time off the CPU, below the stack that waits */
    ROW_RUNNABLE, /* likewise, for want of a CPU */
    ROW_IDLE,     /* counted apart, never part of a share */
    ROW_SECTIONS
};

typedef uint32_t function_id;

struct function_row {
    frame_id frame; /* one of its frames: the name, file and line */
    enum row_section section;
    uint64_t self;
    uint64_t total; /* a tick counts once, however often the function is on its stack */
    /* Of ROW_WAITING, with this function the innermost one outside of the kernel. */
    uint64_t waiting;
};

struct rows {
    const struct profile *profile;
    uint64_t *self; /* by node, of the threads that are looked at */
    uint64_t ticks; /* on a CPU and off it, without the idle ones */
    uint64_t on_cpu;
    uint64_t sections[ROW_SECTIONS];
    function_id *functions_of; /* by frame */
    vec(struct function_row) functions;
    function_id *order; /* by self, then total, then name; or by total first */
};

/*
 * tid -1: all threads. The ticks of one thread are counted in the sequence of samples, where a wait
 * is one entry that lasts until the thread's next one.
 */
void rows_gather(const struct profile *profile, int64_t tid, bool sort_total,
                 struct rows *ret_rows);
void rows_release(struct rows *rows);
function_id rows_function(const struct rows *rows, node_id node);
/* The innermost node above a wait that is not the kernel's; 0: there is none. */
node_id rows_waiter(const struct rows *rows, node_id node);
bool row_is_off_cpu(enum row_section section);

/*
 * Walks the callers of every function with ticks, most ticks first; or the callees from the
 * root. `level` 0 is the function itself. `share` is of the row above, at level 0 of all ticks.
 * Rows whose share is below cut_percent are left out, and all below them. The callers of time off
 * the CPU begin outside of the kernel: how it puts a thread to sleep is the same for all.
 */
struct tree_row {
    function_id function;
    uint32_t level;
    uint64_t ticks;
    uint64_t self; /* top down only */
    double share;
};

void rows_callers(const struct rows *rows, double cut_percent, uint32_t levels,
                  void (*show)(void *context, const struct tree_row *row), void *context);
void rows_callees(const struct rows *rows, double cut_percent,
                  void (*show)(void *context, const struct tree_row *row), void *context);

#endif
