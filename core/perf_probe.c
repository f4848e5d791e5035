/*
 * perf_probe.c - why one ring for each thread, and not one for each CPU as the sampler has: the
 * kernel lets events share a ring only if they are of one CPU or of one thread, and an event for
 * each CPU would multiply what a hit costs (each uprobe event looks at each hit) and what closing
 * takes.
 */
#include "core/perf_probe.h"

#include "core/alloc.h"
#include "core/perf_ring.h"
#include "core/small_file.h"

#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    RING_BYTES_MAX = 2 << 20,
    RING_BYTES_MIN = 32 * 1024,
    STACKS_PER_RING = 8, /* a ring holds at least so many stack copies */
    STACK_BYTES_NONE = 8 /* the least there is: the kernel's record of none is malformed */
};

struct perf_probe {
    struct perf_ring ring; /* its descriptor is the first event's */
    int fds[PERF_PROBE_POINTS];
    uint64_t ids[PERF_PROBE_POINTS];
    size_t count;
    struct perf_layout layout;
};

/* How large the ring and the stack copies in it are. */
struct sizes {
    size_t ring_bytes;
    uint32_t stack_bytes;
};

static int event_open(struct perf_event_attr *attr, pid_t tid)
{
    return (int)syscall(SYS_perf_event_open, attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static struct perf_event_attr breakpoint_attr(uint64_t address)
{
    return (struct perf_event_attr){
        .size = sizeof(struct perf_event_attr),
        .type = PERF_TYPE_BREAKPOINT,
        .bp_type = HW_BREAKPOINT_X,
        .bp_addr = address,
        .bp_len = sizeof(long),
        .sample_period = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
    };
}

__attribute__((noinline)) static void be_hit(void)
{
    __asm__ volatile("");
}

int perf_probe_try_debug_registers(struct error *err)
{
    struct perf_event_attr attr = breakpoint_attr((uintptr_t)be_hit);
    uint64_t hits = 0;
    int fd = event_open(&attr, 0);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return error_set(err, ERROR_PERMISSION, "perf_event_open is not permitted");
    if (fd < 0)
        return error_set_errno(err, "no debug registers");
    be_hit();
    bool works = read(fd, &hits, sizeof hits) == sizeof hits && hits == 1;
    close(fd);
    return works ? 0
                 : error_set(err, ERROR_UNSUPPORTED, "this machine's debug registers never fire");
}

/* What all events have, whatever they watch. */
static void complete_attr(struct perf_event_attr *attr, const struct perf_probe_options *options,
                          bool stack, struct sizes sizes)
{
    attr->size = sizeof *attr;
    attr->sample_period = 1;
    attr->sample_type = PERF_SAMPLE_FIELDS | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
    attr->sample_regs_user = options->user_registers;
    attr->sample_stack_user = stack ? sizes.stack_bytes : STACK_BYTES_NONE;
    attr->sample_id_all = 1;
    attr->disabled = 1;
    attr->exclude_kernel = 1;
    attr->exclude_hv = 1;
    attr->use_clockid = 1;
    attr->clockid = CLOCK_MONOTONIC;
    attr->watermark = 1;
    attr->wakeup_watermark = (uint32_t)sizes.ring_bytes / 4;
}

static int open_point(const struct perf_probe_options *options, size_t point, pid_t tid,
                      struct sizes sizes)
{
    const struct perf_probe_point *at = &options->points[point];
    struct perf_event_attr attr;
    char path[32];
    if (options->means == PERF_PROBE_UPROBES) {
        int64_t type = small_file_number("/sys/bus/event_source/devices/uprobe/type", -1);
        if (type < 0) {
            errno = ENOENT;
            return -1;
        }
        snprintf(path, sizeof path, "/proc/self/fd/%d", options->file);
        attr = (struct perf_event_attr){
            .type = (uint32_t)type, .config1 = (uintptr_t)path, .config2 = at->file_offset};
    } else {
        attr = breakpoint_attr(at->address);
    }
    complete_attr(&attr, options, at->stack, sizes);
    return event_open(&attr, tid);
}

static void open_error(const struct perf_probe_options *options, pid_t tid, struct error *err)
{
    switch (errno) {
    case EACCES:
        error_set(err, ERROR_PERMISSION, "%s",
                  options->means == PERF_PROBE_UPROBES ? "uprobes need root or CAP_PERFMON"
                                                       : "perf_event_open is not permitted");
        break;
    case EPERM: /* by a seccomp filter */
        error_set(err, ERROR_PERMISSION, "perf_event_open is not permitted");
        break;
    case ENOMEM:
        error_set(err, ERROR_LIMIT, "the memory that this user may lock is used up");
        break;
    case ENOENT:
        error_set(err, ERROR_UNSUPPORTED, "this kernel has no uprobes for perf");
        break;
    case ENOSPC:
        error_set(err, ERROR_LIMIT, "the debug registers are in use by a debugger");
        break;
    case ESRCH:
        error_set(err, ERROR_GONE, "thread %d has ended", tid);
        break;
    default:
        error_set_errno(err, "cannot watch thread %d", tid);
    }
}

/* -1 and errno. The first event holds the ring, the others write into it. */
static int add_point(struct perf_probe *probe, const struct perf_probe_options *options, pid_t tid,
                     struct sizes sizes)
{
    int fd = open_point(options, probe->count, tid, sizes);
    if (fd < 0)
        return -1;
    if ((probe->count ? ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, probe->fds[0])
                      : perf_ring_map(&probe->ring, fd, sizes.ring_bytes)) ||
        ioctl(fd, PERF_EVENT_IOC_ID, &probe->ids[probe->count])) {
        /* mmap's EPERM is about memory to lock, and not about what may be watched. */
        int number = errno == EPERM ? ENOMEM : errno;
        if (probe->ring.fd != fd)
            close(fd);
        errno = number;
        return -1;
    }
    probe->fds[probe->count++] = fd;
    return 0;
}

/* The ring shrinks to what this user may lock. -1 and errno. */
static int add_first_point(struct perf_probe *probe, const struct perf_probe_options *options,
                           pid_t tid, struct sizes *ret_sizes)
{
    struct sizes sizes = {RING_BYTES_MAX, options->stack_bytes};
    for (; sizes.ring_bytes >= RING_BYTES_MIN; sizes.ring_bytes /= 2) {
        if (sizes.stack_bytes > sizes.ring_bytes / STACKS_PER_RING)
            sizes.stack_bytes = (uint32_t)(sizes.ring_bytes / STACKS_PER_RING);
        *ret_sizes = sizes;
        if (!add_point(probe, options, tid, sizes))
            return 0;
        if (errno != ENOMEM)
            return -1;
    }
    return -1;
}

static int open_points(struct perf_probe *probe, const struct perf_probe_options *options,
                       pid_t tid)
{
    struct sizes sizes;
    size_t count = options->count;
    if (options->means == PERF_PROBE_DEBUG_REGISTERS && count > PERF_PROBE_BREAKPOINTS)
        count = PERF_PROBE_BREAKPOINTS;
    if (add_first_point(probe, options, tid, &sizes))
        return -1;
    while (probe->count < count)
        if (add_point(probe, options, tid, sizes))
            return -1;
    for (size_t i = 0; i < count; i++)
        if (ioctl(probe->fds[i], PERF_EVENT_IOC_ENABLE, 0))
            return -1;
    return 0;
}

int perf_probe_open(const struct perf_probe_options *options, pid_t tid,
                    struct perf_probe **ret_probe, struct error *err)
{
    struct perf_probe *probe = xcalloc(1, sizeof *probe);
    probe->ring.fd = -1;
    probe->layout = (struct perf_layout){.register_count = options->user_register_count};
    if (open_points(probe, options, tid)) {
        open_error(options, tid, err);
        perf_probe_free(probe);
        return -1;
    }
    *ret_probe = probe;
    return 0;
}

void perf_probe_free(struct perf_probe *probe)
{
    if (!probe)
        return;
    for (size_t i = 1; i < probe->count; i++)
        close(probe->fds[i]);
    perf_ring_release(&probe->ring);
    free(probe);
}

void perf_probe_disable(struct perf_probe *probe)
{
    for (size_t i = 0; i < probe->count; i++)
        ioctl(probe->fds[i], PERF_EVENT_IOC_DISABLE, 0);
}

int perf_probe_descriptor(const struct perf_probe *probe)
{
    return probe->ring.fd;
}

size_t perf_probe_count(const struct perf_probe *probe)
{
    return probe->count;
}

static size_t point_of(const struct perf_probe *probe, uint64_t event_id)
{
    for (size_t i = 0; i < probe->count; i++)
        if (probe->ids[i] == event_id)
            return i;
    return SIZE_MAX;
}

bool perf_probe_next(struct perf_probe *probe, uint64_t until_ns, struct perf_probe_hit *ret_hit)
{
    struct perf_ring *ring = &probe->ring;
    uint64_t time_ns;
    perf_ring_publish(ring);
    perf_ring_refresh(ring);
    while (perf_ring_peek(ring, &time_ns) && time_ns <= until_ns) {
        struct perf_origin origin;
        struct record record;
        bool wanted = perf_ring_take(ring, &probe->layout, &record, &origin);
        if (!wanted || (record.kind != RECORD_SAMPLE && record.kind != RECORD_LOST))
            continue;
        size_t point = record.kind == RECORD_SAMPLE ? point_of(probe, origin.event_id) : SIZE_MAX;
        if (record.kind == RECORD_SAMPLE) {
            record.sample.ticks = 0;
            if (point == SIZE_MAX)
                continue;
        }
        *ret_hit = (struct perf_probe_hit){point, record};
        return true;
    }
    perf_ring_publish(ring);
    return false;
}
