/*
 * lines.c - line tables in memory: paths, packed rows, and their look-up.
 *
 * A row is 8 bytes: its distance from the start of its sequence, and file and line in 32 bits,
 * the file in as many as the table's number of files needs; the rare pair that does not fit is
 * kept aside. Of rows at one address the last counts, and a row that repeats the place of the
 * one before is dropped. Sequences are the ranges of a range_map; inside one, rows ascend.
 */
#include "symbolize/lines_internal.h"

#include "core/limits.h"

#include <dwarf.h>

/* The position that a row's packed place stands for. */
static void unpack_place(const struct line_table *table, uint32_t place, uint32_t *ret_file,
                         uint32_t *ret_line)
{
    uint32_t file = place >> table->line_bits;
    uint32_t line = place & (((uint32_t)1 << table->line_bits) - 1);
    if (file == UINT32_MAX >> table->line_bits && line < table->wide.count) {
        *ret_file = table->wide.items[line].file;
        *ret_line = table->wide.items[line].line;
        return;
    }
    *ret_file = file;
    *ret_line = line;
}

static uint32_t pack_place(struct line_table *table, uint64_t file, uint32_t line)
{
    uint32_t marker = UINT32_MAX >> table->line_bits;
    uint32_t line_end = (uint32_t)1 << table->line_bits;
    if (file < marker && line < line_end)
        return (uint32_t)file << table->line_bits | line;
    struct line_place wide = {file <= UINT32_MAX ? (uint32_t)file : UINT32_MAX, line};
    size_t count = table->wide.count;
    if (count && table->wide.items[count - 1].file == wide.file &&
        table->wide.items[count - 1].line == line)
        return marker << table->line_bits | (uint32_t)(count - 1);
    /* A table with more wide rows than the index can number has no line for the rest. */
    if (count >= line_end - 1)
        return 0;
    vec_append(&table->wide, wide);
    return marker << table->line_bits | (uint32_t)count;
}

static void close_sequence(struct line_table *table, struct line_builder *builder, uint64_t end)
{
    if (!builder->open)
        return;
    builder->open = false;
    uint32_t first = builder->first, count = (uint32_t)table->rows.count - first;
    if (!count || end <= builder->start || !image_has_code(table->image, builder->start)) {
        table->rows.count = first;
        return;
    }
    range_map_add(&table->ranges, builder->start, end, (uint32_t)table->sequences.count, 0);
    vec_append(&table->sequences, ((struct line_sequence){builder->start, first, count}));
}

void line_builder_add(struct line_table *table, struct line_builder *builder, uint64_t address,
                      uint64_t file, uint32_t line)
{
    /* Addresses only rise within a sequence; one that does not begins another. */
    if (builder->open && (address < builder->last || address - builder->start > UINT32_MAX))
        close_sequence(table, builder, builder->last);
    if (table->rows.count >= UINT32_MAX)
        return;
    if (!builder->open) {
        builder->open = true;
        builder->start = address;
        builder->first = (uint32_t)table->rows.count;
    }
    builder->last = address;
    struct line_row row = {(uint32_t)(address - builder->start), pack_place(table, file, line)};
    struct line_row *previous =
        table->rows.count > builder->first ? &table->rows.items[table->rows.count - 1] : NULL;
    if (previous && previous->distance == row.distance)
        previous->place = row.place;
    else if (!previous || previous->place != row.place)
        vec_append(&table->rows, row);
}

void line_builder_end(struct line_table *table, struct line_builder *builder, uint64_t address)
{
    if (builder->open && address - builder->start > UINT32_MAX)
        address = builder->last;
    close_sequence(table, builder, address);
}

static const char *join_path(struct arena *arena, const char *directory, const char *parent,
                             const char *name)
{
    _cleanup_free_ char *path = NULL;
    size_t length =
        strlen(name) + (directory ? strlen(directory) : 0) + (parent ? strlen(parent) : 0);
    if (*name == '/' || !directory || !*directory || length > LIMIT_PATH_BYTES)
        return name;
    if (*directory == '/' || !parent || !*parent || !strcmp(directory, parent))
        path = xasprintf("%s/%s", directory, name);
    else
        path = xasprintf("%s/%s/%s", parent, directory, name);
    return arena_strndup(arena, path, strlen(path));
}

const char *lines_file(struct line_table *table, uint64_t number)
{
    /* Numbers began at 1 before DWARF 5, and directory 0 was not in the table. */
    uint64_t first = table->sizes.version < 5;
    if (number - first >= table->files.count)
        return NULL;
    struct line_file *file = &table->files.items[number - first];
    if (!file->path) {
        const char *compiled_in = value_string(table->unit, &table->unit->comp_dir);
        const char *directory = NULL;
        if (first && !file->directory)
            directory = compiled_in;
        else if (file->directory - first < table->directories.count)
            directory = table->directories.items[file->directory - first];
        file->path = join_path(&table->paths, directory, compiled_in, file->name);
    }
    return file->path;
}

bool lines_find(struct line_table *table, uint64_t address, const char **ret_file,
                uint32_t *ret_line)
{
    if (!table->decoded)
        line_program_run(table);
    uint32_t id;
    if (!range_map_find(&table->ranges, address, &id))
        return false;
    const struct line_sequence *sequence = &table->sequences.items[id];
    const struct line_row *rows = &table->rows.items[sequence->first];
    uint64_t distance = address - sequence->start;
    uint32_t low = 0, high = sequence->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (rows[middle].distance <= distance)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return false;
    uint32_t file;
    unpack_place(table, rows[low - 1].place, &file, ret_line);
    *ret_file = lines_file(table, file);
    return true;
}

static uint64_t table_hash(const void *context, uint32_t id)
{
    return hash_mix(((const struct dwarf_image *)context)->lines.items[id]->offset);
}

static struct line_table *find_table(struct dwarf_unit *unit)
{
    struct dwarf_image *image = unit->image;
    uint64_t hash = hash_mix(unit->stmt_list);
    uint32_t id;
    for (struct hash_probe probe = hash_first(hash); hash_next(&image->lines_index, &probe, &id);)
        if (image->lines.items[id]->offset == unit->stmt_list)
            return image->lines.items[id];
    struct line_table *table = xcalloc(1, sizeof *table);
    table->image = image;
    table->unit = unit;
    table->offset = unit->stmt_list;
    table->decoded = !line_header_read(table);
    /* One file number more than there are stands for a place kept aside. */
    unsigned file_bits = 1;
    while (file_bits < 16 && table->files.count + 2 > (size_t)1 << file_bits)
        file_bits++;
    table->line_bits = 32 - file_bits;
    hash_insert(&image->lines_index, hash, (uint32_t)image->lines.count, table_hash, image);
    vec_append(&image->lines, table);
    return table;
}

struct line_table *lines_get(struct dwarf_unit *unit)
{
    unit = unit_base(unit);
    if (!unit->lines && unit_load(unit, NULL) && unit->stmt_list != NO_OFFSET)
        unit->lines = find_table(unit);
    return unit->lines;
}

void lines_release(struct dwarf_image *image)
{
    for (size_t i = 0; i < image->lines.count; i++) {
        struct line_table *table = image->lines.items[i];
        vec_release(&table->directories);
        vec_release(&table->files);
        vec_release(&table->rows);
        vec_release(&table->wide);
        vec_release(&table->sequences);
        range_map_release(&table->ranges);
        arena_release(&table->paths);
        free(table);
    }
}
