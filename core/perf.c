/*
 * perf.c - opening the events, and merging the rings by time.
 *
 * Why a dummy event per CPU holds the ring: an event of a thread hangs up when that thread
 * ends, and then poll() returns at once for ever; one on memprof itself lives as long as the
 * recording. All sampling events of the CPU write into it by PERF_EVENT_IOC_SET_OUTPUT.
 *
 * Why one event per thread *and* CPU: the kernel refuses to map the ring of an inherited event
 * that may run on any CPU. Inheriting is what samples a new thread from its first instruction
 * without memprof having to notice it.
 *
 * Attaching races with clone(): a thread that was not listed yet may or may not have inherited
 * events. Such late threads get events of their own; when a sample of one arrives under a
 * foreign event id it had inherited too, and its own events are closed again.
 *
 * With `wall` the events also record the times of context switches, and perf_wall.c makes waiting
 * samples of them.
 */
#include "core/perf.h"

#include "core/descriptors.h"
#include "core/perf_host.h"
#include "core/perf_ring.h"
#include "core/perf_wall.h"
#include "core/small_file.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    RING_BYTES_MIN = 64 * 1024,
    RING_BYTES_MAX = 32 << 20,
    RINGS_BYTES_MAX = 64 << 20, /* all of them together */
    STACKS_PER_RING = 32,       /* a ring holds at least so many stack copies */
    STACK_BYTES_MIN = 1024,
    DESCRIPTORS_SPARE = 4096, /* for everything but events: a file or two for each module */
    LIST_PASSES = 8           /* how often the threads are listed until no new one is seen */
};

struct thread_events {
    pid_t tid;
    bool late; /* not in the first listing: may have inherited events too */
};

struct perf {
    struct sampler sampler; /* its base */
    struct sampler_options options;
    struct perf_event_attr attr;
    struct perf_wall *wall; /* NULL: time on CPUs only */
    bool disabled;
    struct perf_layout layout;
    int *cpus;
    struct perf_ring *rings; /* by position in cpus */
    size_t cpu_count;
    struct pollfd *polls; /* one per ring, and one for the caller's descriptor */
    vec(struct thread_events) threads;
    vec(int) fds; /* cpu_count for each thread; -1 where there is none */
    size_t late_count;
    uint64_t batch_until_ns;
    struct perf_ring *reading; /* the one that the last record came from */
};

static int event_open(struct perf_event_attr *attr, pid_t tid, int cpu)
{
    return (int)syscall(SYS_perf_event_open, attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* What it takes to hold 250 ms of samples, as a power of two. */
static size_t wanted_ring_bytes(const struct perf *perf)
{
    uint64_t wanted = (uint64_t)perf->options.frequency_hz * perf->options.stack_bytes / 4;
    uint64_t most = RINGS_BYTES_MAX / perf->cpu_count;
    size_t bytes = RING_BYTES_MIN;
    if (perf->options.wall)
        wanted *= 4;
    while (bytes < wanted && bytes < RING_BYTES_MAX && bytes * 2 <= most)
        bytes *= 2;
    return bytes;
}

static int map_rings_of(struct perf *perf, size_t bytes)
{
    struct perf_event_attr dummy = {
        .size = sizeof dummy,
        .type = PERF_TYPE_SOFTWARE,
        .config = PERF_COUNT_SW_DUMMY,
        .sample_type = PERF_SAMPLE_FIELDS,
        .exclude_kernel = 1,
        .watermark = 1,
        .wakeup_watermark = (uint32_t)bytes / 4,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
    };
    for (size_t i = 0; i < perf->cpu_count; i++) {
        int fd = event_open(&dummy, 0, perf->cpus[i]);
        if (fd < 0 || perf_ring_map(&perf->rings[i], fd, bytes)) {
            /* mmap's EPERM is about memory to lock, and not about what may be sampled. */
            int number = fd >= 0 && errno == EPERM ? ENOMEM : errno;
            if (fd >= 0)
                close(fd);
            while (i-- > 0)
                perf_ring_release(&perf->rings[i]);
            errno = number;
            return -1;
        }
    }
    return 0;
}

static int permission_error(const struct target *target, struct error *err)
{
    int number = errno;
    uint32_t paranoid = (uint32_t)small_file_number("/proc/sys/kernel/perf_event_paranoid", 2);
    errno = number;
    if (errno == ENOSYS)
        return error_set(err, ERROR_UNSUPPORTED, "this kernel has no perf_event_open");
    if (errno != EACCES && errno != EPERM)
        return error_set_errno(err, "cannot sample %d (%s)", target->pid, target->command);
    if ((int)paranoid > 2)
        return error_set(err, ERROR_PERMISSION,
                         "cannot sample %d (%s): kernel.perf_event_paranoid is %u; run as root, "
                         "grant CAP_PERFMON, or `sysctl kernel.perf_event_paranoid=2`",
                         target->pid, target->command, paranoid);
    return error_set(err, ERROR_PERMISSION,
                     "cannot sample %d (%s): perf_event_open is not permitted here (seccomp or "
                     "another user's process); run as root or grant CAP_PERFMON and CAP_SYS_PTRACE",
                     target->pid, target->command);
}

/* The rings shrink to what kernel.perf_event_mlock_kb and RLIMIT_MEMLOCK allow this user. */
static int map_rings(struct perf *perf, const struct target *target, struct error *err)
{
    size_t bytes = wanted_ring_bytes(perf);
    while (map_rings_of(perf, bytes)) {
        if (errno == EMFILE)
            return error_set(err, ERROR_LIMIT,
                             "cannot open %zu rings: too many open files; raise `ulimit -n`",
                             perf->cpu_count);
        if (errno != ENOMEM)
            return permission_error(target, err);
        if (bytes <= RING_BYTES_MIN)
            return error_set(err, ERROR_LIMIT,
                             "cannot sample %d (%s): the memory that this user may lock is used "
                             "up; end other recordings, or raise `ulimit -l` or "
                             "kernel.perf_event_mlock_kb",
                             target->pid, target->command);
        bytes /= 2;
    }
    uint32_t most = (uint32_t)(bytes / STACKS_PER_RING);
    if (perf->options.stack_bytes > most)
        perf->options.stack_bytes = most > STACK_BYTES_MIN ? most : STACK_BYTES_MIN;
    return 0;
}

static void prepare_attr(struct perf *perf)
{
    const struct sampler_options *options = &perf->options;
    perf->attr = (struct perf_event_attr){
        .size = sizeof perf->attr,
        .type = PERF_TYPE_HARDWARE,
        .config = PERF_COUNT_HW_CPU_CYCLES,
        .freq = 1,
        .sample_freq = options->frequency_hz,
        .sample_type = PERF_SAMPLE_FIELDS | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
        .read_format = PERF_FORMAT_TOTAL_TIME_RUNNING,
        .disabled = 1,
        .inherit = 1,
        .inherit_stat = 1,
        .inherit_thread = !options->children,
        .enable_on_exec = options->on_exec,
        .mmap = 1,
        .mmap2 = 1,
        .comm = 1,
        .comm_exec = 1,
        .task = 1,
        .context_switch = options->wall,
        .sample_id_all = 1,
        .exclude_hv = 1,
        .exclude_callchain_user = 1,
        .watermark = 1,
        .wakeup_watermark = (uint32_t)perf->rings[0].size / 4,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
        .sample_regs_user = options->user_registers,
        .sample_stack_user = options->stack_bytes,
    };
}

/*
 * Finds out, on one thread, what this machine and this user can have: cycles or else the
 * cpu-clock, the kernel part or not. Leaves perf->attr as it works.
 */
static int probe(struct perf *perf, pid_t tid)
{
    struct perf_event_attr *attr = &perf->attr;
    bool kernel = perf->options.kernel;
    for (;;) {
        attr->exclude_kernel = !kernel;
        attr->sample_type = kernel ? attr->sample_type | PERF_SAMPLE_CALLCHAIN
                                   : attr->sample_type & ~(uint64_t)PERF_SAMPLE_CALLCHAIN;
        int fd = event_open(attr, tid, perf->cpus[0]);
        if (fd >= 0) {
            close(fd);
            break;
        }
        if (errno == EACCES && kernel)
            kernel = false;
        else if (errno == EINVAL && attr->inherit_thread)
            attr->inherit_thread = 0; /* before Linux 5.13; children are told apart by their pid */
        else if (attr->type == PERF_TYPE_HARDWARE &&
                 (errno == ENOENT || errno == EOPNOTSUPP || errno == EINVAL || errno == ENODEV)) {
            attr->type = PERF_TYPE_SOFTWARE;
            attr->config = PERF_COUNT_SW_CPU_CLOCK;
            attr->inherit_thread = !perf->options.children;
        } else {
            return -1;
        }
    }
    perf->layout = (struct perf_layout){
        .kernel = kernel,
        .count_is_time = attr->type == PERF_TYPE_SOFTWARE,
        .register_count = perf->options.user_register_count,
        .stack_bytes = perf->options.stack_bytes,
    };
    return 0;
}

static int open_wall(struct perf *perf, const struct target *target, pid_t tid, struct error *err)
{
    perf->wall = perf_wall_new(&perf->options,
                               &(struct perf_switch_source){
                                   .attr = perf_switch_attr(&perf->attr),
                                   .cpus = perf->cpus,
                                   .rings = perf->rings,
                                   .cpu_count = perf->cpu_count,
                               },
                               tid);
    if (perf->wall)
        return 0;
    if (errno != EACCES && errno != EPERM)
        return permission_error(target, err);
    return error_set(err, ERROR_PERMISSION,
                     "cannot see where %d (%s) waits: perf tells it only to who may sample the "
                     "kernel; run as root, grant CAP_PERFMON, or `sysctl "
                     "kernel.perf_event_paranoid=1`",
                     target->pid, target->command);
}

/* Descriptors that the events of so many threads take. */
static size_t events_of(const struct perf *perf, size_t threads)
{
    return threads * perf->cpu_count * (perf->wall ? 2 : 1);
}

/* The events of one thread, written to the rings. 0, or -1 and errno; ESRCH: it has ended. */
static int open_thread(struct perf *perf, pid_t pid, pid_t tid, bool late)
{
    size_t first = perf->fds.count;
    bool failed = false;
    for (size_t i = 0; i < perf->cpu_count && !failed; i++) {
        int fd = event_open(&perf->attr, tid, perf->cpus[i]);
        if (fd >= 0)
            vec_append(&perf->fds, fd);
        failed = fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, perf->rings[i].fd);
    }
    if (failed || (perf->wall && perf_wall_add_thread(perf->wall, pid, tid))) {
        int number = errno;
        while (perf->fds.count > first)
            close(perf->fds.items[--perf->fds.count]);
        errno = number;
        return -1;
    }
    *vec_push(&perf->threads) = (struct thread_events){tid, late};
    perf->late_count += late;
    return 0;
}

static bool is_open(const struct perf *perf, pid_t tid)
{
    for (size_t i = 0; i < perf->threads.count; i++)
        if (perf->threads.items[i].tid == tid)
            return true;
    return false;
}

static int thread_error(const struct perf *perf, const struct target *target, size_t threads,
                        struct error *err)
{
    if (errno == EMFILE || errno == ENFILE)
        return error_set(err, ERROR_LIMIT,
                         "cannot sample %d (%s): %zu threads on %zu CPUs need %zu open files; "
                         "raise `ulimit -n`",
                         target->pid, target->command, threads, perf->cpu_count,
                         events_of(perf, threads) + perf->cpu_count);
    return permission_error(target, err);
}

/* The threads of one process that have no events yet. A child may be another user's. */
static int open_process(struct perf *perf, const struct target *target, pid_t pid, bool late,
                        struct error *err)
{
    _cleanup_free_ pid_t *tids = NULL;
    size_t count, known = perf->threads.count;
    bool child = pid != target->pid;
    if (target_threads(pid, &tids, &count, err))
        return child ? 0 : -1;
    raise_descriptor_limit(events_of(perf, known + count) + perf->cpu_count + DESCRIPTORS_SPARE);
    for (size_t i = 0; i < count; i++) {
        if ((known && is_open(perf, tids[i])) || !open_thread(perf, pid, tids[i], late) ||
            errno == ESRCH || (child && (errno == EACCES || errno == EPERM)))
            continue;
        return thread_error(perf, target, known + count, err);
    }
    return 0;
}

/* Opens the threads that have no events yet; *ret_added says how many there were. */
static int open_listed(struct perf *perf, const struct target *target, bool late, size_t *ret_added,
                       struct error *err)
{
    _cleanup_free_ pid_t *pids = NULL;
    size_t count, known = perf->threads.count;
    target_processes(target, perf->options.children, &pids, &count);
    for (size_t i = 0; i < count; i++)
        if (open_process(perf, target, pids[i], late, err))
            return -1;
    *ret_added = perf->threads.count - known;
    return 0;
}

static int enable(struct perf *perf, struct error *err)
{
    for (size_t i = 0; i < perf->fds.count; i++)
        if (perf->fds.items[i] >= 0 && ioctl(perf->fds.items[i], PERF_EVENT_IOC_ENABLE, 0))
            return error_set_errno(err, "cannot start sampling");
    return 0;
}

static int open_threads(struct perf *perf, const struct target *target, struct error *err)
{
    size_t added = 0;
    _cleanup_free_ pid_t *tids = NULL;
    size_t count;
    if (target_threads(target->pid, &tids, &count, err))
        return -1;
    size_t asked = 0;
    int failed;
    /* A main thread may have ended before the others. */
    while ((failed = probe(perf, tids[asked])) && errno == ESRCH && asked + 1 < count)
        asked++;
    if (failed)
        return errno == ESRCH ? error_set(err, ERROR_GONE, "process %d (%s) has ended", target->pid,
                                          target->command)
                              : permission_error(target, err);
    if (perf->options.wall && open_wall(perf, target, tids[asked], err))
        return -1;
    for (int pass = 0; pass < LIST_PASSES; pass++) {
        if (open_listed(perf, target, pass > 0, &added, err))
            return -1;
        /* The inherited events of later threads must count too, so they are enabled now. */
        if (!perf->options.on_exec && enable(perf, err))
            return -1;
        if (!added)
            break;
    }
    return perf->threads.count ? 0
                               : error_set(err, ERROR_GONE, "process %d (%s) has ended",
                                           target->pid, target->command);
}

static void perf_free(struct sampler *sampler)
{
    struct perf *perf = (struct perf *)sampler;
    for (size_t i = 0; i < perf->fds.count; i++)
        if (perf->fds.items[i] >= 0)
            close(perf->fds.items[i]);
    for (size_t i = 0; perf->rings && i < perf->cpu_count; i++)
        perf_ring_release(&perf->rings[i]);
    vec_release(&perf->fds);
    vec_release(&perf->threads);
    perf_wall_free(perf->wall);
    free(perf->rings);
    free(perf->polls);
    free(perf->cpus);
    free(perf);
}

static void perf_disable(struct sampler *sampler)
{
    struct perf *perf = (struct perf *)sampler;
    perf->disabled = true;
    if (perf->wall)
        perf_wall_disable(perf->wall);
    for (size_t i = 0; i < perf->fds.count; i++)
        if (perf->fds.items[i] >= 0)
            ioctl(perf->fds.items[i], PERF_EVENT_IOC_DISABLE, 0);
}

static uint64_t perf_running_ns(const struct sampler *sampler)
{
    const struct perf *perf = (const struct perf *)sampler;
    struct { /* read_format PERF_FORMAT_TOTAL_TIME_RUNNING */
        uint64_t count, running_ns;
    } values;
    uint64_t sum = 0;
    for (size_t i = 0; i < perf->fds.count; i++)
        if (perf->fds.items[i] >= 0 &&
            read(perf->fds.items[i], &values, sizeof values) == sizeof values)
            sum += perf->layout.count_is_time ? values.count : values.running_ns;
    return sum;
}

static bool perf_wait(struct sampler *sampler, int extra_fd, int timeout_ms)
{
    struct perf *perf = (struct perf *)sampler;
    struct pollfd *extra = &perf->polls[perf->cpu_count];
    *extra = (struct pollfd){.fd = extra_fd, .events = POLLIN};
    poll(perf->polls, perf->cpu_count + 1, timeout_ms);
    return extra->revents;
}

/*
 * A sample of a late thread under an event id that is not its own: it has inherited events,
 * and its own ones would count everything twice.
 */
static void settle_late(struct perf *perf, uint32_t tid, uint64_t event_id)
{
    for (size_t i = 0; i < perf->threads.count; i++) {
        struct thread_events *thread = &perf->threads.items[i];
        if (!thread->late || (uint32_t)thread->tid != tid)
            continue;
        int *fds = perf->fds.items + i * perf->cpu_count;
        for (size_t cpu = 0; cpu < perf->cpu_count; cpu++) {
            uint64_t own = 0;
            if (!ioctl(fds[cpu], PERF_EVENT_IOC_ID, &own) && own == event_id)
                return;
        }
        for (size_t cpu = 0; cpu < perf->cpu_count; cpu++) {
            close(fds[cpu]);
            fds[cpu] = -1;
        }
        thread->late = false;
        perf->late_count--;
    }
}

static struct perf_ring *earliest_ring(struct perf *perf, uint64_t until_ns)
{
    struct perf_ring *earliest = NULL;
    for (size_t i = 0; i < perf->cpu_count; i++) {
        uint64_t time_ns;
        if (perf_ring_peek(&perf->rings[i], &time_ns) && time_ns <= until_ns) {
            earliest = &perf->rings[i];
            until_ns = time_ns;
        }
    }
    return earliest;
}

/* Takes a record off the ring that is read; false if the caller has no use for it. */
static bool take(struct perf *perf, struct record *ret_record)
{
    struct perf_origin origin;
    if (!perf_ring_take(perf->reading, &perf->layout, ret_record, &origin))
        return false;
    if (perf->wall && !perf_wall_feed(perf->wall, &origin, ret_record))
        return false;
    if (perf->late_count && ret_record->kind == RECORD_SAMPLE && !ret_record->sample.waiting)
        settle_late(perf, ret_record->tid, origin.event_id);
    return true;
}

static bool perf_next(struct sampler *sampler, uint64_t until_ns, struct record *ret_record)
{
    struct perf *perf = (struct perf *)sampler;
    if (until_ns != perf->batch_until_ns) {
        for (size_t i = 0; i < perf->cpu_count; i++)
            perf_ring_refresh(&perf->rings[i]);
        perf->batch_until_ns = until_ns;
    }
    for (;;) {
        struct perf_ring *last = perf->reading;
        if (last && last->tail - last->published > last->size / 8)
            perf_ring_publish(last);
        if (perf->wall && perf_wall_pop(perf->wall, ret_record))
            return true;
        perf->reading = earliest_ring(perf, until_ns);
        if (!perf->reading)
            break;
        if (take(perf, ret_record))
            return true;
    }
    for (size_t i = 0; i < perf->cpu_count; i++)
        perf_ring_publish(&perf->rings[i]);
    return perf->wall && perf_wall_flush(perf->wall, until_ns, perf->disabled, ret_record);
}

static const struct sampler_methods perf_methods = {
    .free = perf_free,
    .disable = perf_disable,
    .running_ns = perf_running_ns,
    .wait = perf_wait,
    .next = perf_next,
};

int perf_open(const struct target *target, const struct sampler_options *options,
              struct sampler **ret_sampler, struct error *err)
{
    struct perf *perf = xcalloc(1, sizeof *perf);
    perf->options = *options;
    uint32_t ceiling =
        (uint32_t)small_file_number("/proc/sys/kernel/perf_event_max_sample_rate", 100000);
    if (perf->options.frequency_hz > ceiling)
        perf->options.frequency_hz = ceiling;
    perf->cpu_count = perf_host_cpus(&perf->cpus);
    perf->rings = xcalloc(perf->cpu_count, sizeof *perf->rings);
    perf->polls = xcalloc(perf->cpu_count + 1, sizeof *perf->polls);
    raise_descriptor_limit(2 * perf->cpu_count + DESCRIPTORS_SPARE);
    if (map_rings(perf, target, err))
        goto fail;
    for (size_t i = 0; i < perf->cpu_count; i++)
        perf->polls[i] = (struct pollfd){.fd = perf->rings[i].fd, .events = POLLIN};
    prepare_attr(perf);
    if (open_threads(perf, target, err))
        goto fail;
    perf->sampler = (struct sampler){
        .methods = &perf_methods,
        .name = perf->attr.type == PERF_TYPE_HARDWARE ? "perf cycles" : "perf cpu-clock",
        .frequency_hz = perf->options.frequency_hz,
        .stack_bytes = perf->options.stack_bytes,
        .kernel_frames = perf->layout.kernel,
        .kernel_time = perf->layout.kernel,
        .thread_count = perf->threads.count,
        .cpu_count = perf->cpu_count,
    };
    if (perf->options.frequency_hz < options->frequency_hz)
        snprintf(perf->sampler.note, sizeof perf->sampler.note,
                 "sampled at %u Hz: kernel.perf_event_max_sample_rate allows no more",
                 perf->options.frequency_hz);
    *ret_sampler = &perf->sampler;
    return 0;
fail:
    perf_free(&perf->sampler);
    return -1;
}
