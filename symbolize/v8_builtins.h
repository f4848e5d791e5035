/*
 * v8_builtins.h - V8's embedded builtins: which one an address is in, and what is to be known of
 * it.
 *
 * They are machine code in the executable, without unwind tables (V8's src/builtins,
 * src/snapshot/embedded). Bytecode handlers are among them: these have no frame of their own, and
 * run on that of the interpreted function.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_BUILTINS_H
#define MEMPROF_SYMBOLIZE_V8_BUILTINS_H

#include "symbolize/elf_file.h"
#include "symbolize/frame_states.h"

struct v8_builtin {
    uint64_t start, size; /* in the executable's address space */
    const char *name;     /* "Builtins_ArrayPrototypeSort", owned by the executable */
    bool is_handler;      /* of a bytecode */
    bool is_interpreter;  /* a handler, or what enters the interpreter: it stands on the frame of an
                             interpreted function once that is complete */
    bool is_resumed;      /* entered by a return into the frame that it stands on: the deoptimizer
                             makes frames so (src/deoptimizer/deoptimizer.cc) */
    bool states_tried;
    struct frame_states *states;
    uint32_t tag; /* the caller's */
};

struct v8_builtins;

/* Those within [start, start + size); the executable outlives the result. */
struct v8_builtins *v8_builtins_new(struct elf_file *executable, uint64_t start, uint64_t size);
void v8_builtins_free(struct v8_builtins *builtins);
/* The one that covers an address, NULL if none does (a stripped executable has no names). */
struct v8_builtin *v8_builtins_find(const struct v8_builtins *builtins, uint64_t address);
/* How a leaf at an address in it stands to its frame; see frame_states_find. */
enum leaf_frame v8_builtin_leaf(const struct v8_builtins *builtins, struct v8_builtin *builtin,
                                uint64_t address, uint32_t *ret_where);

#endif
