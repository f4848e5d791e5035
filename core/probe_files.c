/*
 * probe_files.c - the rows about files of /proc, limits and the control group.
 */
#include "core/system_info.h"

#include "core/small_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>

enum {
    THREADS_USUAL = 1000, /* a target of so many threads is to be recorded without a limit */
    DESCRIPTORS_OWN = 256 /* files that memprof itself has open, roughly */
};

static void probe_rollup(struct system_info *info)
{
    char text[4096] = "";
    errno = 0;
    if (small_file_read("/proc/self/smaps_rollup", text, sizeof text) > 0 && strstr(text, "\nPss:"))
        system_info_add(info, "smaps_rollup", PROBE_WORKS,
                        xstrdup("the proportional set size (pss) is read"), NULL);
    else
        system_info_add(info, "smaps_rollup", PROBE_MISSING,
                        xasprintf("/proc/PID/smaps_rollup can't be read, so that there is no pss: "
                                  "%s",
                                  errno ? strerror(errno) : "no Pss in it"),
                        xstrdup("Linux 4.14 or later with CONFIG_PROC_PAGE_MONITOR=y"));
}

/* Opens the first file that is mapped into this process; 0 or errno. */
static int try_map_files(void)
{
    int failed = ENOENT;
    DIR *directory = opendir("/proc/self/map_files");
    if (!directory)
        return errno;
    for (struct dirent *entry; failed == ENOENT && (entry = readdir(directory));) {
        if (*entry->d_name == '.')
            continue;
        _cleanup_close_ int fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
        failed = fd < 0 ? errno : 0;
    }
    closedir(directory);
    return failed;
}

static void probe_map_files(struct system_info *info)
{
    const int needed[] = {privileges_known(&info->privileges, CAP_CHECKPOINT_RESTORE), -1};
    int failed = try_map_files();
    if (!failed)
        system_info_add(info, "map_files", PROBE_WORKS,
                        xstrdup("a target's own files are opened, deleted or replaced ones too"),
                        NULL);
    else
        system_info_add(info, "map_files", PROBE_LIMITED,
                        xasprintf("a target's files are opened by name, deleted or replaced ones "
                                  "not at all: %s",
                                  strerror(failed)),
                        failed == EPERM || failed == EACCES
                            ? system_info_need(info, needed, NULL)
                            : xstrdup("Linux 4.3 or later, with /proc mounted"));
}

/* One event, and so one descriptor, for each thread on each CPU. */
static void probe_descriptors(struct system_info *info)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    uint64_t cpus = (uint64_t)info->cpus, most = limit.rlim_max;
    uint64_t wanted = (THREADS_USUAL + 1) * cpus + DESCRIPTORS_OWN;
    if (privileges_have(&info->privileges, CAP_SYS_RESOURCE))
        most = (uint64_t)small_file_number("/proc/sys/fs/nr_open", (int64_t)limit.rlim_max);
    uint64_t threads = most > DESCRIPTORS_OWN ? (most - DESCRIPTORS_OWN) / cpus : 0;
    bool enough = most >= wanted;
    char *remedy = NULL;
    if (!enough)
        remedy = *info->privileges.container
                     ? xasprintf("`docker run --ulimit nofile=%" PRIu64 "`", wanted)
                     : xasprintf("`ulimit -n %" PRIu64 "` as root, or \"nofile\" in "
                                 "/etc/security/limits.conf",
                                 wanted);
    system_info_add(
        info, "open_files", enough ? PROBE_WORKS : PROBE_LIMITED,
        xasprintf("up to %" PRIu64 " files, for perf on about %" PRIu64 " threads", most, threads),
        remedy);
}

static void probe_cgroup(struct system_info *info)
{
    const struct cgroup *cgroup = &info->cgroup;
    if (!cgroup->version || !*cgroup->directory) {
        system_info_add(info, "cgroup", PROBE_MISSING,
                        xstrdup(cgroup->version ? "the memory controller's files are not mounted"
                                                : "this process is in no group of the memory "
                                                  "controller"),
                        xstrdup("`mount -t cgroup2 none /sys/fs/cgroup`"));
        return;
    }
    uint64_t limit = cgroup_memory_limit(cgroup);
    _cleanup_free_ char *text = limit == CGROUP_NO_LIMIT
                                    ? xstrdup("no memory limit")
                                    : xasprintf("memory limit %.1f MiB", (double)limit / 0x1p20);
    system_info_add(info, "cgroup", PROBE_WORKS,
                    xasprintf("version %d, %s, %s", cgroup->version, cgroup->path, text), NULL);
}

void probe_files(struct system_info *info)
{
    probe_rollup(info);
    probe_map_files(info);
    probe_descriptors(info);
    probe_cgroup(info);
}
