/*
 * dwarf_image.c - sections and units.
 *
 * Unit headers are chained by their lengths, so that finding all units touches one page of
 * .debug_info each. A unit that can't be read (an unknown version, a type unit, a reserved
 * length) is passed over or ends the scan; what was found before stays usable.
 */
#include "symbolize/dwarf_image.h"

#include "core/limits.h"

#include <dwarf.h>

static const char *const section_names[SECTION_COUNT] = {
    [SECTION_INFO] = ".debug_info",
    [SECTION_ABBREV] = ".debug_abbrev",
    [SECTION_STR] = ".debug_str",
    [SECTION_LINE] = ".debug_line",
    [SECTION_LINE_STR] = ".debug_line_str",
    [SECTION_ADDR] = ".debug_addr",
    [SECTION_STR_OFFSETS] = ".debug_str_offsets",
    [SECTION_RANGES] = ".debug_ranges",
    [SECTION_RNGLISTS] = ".debug_rnglists",
    [SECTION_ARANGES] = ".debug_aranges",
};

void image_init(struct dwarf_image *image, struct elf_file *file, bool split)
{
    *image = (struct dwarf_image){.file = file, .split = split};
}

void image_release(struct dwarf_image *image)
{
    abbrev_cache_release(&image->abbrevs);
    abbrevs_release(&image->root_abbrevs);
    vec_release(&image->units);
    vec_release(&image->lines);
    hash_release(&image->lines_index);
}

const struct elf_section *image_section(struct dwarf_image *image, enum image_section kind)
{
    uint32_t bit = (uint32_t)1 << kind;
    if (!(image->sections_tried & bit) && image->file) {
        char name[32];
        snprintf(name, sizeof name, "%s%s", section_names[kind], image->split ? ".dwo" : "");
        elf_file_section(image->file, name, &image->sections[kind]);
    }
    image->sections_tried |= bit;
    return &image->sections[kind];
}

const char *image_string(struct dwarf_image *image, enum image_section kind, uint64_t offset)
{
    const struct elf_section *section = image_section(image, kind);
    struct reader reader = reader_open(section, offset, section->size);
    if (reader_left(&reader) > LIMIT_STRING_BYTES)
        reader.end = reader.at + LIMIT_STRING_BYTES;
    return reader_string(&reader);
}

/* A unit's header (DWARF 5 §7.5.1) from behind its length; false for units that are not read. */
static bool read_header(struct dwarf_unit *unit, struct reader *reader)
{
    unit->sizes.version = (uint8_t)reader_fixed(reader, 2);
    if (unit->sizes.version < 2 || unit->sizes.version > 5)
        return false;
    if (unit->sizes.version == 5) {
        unit->type = (uint8_t)reader_fixed(reader, 1);
        unit->sizes.address_size = (uint8_t)reader_fixed(reader, 1);
        unit->abbrev_offset = reader_fixed(reader, unit->sizes.offset_size);
        if (unit->type == DW_UT_skeleton || unit->type == DW_UT_split_compile)
            unit->dwo_id = reader_fixed(reader, 8);
        else if (unit->type != DW_UT_compile && unit->type != DW_UT_partial)
            return false;
    } else {
        unit->type = DW_UT_compile;
        unit->abbrev_offset = reader_fixed(reader, unit->sizes.offset_size);
        unit->sizes.address_size = (uint8_t)reader_fixed(reader, 1);
    }
    return !reader->failed && (unit->sizes.address_size == 4 || unit->sizes.address_size == 8);
}

void image_scan(struct dwarf_image *image)
{
    if (image->scanned)
        return;
    image->scanned = true;
    const struct elf_section *info = image_section(image, SECTION_INFO);
    struct reader reader = reader_open(info, 0, info->size);
    while (reader_left(&reader) && image->units.count < LIMIT_DWARF_UNITS) {
        struct dwarf_unit unit = {.image = image, .offset = (uint64_t)(reader.at - info->data)};
        uint64_t length = reader_length(&reader, &unit.sizes.offset_size);
        if (reader.failed)
            break;
        /* A truncated file's last unit is read as far as it goes. */
        if (length > reader_left(&reader))
            length = reader_left(&reader);
        struct reader header = {reader.at, reader.at + length, false};
        reader_skip(&reader, length);
        unit.end = (uint64_t)(reader.at - info->data);
        bool known = read_header(&unit, &header);
        unit.dies = (uint64_t)(header.at - info->data);
        if (known)
            vec_append(&image->units, unit);
    }
}

struct dwarf_unit *image_unit_at(struct dwarf_image *image, uint64_t offset)
{
    image_scan(image);
    size_t low = 0, high = image->units.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (image->units.items[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || offset >= image->units.items[low - 1].end)
        return NULL;
    return &image->units.items[low - 1];
}

struct dwarf_unit *unit_base(struct dwarf_unit *unit)
{
    return unit->skeleton ? unit->skeleton : unit;
}

const struct abbrevs *unit_abbrevs(struct dwarf_unit *unit)
{
    return abbrev_cache_get(&unit->image->abbrevs, image_section(unit->image, SECTION_ABBREV),
                            unit->abbrev_offset, &unit->sizes);
}

/*
 * The abbreviations up to the root DIE's own: indexing all units must not parse all tables.
 * Units of a dwz file share a table, hence the look at the last one.
 */
static const struct abbrevs *root_abbrevs(struct dwarf_unit *unit, uint64_t code)
{
    struct dwarf_image *image = unit->image;
    struct abbrevs *table = &image->root_abbrevs;
    const struct elf_section *section = image_section(image, SECTION_ABBREV);
    if (table->items.count && table->offset == unit->abbrev_offset &&
        !memcmp(&table->sizes, &unit->sizes, sizeof table->sizes) && abbrevs_find(table, code))
        return table;
    if (image->root_bytes / LIMIT_DWARF_REREADS > section->size)
        return NULL;
    image->root_bytes += abbrevs_parse(table, section, unit->abbrev_offset, &unit->sizes, code);
    return table;
}

static void set_bases(struct dwarf_unit *unit, const struct attributes *attributes)
{
    const struct dwarf_unit *skeleton = unit->skeleton;
    unsigned version = unit->sizes.version;
    bool wide = unit->sizes.offset_size == 8;
    /* Without the attribute: past the header of the section's only (or first) table. */
    unit->addr_base = version < 5 ? 0 : wide ? 16 : 8;
    unit->str_offsets_base = version < 5 ? 0 : wide ? 16 : 8;
    unit->rnglists_base = version < 5 ? 0 : wide ? 20 : 12;
    unit->ranges_base = 0;
    unit->stmt_list = NO_OFFSET;
    struct {
        enum attribute_slot slot;
        uint64_t *offset;
    } offsets[] = {
        {SLOT_ADDR_BASE, &unit->addr_base},
        {SLOT_STR_OFFSETS_BASE, &unit->str_offsets_base},
        {SLOT_RNGLISTS_BASE, &unit->rnglists_base},
        {SLOT_GNU_RANGES_BASE, &unit->ranges_base},
        {SLOT_STMT_LIST, &unit->stmt_list},
    };
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        const struct form_value *value = attribute(attributes, offsets[i].slot);
        if (value)
            value_offset(value, offsets[i].offset);
    }
    if (skeleton) {
        unit->addr_base = skeleton->addr_base;
        unit->ranges_base = skeleton->ranges_base;
        unit->low_pc = skeleton->low_pc;
        unit->stmt_list = skeleton->stmt_list;
    }
}

bool unit_load(struct dwarf_unit *unit, struct attributes *ret_attributes)
{
    if (unit->loaded && (!unit->valid || !ret_attributes))
        return unit->valid;
    unit->loaded = true;
    unit->valid = false;
    struct reader reader =
        reader_open(image_section(unit->image, SECTION_INFO), unit->dies, unit->end);
    struct reader code_reader = reader;
    const struct abbrevs *abbrevs = root_abbrevs(unit, reader_uleb(&code_reader));
    const struct abbrev *abbrev = abbrevs ? die_head(abbrevs, &reader) : NULL;
    struct attributes attributes;
    if (!abbrev || !die_attributes(unit, abbrevs, abbrev, &reader, &attributes))
        return false;
    unit->tag = abbrev->tag;
    unit->children = abbrev->children;
    set_bases(unit, &attributes);
    const struct form_value *low = attribute(&attributes, SLOT_LOW_PC);
    const struct form_value *id = attribute(&attributes, SLOT_DWO_ID);
    const struct form_value *directory = attribute(&attributes, SLOT_COMP_DIR);
    const struct form_value *dwo = attribute(&attributes, SLOT_DWO_NAME);
    if (low)
        value_address(unit, low, &unit->low_pc);
    if (id)
        value_constant(id, &unit->dwo_id);
    unit->comp_dir = directory ? *directory : (struct form_value){0};
    unit->dwo_name = dwo ? *dwo : (struct form_value){0};
    unit->valid = true;
    if (ret_attributes)
        *ret_attributes = attributes;
    return true;
}

bool image_has_code(const struct dwarf_image *image, uint64_t address)
{
    if (!image->file || !image->file->loads.count)
        return true;
    for (size_t i = 0; i < image->file->loads.count; i++) {
        const struct elf_load *load = &image->file->loads.items[i];
        if (load->executable && address >= load->vaddr && address - load->vaddr < load->memory_size)
            return true;
    }
    return false;
}
