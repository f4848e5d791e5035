/*
 * perf_ring.c - records out of a ring, without copying.
 *
 * A record is read where it lies; only one that wraps around the end of the ring is copied to
 * be in one piece. Space goes back to the kernel once an eighth of the ring has been read, or
 * at the end of a batch: writing data_tail for each record would bounce the cache line.
 */
#include "core/perf_ring.h"

#include "core/alloc.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { RECORD_BYTES_MAX = 1 << 16 }; /* perf_event_header.size is a u16 */

int perf_ring_map(struct perf_ring *ring, int fd, size_t size)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page_size + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return -1;
    *ring = (struct perf_ring){
        .fd = fd,
        .page = memory,
        .data = (uint8_t *)memory + page_size,
        .size = size,
        .scratch = xmalloc(RECORD_BYTES_MAX),
    };
    return 0;
}

void perf_ring_release(struct perf_ring *ring)
{
    if (!ring->page)
        return;
    munmap(ring->page, (size_t)sysconf(_SC_PAGESIZE) + ring->size);
    close(ring->fd);
    free(ring->scratch);
    *ring = (struct perf_ring){.fd = -1};
}

void perf_ring_refresh(struct perf_ring *ring)
{
    ring->head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
}

void perf_ring_publish(struct perf_ring *ring)
{
    if (ring->published == ring->tail)
        return;
    __atomic_store_n(&ring->page->data_tail, ring->tail, __ATOMIC_RELEASE);
    ring->published = ring->tail;
}

static uint64_t word_at(const struct perf_ring *ring, uint64_t position)
{
    /* Records and all their fields are multiples of 8 bytes, so a word never wraps. */
    uint64_t word;
    memcpy(&word, ring->data + (position & (ring->size - 1)), sizeof word);
    return word;
}

static struct perf_event_header header_at(const struct perf_ring *ring, uint64_t position)
{
    uint64_t word = word_at(ring, position);
    struct perf_event_header header;
    memcpy(&header, &word, sizeof header);
    return header;
}

bool perf_ring_peek(const struct perf_ring *ring, uint64_t *ret_time_ns)
{
    if (ring->head - ring->tail < sizeof(struct perf_event_header))
        return false;
    struct perf_event_header header = header_at(ring, ring->tail);
    if (header.size < 32 || header.size > ring->head - ring->tail)
        return false;
    /* Samples begin {header, tid, time, …}; all others end in {…, tid, time, id}. */
    *ret_time_ns = word_at(ring, header.type == PERF_RECORD_SAMPLE ? ring->tail + 16
                                                                   : ring->tail + header.size - 16);
    return true;
}

static const uint8_t *record_bytes(struct perf_ring *ring, size_t size)
{
    size_t offset = ring->tail & (ring->size - 1);
    if (offset + size <= ring->size)
        return ring->data + offset;
    size_t first = ring->size - offset;
    memcpy(ring->scratch, ring->data + offset, first);
    memcpy(ring->scratch + first, ring->data, size - first);
    return ring->scratch;
}

static uint64_t u64_at(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint32_t u32_at(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* {nr, ips[nr]}, with PERF_CONTEXT_* marks among the addresses: only the kernel's part is kept. */
static const uint8_t *decode_callchain(const uint8_t *at, struct record *record)
{
    size_t count = u64_at(at);
    const uint64_t *addresses = (const void *)(at + 8);
    size_t first = count && addresses[0] == (uint64_t)PERF_CONTEXT_KERNEL ? 1 : 0;
    size_t end = first;
    while (first && end < count && addresses[end] < (uint64_t)PERF_CONTEXT_MAX)
        end++;
    record->sample.kernel_stack = addresses + first;
    record->sample.kernel_count = end - first;
    return at + 8 + 8 * count;
}

/* {tid, time, id, [callchain], abi, registers[], size, stack[size], dyn_size} */
static bool decode_sample(const uint8_t *at, const struct perf_event_header *header,
                          const struct perf_layout *layout, struct record *record)
{
    const uint8_t *end = at + header->size;
    record->kind = RECORD_SAMPLE;
    record->sample.ticks = 1;
    record->pid = u32_at(at + 8);
    record->tid = u32_at(at + 12);
    record->time_ns = u64_at(at + 16);
    record->sample.user_mode =
        (header->misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_USER;
    at += 32;
    if (layout->kernel)
        at = decode_callchain(at, record);
    if (at + 8 > end)
        return false;
    uint64_t abi = u64_at(at);
    at += 8;
    if (abi != PERF_SAMPLE_REGS_ABI_NONE) {
        if (abi == PERF_SAMPLE_REGS_ABI_64)
            record->sample.registers = (const void *)at;
        at += 8 * (size_t)layout->register_count;
    }
    if (at + 8 > end)
        return true;
    uint64_t reserved = u64_at(at);
    at += 8;
    if (reserved && reserved + 8 <= (size_t)(end - at)) {
        record->sample.stack = at;
        record->sample.stack_bytes = u64_at(at + reserved);
        if (record->sample.stack_bytes > reserved)
            record->sample.stack_bytes = reserved;
        record->sample.stack_cut = record->sample.stack_bytes == reserved;
    }
    return true;
}

/* {pid, tid, start, length, offset, major, minor, inode, generation, protection, flags, path} */
static bool decode_map(const uint8_t *at, struct record *record)
{
    enum { PROTECTION = 64, PATH = 72 };
    if (!(u32_at(at + PROTECTION) & PROT_EXEC))
        return false;
    record->kind = RECORD_MAP;
    record->map.start = u64_at(at + 16);
    record->map.size = u64_at(at + 24);
    record->map.file_offset = u64_at(at + 32);
    record->map.device = makedev(u32_at(at + 40), u32_at(at + 44));
    record->map.inode = u64_at(at + 48);
    record->map.path = (const char *)at + PATH;
    return true;
}

static bool decode_sideband(const uint8_t *at, const struct perf_event_header *header,
                            const struct perf_layout *layout, struct record *record)
{
    record->pid = u32_at(at + 8);
    record->tid = u32_at(at + 12);
    switch (header->type) {
    case PERF_RECORD_MMAP2:
        return decode_map(at, record);
    case PERF_RECORD_COMM:
        record->kind = RECORD_COMM;
        record->comm.name = (const char *)at + 16;
        record->comm.exec = header->misc & PERF_RECORD_MISC_COMM_EXEC;
        return true;
    case PERF_RECORD_FORK: /* {pid, ppid, tid, ptid, time} */
    case PERF_RECORD_EXIT:
        record->kind = header->type == PERF_RECORD_FORK ? RECORD_FORK : RECORD_EXIT;
        record->fork.parent_pid = u32_at(at + 12);
        record->tid = u32_at(at + 16);
        record->fork.parent_tid = u32_at(at + 20);
        return true;
    case PERF_RECORD_READ: /* {pid, tid, value, time running} */
        record->kind = RECORD_TIME;
        record->time.running_ns = u64_at(at + (layout->count_is_time ? 16 : 24));
        return true;
    case PERF_RECORD_LOST: /* {id, lost} */
        record->kind = RECORD_LOST;
        record->lost.count = u64_at(at + 16);
        return true;
    default:
        return false;
    }
}

static enum perf_switch decode_switch(const struct perf_event_header *header)
{
    if (!(header->misc & PERF_RECORD_MISC_SWITCH_OUT))
        return PERF_SWITCH_IN;
    return header->misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT ? PERF_SWITCH_PREEMPTED
                                                              : PERF_SWITCH_OUT;
}

bool perf_ring_take(struct perf_ring *ring, const struct perf_layout *layout,
                    struct record *ret_record, struct perf_origin *ret_origin)
{
    struct perf_event_header header = header_at(ring, ring->tail);
    const uint8_t *at = record_bytes(ring, header.size);
    bool wanted;
    memset(ret_record, 0, sizeof *ret_record);
    *ret_origin = (struct perf_origin){.switched = PERF_SWITCH_NONE};
    if (header.type == PERF_RECORD_SAMPLE) {
        ret_origin->event_id = u64_at(at + 24);
        wanted = decode_sample(at, &header, layout, ret_record);
    } else {
        ret_record->time_ns = u64_at(at + header.size - 16);
        ret_origin->event_id = u64_at(at + header.size - 8);
        wanted = decode_sideband(at, &header, layout, ret_record);
        if (header.type == PERF_RECORD_SWITCH) {
            ret_origin->switched = decode_switch(&header);
            wanted = true;
        }
    }
    ring->tail += header.size;
    return wanted;
}
