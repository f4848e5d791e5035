/*
 * disasm.c - libcapstone behind one function.
 *
 * capstone decodes hostile bytes, so it is given no more of them than one instruction can have,
 * and what it says of sizes is checked. Its SKIPDATA mode, which steps over undecodable bytes by
 * itself, gives no operands and is not used.
 *
 * capstone 4 knows only part of AVX-512, which libc's string functions are made of. The length of
 * such an instruction is in its fields, so that those behind it are right; it is shown as bytes.
 */
#include "symbolize/disasm.h"

#include "core/alloc.h"

#include <capstone/capstone.h>
#include <elf.h>

enum { LONGEST_X86 = 15, WORD_ARM64 = 4 };
enum { VEX2 = 0xc5, VEX3 = 0xc4, EVEX = 0x62 }; /* the first bytes of prefixes */

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

/* Bytes behind ModRM that say where the operand in memory is: SIB and displacement. */
static size_t operand_bytes(const uint8_t *modrm, size_t size)
{
    unsigned mode = modrm[0] >> 6, register_or_memory = modrm[0] & 7;
    if (mode == 3)
        return 0;
    size_t sib = register_or_memory == 4;
    bool based = sib ? size > 1 && (modrm[1] & 7) != 5 : register_or_memory != 5;
    if (mode == 0)
        return sib + (based ? 0 : 4);
    return sib + (mode == 1 ? 1 : 4);
}

static bool has_immediate(unsigned map, uint8_t opcode)
{
    if (map != 1)
        return map == 3;
    return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 ||
           (opcode >= 0xc4 && opcode <= 0xc6);
}

/*
 * The length of an instruction with a VEX or EVEX prefix (Intel SDM, volume 2, 2.3 and 2.7); 0 for
 * others and for one that is cut off.
 */
static size_t vector_length(const uint8_t *code, size_t size)
{
    size_t prefix = *code == VEX2 ? 2 : *code == VEX3 ? 3 : *code == EVEX ? 4 : 0;
    if (!prefix || size < prefix + 2)
        return 0;
    unsigned map = *code == VEX2 ? 1 : code[1] & (*code == VEX3 ? 0x1f : 0x07);
    uint8_t opcode = code[prefix];
    if (!map || (map == 1 && opcode == 0x77)) /* vzeroupper has no ModRM */
        return map ? prefix + 1 : 0;
    size_t length = prefix + 2 + operand_bytes(code + prefix + 1, size - prefix - 1) +
                    has_immediate(map, opcode);
    return length <= size ? length : 0;
}

/* What capstone can't decode: its bytes if their number is known, else one unit. */
static struct instruction undecoded(struct disasm *disasm, const uint8_t *code, size_t size,
                                    uint64_t address)
{
    size_t unit = disasm->x86 ? 1 : WORD_ARM64;
    size_t length = disasm->x86 ? vector_length(code, size) : 0, used = 0;
    struct instruction instruction = {
        .address = address, .size = (uint8_t)(size < unit ? size : unit), .text = "(bad)"};
    if (!length)
        return instruction;
    for (size_t i = 0; i < length; i++)
        used += (size_t)snprintf(disasm->text + used, sizeof disasm->text - used, "%s0x%02x",
                                 i ? ", " : ".byte ", code[i]);
    instruction.size = (uint8_t)length;
    instruction.text = disasm->text;
    return instruction;
}

struct instruction disasm_next(struct disasm *disasm, const uint8_t *code, size_t size,
                               uint64_t address)
{
    size_t longest = disasm->x86 ? LONGEST_X86 : WORD_ARM64;
    size_t left = size < longest ? size : longest;
    const uint8_t *at = code;
    uint64_t next = address;
    cs_insn *decoded = disasm->instruction;
    if (!decoded || !cs_disasm_iter(disasm->handle, &at, &left, &next, decoded) || !decoded->size ||
        decoded->size > size)
        return undecoded(disasm, code, size, address);
    snprintf(disasm->text, sizeof disasm->text, "%s%s%s", decoded->mnemonic,
             *decoded->op_str ? " " : "", decoded->op_str);
    struct instruction instruction = {
        .address = address, .size = (uint8_t)decoded->size, .text = disasm->text};
    instruction.has_target = find_target(disasm, &instruction.target);
    return instruction;
}
