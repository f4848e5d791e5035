/*
 * target.h - the process that is looked at: who it is, whether it may be, and its end.
 *
 * A target is held by a pidfd and its start time, so that a reused PID is never mistaken for
 * it. Knows /proc; knows nothing of sampling.
 */
#ifndef MEMPROF_CORE_TARGET_H
#define MEMPROF_CORE_TARGET_H

#include "core/alloc.h"
#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct target {
    pid_t pid;
    int pidfd;           /* readable when the process has ended */
    uint64_t start_time; /* clock ticks after boot, field 22 of /proc/PID/stat */
    char command[16];    /* comm */
    char *command_line;  /* arguments joined by spaces, or [comm] */
};

/*
 * Opens a running process. Refuses, with the reason: one that does not exist, a kernel thread,
 * a zombie, memprof itself, and a process of another user that this one may not look at.
 */
int target_open(pid_t pid, struct target *ret_target, struct error *err);
void target_release(struct target *target);
/* False once the process has ended (or its PID stands for another one). */
bool target_alive(const struct target *target);
/* The TIDs of a process that run now, in the kernel's order. *ret_tids is the caller's to free. */
int target_threads(pid_t pid, pid_t **ret_tids, size_t *ret_count, struct error *err);
/*
 * The target and, with `children`, all processes below it that run now; the target comes first.
 * *ret_pids is the caller's to free.
 */
void target_processes(const struct target *target, bool children, pid_t **ret_pids,
                      size_t *ret_count);
/* When a process began, in clock ticks after boot; 0 when it is gone. */
uint64_t target_start_ticks(pid_t pid);
/*
 * Reads a small file of /proc/PID/task/TID whole, or as much as fits, with a NUL behind it; the
 * length, or -1 and errno.
 */
ssize_t target_read_thread(pid_t pid, pid_t tid, const char *name, char *buffer, size_t size);
/* comm of a thread; "" when it is gone. */
void target_thread_name(pid_t pid, pid_t tid, char ret_name[16]);
/*
 * CPU time that the kernel accounted to the whole process so far, in seconds, with that of its
 * children that were waited for if `children`; -1 when it is gone.
 */
int target_cpu_time(const struct target *target, bool children, double *ret_user_s,
                    double *ret_system_s);
/* Its name and command line are those of argv: /proc shows them a moment after the exec only. */
void target_name_command(struct target *target, char *const argv[]);

/* A command that was launched and waits before its exec. */
struct launch {
    pid_t pid;
    int gate;            /* writing end: one byte lets it exec */
    int report;          /* reading end: the errno of a failed exec, or its closing */
    const char *command; /* argv[0], for messages */
};

/*
 * Forks a child that will exec argv[0] (by PATH) once launch_go is called. The child has the
 * caller's environment, standard streams, and default signal dispositions and mask.
 */
int launch_prepare(char *const argv[], struct launch *ret_launch, struct error *err);
/* Lets it exec. Fails with the reason when exec fails; the child is reaped then. */
int launch_go(struct launch *launch, struct error *err);
/* Kills and reaps a child that has not been let go. */
void launch_abort(struct launch *launch);

#endif
