/*
 * fuzz_eh_frame - hostile .eh_frame, .eh_frame_hdr, .debug_frame and code behind a valid ELF
 * header.
 *
 * Input: a byte of flags (bit 0: arm64; bit 1: also ask for many addresses), two bytes with the
 * length of .eh_frame, two with .eh_frame_hdr's, one with the code's; then these in order, and
 * .debug_frame in what is left. Rules are asked for around the functions, expression rules are
 * evaluated over memory that answers each address with a number made from it, and one stack is
 * walked.
 */
#include "symbolize/cfi.h"
#include "symbolize/modules.h"
#include "symbolize/unwind.h"
#include "tests/unit/cfi_image.h"

#include <stdio.h>

static bool read_memory(void *context, uint64_t address, uint64_t *ret_value)
{
    uint64_t *reads = context;
    *ret_value = address * 0x9e3779b97f4a7c15u >> (*reads % 40);
    return ++*reads % 7 != 0;
}

static struct cfi_bytes take(const uint8_t **data, size_t *size, size_t wanted)
{
    struct cfi_bytes bytes = {*data, wanted < *size ? wanted : *size};
    *data += bytes.size;
    *size -= bytes.size;
    return bytes;
}

static void ask(struct cfi *cfi, const struct arch *arch, uint64_t address)
{
    struct rule rule = cfi_find(cfi, address);
    cfi_follows_call(cfi, address);
    if (rule.kind != RULE_EXPRESSION)
        return;
    struct registers registers = {.known = UINT32_MAX, .pc = address};
    uint64_t reads = 0;
    for (uint64_t i = 0; i < arch->registers; i++)
        registers.value[i] = 0x7000 + i * 0x101;
    cfi_step_expression(cfi, &rule, &registers, read_memory, &reads);
}

static void walk(struct module *module, const struct arch *arch, struct cfi_bytes stack)
{
    struct segment segment = {CFI_TEXT, CFI_TEXT + 0x10000, 0, 0, module};
    struct space space = {.pid = 1, .generation = 1};
    struct unwinder *unwinder = unwinder_new(arch);
    struct registers registers = {.known = UINT32_MAX, .pc = CFI_TEXT + 8};
    static struct unwound_frame frames[LIMIT_STACK_FRAMES];
    size_t count;
    space.segments.items = &segment;
    space.segments.count = 1;
    for (uint64_t i = 0; i < arch->registers; i++)
        registers.value[i] = 0x7000 + i * 8;
    registers.value[arch->sp] = 0x7000;
    for (int round = 0; round < 2; round++) {
        struct stack_copy copy = {stack.data, stack.size >> round, true};
        unwinder_run(unwinder, &space, 1, &registers, &copy, frames, &count);
        if (!count || count > LIMIT_STACK_FRAMES)
            __builtin_trap();
        for (size_t i = 1; i < count; i++)
            if (!frames[i].segment && frames[i].pc)
                __builtin_trap();
    }
    unwinder_free(unwinder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6)
        return 0;
    uint8_t flags = data[0];
    const struct arch *arch = flags & 1 ? &arch_arm64 : &arch_x86_64;
    size_t frame_size = data[1] | (size_t)data[2] << 8, hdr_size = data[3] | (size_t)data[4] << 8;
    size_t text_size = data[5], image_size;
    data += 6;
    size -= 6;
    struct cfi_bytes all = {data, size};
    struct cfi_bytes eh_frame = take(&data, &size, frame_size), hdr = take(&data, &size, hdr_size);
    struct cfi_bytes text = take(&data, &size, text_size);
    uint8_t *image =
        cfi_image(arch->machine, eh_frame, hdr, (struct cfi_bytes){data, size}, text, &image_size);
    struct error err;
    struct module module = {.path = "fuzz", .kind = MODULE_FILE, .cfi_tried = true};
    if (!elf_file_open_memory(image, image_size, "fuzz", &module.elf, &err)) {
        module.cfi = cfi_new(module.elf, arch);
        uint64_t step = flags & 2 ? 1 : 5;
        for (uint64_t address = CFI_TEXT; address < CFI_TEXT + 320; address += step)
            ask(module.cfi, arch, address);
        ask(module.cfi, arch, 0);
        ask(module.cfi, arch, UINT64_MAX);
        ask(module.cfi, arch, CFI_HDR);
        ask(module.cfi, arch, (uint64_t)1 << 63);
        walk(&module, arch, all);
        cfi_free(module.cfi);
    }
    elf_file_free(module.elf);
    free(image);
    return 0;
}
