/*
 * fuzz_v8_code.c - code in a heap whose tables are the input, and whose bytes it then overwrites.
 *
 * The input: a version, a kind of code, five tables that each begin with their length (positions,
 * InliningPositions, translations, what stands behind the instructions, bytecodes), then threes of
 * bytes: where, two of them, and what. Whatever is found in it lies within what was asked for, and
 * no object passes as a function that is none.
 */
#include "core/limits.h"
#include "tests/v8_image.h"

#include <stdlib.h>

enum { BODY = 96, POINTS = 4, FUNCTIONS = 3, OPCODES = 8 };

static const uint8_t sizes[3 * OPCODES] = {1, 1, 1, 1, 1, 2, 3, 4, 1, 1, 1, 1,
                                           1, 3, 5, 7, 1, 1, 1, 1, 1, 5, 9, 13};

struct input {
    const uint8_t *at, *end;
};

static uint8_t take(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static struct packed take_table(struct input *input)
{
    struct packed packed = {.count = 0};
    for (uint8_t left = take(input); left && input->at < input->end; left--)
        pack_bytes(&packed, take(input), 1);
    return packed;
}

static uint64_t make_data(struct v8_image *image, const struct packed *translations,
                          uint64_t inlining, const uint64_t *functions)
{
    uint64_t wrapper = v8_image_object(image, 200, 16), items[12 + 3 * POINTS] = {0};
    uint64_t arrays[FUNCTIONS];
    for (int i = 0; i < FUNCTIONS; i++)
        memcpy(&arrays[i], image->bytes + (functions[i] - 1 - IMAGE_BASE) + 8, 8);
    v8_image_set(image, wrapper, 8, functions[0], 8);
    items[0] = v8_image_byte_array(image, translations);
    items[1] = (uint64_t)2 << 32;
    items[2] = v8_image_array(image, arrays, FUNCTIONS);
    items[3] = v8_image_array(image, functions, FUNCTIONS);
    items[7] = wrapper;
    items[8] = inlining;
    items[9] = (uint64_t)(BODY - 4 * POINTS) << 32;
    items[10] = items[11] = (uint64_t)(POINTS / 2) << 32;
    for (uint64_t i = 0; i < POINTS; i++)
        items[13 + 3 * i] = i * (translations->count / POINTS) << 32;
    return v8_image_array(image, items, sizeof items / sizeof *items);
}

static void make_jumps(struct v8_image *image, uint64_t start)
{
    for (uint32_t i = 0; i < POINTS / 2; i++) {
        uint32_t at = 10 + 30 * i, distance = BODY - 4 * POINTS + 4 * i - at - 6;
        uint8_t jump[6] = {0x0f, 0x85};
        memcpy(jump + 2, &distance, 4);
        memcpy(image->bytes + (start - IMAGE_BASE) + at, jump, 6);
    }
}

/* Builds the heap; the address of the instructions. */
static uint64_t make_image(struct v8_image *image, struct input *input, uint64_t *ret_bytecodes)
{
    uint64_t functions[FUNCTIONS];
    unsigned kind = IMAGE_BASELINE + take(input) % 3;
    struct packed positions = take_table(input), inlining = take_table(input);
    struct packed translations = take_table(input), metadata = take_table(input);
    struct packed bytecodes = take_table(input);
    uint64_t table = v8_image_byte_array(image, &positions);
    for (int i = 0; i < FUNCTIONS; i++) {
        *ret_bytecodes = v8_image_bytecodes(image, bytecodes.bytes, bytecodes.count, table);
        functions[i] = v8_image_shared(image, *ret_bytecodes);
    }
    uint64_t data =
        make_data(image, &translations, v8_image_byte_array(image, &inlining), functions);
    uint64_t start = v8_image_code(image, kind, BODY, data, table, &metadata);
    make_jumps(image, start);
    return start;
}

static void check_pc(struct v8_heap *heap, uint64_t bytecodes, uint64_t pc)
{
    struct v8_code code;
    struct v8_site sites[LIMIT_INLINE_DEPTH];
    if (!v8_code_find(heap, pc, &code))
        return;
    if (pc < code.start || pc - code.start >= code.size)
        __builtin_trap();
    for (int call = 0; call < 2; call++) {
        size_t count = v8_code_sites(heap, &code, pc, call, sites);
        if (count > LIMIT_INLINE_DEPTH)
            __builtin_trap();
        for (size_t i = 0; i < count; i++)
            if (v8_type(heap, sites[i].shared) != IMAGE_SHARED ||
                (sites[i].position != V8_NO_POSITION && sites[i].position >= 1u << 30))
                __builtin_trap();
    }
    int32_t offset = v8_baseline_offset(heap, &code, bytecodes, pc);
    if (offset < -1 || offset > LIMIT_V8_TABLE_BYTES)
        __builtin_trap();
    v8_bytecode_position(heap, bytecodes, offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int versions[][2] = {{10, 2}, {11, 3}, {12, 4}, {13, 6}, {14, 0}};
    static struct v8_image image;
    struct input input = {data, data + size};
    struct v8_heap heap;
    uint64_t bytecodes;
    memset(&image, 0, sizeof image);
    v8_image_heap(&image, &heap);
    heap.bytecode_sizes = sizes;
    heap.layout.bytecode_count = OPCODES;
    const int *version = versions[take(&input) % 5];
    heap.layout.major = version[0];
    heap.layout.minor = version[1];
    uint64_t start = make_image(&image, &input, &bytecodes);
    while (input.end - input.at >= 3) {
        uint64_t at = (uint64_t)take(&input) << 8;
        at |= take(&input);
        image.bytes[at % image.used] = take(&input);
    }
    for (uint64_t offset = 0; offset < BODY; offset += 3)
        check_pc(&heap, bytecodes, start + offset);
    return 0;
}
