/*
 * perf_ring.h - one perf ring buffer, and the decoding of the records in it.
 *
 * Private to core/perf.c. Layouts: linux/perf_event.h, perf_event_open(2). The kernel writes
 * the ring, so its contents are trusted to be well formed but for what a target controls:
 * names and stack bytes.
 */
#ifndef MEMPROF_CORE_PERF_RING_H
#define MEMPROF_CORE_PERF_RING_H

#include "core/sampler.h"

#include <linux/perf_event.h>

struct perf_ring {
    int fd;                            /* the dummy event that holds it; owned */
    struct perf_event_mmap_page *page; /* owned mapping: this page, then the data */
    uint8_t *data;
    size_t size;                    /* of data, a power of two */
    uint64_t head, tail, published; /* read up to head; published: what the kernel knows */
    uint8_t *scratch;               /* a record that wraps, in one piece; owned */
};

/* What a sample holds, and so where its fields are. */
struct perf_layout {
    bool kernel; /* has a callchain */
    /*
     * The event counts nanoseconds itself (cpu-clock). Its count follows a thread exactly when
     * the kernel swaps the contexts of two threads; "time running" is off by some percent then.
     */
    bool count_is_time;
    uint8_t register_count;
    uint32_t stack_bytes;
};

enum perf_switch { PERF_SWITCH_NONE, PERF_SWITCH_IN, PERF_SWITCH_OUT, PERF_SWITCH_PREEMPTED };

/* What perf.c must know of a record beside the record. */
struct perf_origin {
    uint64_t event_id;         /* of the event; of the original one for inherited events */
    enum perf_switch switched; /* a context switch of record.tid at record.time_ns */
};

/* Both sides of PERF_SAMPLE_ID at the places where the kernel puts it. */
enum { PERF_SAMPLE_FIELDS = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID };

/* Maps a ring of `size` bytes over fd; -1 and errno. Takes fd over on success. */
int perf_ring_map(struct perf_ring *ring, int fd, size_t size);
void perf_ring_release(struct perf_ring *ring);
/* Sees what the kernel has written meanwhile. */
void perf_ring_refresh(struct perf_ring *ring);
/* Gives what was read back to the kernel. */
void perf_ring_publish(struct perf_ring *ring);
/* The time of the next record; false if there is none. */
bool perf_ring_peek(const struct perf_ring *ring, uint64_t *ret_time_ns);
/*
 * Takes the next record off and decodes it; false for records of no interest. A context switch
 * is no record of a sampler's: of *ret_record its time and thread are set, and its kind is none.
 */
bool perf_ring_take(struct perf_ring *ring, const struct perf_layout *layout,
                    struct record *ret_record, struct perf_origin *ret_origin);

#endif
