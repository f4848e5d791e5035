/*
 * ptrace_queue.h - records between the sampling loop, which makes them, and sampler_next.
 *
 * Private to core/ptrace*.c. First in, first out; records are made in time order.
 */
#ifndef MEMPROF_CORE_PTRACE_QUEUE_H
#define MEMPROF_CORE_PTRACE_QUEUE_H

#include "core/alloc.h"
#include "core/ptrace_stop.h"
#include "core/sampler.h"

/* A record with what its pointers lead to. */
struct gathered {
    struct record record;
    size_t bytes; /* of all */
    char name[16];
    uint64_t registers[PTRACE_REGISTERS];
    uint8_t stack[];
};

struct gathered_queue {
    vec(struct gathered *) items;
    size_t head;
    size_t bytes;
    struct gathered *taken; /* the last one that was handed out */
};

void gathered_release(struct gathered_queue *queue);
/* A record without a stack; the caller frees or pushes it. */
struct gathered *gathered_new(enum record_kind kind, uint64_t time_ns, pid_t pid, pid_t tid);
/* RECORD_SAMPLE of what a stop has read. `stack_most` is what was asked for. */
struct gathered *gathered_sample(const struct stop_reading *reading, size_t stack_most);
/* RECORD_COMM */
struct gathered *gathered_name(uint64_t time_ns, pid_t pid, pid_t tid, const char *name, bool exec);
/* Takes the record over. */
void gathered_push(struct gathered_queue *queue, struct gathered *gathered);
/* The next record up to a time; it holds until the next call. */
bool gathered_take(struct gathered_queue *queue, uint64_t until_ns, struct record *ret_record);

#endif
