/*
 * perf.h - samples and side-band records of a process, from perf_event_open.
 *
 * One ring per CPU, held by a dummy event on memprof itself; one sampling event per thread and
 * CPU writes into it. Events are inherited, so threads created later are sampled from their
 * first instruction. Records of all rings come out in time order.
 *
 * A sample is the state at a tick of `period_us` of the thread's own CPU time. A thread that
 * ends between two ticks leaves a remainder: the exact running time comes with its end
 * (PERF_RECORD_READ), so that the caller can account for it.
 */
#ifndef MEMPROF_CORE_PERF_H
#define MEMPROF_CORE_PERF_H

#include "core/error.h"
#include "core/limits.h"
#include "core/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct perf_options {
    uint32_t frequency_hz;
    uint32_t stack_bytes;    /* of user stack to copy; a multiple of 8 */
    uint64_t user_registers; /* sample_regs_user of this machine (arch.h's perf_mask) */
    uint8_t user_register_count;
    bool kernel;   /* ask for the kernel part; dropped where it is not permitted */
    bool children; /* follow fork, not only clone */
    bool on_exec;  /* start counting at the next exec */
};

enum perf_record_kind {
    PERF_SAMPLE,
    PERF_MAP,  /* an executable mapping appeared */
    PERF_COMM, /* a thread has a new name; `exec` says that it was by exec */
    PERF_FORK, /* a thread or process was created */
    PERF_EXIT, /* a thread ended */
    PERF_TIME, /* the running time of an ended thread on one CPU */
    PERF_LOST  /* records were dropped */
};

/* One record. Pointers lead into the ring and hold until the next perf_next. */
struct perf_record {
    enum perf_record_kind kind;
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint32_t pid, tid;
    union {
        struct {
            bool user_mode;               /* the tick was in user code */
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

struct perf;

/*
 * Opens the events of every thread of the target. Sampling starts at once, or with on_exec at
 * the next exec. Frequency, stack copies and rings shrink to what this user may have.
 * ERROR_PERMISSION says which sysctl or capability is missing.
 */
int perf_open(const struct target *target, const struct perf_options *options,
              struct perf **ret_perf, struct error *err);
void perf_free(struct perf *perf);
/* Stops sampling; what is in the rings can still be read. */
void perf_disable(struct perf *perf);
/*
 * The running time of all threads that were sampled, ended and inherited ones included, in
 * nanoseconds: what the ticks are samples of.
 */
uint64_t perf_running_ns(const struct perf *perf);
/* True if kernel frames come; perf_open drops them where they are not permitted. */
bool perf_has_kernel(const struct perf *perf);
/* Threads that were running when the events were opened. */
size_t perf_thread_count(const struct perf *perf);
/* How many CPUs there are: so many PERF_TIME records tell of one ended thread. */
size_t perf_cpu_count(const struct perf *perf);
/* What -F came to: the kernel's ceiling (kernel.perf_event_max_sample_rate) may be lower. */
uint32_t perf_frequency(const struct perf *perf);
/* Bytes of stack copied per sample: small rings hold small copies. */
uint32_t perf_stack_bytes(const struct perf *perf);
/* "cpu-clock" or "cycles". */
const char *perf_event_name(const struct perf *perf);

/*
 * Waits until a ring is a quarter full, or extra_fd is readable, or timeout_ms passed.
 */
void perf_wait(struct perf *perf, int extra_fd, int timeout_ms);
/*
 * The next record up to `until_ns`, in time order over all CPUs; false when there is none.
 * A record's time is taken before its stack is copied: a caller that passes a time some
 * milliseconds ago sees the records of all CPUs in order.
 */
bool perf_next(struct perf *perf, uint64_t until_ns, struct perf_record *ret_record);

#endif
