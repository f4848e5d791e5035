/*
 * node_image.h - an image of memory with an event loop and a heap in it, for the unit test and the
 * fuzz target.
 */
#ifndef MEMPROF_TESTS_NODE_IMAGE_H
#define MEMPROF_TESTS_NODE_IMAGE_H

#include "symbolize/node_heap.h"
#include "symbolize/node_isolates.h"
#include "symbolize/node_loop.h"

#include <stdlib.h>
#include <string.h>

/* An image of memory: one piece from BASE on, all that it does not set is zero. */
enum { BASE = 0x100000, IMAGE_BYTES = 512 * 1024, SECOND_NS = 1000000000 };

struct image {
    uint8_t bytes[IMAGE_BYTES];
};

static struct image *image;

static inline bool read_image(const void *context, uint64_t address, void *into, size_t size)
{
    const struct image *from = context;
    if (address < BASE || address - BASE > IMAGE_BYTES || size > IMAGE_BYTES - (address - BASE))
        return false;
    memcpy(into, from->bytes + (address - BASE), size);
    return true;
}

static void set64(uint64_t address, uint64_t value)
{
    memcpy(image->bytes + (address - BASE), &value, sizeof value);
}

static inline void set32(uint64_t address, uint32_t value)
{
    memcpy(image->bytes + (address - BASE), &value, sizeof value);
}

static inline struct remote_memory memory_of_image(void)
{
    return (struct remote_memory){.image = read_image, .image_context = image};
}

enum { LOOP = BASE + 0x1000, FIELDS = BASE + 0x2000, HANDLES = BASE + 0x3000, HANDLE_STEP = 0x100 };

/* A loop of libuv 1.45 or later with handles of the given types and flags. */
static inline void put_loop(const uint32_t (*handles)[2], size_t count)
{
    uint64_t head = LOOP + 16, before = head;
    uint32_t active = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t handle = HANDLES + i * HANDLE_STEP;
        set64(handle + 8, LOOP);
        set32(handle + 16, handles[i][0]);
        set32(handle + 88, handles[i][1]);
        set64(before, handle + 32);
        set64(handle + 40, before);
        before = handle + 32;
        active += (handles[i][1] & 12) == 12;
    }
    set64(before, head);
    set64(head + 8, before);
    set32(LOOP + 8, active);
    set32(LOOP + 32, 3);
    set64(LOOP + 40, FIELDS);
    set64(LOOP + 544, 5000);
    set32(FIELDS, 1);
    set64(FIELDS + 8, 77);
    set64(FIELDS + 136, 0);
    set64(FIELDS + 144, 2 * (uint64_t)SECOND_NS);
}

static const uint32_t some_handles[][2] = {{13, 12}, {12, 12 | 0x5000}, {12, 12},
                                           {7, 8},   {1, 4 | 0x10},     {12, 4}};

enum {
    ISOLATE = BASE + 0x10000,
    HEAP = ISOLATE + 0xd2c0,
    NEW = BASE + 0x30000,
    OLD = BASE + 0x31000,
    LARGE = BASE + 0x32000,
    READ_ONLY = BASE + 0x33000,
    NEW_AREA = BASE + 0x34000,
    ALLOCATOR = BASE + 0x34200,
    VERSION = BASE + 0x34300,
    VTABLES = BASE + 0x35000,
    PAGE = 256 * 1024
};

static void put_space(uint64_t address, uint64_t vtable, uint64_t committed, size_t place)
{
    set64(address, vtable);
    set64(address + 8, HEAP);
    set64(address + 24, committed);
    set64(HEAP + 0x68 + 8 * place, address);
}

/* V8 11.3: one page and a half of the new space used, an old space, a large object. */
static inline struct node_symbols put_heap(void)
{
    struct node_symbols symbols = {.major = VERSION,
                                   .minor = VERSION + 4,
                                   .semi_space_vtable = VTABLES,
                                   .allocator_vtable = VTABLES + 8};
    symbols.spaces[0] = (struct node_space_class){VTABLES + 16, NODE_SPACE_NEW, false};
    symbols.spaces[1] = (struct node_space_class){VTABLES + 24, NODE_SPACE_PAGED, true};
    symbols.spaces[2] = (struct node_space_class){VTABLES + 32, NODE_SPACE_LARGE, false};
    symbols.spaces[3] = (struct node_space_class){VTABLES + 40, NODE_SPACE_READ_ONLY, false};
    set32(VERSION, 11);
    set32(VERSION + 4, 3);
    put_space(NEW, VTABLES + 16, 0, 0);
    put_space(OLD, VTABLES + 24, 4 * PAGE, 1);
    put_space(LARGE, VTABLES + 32, 2 * PAGE, 2);
    put_space(READ_ONLY, VTABLES + 40, PAGE, 3);
    for (uint64_t half = NEW + 360; half <= NEW + 632; half += 272) {
        set64(half, VTABLES);
        set64(half + 8, HEAP);
        set64(half + 24, 8 * PAGE);
        set64(half + 80, 2 * PAGE);
    }
    set64(NEW + 80, NEW_AREA);
    set64(NEW_AREA, 0x7000000 + 200000);
    set64(NEW_AREA + 8, 0x7000000 + 200000);
    set64(NEW_AREA + 16, 0x7000000 + PAGE);
    set64(OLD + 128, 257720);
    set64(OLD + 152, 700000);
    set64(LARGE + 80, 2 * PAGE);
    set64(LARGE + 96, 300000);
    set64(HEAP + 0x128, 123456);
    set64(ISOLATE + 0xf6b0, ALLOCATOR);
    set64(ALLOCATOR, VTABLES + 8);
    set64(ALLOCATOR + 16, 100000);
    return symbols;
}

enum { PLATFORM = BASE + 0x200, NODES = BASE + 0x400 };

/* Three isolates: the main thread's, one that is going, a Worker's. */
static inline void put_platform(struct node_symbols *symbols)
{
    symbols->platform = BASE + 0x100;
    symbols->default_loop = LOOP;
    symbols->node_platform_vtable = BASE + 8;
    symbols->platform_data_vtable = BASE + 16;
    set64(symbols->platform + 40, PLATFORM);
    set64(PLATFORM, symbols->node_platform_vtable);
    set64(PLATFORM + 56, 13);
    set64(PLATFORM + 64, NODES);
    set64(PLATFORM + 72, 3);
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t node = NODES + 0x100 * i, data = BASE + 0x800 + 0x200 * i;
        uint64_t isolate = BASE + 0x10000 * (i + 1);
        set64(node, i < 2 ? node + 0x100 : 0);
        set64(node + 8, isolate);
        set64(node + 24, data);
        set64(data, i == 1 ? 0 : symbols->platform_data_vtable);
        set64(data + 80 + 8 * (i == 2), isolate);
        set64(data + 88 + 8 * (i == 2), i ? BASE + 0x7000 : LOOP);
    }
}

#endif
