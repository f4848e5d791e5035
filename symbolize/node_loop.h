/*
 * node_loop.h - an event loop of libuv's, read from outside.
 *
 * How long it has waited, how often it has turned, what it holds open. The loop and its handles
 * have the layout of libuv 1.x's ABI (include/uv.h, include/uv/unix.h); what is behind
 * internal_fields is libuv's own and changed once, in 1.45 (src/uv-common.h). Nothing is believed
 * before it fits together: links that lead back, clocks that lie in the past, an epoll descriptor
 * that the process has. Knows nothing of V8.
 */
#ifndef MEMPROF_SYMBOLIZE_NODE_LOOP_H
#define MEMPROF_SYMBOLIZE_NODE_LOOP_H

#include "core/alloc.h"
#include "core/error.h"
#include "core/remote_memory.h"

enum { NODE_HANDLE_TYPES = 18 }; /* uv_handle_type, UV_FILE included */

struct node_handle { /* one of the last walk */
    uint64_t address;
    uint64_t next; /* the link to the next one's */
    uint32_t type, flags;
};

struct node_loop {
    struct remote_memory *memory;
    uint64_t address;
    uint64_t fields;  /* internal_fields */
    uint64_t metrics; /* of the two times in them */
    bool counts;
    int backend_fd;
    uint64_t last_idle_ns;
    vec(struct node_handle) handles; /* in the order of the loop's queue */
};

struct node_loop_reading {
    uint64_t time_ns;        /* CLOCK_MONOTONIC, of the reading */
    uint64_t idle_ns;        /* waited until its last wait ended; counts from the loop's start */
    uint64_t waits_since_ns; /* 0: it does not wait now */
    uint64_t clock_ns; /* the loop's own: of its last look at the time, in whole milliseconds */
    uint64_t turns;    /* 0: libuv doesn't count them */
    uint32_t handles, requests; /* active ones, as libuv counts */
};

/*
 * A loop at an address of the process. `counts`: libuv is 1.45 or later. ERROR_FORMAT if what is
 * there is no loop, ERROR_UNSUPPORTED if it does not measure how long it waits; the text says why
 * in one line. The memory outlives the loop.
 */
int node_loop_open(struct remote_memory *memory, uint64_t address, bool counts, uint64_t now_ns,
                   struct node_loop *ret_loop, struct error *err);
void node_loop_release(struct node_loop *loop);
/* Two reads in one call. False if what is there is not the loop any more. */
bool node_loop_read(struct node_loop *loop, uint64_t now_ns, struct node_loop_reading *ret_reading);
/* How long it has waited in all at the time of the reading. */
uint64_t node_loop_idle_ns(const struct node_loop_reading *reading);
/*
 * Active and referenced handles by type, whose sum is libuv's own count; false if the loop changed
 * all the time. The process runs on: what changed while it was read is read again.
 */
bool node_loop_handles(struct node_loop *loop, uint32_t ret_counts[NODE_HANDLE_TYPES]);
/* "tcp", "timer", …; "other" for what is none. */
const char *node_handle_type(unsigned type);

/*
 * The longest run of a loop without coming back to its wait, from readings one after another.
 */
struct node_loop_watch {
    struct node_loop_reading last; /* time_ns 0: none yet */
    uint64_t began_ns;             /* of the run that goes on; 0: it waits */
    uint64_t longest_ns;           /* since it was last taken */
};

struct node_loop_block {
    uint64_t began_ns, ended_ns;
};

/*
 * One more reading. True if a run of `least_ns` or more has ended; it is as exact as the readings
 * are close. A loop that has not turned yet has no runs.
 */
bool node_loop_watch_feed(struct node_loop_watch *watch, const struct node_loop_reading *reading,
                          uint64_t least_ns, struct node_loop_block *ret_block);
/* The run that goes on, at the end: as above. */
bool node_loop_watch_finish(const struct node_loop_watch *watch, uint64_t least_ns,
                            struct node_loop_block *ret_block);
/* The longest run since the last call, the present one included. */
uint64_t node_loop_watch_take(struct node_loop_watch *watch);

#endif
