/*
 * perf_script_line.h - the two kinds of lines in the text of `perf script`: the head of a sample,
 * and a frame of its stack.
 *
 * Knows nothing of samples as a whole or of profiles. The spans are views into the line.
 */
#ifndef MEMPROF_OUTPUT_PERF_SCRIPT_LINE_H
#define MEMPROF_OUTPUT_PERF_SCRIPT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *text;
    size_t length;
};

bool span_is(struct span span, const char *text);
bool span_starts(struct span span, const char *text);
struct span span_trim(struct span span);

/* "node 4242/4243 [001]  709.570895:    2004008 cpu-clock:u:  FRAME" */
struct perf_head {
    struct span comm;
    uint32_t pid, tid; /* 0: not told */
    bool has_task;     /* tid was told */
    bool has_time;
    uint64_t time_us;
    uint64_t period;   /* in the event's unit; 0: not told */
    struct span event; /* empty: not told */
    struct span rest;  /* what stands behind: the one frame of a sample without call chain */
};

/* False if neither a task nor a time is in the line. */
bool perf_head_parse(struct span line, struct perf_head *ret_head);

/* "7f9dba1408ff std::vector<int>::push_back+0x3f (/usr/lib/libapp.so)" */
struct perf_frame {
    uint64_t address;     /* in the kernel, or wherever perf counts from */
    struct span function; /* empty: no symbol */
    struct span module;   /* empty: not told */
    bool inlined;         /* the module is that of the next frame with this address */
};

/* False if the line does not begin with an address. */
bool perf_frame_parse(struct span line, struct perf_frame *ret_frame);

#endif
