#include "symbolize/disasm.h"

#include "symbolize/elf_file.h"
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <elf.h>
#include <gnu/libc-version.h>
#include <string.h>

/* Disassembles all of some code; the texts, each followed by "\n". */
static char *texts(uint16_t machine, bool intel, const uint8_t *code, size_t size)
{
    struct disasm *disasm;
    struct error err;
    char *all = xstrdup("");
    ck_assert_msg(!disasm_new(machine, intel, &disasm, &err), "%s", err.text);
    for (size_t offset = 0; offset < size;) {
        struct instruction instruction =
            disasm_next(disasm, code + offset, size - offset, 0x1000 + offset);
        ck_assert_uint_eq(instruction.address, 0x1000 + offset);
        ck_assert_uint_gt(instruction.size, 0);
        ck_assert_uint_le(instruction.size, size - offset);
        offset += instruction.size;
        char *longer = instruction.has_target ? xasprintf("%s%s -> %lx\n", all, instruction.text,
                                                          (long)instruction.target)
                                              : xasprintf("%s%s\n", all, instruction.text);
        free(all);
        all = longer;
    }
    disasm_free(disasm);
    return all;
}

static const uint8_t x86_code[] = {
    0xf3, 0x0f, 0x1e, 0xfa,                   /* endbr64 */
    0x48, 0x8b, 0x45, 0xf8,                   /* mov -8(%rbp), %rax */
    0xe8, 0x01, 0x00, 0x00, 0x00,             /* call 0x100e */
    0x74, 0x02,                               /* je 0x1011 */
    0xff, 0xe0,                               /* jmp *%rax */
    0x62, 0xe1, 0xfe, 0x28, 0x6f, 0x06, 0xc3, /* vmovdqu64 (%rsi), %ymm16; ret */
};

START_TEST(x86_in_both_syntaxes)
{
    _cleanup_free_ char *att = texts(EM_X86_64, false, x86_code, sizeof x86_code);
    ck_assert_str_eq(att, "endbr64\nmovq -8(%rbp), %rax\ncallq 0x100e -> 100e\n"
                          "je 0x1011 -> 1011\njmpq *%rax\nvmovdqu64 (%rsi), %ymm16\nretq\n");
    _cleanup_free_ char *intel = texts(EM_X86_64, true, x86_code, 8);
    ck_assert_str_eq(intel, "endbr64\nmov rax, qword ptr [rbp - 8]\n");
}
END_TEST

START_TEST(arm64)
{
    static const uint32_t words[] = {
        0x94000002, /* bl 0x1008 */
        0xb4000040, /* cbz x0, 0x100c */
        0x36000040, /* tbz w0, 0, 0x1010 */
        0xf9400fe0, /* ldr x0, [sp, 24] */
        0xd63f0000, /* blr x0 */
        0xd65f03c0, /* ret */
    };
    _cleanup_free_ char *all = texts(EM_AARCH64, false, (const uint8_t *)words, sizeof words);
    ck_assert_str_eq(all, "bl #0x1008 -> 1008\ncbz x0, #0x100c -> 100c\n"
                          "tbz w0, #0, #0x1010 -> 1010\nldr x0, [sp, #0x18]\nblr x0\nret\n");
}
END_TEST

START_TEST(what_is_no_code)
{
    /* An opcode that 64-bit mode has not, and one that is cut off. */
    static const uint8_t x86[] = {0x06, 0x90, 0x48, 0x8b};
    _cleanup_free_ char *of_x86 = texts(EM_X86_64, false, x86, sizeof x86);
    ck_assert_str_eq(of_x86, "(bad)\nnop\n(bad)\n(bad)\n");
    static const uint8_t arm64_code[] = {0xff, 0xff, 0xff, 0xff, 0x1f,
                                         0x20, 0x03, 0xd5, 0x1f, 0x20};
    _cleanup_free_ char *of_arm64 = texts(EM_AARCH64, false, arm64_code, sizeof arm64_code);
    ck_assert_str_eq(of_arm64, "(bad)\nnop\n(bad)\n");
    struct disasm *disasm = NULL;
    struct error err;
    ck_assert_int_eq(disasm_new(EM_RISCV, false, &disasm, &err), -1);
    ck_assert_int_eq(err.code, ERROR_UNSUPPORTED);
    ck_assert_ptr_null(disasm);
}
END_TEST

/* All code of a real program decodes. */
START_TEST(a_program_for_arm64)
{
    _cleanup_free_ char *path = xasprintf("%s/tests/data/arm64/stacks.elf", getenv("SOURCE_ROOT"));
    struct elf_file *elf;
    struct error err;
    ck_assert_msg(!elf_file_open(elf_open_regular(path), path, &elf, &err), "%s", err.text);
    struct elf_section text;
    ck_assert(elf_file_section(elf, ".text", &text));
    ck_assert_ptr_eq(elf_file_code(elf, text.vaddr, text.size), text.data);
    _cleanup_free_ char *all = texts(elf->machine, false, text.data, text.size);
    size_t lines = 0;
    for (const char *at = all; (at = strchr(at, '\n')); at++)
        lines++;
    ck_assert_uint_eq(lines, text.size / 4);
    ck_assert_ptr_nonnull(strstr(all, "\nret\n"));
    /* Words of zeros fill the room between functions; all else is code. */
    size_t bad = 0, zeros = 0;
    for (const char *at = all; (at = strstr(at, "(bad)")); at++)
        bad++;
    for (size_t i = 0; i < text.size; i += 4)
        zeros += !memcmp(text.data + i, "\0\0\0", 4);
    ck_assert_uint_eq(bad, zeros);
    elf_file_free(elf);
}
END_TEST

/* Lengths of what old versions of the library don't know, between instructions that they do. */
START_TEST(avx512_is_stepped_over)
{
    static const uint8_t code[] = {
        0x62, 0xb3, 0x7d, 0x20, 0x3f, 0x07, 0x00,       /* vpcmpeqb (%rdi), %ymm16, %k0 */
        0x90,                                           /* nop */
        0x62, 0xf2, 0x76, 0x49, 0x26, 0x64, 0x24, 0x01, /* vptestnmb 64(%rsp), … */
        0x90,                                           /* nop */
        0x62, 0xf3, 0x7d, 0x20, 0x3f, 0x05, 1,    0,    0, 0, 0x00, /* vpcmpeqb 1(%rip), … */
        0x90,                                                       /* nop */
        0xc5, 0xf8, 0x77, 0x90,                                     /* vzeroupper; nop */
    };
    static const uint8_t starts[] = {0, 7, 8, 16, 17, 28, 29, 32};
    struct disasm *disasm;
    struct error err;
    ck_assert(!disasm_new(EM_X86_64, false, &disasm, &err));
    size_t offset = 0;
    for (size_t i = 0; i < sizeof starts; i++) {
        ck_assert_uint_eq(offset, starts[i]);
        struct instruction instruction =
            disasm_next(disasm, code + offset, sizeof code - offset, offset);
        ck_assert_str_ne(instruction.text, "(bad)");
        if (code[offset] == 0x90)
            ck_assert_str_eq(instruction.text, "nop");
        /* Cut off anywhere it is not read past its end. */
        for (size_t size = 1; size < instruction.size; size++) {
            _cleanup_free_ uint8_t *part = xmalloc(size);
            memcpy(part, code + offset, size);
            ck_assert_uint_le(disasm_next(disasm, part, size, offset).size, size);
        }
        offset += instruction.size;
    }
    ck_assert_uint_eq(offset, sizeof code);
    disasm_free(disasm);
}
END_TEST

/* The oracle is objdump, on the libc that this program uses. */
START_TEST(instructions_begin_where_objdump_says)
{
    Dl_info libc;
    struct elf_file *elf;
    struct elf_section text;
    struct disasm *disasm;
    struct error err;
    ck_assert_int_ne(dladdr((const void *)(uintptr_t)&gnu_get_libc_version, &libc), 0);
    ck_assert_msg(!elf_file_open(elf_open_regular(libc.dli_fname), "libc", &elf, &err), "%s",
                  err.text);
    ck_assert(elf_file_section(elf, ".text", &text));
    ck_assert(!disasm_new(elf->machine, false, &disasm, &err));
    _cleanup_free_ bool *starts = xcalloc(text.size, sizeof *starts);
    for (size_t offset = 0; offset < text.size;) {
        starts[offset] = true;
        offset += disasm_next(disasm, text.data + offset, text.size - offset, offset).size;
    }
    _cleanup_free_ char *command =
        xasprintf("objdump -d -j .text --no-show-raw-insn '%s'", libc.dli_fname);
    FILE *objdump = popen(command, "r");
    ck_assert_ptr_nonnull(objdump);
    size_t all = 0, missed = 0;
    for (char line[4096]; fgets(line, sizeof line, objdump);) {
        char *end;
        uint64_t address = strtoull(line, &end, 16);
        if (*line != ' ' || *end != ':' || address - text.vaddr >= text.size)
            continue;
        all++;
        missed += !starts[address - text.vaddr];
    }
    ck_assert_int_eq(pclose(objdump), 0);
    ck_assert_uint_gt(all, 100000);
    ck_assert_msg(missed < all / 10000, "%zu of %zu", missed, all);
    disasm_free(disasm);
    elf_file_free(elf);
}
END_TEST

UNIT_MAIN("disasm", avx512_is_stepped_over, instructions_begin_where_objdump_says,
          x86_in_both_syntaxes, arm64, what_is_no_code, a_program_for_arm64)
