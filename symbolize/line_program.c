/*
 * line_program.c - reads .debug_line: header, and the state machine of DWARF 5 §6.2.
 *
 * Each opcode takes at least a byte and makes at most one row, so that a hostile program
 * costs no more than its size; programs that overlap are decoded until as much as the whole
 * section has been. Of the state machine's registers only those that a position needs are kept.
 */
#include "symbolize/lines_internal.h"

#include "core/limits.h"

#include <dwarf.h>

static void add_file(struct line_table *table, const char *name, uint64_t directory)
{
    if (table->files.count < LIMIT_LINE_FILES)
        vec_append(&table->files, ((struct line_file){name ? name : "", directory, NULL}));
}

/* DWARF 2 to 4: strings up to an empty one. */
static bool read_old_tables(struct line_table *table, struct reader *reader)
{
    const char *text;
    while ((text = reader_string(reader)) && *text)
        vec_append(&table->directories, text);
    while ((text = reader_string(reader)) && *text) {
        add_file(table, text, reader_uleb(reader));
        reader_uleb(reader);
        reader_uleb(reader);
    }
    return !reader->failed;
}

/* DWARF 5: a description of each entry's fields, then the entries; of files or directories. */
static bool read_entries(struct line_table *table, struct reader *reader, bool files)
{
    struct {
        uint64_t content, form;
    } fields[256];
    unsigned field_count = (unsigned)reader_fixed(reader, 1);
    for (unsigned i = 0; i < field_count; i++) {
        fields[i].content = reader_uleb(reader);
        fields[i].form = reader_uleb(reader);
    }
    uint64_t count = reader_uleb(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        const uint8_t *start = reader->at;
        const char *path = NULL;
        uint64_t directory = 0;
        for (unsigned f = 0; f < field_count; f++) {
            struct form_value value;
            if (fields[f].form > UINT16_MAX ||
                !form_read(reader, &table->sizes, (uint16_t)fields[f].form, 0, &value))
                return false;
            if (fields[f].content == DW_LNCT_path)
                path = value_string(table->unit, &value);
            else if (fields[f].content == DW_LNCT_directory_index)
                value_constant(&value, &directory);
        }
        /* Entries of no bytes could be as many as a number can say. */
        if (reader->at == start)
            return false;
        if (files)
            add_file(table, path, directory);
        else if (table->directories.count < LIMIT_LINE_FILES)
            vec_append(&table->directories, path ? path : "");
    }
    return !reader->failed;
}

bool line_header_read(struct line_table *table)
{
    const struct elf_section *section = image_section(table->image, SECTION_LINE);
    struct reader reader = reader_open(section, table->offset, section->size);
    const uint8_t *start = reader.at;
    /* Units may share a header; all headers read cost no more than the section's size again. */
    if (reader.failed || table->image->line_bytes > section->size)
        return false;
    table->sizes.address_size = table->unit->sizes.address_size;
    uint64_t length = reader_length(&reader, &table->sizes.offset_size);
    if (reader.failed)
        return false;
    if (length < reader_left(&reader))
        reader.end = reader.at + length;
    uint64_t version = reader_fixed(&reader, 2);
    if (version < 2 || version > 5)
        return false;
    table->sizes.version = (uint8_t)version;
    if (version == 5) {
        table->sizes.address_size = (uint8_t)reader_fixed(&reader, 1);
        reader_skip(&reader, 1);
    }
    uint64_t header_length = reader_fixed(&reader, table->sizes.offset_size);
    table->program = reader;
    reader_skip(&table->program, header_length);
    reader.end = table->program.at;
    table->minimum_instruction = (uint8_t)reader_fixed(&reader, 1);
    table->maximum_operations = version >= 4 ? (uint8_t)reader_fixed(&reader, 1) : 1;
    reader_skip(&reader, 1);
    table->line_base = (int8_t)reader_fixed(&reader, 1);
    table->line_range = (uint8_t)reader_fixed(&reader, 1);
    table->opcode_base = (uint8_t)reader_fixed(&reader, 1);
    for (unsigned i = 1; i < table->opcode_base; i++)
        table->opcode_lengths[i] = (uint8_t)reader_fixed(&reader, 1);
    if (reader.failed || table->program.failed || !table->line_range || !table->opcode_base ||
        !table->maximum_operations)
        return false;
    /* A file table that can't be read whole still names its first files. */
    if (version < 5)
        read_old_tables(table, &reader);
    else if (read_entries(table, &reader, false))
        read_entries(table, &reader, true);
    table->image->line_bytes += (uint64_t)(reader.at - start);
    return true;
}

struct line_state {
    uint64_t address, file;
    uint32_t line;
    uint32_t operation; /* op_index */
};

static void state_reset(struct line_state *state)
{
    *state = (struct line_state){.file = 1, .line = 1};
}

static inline void advance(const struct line_table *table, struct line_state *state,
                           uint64_t operations)
{
    if (table->maximum_operations == 1) {
        state->address += table->minimum_instruction * operations;
        return;
    }
    uint64_t sum = state->operation + operations;
    state->address += table->minimum_instruction * (sum / table->maximum_operations);
    state->operation = (uint32_t)(sum % table->maximum_operations);
}

static void run_extended(struct line_table *table, struct line_state *state,
                         struct line_builder *builder)
{
    struct reader *program = &table->program;
    uint64_t length = reader_uleb(program);
    struct reader operand = *program;
    reader_skip(program, length);
    if (program->failed || !length)
        return;
    operand.end = program->at;
    switch (reader_fixed(&operand, 1)) {
    case DW_LNE_end_sequence:
        line_builder_end(table, builder, state->address);
        state_reset(state);
        break;
    case DW_LNE_set_address:
        if (length - 1 <= 8)
            state->address = reader_fixed(&operand, (unsigned)(length - 1));
        state->operation = 0;
        break;
    case DW_LNE_define_file: {
        const char *name = reader_string(&operand);
        uint64_t directory = reader_uleb(&operand);
        if (!operand.failed)
            add_file(table, name, directory);
        break;
    }
    default:
        break;
    }
}

static void run_standard(struct line_table *table, uint8_t opcode, struct line_state *state,
                         struct line_builder *builder)
{
    struct reader *program = &table->program;
    switch (opcode) {
    case DW_LNS_copy:
        line_builder_add(table, builder, state->address, state->file, state->line);
        break;
    case DW_LNS_advance_pc:
        advance(table, state, reader_uleb(program));
        break;
    case DW_LNS_advance_line:
        state->line += (uint32_t)reader_sleb(program);
        break;
    case DW_LNS_set_file:
        state->file = reader_uleb(program);
        break;
    case DW_LNS_const_add_pc:
        advance(table, state, (255 - table->opcode_base) / table->line_range);
        break;
    case DW_LNS_fixed_advance_pc:
        state->address += reader_fixed(program, 2);
        state->operation = 0;
        break;
    default:
        for (unsigned i = 0; i < table->opcode_lengths[opcode]; i++)
            reader_uleb(program);
    }
}

void line_program_run(struct line_table *table)
{
    struct line_builder builder = {0};
    struct line_state state;
    struct dwarf_image *image = table->image;
    struct reader *program = &table->program;
    table->decoded = true;
    if (image->line_bytes > image_section(image, SECTION_LINE)->size)
        return;
    image->line_bytes += reader_left(program);
    state_reset(&state);
    while (program->at < program->end) {
        uint8_t opcode = *program->at++;
        if (opcode >= table->opcode_base) {
            unsigned adjusted = (unsigned)(opcode - table->opcode_base);
            advance(table, &state, adjusted / table->line_range);
            state.line += (uint32_t)(table->line_base + (int)(adjusted % table->line_range));
            line_builder_add(table, &builder, state.address, state.file, state.line);
        } else if (opcode) {
            run_standard(table, opcode, &state, &builder);
        } else {
            run_extended(table, &state, &builder);
        }
    }
    /* A sequence that does not end has no length either; it holds up to its last row. */
    line_builder_end(table, &builder, builder.last);
    range_map_finish(&table->ranges);
}
