/*
 * recorder.h - from the records of a sampler to a raw profile.
 *
 * Follows the target's processes (mappings, fork, exec) and threads, unwinds each sample as it
 * arrives and adds it to the profile: nothing of a stack is kept but its node in the call tree.
 * Names come later (symbolize.h). Knows nothing of how records are captured or written.
 */
#ifndef MEMPROF_SYMBOLIZE_RECORDER_H
#define MEMPROF_SYMBOLIZE_RECORDER_H

#include "core/profile.h"
#include "core/sampler.h"
#include "core/target.h"
#include "symbolize/arch.h"
#include "symbolize/modules.h"

struct recorder_options {
    pid_t pid;               /* the target */
    bool kernel;             /* kernel code is sampled, too */
    bool children;           /* samples of other processes count too */
    uint64_t period_ns;      /* CPU time, or time off the CPU, that one tick stands for */
    size_t thread_count;     /* threads at the start */
    size_t cpu_count;        /* RECORD_TIME records per ended thread; 0: none come */
    bool mappings_on_demand; /* no RECORD_MAP comes */
    bool wall;               /* waiting samples come, too */
    const struct arch *arch;
};

struct recorder;

/* Profile and modules outlive the recorder. Adds the metric "cpu" in "ticks". */
struct recorder *recorder_new(struct profile *profile, struct modules *modules,
                              const struct recorder_options *options);
void recorder_free(struct recorder *recorder);
/* The mappings of a running process, before its first sample; not for one that will exec. */
int recorder_read_mappings(struct recorder *recorder, pid_t pid, struct error *err);
/* One record, in time order. */
void recorder_feed(struct recorder *recorder, const struct record *record);
/*
 * Tells the CPU time that the kernel accounted to the target since the start (user time alone
 * when kernel code is not sampled), so that time which no sample could see is not lost: called
 * now and then, and a last time before recorder_settle.
 */
void recorder_account(struct recorder *recorder, uint64_t cpu_ns);
/*
 * At the end: tells the running time of all threads (sampler_running_ns), too. What threads have
 * run that stayed below their next tick becomes ticks of "(unsampled)", unless it is less than 1 %.
 * Without kernel code it can't be told from time in the kernel, and nothing is done. What is held
 * back of the sequence of samples is put into it.
 */
void recorder_settle(struct recorder *recorder, uint64_t running_ns, uint64_t cpu_ns);
/*
 * At the end: names generated code (jit_names.h) from what the processes have written up to now,
 * and adds the ticks by line that are known of it.
 */
void recorder_finish_names(struct recorder *recorder);
/* Before the profile is looked at meanwhile: samples held back until now_us are put into it. */
void recorder_release_samples(struct recorder *recorder, uint64_t now_us);
/*
 * How long records may wait to be fed, in milliseconds: names of JavaScript are read from objects
 * that a collector moves, so soon if there are any, and very soon while some can't be named.
 */
int recorder_patience_ms(struct recorder *recorder);
/*
 * The node of a record's stack, without any tick of it; 0 if nothing is known of its process. Like
 * recorder_feed, in time order and not long after.
 */
node_id recorder_stack(struct recorder *recorder, const struct record *record);
/* The node of a thread's last sample on a CPU; 0: none. */
node_id recorder_last_node(const struct recorder *recorder, uint32_t tid);
/* Ticks on a CPU so far. */
uint64_t recorder_ticks(const struct recorder *recorder);

#endif
