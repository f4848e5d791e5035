/*
 * perf_switch.c - why a period that memprof sets, and not the kernel's own frequency mode: that
 * one looks at the clock when the timer's tick meets the thread, and takes all switches since the
 * last such meeting for those of one tick. Of a thread that sleeps most of its time it believes
 * that it switches a hundred times as often as it does: of 280 switches a second 6 had a stack,
 * measured where 1,000 were asked for.
 */
#include "core/perf_switch.h"

#include "core/alloc.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct perf_event_attr perf_switch_attr(const struct perf_event_attr *sampling)
{
    struct perf_event_attr attr = *sampling;
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = PERF_COUNT_SW_CONTEXT_SWITCHES;
    attr.freq = 0;
    attr.sample_period = 1;
    attr.read_format = 0;
    attr.disabled = attr.enable_on_exec;
    attr.inherit = attr.inherit_stat = attr.inherit_thread = 0;
    attr.exclude_kernel = 0;
    attr.context_switch = 0;
    attr.mmap = attr.mmap2 = attr.comm = attr.comm_exec = attr.task = 0;
    return attr;
}

int perf_switch_open(const struct perf_switch_source *source, pid_t tid, uint32_t period,
                     struct perf_switch_events *ret_events)
{
    struct perf_event_attr attr = source->attr;
    struct perf_switch_events events = {
        .fds = xreallocarray(NULL, source->cpu_count, sizeof *events.fds),
        .ids = xcalloc(source->cpu_count, sizeof *events.ids),
        .period = period,
    };
    attr.sample_period = period;
    for (size_t i = 0; i < source->cpu_count; i++)
        events.fds[i] = -1;
    for (size_t i = 0; i < source->cpu_count; i++) {
        int *fd = &events.fds[i];
        *fd = (int)syscall(SYS_perf_event_open, &attr, tid, source->cpus[i], -1,
                           PERF_FLAG_FD_CLOEXEC);
        if (*fd < 0 || ioctl(*fd, PERF_EVENT_IOC_ID, &events.ids[i]) ||
            ioctl(*fd, PERF_EVENT_IOC_SET_OUTPUT, source->rings[i].fd)) {
            int number = errno;
            perf_switch_close(source, &events);
            errno = number;
            return -1;
        }
    }
    *ret_events = events;
    return 0;
}

void perf_switch_close(const struct perf_switch_source *source, struct perf_switch_events *events)
{
    for (size_t i = 0; events->fds && i < source->cpu_count; i++)
        if (events->fds[i] >= 0)
            close(events->fds[i]);
    free(events->fds);
    free(events->ids);
    *events = (struct perf_switch_events){0};
}

void perf_switch_disable(const struct perf_switch_source *source,
                         const struct perf_switch_events *events)
{
    for (size_t i = 0; events->fds && i < source->cpu_count; i++)
        if (events->fds[i] >= 0)
            ioctl(events->fds[i], PERF_EVENT_IOC_DISABLE, 0);
}

bool perf_switch_has(const struct perf_switch_source *source,
                     const struct perf_switch_events *events, uint64_t event_id)
{
    for (size_t i = 0; events->ids && i < source->cpu_count; i++)
        if (events->ids[i] == event_id)
            return true;
    return false;
}

void perf_switch_set_period(const struct perf_switch_source *source,
                            struct perf_switch_events *events, uint32_t period)
{
    uint64_t value = period;
    for (size_t i = 0; events->fds && i < source->cpu_count; i++)
        ioctl(events->fds[i], PERF_EVENT_IOC_PERIOD, &value);
    events->period = period;
}
