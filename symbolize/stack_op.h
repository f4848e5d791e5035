/*
 * stack_op.h - what one x86-64 instruction does to the stack pointer, the frame pointer and the
 * stack, and where it goes.
 *
 * Knows nothing of functions or frames: frame_states.c draws the conclusions.
 */
#ifndef MEMPROF_SYMBOLIZE_STACK_OP_H
#define MEMPROF_SYMBOLIZE_STACK_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DWARF's numbers (System V psABI x86-64, 3.6.2). */
enum { STACK_OP_FP = 6, STACK_OP_SP = 7, STACK_OP_REGISTERS = 16, STACK_OP_NO_REGISTER = 255 };

enum stack_op_kind {
    STACK_OP_OTHER,   /* nothing but what `writes` says */
    STACK_OP_PUSH,    /* reg, or STACK_OP_NO_REGISTER: something else */
    STACK_OP_POP,     /* the same */
    STACK_OP_ADDRESS, /* reg (sp or fp) = base (sp or fp) + offset */
    STACK_OP_LOAD,    /* reg = the 8 bytes at base (sp or fp) + offset */
    STACK_OP_STORE,   /* `stored` bytes at base (sp or fp) + offset */
    STACK_OP_SCATTER, /* a store at base (sp or fp) + something unknown */
    STACK_OP_SWITCH,  /* sp = something that is neither made of sp nor of fp */
    STACK_OP_LEAVE,
    STACK_OP_CALL,
    STACK_OP_JUMP,   /* to target */
    STACK_OP_BRANCH, /* to target, or on */
    STACK_OP_END     /* control goes where the instruction does not tell, or nowhere */
};

struct stack_op {
    uint8_t kind; /* enum stack_op_kind */
    uint8_t size; /* of the instruction, in bytes */
    uint8_t reg, base;
    uint16_t writes; /* registers that get a value which nothing above describes, as a mask */
    uint16_t stored;
    int32_t offset;
    uint64_t target;
};

struct stack_decoder;

/* NULL if libcapstone can't be used. The caller frees it. */
struct stack_decoder *stack_decoder_new(void);
void stack_decoder_free(struct stack_decoder *decoder);
/*
 * The instruction at the beginning of `code`, which lies at `address`; `size` bytes are left, at
 * least one. False for what is none, or none that libcapstone knows.
 */
bool stack_decoder_next(struct stack_decoder *decoder, const uint8_t *code, size_t size,
                        uint64_t address, struct stack_op *ret_op);

#endif
