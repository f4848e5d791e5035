/*
 * annotation.h - one function of a profile, down to its source lines and instructions.
 *
 * Plain rows whose ids are array positions, as in profile.h. symbolize/annotate.h makes it of a
 * profile and the files of its modules; the annotation's formats in output/ print it. Knows
 * nothing of either. Texts are in `strings`, 0 for none.
 */
#ifndef MEMPROF_CORE_ANNOTATION_H
#define MEMPROF_CORE_ANNOTATION_H

#include "core/alloc.h"
#include "core/strings.h"

#include <stdbool.h>
#include <stdint.h>

#define ANNOTATION_NO_LINE UINT32_MAX

/* A function and a source line in it, as it was inlined: one level of an instruction's calls. */
struct annotated_place {
    uint32_t caller; /* the place that it was inlined into, an earlier one; 0: really called */
    string_id function;
    string_id file;
    uint32_t line; /* 1-based, 0: unknown */
};

struct annotated_instruction {
    uint64_t address; /* in the module's ELF address space */
    uint64_t ticks;
    string_id text;
    uint32_t place; /* the innermost one; 0: unknown */
    uint32_t line;  /* the function's own line: a position in lines, or ANNOTATION_NO_LINE */
    uint8_t size;   /* bytes */
};

/* The code of one symbol that is the function, or that the function was inlined into. */
struct annotated_code {
    string_id module;   /* path */
    string_id build_id; /* hexadecimal, "" when it has none */
    string_id function; /* the symbol's, demangled */
    uint64_t address, size;
    uint64_t ticks;
    uint64_t self;  /* of ticks, those outside functions that are inlined here */
    uint32_t first; /* instructions: [first, first + count), by address; of code that */
    uint32_t count; /* is inlined only those that belong to the function */
    bool inlined;
};

/* A line of the function; ticks of what it inlines count for the line of the call. */
struct annotated_line {
    uint32_t file; /* a position in files */
    uint32_t line; /* 0: code without a line */
    uint64_t ticks;
    uint64_t total;   /* of the stacks that stood in the line, with its calls; 0: unknown */
    string_id source; /* the text, without its newline; 0 also when it can't be read */
};

struct annotated_file {
    string_id path;      /* as the debug information or the URL has it */
    uint32_t first_line; /* of the definition, 0: unknown */
    uint64_t ticks;
    bool readable;
};

struct annotation {
    struct strings strings;
    string_id function;
    uint64_t ticks;                     /* in the function's code, with what is inlined there */
    uint64_t self;                      /* in its own code, as a report has it */
    uint64_t total;                     /* of the whole profile */
    uint64_t with_calls;                /* ticks of the function and all that it calls */
    bool has_totals;                    /* with_calls and the lines' total are known */
    vec(struct annotated_place) places; /* 0 is the unknown one */
    vec(struct annotated_instruction) instructions;
    vec(struct annotated_code) code;  /* most ticks first */
    vec(struct annotated_line) lines; /* file by file, by line; gapless where source is readable */
    vec(struct annotated_file) files; /* most ticks first */
    vec(string_id) notes;             /* what is missing or in doubt, one line each */
};

struct annotation *annotation_new(void);
void annotation_free(struct annotation *annotation);

static inline void cleanup_annotation(struct annotation **annotation)
{
    annotation_free(*annotation);
}
#define _cleanup_annotation_ _cleanup_(cleanup_annotation)

static inline const char *annotation_string(const struct annotation *annotation, string_id id)
{
    return strings_get(&annotation->strings, id);
}

#endif
