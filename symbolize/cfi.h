/*
 * cfi.h - call-frame information: from an address to the rule that finds its caller.
 *
 * Reads .eh_frame through .eh_frame_hdr's binary search table, or through an index built by
 * one scan when there is no usable header, or .debug_frame when there is no .eh_frame. Only
 * the one FDE asked for is run (DWARF 5 §6.4; LSB 5 "Exception Frames"). Bounds on everything:
 * the tables come from the target. Knows nothing of processes.
 */
#ifndef MEMPROF_SYMBOLIZE_CFI_H
#define MEMPROF_SYMBOLIZE_CFI_H

#include "symbolize/arch.h"
#include "symbolize/elf_file.h"

#include <stdint.h>

enum rule_kind {
    RULE_NONE,       /* no CFI here: walk by the frame pointer */
    RULE_END,        /* the return address is undefined: the outermost frame */
    RULE_REGISTER,   /* CFA = register + offset, saved registers at CFA + 8 × slot */
    RULE_EXPRESSION, /* anything else: evaluated from the FDE's row each time */
    RULE_SIGCONTEXT, /* a signal's restorer: the kernel's frame holds all registers */
    RULE_INVALID     /* the pc is in no executable mapping */
};

enum {
    SLOT_SAME = INT16_MIN, /* the register keeps its value */
    SLOT_UNDEFINED = INT16_MIN + 1
};

/* 32 bytes; equal rules of all modules are one entry of a dictionary. */
struct rule {
    uint8_t kind;         /* enum rule_kind */
    uint8_t cfa_register; /* DWARF number */
    uint8_t signal;       /* a signal frame: the caller's pc is exact, not a return address */
    uint8_t unused;
    int32_t cfa_offset; /* bytes; RULE_EXPRESSION: index of the row in the cfi */
    int16_t slot[ARCH_SLOTS];
};

struct cfi;

/* Never fails: a file without usable tables gives a cfi whose every rule is RULE_NONE. */
struct cfi *cfi_new(struct elf_file *file, const struct arch *arch);
void cfi_free(struct cfi *cfi);
/* The rule at an address in the module. */
struct rule cfi_find(struct cfi *cfi, uint64_t address);

/* How RULE_EXPRESSION reads the target's memory; false when the address is not in the copy. */
typedef bool (*cfi_read_fn)(void *context, uint64_t address, uint64_t *ret_value);
/*
 * Steps one frame by a RULE_EXPRESSION rule: *registers becomes the caller's. False if
 * something could not be read or evaluated; *registers is then unchanged.
 */
bool cfi_step_expression(const struct cfi *cfi, const struct rule *rule,
                         struct registers *registers, cfi_read_fn read, void *context);
/* False only if the file's code shows that no call ends at the address. */
bool cfi_follows_call(const struct cfi *cfi, uint64_t address);

#endif
