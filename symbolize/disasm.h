/*
 * disasm.h - machine code of x86-64 and arm64 as text, one instruction at a time.
 *
 * Knows nothing of modules or symbols: whoever has a name for a jump's target adds it.
 */
#ifndef MEMPROF_SYMBOLIZE_DISASM_H
#define MEMPROF_SYMBOLIZE_DISASM_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct instruction {
    uint64_t address;
    uint8_t size;    /* bytes */
    bool has_target; /* a jump or call to a fixed address: */
    uint64_t target;
    const char *text; /* "(bad)" for what is no instruction; valid until the next call */
};

struct disasm;

/*
 * For code of a machine (EM_X86_64 or EM_AARCH64; ERROR_UNSUPPORTED for others). `intel` chooses
 * Intel's syntax for x86-64 in place of AT&T's. The caller frees it.
 */
int disasm_new(uint16_t machine, bool intel, struct disasm **ret_disasm, struct error *err);
void disasm_free(struct disasm *disasm);
/*
 * The instruction at the beginning of `code`, which lies at `address`; `size` bytes are left, at
 * least one. What can't be decoded is one byte, or one word on arm64, as "(bad)"; an instruction
 * that the library is too old for is ".byte 0x62, …", with all its bytes.
 */
struct instruction disasm_next(struct disasm *disasm, const uint8_t *code, size_t size,
                               uint64_t address);

#endif
