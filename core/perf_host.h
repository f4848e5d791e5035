/*
 * perf_host.h - what this machine has for perf: its CPUs.
 *
 * Private to core/perf.c. Opens no events.
 */
#ifndef MEMPROF_CORE_PERF_HOST_H
#define MEMPROF_CORE_PERF_HOST_H

#include <stddef.h>

/* The CPUs that are online; the caller frees them. */
size_t perf_host_cpus(int **ret_cpus);

#endif
