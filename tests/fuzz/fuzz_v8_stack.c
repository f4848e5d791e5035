/*
 * fuzz_v8_stack.c - V8's frames named from a stack and a memory that may hold anything.
 *
 * The stack is named three times: from nothing, from what was learnt of it, and when a part of the
 * memory has gone. What comes out must lie within bounds, whatever is named.
 */
#include "symbolize/v8.h"

#include "tests/fuzz/v8_seed.h"

#include <string.h>

enum { FRAMES_MAX = LIMIT_STACK_FRAMES, READS_MAX = 1 << 16 };

struct input {
    const uint8_t *at;
    size_t left;
};

struct piece {
    uint64_t address;
    const uint8_t *data;
    uint32_t size;
};

static struct image {
    vec(struct piece) pieces;
    size_t missing; /* each piece of so many is not there; 0: all are */
} image;

static bool take(struct input *input, void *to, size_t size)
{
    if (input->left < size)
        return false;
    memcpy(to, input->at, size);
    input->at += size;
    input->left -= size;
    return true;
}

/* A length and so many bytes; as many as there are, if there are fewer. */
static const uint8_t *take_block(struct input *input, uint32_t *ret_size)
{
    uint32_t size = 0;
    take(input, &size, sizeof size);
    if (size > input->left)
        size = (uint32_t)input->left;
    const uint8_t *block = input->at;
    input->at += size;
    input->left -= size;
    *ret_size = size;
    return block;
}

static bool read_image(const void *context, uint64_t address, void *into, size_t size)
{
    const struct image *from = context;
    for (size_t i = 0; i < from->pieces.count; i++) {
        const struct piece *piece = &from->pieces.items[i];
        uint64_t offset = address - piece->address;
        if (offset < piece->size && size <= piece->size - offset &&
            !(from->missing && i % from->missing == 0)) {
            memcpy(into, piece->data + offset, size);
            return true;
        }
    }
    return false;
}

static size_t take_frames(struct input *input, const struct segment *of_module,
                          const struct segment *of_generated,
                          struct unwound_frame frames[FRAMES_MAX])
{
    uint32_t count = 0;
    take(input, &count, sizeof count);
    if (count > FRAMES_MAX)
        count = FRAMES_MAX;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t words[4];
        if (!take(input, words, sizeof words))
            return i;
        frames[i] = (struct unwound_frame){.pc = words[0], .sp = words[1], .fp = words[2]};
        frames[i].segment = words[3] == V8_SEED_MODULE      ? of_module
                            : words[3] == V8_SEED_GENERATED ? of_generated
                                                            : NULL;
    }
    return count;
}

static void take_image(struct input *input)
{
    image = (struct image){0};
    while (image.pieces.count < READS_MAX) {
        struct piece piece;
        if (!take(input, &piece.address, sizeof piece.address) || input->left < sizeof piece.size)
            return;
        piece.data = take_block(input, &piece.size);
        vec_append(&image.pieces, piece);
    }
}

static void check(const struct profile *profile, const struct v8_names *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct v8_run *run = &names->runs[i];
        if (run->first > names->items.count || run->count > names->items.count - run->first)
            __builtin_trap();
        for (uint32_t j = 0; j < run->count; j++) {
            const struct v8_named *named = &names->items.items[run->first + j];
            if (named->frame >= profile->frames.count)
                __builtin_trap();
            const struct frame *frame = &profile->frames.items[named->frame];
            if (strlen(profile_string(profile, frame->function)) > LIMIT_STRING_BYTES ||
                strlen(profile_string(profile, frame->file)) > LIMIT_STRING_BYTES)
                __builtin_trap();
        }
    }
}

static void name_stack(struct module *module, struct input *input)
{
    _cleanup_profile_ struct profile *profile = profile_new();
    struct module generated = {.path = (char *)"[anon]", .kind = MODULE_ANON, .index = 2};
    struct segment of_module = {0, UINT64_MAX, 0, 0, module};
    struct segment of_generated = {0, UINT64_MAX, 0, 0, &generated};
    static struct unwound_frame frames[FRAMES_MAX];
    struct v8 *v8 = v8_new(profile, module, 0, 0, NULL);
    if (!v8)
        return;
    size_t count = take_frames(input, &of_module, &of_generated, frames);
    struct stack_copy stack;
    uint32_t stack_bytes;
    stack.data = take_block(input, &stack_bytes);
    stack.size = stack_bytes;
    stack.cut = false;
    take_image(input);
    v8_set_image(v8, read_image, &image);
    v8_begin(v8, 0); /* older than all that is learnt */
    check(profile, v8_name_stack(v8, frames, count, &stack), count);
    v8_begin(v8, UINT64_MAX);
    check(profile, v8_name_stack(v8, frames, count, &stack), count);
    check(profile, v8_name_stack(v8, frames, count, &stack), count);
    image.missing = 3;
    check(profile, v8_name_stack(v8, frames, count, &stack), count);
    v8_free(v8);
    vec_release(&image.pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint32_t elf_bytes;
    const uint8_t *elf = take_block(&input, &elf_bytes);
    struct modules *modules = modules_new();
    struct module *module = xcalloc(1, sizeof *module);
    *module =
        (struct module){.path = xstrdup("node"), .kind = MODULE_FILE, .index = 1, .jitdump_fd = -1};
    vec_append(&modules->items, module);
    if (!elf_file_open_memory(elf, elf_bytes, "node", &module->elf, NULL))
        name_stack(module, &input);
    modules_free(modules);
    return 0;
}
