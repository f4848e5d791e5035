/*
 * fuzz_cgroup.c - the parser of /proc/PID/cgroup and /proc/PID/mountinfo, with a NUL in between.
 */
#include "core/alloc.h"
#include "core/cgroup.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cgroup cgroup;
    _cleanup_free_ char *groups = xstrndup((const char *)data, size);
    size_t used = strlen(groups) < size ? strlen(groups) + 1 : size;
    _cleanup_free_ char *mounts = xstrndup((const char *)data + used, size - used);
    cgroup_parse(groups, mounts, &cgroup);
    if (strncmp(cgroup.directory, cgroup.top, strlen(cgroup.top)) != 0 ||
        (*cgroup.directory && !cgroup.version))
        __builtin_trap();
    return 0;
}
