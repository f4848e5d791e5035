/*
 * Rules of hand-made call-frame information, and of real files against libdw's
 * dwarf_cfi_addrframe, which reads the same sections by its own code.
 */
#include "symbolize/cfi.h"
#include "tests/unit/cfi_image.h"
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct bytes {
    uint8_t data[4096];
    size_t size;
};

static void put(struct bytes *bytes, const void *data, size_t size)
{
    ck_assert_uint_le(bytes->size + size, sizeof bytes->data);
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void put_u32(struct bytes *bytes, uint32_t value)
{
    put(bytes, &value, 4);
}

static void put_u64(struct bytes *bytes, uint64_t value)
{
    put(bytes, &value, 8);
}

#define PUT(bytes, ...) \
    put((bytes), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Fills in the length of the entry that begins at `start`, padded with DW_CFA_nop. */
static void end_entry(struct bytes *bytes, size_t start)
{
    while ((bytes->size - start) % 8)
        PUT(bytes, DW_CFA_nop);
    uint32_t length = (uint32_t)(bytes->size - start - 4);
    memcpy(bytes->data + start, &length, 4);
}

enum { ENCODING = DW_EH_PE_pcrel | DW_EH_PE_sdata4 };

/* code alignment 1, data alignment -8, x86-64's return column; CFA rsp+8, ra at cfa-8. */
static void put_cie(struct bytes *bytes, const char *letters, bool debug_frame)
{
    size_t start = bytes->size;
    put_u32(bytes, 0);
    put_u32(bytes, debug_frame ? 0xffffffff : 0);
    PUT(bytes, debug_frame ? 4 : 1);
    put(bytes, letters, strlen(letters) + 1);
    if (debug_frame)
        PUT(bytes, 8, 0);
    PUT(bytes, 1, 0x78, 16);
    if (letters[0] == 'z')
        PUT(bytes, 1, ENCODING);
    PUT(bytes, DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1);
    end_entry(bytes, start);
}

/* Returns where the FDE begins. */
static size_t put_fde(struct bytes *bytes, uint64_t address, uint32_t size, const uint8_t *code,
                      size_t code_size)
{
    size_t start = bytes->size;
    put_u32(bytes, 0);
    put_u32(bytes, (uint32_t)bytes->size); /* the CIE is at 0 */
    put_u32(bytes, (uint32_t)(address - (CFI_EH_FRAME + bytes->size)));
    put_u32(bytes, size);
    PUT(bytes, 0);
    put(bytes, code, code_size);
    end_entry(bytes, start);
    return start;
}

static void put_debug_fde(struct bytes *bytes, uint64_t address, uint64_t size, const uint8_t *code,
                          size_t code_size)
{
    size_t start = bytes->size;
    put_u32(bytes, 0);
    put_u32(bytes, 0); /* the CIE is at 0 */
    put_u64(bytes, address);
    put_u64(bytes, size);
    put(bytes, code, code_size);
    end_entry(bytes, start);
}

struct opened {
    uint8_t *image;
    struct elf_file *file;
    struct cfi *cfi;
};

static struct opened open_image_with_code(const struct bytes *eh_frame, const struct bytes *hdr,
                                          const struct bytes *debug_frame, struct cfi_bytes text)
{
    static const struct bytes none;
    struct opened opened;
    struct error err;
    size_t size;
    eh_frame = eh_frame ? eh_frame : &none;
    hdr = hdr ? hdr : &none;
    debug_frame = debug_frame ? debug_frame : &none;
    opened.image = cfi_image(EM_X86_64, (struct cfi_bytes){eh_frame->data, eh_frame->size},
                             (struct cfi_bytes){hdr->data, hdr->size},
                             (struct cfi_bytes){debug_frame->data, debug_frame->size}, text, &size);
    ck_assert_int_eq(elf_file_open_memory(opened.image, size, "image", &opened.file, &err), 0);
    opened.cfi = cfi_new(opened.file, &arch_x86_64);
    return opened;
}

static struct opened open_image(const struct bytes *eh_frame, const struct bytes *hdr,
                                const struct bytes *debug_frame)
{
    return open_image_with_code(eh_frame, hdr, debug_frame, (struct cfi_bytes){NULL, 0});
}

static void close_image(struct opened *opened)
{
    cfi_free(opened->cfi);
    elf_file_free(opened->file);
    free(opened->image);
}

/* The usual prologue and epilogue: push rbp; mov rsp,rbp; push rbx; …; leave; ret */
static const uint8_t usual[] = {
    DW_CFA_advance_loc | 1,
    DW_CFA_def_cfa_offset,
    16,
    DW_CFA_offset | 6,
    2,
    DW_CFA_advance_loc | 3,
    DW_CFA_def_cfa_register,
    6,
    DW_CFA_advance_loc | 1,
    DW_CFA_offset | 3,
    3,
    DW_CFA_advance_loc1,
    40,
    DW_CFA_remember_state,
    DW_CFA_def_cfa,
    7,
    8,
    DW_CFA_advance_loc | 1,
    DW_CFA_restore_state,
};

static void check_usual(struct cfi *cfi, uint64_t start)
{
    struct rule rule = cfi_find(cfi, start);
    ck_assert_int_eq(rule.kind, RULE_REGISTER);
    ck_assert_int_eq(rule.cfa_register, 7);
    ck_assert_int_eq(rule.cfa_offset, 8);
    ck_assert_int_eq(rule.slot[0], -1);
    ck_assert_int_eq(rule.slot[1], SLOT_SAME);
    rule = cfi_find(cfi, start + 1);
    ck_assert_int_eq(rule.cfa_register, 7);
    ck_assert_int_eq(rule.cfa_offset, 16);
    ck_assert_int_eq(rule.slot[1], -2);
    rule = cfi_find(cfi, start + 4);
    ck_assert_int_eq(rule.cfa_register, 6);
    ck_assert_int_eq(rule.slot[2], SLOT_SAME);
    rule = cfi_find(cfi, start + 44);
    ck_assert_int_eq(rule.slot[2], -3);
    ck_assert_int_eq(rule.cfa_register, 6);
    rule = cfi_find(cfi, start + 45);
    ck_assert_int_eq(rule.cfa_register, 7);
    ck_assert_int_eq(rule.cfa_offset, 8);
    rule = cfi_find(cfi, start + 46);
    ck_assert_int_eq(rule.cfa_register, 6);
    ck_assert_int_eq(rule.cfa_offset, 16);
}

static void put_hdr(struct bytes *hdr, const uint64_t *starts, const size_t *fdes, uint32_t n)
{
    PUT(hdr, 1, DW_EH_PE_pcrel | DW_EH_PE_sdata4, DW_EH_PE_udata4,
        DW_EH_PE_datarel | DW_EH_PE_sdata4);
    put_u32(hdr, (uint32_t)(CFI_EH_FRAME - (CFI_HDR + 4)));
    put_u32(hdr, n);
    for (uint32_t i = 0; i < n; i++) {
        put_u32(hdr, (uint32_t)(starts[i] - CFI_HDR));
        put_u32(hdr, (uint32_t)(CFI_EH_FRAME + fdes[i] - CFI_HDR));
    }
}

START_TEST(rows_through_the_header_and_by_scan)
{
    struct bytes eh_frame = {0}, hdr = {0};
    put_cie(&eh_frame, "zR", false);
    uint64_t starts[] = {CFI_TEXT + 0x100, CFI_TEXT + 0x200};
    size_t fdes[2];
    fdes[1] = put_fde(&eh_frame, starts[1], 60, usual, sizeof usual);
    fdes[0] = put_fde(&eh_frame, starts[0], 64, usual, sizeof usual);
    put_u32(&eh_frame, 0);
    put_hdr(&hdr, starts, fdes, 2);
    for (int with_hdr = 0; with_hdr < 2; with_hdr++) {
        struct opened opened = open_image(&eh_frame, with_hdr ? &hdr : NULL, NULL);
        check_usual(opened.cfi, starts[0]);
        check_usual(opened.cfi, starts[1]);
        ck_assert_int_eq(cfi_find(opened.cfi, starts[0] - 1).kind, RULE_NONE);
        /* 15 bytes behind the end take the last row, the 16th byte does not. */
        ck_assert_int_eq(cfi_find(opened.cfi, starts[1] + 60 + 15).kind, RULE_REGISTER);
        ck_assert_int_eq(cfi_find(opened.cfi, starts[1] + 60 + 16).kind, RULE_NONE);
        ck_assert_int_eq(cfi_find(opened.cfi, UINT64_MAX).kind, RULE_NONE);
        ck_assert_int_eq(cfi_find(opened.cfi, 0).kind, RULE_NONE);
        close_image(&opened);
    }
}
END_TEST

/* clone3's hole goes on with an instruction; what follows padding is another function. */
START_TEST(padding_ends_the_last_row)
{
    static const uint8_t hole[40] = {[9] = 0x0f, 0x05, 0x48, 0x85, 0xc0},
                         padded[40] = {[9] = 0x66, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x48};
    struct bytes eh_frame = {0};
    put_cie(&eh_frame, "zR", false);
    put_fde(&eh_frame, CFI_TEXT, 9, NULL, 0);
    struct opened opened =
        open_image_with_code(&eh_frame, NULL, NULL, (struct cfi_bytes){hole, sizeof hole});
    ck_assert_int_eq(cfi_find(opened.cfi, CFI_TEXT + 11).kind, RULE_REGISTER);
    ck_assert_int_eq(cfi_find(opened.cfi, CFI_TEXT + 17).kind, RULE_REGISTER);
    close_image(&opened);
    opened = open_image_with_code(&eh_frame, NULL, NULL, (struct cfi_bytes){padded, sizeof padded});
    ck_assert_int_eq(cfi_find(opened.cfi, CFI_TEXT + 11).kind, RULE_REGISTER);
    ck_assert_int_eq(cfi_find(opened.cfi, CFI_TEXT + 16).kind, RULE_NONE);
    close_image(&opened);
}
END_TEST

START_TEST(debug_frame_covers_what_eh_frame_does_not)
{
    struct bytes eh_frame = {0}, debug_frame = {0};
    put_cie(&eh_frame, "zR", false);
    put_fde(&eh_frame, CFI_TEXT + 0x100, 64, usual, sizeof usual);
    put_cie(&debug_frame, "", true);
    put_debug_fde(&debug_frame, 0, 0x100000, usual, sizeof usual); /* discarded by the linker */
    put_debug_fde(&debug_frame, CFI_TEXT + 0x144, 60, usual, sizeof usual);
    struct opened opened = open_image(&eh_frame, NULL, &debug_frame);
    check_usual(opened.cfi, CFI_TEXT + 0x100);
    check_usual(opened.cfi, CFI_TEXT + 0x144); /* and not the past-the-end row of the other */
    ck_assert_int_eq(cfi_find(opened.cfi, CFI_TEXT).kind, RULE_NONE);
    close_image(&opened);
    opened = open_image(NULL, NULL, &debug_frame);
    check_usual(opened.cfi, CFI_TEXT + 0x144);
    close_image(&opened);
}
END_TEST

static struct rule rule_of(const uint8_t *code, size_t size, const char *letters,
                           struct opened *ret_opened)
{
    struct bytes eh_frame = {0};
    put_cie(&eh_frame, letters, false);
    put_fde(&eh_frame, CFI_TEXT, 16, code, size);
    *ret_opened = open_image(&eh_frame, NULL, NULL);
    return cfi_find(ret_opened->cfi, CFI_TEXT);
}

START_TEST(special_rules)
{
    struct opened opened;
    static const uint8_t end[] = {DW_CFA_undefined, 16};
    ck_assert_int_eq(rule_of(end, sizeof end, "zR", &opened).kind, RULE_END);
    close_image(&opened);
    static const uint8_t lost[] = {DW_CFA_undefined, 3};
    struct rule rule = rule_of(lost, sizeof lost, "zRS", &opened);
    ck_assert_int_eq(rule.kind, RULE_REGISTER);
    ck_assert_int_eq(rule.slot[2], SLOT_UNDEFINED);
    ck_assert_int_eq(rule.signal, 1);
    close_image(&opened);
    static const uint8_t scratch[] = {DW_CFA_def_cfa, 10, 24, DW_CFA_def_cfa_offset_sf, 0x7e};
    rule = rule_of(scratch, sizeof scratch, "zR", &opened);
    ck_assert_int_eq(rule.cfa_register, 10);
    ck_assert_int_eq(rule.cfa_offset, 16);
    close_image(&opened);
}
END_TEST

START_TEST(malformed_programs_have_no_rule)
{
    static const struct {
        uint8_t code[16];
        size_t size;
    } programs[] = {
        {{DW_CFA_restore_state}, 1},
        {{0x3f}, 1},
        {{DW_CFA_def_cfa, 99, 8}, 3},
        {{DW_CFA_def_cfa_expression, 0x7f, 0}, 3},
        {{DW_CFA_GNU_window_save}, 1}, /* arm64's and SPARC's, not x86-64's */
        {{DW_CFA_def_cfa_expression, 1, DW_OP_lit0, DW_CFA_def_cfa_offset, 8}, 5},
        {{DW_CFA_offset_extended_sf, 3, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xc0, 0x00},
         12},
    };
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        struct opened opened;
        struct rule rule = rule_of(programs[i].code, programs[i].size, "zR", &opened);
        ck_assert_msg(rule.kind == RULE_NONE, "program %zu", i);
        close_image(&opened);
    }
}
END_TEST

/* Memory whose every word holds its address plus one; nothing below 0x1000. */
static bool read_successor(void *context, uint64_t address, uint64_t *ret_value)
{
    (void)context;
    *ret_value = address + 1;
    return address >= 0x1000;
}

START_TEST(expressions)
{
    static const struct {
        uint8_t code[24];
        size_t size;
        uint64_t cfa;
    } cases[] = {
        {{DW_OP_breg7, 8}, 2, 0x7008},
        {{DW_OP_bregx, 7, 0x78}, 3, 0x6ff8},
        {{DW_OP_breg7, 0, DW_OP_deref}, 3, 0x7001},
        {{DW_OP_breg7, 0, DW_OP_deref_size, 1}, 4, 0x7001 & 0xff},
        /* A PLT entry: rsp + 8 + ((rip & 15) >= 11) * 8 */
        {{DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11, DW_OP_ge,
          DW_OP_lit3, DW_OP_shl, DW_OP_plus},
         11,
         0x7008 + 8},
        {{DW_OP_const1s, 0xff, DW_OP_const2u, 0, 0x80, DW_OP_plus}, 6, 0x7fff},
        {{DW_OP_const2s, 0xff, 0xff, DW_OP_neg, DW_OP_const4u, 0, 0, 1, 0, DW_OP_or}, 10, 0x10001},
        {{DW_OP_constu, 0x80, 0x80, 1, DW_OP_consts, 0x7f, DW_OP_minus}, 7, 0x4001},
        {{DW_OP_lit5, DW_OP_lit6, DW_OP_lit7, DW_OP_rot, DW_OP_drop, DW_OP_drop, DW_OP_lit12,
          DW_OP_shl},
         8,
         7 << 12},
        {{DW_OP_lit5, DW_OP_lit6, DW_OP_over, DW_OP_mul, DW_OP_swap, DW_OP_drop, DW_OP_lit10,
          DW_OP_shl},
         8,
         30 << 10},
        {{DW_OP_lit9, DW_OP_lit2, DW_OP_pick, 1, DW_OP_mod, DW_OP_plus, DW_OP_lit10, DW_OP_shl},
         8,
         11 << 10},
        {{DW_OP_lit1, DW_OP_bra, 3, 0, DW_OP_skip, 0xfc, 0xff, DW_OP_breg7, 0}, 9, 0x7000},
        {{DW_OP_breg7, 0, DW_OP_neg, DW_OP_abs, DW_OP_not, DW_OP_not, DW_OP_nop}, 7, 0x7000},
        {{DW_OP_breg7, 0, DW_OP_lit2, DW_OP_div, DW_OP_lit1, DW_OP_shra, DW_OP_plus_uconst, 4},
         8,
         0x1c04},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t code[32] = {DW_CFA_def_cfa_expression, (uint8_t)cases[i].size};
        memcpy(code + 2, cases[i].code, cases[i].size);
        struct opened opened;
        struct registers registers = {.known = 0x1ffff, .pc = 0x1234b};
        for (uint64_t r = 0; r < 17; r++)
            registers.value[r] = r << 12;
        registers.value[16] = 0x1234b;
        struct rule rule = rule_of(code, cases[i].size + 2, "zR", &opened);
        ck_assert_int_eq(rule.kind, RULE_EXPRESSION);
        ck_assert_msg(cfi_step_expression(opened.cfi, &rule, &registers, read_successor, NULL),
                      "case %zu", i);
        ck_assert_msg(registers.value[7] == cases[i].cfa, "case %zu: %#" PRIx64, i,
                      registers.value[7]);
        ck_assert_uint_eq(registers.pc, cases[i].cfa - 8 + 1);
        ck_assert_uint_eq(registers.value[3], 3 << 12); /* callee-saved: kept */
        ck_assert(!(registers.known & 1));              /* rax is not */
        close_image(&opened);
    }
}
END_TEST

START_TEST(expressions_that_fail_leave_the_registers)
{
    static const struct {
        uint8_t code[8];
        size_t size;
    } cases[] = {
        {{DW_OP_drop}, 1},
        {{DW_OP_lit1, DW_OP_lit0, DW_OP_div}, 3},
        {{DW_OP_lit1, DW_OP_lit0, DW_OP_mod}, 3},
        {{DW_OP_lit1, DW_OP_deref}, 2}, /* unreadable */
        {{DW_OP_skip, 0xfd, 0xff}, 3},  /* for ever */
        {{DW_OP_dup}, 1},
        {{DW_OP_lit0, DW_OP_dup, DW_OP_skip, 0xfc, 0xff}, 5}, /* the stack overflows */
        {{DW_OP_skip, 0, 0x80}, 3},                           /* out of the expression */
        {{DW_OP_breg0, 0}, 2},                                /* a register that is not known */
        {{DW_OP_addr, 1}, 2},
        {{DW_OP_const8u, 1}, 2},
        {{DW_OP_lit4, DW_OP_deref_size, 9}, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t code[16] = {DW_CFA_def_cfa_expression, (uint8_t)cases[i].size};
        memcpy(code + 2, cases[i].code, cases[i].size);
        struct opened opened;
        struct registers registers = {.known = 0x80, .value = {[7] = 0x7000}, .pc = 0x1234b};
        struct registers before = registers;
        struct rule rule = rule_of(code, cases[i].size + 2, "zR", &opened);
        ck_assert_int_eq(rule.kind, RULE_EXPRESSION);
        ck_assert_msg(!cfi_step_expression(opened.cfi, &rule, &registers, read_successor, NULL),
                      "case %zu", i);
        ck_assert_mem_eq(&registers, &before, sizeof before);
        close_image(&opened);
    }
}
END_TEST

/* libdw's answer in the form of a rule; RULE_NONE where it has none. */
struct oracle {
    Elf *elf;
    Dwarf_CFI *cfi;
};

static bool is_offset(const Dwarf_Op *ops, size_t count, int64_t *ret)
{
    if (count < 1 || count > 2 || ops[0].atom != DW_OP_call_frame_cfa ||
        (count == 2 && ops[1].atom != DW_OP_plus_uconst))
        return false;
    *ret = count == 2 ? (int64_t)ops[1].number : 0;
    return true;
}

static struct rule oracle_find(const struct oracle *oracle, const struct arch *arch,
                               uint64_t address)
{
    struct rule rule = {.kind = RULE_REGISTER};
    Dwarf_Frame *frame;
    Dwarf_Op *ops, memory[3];
    size_t count;
    bool signal;
    if (dwarf_cfi_addrframe(oracle->cfi, address, &frame))
        return (struct rule){.kind = RULE_NONE};
    /* Functions with a return column of their own have no short form. */
    if (dwarf_frame_info(frame, NULL, NULL, &signal) != arch->ra)
        rule.kind = RULE_EXPRESSION;
    rule.signal = signal;
    for (size_t i = arch->slots; i-- > 0;) {
        int64_t offset;
        ck_assert_int_eq(dwarf_frame_register(frame, arch->slot_register[i], memory, &ops, &count),
                         0);
        if (!count)
            rule.slot[i] = ops ? SLOT_UNDEFINED : SLOT_SAME;
        else if (is_offset(ops, count, &offset) && offset % 8 == 0)
            rule.slot[i] = (int16_t)(offset / 8);
        else
            rule.kind = RULE_EXPRESSION;
    }
    ck_assert_int_eq(dwarf_frame_cfa(frame, &ops, &count), 0);
    if (rule.slot[0] == SLOT_UNDEFINED)
        rule.kind = RULE_END;
    else if (count == 1 && ops->atom >= DW_OP_breg0 && ops->atom <= DW_OP_breg31) {
        rule.cfa_register = (uint8_t)(ops->atom - DW_OP_breg0);
        rule.cfa_offset = (int32_t)ops->number;
    } else if (count == 1 && ops->atom == DW_OP_bregx) {
        rule.cfa_register = (uint8_t)ops->number;
        rule.cfa_offset = (int32_t)ops->number2;
    } else {
        rule.kind = RULE_EXPRESSION;
    }
    free(frame);
    return rule;
}

static void check_equal(const struct rule *ours, const struct rule *truth, const struct arch *arch,
                        const char *path, uint64_t address)
{
    bool equal = ours->kind == truth->kind;
    if (equal && ours->kind == RULE_REGISTER) {
        equal = ours->cfa_register == truth->cfa_register &&
                ours->cfa_offset == truth->cfa_offset && ours->signal == truth->signal;
        /* libdw's table of x86-64's callee-saved registers names rax in place of rbx (its number
           is taken for 0), so that it takes an unchanged rbx for lost. */
        for (size_t i = 0; i < arch->slots; i++)
            equal &= ours->slot[i] == truth->slot[i] ||
                     (arch == &arch_x86_64 && arch->slot_register[i] == 3 &&
                      ours->slot[i] == SLOT_SAME && truth->slot[i] == SLOT_UNDEFINED);
    }
    ck_assert_msg(equal, "%s at %#" PRIx64 ": kind %d and %d, CFA %d%+d and %d%+d", path, address,
                  ours->kind, truth->kind, ours->cfa_register, ours->cfa_offset,
                  truth->cfa_register, truth->cfa_offset);
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* Returns how many addresses had a rule. */
static size_t compare_file(const char *path, size_t addresses)
{
    struct elf_file *file;
    struct error err;
    int fd = elf_open_regular(path);
    ck_assert_msg(fd >= 0 && !elf_file_open(fd, path, &file, &err), "%s", path);
    const struct arch *arch = file->machine == EM_AARCH64 ? &arch_arm64 : &arch_x86_64;
    struct cfi *cfi = cfi_new(file, arch);
    struct oracle oracle = {.elf = file->elf, .cfi = dwarf_getcfi_elf(file->elf)};
    ck_assert_msg(oracle.cfi, "%s: libdw finds no CFI", path);
    size_t found = 0;
    for (size_t i = 0; i < file->loads.count; i++) {
        const struct elf_load *load = &file->loads.items[i];
        for (size_t j = 0; load->executable && load->file_size && j < addresses; j++) {
            uint64_t address = load->vaddr + random_next() % load->file_size;
            struct rule truth = oracle_find(&oracle, arch, address);
            struct rule ours = cfi_find(cfi, address);
            bool behind = truth.kind == RULE_NONE; /* perhaps a little behind another's end */
            if (behind) {
                for (uint64_t back = 1; ours.kind != RULE_NONE && back <= 16; back++) {
                    truth = oracle_find(&oracle, arch, address - back);
                    if (truth.kind != RULE_NONE)
                        break;
                }
            }
            /* A restorer is known by CFI's mark for signal frames, or by its code without CFI. */
            if (ours.kind == RULE_SIGCONTEXT)
                ck_assert(truth.signal || behind);
            else
                check_equal(&ours, &truth, arch, path, address);
            found += ours.kind != RULE_NONE;
        }
    }
    dwarf_cfi_end(oracle.cfi);
    cfi_free(cfi);
    elf_file_free(file);
    printf("%s: %zu addresses with rules, all equal to libdw's\n", path, found);
    return found;
}

START_TEST(our_own_rules_are_libdws)
{
    ck_assert_uint_gt(compare_file("/proc/self/exe", 20000), 10000);
}
END_TEST

START_TEST(libc_rules_are_libdws)
{
    Dl_info info;
    ck_assert(dladdr((void *)(uintptr_t)gnu_get_libc_version, &info));
    ck_assert_uint_gt(compare_file(info.dli_fname, 30000), 20000);
}
END_TEST

/* Where a command is, by PATH and through links; false if it is not installed. */
static bool find_command(const char *name, char ret_path[PATH_MAX])
{
    char *path = strdup(getenv("PATH") ? getenv("PATH") : ""), *rest = path, candidate[PATH_MAX];
    bool found = false;
    for (char *folder; !found && (folder = strsep(&rest, ":"));) {
        snprintf(candidate, sizeof candidate, "%s/%s", folder, name);
        found = !access(candidate, X_OK) && realpath(candidate, ret_path);
    }
    free(path);
    return found;
}

START_TEST(node_rules_are_libdws)
{
    char path[PATH_MAX], library[PATH_MAX + 64];
    if (!find_command("node", path)) {
        printf("skipped: no node in PATH\n");
        return;
    }
    /* Debian's node is a small program around libnode.so. */
    FILE *maps = NULL;
    snprintf(library, sizeof library, "ldd '%s' | sed -n 's/.*libnode.* => \\([^ ]*\\).*/\\1/p'",
             path);
    maps = popen(library, "r");
    if (maps && fgets(library, sizeof library, maps) && library[0] == '/') {
        library[strcspn(library, "\n")] = '\0';
        ck_assert_ptr_nonnull(realpath(library, path));
    }
    if (maps)
        pclose(maps);
    ck_assert_uint_gt(compare_file(path, 40000), 20000);
}
END_TEST

START_TEST(arm64_rules_are_libdws)
{
    static const char libc[] = "/usr/aarch64-linux-gnu/lib/libc.so.6"; /* of the cross compiler */
    char path[PATH_MAX];
    const char *root = getenv("SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/data/arm64/stacks.elf", root ? root : ".");
    ck_assert_uint_gt(compare_file(path, 5000), 1000);
    if (access(libc, R_OK))
        printf("skipped: no %s\n", libc);
    else
        ck_assert_uint_gt(compare_file(libc, 30000), 20000);
}
END_TEST

UNIT_MAIN("cfi", rows_through_the_header_and_by_scan, padding_ends_the_last_row,
          debug_frame_covers_what_eh_frame_does_not, special_rules, malformed_programs_have_no_rule,
          expressions, expressions_that_fail_leave_the_registers, our_own_rules_are_libdws,
          libc_rules_are_libdws, arm64_rules_are_libdws, node_rules_are_libdws)
