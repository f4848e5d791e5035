/*
 * lines_internal.h - what lines.c (the table) and line_program.c (its reader) share.
 */
#ifndef MEMPROF_SYMBOLIZE_LINES_INTERNAL_H
#define MEMPROF_SYMBOLIZE_LINES_INTERNAL_H

#include "core/arena.h"
#include "symbolize/lines.h"

struct line_row {
    uint32_t distance; /* bytes from the start of the sequence */
    uint32_t place;    /* file and line, packed */
};

struct line_place {
    uint32_t file, line;
};

struct line_sequence {
    uint64_t start;
    uint32_t first, count; /* rows */
};

struct line_file {
    const char *name;
    uint64_t directory;
    const char *path; /* with its directory, once asked for */
};

struct line_table {
    struct dwarf_image *image;
    struct dwarf_unit *unit; /* the first that named the table: its comp_dir and string offsets */
    uint64_t offset;         /* in .debug_line */
    struct form_sizes sizes;
    uint8_t minimum_instruction, maximum_operations, line_range, opcode_base;
    int8_t line_base;
    uint8_t opcode_lengths[256];
    struct reader program;
    bool decoded; /* the rows are there */
    uint8_t line_bits;
    vec(const char *) directories;
    vec(struct line_file) files;
    vec(struct line_row) rows;
    vec(struct line_place) wide;
    vec(struct line_sequence) sequences;
    struct range_map ranges; /* to sequences */
    struct arena paths;
};

/* A sequence in the making. */
struct line_builder {
    bool open;
    uint32_t first;       /* row */
    uint64_t start, last; /* address */
};

void line_builder_add(struct line_table *table, struct line_builder *builder, uint64_t address,
                      uint64_t file, uint32_t line);
void line_builder_end(struct line_table *table, struct line_builder *builder, uint64_t address);

/* Reads the header at table->offset; false if the table can't be used. */
bool line_header_read(struct line_table *table);
void line_program_run(struct line_table *table);

#endif
