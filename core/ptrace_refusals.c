/*
 * ptrace_refusals.c - the kernel's own checks, by their cheapest users.
 *
 * /proc/PID/task/TID/syscall is guarded as PTRACE_ATTACH is (user, capabilities, dumpable, yama),
 * so reading it asks the question. A seccomp filter is found by calls that do nothing: detaching
 * from ourselves, who are no tracee, and reading a byte of our own memory.
 */
#include "core/ptrace_refusals.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static int check_seccomp(const struct target *target, struct error *err)
{
    char byte = 0, copy;
    struct iovec here = {&copy, 1}, there = {&byte, 1};
    const char *call = NULL;
    if (ptrace(PTRACE_DETACH, getpid(), NULL, NULL) && errno != ESRCH)
        call = "ptrace";
    else if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) != 1)
        call = "process_vm_readv";
    if (!call)
        return 0;
    return error_set(err, errno == ENOSYS ? ERROR_UNSUPPORTED : ERROR_PERMISSION,
                     "cannot sample %d (%s): %s is not permitted here (%s); in a container add "
                     "--cap-add=SYS_PTRACE, or a seccomp profile that allows it",
                     target->pid, target->command, call, strerror(errno));
}

/* The tracer of any thread; 0: none (or one in a PID namespace that is not seen from here). */
static pid_t find_tracer(pid_t pid)
{
    _cleanup_free_ pid_t *tids = NULL;
    size_t count = 0;
    char status[8192];
    if (target_threads(pid, &tids, &count, NULL))
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (target_read_thread(pid, tids[i], "status", status, sizeof status) <= 0)
            continue;
        const char *at = strstr(status, "\nTracerPid:");
        pid_t tracer = at ? (pid_t)strtol(at + strlen("\nTracerPid:"), NULL, 10) : 0;
        if (tracer > 0)
            return tracer;
    }
    return 0;
}

static int check_tracer(const struct target *target, struct error *err)
{
    char name[16];
    pid_t tracer = find_tracer(target->pid);
    if (!tracer)
        return 0;
    target_thread_name(tracer, tracer, name);
    return error_set(err, ERROR_USAGE,
                     "cannot sample %d (%s): it is traced by %d (%s); end that first", target->pid,
                     target->command, tracer, name);
}

static int read_number(const char *path, int otherwise)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    int value;
    return file && fscanf(file, "%d", &value) == 1 ? value : otherwise;
}

static int permission_error(const struct target *target, struct error *err)
{
    int scope = read_number("/proc/sys/kernel/yama/ptrace_scope", 0);
    if (scope == 3)
        return error_set(err, ERROR_PERMISSION,
                         "cannot sample %d (%s): kernel.yama.ptrace_scope is 3, which forbids "
                         "ptrace until the next boot",
                         target->pid, target->command);
    if (scope)
        return error_set(
            err, ERROR_PERMISSION,
            "cannot sample %d (%s): kernel.yama.ptrace_scope is %d; run as root, grant "
            "CAP_SYS_PTRACE, or `sysctl kernel.yama.ptrace_scope=0`",
            target->pid, target->command, scope);
    return error_set(err, ERROR_PERMISSION,
                     "cannot sample %d (%s): it is another user's or not to be traced "
                     "(PR_SET_DUMPABLE, capabilities of its own); run as root or grant "
                     "CAP_SYS_PTRACE",
                     target->pid, target->command);
}

static int check_permission(const struct target *target, struct error *err)
{
    _cleanup_free_ pid_t *tids = NULL;
    size_t count;
    char text[256];
    if (target_threads(target->pid, &tids, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (target_read_thread(target->pid, tids[i], "syscall", text, sizeof text) >= 0)
            return 0;
        if (errno == EPERM || errno == EACCES)
            return permission_error(target, err);
    }
    return 0;
}

static int check_width(const struct target *target, struct error *err)
{
    char path[32];
    unsigned char ident[EI_NIDENT];
    snprintf(path, sizeof path, "/proc/%d/exe", target->pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || read(fd, ident, sizeof ident) != sizeof ident || memcmp(ident, ELFMAG, SELFMAG) ||
        ident[EI_CLASS] != ELFCLASS32)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED,
                     "cannot sample %d (%s): it is a 32-bit program, and memprof unwinds 64-bit "
                     "ones only",
                     target->pid, target->command);
}

int ptrace_check(const struct target *target, struct error *err)
{
    return check_seccomp(target, err) || check_permission(target, err) ||
                   check_tracer(target, err) || check_width(target, err)
               ? -1
               : 0;
}
