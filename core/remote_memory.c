/*
 * process_vm_readv fills what it can and stops at the first fault, in the middle of a read if it
 * must: what lies before is done, the faulty one is passed over, and the rest is asked for again.
 */
#include "core/remote_memory.h"

#include <string.h>
#include <sys/uio.h>

enum { BATCH = 64 }; /* below IOV_MAX (1024), and small enough for the stack */

/* How many of the reads were done whole, from the first one on. */
static size_t read_batch(struct remote_memory *memory, struct memory_read *reads, size_t count)
{
    struct iovec local[BATCH], remote[BATCH];
    for (size_t i = 0; i < count; i++) {
        local[i] = (struct iovec){reads[i].into, reads[i].size};
        remote[i] = (struct iovec){(void *)(uintptr_t)reads[i].address, reads[i].size};
    }
    memory->calls++;
    ssize_t bytes = process_vm_readv(memory->pid, local, count, remote, count, 0);
    size_t done = 0;
    while (done < count && bytes >= (ssize_t)reads[done].size) {
        bytes -= (ssize_t)reads[done].size;
        reads[done++].done = true;
    }
    return done;
}

static size_t read_image(const struct remote_memory *memory, struct memory_read *reads,
                         size_t count)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        reads[i].done =
            memory->image(memory->image_context, reads[i].address, reads[i].into, reads[i].size);
        done += reads[i].done;
    }
    return done;
}

size_t remote_read_all(struct remote_memory *memory, struct memory_read *reads, size_t count)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++)
        reads[i].done = false;
    if (memory->image)
        return read_image(memory, reads, count);
    for (size_t first = 0; first < count;) {
        size_t batch = count - first < BATCH ? count - first : BATCH;
        size_t whole = read_batch(memory, reads + first, batch);
        done += whole;
        first += whole < batch ? whole + 1 : batch;
    }
    return done;
}

bool remote_read(struct remote_memory *memory, uint64_t address, void *into, size_t size)
{
    struct memory_read read = {.address = address, .into = into, .size = size};
    return remote_read_all(memory, &read, 1) == 1;
}
