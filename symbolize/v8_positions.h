/*
 * v8_positions.h - tables from offsets in bytecode or instructions to positions in a script.
 *
 * The tables are V8's src/codegen/source-position-table.cc, the bits of a position those of
 * src/codegen/source-position.h, and the offsets of baseline code src/baseline/
 * bytecode-offset-iterator.h; the same in V8 10.2 to 13.6.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_POSITIONS_H
#define MEMPROF_SYMBOLIZE_V8_POSITIONS_H

#include "symbolize/v8_heap.h"

struct v8_position {
    int32_t offset;    /* of the bytecode or instruction from which on it holds; -1: the entry */
    uint32_t position; /* in the script, V8_NO_POSITION if it has none */
    uint32_t inlining; /* 0: in the function itself, else 1 + the place in InliningPositions */
};

/*
 * The entries of a table (a ByteArray, tagged) around an offset: the last one at or before it, and
 * the first one past it. Their offset is INT32_MIN and INT32_MAX where there is none. False if it
 * is no whole table.
 */
bool v8_positions_around(struct v8_heap *heap, uint64_t table, int32_t offset,
                         struct v8_position *ret_at, struct v8_position *ret_next);
/* The position in 64 bits, as tables and InliningPositions hold it. The offset is not set. */
void v8_position_unpack(uint64_t packed, struct v8_position *ret_position);

#endif
