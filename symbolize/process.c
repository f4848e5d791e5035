#include "symbolize/process.h"

#include "core/limits.h"
#include "symbolize/jit_names.h"
#include "symbolize/v8.h"

#include <time.h>

enum { PROCESSES_KEPT = 512 }; /* ended ones included: their threads' RECORD_TIME comes last */

void process_forget_code(struct process *process)
{
    if (process->jit)
        jit_names_finish(process->jit, &process->space);
    jit_names_free(process->jit);
    process->jit = NULL;
    v8_free(process->v8);
    process->v8 = NULL;
    process->v8_generation = 0;
}

static void process_free(struct process *process)
{
    jit_names_free(process->jit);
    v8_free(process->v8);
    space_release(&process->space);
    free(process);
}

void processes_release(struct processes *processes)
{
    for (size_t i = 0; i < processes->items.count; i++)
        process_free(processes->items.items[i]);
    vec_release(&processes->items);
}

/* Processes are few but for --children, and the last one asked for is at the end. */
struct process *process_find(struct processes *processes, uint32_t pid)
{
    struct process **items = processes->items.items;
    for (size_t i = processes->items.count; i-- > 0;) {
        if (items[i]->pid == pid) {
            struct process *found = items[i];
            items[i] = items[processes->items.count - 1];
            return items[processes->items.count - 1] = found;
        }
    }
    return NULL;
}

static void forget_ended(struct processes *processes)
{
    size_t kept = 0;
    for (size_t i = 0; i < processes->items.count; i++) {
        struct process *process = processes->items.items[i];
        if (process->ended)
            process_free(process);
        else
            processes->items.items[kept++] = process;
    }
    processes->items.count = kept;
}

struct process *process_get(struct processes *processes, uint32_t pid)
{
    struct process *process = process_find(processes, pid);
    if (process)
        return process;
    if (processes->items.count >= PROCESSES_KEPT)
        forget_ended(processes);
    if (processes->items.count >= LIMIT_PROCESSES)
        return NULL;
    process = xcalloc(1, sizeof *process);
    process->pid = pid;
    space_init(&process->space, processes->modules, (pid_t)pid);
    vec_append(&processes->items, process);
    return process;
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool process_read_on_demand(struct processes *processes, struct process *process)
{
    enum { TIMES_COST = 100 };
    uint64_t now_ns = clock_ns();
    if (now_ns < process->read_again_ns)
        return false;
    space_read(&process->space, processes->modules, NULL);
    uint64_t done_ns = clock_ns();
    process->read_ns = done_ns;
    process->read_again_ns = done_ns + TIMES_COST * (done_ns - now_ns);
    return true;
}

void process_renew(struct processes *processes, struct process *process, uint64_t lost,
                   uint64_t time_ns)
{
    enum { READ_INTERVAL_NS = 1000000000, RENEW_NS = 2000000000 };
    /* What was mapped in the place of something else leads no stack astray. */
    if (processes->mappings_on_demand && time_ns >= process->read_ns + RENEW_NS)
        process_read_on_demand(processes, process);
    if (process->lost_seen == lost || time_ns - process->read_ns < READ_INTERVAL_NS)
        return;
    process->lost_seen = lost;
    process->read_ns = time_ns;
    space_read(&process->space, processes->modules, NULL);
}

struct v8 *process_v8(struct process *process, struct profile *profile)
{
    if (process->v8_generation == process->space.generation)
        return process->v8;
    process->v8_generation = process->space.generation;
    const struct segment *segment = process->v8 ? NULL : v8_segment(&process->space);
    struct error err;
    if (!segment)
        return process->v8;
    process->v8 = v8_new(profile, segment->module, segment->bias, process->space.pid, &err);
    /* The first one's stands for all. */
    if (process->v8 && !profile->quality.v8)
        profile->quality.v8 = strings_intern(&profile->strings, v8_version(process->v8));
    if (!process->v8 && !profile->quality.note)
        profile->quality.note = strings_intern(&profile->strings, err.text);
    return process->v8;
}
