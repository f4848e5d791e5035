/*
 * system_info.h - what of memprof works on this machine, for this user.
 *
 * Each row is a probe: the thing itself is tried on this process or on one forked for it, so that
 * nothing is guessed from versions. No other process is changed or stopped. Knows nothing of how
 * rows are printed; a caller adds rows for what core knows nothing of.
 */
#ifndef MEMPROF_CORE_SYSTEM_INFO_H
#define MEMPROF_CORE_SYSTEM_INFO_H

#include "core/alloc.h"
#include "core/cgroup.h"
#include "core/privileges.h"

#include <sys/utsname.h>

enum probe_state {
    PROBE_WORKS,
    PROBE_LIMITED, /* in part, or at a price: the detail tells */
    PROBE_MISSING
};

struct probe {
    const char *name; /* one lower-case word with underscores: scripts look for it */
    enum probe_state state;
    char *detail;
    char *remedy; /* NULL when there is none to be had, or none needed */
};

struct system_info {
    struct utsname system;
    long cpus; /* that are online */
    struct privileges privileges;
    int64_t paranoid; /* kernel.perf_event_paranoid */
    struct cgroup cgroup;
    vec(struct probe) probes;
    uint64_t wanted; /* capabilities that remedies ask for, a bit each */
};

/* Makes all probes, which takes some milliseconds and forks two short-lived processes. */
void system_info_gather(struct system_info *ret_info);
void system_info_release(struct system_info *info);
/* Takes over detail and remedy. */
void system_info_add(struct system_info *info, const char *name, enum probe_state state,
                     char *detail, char *remedy);

/* remedy_for_capabilities, for a row; what it asks for is remembered. */
char *system_info_need(struct system_info *info, const int *capabilities, const char *sysctl);
/*
 * The remedy for all that any row lacks a capability for, as each grant replaces the one before;
 * NULL when there are not two of them. The caller frees it.
 */
char *system_info_remedy(const struct system_info *info);

/* For system_info.c: each adds its rows. */
void probe_perf(struct system_info *info);
void probe_trace(struct system_info *info);
void probe_files(struct system_info *info);

#endif
