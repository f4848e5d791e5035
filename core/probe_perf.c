/*
 * probe_perf.c - the rows about perf_event_open.
 *
 * The kernel says EACCES for what the user may not, and EPERM hardly ever (perf_event_open(2)); a
 * filter's errno is its own. So whether the call arrives is asked first, and then the sysctl and
 * the capabilities explain the rest. All events are opened disabled, on this process, and closed.
 */
#include "core/system_info.h"

#include "core/perf_probe.h"
#include "core/small_file.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum {
    RATE_HZ = 999,             /* record's default */
    STACK_BYTES = 8192,        /* some: how much makes no difference to the verdict */
    RING_BYTES_LEAST = 65536,  /* of perf.c: smaller rings are not used */
    RING_BYTES_WHOLE = 1 << 20 /* a ring of this size holds stacks of record's default size */
};

/* 0 or the errno with which the event can't be opened on this process. */
static int try_event(struct perf_event_attr *attr)
{
    attr->size = sizeof *attr;
    attr->disabled = 1;
    attr->exclude_hv = 1;
    _cleanup_close_ int fd =
        (int)syscall(SYS_perf_event_open, attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? errno : 0;
}

static struct perf_event_attr sampling_attr(uint32_t type, uint64_t config, bool kernel)
{
    int64_t ceiling = small_file_number("/proc/sys/kernel/perf_event_max_sample_rate", RATE_HZ);
    return (struct perf_event_attr){
        .type = type,
        .config = config,
        .freq = 1,
        .sample_freq = ceiling < RATE_HZ ? (uint64_t)ceiling : RATE_HZ,
        .sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_STACK_USER |
                       (kernel ? (uint64_t)PERF_SAMPLE_CALLCHAIN : 0),
        .sample_stack_user = STACK_BYTES,
        .exclude_callchain_user = 1,
        .exclude_kernel = !kernel,
    };
}

/* What lets an event be opened: the capability, or a sysctl (NULL: none does). */
struct need {
    int capability;
    const char *sysctl;
};

/* What an errno of perf_event_open means. */
static char *explain(const struct system_info *info, int number, const struct need *need)
{
    const struct privileges *privileges = &info->privileges;
    const char *refuser = call_refuser(privileges, CALL_PERF_EVENT_OPEN);
    if (refuser)
        return xasprintf("perf_event_open is refused by %s: %s", refuser, strerror(number));
    if (number != EACCES && number != EPERM)
        return xstrdup(strerror(number));
    if (privileges_have(privileges, need->capability))
        return xasprintf("refused by a security module: %s", strerror(number));
    const char *name = capability_name(need->capability);
    const char *which =
        privileges->user_namespace ? " (that of a user namespace does not count)" : "";
    if (!need->sysctl)
        return xasprintf("needs %s%s", name, which);
    return xasprintf("needs %s%s while kernel.perf_event_paranoid is %" PRId64, name, which,
                     info->paranoid);
}

static char *remedy(struct system_info *info, int number, const struct need *need)
{
    const int needed[] = {need->capability, -1};
    if (call_refuser(&info->privileges, CALL_PERF_EVENT_OPEN))
        return remedy_for_call(&info->privileges, CALL_PERF_EVENT_OPEN);
    if (number != EACCES && number != EPERM)
        return NULL;
    /* CAP_SYS_ADMIN is nearly all: it is named, but not among what is granted at once. */
    if (!privileges_have(&info->privileges, need->capability))
        return need->sysctl ? system_info_need(info, needed, need->sysctl)
                            : remedy_for_capabilities(&info->privileges, needed, NULL);
    return xstrdup("allow perf_event_open in the policy of the security module (SELinux: class "
                   "perf_event)");
}

static void add_refused(struct system_info *info, const char *name, int number, int capability,
                        const char *sysctl)
{
    const struct need need = {privileges_known(&info->privileges, capability), sysctl};
    system_info_add(info, name, PROBE_MISSING, explain(info, number, &need),
                    remedy(info, number, &need));
}

static void probe_clock(struct system_info *info)
{
    struct perf_event_attr attr = sampling_attr(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, false);
    int failed = try_event(&attr);
    if (failed)
        add_refused(info, "perf_events", failed, CAP_PERFMON, "kernel.perf_event_paranoid=2");
    else
        system_info_add(info, "perf_events", PROBE_WORKS,
                        xasprintf("user code of one's own processes is sampled by cpu-clock "
                                  "(kernel.perf_event_paranoid is %" PRId64 ")",
                                  info->paranoid),
                        NULL);
}

static void probe_cycles(struct system_info *info)
{
    struct perf_event_attr attr =
        sampling_attr(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, false);
    int failed = try_event(&attr);
    if (!failed)
        system_info_add(info, "cycles", PROBE_WORKS, xstrdup("the CPU's own counter is sampled"),
                        NULL);
    else if (failed == ENOENT || failed == EOPNOTSUPP || failed == ENODEV || failed == EINVAL)
        system_info_add(info, "cycles", PROBE_MISSING,
                        xstrdup("no hardware counters here, as in most virtual machines; the "
                                "cpu-clock is sampled instead"),
                        xstrdup("none is needed; of a virtual machine's host: a virtual PMU (QEMU: "
                                "`-cpu host,pmu=on`)"));
    else
        add_refused(info, "cycles", failed, CAP_PERFMON, "kernel.perf_event_paranoid=2");
}

static void probe_kernel_frames(struct system_info *info)
{
    struct perf_event_attr attr = sampling_attr(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true);
    int failed = try_event(&attr);
    if (failed)
        add_refused(info, "kernel_frames", failed, CAP_PERFMON, "kernel.perf_event_paranoid=1");
    else
        system_info_add(info, "kernel_frames", PROBE_WORKS,
                        xstrdup("the kernel's part of a stack is sampled, too"), NULL);
}

/* The type of a dynamic PMU, or -1. */
static int pmu_type(const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/bus/event_source/devices/%s/type", name);
    return (int)small_file_number(path, -1);
}

/*
 * A probe at offset 0 of memprof's own file: that is the ELF header, which no mapping has
 * executable, so that no instruction anywhere is replaced. Some kernels are content with
 * CAP_PERFMON; 6.18 is not.
 */
static void probe_uprobes(struct system_info *info)
{
    int type = pmu_type("uprobe");
    if (type < 0) {
        system_info_add(info, "uprobes", PROBE_MISSING,
                        xstrdup("no event source \"uprobe\" in /sys/bus/event_source/devices"),
                        xstrdup("a kernel of 4.17 or later with CONFIG_UPROBE_EVENTS=y, and /sys "
                                "mounted"));
        return;
    }
    struct perf_event_attr attr = {
        .type = (uint32_t)type,
        .config1 = (uint64_t)(uintptr_t) "/proc/self/exe",
    };
    int failed = try_event(&attr);
    if (failed)
        add_refused(info, "uprobes", failed, CAP_SYS_ADMIN, NULL);
    else
        system_info_add(info, "uprobes", PROBE_WORKS,
                        xstrdup("calls of a function can be counted and sampled"), NULL);
}

static void probe_breakpoints(struct system_info *info)
{
    static uint64_t watched;
    struct perf_event_attr attr = {
        .type = PERF_TYPE_BREAKPOINT,
        .bp_type = HW_BREAKPOINT_W,
        .bp_addr = (uint64_t)(uintptr_t)&watched,
        .bp_len = HW_BREAKPOINT_LEN_8,
        .sample_period = 1,
        .sample_type = PERF_SAMPLE_IP,
        .exclude_kernel = 1,
    };
    struct error err;
    int failed = try_event(&attr);
    if (!failed && perf_probe_try_debug_registers(&err))
        system_info_add(info, "breakpoints", PROBE_MISSING, xstrdup(err.text), NULL);
    else if (!failed)
        system_info_add(info, "breakpoints", PROBE_WORKS,
                        xstrdup("hardware breakpoints can watch a few addresses"), NULL);
    else if (failed == ENOSPC)
        system_info_add(info, "breakpoints", PROBE_MISSING,
                        xstrdup("all of the CPU's breakpoint registers are taken"),
                        xstrdup("end the debuggers that hold them"));
    else
        add_refused(info, "breakpoints", failed, CAP_PERFMON, "kernel.perf_event_paranoid=2");
}

/* Whether a ring of the least size can be mapped; -1 when there is no event to map it over. */
static int ring_maps(void)
{
    struct perf_event_attr dummy = {
        .size = sizeof dummy,
        .type = PERF_TYPE_SOFTWARE,
        .config = PERF_COUNT_SW_DUMMY,
        .exclude_kernel = 1,
    };
    _cleanup_close_ int fd =
        (int)syscall(SYS_perf_event_open, &dummy, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t bytes = RING_BYTES_LEAST + (size_t)sysconf(_SC_PAGESIZE);
    void *ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ring != MAP_FAILED)
        munmap(ring, bytes);
    return ring != MAP_FAILED;
}

/*
 * How large rings may be is reckoned as the kernel does (perf_mmap): so much for the user and
 * each CPU, and what goes beyond is the process's locked memory.
 */
static void probe_rings(struct system_info *info)
{
    const int ipc_lock[] = {CAP_IPC_LOCK, -1};
    struct rlimit locked = {0};
    int mapped = ring_maps();
    if (mapped < 0)
        return; /* perf_events tells why */
    getrlimit(RLIMIT_MEMLOCK, &locked);
    bool unlimited = privileges_have(&info->privileges, CAP_IPC_LOCK) || info->paranoid < 0 ||
                     locked.rlim_cur == RLIM_INFINITY;
    uint64_t whole_kb = (RING_BYTES_WHOLE + (uint64_t)sysconf(_SC_PAGESIZE)) / 1024;
    uint64_t each_kb = (uint64_t)small_file_number("/proc/sys/kernel/perf_event_mlock_kb", 0) +
                       locked.rlim_cur / 1024 / (uint64_t)info->cpus;
    if (mapped && (unlimited || each_kb >= whole_kb)) {
        char *detail = unlimited ? xstrdup("perf's rings may have any size")
                                 : xasprintf("perf's rings: %" PRIu64 " KiB for each CPU", each_kb);
        system_info_add(info, "ring_memory", PROBE_WORKS, detail, NULL);
        return;
    }
    _cleanup_free_ char *sysctl = xasprintf("kernel.perf_event_mlock_kb=%" PRIu64, whole_kb);
    char *detail =
        mapped ? xasprintf("perf's rings: %" PRIu64 " KiB for each CPU (kernel.perf_event_mlock_kb "
                           "and RLIMIT_MEMLOCK), so that less of each stack is copied",
                           each_kb)
               : xstrdup("perf's rings: no memory may be locked, or other recordings hold it");
    system_info_add(info, "ring_memory", mapped ? PROBE_LIMITED : PROBE_MISSING, detail,
                    system_info_need(info, ipc_lock, sysctl));
}

static void probe_rate(struct system_info *info)
{
    int64_t ceiling = small_file_number("/proc/sys/kernel/perf_event_max_sample_rate", -1);
    if (ceiling < 0)
        return; /* perf_events tells why */
    bool enough = ceiling >= RATE_HZ;
    system_info_add(info, "sample_rate", enough ? PROBE_WORKS : PROBE_LIMITED,
                    xasprintf("at most %" PRId64 " Hz (kernel.perf_event_max_sample_rate)%s",
                              ceiling,
                              enough ? "" : ": the kernel found that samples take it too long"),
                    enough ? NULL
                           : xstrdup("`sysctl kernel.perf_event_max_sample_rate=100000`, and "
                                     "`sysctl kernel.perf_cpu_time_max_percent=0` to keep it"));
}

void probe_perf(struct system_info *info)
{
    probe_clock(info);
    probe_cycles(info);
    probe_kernel_frames(info);
    probe_rings(info);
    probe_rate(info);
    probe_uprobes(info);
    probe_breakpoints(info);
}
