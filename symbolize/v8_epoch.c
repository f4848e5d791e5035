/*
 * Heap::ms_count_ (V8's src/heap/heap.h and heap.cc, 10.2 to 13.6) is raised at the beginning of
 * Heap::MarkCompact(). Its place in the Heap is known by version, and that function has to agree:
 * it has an instruction that adds 1 there. Two readings that agree have no beginning between them;
 * what began before the first had ended at any moment when the thread was not in it.
 */
#include "symbolize/v8_epoch.h"

#include "symbolize/node_heap.h"
#include "symbolize/node_isolates.h"

#include <elf.h>
#include <string.h>
#include <time.h>

enum {
    LOOK_NS = 100000000,
    LOOK_AGAIN_NS = 10000000, /* while there are none */
    /* add dword [register + distance], 1: 83, ModRM (with SIB for r12), 4 bytes, 1 byte. */
    ADD = 0x83,
    MODRM_MASK = 0xf8, /* all but the register */
    MODRM = 0x80,
    REGISTER = 7,
    WITH_SIB = 4,
    ADD_BYTES = 8
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Whether code adds 1 to a word at a distance in an object. */
static bool counts_at(const uint8_t *code, size_t size, uint32_t wanted)
{
    for (size_t at = 0; at + ADD_BYTES <= size; at++) {
        if (code[at] != ADD || (code[at + 1] & MODRM_MASK) != MODRM)
            continue;
        const uint8_t *operand = code + at + 2 + ((code[at + 1] & REGISTER) == WITH_SIB);
        uint32_t distance;
        memcpy(&distance, operand, sizeof distance);
        if (distance == wanted && operand[sizeof distance] == 1)
            return true;
    }
    return false;
}

void v8_epoch_init(struct v8_epoch *epoch, struct elf_file *file, uint64_t bias)
{
    *epoch = (struct v8_epoch){0};
    if (file->machine != EM_X86_64 || !node_symbols_read(file, bias, &epoch->symbols) ||
        !epoch->symbols.mark_compact)
        return;
    epoch->code =
        elf_file_code(file, epoch->symbols.mark_compact - bias, epoch->symbols.mark_compact_size);
}

/* A count that can't be read belongs to an isolate that is gone: then all are looked for again. */
static bool read_sum(const struct v8_epoch *epoch, struct remote_memory *memory, uint64_t *ret_sum)
{
    struct memory_read reads[LIMIT_ISOLATES];
    uint32_t counts[LIMIT_ISOLATES];
    for (size_t i = 0; i < epoch->count; i++)
        reads[i] = (struct memory_read){
            .address = epoch->counters[i], .into = &counts[i], .size = sizeof *counts};
    if (!epoch->count || remote_read_all(memory, reads, epoch->count) != epoch->count)
        return false;
    *ret_sum = 0;
    for (size_t i = 0; i < epoch->count; i++)
        *ret_sum += counts[i];
    return true;
}

/* Isolates come and go with Workers. True if they are others than before. */
static bool look_for_isolates(struct v8_epoch *epoch, struct remote_memory *memory)
{
    struct node_isolate isolates[LIMIT_ISOLATES];
    size_t count = node_isolates_find(memory, &epoch->symbols, isolates);
    bool same = count && count == epoch->count;
    for (size_t i = 0; i < count && same; i++)
        same = isolates[i].isolate == epoch->isolates[i];
    if (same)
        return false;
    epoch->count = 0; /* while one of them is not known nothing holds */
    for (size_t i = 0; i < count; i++) {
        struct node_heap heap;
        struct error err;
        if (node_heap_open(memory, &epoch->symbols, isolates[i].isolate, &heap, &err))
            return true;
        uint32_t counter = node_heap_collections(&heap);
        if (!counts_at(epoch->code, epoch->symbols.mark_compact_size, counter))
            return true;
        epoch->isolates[i] = isolates[i].isolate;
        epoch->counters[i] = heap.heap + counter;
    }
    epoch->count = count;
    return true;
}

void v8_epoch_read(struct v8_epoch *epoch, struct remote_memory *memory, uint64_t now_ns)
{
    uint64_t sum = 0, apart_ns = epoch->count ? LOOK_NS : LOOK_AGAIN_NS;
    bool others = false;
    if (!epoch->code)
        return;
    if (now_ns - epoch->looked_ns >= apart_ns) {
        others = look_for_isolates(epoch, memory);
        epoch->looked_ns = now_ns;
    }
    if (!read_sum(epoch, memory, &sum))
        epoch->count = 0;
    /* A count tells of the time after its reading that began before it, and no more. */
    if (others || sum != epoch->sum || !epoch->count)
        epoch->since_ns = clock_ns();
    epoch->sum = sum;
    epoch->read_ns = now_ns;
}
