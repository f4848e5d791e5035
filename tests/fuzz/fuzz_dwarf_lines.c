/*
 * fuzz_dwarf_lines.c - .debug_line: headers, file tables and line programs, DWARF 2 to 5.
 *
 * The input is the section, and stands for the string sections too; its first byte chooses the
 * unit's string offsets base. Two tables are read, at the start and somewhere inside.
 */
#include "symbolize/lines.h"

#include <dwarf.h>
#include <string.h>

static size_t touched;

static void read_table(struct dwarf_image *image, struct dwarf_unit *unit, uint64_t offset)
{
    unit->stmt_list = offset;
    unit->lines = NULL;
    struct line_table *table = lines_get(unit);
    if (!table || lines_get(unit) != table)
        __builtin_trap();
    for (uint64_t address = 0; address < 0x40000; address += address < 0x200 ? 1 : 0x1fd) {
        const char *file = NULL;
        uint32_t line;
        if (!lines_find(table, address, &file, &line))
            continue;
        /* Every text must be readable to its end. */
        touched += file ? strlen(file) : 0;
    }
    for (uint64_t number = 0; number < 64; number++) {
        const char *file = lines_file(table, number);
        if (file != lines_file(table, number))
            __builtin_trap();
        touched += file ? strlen(file) : 0;
    }
    if (image->lines.count > 2)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct elf_section section = {data + 2, size - 2, 0};
    struct dwarf_image image = {.sections_tried = UINT32_MAX};
    image.sections[SECTION_LINE] = image.sections[SECTION_STR] = section;
    image.sections[SECTION_LINE_STR] = image.sections[SECTION_STR_OFFSETS] = section;
    struct dwarf_unit unit = {
        .image = &image,
        .sizes = {.version = 4, .address_size = data[0] & 1 ? 4 : 8, .offset_size = 4},
        .loaded = true,
        .valid = true,
        .str_offsets_base = data[0],
        .comp_dir = {.value = (uintptr_t) "/build", .form = DW_FORM_string},
    };
    read_table(&image, &unit, 0);
    if (data[1])
        read_table(&image, &unit, data[1]);
    lines_release(&image);
    image_release(&image);
    return 0;
}
