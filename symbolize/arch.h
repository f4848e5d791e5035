/*
 * arch.h - what the unwinder must know of an instruction set: its registers and its habits.
 *
 * Everything is chosen at run time by a `const struct arch *`, so stored arm64 samples unwind
 * on an x86-64 host (the tests do that). Register numbers are DWARF's (System V psABI x86-64
 * §3.6.2; DWARF for the Arm 64-bit Architecture, AADWARF64).
 */
#ifndef MEMPROF_SYMBOLIZE_ARCH_H
#define MEMPROF_SYMBOLIZE_ARCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ARCH_REGISTERS = 33,
    ARCH_SLOTS = 12,
    ARCH_PC = 254, /* stands for the pc in lists of DWARF numbers */
    ARCH_CALL_BYTES = 8,
    ARCH_SIGRETURN_BYTES = 9
};

/* The registers of one frame, by DWARF number; `known` has a bit for each that holds a value. */
struct registers {
    uint64_t value[ARCH_REGISTERS];
    uint64_t known;
    uint64_t pc;
};

struct arch {
    uint16_t machine; /* EM_X86_64, EM_AARCH64 */
    const char *name;
    uint8_t registers;  /* columns that exist */
    uint8_t sp, fp, ra; /* DWARF numbers; ra is the return-address column */
    uint8_t slots;      /* callee-saved registers that a rule tracks, ra first */
    uint8_t slot_register[ARCH_SLOTS];
    bool ra_in_register;   /* the leaf's return address is in `ra` (arm64's x30) */
    uint64_t address_mask; /* takes pointer-authentication bits off a return address */
    uint64_t perf_mask;    /* sample_regs_user */
    uint8_t perf_count;
    /* DWARF number of the n-th register perf delivers (mask bit order), or ARCH_PC. */
    uint8_t perf_register[ARCH_REGISTERS + 1];
    /*
     * Where rt_sigreturn finds the interrupted registers: bytes above sp while the restorer
     * runs, and their DWARF numbers in memory order (ARCH_PC: the pc). Restorers without CFI
     * are known by their instructions.
     */
    uint16_t sigcontext_offset;
    uint8_t sigcontext_count;
    uint8_t sigcontext_register[ARCH_REGISTERS];
    bool sigcontext_always; /* CFI of restorers leads to the caller's x30, not to the pc */
    uint8_t sigreturn_size;
    uint8_t sigreturn_code[ARCH_SIGRETURN_BYTES];
};

extern const struct arch arch_x86_64, arch_arm64;

/* The machine that memprof runs on. */
const struct arch *arch_host(void);

/* Fills *ret from the array that perf copied (perf_count values, in mask order). */
void arch_registers_from_perf(const struct arch *arch, const uint64_t *values,
                              struct registers *ret);

/* True if the instruction that ends where `before` ends can be a call (`before` precedes pc). */
bool arch_is_call(const struct arch *arch, const uint8_t before[ARCH_CALL_BYTES]);
/* True if what begins here fills the room between two functions. */
bool arch_is_padding(const struct arch *arch, const uint8_t code[4]);

#endif
