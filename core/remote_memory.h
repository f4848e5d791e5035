/*
 * remote_memory.h - reads of another process's memory, bounded, many in one system call.
 *
 * What is read may change or vanish at any moment: a read is done whole or not at all, and what
 * it gives is to be checked by who asked. Tests and fuzzers put an image in the process's place.
 * Knows nothing of what lies there.
 */
#ifndef MEMPROF_CORE_REMOTE_MEMORY_H
#define MEMPROF_CORE_REMOTE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct memory_read {
    uint64_t address;
    void *into;
    size_t size;
    bool done; /* set by the reader */
};

/* Stands for a process: one read; false if any byte of it is not there. */
typedef bool memory_image_fn(const void *context, uint64_t address, void *into, size_t size);

struct remote_memory {
    pid_t pid;              /* of the target or of any thread of it; 0 with an image */
    memory_image_fn *image; /* NULL: the process itself */
    const void *image_context;
    uint64_t calls; /* system calls so far, for the benchmarks */
};

/*
 * Carries out all reads, in as few calls of process_vm_readv(2) as can be: one where all of them
 * succeed. Returns how many were done. Never fails otherwise; errno is not told.
 */
size_t remote_read_all(struct remote_memory *memory, struct memory_read *reads, size_t count);
/* One read. */
bool remote_read(struct remote_memory *memory, uint64_t address, void *into, size_t size);

#endif
