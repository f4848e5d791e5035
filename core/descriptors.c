/*
 * descriptors.c - samplers hold some files for each thread of the target.
 */
#include "core/descriptors.h"

#include <sys/resource.h>

void raise_descriptor_limit(size_t needed)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = needed;
    if (limit.rlim_max < needed)
        limit.rlim_max = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) && !getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max; /* not root: as far as it goes */
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}
