/*
 * Stored samples of an arm64 program, unwound on whatever machine the tests run on. The program
 * wrote the truth beside each sample (tests/programs/arm64_stacks.c).
 */
#include "symbolize/cfi.h"
#include "symbolize/modules.h"
#include "symbolize/unwind.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STACK_BYTES = 8192, TRUTH_MAX = 64 };

struct sample {
    char name[64];
    struct registers registers;
    uint64_t truth[TRUTH_MAX];
    bool exact[TRUTH_MAX]; /* an interrupted pc */
    size_t truth_count;
    uint8_t stack[STACK_BYTES];
    size_t size;
};

static struct module module = {.path = "stacks.elf", .kind = MODULE_FILE};
static struct space space;
static struct segment segment;
static struct unwinder *unwinder;
static struct unwound_frame frames[LIMIT_STACK_FRAMES];
static size_t count;

static void data_path(const char *name, char *ret, size_t size)
{
    const char *root = getenv("SOURCE_ROOT");
    snprintf(ret, size, "%s/tests/data/arm64/%s", root ? root : ".", name);
}

static void set_up(void)
{
    char path[4096];
    struct error err;
    data_path("stacks.elf", path, sizeof path);
    int fd = elf_open_regular(path);
    ck_assert_msg(fd >= 0, "%s", path);
    ck_assert_int_eq(elf_file_open(fd, path, &module.elf, &err), 0);
    const struct elf_load *load = &module.elf->loads.items[0];
    segment = (struct segment){
        .start = load->vaddr, .end = load->vaddr + load->memory_size, .module = &module};
    space = (struct space){.pid = 1, .generation = 1};
    space.segments.items = &segment;
    space.segments.count = 1;
    unwinder = unwinder_new(&arch_arm64);
}

static void tear_down(void)
{
    unwinder_free(unwinder);
    cfi_free(module.cfi);
    elf_file_free(module.elf);
}

static void parse_registers(char *text, struct sample *ret)
{
    char *rest = text;
    for (size_t i = 0; i < 33; i++) {
        uint64_t value = strtoull(rest, &rest, 16);
        if (i == 32)
            ret->registers.pc = value;
        else
            ret->registers.value[i] = value;
    }
    ret->registers.known = UINT32_MAX;
    ck_assert_str_eq(rest, "\n");
}

static void parse_truth(char *text, struct sample *ret)
{
    for (char *word, *rest = text; (word = strtok_r(rest, " \n", &rest));) {
        ck_assert_uint_lt(ret->truth_count, TRUTH_MAX);
        ret->exact[ret->truth_count] = word[0] == '=';
        ret->truth[ret->truth_count++] = strtoull(word + (word[0] == '='), NULL, 16);
    }
}

static void parse_stack(const char *text, struct sample *ret)
{
    unsigned byte;
    while (ret->size < STACK_BYTES && sscanf(text + 2 * ret->size, "%2x", &byte) == 1)
        ret->stack[ret->size++] = (uint8_t)byte;
}

/* Calls `check` for each sample; returns how many there were. */
static size_t each_sample(void (*check)(const struct sample *sample))
{
    char path[4096];
    data_path("samples.txt", path, sizeof path);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file, "%s", path);
    static char line[4 * STACK_BYTES];
    static struct sample sample;
    size_t samples = 0;
    while (fgets(line, sizeof line, file)) {
        if (!strncmp(line, "sample ", 7)) {
            memset(&sample, 0, sizeof sample);
            ck_assert_int_eq(sscanf(line, "sample %63s", sample.name), 1);
        } else if (!strncmp(line, "registers ", 10)) {
            parse_registers(line + 10, &sample);
        } else if (!strncmp(line, "truth ", 6)) {
            parse_truth(line + 6, &sample);
        } else if (!strncmp(line, "stack ", 6)) {
            parse_stack(line + 6, &sample);
            check(&sample);
            samples++;
        }
    }
    fclose(file);
    return samples;
}

static enum unwind_end unwind(const struct sample *sample, size_t bytes, uint32_t tid)
{
    struct stack_copy copy = {sample->stack, bytes, bytes < sample->size};
    return unwinder_run(unwinder, &space, tid, &sample->registers, &copy, frames, &count);
}

/* The first `n` callers are the true ones. */
static void check_callers(const struct sample *sample, size_t n)
{
    ck_assert_uint_eq(frames[0].pc, sample->registers.pc);
    for (size_t i = 0; i < n; i++) {
        /* A restorer is no function that called: its own pc is exact. */
        bool restorer = i + 1 < sample->truth_count && sample->exact[i + 1];
        uint64_t truth = sample->truth[i] - (sample->exact[i] || restorer ? 0 : 1);
        ck_assert_msg(frames[i + 1].pc == truth, "%s: frame %zu is %#" PRIx64 ", not %#" PRIx64,
                      sample->name, i + 1, frames[i + 1].pc, truth);
        ck_assert_ptr_eq(frames[i + 1].segment, &segment);
    }
}

static void check_whole(const struct sample *sample)
{
    enum unwind_end end = unwind(sample, sample->size, 0);
    if (!strcmp(sample->name, "unconfirmed-sp")) {
        /* Code without CFI called by code without a frame pointer: not to be guessed. */
        ck_assert_int_eq(end, UNWIND_BROKEN);
        ck_assert_uint_eq(count, 4);
    } else {
        ck_assert_msg(end == UNWIND_COMPLETE, "%s: ends with %d after %zu frames", sample->name,
                      end, count);
        ck_assert_msg(count == sample->truth_count + 1, "%s: %zu frames, not %zu", sample->name,
                      count, sample->truth_count + 1);
    }
    check_callers(sample, count - 1);
}

START_TEST(whole_stacks)
{
    set_up();
    ck_assert_uint_eq(each_sample(check_whole), 9);
    tear_down();
}
END_TEST

static size_t cut_samples, stitched_samples;

static void check_cut(const struct sample *sample)
{
    bool whole = unwind(sample, sample->size, 7) == UNWIND_COMPLETE;
    for (size_t bytes = 0; bytes + 200 < sample->size; bytes += 48) {
        enum unwind_end end = unwind(sample, bytes, 0);
        ck_assert_int_ne(end, UNWIND_STITCHED);
        check_callers(sample, count - 1);
        cut_samples += end == UNWIND_TRUNCATED;
        if (whole && end == UNWIND_TRUNCATED) {
            ck_assert_int_eq(unwind(sample, bytes, 7), UNWIND_STITCHED);
            ck_assert_uint_eq(count, sample->truth_count + 1);
            check_callers(sample, count - 1);
            stitched_samples++;
        }
    }
}

START_TEST(cut_copies_are_told_and_stitched)
{
    set_up();
    each_sample(check_cut);
    ck_assert_uint_gt(cut_samples, 50);
    ck_assert_uint_gt(stitched_samples, 50);
    tear_down();
}
END_TEST

static bool saw_signed;

static void look_for_signed(const struct sample *sample)
{
    for (size_t i = 0; i + 8 <= sample->size; i += 8) {
        uint64_t word;
        memcpy(&word, sample->stack + i, 8);
        saw_signed |= word >> 48 && (word & arch_arm64.address_mask) == sample->truth[2];
    }
}

/* Else the samples would not show that signed addresses are followed. */
START_TEST(some_addresses_are_signed)
{
    each_sample(look_for_signed);
    ck_assert(saw_signed);
}
END_TEST

START_TEST(perf_registers)
{
    uint64_t values[33];
    struct registers registers;
    for (size_t i = 0; i < 33; i++)
        values[i] = 100 + i;
    ck_assert_uint_eq(arch_arm64.perf_count, 33);
    ck_assert_int_eq(__builtin_popcountll(arch_arm64.perf_mask), 33);
    arch_registers_from_perf(&arch_arm64, values, &registers);
    for (size_t i = 0; i < 32; i++)
        ck_assert_uint_eq(registers.value[i], 100 + i);
    ck_assert_uint_eq(registers.pc, 132);
    ck_assert_uint_eq(registers.known, UINT32_MAX);

    ck_assert_int_eq(__builtin_popcountll(arch_x86_64.perf_mask), arch_x86_64.perf_count);
    arch_registers_from_perf(&arch_x86_64, values, &registers);
    ck_assert_uint_eq(registers.value[3], 101); /* bx */
    ck_assert_uint_eq(registers.value[6], 106); /* bp */
    ck_assert_uint_eq(registers.value[7], 107); /* sp */
    ck_assert_uint_eq(registers.pc, 108);
    ck_assert_uint_eq(registers.value[8], 109);
    ck_assert_uint_eq(registers.known, 0xffff);
}
END_TEST

START_TEST(call_instructions)
{
    static const struct {
        const struct arch *arch;
        uint8_t before[ARCH_CALL_BYTES];
        bool call;
    } cases[] = {
        {&arch_x86_64, {0x90, 0x90, 0x90, 0xe8, 1, 2, 3, 4}, true}, /* call rel32 */
        {&arch_x86_64, {0, 0, 0, 0, 0, 0, 0xff, 0xd0}, true},       /* call *%rax */
        {&arch_x86_64, {0, 0, 0, 0, 0, 0x41, 0xff, 0xd7}, true},    /* call *%r15 */
        {&arch_x86_64, {0, 0, 0, 0, 0, 0, 0xff, 0x10}, true},       /* call *(%rax) */
        {&arch_x86_64, {0, 0, 0, 0, 0, 0xff, 0x50, 0x18}, true},    /* 0x18(%rax) */
        {&arch_x86_64, {0, 0, 0, 0, 0xff, 0x54, 0x24, 0x08}, true}, /* 8(%rsp) */
        {&arch_x86_64, {0, 0, 0xff, 0x15, 1, 2, 3, 0}, true},       /* x(%rip) */
        {&arch_x86_64, {0, 0, 0xff, 0x90, 1, 2, 3, 0}, true},       /* x(%rax) */
        {&arch_x86_64, {0, 0xff, 0x94, 0xc1, 1, 2, 3, 0}, true},    /* x(%rcx,%rax,8) */
        {&arch_x86_64, {0, 0xff, 0x14, 0xc5, 1, 2, 3, 0}, true},    /* x(,%rax,8) */
        {&arch_x86_64, {0, 0, 0, 0, 0, 0xff, 0x14, 0xc8}, true},    /* (%rax,%rcx,8) */
        {&arch_x86_64, {0, 0, 0, 0, 0, 0xff, 0x14, 0xc5}, false},   /* cut */
        {&arch_x86_64, {0, 0, 0, 0, 0, 0, 0xff, 0x14}, false},      /* cut */
        {&arch_x86_64, {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, false},
        {&arch_x86_64, {0, 0, 0, 0, 0, 0, 0xff, 0xe0}, false},      /* jmp *%rax */
        {&arch_x86_64, {0, 0, 0, 0xe9, 1, 2, 3, 4}, false},         /* jmp rel32 */
        {&arch_arm64, {0, 0, 0, 0, 0x10, 0x00, 0x00, 0x94}, true},  /* bl */
        {&arch_arm64, {0, 0, 0, 0, 0x00, 0x02, 0x3f, 0xd6}, true},  /* blr x16 */
        {&arch_arm64, {0, 0, 0, 0, 0x1f, 0x0b, 0x3f, 0xd6}, true},  /* blraaz x24 */
        {&arch_arm64, {0, 0, 0, 0, 0x00, 0x02, 0x1f, 0xd6}, false}, /* br x16 */
        {&arch_arm64, {0, 0, 0, 0, 0xc0, 0x03, 0x5f, 0xd6}, false}, /* ret */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(arch_is_call(cases[i].arch, cases[i].before) == cases[i].call, "case %zu", i);
}
END_TEST

UNIT_MAIN("unwind_arm64", whole_stacks, cut_copies_are_told_and_stitched, some_addresses_are_signed,
          perf_registers, call_instructions)
