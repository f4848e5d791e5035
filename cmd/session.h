/*
 * session.h - one recording from its first system call to the finished file.
 *
 * Owns what cmd/record.c brings together: the target or the launched command, the sampler, the
 * raw profile and the output. Prints nothing.
 */
#ifndef MEMPROF_CMD_SESSION_H
#define MEMPROF_CMD_SESSION_H

#include "cmd/finish.h"
#include "cmd/session_gc.h"
#include "cmd/session_node.h"
#include "core/journal.h"
#include "core/memory.h"
#include "core/sampler.h"
#include "core/target.h"
#include "output/format.h"
#include "symbolize/recorder.h"

#include <stdbool.h>
#include <stdint.h>

enum sampler_choice {
    SAMPLER_AUTO, /* perf, and ptrace where that is forbidden */
    SAMPLER_PERF,
    SAMPLER_PTRACE
};

struct session_options {
    pid_t pid;               /* 0: launch command */
    char *const *command;    /* argv, NULL-terminated; NULL with pid */
    const char *output_path; /* NULL: memprof-PID.cpuprofile */
    double duration_s;       /* 0: until the target ends */
    double memory_interval_s;
    uint32_t frequency_hz;
    uint32_t stack_bytes;
    bool children;
    bool kernel;
    bool wall; /* time off the CPU, too */
    enum sampler_choice sampler;
    bool threads_given; /* else: main for Node.js and with wall, all for the rest */
    struct write_options write;
};

struct session {
    struct session_options options;
    struct target target;
    struct launch launch;
    bool launched; /* the target is a child of ours */
    bool held;     /* and still waits before its exec */
    struct finish finish;
    char *output_path; /* owned */
    struct output_file output;
    struct journal *journal; /* NULL: samples stay in memory */
    char *journal_path;      /* owned; NULL: the journal has no name */
    bool journal_kept;       /* the file could not be written: the journal stays */
    bool spill_failed;       /* a journal without a name is not written any more */
    struct error full;       /* set when the disk was full, which ended the recording */
    uint64_t reserved_bytes; /* of the output */
    struct sampler *sampler;
    char fallback[512]; /* why ptrace samples instead of perf; "" if it does not */
    struct modules *modules;
    struct profile *raw;
    struct recorder *recorder;
    struct memory_reader *memory;
    struct session_gc *gc;
    struct session_node *node;
    uint64_t start_ns, next_memory_ns, next_account_ns, next_flush_ns;
    /* The target's CPU time at the start, and with the ticks of the same moment at the last look.
     */
    double first_user_s, first_system_s, last_user_s, last_system_s;
    uint64_t last_ticks, accounted_ns;
};

/* Opens the output, the target and the events. On failure nothing is left behind. */
int session_open(struct session *session, const struct session_options *options, struct error *err);
/* Lets a launched command go; the first memory reading. */
int session_start(struct session *session, struct error *err);
/*
 * Takes in what has come; called every tenth of a second or so. False: the target has ended, or
 * the disk is full.
 */
bool session_step(struct session *session);
/* Stops sampling, gives everything names and writes the file. */
int session_finish(struct session *session, struct error *err);
void session_release(struct session *session);
/* What is known by now of the end and the quality of the recording, into the raw profile. */
void session_measure(struct session *session);

uint64_t monotonic_ns(void);

#endif
