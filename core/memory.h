/*
 * memory.h - a process's memory and resource readings as series of a profile.
 *
 * One reading is /proc/PID/{stat,status,smaps_rollup} and the count of /proc/PID/fd; the
 * breakdown by kind of mapping (smaps) is read at the first reading, the last, and at each new
 * peak of rss 10 % above the breakdown before. The kernel walks the target's page tables for
 * smaps and smaps_rollup under the target's mmap lock, so that each of the two has a budget:
 * the CPU time of reading it stays under 1 % of the wall time since the first reading, a
 * second of which is lent in advance (10 ms). What would cost more is put off to a later
 * reading; a read of smaps that turns out to cost more is dropped half way, and tried again
 * when the budget is twice as large. The last breakdown keeps this rule loosely, for there is
 * no later one: it may cost as much again as all before it together, and 50 ms in any case.
 *
 * Series (unit): rss, pss, anon, file, shmem, swap, vsize (bytes); threads, fds, minor_faults,
 * major_faults (count); cpu_user, cpu_system (seconds). Of the breakdown, in resident bytes:
 * smaps.heap, smaps.stacks, smaps.anonymous, smaps.shared, smaps.vdso, smaps.file:PATH for the
 * largest files and smaps.files_other for the rest of them; their sum is the resident set.
 * Beside it smaps.swap. A series is there only where its source may be read: pss and smaps.*
 * need the right to trace the target, as fds does.
 */
#ifndef MEMPROF_CORE_MEMORY_H
#define MEMPROF_CORE_MEMORY_H

#include "core/profile.h"
#include "core/target.h"

struct memory_reader;

/* `target` and `profile` outlive the reader. Never fails: what can't be read has no series. */
struct memory_reader *memory_reader_new(const struct target *target, struct profile *profile);
void memory_reader_free(struct memory_reader *reader);
/*
 * One reading at time_us (CLOCK_MONOTONIC). `last` asks for the breakdown. A process that is
 * gone or a zombie adds nothing, nor does one that took up another user's rights and so closed
 * what was open before: a reading is whole or it is not there.
 */
void memory_reader_read(struct memory_reader *reader, uint64_t time_us, bool last);
/* The resident set at the last reading, in bytes; for the status line. */
uint64_t memory_reader_rss(const struct memory_reader *reader);

/* What the readings have cost so far, as CPU time. */
struct memory_cost {
    uint64_t rollup_ns;
    uint64_t breakdown_ns; /* dropped ones included */
    uint32_t rollups, breakdowns;
    uint32_t dropped; /* breakdowns given up half way */
};
struct memory_cost memory_reader_cost(const struct memory_reader *reader);

/*
 * Resident bytes by kind of mapping, from the text of smaps; for memory.c and its tests.
 *
 * heap is brk's. stacks are the main thread's, and anonymous mappings directly above a small
 * PROT_NONE one, as pthread_create lays them out: the kernel does not name them. shared is
 * memory shared without a file of its own: MAP_ANONYMOUS, memfd, /dev/shm, System V. vdso is
 * what the kernel maps into each process.
 */
struct memory_breakdown {
    uint64_t heap, stacks, anonymous, shared, swap, vdso;
    uint64_t mappings;
    vec(struct memory_file {
        char *path;
        uint64_t bytes;
    }) files; /* largest first */
};
int memory_breakdown_parse(const char *text, size_t length, struct memory_breakdown *ret,
                           struct error *err);
void memory_breakdown_release(struct memory_breakdown *breakdown);

/* The same in pieces of any size, for a text that need not be held: feed…, then finish. */
struct memory_parser {
    struct memory_breakdown sums;
    struct hash_index files; /* sums.files by path */
    vec(char) line;          /* the beginning of a line whose end is not there yet */
    uint64_t guard_end;      /* where the last mapping ended, if it was a guard; else 0 */
    uint64_t *current;       /* what the mapping's Rss is added to */
    size_t current_file;     /* when current is NULL */
    bool in_mapping;
    uint64_t bytes;
};
int memory_parser_feed(struct memory_parser *parser, const char *text, size_t length,
                       struct error *err);
int memory_parser_finish(struct memory_parser *parser, struct memory_breakdown *ret,
                         struct error *err);
void memory_parser_release(struct memory_parser *parser);

#endif
