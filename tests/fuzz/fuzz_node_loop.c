/*
 * fuzz_node_loop.c - an event loop and a heap in a process's memory of which the input has changed
 * words: whatever stands there, what is read stays within bounds and fits together.
 *
 * Input: records of twelve bytes, a place in the image and the word that is put there; a word that
 * ends in 0xff is a place in the image again, so that links to other objects are made easily.
 */
#include "tests/unit/node_image.h"

#include <stdint.h>

static void change(const uint8_t *data, size_t size)
{
    enum { RECORD = 12, RECORDS = 256 };
    for (size_t i = 0; i < RECORDS && (i + 1) * RECORD <= size; i++) {
        uint32_t place;
        uint64_t word;
        memcpy(&place, data + i * RECORD, sizeof place);
        memcpy(&word, data + i * RECORD + sizeof place, sizeof word);
        if ((word & 0xff) == 0xff)
            word = BASE + (word >> 8) % IMAGE_BYTES;
        set64(BASE + (uint64_t)place % (IMAGE_BYTES - 8), word);
    }
}

static void check_loop(struct remote_memory *memory, uint64_t address, bool counts)
{
    uint64_t now_ns = 6 * (uint64_t)SECOND_NS;
    struct node_loop loop;
    struct node_loop_reading reading;
    struct node_loop_watch watch = {0};
    struct node_loop_block block;
    uint32_t by_type[NODE_HANDLE_TYPES];
    if (node_loop_open(memory, address, counts, now_ns, &loop, NULL))
        return;
    for (int i = 0; i < 3; i++, now_ns += SECOND_NS) {
        if (!node_loop_read(&loop, now_ns, &reading))
            break;
        if (reading.waits_since_ns > now_ns || reading.clock_ns > now_ns)
            __builtin_trap();
        if (node_loop_watch_feed(&watch, &reading, 1, &block) && block.ended_ns < block.began_ns)
            __builtin_trap();
        uint32_t sum = 0;
        if (!node_loop_handles(&loop, by_type))
            continue;
        for (unsigned type = 0; type < NODE_HANDLE_TYPES; type++)
            sum += by_type[type];
        if (sum > loop.handles.count)
            __builtin_trap();
    }
    node_loop_release(&loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct node_isolate found[LIMIT_ISOLATES];
    struct node_heap heap;
    struct node_heap_figures figures;
    image = calloc(1, sizeof *image);
    if (!image)
        return 0;
    struct remote_memory memory = memory_of_image();
    put_loop(some_handles, 6);
    struct node_symbols symbols = put_heap();
    put_platform(&symbols);
    change(data, size);
    if (node_isolates_find(&memory, &symbols, found) > LIMIT_ISOLATES)
        __builtin_trap();
    check_loop(&memory, LOOP, true);
    check_loop(&memory, LOOP, false);
    if (!node_heap_open(&memory, &symbols, ISOLATE, &heap, NULL) &&
        node_heap_read(&heap, &figures) && figures.used > figures.total)
        __builtin_trap();
    node_heap_mapped((const char *)data, size);
    free(image);
    return 0;
}
