/*
 * privileges.h - what this process may do, why not, and what would let it.
 *
 * Tells apart the four things that refuse a system call: a seccomp filter, a sysctl, a missing
 * capability, and a user namespace whose capabilities count only inside it. Knows how containers
 * and file capabilities are granted; knows nothing of what the calls are for.
 */
#ifndef MEMPROF_CORE_PRIVILEGES_H
#define MEMPROF_CORE_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct privileges {
    uid_t uid;
    uint64_t capabilities; /* the effective ones, a bit each */
    int last_capability;   /* the highest that this kernel knows */
    bool no_new_privs;     /* then neither setuid nor file capabilities have an effect */
    bool seccomp;          /* a filter looks at the system calls */
    bool user_namespace;   /* not the first one */
    char container[32];    /* "docker", "podman", "kubernetes", …; "" when nothing hints at one */
};

void privileges_read(struct privileges *ret_privileges);
/* Whether the capability (CAP_… of linux/capability.h) counts for the machine as a whole. */
bool privileges_have(const struct privileges *privileges, int capability);
/*
 * The number of CAP_PERFMON or CAP_CHECKPOINT_RESTORE, or on a kernel that is older than these of
 * CAP_SYS_ADMIN, which stood for them.
 */
int privileges_known(const struct privileges *privileges, int capability);
/* "CAP_PERFMON" for the capabilities that memprof has a use for; else "CAP_?". */
const char *capability_name(int capability);

/* The system calls that a filter may refuse. */
enum probed_call { CALL_PERF_EVENT_OPEN, CALL_PTRACE, CALL_PROCESS_VM_READV, CALL_PIDFD_OPEN };
/*
 * What keeps a call from arriving at the kernel's own checks, as the end of "refused by …": a
 * filter, or a kernel that does not have it; NULL if it arrives.
 */
const char *call_refuser(const struct privileges *privileges, enum probed_call call);

/*
 * Remedies, one line each, the caller's to free. `sysctl` is an alternative such as
 * "kernel.perf_event_paranoid=1", or NULL; `capabilities` end in -1.
 */
char *remedy_for_call(const struct privileges *privileges, enum probed_call call);
char *remedy_for_capabilities(const struct privileges *privileges, const int *capabilities,
                              const char *sysctl);

#endif
