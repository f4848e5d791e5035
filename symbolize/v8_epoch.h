/*
 * v8_epoch.h - since when nothing old has been moved or freed on V8's heaps.
 *
 * Code, bytecodes and what they lead to are old objects, and those move and go in a mark-compact
 * alone. V8 counts them: while no isolate's count has changed, what is at an address now is what
 * was there before. Needs Node.js's table of isolates and the heap's layout (node_heap.h);
 * otherwise nothing is known.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_EPOCH_H
#define MEMPROF_SYMBOLIZE_V8_EPOCH_H

#include "core/limits.h"
#include "core/remote_memory.h"
#include "symbolize/elf_file.h"
#include "symbolize/node_symbols.h"

struct v8_epoch { /* zeroed: nothing is known */
    struct node_symbols symbols;
    const uint8_t *code; /* of Heap::MarkCompact(), owned by the executable's elf_file */
    uint64_t isolates[LIMIT_ISOLATES], counters[LIMIT_ISOLATES]; /* addresses */
    size_t count;
    uint64_t sum;               /* of all counts */
    uint64_t looked_ns;         /* for isolates; as all times here, CLOCK_MONOTONIC */
    uint64_t since_ns, read_ns; /* between them the sum has not changed */
};

/* From V8's executable or library, mapped at `bias` above its own addresses. */
void v8_epoch_init(struct v8_epoch *epoch, struct elf_file *file, uint64_t bias);
/* Reads the counts at now_ns (CLOCK_MONOTONIC): a system call, and a look for isolates at times. */
void v8_epoch_read(struct v8_epoch *epoch, struct remote_memory *memory, uint64_t now_ns);
static inline bool v8_epoch_is_known(const struct v8_epoch *epoch)
{
    return epoch->count;
}
/*
 * Whether what was on the heaps at a time is there yet, as of the last reading. Not for a moment
 * in a mark-compact (v8_epoch_collects).
 */
static inline bool v8_epoch_holds(const struct v8_epoch *epoch, uint64_t time_ns)
{
    return epoch->count && epoch->since_ns <= time_ns && time_ns <= epoch->read_ns;
}
/* Whether an address in the process is in the function that collects. */
static inline bool v8_epoch_collects(const struct v8_epoch *epoch, uint64_t pc)
{
    return pc - epoch->symbols.mark_compact < epoch->symbols.mark_compact_size;
}

#endif
