/*
 * v8_layout.h - where V8 keeps what, in one executable.
 *
 * V8 tells most of it itself, in constants named v8dbg_* that llnode and mdb_v8 read, too (V8's
 * tools/gen-postmortem-metadata.py makes them). They carry type suffixes that change from version
 * to version, and some fields that a profiler needs are not among them: for these there are
 * rules by version (V8 10.2, 11.3, 12.4, 13.6 and 14.1; Node.js 18, 20, 22, 24 and 25).
 *
 * Offsets are bytes from an object's address (its tagged pointer minus 1). Only builds without
 * pointer compression are understood, which all of Node.js's own are.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_LAYOUT_H
#define MEMPROF_SYMBOLIZE_V8_LAYOUT_H

#include "symbolize/elf_file.h"

#include <stdbool.h>
#include <stdint.h>

enum { V8_HEAP_OBJECT_TAG = 1, V8_TAG_MASK = 3, V8_SMI_SHIFT = 32 };

struct v8_type_range { /* instance types, inclusive */
    uint16_t first, last;
};

struct v8_layout {
    int major, minor, build, patch; /* of V8, "11.3.244.8" */

    /* Instance types. */
    struct v8_type_range js_function;
    uint16_t shared_function_info, scope_info, code, instruction_stream, bytecode_array, script,
        debug_info, fixed_array, trusted_fixed_array, protected_fixed_array, weak_fixed_array,
        trusted_weak_fixed_array, byte_array, trusted_byte_array; /* what a version has not is 0 */
    uint16_t first_nonstring;                                     /* types below are strings */
    uint16_t string_encoding_mask, one_byte_string, string_representation_mask, seq_string,
        cons_string, external_string, sliced_string, thin_string;

    /* Offsets. */
    uint16_t map_instance_type;
    uint16_t function_shared;
    uint16_t shared_name, shared_script, shared_data;
    uint16_t debug_info_script; /* up to 11.3 one may stand in the Script's place; 0: never */
    uint16_t bytecode_length, bytecode_positions, bytecode_data; /* positions 0: not understood */
    uint8_t
        position_flags; /* low bits of an offset in tables of positions; 0: its sign is a flag */
    uint16_t code_deoptimization, code_positions, code_flags, code_size;
    uint16_t code_start;    /* of the word that points to the instructions; with code_inline of
                               the instructions themselves */
    bool code_inline;       /* 10.2: instructions stand in the Code object */
    uint8_t code_kind_mask; /* of flags */
    uint8_t baseline_kind;  /* greater ones are optimised: +1 Maglev, +2 TurboFan */
    uint8_t builtin_kind, regexp_kind, wasm_kind;
    uint16_t fixed_array_length, fixed_array_data;
    uint16_t string_length, string_chars, cons_first, cons_second, sliced_parent, sliced_offset,
        thin_actual, external_resource;
    uint16_t resource_data; /* in the resource of an external string (C++) */
    uint16_t script_source, script_name, script_line_offset, script_column_offset, script_line_ends,
        script_id, script_functions, script_source_url;
    uint16_t scope_info_data;  /* of slot 0 */
    uint8_t scope_first_vars;  /* slot of the first context local's name */
    uint8_t scope_locals_slot; /* slot of the number of context locals, a Smi */
    bool scope_flags_raw;      /* the flags are no Smi */
    uint8_t members_kind; /* FunctionKind of <instance_members_initializer>, the next one being that
                             of <static_initializer>; 0: these have their names like others */
    int8_t scope_positions_slot; /* of start, then end; -1: behind the names */
    uint8_t deopt_count; /* slot of the DeoptimizationData: how many functions are inlined */
    uint8_t deopt_literals, deopt_shared, deopt_inlining; /* slots of it; three more follow */
    bool deopt_shared_wrapped; /* 13.6: a wrapper, the SharedFunctionInfo at +8 */

    /* Frames; offsets from the frame pointer. */
    int16_t frame_context, frame_function, frame_bytecode_array, frame_bytecode_offset;

    /* Addresses in the executable's own address space. */
    uint64_t blob_start, blob_size; /* the embedded builtins */
    uint64_t bytecode_sizes;        /* kBytecodeSizes[3][bytecode_count], a byte each */
    uint32_t bytecode_count;
};

/*
 * Fills `ret_layout` from an executable. ERROR_UNSUPPORTED if it has no V8, or one whose layout is
 * not understood; the text then says what is missing ("V8 14.1: no BytecodeArray"), in one line.
 * `executable` is read only while this runs.
 */
int v8_layout_read(struct elf_file *executable, struct v8_layout *ret_layout, struct error *err);

#endif
