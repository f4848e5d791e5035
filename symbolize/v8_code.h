/*
 * v8_code.h - from an address in V8's generated code to functions and positions.
 *
 * Code that V8 compiles is found by the address alone, not by the function that a frame names:
 * that is right for on-stack replacement, for deoptimised code that still runs, and after closures
 * have moved. Position tables are V8's src/codegen/source-position-table.cc, deoptimisation data
 * src/deoptimizer/translation-array.cc (translated-state.cc) and src/objects/code.h.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_CODE_H
#define MEMPROF_SYMBOLIZE_V8_CODE_H

#include "symbolize/v8_heap.h"

enum v8_code_kind {
    V8_CODE_OTHER, /* a stub, a compiled regular expression, WebAssembly: no JavaScript function */
    V8_CODE_REGEXP,
    V8_CODE_WASM,
    V8_CODE_BUILTIN,  /* a builtin outside the blob: the interpreter's entry, copied */
    V8_CODE_BASELINE, /* Sparkplug */
    V8_CODE_MAGLEV,
    V8_CODE_TURBOFAN
};

enum { V8_CODE_IDENTITY = 64 };

struct v8_code {
    enum v8_code_kind kind;
    uint64_t start, size;               /* of the instructions */
    uint64_t object;                    /* the Code, tagged */
    uint64_t deoptimization, positions; /* its fields, tagged, as they were when it was read */
    /*
     * What proves later that the same code is still there: these bytes at this address, the head
     * of its instructions. It holds the address of the Code, or is the Code itself.
     */
    uint64_t identity_address;
    uint8_t identity[V8_CODE_IDENTITY];
    uint8_t identity_size;
};

/* A function in execution and where, as a position in its script. */
struct v8_site {
    uint64_t shared;   /* SharedFunctionInfo, tagged */
    uint32_t position; /* in UTF-16 units from the script's start, V8_NO_POSITION if unknown */
};
#define V8_NO_POSITION UINT32_MAX

/* The code that an address lies in; false if none is found. */
bool v8_code_find(struct v8_heap *heap, uint64_t pc, struct v8_code *ret_code);
/* Reads the fields of known code again, as its tables may have moved; false: it is no more. */
bool v8_code_renew(struct v8_heap *heap, struct v8_code *code);
/* The SharedFunctionInfo (tagged) that optimised code was compiled for; false if it can't be told. */
bool v8_code_function(struct v8_heap *heap, const struct v8_code *code, uint64_t *ret_shared);
/*
 * The functions that optimised code stands for at pc, innermost inlined one first, at most
 * LIMIT_INLINE_DEPTH. `call`: pc is a return address minus one, and then they are exact where V8
 * can leave the code there. Otherwise they are those that the places before and after pc have in
 * common; inner ones may be missing then, and the position of the innermost. Inlined builtins
 * (Array.prototype.map) are left out. Returns their number, 0 if they can't be told.
 */
size_t v8_code_sites(struct v8_heap *heap, const struct v8_code *code, uint64_t pc, bool call,
                     struct v8_site *ret_sites);
/*
 * The offset of the bytecode that baseline code runs at pc, for v8_bytecode_position; -1 if it
 * can't be told. `bytecodes`: the BytecodeArray (tagged); pc is a return address minus one, or
 * exact.
 */
int32_t v8_baseline_offset(struct v8_heap *heap, const struct v8_code *code, uint64_t bytecodes,
                           uint64_t pc);
/* The position of a bytecode in a BytecodeArray (tagged); V8_NO_POSITION if it has none. */
uint32_t v8_bytecode_position(struct v8_heap *heap, uint64_t bytecodes, int32_t offset);

#endif
