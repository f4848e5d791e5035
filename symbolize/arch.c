/*
 * arch.c - the two machines, as tables.
 *
 * perf's register order is not DWARF's: arch/x86/include/uapi/asm/perf_regs.h counts
 * ax bx cx dx si di bp sp ip … r8-r15, arch/arm64 counts x0-x29 lr sp pc. The sigcontext
 * layouts are the kernel's ABI: ucontext's gregs on x86-64, and struct sigcontext behind a
 * siginfo of 128 bytes on arm64.
 */
#include "symbolize/arch.h"

#include <elf.h>
#include <string.h>

const struct arch arch_x86_64 = {
    .machine = EM_X86_64,
    .name = "x86_64",
    .registers = 17,
    .sp = 7,
    .fp = 6,
    .ra = 16,
    .slots = 7,
    .slot_register = {16, 6, 3, 12, 13, 14, 15},
    .ra_in_register = false,
    .address_mask = UINT64_MAX,
    .perf_mask = 0xff01ff,
    .perf_count = 17,
    .perf_register = {0, 3, 2, 1, 4, 5, 6, 7, ARCH_PC, 8, 9, 10, 11, 12, 13, 14, 15},
    .sigcontext_offset = 40,
    .sigcontext_count = 17,
    .sigcontext_register = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, ARCH_PC},
    .sigcontext_always = false,
    .sigreturn_size = 9, /* mov $15,%rax; syscall */
    .sigreturn_code = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05},
};

const struct arch arch_arm64 = {
    .machine = EM_AARCH64,
    .name = "arm64",
    .registers = 32,
    .sp = 31,
    .fp = 29,
    .ra = 30,
    .slots = 12,
    .slot_register = {30, 29, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28},
    .ra_in_register = true,
    /* User addresses have at most 48 bits unless asked for by hint; PAC and tags lie above. */
    .address_mask = ((uint64_t)1 << 48) - 1,
    .perf_mask = 0x1ffffffff,
    .perf_count = 33,
    .perf_register = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,     16,
                      17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, ARCH_PC},
    .sigcontext_offset = 312,
    .sigcontext_count = 33,
    .sigcontext_register = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,     16,
                            17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, ARCH_PC},
    .sigcontext_always = true,
    .sigreturn_size = 8, /* mov x8, #139; svc #0 */
    .sigreturn_code = {0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4},
};

const struct arch *arch_host(void)
{
#if defined __x86_64__
    return &arch_x86_64;
#elif defined __aarch64__
    return &arch_arm64;
#else
#error "memprof unwinds x86-64 and arm64 only"
#endif
}

void arch_registers_from_perf(const struct arch *arch, const uint64_t *values,
                              struct registers *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < arch->perf_count; i++) {
        uint8_t number = arch->perf_register[i];
        if (number == ARCH_PC) {
            ret->pc = values[i];
        } else {
            ret->value[number] = values[i];
            ret->known |= (uint64_t)1 << number;
        }
    }
}

/* call rel32, or FF /2 with every addressing mode, which is 2 to 7 bytes before a REX prefix. */
static bool is_call_x86_64(const uint8_t *end)
{
    if (end[-5] == 0xe8)
        return true;
    for (int length = 2; length <= 7; length++) {
        const uint8_t *code = end - length;
        if (code[0] != 0xff || (code[1] >> 3 & 7) != 2)
            continue;
        int mode = code[1] >> 6, base = code[1] & 7, needed = 2;
        if (mode == 3) {
            needed = 2;
        } else if (base == 4) {
            needed = mode == 0 && length > 2 && (code[2] & 7) == 5 ? 7 : 3;
        } else if (mode == 0 && base == 5) {
            needed = 6;
        }
        needed += mode == 1 ? 1 : mode == 2 ? 4 : 0;
        if (needed == length)
            return true;
    }
    return false;
}

/* BL, BLR, and BLRAA, BLRAB, BLRAAZ, BLRABZ. */
static bool is_call_arm64(const uint8_t *end)
{
    uint32_t code = (uint32_t)end[-4] | (uint32_t)end[-3] << 8 | (uint32_t)end[-2] << 16 |
                    (uint32_t)end[-1] << 24;
    return (code & 0xfc000000) == 0x94000000 || (code & 0xfffffc1f) == 0xd63f0000 ||
           (code & 0xfffff81f) == 0xd63f081f || (code & 0xfffff800) == 0xd73f0800;
}

bool arch_is_call(const struct arch *arch, const uint8_t before[ARCH_CALL_BYTES])
{
    const uint8_t *end = before + ARCH_CALL_BYTES;
    return arch->machine == EM_AARCH64 ? is_call_arm64(end) : is_call_x86_64(end);
}

bool arch_is_padding(const struct arch *arch, const uint8_t code[4])
{
    if (arch->machine == EM_AARCH64) {
        static const uint8_t nop[4] = {0x1f, 0x20, 0x03, 0xd5}, zero[4];
        return !memcmp(code, nop, 4) || !memcmp(code, zero, 4);
    }
    /* nop, int3, zeros, and the long nops, which begin with 66 or 0f 1f. */
    return code[0] == 0x90 || code[0] == 0xcc || code[0] == 0x00 || code[0] == 0x66 ||
           (code[0] == 0x0f && code[1] == 0x1f);
}
