/*
 * stack_op.c - libcapstone's details, reduced to the little that frames depend on.
 *
 * Whatever is not known exactly ends up in `writes`, so that an instruction which is missing here
 * costs knowledge and does not make it false. libcapstone 4 leaves out some accesses: a first
 * operand counts as written, too, unless the instruction is one of those that only read it.
 */
#include "symbolize/stack_op.h"

#include "core/alloc.h"

#include <capstone/capstone.h>

enum { LONGEST_X86 = 15, OPERAND_SIZE_PREFIX = 0x66 };

struct stack_decoder {
    csh handle;
    cs_insn *instruction;
};

/* The number + 1 of the register that each name is a part of; 0: no general register. */
#define OLD(letter, number)                                                   \
    [X86_REG_R##letter##X] = number + 1, [X86_REG_E##letter##X] = number + 1, \
    [X86_REG_##letter##X] = number + 1, [X86_REG_##letter##H] = number + 1,   \
    [X86_REG_##letter##L] = number + 1
#define INDEX(name, number)                                                                        \
    [X86_REG_R##name] = number + 1, [X86_REG_E##name] = number + 1, [X86_REG_##name] = number + 1, \
    [X86_REG_##name##L] = number + 1
#define NEW(number)                                                        \
    [X86_REG_R##number] = number + 1, [X86_REG_R##number##D] = number + 1, \
    [X86_REG_R##number##W] = number + 1, [X86_REG_R##number##B] = number + 1
static const uint8_t register_numbers[X86_REG_ENDING] = {
    OLD(A, 0),    OLD(D, 1),    OLD(C, 2), OLD(B, 3), INDEX(SI, 4), INDEX(DI, 5),
    INDEX(BP, 6), INDEX(SP, 7), NEW(8),    NEW(9),    NEW(10),      NEW(11),
    NEW(12),      NEW(13),      NEW(14),   NEW(15)};
#undef OLD
#undef INDEX
#undef NEW

struct stack_decoder *stack_decoder_new(void)
{
    csh handle;
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
        return NULL;
    cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
    struct stack_decoder *decoder = xcalloc(1, sizeof *decoder);
    decoder->handle = handle;
    decoder->instruction = cs_malloc(handle);
    if (!decoder->instruction) {
        stack_decoder_free(decoder);
        return NULL;
    }
    return decoder;
}

void stack_decoder_free(struct stack_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->instruction)
        cs_free(decoder->instruction, 1);
    cs_close(&decoder->handle);
    free(decoder);
}

static uint8_t number_of(unsigned reg)
{
    return reg < X86_REG_ENDING && register_numbers[reg] ? (uint8_t)(register_numbers[reg] - 1)
                                                         : (uint8_t)STACK_OP_NO_REGISTER;
}

static bool is_frame_register(uint8_t number)
{
    return number == STACK_OP_SP || number == STACK_OP_FP;
}

/* A whole general register. */
static bool is_register(const cs_x86_op *operand, uint8_t *ret_number)
{
    *ret_number = operand->type == X86_OP_REG ? number_of(operand->reg) : STACK_OP_NO_REGISTER;
    return *ret_number != STACK_OP_NO_REGISTER && operand->size == 8;
}

/* Memory at sp or fp; `exact`: by a constant. */
static bool is_on_stack(const cs_x86_op *operand, uint8_t *ret_base, bool *ret_exact)
{
    const x86_op_mem *memory = &operand->mem;
    if (operand->type != X86_OP_MEM)
        return false;
    uint8_t base = number_of(memory->base), index = number_of(memory->index);
    *ret_base = is_frame_register(base) ? base : index;
    *ret_exact = *ret_base == base && memory->index == X86_REG_INVALID &&
                 memory->segment == X86_REG_INVALID && memory->disp == (int32_t)memory->disp;
    return is_frame_register(*ret_base);
}

static bool only_reads_operand(unsigned id)
{
    switch (id) {
    case X86_INS_CMP:
    case X86_INS_TEST:
    case X86_INS_BT:
    case X86_INS_PUSH:
    case X86_INS_CALL:
    case X86_INS_JMP:
    case X86_INS_NOP:
        return true;
    default:
        return false;
    }
}

static uint16_t registers_written(const struct stack_decoder *decoder)
{
    const cs_insn *instruction = decoder->instruction;
    const cs_x86 *x86 = &instruction->detail->x86;
    cs_regs read, written;
    uint8_t read_count = 0, count = 0, number;
    unsigned mask = 0;
    if (cs_regs_access(decoder->handle, instruction, read, &read_count, written, &count) !=
        CS_ERR_OK)
        return UINT16_MAX;
    for (uint8_t i = 0; i < count; i++) {
        number = number_of(written[i]);
        if (number != STACK_OP_NO_REGISTER)
            mask |= 1U << number;
    }
    if (x86->op_count && !only_reads_operand(instruction->id)) {
        is_register(&x86->operands[0], &number);
        if (number != STACK_OP_NO_REGISTER)
            mask |= 1U << number;
    }
    return (uint16_t)mask;
}

/* Sets the kind to a store if a written operand lies on the stack. */
static void find_store(const cs_insn *instruction, struct stack_op *op)
{
    const cs_x86 *x86 = &instruction->detail->x86;
    for (uint8_t i = 0; i < x86->op_count; i++) {
        const cs_x86_op *operand = &x86->operands[i];
        bool exact, written = operand->access & CS_AC_WRITE ||
                              (i == 0 && !only_reads_operand(instruction->id));
        uint8_t base;
        if (!written || !is_on_stack(operand, &base, &exact))
            continue;
        op->kind = exact ? STACK_OP_STORE : STACK_OP_SCATTER;
        op->base = base;
        op->offset = exact ? (int32_t)operand->mem.disp : 0;
        op->stored = operand->size;
        return;
    }
}

/* What the kind describes is no longer in `writes`. */
static void set_described(struct stack_op *op, enum stack_op_kind kind, uint8_t reg)
{
    op->kind = (uint8_t)kind;
    op->reg = reg;
    if (kind != STACK_OP_ADDRESS && kind != STACK_OP_LOAD)
        op->writes &= (uint16_t) ~(1U << STACK_OP_SP);
    if (kind != STACK_OP_PUSH && reg != STACK_OP_NO_REGISTER)
        op->writes &= (uint16_t) ~(1U << reg);
}

static void decode_push_or_pop(const cs_x86 *x86, bool push, struct stack_op *op)
{
    uint8_t number = STACK_OP_NO_REGISTER;
    bool whole = !x86->op_count || is_register(&x86->operands[0], &number);
    if (x86->prefix[2] == OPERAND_SIZE_PREFIX || (!push && (!whole || number == STACK_OP_SP)))
        op->writes |= 1U << STACK_OP_SP; /* another width, or to who knows where */
    else if (push)
        set_described(op, STACK_OP_PUSH,
                      whole && number != STACK_OP_SP ? number : STACK_OP_NO_REGISTER);
    else
        set_described(op, STACK_OP_POP, number);
}

/* mov and lea, as far as they make sp or fp, or load what is on the stack. */
static void decode_move(const cs_insn *instruction, struct stack_op *op)
{
    const cs_x86 *x86 = &instruction->detail->x86;
    const cs_x86_op *from = &x86->operands[1];
    uint8_t number, base;
    bool exact = true, lea = instruction->id == X86_INS_LEA, load = false;
    if (x86->op_count != 2 || !is_register(&x86->operands[0], &number))
        return;
    if (is_on_stack(from, &base, &exact)) {
        load = !lea;
        op->offset = (int32_t)from->mem.disp;
    } else if (lea || !is_register(from, &base) || !is_frame_register(base)) {
        if (number == STACK_OP_SP)
            op->kind = STACK_OP_SWITCH;
        return;
    }
    if (!exact || (load ? number == STACK_OP_SP : !is_frame_register(number)))
        return;
    set_described(op, load ? STACK_OP_LOAD : STACK_OP_ADDRESS, number);
    op->base = base;
}

/* add and sub of a constant to sp. */
static void decode_sum(const cs_insn *instruction, struct stack_op *op)
{
    const cs_x86 *x86 = &instruction->detail->x86;
    const cs_x86_op *term = &x86->operands[1];
    uint8_t number;
    if (x86->op_count != 2 || !is_register(&x86->operands[0], &number) || number != STACK_OP_SP ||
        term->type != X86_OP_IMM || term->imm != (int32_t)term->imm || term->imm == INT32_MIN)
        return;
    set_described(op, STACK_OP_ADDRESS, number);
    op->base = STACK_OP_SP;
    op->offset = (int32_t)(instruction->id == X86_INS_ADD ? term->imm : -term->imm);
}

static bool has_group(const cs_insn *instruction, unsigned group)
{
    for (uint8_t i = 0; i < instruction->detail->groups_count; i++)
        if (instruction->detail->groups[i] == group)
            return true;
    return false;
}

/* Where control goes, for what is not just followed by the next instruction; false for the rest. */
static bool decode_transfer(const cs_insn *instruction, struct stack_op *op)
{
    const cs_x86 *x86 = &instruction->detail->x86;
    op->kind = STACK_OP_END;
    switch (instruction->id) {
    case X86_INS_HLT:
    case X86_INS_UD0:
    case X86_INS_UD2:
    case X86_INS_XBEGIN:
        return true;
    case X86_INS_CALL:
    case X86_INS_LCALL:
        set_described(op, STACK_OP_CALL, STACK_OP_NO_REGISTER);
        return true;
    default:
        break;
    }
    if (has_group(instruction, CS_GRP_RET) || has_group(instruction, CS_GRP_INT) ||
        has_group(instruction, CS_GRP_IRET))
        return true;
    if (has_group(instruction, CS_GRP_JUMP)) {
        if (x86->op_count && x86->operands[x86->op_count - 1].type == X86_OP_IMM) {
            op->kind = instruction->id == X86_INS_JMP ? STACK_OP_JUMP : STACK_OP_BRANCH;
            op->target = (uint64_t)x86->operands[x86->op_count - 1].imm;
        }
        return true;
    }
    op->kind = STACK_OP_OTHER;
    return false;
}

bool stack_decoder_next(struct stack_decoder *decoder, const uint8_t *code, size_t size,
                        uint64_t address, struct stack_op *ret_op)
{
    size_t left = size < LONGEST_X86 ? size : LONGEST_X86;
    const uint8_t *at = code;
    uint64_t next = address;
    cs_insn *decoded = decoder->instruction;
    if (!cs_disasm_iter(decoder->handle, &at, &left, &next, decoded) || !decoded->size ||
        decoded->size > size)
        return false;
    *ret_op = (struct stack_op){.size = (uint8_t)decoded->size, .reg = STACK_OP_NO_REGISTER};
    ret_op->writes = registers_written(decoder);
    if (decode_transfer(decoded, ret_op))
        return true;
    find_store(decoded, ret_op);
    switch (decoded->id) {
    case X86_INS_PUSH:
    case X86_INS_PUSHFQ:
        decode_push_or_pop(&decoded->detail->x86, true, ret_op);
        break;
    case X86_INS_POP:
    case X86_INS_POPFQ:
        decode_push_or_pop(&decoded->detail->x86, false, ret_op);
        break;
    case X86_INS_LEAVE:
        set_described(ret_op, STACK_OP_LEAVE, STACK_OP_FP);
        break;
    case X86_INS_MOV:
    case X86_INS_LEA:
        decode_move(decoded, ret_op);
        break;
    case X86_INS_ADD:
    case X86_INS_SUB:
        decode_sum(decoded, ret_op);
        break;
    case X86_INS_ENTER:
        ret_op->writes |= 1U << STACK_OP_SP | 1U << STACK_OP_FP;
        break;
    default:
        break;
    }
    return true;
}
