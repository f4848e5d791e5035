/*
 * v8_seed.h - one stack of a process that runs V8, with all of its memory that naming it reads.
 *
 * What tests/oracle/js_stack -d writes and fuzz_v8_stack.c reads, little endian:
 *
 *     u32 bytes, an ELF file   what tells V8's layout (tests/data/v8/shrink_node.py)
 *     u32 frames, of each      u64 pc, sp, fp, and where pc lies (enum v8_seed_place)
 *     u32 bytes, the stack     from the first frame's sp
 *     until the end            u64 address, u32 size, the bytes there
 */
#ifndef MEMPROF_TESTS_V8_SEED_H
#define MEMPROF_TESTS_V8_SEED_H

enum v8_seed_place { V8_SEED_ELSEWHERE, V8_SEED_MODULE, V8_SEED_GENERATED };

#endif
