/*
 * units.c - the index from addresses to units.
 *
 * Built from the ranges that each unit's root DIE gives; a unit that gives none takes what
 * .debug_aranges says of it. Not the other way round: clang writes no .debug_aranges, so a
 * program linked from several compilers' objects has an incomplete one, and the root DIE lies
 * on the page that the scan of the headers has just touched.
 */
#include "symbolize/units.h"

#include <dwarf.h>

/* The tuples of one set of .debug_aranges (DWARF 5 §6.1.2). */
static void read_set(struct dwarf_image *image, struct reader *set, uint64_t set_start,
                     const struct elf_section *section, unsigned offset_size, const bool *wanted,
                     struct range_map *map)
{
    uint64_t version = reader_fixed(set, 2);
    uint64_t offset = reader_fixed(set, offset_size);
    unsigned address_size = (unsigned)reader_fixed(set, 1);
    unsigned segment_size = (unsigned)reader_fixed(set, 1);
    if (set->failed || version != 2 || segment_size || (address_size != 4 && address_size != 8))
        return;
    const struct dwarf_unit *unit = image_unit_at(image, offset);
    if (!unit || unit->offset != offset)
        return;
    uint32_t id = (uint32_t)(unit - image->units.items);
    if (!wanted[id])
        return;
    /* Tuples are aligned to their size, counted from the start of the set. */
    uint64_t head = (uint64_t)(set->at - section->data) - set_start;
    reader_skip(set, (2 * address_size - head % (2 * address_size)) % (2 * address_size));
    for (;;) {
        uint64_t start = reader_fixed(set, address_size);
        uint64_t length = reader_fixed(set, address_size);
        if (set->failed || (!start && !length))
            return;
        if (image_has_code(image, start))
            range_map_add(map, start, start + length, id, 0);
    }
}

static void read_aranges(struct dwarf_image *image, const bool *wanted, struct range_map *map)
{
    const struct elf_section *section = image_section(image, SECTION_ARANGES);
    struct reader reader = reader_open(section, 0, section->size);
    while (reader_left(&reader)) {
        uint64_t start = (uint64_t)(reader.at - section->data);
        uint8_t offset_size;
        uint64_t length = reader_length(&reader, &offset_size);
        struct reader set = reader;
        reader_skip(&reader, length);
        if (reader.failed)
            return;
        set.end = reader.at;
        read_set(image, &set, start, section, offset_size, wanted, map);
    }
}

void units_index(struct dwarf_image *image, struct range_map *map)
{
    image_scan(image);
    _cleanup_free_ bool *wanted = xcalloc(image->units.count + 1, sizeof *wanted);
    bool any_wanted = false;
    for (size_t i = 0; i < image->units.count; i++) {
        struct dwarf_unit *unit = &image->units.items[i];
        struct attributes attributes;
        if (!unit_load(unit, &attributes) || unit->tag == DW_TAG_partial_unit)
            continue;
        wanted[i] = !die_add_ranges(unit, &attributes, map, (uint32_t)i, 0);
        any_wanted |= wanted[i];
    }
    if (any_wanted)
        read_aranges(image, wanted, map);
    range_map_finish(map);
}
