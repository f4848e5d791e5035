/*
 * dies.c - DIEs, their attributes, and what attribute values mean.
 *
 * Reading is by one pass over a DIE's attributes that keeps the slots of abbrevs.h raw; a value
 * is interpreted only when it is wanted. Every value that points somewhere (string, address
 * index, reference) is checked where it is followed. Nothing here recurses.
 */
#include "symbolize/dwarf_image.h"

#include "core/limits.h"

#include <dwarf.h>

const struct abbrev *die_head(const struct abbrevs *abbrevs, struct reader *reader)
{
    uint64_t code = reader_uleb(reader);
    if (!code || reader->failed)
        return NULL;
    const struct abbrev *abbrev = abbrevs_find(abbrevs, code);
    if (!abbrev)
        reader_fail(reader);
    return abbrev;
}

bool form_read(struct reader *reader, const struct form_sizes *sizes, uint16_t form,
               int64_t implicit, struct form_value *ret_value)
{
    ret_value->value = 0;
    if (form == DW_FORM_indirect) {
        uint64_t real = reader_uleb(reader);
        if (real == DW_FORM_indirect || real == DW_FORM_implicit_const || real > UINT16_MAX) {
            reader_fail(reader);
            return false;
        }
        form = (uint16_t)real;
    }
    ret_value->form = form;
    int size = form_size(form, sizes);
    if (size > 8) {
        reader_skip(reader, (uint64_t)size);
    } else if (size > 0) {
        ret_value->value = reader_fixed(reader, (unsigned)size);
    } else if (size == 0) {
        ret_value->value = form == DW_FORM_implicit_const ? (uint64_t)implicit : 1;
    } else {
        switch (form) {
        case DW_FORM_sdata:
            ret_value->value = (uint64_t)reader_sleb(reader);
            break;
        case DW_FORM_udata:
        case DW_FORM_ref_udata:
        case DW_FORM_strx:
        case DW_FORM_addrx:
        case DW_FORM_loclistx:
        case DW_FORM_rnglistx:
        case DW_FORM_GNU_addr_index:
        case DW_FORM_GNU_str_index:
            ret_value->value = reader_uleb(reader);
            break;
        case DW_FORM_string:
            ret_value->value = (uintptr_t)reader_string(reader);
            break;
        case DW_FORM_block1:
            reader_skip(reader, reader_fixed(reader, 1));
            break;
        case DW_FORM_block2:
            reader_skip(reader, reader_fixed(reader, 2));
            break;
        case DW_FORM_block4:
            reader_skip(reader, reader_fixed(reader, 4));
            break;
        case DW_FORM_block:
        case DW_FORM_exprloc:
            reader_skip(reader, reader_uleb(reader));
            break;
        default:
            reader_fail(reader);
        }
    }
    return !reader->failed;
}

void die_skip(const struct dwarf_unit *unit, const struct abbrevs *abbrevs,
              const struct abbrev *abbrev, struct reader *reader)
{
    if (abbrev->size != ABBREV_SIZE_VARIES) {
        reader_skip(reader, abbrev->size);
        return;
    }
    struct form_value unused;
    for (uint32_t i = 0; i < abbrev->count; i++)
        if (!form_read(reader, &unit->sizes, abbrevs->attributes.items[abbrev->first + i].form, 0,
                       &unused))
            return;
}

bool die_attributes(const struct dwarf_unit *unit, const struct abbrevs *abbrevs,
                    const struct abbrev *abbrev, struct reader *reader,
                    struct attributes *ret_attributes)
{
    struct form_value unused;
    ret_attributes->present = abbrev->slots;
    for (uint32_t i = 0; i < abbrev->count; i++) {
        const struct abbrev_attribute *attribute = &abbrevs->attributes.items[abbrev->first + i];
        struct form_value *value =
            attribute->slot == SLOT_NONE ? &unused : &ret_attributes->values[attribute->slot];
        if (!form_read(reader, &unit->sizes, attribute->form, attribute->implicit, value))
            return false;
    }
    return true;
}

bool die_read(struct dwarf_unit *unit, uint64_t offset, struct attributes *ret_attributes)
{
    if (offset < unit->dies)
        return false;
    struct reader reader = reader_open(image_section(unit->image, SECTION_INFO), offset, unit->end);
    const struct abbrevs *abbrevs = unit_abbrevs(unit);
    const struct abbrev *abbrev = die_head(abbrevs, &reader);
    return abbrev && die_attributes(unit, abbrevs, abbrev, &reader, ret_attributes);
}

/* The entry of a table of fixed-size items at base + index × size. */
static bool table_entry(const struct elf_section *section, uint64_t base, uint64_t index,
                        unsigned size, uint64_t *ret_entry)
{
    uint64_t offset;
    if (__builtin_mul_overflow(index, size, &offset) ||
        __builtin_add_overflow(offset, base, &offset))
        return false;
    struct reader reader = reader_open(section, offset, section->size);
    uint64_t entry = reader_fixed(&reader, size);
    if (reader.failed)
        return false;
    *ret_entry = entry;
    return true;
}

const char *value_string(struct dwarf_unit *unit, const struct form_value *value)
{
    struct dwarf_image *image = unit->image;
    uint64_t offset;
    switch (value->form) {
    case DW_FORM_string:
        return (const char *)(uintptr_t)value->value;
    case DW_FORM_strp:
        return image_string(image, SECTION_STR, value->value);
    case DW_FORM_line_strp:
        return image_string(image, SECTION_LINE_STR, value->value);
    case DW_FORM_strp_sup:
    case DW_FORM_GNU_strp_alt:
        return image->alt ? image_string(image->alt, SECTION_STR, value->value) : NULL;
    case DW_FORM_strx:
    case DW_FORM_strx1:
    case DW_FORM_strx2:
    case DW_FORM_strx3:
    case DW_FORM_strx4:
    case DW_FORM_GNU_str_index:
        if (!table_entry(image_section(image, SECTION_STR_OFFSETS), unit->str_offsets_base,
                         value->value, unit->sizes.offset_size, &offset))
            return NULL;
        return image_string(image, SECTION_STR, offset);
    default:
        return NULL;
    }
}

/* An entry of .debug_addr, which a split unit shares with its skeleton. */
static bool indexed_address(struct dwarf_unit *unit, uint64_t index, uint64_t *ret_address)
{
    struct dwarf_unit *base = unit_base(unit);
    return table_entry(image_section(base->image, SECTION_ADDR), base->addr_base, index,
                       unit->sizes.address_size, ret_address);
}

bool value_address(struct dwarf_unit *unit, const struct form_value *value, uint64_t *ret_address)
{
    switch (value->form) {
    case DW_FORM_addr:
        *ret_address = value->value;
        return true;
    case DW_FORM_addrx:
    case DW_FORM_addrx1:
    case DW_FORM_addrx2:
    case DW_FORM_addrx3:
    case DW_FORM_addrx4:
    case DW_FORM_GNU_addr_index:
        return indexed_address(unit, value->value, ret_address);
    default:
        return false;
    }
}

bool value_constant(const struct form_value *value, uint64_t *ret_constant)
{
    switch (value->form) {
    case DW_FORM_data1:
    case DW_FORM_data2:
    case DW_FORM_data4:
    case DW_FORM_data8:
    case DW_FORM_udata:
    case DW_FORM_sdata:
    case DW_FORM_implicit_const:
        *ret_constant = value->value;
        return true;
    default:
        return false;
    }
}

/* data4 and data8 were offsets into sections before DWARF 4 had DW_FORM_sec_offset. */
bool value_offset(const struct form_value *value, uint64_t *ret_offset)
{
    if (value->form != DW_FORM_sec_offset && value->form != DW_FORM_data4 &&
        value->form != DW_FORM_data8)
        return false;
    *ret_offset = value->value;
    return true;
}

bool value_reference(struct dwarf_unit *unit, const struct form_value *value,
                     struct dwarf_unit **ret_unit, uint64_t *ret_offset)
{
    struct dwarf_image *image = unit->image;
    uint64_t offset = value->value;
    switch (value->form) {
    case DW_FORM_ref1:
    case DW_FORM_ref2:
    case DW_FORM_ref4:
    case DW_FORM_ref8:
    case DW_FORM_ref_udata:
        if (__builtin_add_overflow(offset, unit->offset, &offset) || offset < unit->dies ||
            offset >= unit->end)
            return false;
        break;
    case DW_FORM_ref_sup4:
    case DW_FORM_ref_sup8:
    case DW_FORM_GNU_ref_alt:
        if (!(image = image->alt))
            return false;
        unit = image_unit_at(image, offset);
        break;
    case DW_FORM_ref_addr:
        /* Mostly another unit of the same image; a split image has only few. */
        if (offset < unit->dies || offset >= unit->end)
            unit = image_unit_at(image, offset);
        break;
    default:
        return false;
    }
    if (!unit || offset < unit->dies || !unit_load(unit, NULL))
        return false;
    *ret_unit = unit;
    *ret_offset = offset;
    return true;
}

/* Where the entries of a range list go, and the list's running base address. */
struct range_sink {
    struct dwarf_unit *unit;
    struct range_map *map;
    uint32_t value, rank;
    uint64_t base;
};

static void add_range(struct range_sink *sink, uint64_t start, uint64_t end)
{
    if (image_has_code(unit_base(sink->unit)->image, start))
        range_map_add(sink->map, start, end, sink->value, sink->rank);
}

/* DWARF 2 to 4 (DWARF 4 §2.17.3): pairs, with base address selection. */
static void read_ranges(struct range_sink *sink, struct reader *reader)
{
    unsigned size = sink->unit->sizes.address_size;
    uint64_t all_ones = size == 8 ? UINT64_MAX : UINT32_MAX;
    for (;;) {
        uint64_t start = reader_fixed(reader, size), end = reader_fixed(reader, size);
        if (reader->failed || (!start && !end))
            return;
        if (start == all_ones)
            sink->base = end;
        else if (start < end)
            add_range(sink, sink->base + start, sink->base + end);
    }
}

/* One entry of DWARF 5 §2.17.3; false at the end of the list. */
static bool read_range_entry(struct range_sink *sink, struct reader *reader)
{
    unsigned size = sink->unit->sizes.address_size;
    uint64_t start = 0, end = 0;
    bool known = true;
    switch (reader_fixed(reader, 1)) {
    case DW_RLE_base_addressx:
        sink->base = 0;
        return indexed_address(sink->unit, reader_uleb(reader), &sink->base);
    case DW_RLE_base_address:
        sink->base = reader_fixed(reader, size);
        return !reader->failed;
    case DW_RLE_offset_pair:
        start = sink->base + reader_uleb(reader);
        end = sink->base + reader_uleb(reader);
        break;
    case DW_RLE_startx_endx:
        known = indexed_address(sink->unit, reader_uleb(reader), &start);
        known &= indexed_address(sink->unit, reader_uleb(reader), &end);
        break;
    case DW_RLE_startx_length:
        known = indexed_address(sink->unit, reader_uleb(reader), &start);
        end = start + reader_uleb(reader);
        break;
    case DW_RLE_start_end:
        start = reader_fixed(reader, size);
        end = reader_fixed(reader, size);
        break;
    case DW_RLE_start_length:
        start = reader_fixed(reader, size);
        end = start + reader_uleb(reader);
        break;
    default:
        return false;
    }
    if (!reader->failed && known)
        add_range(sink, start, end);
    return !reader->failed;
}

/* Finds the list that a DW_AT_ranges value names: the image and section it is in, its offset. */
static bool find_range_list(struct dwarf_unit *unit, const struct form_value *value,
                            struct dwarf_image **ret_image, const struct elf_section **ret_lists,
                            uint64_t *ret_offset)
{
    if (unit->sizes.version >= 5) {
        *ret_image = unit->image;
        *ret_lists = image_section(unit->image, SECTION_RNGLISTS);
        if (value->form == DW_FORM_rnglistx)
            return table_entry(*ret_lists, unit->rnglists_base, value->value,
                               unit->sizes.offset_size, ret_offset) &&
                   !__builtin_add_overflow(*ret_offset, unit->rnglists_base, ret_offset);
        return value_offset(value, ret_offset);
    }
    /* GNU's split DWARF 4 keeps the lists in the main file, relative to the skeleton's base. */
    *ret_image = unit_base(unit)->image;
    *ret_lists = image_section(*ret_image, SECTION_RANGES);
    return value_offset(value, ret_offset) &&
           !(unit->skeleton && __builtin_add_overflow(*ret_offset, unit->ranges_base, ret_offset));
}

static void add_range_list(struct range_sink *sink, const struct form_value *value)
{
    struct dwarf_image *image;
    const struct elf_section *lists;
    uint64_t offset;
    if (!find_range_list(sink->unit, value, &image, &lists, &offset))
        return;
    struct reader reader = reader_open(lists, offset, lists->size);
    /* Lists are shared rarely; DIEs that all name one long list would cost their product. */
    if (reader.failed || image->range_bytes / LIMIT_DWARF_REREADS > lists->size)
        return;
    const uint8_t *start = reader.at;
    if (sink->unit->sizes.version >= 5)
        while (read_range_entry(sink, &reader))
            ;
    else
        read_ranges(sink, &reader);
    image->range_bytes += (uint64_t)(reader.at - start);
}

bool die_add_ranges(struct dwarf_unit *unit, const struct attributes *attributes,
                    struct range_map *map, uint32_t value, uint32_t rank)
{
    const struct form_value *ranges = attribute(attributes, SLOT_RANGES);
    const struct form_value *low_value = attribute(attributes, SLOT_LOW_PC);
    const struct form_value *high_value = attribute(attributes, SLOT_HIGH_PC);
    struct range_sink sink = {unit, map, value, rank, unit_base(unit)->low_pc};
    uint64_t low, high;
    if (ranges) {
        add_range_list(&sink, ranges);
        return true;
    }
    if (!low_value || !high_value || !value_address(unit, low_value, &low))
        return false;
    if (value_constant(high_value, &high))
        high += low;
    else if (!value_address(unit, high_value, &high))
        return false;
    add_range(&sink, low, high);
    return true;
}
