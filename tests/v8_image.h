/*
 * v8_image.h - a small heap as V8 13.6 lays it out, for tests that have no V8.
 *
 * Objects are put one behind the other and never moved. Numbers are packed here by code of its own,
 * not by the reader's.
 */
#ifndef MEMPROF_TESTS_V8_IMAGE_H
#define MEMPROF_TESTS_V8_IMAGE_H

#include "symbolize/v8_code.h"

#include <assert.h>
#include <string.h>

enum {
    IMAGE_BASE = 0x200000,
    IMAGE_BYTES = 1 << 16,
    IMAGE_MAP = 255, /* instance types */
    IMAGE_SHARED = 282,
    IMAGE_CODE = 187,
    IMAGE_STREAM = 192,
    IMAGE_BYTECODES = 186,
    IMAGE_FIXED = 205,
    IMAGE_BYTE_ARRAY = 217,
    IMAGE_HEAD = 32,     /* bytes from a head to the instructions */
    IMAGE_BASELINE = 10, /* the kinds of code */
    IMAGE_MAGLEV = 11,
    IMAGE_TURBOFAN = 12
};

struct v8_image {
    uint8_t bytes[IMAGE_BYTES];
    uint64_t used;
    uint64_t meta, maps[512]; /* tagged */
    uint64_t missing;         /* bytes at the start that can't be read */
};

struct packed { /* bytes of a table */
    uint8_t bytes[4096];
    size_t count;
};

static inline bool v8_image_read(const void *context, uint64_t address, void *into, size_t size)
{
    const struct v8_image *image = context;
    if (address < IMAGE_BASE + image->missing || address - IMAGE_BASE > IMAGE_BYTES ||
        size > IMAGE_BYTES - (address - IMAGE_BASE))
        return false;
    memcpy(into, image->bytes + (address - IMAGE_BASE), size);
    return true;
}

/* Room for `size` bytes, aligned; its address, plus 1. */
static inline uint64_t v8_image_room(struct v8_image *image, size_t size, size_t alignment)
{
    uint64_t at = (image->used + alignment - 1) / alignment * alignment;
    assert(at + size <= IMAGE_BYTES);
    image->used = at + size;
    return IMAGE_BASE + at + 1;
}

static inline void v8_image_set(struct v8_image *image, uint64_t object, unsigned offset,
                                uint64_t word, size_t size)
{
    memcpy(image->bytes + (object - 1 - IMAGE_BASE) + offset, &word, size);
}

static inline uint64_t v8_image_map(struct v8_image *image, unsigned type)
{
    if (!image->meta) {
        image->meta = v8_image_room(image, 16, 8);
        v8_image_set(image, image->meta, 0, image->meta, 8);
        v8_image_set(image, image->meta, 12, IMAGE_MAP, 2);
    }
    if (!image->maps[type]) {
        image->maps[type] = v8_image_room(image, 16, 8);
        v8_image_set(image, image->maps[type], 0, image->meta, 8);
        v8_image_set(image, image->maps[type], 12, type, 2);
    }
    return image->maps[type];
}

static inline uint64_t v8_image_object(struct v8_image *image, unsigned type, size_t size)
{
    uint64_t map = v8_image_map(image, type), object = v8_image_room(image, size, 8);
    v8_image_set(image, object, 0, map, 8);
    return object;
}

static inline uint64_t v8_image_byte_array(struct v8_image *image, const struct packed *packed)
{
    uint64_t object = v8_image_object(image, IMAGE_BYTE_ARRAY, 16 + packed->count);
    v8_image_set(image, object, 8, (uint64_t)packed->count << 32, 8);
    memcpy(image->bytes + (object - 1 - IMAGE_BASE) + 16, packed->bytes, packed->count);
    return object;
}

static inline uint64_t v8_image_array(struct v8_image *image, const uint64_t *items, size_t count)
{
    uint64_t object = v8_image_object(image, IMAGE_FIXED, 16 + 8 * count);
    v8_image_set(image, object, 8, (uint64_t)count << 32, 8);
    for (size_t i = 0; i < count; i++)
        v8_image_set(image, object, (unsigned)(16 + 8 * i), items[i], 8);
    return object;
}

static inline uint64_t v8_image_bytecodes(struct v8_image *image, const uint8_t *bytes,
                                          size_t count, uint64_t positions)
{
    uint64_t object = v8_image_object(image, IMAGE_BYTECODES, 64 + count);
    v8_image_set(image, object, 8, (uint64_t)count << 32, 8);
    v8_image_set(image, object, 24, positions, 8);
    memcpy(image->bytes + (object - 1 - IMAGE_BASE) + 64, bytes, count);
    return object;
}

static inline uint64_t v8_image_shared(struct v8_image *image, uint64_t bytecodes)
{
    uint64_t object = v8_image_object(image, IMAGE_SHARED, 64);
    v8_image_set(image, object, 8, bytecodes, 8);
    return object;
}

/* Code with instructions of no meaning, and `metadata` behind them; the address of the first. */
static inline uint64_t v8_image_code(struct v8_image *image, unsigned kind, size_t size,
                                     uint64_t deoptimization, uint64_t positions,
                                     const struct packed *metadata)
{
    uint64_t code = v8_image_object(image, IMAGE_CODE, 96);
    uint64_t map = v8_image_map(image, IMAGE_STREAM);
    uint64_t stream = v8_image_room(image, IMAGE_HEAD + size + metadata->count, 64);
    uint64_t start = stream - 1 + IMAGE_HEAD;
    v8_image_set(image, stream, 0, map, 8);
    v8_image_set(image, stream, 8, code, 8);
    memset(image->bytes + (start - IMAGE_BASE), 0x90, size);
    memcpy(image->bytes + (start - IMAGE_BASE) + size, metadata->bytes, metadata->count);
    v8_image_set(image, code, 8, deoptimization, 8);
    v8_image_set(image, code, 16, positions, 8);
    v8_image_set(image, code, 40, start, 8);
    v8_image_set(image, code, 52, kind | 0x120, 4);
    v8_image_set(image, code, 56, size, 4);
    return start;
}

static inline void v8_image_heap(const struct v8_image *image, struct v8_heap *ret_heap)
{
    *ret_heap = (struct v8_heap){.layout = {.major = 13,
                                            .minor = 6,
                                            .map_instance_type = 12,
                                            .shared_function_info = IMAGE_SHARED,
                                            .code = IMAGE_CODE,
                                            .instruction_stream = IMAGE_STREAM,
                                            .bytecode_array = IMAGE_BYTECODES,
                                            .fixed_array = IMAGE_FIXED,
                                            .byte_array = IMAGE_BYTE_ARRAY,
                                            .shared_data = 8,
                                            .bytecode_length = 8,
                                            .bytecode_positions = 24,
                                            .bytecode_data = 64,
                                            .code_deoptimization = 8,
                                            .code_positions = 16,
                                            .code_start = 40,
                                            .code_flags = 52,
                                            .code_size = 56,
                                            .code_kind_mask = 15,
                                            .baseline_kind = IMAGE_BASELINE,
                                            .builtin_kind = 2,
                                            .regexp_kind = 3,
                                            .wasm_kind = 4,
                                            .fixed_array_length = 8,
                                            .fixed_array_data = 16,
                                            .deopt_count = 1,
                                            .deopt_literals = 3,
                                            .deopt_shared = 7,
                                            .deopt_inlining = 8,
                                            .deopt_shared_wrapped = true},
                                 .memory = {.image = v8_image_read, .image_context = image}};
}

static inline void pack_bytes(struct packed *packed, uint64_t number, size_t count)
{
    assert(packed->count + count <= sizeof packed->bytes);
    memcpy(packed->bytes + packed->count, &number, count);
    packed->count += count;
}

static inline void pack(struct packed *packed, uint64_t number)
{
    while (number > 127) {
        pack_bytes(packed, 128 + number % 128, 1);
        number /= 128;
    }
    pack_bytes(packed, number, 1);
}

/* As position tables have it: 0, -1, 1, -2, … */
static inline void pack_folded(struct packed *packed, int64_t number)
{
    pack(packed, number < 0 ? 2 * (uint64_t)(-(number + 1)) + 1 : 2 * (uint64_t)number);
}

/* As translations have it: the sign in the lowest bit. */
static inline void pack_signed(struct packed *packed, int32_t number)
{
    pack(packed, number < 0 ? 2 * (uint64_t) - (int64_t)number + 1 : 2 * (uint64_t)number);
}

/* A position of a table; inlining 0: none. */
static inline uint64_t position_bits(uint32_t position, uint64_t inlining)
{
    return (uint64_t)(position + 1) << 1 | inlining << 31;
}

#endif
