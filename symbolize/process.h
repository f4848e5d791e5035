/*
 * process.h - the processes of a recording: what each has mapped, and who knows its generated code.
 *
 * Ended ones are kept for a while, as records of their threads come late.
 */
#ifndef MEMPROF_SYMBOLIZE_PROCESS_H
#define MEMPROF_SYMBOLIZE_PROCESS_H

#include "core/profile.h"
#include "symbolize/modules.h"

struct process {
    uint32_t pid;
    bool ended;         /* its main thread has */
    uint64_t lost_seen; /* quality.lost when the mappings were last read */
    uint64_t read_ns;
    uint64_t read_again_ns; /* with mappings_on_demand: not before */
    struct space space;
    struct jit_names *jit;  /* NULL: none of its code seen was generated */
    struct v8 *v8;          /* NULL: it has none that is understood */
    uint32_t v8_generation; /* of the space that was looked through for it */
};

struct processes {
    struct modules *modules;
    bool mappings_on_demand; /* no record tells of a mapping */
    vec(struct process *) items;
};

void processes_release(struct processes *processes);
/* NULL if it is not known. */
struct process *process_find(struct processes *processes, uint32_t pid);
/* Known or new; NULL if there are too many. */
struct process *process_get(struct processes *processes, uint32_t pid);
/*
 * Its code is another program's from now on, or nobody's. At its end at the latest: ended processes
 * are kept, their open files must not be.
 */
void process_forget_code(struct process *process);
/*
 * Without records of mappings, a stack that leads out of the known ones tells of a new one. Some
 * lead nowhere for other reasons: reading takes a hundredth of the time at most. False: not now.
 */
bool process_read_on_demand(struct processes *processes, struct process *process);
/*
 * Reads the mappings again if they may be among the records that were lost (quality.lost), once a
 * second at most, for lost records come in bursts.
 */
void process_renew(struct processes *processes, struct process *process, uint64_t lost,
                   uint64_t time_ns);
/* The V8 of the process, NULL if it has none; looked for again when something new was mapped. */
struct v8 *process_v8(struct process *process, struct profile *profile);

#endif
