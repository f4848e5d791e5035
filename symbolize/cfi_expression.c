/*
 * cfi_expression.c - stepping by a row with DWARF expressions.
 *
 * A stack machine of 64-bit words (DWARF 5 §2.5, as far as §6.4.2 admits it to call frames):
 * enough for PLT entries, signal frames and re-aligned stacks. Operations that need the type
 * system, an object's address or the load bias have no place in CFI and end the evaluation.
 *
 * A register saved below the stack pointer has been popped already: the epilogue that did it
 * left the row as it was, and the register holds its value again. It keeps it.
 */
#include "symbolize/cfi_program.h"

#include "core/limits.h"

#include <dwarf.h>

struct evaluation {
    const struct arch *arch;
    const struct registers *registers;
    cfi_read_fn read;
    void *context;
    struct cfi_reader code;
    uint32_t depth;
    uint64_t stack[LIMIT_EXPRESSION_STACK];
};

static void push(struct evaluation *evaluation, uint64_t value)
{
    if (evaluation->depth == LIMIT_EXPRESSION_STACK)
        evaluation->code.failed = true;
    else
        evaluation->stack[evaluation->depth++] = value;
}

static uint64_t pop(struct evaluation *evaluation)
{
    if (!evaluation->depth) {
        evaluation->code.failed = true;
        return 0;
    }
    return evaluation->stack[--evaluation->depth];
}

/* Pushes a copy of the n-th entry from the top. */
static void pick(struct evaluation *evaluation, uint64_t n)
{
    if (n >= evaluation->depth)
        evaluation->code.failed = true;
    else
        push(evaluation, evaluation->stack[evaluation->depth - 1 - n]);
}

static uint64_t register_value(struct evaluation *evaluation, uint64_t number)
{
    /* On x86-64 the column of the return address is rip; PLT entries ask for it. */
    if (number == evaluation->arch->ra && !evaluation->arch->ra_in_register)
        return evaluation->registers->pc;
    if (number >= ARCH_REGISTERS || !(evaluation->registers->known >> number & 1)) {
        evaluation->code.failed = true;
        return 0;
    }
    return evaluation->registers->value[number];
}

static void dereference(struct evaluation *evaluation, uint64_t bytes)
{
    uint64_t value = 0;
    if (bytes < 1 || bytes > 8 || !evaluation->read(evaluation->context, pop(evaluation), &value)) {
        evaluation->code.failed = true;
        return;
    }
    push(evaluation, bytes == 8 ? value : value & (((uint64_t)1 << 8 * bytes) - 1));
}

/* Skips relative to the operation's end; both ways, hence the bound on steps. */
static void jump(struct evaluation *evaluation, int64_t distance)
{
    struct cfi_reader *code = &evaluation->code;
    if (distance < -(int64_t)code->at || distance > (int64_t)(code->size - code->at))
        code->failed = true;
    else
        code->at = (size_t)((int64_t)code->at + distance);
}

static int64_t read_signed_bytes(struct cfi_reader *code, unsigned bytes)
{
    unsigned shift = 64 - 8 * bytes;
    return (int64_t)(cfi_read_unsigned(code, bytes) << shift) >> shift;
}

static bool run_constant(struct evaluation *evaluation, uint8_t operation)
{
    struct cfi_reader *code = &evaluation->code;
    if (operation >= DW_OP_lit0 && operation <= DW_OP_lit31) {
        push(evaluation, operation - DW_OP_lit0);
        return true;
    }
    switch (operation) {
    case DW_OP_const1u:
        push(evaluation, cfi_read_unsigned(code, 1));
        return true;
    case DW_OP_const2u:
        push(evaluation, cfi_read_unsigned(code, 2));
        return true;
    case DW_OP_const4u:
        push(evaluation, cfi_read_unsigned(code, 4));
        return true;
    case DW_OP_const8u:
    case DW_OP_const8s:
        push(evaluation, cfi_read_unsigned(code, 8));
        return true;
    case DW_OP_const1s:
        push(evaluation, (uint64_t)read_signed_bytes(code, 1));
        return true;
    case DW_OP_const2s:
        push(evaluation, (uint64_t)read_signed_bytes(code, 2));
        return true;
    case DW_OP_const4s:
        push(evaluation, (uint64_t)read_signed_bytes(code, 4));
        return true;
    case DW_OP_constu:
        push(evaluation, cfi_read_uleb(code));
        return true;
    case DW_OP_consts:
        push(evaluation, (uint64_t)cfi_read_sleb(code));
        return true;
    default:
        return false;
    }
}

static uint64_t shifted_right(uint64_t value, uint64_t by, bool arithmetic)
{
    if (arithmetic)
        return (uint64_t)((int64_t)value >> (by > 63 ? 63 : by));
    return by > 63 ? 0 : value >> by;
}

static bool run_binary(struct evaluation *evaluation, uint8_t operation)
{
    /* Everything this function does not know leaves the stack alone. */
    if ((operation < DW_OP_and || operation > DW_OP_xor || operation == DW_OP_neg ||
         operation == DW_OP_not || operation == DW_OP_plus_uconst) &&
        (operation < DW_OP_eq || operation > DW_OP_ne))
        return false;
    uint64_t b = pop(evaluation), a = pop(evaluation), result = 0;
    switch (operation) {
    case DW_OP_and:
        result = a & b;
        break;
    case DW_OP_or:
        result = a | b;
        break;
    case DW_OP_xor:
        result = a ^ b;
        break;
    case DW_OP_plus:
        result = a + b;
        break;
    case DW_OP_minus:
        result = a - b;
        break;
    case DW_OP_mul:
        result = a * b;
        break;
    case DW_OP_div: /* signed; the quotient of the smallest value by -1 overflows */
        evaluation->code.failed |= !b;
        result = b + 1 <= 1 ? -a : (uint64_t)((int64_t)a / (int64_t)b);
        break;
    case DW_OP_mod:
        evaluation->code.failed |= !b;
        result = b ? a % b : 0;
        break;
    case DW_OP_shl:
        result = b > 63 ? 0 : a << b;
        break;
    case DW_OP_shr:
    case DW_OP_shra:
        result = shifted_right(a, b, operation == DW_OP_shra);
        break;
    case DW_OP_eq:
        result = a == b;
        break;
    case DW_OP_ne:
        result = a != b;
        break;
    case DW_OP_lt:
        result = (int64_t)a < (int64_t)b;
        break;
    case DW_OP_le:
        result = (int64_t)a <= (int64_t)b;
        break;
    case DW_OP_gt:
        result = (int64_t)a > (int64_t)b;
        break;
    default: /* DW_OP_ge */
        result = (int64_t)a >= (int64_t)b;
        break;
    }
    push(evaluation, result);
    return true;
}

static bool run_stack(struct evaluation *evaluation, uint8_t operation)
{
    uint64_t a, b, c;
    switch (operation) {
    case DW_OP_dup:
        pick(evaluation, 0);
        return true;
    case DW_OP_over:
        pick(evaluation, 1);
        return true;
    case DW_OP_pick:
        pick(evaluation, cfi_read_unsigned(&evaluation->code, 1));
        return true;
    case DW_OP_drop:
        pop(evaluation);
        return true;
    case DW_OP_swap:
        a = pop(evaluation);
        b = pop(evaluation);
        push(evaluation, a);
        push(evaluation, b);
        return true;
    case DW_OP_rot: /* the top becomes the third */
        a = pop(evaluation);
        b = pop(evaluation);
        c = pop(evaluation);
        push(evaluation, a);
        push(evaluation, c);
        push(evaluation, b);
        return true;
    default:
        return false;
    }
}

static void run_other(struct evaluation *evaluation, uint8_t operation)
{
    struct cfi_reader *code = &evaluation->code;
    uint64_t number;
    if (operation >= DW_OP_breg0 && operation <= DW_OP_breg31) {
        number = operation - DW_OP_breg0;
        push(evaluation, (uint64_t)cfi_read_sleb(code) + register_value(evaluation, number));
        return;
    }
    switch (operation) {
    case DW_OP_bregx:
        number = cfi_read_uleb(code);
        push(evaluation, (uint64_t)cfi_read_sleb(code) + register_value(evaluation, number));
        break;
    case DW_OP_deref:
        dereference(evaluation, 8);
        break;
    case DW_OP_deref_size:
        dereference(evaluation, cfi_read_unsigned(code, 1));
        break;
    case DW_OP_plus_uconst:
        push(evaluation, pop(evaluation) + cfi_read_uleb(code));
        break;
    case DW_OP_neg:
        push(evaluation, -pop(evaluation));
        break;
    case DW_OP_not:
        push(evaluation, ~pop(evaluation));
        break;
    case DW_OP_abs:
        number = pop(evaluation);
        push(evaluation, number >> 63 ? -number : number);
        break;
    case DW_OP_skip:
        jump(evaluation, read_signed_bytes(code, 2));
        break;
    case DW_OP_bra: {
        int64_t distance = read_signed_bytes(code, 2);
        if (pop(evaluation))
            jump(evaluation, distance);
        break;
    }
    case DW_OP_nop:
        break;
    default:
        code->failed = true;
    }
}

struct step {
    const struct arch *arch;
    uint8_t return_column;
    const struct registers *old;
    struct registers *new;
    uint64_t cfa;
    cfi_read_fn read;
    void *context;
};

/* `pushed`: what lies on the stack before the first operation, or NULL. */
static bool evaluate(const struct step *step, const struct cfi_value *value, const uint64_t *pushed,
                     uint64_t *ret)
{
    struct evaluation evaluation;
    evaluation.arch = step->arch;
    evaluation.registers = step->old;
    evaluation.read = step->read;
    evaluation.context = step->context;
    evaluation.code = (struct cfi_reader){value->expression, value->length, 0, false};
    evaluation.depth = 0;
    if (pushed)
        push(&evaluation, *pushed);
    for (uint32_t steps = 0; evaluation.code.at < evaluation.code.size; steps++) {
        if (steps == LIMIT_EXPRESSION_STEPS)
            return false;
        uint8_t operation = (uint8_t)cfi_read_unsigned(&evaluation.code, 1);
        if (!run_constant(&evaluation, operation) && !run_binary(&evaluation, operation) &&
            !run_stack(&evaluation, operation))
            run_other(&evaluation, operation);
        if (evaluation.code.failed)
            return false;
    }
    *ret = pop(&evaluation);
    return !evaluation.code.failed;
}

static bool row_cfa(const struct cfi_row *row, struct step *step)
{
    if (row->cfa_is_expression)
        return evaluate(step, &row->cfa, NULL, &step->cfa);
    if (row->cfa_register >= ARCH_REGISTERS || !(step->old->known >> row->cfa_register & 1))
        return false;
    step->cfa = step->old->value[row->cfa_register] + (uint64_t)row->cfa.offset;
    return true;
}

static bool is_callee_saved(const struct arch *arch, uint8_t number)
{
    for (size_t i = 0; i < arch->slots; i++)
        if (arch->slot_register[i] == number)
            return true;
    return false;
}

static void put(struct step *step, uint8_t number, uint64_t value)
{
    step->new->value[number] = value;
    step->new->known |= (uint64_t)1 << number;
}

static void load(struct step *step, uint8_t number, uint64_t address)
{
    uint64_t value, sp = step->old->value[step->arch->sp];
    if (step->read(step->context, address, &value))
        put(step, number, value);
    else if (address < sp && step->old->known >> number & 1)
        put(step, number, step->old->value[number]);
}

static void recover(struct step *step, const struct cfi_value *place, uint8_t number)
{
    uint64_t value;
    switch ((enum cfi_place)place->place) {
    case PLACE_OFFSET:
        load(step, number, step->cfa + (uint64_t)place->offset);
        break;
    case PLACE_VALUE_OFFSET:
        put(step, number, step->cfa + (uint64_t)place->offset);
        break;
    case PLACE_EXPRESSION:
        if (evaluate(step, place, &step->cfa, &value))
            load(step, number, value);
        break;
    case PLACE_VALUE_EXPRESSION:
        if (evaluate(step, place, &step->cfa, &value))
            put(step, number, value);
        break;
    case PLACE_REGISTER:
        if (place->number < ARCH_REGISTERS && step->old->known >> place->number & 1)
            put(step, number, step->old->value[place->number]);
        break;
    case PLACE_UNDEFINED:
        break;
    case PLACE_DEFAULT:
        if (number == step->arch->sp) {
            put(step, number, step->cfa);
            break;
        }
        /* A return column of its own (arm64's rawmemchr keeps its caller in x15). */
        if (!is_callee_saved(step->arch, number) && number != step->return_column)
            break;
        /* fall through */
    case PLACE_SAME:
        if (step->old->known >> number & 1)
            put(step, number, step->old->value[number]);
        break;
    }
}

bool cfi_row_step(const struct cfi_row *row, const struct arch *arch, struct registers *registers,
                  cfi_read_fn read, void *context)
{
    struct registers caller;
    struct step step = {arch, row->return_column, registers, &caller, 0, read, context};
    caller.known = 0;
    if (row->return_column >= arch->registers || !row_cfa(row, &step))
        return false;
    for (uint8_t number = 0; number < arch->registers; number++)
        recover(&step, &row->registers[number], number);
    uint64_t needed = (uint64_t)1 << row->return_column | (uint64_t)1 << arch->sp;
    if ((caller.known & needed) != needed)
        return false;
    caller.pc = caller.value[row->return_column] & arch->address_mask;
    /* The caller's own return address is not in this register, unless a signal put it back. */
    if (!row->signal)
        caller.known &= ~((uint64_t)1 << arch->ra);
    *registers = caller;
    return true;
}
