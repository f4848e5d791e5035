/*
 * fuzz_disasm.c - code of a hostile file. The first byte chooses the machine and the syntax.
 */
#include "symbolize/disasm.h"

#include <elf.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct disasm *disasm;
    struct error err;
    if (!size || disasm_new(*data & 1 ? EM_AARCH64 : EM_X86_64, *data & 2, &disasm, &err))
        return 0;
    for (size_t offset = 1; offset < size;) {
        struct instruction instruction =
            disasm_next(disasm, data + offset, size - offset, 0x400000 + offset);
        if (!instruction.size || instruction.size > size - offset || !strlen(instruction.text))
            __builtin_trap();
        offset += instruction.size;
    }
    disasm_free(disasm);
    return 0;
}
