/*
 * fuzz_v8_heap.c - a function in a heap whose texts are the input, and whose bytes it overwrites.
 *
 * The input: a byte of the version; what the ScopeInfo has; three texts (the function's name, the
 * script's, its source), each a byte of what the string is made of, one of its length, and so many;
 * then fours of bytes: where (two), what, and whether the table of lines is there. What is read
 * of it has bounds, whatever it is, and takes a bounded number of reads.
 */
#include "core/limits.h"
#include "core/utf8.h"
#include "symbolize/v8_function.h"
#include "symbolize/v8_string.h"
#include "tests/v8_text_image.h"

enum { NAME_BYTES = 3 * 4096 + 3, READS_MAX = 1 << 21 };

struct input {
    const uint8_t *at, *end;
};

static struct v8_image image;
static size_t reads;

static uint8_t take(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static bool read_counted(const void *context, uint64_t address, void *into, size_t size)
{
    if (++reads > READS_MAX)
        __builtin_trap();
    return v8_image_read(context, address, into, size);
}

/* A text of Latin-1 or UTF-16 in one piece, in the heap or outside. */
static uint64_t take_flat(struct input *input, unsigned kind, uint32_t length)
{
    unsigned width = kind & 1 ? 1 : 2;
    uint8_t bytes[512];
    for (uint32_t i = 0; i < width * length; i++)
        bytes[i] = take(input);
    uint64_t at = v8_image_room(&image, 512, 8);
    memcpy(image.bytes + (at - 1 - IMAGE_BASE), bytes, width * length);
    unsigned type = width == 1 ? IMAGE_ONE_BYTE : IMAGE_TWO_BYTE;
    if (kind & 2)
        return v8_image_made_of(&image, type | IMAGE_EXTERNAL, length, 0, at - 1);
    uint64_t string = v8_image_string(&image, type, length, 16 + sizeof bytes);
    memcpy(image.bytes + (string - 1 - IMAGE_BASE) + 16, bytes, width * length);
    return string;
}

static uint64_t take_string(struct input *input)
{
    unsigned kind = take(input);
    uint32_t length = take(input);
    uint64_t string = take_flat(input, kind & 3, length);
    switch (kind >> 2 & 3) {
    case 1:
        return v8_image_made_of(&image, IMAGE_CONS, 2 * length, string, string);
    case 2:
        return v8_image_made_of(&image, IMAGE_SLICED, length / 2, string, smi((int32_t)length / 3));
    case 3:
        return v8_image_made_of(&image, IMAGE_THIN, length, string, 0);
    default:
        return string;
    }
}

static uint64_t take_function(struct input *input, bool later)
{
    uint8_t has = take(input);
    struct scope_parts parts = {.locals = take(input) % 100u,
                                .module = has & 1,
                                .class_variable = has & 2,
                                .has_name = has & 4,
                                .has_inferred = has & 8,
                                .kind = has & 16 ? 24 : 0,
                                .start = take(input)};
    parts.end = parts.start + take(input);
    parts.name = take_string(input);
    parts.inferred = has & 32 ? parts.name : v8_image_object(&image, IMAGE_UNDEFINED, 32);
    uint64_t name = take_string(input), source = take_string(input), lines[4];
    for (int i = 0; i < 4; i++)
        lines[i] = smi(64 * i + 63);
    uint64_t table = has & 64 ? v8_image_array(&image, lines, 4) : 0;
    uint64_t script = v8_image_script(&image, has & 128 ? name : table, source, table, name, later);
    return v8_image_function(&image, v8_image_scope(&image, &parts, later), script, later);
}

static void check_text(const char *text)
{
    if (strlen(text) > NAME_BYTES)
        __builtin_trap();
    while (*text) {
        uint32_t character;
        size_t length = utf8_decode(text, &character);
        if (!length)
            __builtin_trap();
        text += length;
    }
}

static void read_all(struct v8_heap *heap, uint64_t shared)
{
    struct v8_scripts *scripts = v8_scripts_new();
    struct strings strings = {0};
    for (int i = 0; i < 2; i++) { /* from the memory, and with what is remembered of it */
        struct v8_function function = {.line = UINT32_MAX};
        reads = 0;
        if (!v8_function_read(heap, scripts, &strings, shared, &function)) {
            if (function.line != UINT32_MAX)
                __builtin_trap();
            continue;
        }
        if (!function.line != !function.column || function.line > INT32_MAX ||
            function.column > INT32_MAX)
            __builtin_trap();
        check_text(strings_get(&strings, function.name));
        check_text(strings_get(&strings, function.file));
    }
    strings_release(&strings);
    v8_scripts_free(scripts);
}

/* Every object of the image taken for a string. */
static void read_strings(struct v8_heap *heap)
{
    for (uint64_t at = 0; at < image.used; at += 8) {
        reads = 0;
        char *text = v8_string_text(heap, IMAGE_BASE + at + 1, 64);
        if (text)
            check_text(text);
        free(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    struct v8_heap heap;
    memset(&image, 0, sizeof image);
    bool later = take(&input) & 1;
    v8_image_heap(&image, &heap);
    v8_text_layout(&heap.layout, later);
    heap.memory.image = read_counted;
    uint64_t shared = take_function(&input, later);
    read_all(&heap, shared);
    while (input.at < input.end) {
        uint32_t where = take(&input);
        where |= (uint32_t)take(&input) << 8;
        image.bytes[where % (image.used + 1)] = take(&input);
    }
    read_all(&heap, shared);
    read_strings(&heap);
    return 0;
}
