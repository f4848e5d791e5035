/*
 * target.c - opening a process by PID, and launching one.
 */
#include "core/target.h"

#include "core/limits.h"
#include "core/small_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reads a whole small file of /proc; the length, or -1 and errno. */
static ssize_t read_proc(pid_t pid, const char *name, char *buffer, size_t size)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return small_file_read(path, buffer, size);
}

struct stat_fields { /* of proc_pid_stat(5) */
    char state;
    pid_t parent;
    uint64_t flags, utime, stime, start_time;
    int64_t children_utime, children_stime;
};

/* comm may hold anything, spaces and parentheses too: fields count from the last ')'. */
static int stat_read(pid_t pid, struct stat_fields *ret)
{
    char text[2048];
    if (read_proc(pid, "stat", text, sizeof text) <= 0)
        return -1;
    const char *at = strrchr(text, ')');
    if (!at || sscanf(at,
                      ") %c %d %*d %*d %*d %*d %" SCNu64 " %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                      " %" SCNd64 " %" SCNd64 " %*d %*d %*d %*d %" SCNu64,
                      &ret->state, &ret->parent, &ret->flags, &ret->utime, &ret->stime,
                      &ret->children_utime, &ret->children_stime, &ret->start_time) != 8) {
        errno = ESRCH;
        return -1;
    }
    return 0;
}

static char *command_line(pid_t pid, const char *command)
{
    char text[4096];
    ssize_t length = read_proc(pid, "cmdline", text, sizeof text);
    if (length <= 0)
        return xasprintf("[%s]", command);
    while (length && !text[length - 1])
        length--;
    for (ssize_t i = 0; i < length; i++)
        if (!text[i])
            text[i] = ' ';
    return xstrndup(text, (size_t)length);
}

static int refuse_other_user(pid_t pid, const char *command, struct error *err)
{
    char path[32];
    struct stat status = {0};
    snprintf(path, sizeof path, "/proc/%d", pid);
    struct passwd *owner = stat(path, &status) ? NULL : getpwuid(status.st_uid);
    char number[24], remedy[64] = "run as root";
    snprintf(number, sizeof number, "user %u", status.st_uid);
    const char *name = owner ? owner->pw_name : number;
    if (status.st_uid)
        snprintf(remedy, sizeof remedy, "run as %s or root", name);
    return error_set(err, ERROR_PERMISSION,
                     "cannot attach to %d (%s): it belongs to %s; %s, or grant CAP_SYS_PTRACE and "
                     "CAP_PERFMON",
                     pid, command, name, remedy);
}

enum { KERNEL_THREAD_FLAG = 0x00200000 }; /* PF_KTHREAD, include/linux/sched.h */

/* A process whose main thread has ended is shown as a zombie while its other threads run on. */
static bool has_other_threads(pid_t pid)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    return !stat(path, &status) && status.st_nlink > 3; /* ".", "..", and one per thread */
}

static int check_attachable(pid_t pid, const char *command, const struct stat_fields *fields,
                            struct error *err)
{
    if (fields->flags & KERNEL_THREAD_FLAG)
        return error_set(err, ERROR_USAGE,
                         "cannot attach to %d (%s): it is a kernel thread, which has no program of "
                         "its own to profile",
                         pid, command);
    if (fields->state == 'X' || (fields->state == 'Z' && !has_other_threads(pid)))
        return error_set(
            err, ERROR_GONE,
            "cannot attach to %d (%s): it has ended (a zombie, waiting for its parent)", pid,
            command);
    if (pid == getpid())
        return error_set(err, ERROR_USAGE, "cannot attach to %d: it is memprof itself", pid);
    return 0;
}

/*
 * The kernel's own test (ptrace_may_access, PTRACE_MODE_READ) stands behind /proc/PID/maps: to
 * ask it leaves no trace in the target. A first byte is read because open alone is not checked.
 */
static bool may_look_at(pid_t pid)
{
    char byte[2];
    return read_proc(pid, "maps", byte, sizeof byte) >= 0;
}

int target_open(pid_t pid, struct target *ret_target, struct error *err)
{
    struct target target = {.pid = pid, .pidfd = -1};
    struct stat_fields fields;
    if (pid <= 0)
        return error_set(err, ERROR_USAGE, "cannot attach to %d: not a process id", pid);
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    /* Where pidfds are forbidden, the start time alone tells a reused PID. */
    if (pidfd < 0 && (errno == EINVAL || errno == ENOENT || errno == ESRCH))
        return errno != ESRCH
                   ? error_set(err, ERROR_USAGE,
                               "cannot attach to %d: it is a thread, not a process; give its "
                               "process id (Tgid in /proc/%d/status)",
                               pid, pid)
                   : error_set(err, ERROR_GONE, "cannot attach to %d: no such process", pid);
    if (stat_read(pid, &fields))
        return error_set(err, ERROR_GONE, "cannot attach to %d: no such process", pid);
    target_thread_name(pid, pid, target.command);
    if (check_attachable(pid, target.command, &fields, err))
        return -1;
    if (!may_look_at(pid))
        return refuse_other_user(pid, target.command, err);
    target.start_time = fields.start_time;
    target.pidfd = steal_fd(&pidfd);
    target.command_line = command_line(pid, target.command);
    *ret_target = target;
    return 0;
}

void target_release(struct target *target)
{
    if (target->pidfd > 0)
        close(target->pidfd);
    free(target->command_line);
    *target = (struct target){.pidfd = -1};
}

bool target_alive(const struct target *target)
{
    struct stat_fields fields;
    struct pollfd ended = {.fd = target->pidfd, .events = POLLIN};
    if (target->pidfd >= 0)
        return poll(&ended, 1, 0) == 0;
    return !stat_read(target->pid, &fields) && fields.start_time == target->start_time &&
           fields.state != 'Z' && fields.state != 'X';
}

/* The entries of a folder that are numbers; the caller frees *ret_numbers. -1 and errno. */
static int list_numbers(const char *path, pid_t **ret_numbers, size_t *ret_count)
{
    DIR *directory = opendir(path);
    if (!directory)
        return -1;
    vec(pid_t) numbers = {0};
    for (struct dirent *entry; numbers.count < LIMIT_THREADS && (entry = readdir(directory));)
        if (isdigit((unsigned char)entry->d_name[0]))
            vec_append(&numbers, (pid_t)strtol(entry->d_name, NULL, 10));
    closedir(directory);
    *ret_numbers = numbers.items;
    *ret_count = numbers.count;
    return 0;
}

int target_threads(pid_t pid, pid_t **ret_tids, size_t *ret_count, struct error *err)
{
    char path[64];
    pid_t *tids;
    size_t count;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    if (list_numbers(path, &tids, &count))
        return error_set_errno(err, "cannot list the threads of %d", pid);
    if (!count) {
        free(tids);
        return error_set(err, ERROR_GONE, "process %d has ended", pid);
    }
    *ret_tids = tids;
    *ret_count = count;
    return 0;
}

static bool is_among(const pid_t *pids, size_t count, pid_t wanted)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == wanted)
            return true;
    return false;
}

/* Rounds over all processes until none is found whose parent is known: any order of PIDs. */
void target_processes(const struct target *target, bool children, pid_t **ret_pids,
                      size_t *ret_count)
{
    vec(pid_t) found = {0};
    _cleanup_free_ pid_t *all = NULL;
    size_t count = 0, before = 0;
    vec_append(&found, target->pid);
    if (children && list_numbers("/proc", &all, &count))
        count = 0;
    while (before != found.count && found.count < LIMIT_PROCESSES) {
        before = found.count;
        for (size_t i = 0; i < count; i++) {
            struct stat_fields fields;
            if (!is_among(found.items, found.count, all[i]) && !stat_read(all[i], &fields) &&
                is_among(found.items, found.count, fields.parent))
                vec_append(&found, all[i]);
        }
    }
    *ret_pids = found.items;
    *ret_count = found.count;
}

uint64_t target_start_ticks(pid_t pid)
{
    struct stat_fields fields;
    return stat_read(pid, &fields) ? 0 : fields.start_time;
}

ssize_t target_read_thread(pid_t pid, pid_t tid, const char *name, char *buffer, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "task/%d/%s", tid, name);
    return read_proc(pid, path, buffer, size);
}

void target_thread_name(pid_t pid, pid_t tid, char ret_name[16])
{
    char text[32];
    ssize_t length = target_read_thread(pid, tid, "comm", text, sizeof text);
    size_t used = length > 0 ? strcspn(text, "\n") : 0;
    if (used > 15)
        used = 15;
    memcpy(ret_name, text, used);
    ret_name[used] = '\0';
}

int target_cpu_time(const struct target *target, bool children, double *ret_user_s,
                    double *ret_system_s)
{
    struct stat_fields fields;
    if (stat_read(target->pid, &fields) || fields.start_time != target->start_time)
        return -1;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    *ret_user_s = ((double)fields.utime + (children ? (double)fields.children_utime : 0)) / ticks;
    *ret_system_s = ((double)fields.stime + (children ? (double)fields.children_stime : 0)) / ticks;
    return 0;
}

void target_name_command(struct target *target, char *const argv[])
{
    const char *slash = strrchr(argv[0], '/');
    snprintf(target->command, sizeof target->command, "%s", slash ? slash + 1 : argv[0]);
    free(target->command_line);
    target->command_line = xstrdup(argv[0]);
    for (size_t i = 1; argv[i]; i++) {
        char *longer = xasprintf("%s %s", target->command_line, argv[i]);
        free(target->command_line);
        target->command_line = longer;
    }
}

/*
 * The child waits on a pipe, and tells through a second one, closed by a successful exec, why
 * exec failed. The exec itself is what enable_on_exec events wait for.
 */
static _Noreturn void child_main(char *const argv[], int gate, int report)
{
    char byte;
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (read(gate, &byte, 1) != 1)
        _exit(127);
    /* From here on the command lives its own life, whatever becomes of memprof. */
    prctl(PR_SET_PDEATHSIG, 0);
    execvp(argv[0], argv);
    int reason = errno;
    if (write(report, &reason, sizeof reason) != sizeof reason)
        _exit(127);
    _exit(127);
}

int launch_prepare(char *const argv[], struct launch *ret_launch, struct error *err)
{
    int gate[2], report[2];
    if (pipe2(gate, O_CLOEXEC))
        return error_set_errno(err, "cannot launch %s", argv[0]);
    if (pipe2(report, O_CLOEXEC)) {
        close(gate[0]);
        close(gate[1]);
        return error_set_errno(err, "cannot launch %s", argv[0]);
    }
    pid_t pid = fork();
    if (!pid) {
        close(gate[1]);
        child_main(argv, gate[0], report[1]);
    }
    close(gate[0]);
    close(report[1]);
    if (pid < 0) {
        close(gate[1]);
        close(report[0]);
        return error_set_errno(err, "cannot launch %s", argv[0]);
    }
    *ret_launch =
        (struct launch){.pid = pid, .gate = gate[1], .report = report[0], .command = argv[0]};
    return 0;
}

int launch_go(struct launch *launch, struct error *err)
{
    int reason = 0;
    ssize_t got = -1;
    if (write(launch->gate, "", 1) == 1)
        do
            got = read(launch->report, &reason, sizeof reason);
        while (got < 0 && errno == EINTR);
    close(launch->gate);
    close(launch->report);
    launch->gate = launch->report = -1;
    if (!got)
        return 0;
    waitpid(launch->pid, NULL, 0);
    errno = got == sizeof reason ? reason : EIO;
    return error_set_errno(err, "cannot run %s", launch->command);
}

void launch_abort(struct launch *launch)
{
    kill(launch->pid, SIGKILL);
    waitpid(launch->pid, NULL, 0);
    close(launch->gate);
    close(launch->report);
}
