/*
 * cgroup.h - the control group that a process is in, and the memory it may use there.
 *
 * Where both versions are mounted, the one that has the memory controller counts. Knows the files
 * of cgroup v1 and v2, and nothing of who made the group.
 */
#ifndef MEMPROF_CORE_CGROUP_H
#define MEMPROF_CORE_CGROUP_H

#include "core/limits.h"

#include <stdint.h>

#define CGROUP_NO_LIMIT UINT64_MAX

struct cgroup {
    int version;                      /* 1 or 2; 0: in none */
    char path[LIMIT_PATH_BYTES];      /* as /proc/PID/cgroup names it, such as "/user.slice" */
    char directory[LIMIT_PATH_BYTES]; /* where its files are; "" when it is not mounted here */
    char top[LIMIT_PATH_BYTES];       /* the mount point above it, or itself */
};

/*
 * From the texts of /proc/PID/cgroup and /proc/PID/mountinfo, which are changed. Never fails:
 * what is not there, or not of their format, stays 0 and "".
 */
void cgroup_parse(char *cgroup_text, char *mountinfo_text, struct cgroup *ret_cgroup);
/* That of this process. */
void cgroup_find(struct cgroup *ret_cgroup);
/* The smallest limit of the group and those above it in bytes, or CGROUP_NO_LIMIT. */
uint64_t cgroup_memory_limit(const struct cgroup *cgroup);

#endif
