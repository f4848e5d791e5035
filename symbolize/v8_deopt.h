/*
 * v8_deopt.h - what V8 keeps with optimised code to be able to leave it: at which instructions it
 * may be left, and for each of them the frames of unoptimised code that are to stand there then.
 * These are the functions that run there, inlined ones included: V8 itself makes Error.stack of it.
 *
 * DeoptimizationData is V8's src/objects/deoptimization-data.h, the frames are
 * src/deoptimizer/frame-translation-builder.cc (translation-array.cc before 12.0) and
 * translation-opcode.h, the calls src/codegen/safepoint-table.h and maglev-safepoint-table.h.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_DEOPT_H
#define MEMPROF_SYMBOLIZE_V8_DEOPT_H

#include "symbolize/v8_code.h"

#include "core/limits.h"

struct v8_translations; /* how a version of V8 writes frames */

struct v8_deopt {
    struct v8_heap *heap;
    struct v8_code code;
    const struct v8_translations *rules; /* NULL: not known for this version */
    uint64_t data;                       /* the DeoptimizationData, tagged */
    uint64_t literals, frames, inlining; /* in it, tagged */
    uint64_t bytecode_literals;          /* the same; 0 before 13.6 */
    uint64_t function;                   /* the SharedFunctionInfo of the code itself, tagged */
    uint32_t inlined;                    /* functions that are inlined in it */
    uint32_t points;                     /* at which it can be left: with an exit each, */
    uint32_t eager;                      /* first those for checks, then those behind calls */
    uint32_t exits;                      /* the offset of the first exit in the instructions */
};

/* A place in the instructions of which the frames are known. */
struct v8_deopt_point {
    uint32_t offset; /* of the check or the last byte of the call */
    int32_t index;   /* of the point; -1: there is no such place */
};

/* Reads the data of optimised code; false if it makes no sense. */
bool v8_deopt_open(struct v8_heap *heap, const struct v8_code *code, struct v8_deopt *ret_deopt);
/* The point behind the call that returns to an offset in the instructions; -1: none. */
int32_t v8_deopt_call(const struct v8_deopt *deopt, uint32_t return_offset);
/* The nearest points at or before an offset and after it. */
void v8_deopt_around(const struct v8_deopt *deopt, uint32_t offset,
                     struct v8_deopt_point *ret_before, struct v8_deopt_point *ret_after);
/*
 * The functions at a point, innermost first; their number, 0 if they can't be told. Builtins that
 * are inlined (Array.prototype.map) are left out.
 */
size_t v8_deopt_sites(const struct v8_deopt *deopt, uint32_t index,
                      struct v8_site ret_sites[LIMIT_INLINE_DEPTH]);
/* One literal, if it is a SharedFunctionInfo (tagged). */
bool v8_deopt_function(const struct v8_deopt *deopt, uint32_t literal, uint64_t *ret_shared);

#endif
