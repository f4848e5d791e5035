/*
 * sampler.h - where samples come from: one interface over perf_event_open (perf.h) and ptrace.
 *
 * A sampler delivers records in time order: samples, and what has to be known to read them
 * (mappings, names, threads that come and go). It knows nothing of unwinding or names: a sample
 * is registers and a copy of the top of the stack.
 *
 * To add a sampler: embed a struct sampler as the first member of its state, fill it in, and give
 * it a table of methods.
 */
#ifndef MEMPROF_CORE_SAMPLER_H
#define MEMPROF_CORE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sampler_options {
    uint32_t frequency_hz;
    uint32_t stack_bytes;    /* of user stack to copy; a multiple of 8 */
    uint64_t user_registers; /* sample_regs_user of this machine (arch.h's perf_mask) */
    uint8_t user_register_count;
    bool kernel;   /* ask for the kernel part; dropped where it is not permitted */
    bool children; /* follow fork, not only clone */
    bool on_exec;  /* start counting at the next exec */
    bool wall;     /* also what waits: samples of time off the CPU */
};

enum record_kind {
    RECORD_SAMPLE,
    RECORD_MAP,  /* an executable mapping appeared */
    RECORD_COMM, /* a thread has a new name; `exec` says that it was by exec */
    RECORD_FORK, /* a thread or process was created */
    RECORD_EXIT, /* a thread ended */
    RECORD_TIME, /* the running time of an ended thread on one CPU */
    RECORD_LOST  /* records were dropped */
};

/* One record. Pointers lead into the sampler and hold until the next sampler_next. */
struct record {
    enum record_kind kind;
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint32_t pid, tid;
    union {
        struct {
            uint32_t ticks; /* periods of time that it stands for; 0: a wait that begins */
            bool waiting;   /* time off the CPU, before `time_ns`; with `wall` only */
            bool runnable;  /* with `waiting`: for want of a CPU, and for nothing else */
            bool repeated;  /* the stack is that of the thread's last waiting sample */
            bool user_mode; /* the tick was in user code */
            const uint64_t *kernel_stack; /* innermost first */
            size_t kernel_count;
            const uint64_t *registers; /* NULL: a kernel thread's or none */
            const uint8_t *stack;
            size_t stack_bytes;
            bool stack_cut; /* the copy was as large as asked for */
        } sample;
        struct {
            uint64_t start, size, file_offset, device, inode;
            const char *path;
        } map;
        struct {
            const char *name;
            bool exec;
        } comm;
        struct {
            uint32_t parent_pid, parent_tid;
        } fork;
        struct {
            uint64_t running_ns;
        } time;
        struct {
            uint64_t count;
        } lost;
    };
};

struct sampler;

struct sampler_methods {
    void (*free)(struct sampler *sampler);
    void (*disable)(struct sampler *sampler);
    uint64_t (*running_ns)(const struct sampler *sampler);
    bool (*wait)(struct sampler *sampler, int extra_fd, int timeout_ms);
    bool (*next)(struct sampler *sampler, uint64_t until_ns, struct record *ret_record);
};

struct sampler {
    const struct sampler_methods *methods;
    const char *name;      /* "perf cpu-clock" */
    uint32_t frequency_hz; /* what -F came to; a tick stands for 1/frequency_hz of CPU time */
    uint32_t stack_bytes; /* copied per sample: what -F and the limits left of what was asked for */
    bool kernel_frames;   /* samples have kernel stacks */
    bool kernel_time;     /* CPU time in the kernel is sampled, with or without kernel stacks */
    bool mappings_on_demand; /* no RECORD_MAP comes: /proc/PID/maps must be read when needed */
    size_t thread_count;     /* threads that ran when it was opened */
    size_t cpu_count;        /* so many RECORD_TIME tell of one ended thread; 0: none come */
    char note[256];          /* one line for [Quality] of what was not possible, "" if nothing */
};

static inline void sampler_free(struct sampler *sampler)
{
    if (sampler)
        sampler->methods->free(sampler);
}

/* Stops sampling; what was sampled can still be read. */
static inline void sampler_disable(struct sampler *sampler)
{
    sampler->methods->disable(sampler);
}

/*
 * The running time of all threads that were sampled, ended ones included, in nanoseconds: what
 * the ticks are samples of.
 */
static inline uint64_t sampler_running_ns(const struct sampler *sampler)
{
    return sampler->methods->running_ns(sampler);
}

/*
 * Waits until there is much to read, or extra_fd is readable, or timeout_ms passed. False if
 * extra_fd was not readable; it need not be looked at then.
 */
static inline bool sampler_wait(struct sampler *sampler, int extra_fd, int timeout_ms)
{
    return sampler->methods->wait(sampler, extra_fd, timeout_ms);
}

/*
 * The next record up to `until_ns`, in time order; false when there is none. A record's time is
 * taken before its stack is copied: a caller that passes a time some milliseconds ago sees the
 * records of all CPUs in order.
 */
static inline bool sampler_next(struct sampler *sampler, uint64_t until_ns,
                                struct record *ret_record)
{
    return sampler->methods->next(sampler, until_ns, ret_record);
}

#endif
