/*
 * disasm.c - libcapstone behind one function.
 *
 * capstone decodes hostile bytes, so it is given no more of them than one instruction can have,
 * and what it says of sizes is checked. Its SKIPDATA mode, which steps over undecodable bytes by
 * itself, gives no operands and is not used.
 */
#include "symbolize/disasm.h"

#include "core/alloc.h"

#include <capstone/capstone.h>
#include <elf.h>

enum { LONGEST_X86 = 15, WORD_ARM64 = 4 };

struct disasm {
    csh handle;
    bool x86;
    cs_insn *instruction;
    char text[sizeof((cs_insn *)0)->mnemonic + sizeof((cs_insn *)0)->op_str + 1];
};

int disasm_new(uint16_t machine, bool intel, struct disasm **ret_disasm, struct error *err)
{
    if (machine != EM_X86_64 && machine != EM_AARCH64)
        return error_set(err, ERROR_UNSUPPORTED, "no disassembler for ELF machine %u", machine);
    bool x86 = machine == EM_X86_64;
    csh handle;
    cs_err failed =
        cs_open(x86 ? CS_ARCH_X86 : CS_ARCH_ARM64, x86 ? CS_MODE_64 : CS_MODE_ARM, &handle);
    if (failed != CS_ERR_OK)
        return error_set(err, ERROR_UNSUPPORTED, "cannot disassemble: libcapstone: %s",
                         cs_strerror(failed));
    cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
    if (x86 && !intel)
        cs_option(handle, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    struct disasm *disasm = xcalloc(1, sizeof *disasm);
    disasm->handle = handle;
    disasm->x86 = x86;
    disasm->instruction = cs_malloc(handle);
    *ret_disasm = disasm;
    return 0;
}

void disasm_free(struct disasm *disasm)
{
    if (!disasm)
        return;
    if (disasm->instruction)
        cs_free(disasm->instruction, 1);
    cs_close(&disasm->handle);
    free(disasm);
}

/* The last operand of a relative jump or call, whatever it tests, is where it goes. */
static bool find_target(const struct disasm *disasm, uint64_t *ret_target)
{
    const cs_detail *detail = disasm->instruction->detail;
    if (!cs_insn_group(disasm->handle, disasm->instruction, CS_GRP_BRANCH_RELATIVE))
        return false;
    if (disasm->x86) {
        const cs_x86 *x86 = &detail->x86;
        if (!x86->op_count || x86->operands[x86->op_count - 1].type != X86_OP_IMM)
            return false;
        *ret_target = (uint64_t)x86->operands[x86->op_count - 1].imm;
    } else {
        const cs_arm64 *arm64 = &detail->arm64;
        if (!arm64->op_count || arm64->operands[arm64->op_count - 1].type != ARM64_OP_IMM)
            return false;
        *ret_target = (uint64_t)arm64->operands[arm64->op_count - 1].imm;
    }
    return true;
}

struct instruction disasm_next(struct disasm *disasm, const uint8_t *code, size_t size,
                               uint64_t address)
{
    size_t unit = disasm->x86 ? 1 : WORD_ARM64;
    size_t longest = disasm->x86 ? LONGEST_X86 : WORD_ARM64;
    struct instruction instruction = {
        .address = address, .size = (uint8_t)(size < unit ? size : unit), .text = "(bad)"};
    size_t left = size < longest ? size : longest;
    cs_insn *decoded = disasm->instruction;
    if (!decoded || !cs_disasm_iter(disasm->handle, &code, &left, &address, decoded) ||
        !decoded->size || decoded->size > size)
        return instruction;
    snprintf(disasm->text, sizeof disasm->text, "%s%s%s", decoded->mnemonic,
             *decoded->op_str ? " " : "", decoded->op_str);
    instruction.size = (uint8_t)decoded->size;
    instruction.text = disasm->text;
    instruction.has_target = find_target(disasm, &instruction.target);
    return instruction;
}
