/*
 * limits.h - every bound on what is read from outside, in one place.
 *
 * The target, its files and the profiles that are read are not trusted: each number here
 * is generous for real programs and small enough that a hostile input costs little. Code
 * that reaches a limit counts it or reports it, it never silently cuts.
 */
#ifndef MEMPROF_CORE_LIMITS_H
#define MEMPROF_CORE_LIMITS_H

enum {
    /* Sampling. */
    LIMIT_FREQUENCY_HZ = 50000, /* the highest -F; the kernel's own default ceiling is 100,000 */
    LIMIT_STACK_FRAMES = 512,   /* frames of one unwound stack, the innermost kept */
    LIMIT_KERNEL_FRAMES = 128,  /* kernel.perf_event_max_stack is 127 by default */
    LIMIT_STACK_DUMP = 65528,   /* perf's sample_stack_user is a u16, a multiple of 8 */
    LIMIT_GATHERED_FRAMES = 1 << 11, /* of one stack, the kernel's and inlined ones included */
    LIMIT_THREADS = 1 << 20,         /* more than kernel.pid_max allows at its default */
    LIMIT_PROCESSES = 1 << 16,       /* processes followed at one time with --children */
    LIMIT_SEGMENTS = 1 << 18,        /* executable mappings of one process */
    LIMIT_MODULES = 1 << 16,         /* distinct files mapped during one recording */

    /* Node.js's threads and their event loops. */
    LIMIT_ISOLATES = 64,          /* JavaScript threads of a process that are looked at */
    LIMIT_LOOP_HANDLES = 1 << 17, /* handles of one event loop */

    /* The model. */
    LIMIT_NODES = 1 << 26,         /* nodes of a call tree */
    LIMIT_FRAMES = 1 << 26,        /* distinct frames of a profile */
    LIMIT_DEPTH = 1 << 16,         /* depth of a call tree read from a file */
    LIMIT_SERIES = 4096,           /* series of a profile */
    LIMIT_SERIES_POINTS = 1 << 14, /* readings kept of one series; past it they are thinned out */
    LIMIT_EVENTS = 1 << 20,        /* events of a profile: 12 a second for a day */
    LIMIT_STRING_BYTES = 1 << 20,  /* one name; V8 names eval'd code by its source */
    LIMIT_INLINE_DEPTH = 64,       /* frames that one address expands to */
    LIMIT_PATH_BYTES = 4096,

    /* ELF, CFI and DWARF. */
    LIMIT_ELF_SECTIONS = 1 << 16,
    LIMIT_SYMBOLS = 1 << 25,          /* symbols of one module */
    LIMIT_CFI_INSTRUCTIONS = 1 << 16, /* call-frame instructions run for one address */
    LIMIT_CFI_ROWS = 1 << 14,      /* rows with expressions; 163 were seen in all libraries tried */
    LIMIT_AUGMENTATION_BYTES = 16, /* of a CIE; real ones have up to 8 */
    LIMIT_SYMBOL_BYTES = 1 << 14,  /* a mangled name */
    LIMIT_CFI_STATES = 32,         /* nesting of DW_CFA_remember_state */
    LIMIT_EXPRESSION_STEPS = 4096, /* operations of one DWARF expression */
    LIMIT_EXPRESSION_STACK = 64,
    LIMIT_DIE_DEPTH = 256,
    LIMIT_LINE_FILES = 1 << 20,       /* files of one line table */
    LIMIT_DWARF_UNITS = 1 << 20,      /* units of one file */
    LIMIT_DWARF_REREADS = 16,         /* times that DWARF's tables may refer to the same bytes */
    LIMIT_DIE_HOPS = 16,              /* DW_AT_abstract_origin and _specification in a row */
    LIMIT_DWO_FILES = 1 << 16,        /* .dwo files opened for one module */
    LIMIT_DEBUGDATA_BYTES = 1 << 27,  /* .gnu_debugdata, inflated */
    LIMIT_FRAME_CODE_BYTES = 1 << 16, /* of one function whose frame is followed */

    /* Annotating. */
    LIMIT_CODE_BYTES = 1 << 22,        /* of one symbol, disassembled */
    LIMIT_INSTRUCTIONS = 1 << 22,      /* of one function, with all its inlined copies */
    LIMIT_SOURCE_BYTES = 1 << 26,      /* a source file */
    LIMIT_SOURCE_LINES = 1 << 16,      /* from a function's first to its last line */
    LIMIT_SOURCE_LINE_BYTES = 1 << 10, /* what is shown of one */

    /* Generated code: perf maps and jitdumps. */
    LIMIT_SCRIPT_LINES = 1 << 22,      /* of all scripts whose lines are kept */
    LIMIT_SCRIPT_FUNCTIONS = 1 << 18,  /* looked through for one of them */
    LIMIT_SCRIPT_CHARACTERS = 1 << 29, /* of a script; V8 has no longer strings */
    LIMIT_GENERATED_BYTES = 1 << 30,   /* one function; runtimes name whole regions, too */
    LIMIT_CODE_LINES_BYTES = 1 << 20,  /* the line table of one function */
    LIMIT_V8_CODE_BYTES = 1 << 24,     /* one function's instructions; V8 itself stops far below */
    LIMIT_V8_SCAN_BYTES = 1 << 20,     /* looked back from a pc for the head of its code */
    LIMIT_V8_TABLE_BYTES = 1 << 22,    /* one of V8's tables, or one function's bytecodes */

    /* Files. */
    LIMIT_LINE_BYTES = 1 << 24,  /* one line of a log; V8's hold the sources of scripts */
    LIMIT_CODE_RANGES = 1 << 22, /* pieces of just-in-time code at one time */
    LIMIT_JSON_DEPTH =
        1 << 17, /* nested JSON; Chrome writes "children" nested in its .heapprofile */
    LIMIT_JOURNAL_BLOCK_BYTES = 1 << 26, /* of one block; written ones are below 2 MiB */
    LIMIT_METRICS = 16,                  /* of a profile read from a journal */
};

/* Sizes past what an enum holds portably. */
#define LIMIT_PROFILE_BYTES ((uint64_t)16 << 30)  /* a profile file */
#define LIMIT_INFLATED_BYTES ((uint64_t)4 << 30)  /* one section, decompressed */
#define LIMIT_ELF_BYTES ((uint64_t)64 << 30)      /* an ELF file */
#define LIMIT_CODE_FILE_BYTES ((uint64_t)4 << 30) /* what is read of a perf map or jitdump */
#define LIMIT_MAPS_BYTES ((uint64_t)256 << 20)    /* /proc/PID/maps or smaps */

#endif
