/*
 * v8_translation.h - the frames that V8 writes down for a place in optimised code.
 *
 * A translation is a row of opcodes with operands; those of frames are wanted, all others describe
 * values and are passed over. Opcodes are numbered anew in each version: V8's
 * src/deoptimizer/translation-opcode.h.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_TRANSLATION_H
#define MEMPROF_SYMBOLIZE_V8_TRANSLATION_H

#include "symbolize/v8_bytes.h"

#include "core/limits.h"

struct v8_translations; /* the rules of one version of V8 */

struct v8_translated_frame {
    int32_t bytecode_offset; /* -1: the function's entry */
    uint32_t literal;        /* its SharedFunctionInfo among the code's literals */
    uint32_t bytecodes;      /* its BytecodeArray among those of bytecodes, where they are named */
};

/* NULL if this version is not known. */
const struct v8_translations *v8_translations_of(const struct v8_layout *layout);
/* Whether frames name their BytecodeArray. */
bool v8_translation_names_bytecodes(const struct v8_translations *rules);
/* Whether the table of calls begins with the number of stack slots. */
bool v8_translation_has_slots(const struct v8_translations *rules);
/*
 * The frames of JavaScript functions in the translation that begins at byte `start` of the array
 * (tagged), outermost first; their number, 0 if it is none.
 */
size_t v8_translation_read(struct v8_heap *heap, const struct v8_translations *rules,
                           uint64_t array, uint32_t start,
                           struct v8_translated_frame ret_frames[LIMIT_INLINE_DEPTH]);

#endif
