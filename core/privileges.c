/*
 * privileges.c - reading /proc/self, and the wording of remedies.
 *
 * What Docker's own seccomp profile does (moby, profiles/seccomp/default_linux.go): it refuses
 * perf_event_open with EPERM unless the container has CAP_SYS_ADMIN, or since Docker 23
 * CAP_PERFMON; ptrace and process_vm_readv pass on Linux 4.8 and later, or with CAP_SYS_PTRACE.
 * Podman's wants both capabilities for perf_event_open until the end of 2025 and refuses what it
 * does not know with ENOSYS. Kubernetes filters nothing unless a profile is asked for.
 */
#include "core/privileges.h"

#include "core/alloc.h"
#include "core/cgroup.h"
#include "core/small_file.h"

#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The inodes of the first namespaces, PROC_…_INIT_INO of include/linux/proc_ns.h. */
#define INITIAL_PID_NAMESPACE 0xEFFFFFFCu
#define INITIAL_USER_NAMESPACE 0xEFFFFFFDu
#define INITIAL_UTS_NAMESPACE 0xEFFFFFFEu
#define INITIAL_IPC_NAMESPACE 0xEFFFFFFFu

static const struct {
    int number;
    const char *name;
} capability_names[] = {
    {CAP_IPC_LOCK, "CAP_IPC_LOCK"},   {CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {CAP_SYSLOG, "CAP_SYSLOG"},
    {CAP_PERFMON, "CAP_PERFMON"},     {CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE"},
};

const char *capability_name(int capability)
{
    for (size_t i = 0; i < sizeof capability_names / sizeof *capability_names; i++)
        if (capability_names[i].number == capability)
            return capability_names[i].name;
    return "CAP_?";
}

static bool in_other_namespace(const char *path, ino_t initial)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_ino != initial;
}

static bool exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

/*
 * What a runtime leaves behind; a hint and no more, for wording remedies. A virtual machine that
 * was made from a container's image has the same files, but is in no namespace.
 */
static const char *container_name(void)
{
    static const char *const marks[][2] = {
        {"kubepods", "kubernetes"}, {"libpod", "podman"}, {"docker", "docker"}, {"lxc", "lxc"}};
    struct cgroup cgroup;
    if (!in_other_namespace("/proc/self/ns/pid", INITIAL_PID_NAMESPACE) &&
        !in_other_namespace("/proc/self/ns/ipc", INITIAL_IPC_NAMESPACE) &&
        !in_other_namespace("/proc/self/ns/uts", INITIAL_UTS_NAMESPACE))
        return "";
    if (getenv("KUBERNETES_SERVICE_HOST"))
        return "kubernetes";
    if (exists("/run/.containerenv"))
        return "podman";
    if (exists("/.dockerenv"))
        return "docker";
    cgroup_find(&cgroup);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strstr(cgroup.path, marks[i][0]))
            return marks[i][1];
    const char *variable = getenv("container"); /* systemd's convention */
    return variable ? variable : "";
}

static uint64_t status_field(const char *status, const char *name, int base)
{
    const char *line = strstr(status, name);
    return line ? strtoull(line + strlen(name), NULL, base) : 0;
}

void privileges_read(struct privileges *ret_privileges)
{
    char status[16 << 10] = "";
    small_file_read("/proc/self/status", status, sizeof status);
    *ret_privileges = (struct privileges){
        .uid = geteuid(),
        .capabilities = status_field(status, "\nCapEff:\t", 16),
        .last_capability = (int)small_file_number("/proc/sys/kernel/cap_last_cap", CAP_LAST_CAP),
        .no_new_privs = status_field(status, "\nNoNewPrivs:\t", 10),
        .seccomp = status_field(status, "\nSeccomp:\t", 10),
        .user_namespace = in_other_namespace("/proc/self/ns/user", INITIAL_USER_NAMESPACE),
    };
    snprintf(ret_privileges->container, sizeof ret_privileges->container, "%s", container_name());
}

int privileges_known(const struct privileges *privileges, int capability)
{
    return capability <= privileges->last_capability ? capability : CAP_SYS_ADMIN;
}

bool privileges_have(const struct privileges *privileges, int capability)
{
    return !privileges->user_namespace && privileges->capabilities >> capability & 1;
}

/*
 * 0 if a call reaches the kernel, else its errno: it is made with arguments that the kernel
 * refuses before it looks at permissions.
 */
static int call_error(enum probed_call call)
{
    int expected = EINVAL;
    long result = -1;
    errno = 0;
    switch (call) {
    case CALL_PERF_EVENT_OPEN: /* unknown flags */
        result = syscall(SYS_perf_event_open, NULL, 0, -1, -1, ~0UL);
        break;
    case CALL_PTRACE:
        result = ptrace(PTRACE_SEIZE, -1, NULL, NULL);
        expected = ESRCH;
        break;
    case CALL_PROCESS_VM_READV: /* unknown flags */
        result = syscall(SYS_process_vm_readv, 0, NULL, 0, NULL, 0, ~0UL);
        break;
    case CALL_PIDFD_OPEN: /* no process has such a PID */
        result = syscall(SYS_pidfd_open, -1, 0);
        break;
    }
    return result < 0 && errno != expected ? errno : 0;
}

/* Of a call that does not reach the kernel: whether a filter may be why. */
static bool is_filtered(const struct privileges *privileges, enum probed_call call)
{
    /* A kernel without perf has no sysctl for it either. */
    bool known = call != CALL_PERF_EVENT_OPEN || exists("/proc/sys/kernel/perf_event_paranoid");
    return privileges->seccomp && known;
}

const char *call_refuser(const struct privileges *privileges, enum probed_call call)
{
    int number = call_error(call);
    if (!number || (!privileges->seccomp && number != ENOSYS))
        return NULL;
    return is_filtered(privileges, call) ? "a seccomp filter" : "this kernel";
}

/* --- remedies --- */

static bool in_container(const struct privileges *privileges, const char *name)
{
    return !strcmp(privileges->container, name);
}

char *remedy_for_call(const struct privileges *privileges, enum probed_call call)
{
    static const struct {
        const char *name, *capability, *since;
    } calls[] = {
        [CALL_PERF_EVENT_OPEN] = {"perf_event_open", "PERFMON", " (Docker 23 or later)"},
        [CALL_PTRACE] = {"ptrace", "SYS_PTRACE", ""},
        [CALL_PROCESS_VM_READV] = {"process_vm_readv", "SYS_PTRACE", ""},
        [CALL_PIDFD_OPEN] = {"pidfd_open", NULL, NULL},
    };
    const char *name = calls[call].name, *capability = calls[call].capability;
    if (!is_filtered(privileges, call))
        return xasprintf("run a kernel that has %s", name);
    if (!capability)
        return xasprintf("`docker run --security-opt seccomp=FILE` with a profile that allows %s "
                         "(`seccomp=unconfined` allows all)",
                         name);
    if (in_container(privileges, "kubernetes"))
        return xasprintf("in the pod's securityContext: capabilities.add [\"%s\"] and "
                         "seccompProfile.type Unconfined, or Localhost with a profile that allows "
                         "%s",
                         capability, name);
    if (in_container(privileges, "podman"))
        return xasprintf("`podman run --cap-add %s --security-opt seccomp=unconfined`, or "
                         "seccomp=FILE with a profile that allows %s",
                         capability, name);
    _cleanup_free_ char *unit = in_container(privileges, "docker")
                                    ? xstrdup("")
                                    : xasprintf("; in a systemd unit: SystemCallFilter=%s", name);
    return xasprintf("`docker run --cap-add %s`%s, or `docker run --security-opt seccomp=FILE` "
                     "with a profile that allows %s (`seccomp=unconfined` allows all)%s",
                     capability, calls[call].since, name, unit);
}

/* A path that a shell takes as one word as it is, or the command that finds it. */
static char *own_path(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    for (const char *at = path; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("/._-+", *at))
            return xstrdup("$(command -v memprof)");
    return xstrdup(*path ? path : "$(command -v memprof)");
}

/* `capabilities` by name behind `before`, with `between` in between; in lower case for setcap. */
static char *join_names(const int *capabilities, const char *before, const char *between,
                        bool lower, size_t skip)
{
    char *text = xstrdup("");
    for (size_t i = 0; capabilities[i] >= 0; i++) {
        _cleanup_free_ char *start = text;
        _cleanup_free_ char *name = xstrdup(capability_name(capabilities[i]));
        for (char *at = name; lower && *at; at++)
            *at = (char)tolower((unsigned char)*at);
        text = xasprintf("%s%s%s%s", start, i ? between : "", before, name + skip);
    }
    return text;
}

static char *remedy_in_container(const struct privileges *privileges, const int *capabilities)
{
    size_t prefix = strlen("CAP_");
    _cleanup_free_ char *options = join_names(capabilities, "--cap-add ", " ", false, prefix);
    if (in_container(privileges, "kubernetes")) {
        _cleanup_free_ char *list = join_names(capabilities, "\"", "\", ", false, prefix);
        return xasprintf("in the pod's securityContext: capabilities.add [%s\"]%s", list,
                         privileges->uid ? " and runAsUser 0" : "");
    }
    return xasprintf("`%s run %s%s`", in_container(privileges, "podman") ? "podman" : "docker",
                     privileges->uid ? "--user 0 " : "", options);
}

char *remedy_for_capabilities(const struct privileges *privileges, const int *capabilities,
                              const char *sysctl)
{
    _cleanup_free_ char *names = join_names(capabilities, "", ",", true, 0);
    _cleanup_free_ char *path = own_path();
    _cleanup_free_ char *alternative =
        sysctl
            ? xasprintf(", or `sysctl %s`%s", sysctl, *privileges->container ? " on the host" : "")
            : xstrdup("");
    if (privileges->user_namespace)
        return xasprintf("run outside of this user namespace, where capabilities of the machine "
                         "can be had%s",
                         alternative);
    if (*privileges->container) {
        _cleanup_free_ char *how = remedy_in_container(privileges, capabilities);
        return xasprintf("%s%s", how, alternative);
    }
    if (privileges->no_new_privs)
        return xasprintf("run as root, from a shell without no_new_privs, which turns off sudo and "
                         "setcap%s",
                         alternative);
    if (!privileges->uid)
        return xasprintf("run as root with all its capabilities: %s %s missing%s", names,
                         capabilities[1] < 0 ? "is" : "are", alternative);
    return xasprintf("run as root, or `setcap %s+ep %s`%s", names, path, alternative);
}
