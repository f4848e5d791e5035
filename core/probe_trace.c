/*
 * probe_trace.c - the rows about other processes: ptrace, reading their memory, /proc.
 *
 * Two helper processes are forked: a child, and an orphan, whose parent has ended. Yama's
 * ptrace_scope 1 tells them apart: it lets a process trace its descendants alone. A helper lives
 * until its gate, a pipe, is closed, and so never longer than memprof. Helpers make themselves
 * dumpable: a memprof with file capabilities is not, and would be refused its own child.
 */
#include "core/system_info.h"

#include "core/small_file.h"
#include "core/target.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { FOREIGN_TRIED = 64 };

struct helper {
    pid_t pid;
    pid_t child; /* to be waited for: the helper, or 0 */
    int gate;    /* -1: it could not be started */
};

_Noreturn static void helper_run(int gate, int report)
{
    char byte;
    pid_t pid = getpid();
    prctl(PR_SET_DUMPABLE, 1);
    if (write(report, &pid, sizeof pid) == sizeof pid)
        while (read(gate, &byte, 1) < 0 && errno == EINTR)
            ;
    _exit(0);
}

static struct helper helper_start(bool orphan)
{
    struct helper helper = {.gate = -1};
    int gate[2], report[2];
    if (pipe2(gate, O_CLOEXEC))
        return helper;
    if (pipe2(report, O_CLOEXEC)) {
        close(gate[0]);
        close(gate[1]);
        return helper;
    }
    pid_t child = fork();
    if (!child) {
        close(gate[1]);
        close(report[0]);
        if (!orphan || fork() == 0)
            helper_run(gate[0], report[1]);
        _exit(0);
    }
    close(gate[0]);
    close(report[1]);
    if (orphan && child > 0)
        waitpid(child, NULL, 0); /* from here on the helper is an orphan */
    if (child > 0 && read(report[0], &helper.pid, sizeof helper.pid) == sizeof helper.pid)
        helper.gate = steal_fd(&gate[1]);
    close(report[0]);
    if (gate[1] >= 0)
        close(gate[1]);
    helper.child = orphan || child < 0 ? 0 : child;
    return helper;
}

static void helper_end(const struct helper *helper)
{
    if (helper->gate >= 0)
        close(helper->gate);
    if (helper->child)
        waitpid(helper->child, NULL, 0);
}

/* --- ptrace and process_vm_readv --- */

/* Seizes, interrupts and lets go; 0 or errno. */
static int try_ptrace(pid_t pid)
{
    int status;
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL))
        return errno;
    if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0)
        waitpid(pid, &status, __WALL);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return 0;
}

/* Reads what this process had at the fork; 0 or errno. */
static int try_read(pid_t pid)
{
    static const uint64_t known = 0x6d656d70726f6621;
    uint64_t got = 0;
    struct iovec to = {&got, sizeof got}, from = {(void *)(uintptr_t)&known, sizeof known};
    ssize_t length = process_vm_readv(pid, &to, 1, &from, 1, 0);
    if (length < 0)
        return errno;
    return length == sizeof got && got == known ? 0 : EIO;
}

static int64_t ptrace_scope(void)
{
    return small_file_number("/proc/sys/kernel/yama/ptrace_scope", 0);
}

static char *trace_remedy(struct system_info *info, enum probed_call call)
{
    const int sys_ptrace[] = {CAP_SYS_PTRACE, -1};
    int64_t scope = ptrace_scope();
    if (call_refuser(&info->privileges, call))
        return remedy_for_call(&info->privileges, call);
    if (scope >= 3)
        return xstrdup("boot with kernel.yama.ptrace_scope at 2 or less: 3 can't be taken back");
    return system_info_need(info, sys_ptrace, scope ? "kernel.yama.ptrace_scope=0" : NULL);
}

/* One call on both helpers: `does` says what it is good for. */
static void add_trace_row(struct system_info *info, const char *name, enum probed_call call,
                          int child_failed, int orphan_failed, const char *does)
{
    if (!child_failed && !orphan_failed) {
        system_info_add(info, name, PROBE_WORKS, xstrdup(does), NULL);
        return;
    }
    char *detail;
    const char *refuser = call_refuser(&info->privileges, call);
    if (refuser)
        detail = xasprintf("%s is refused by %s: %s", name, refuser, strerror(child_failed));
    else if (!child_failed)
        detail = xasprintf("of commands that memprof starts alone: kernel.yama.ptrace_scope is "
                           "%" PRId64,
                           ptrace_scope());
    else
        detail = xasprintf("%s (kernel.yama.ptrace_scope is %" PRId64 ")", strerror(child_failed),
                           ptrace_scope());
    system_info_add(info, name, child_failed ? PROBE_MISSING : PROBE_LIMITED, detail,
                    trace_remedy(info, call));
}

static void probe_tracing(struct system_info *info)
{
    struct helper child = helper_start(false), orphan = helper_start(true);
    int read_child = EAGAIN, read_orphan = EAGAIN, trace_child = EAGAIN, trace_orphan = EAGAIN;
    if (child.gate >= 0 && orphan.gate >= 0) {
        read_child = try_read(child.pid);
        read_orphan = try_read(orphan.pid);
        trace_child = try_ptrace(child.pid);
        trace_orphan = try_ptrace(orphan.pid);
    }
    /* The orphan first: it was forked with the writing end of the child's gate. */
    helper_end(&orphan);
    helper_end(&child);
    add_trace_row(info, "ptrace", CALL_PTRACE, trace_child, trace_orphan,
                  "one's own processes can be stopped for a sample");
    add_trace_row(info, "process_vm_readv", CALL_PROCESS_VM_READV, read_child, read_orphan,
                  "the memory of one's own processes can be read");
}

static void probe_pidfd(struct system_info *info)
{
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd >= 0) {
        system_info_add(info, "pidfd", PROBE_WORKS, xstrdup("a process is held by a descriptor"),
                        NULL);
        return;
    }
    int failed = errno;
    const char *refuser = call_refuser(&info->privileges, CALL_PIDFD_OPEN);
    system_info_add(info, "pidfd", PROBE_MISSING,
                    xasprintf("pidfd_open is refused by %s, and without it no process can be "
                              "recorded: %s",
                              refuser ? refuser : "the kernel", strerror(failed)),
                    remedy_for_call(&info->privileges, CALL_PIDFD_OPEN));
}

/* --- processes of other users --- */

/* 0 or the errno of an event that counts nothing on another process. */
static int try_event_on(pid_t pid)
{
    struct perf_event_attr attr = {
        .size = sizeof attr,
        .type = PERF_TYPE_SOFTWARE,
        .config = PERF_COUNT_SW_CPU_CLOCK,
        .disabled = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
    };
    _cleanup_close_ int fd =
        (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? errno : 0;
}

/* Of another user, and no kernel thread: these have no command line. */
static bool is_foreign(const char *pid, uid_t uid)
{
    struct stat status;
    char line[2];
    _cleanup_free_ char *path = xasprintf("/proc/%s/cmdline", pid);
    return isdigit((unsigned char)*pid) && stat(path, &status) == 0 && status.st_uid != uid &&
           small_file_read(path, line, sizeof line) > 0;
}

struct foreign {
    int tried;
    bool looked; /* at one of them at least */
    bool recorded;
};

/* One that may be recorded settles it: single ones can be guarded by other means. */
static struct foreign try_foreign(uid_t uid)
{
    struct foreign foreign = {0};
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; directory && !foreign.recorded && foreign.tried < FOREIGN_TRIED &&
                               (entry = readdir(directory));) {
        struct target target;
        if (!is_foreign(entry->d_name, uid))
            continue;
        foreign.tried++;
        if (target_open(atoi(entry->d_name), &target, NULL))
            continue;
        foreign.looked = true;
        foreign.recorded = try_event_on(target.pid) == 0;
        target_release(&target);
    }
    if (directory)
        closedir(directory);
    return foreign;
}

static void probe_other_users(struct system_info *info)
{
    const struct privileges *privileges = &info->privileges;
    const int needed[] = {privileges_known(privileges, CAP_PERFMON), CAP_SYS_PTRACE, -1};
    const char *refuser = call_refuser(privileges, CALL_PERF_EVENT_OPEN);
    struct foreign foreign = try_foreign(privileges->uid);
    const char *untried = "";
    if (!foreign.tried) {
        untried = " (by the capabilities: none runs here to try it on)";
        foreign.looked = privileges_have(privileges, CAP_SYS_PTRACE);
        foreign.recorded = foreign.looked && privileges_have(privileges, needed[0]) && !refuser;
    }
    if (foreign.recorded)
        system_info_add(info, "other_users", PROBE_WORKS,
                        xasprintf("processes of other users can be recorded%s", untried), NULL);
    else if (foreign.looked)
        system_info_add(
            info, "other_users", PROBE_LIMITED,
            xasprintf("processes of other users can be looked at, but not by perf%s", untried),
            refuser ? remedy_for_call(privileges, CALL_PERF_EVENT_OPEN)
                    : system_info_need(info, needed, NULL));
    else
        system_info_add(info, "other_users", PROBE_MISSING,
                        xasprintf("processes of other users can't be looked at%s", untried),
                        system_info_need(info, needed, NULL));
}

static void probe_proc(struct system_info *info)
{
    char text[8];
    if (small_file_read("/proc/self/stat", text, sizeof text) <= 0) {
        system_info_add(info, "proc", PROBE_MISSING, xasprintf("/proc: %s", strerror(errno)),
                        xstrdup("`mount -t proc proc /proc`"));
        return;
    }
    const int sys_ptrace[] = {CAP_SYS_PTRACE, -1};
    bool visible = small_file_read("/proc/1/stat", text, sizeof text) > 0;
    char *remedy = NULL;
    if (!visible) {
        _cleanup_free_ char *other = system_info_need(info, sys_ptrace, NULL);
        remedy = xasprintf("%s, or `mount -o remount,hidepid=0 /proc`", other);
    }
    system_info_add(info, "proc", visible ? PROBE_WORKS : PROBE_LIMITED,
                    xstrdup(visible ? "all processes are to be seen in /proc"
                                    : "/proc hides the processes of other users (hidepid)"),
                    remedy);
}

void probe_trace(struct system_info *info)
{
    probe_tracing(info);
    probe_pidfd(info);
    probe_other_users(info);
    probe_proc(info);
}
