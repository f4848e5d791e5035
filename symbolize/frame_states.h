/*
 * frame_states.h - whose the frame pointer is at each instruction of a function without unwind
 * tables, and where the return address is while it is not the function's own.
 *
 * For x86-64 code that keeps frame pointers: V8's embedded builtins (Builtins_* in node's .text)
 * and what V8 compiles. Following the frame pointer from such code loses the caller when a sample
 * is in a prologue, in an epilogue, or in a function that pushes no frame. This is for the
 * innermost frame only: it says nothing of a bare function while it has called another. Knows
 * nothing of V8 and of processes: it is given bytes.
 *
 * How right it is (tests/oracle/frame_states_oracle.c: Node 18, 20, 22 and 24, single-stepped, with
 * all tiers, interpreted only, and all baseline): no answer was wrong before 971,000 instructions.
 * In builtins 0.04 to 8 % were unknown and 1.5 to 5 % buried; fp alone led to the caller in 46 to
 * 72 %. In compiled code but baseline at most 2 % were unknown. Baseline code of Node 18, 20 and 22
 * has its frame made by a builtin that it calls, and is unknown behind that call. In compiled code
 * the fp was the function's own wherever the answer was LEAF_UNKNOWN; in builtins mostly not.
 *
 * A bytecode handler (Builtins_*Handler) runs in the frame of the function that is interpreted: the
 * answers are true of it as of a function that InterpreterEntryTrampoline called, but what a reader
 * wants to see is the frame that fp points to. Whoever asks treats handlers apart.
 *
 * A function takes 0.4 to 0.6 ms for each 4 KiB, nearly all of it in libcapstone, and some hundred
 * bytes to keep (all 2,384 builtins of Node 24, 2.0 MB of code: 612 KB). Ask for it when a sample
 * is first seen there.
 */
#ifndef MEMPROF_SYMBOLIZE_FRAME_STATES_H
#define MEMPROF_SYMBOLIZE_FRAME_STATES_H

#include <stddef.h>
#include <stdint.h>

enum leaf_frame {
    LEAF_UNKNOWN, /* not reached by any path that can be followed, or by paths that disagree */
    LEAF_FRAMED,  /* fp points to {the caller's fp, the return address} */
    LEAF_BARE,    /* fp is still, or again, the caller's; the return address is at sp + n */
    LEAF_HELD,    /* the same, but the return address has been popped into a register */
    LEAF_BURIED,  /* the same, but where the return address is can't be told: arguments are moved */
    LEAF_RESUMED  /* framed; the first instruction of code that is entered by a return */
};

struct frame_states;

/*
 * Follows all paths from the first byte of a function's code, which lies at `address` at run time
 * or in its file (jumps are relative, and the same in both). NULL for other machines than
 * EM_X86_64, arm64 among them; for no code and more than LIMIT_FRAME_CODE_BYTES; and if no
 * instruction's state can be told. Reads nothing but `code`, and keeps no pointer to it.
 */
struct frame_states *frame_states_new(uint16_t machine, const uint8_t *code, size_t size,
                                      uint64_t address);
void frame_states_free(struct frame_states *states);
/*
 * Before the instruction at `address` runs. *ret_where is the number of bytes between sp and the
 * return address for LEAF_BARE, the DWARF number of the register for LEAF_HELD, and 0 for others.
 */
enum leaf_frame frame_states_find(const struct frame_states *states, uint64_t address,
                                  uint32_t *ret_where);
/* Bytes of memory that it takes. */
size_t frame_states_bytes(const struct frame_states *states);

#endif
