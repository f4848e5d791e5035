/*
 * dwarf_image.h - one file's DWARF: its sections, its units, and how one unit's DIEs are read.
 *
 * An image is the main file, the dwz file that it shares with others, a .dwo file, or one
 * unit's contribution to a .dwp package. Nothing is read before it is asked for: a section is
 * found (and inflated) on first use, a unit's root DIE when the unit is loaded.
 * Knows nothing of which attribute means what to a function; see inlines.h for that.
 *
 * DIEs are read here and not by libdw because libdw opens the .dwo files that a DIE names by
 * itself, with open(2) on any kind of file, and does not read .dwp packages; and because its
 * look-up of attributes one by one is several times slower than one pass over them.
 */
#ifndef MEMPROF_SYMBOLIZE_DWARF_IMAGE_H
#define MEMPROF_SYMBOLIZE_DWARF_IMAGE_H

#include "symbolize/abbrevs.h"
#include "symbolize/range_map.h"

enum image_section {
    SECTION_INFO,
    SECTION_ABBREV,
    SECTION_STR,
    SECTION_LINE,
    SECTION_LINE_STR,
    SECTION_ADDR,
    SECTION_STR_OFFSETS,
    SECTION_RANGES,
    SECTION_RNGLISTS,
    SECTION_ARANGES,
    SECTION_COUNT
};

struct form_value {
    uint64_t value; /* DW_FORM_string: the pointer */
    uint16_t form;
};

struct attributes {
    uint32_t present; /* SLOT_BITs */
    struct form_value values[SLOT_COUNT];
};

struct functions;  /* inlines.c */
struct line_table; /* lines.c */

#define NO_OFFSET UINT64_MAX

struct dwarf_unit {
    struct dwarf_image *image;
    uint64_t offset, dies, end; /* in .debug_info: the header, the root DIE, past the last DIE */
    uint64_t abbrev_offset;
    uint64_t dwo_id;
    struct form_sizes sizes;
    uint8_t type; /* DW_UT_… */
    bool loaded, valid, split_tried;
    /* Of the root DIE, once loaded; bases that are absent have their defaults. */
    uint16_t tag;
    bool children;
    uint64_t low_pc;
    uint64_t addr_base, str_offsets_base, rnglists_base, ranges_base;
    uint64_t stmt_list;                   /* NO_OFFSET: no lines */
    struct form_value comp_dir, dwo_name; /* form 0: absent */
    struct dwarf_unit *skeleton;          /* of a split unit */
    struct dwarf_unit *split;             /* of a skeleton, once found */
    struct functions *functions;
    struct line_table *lines;
};

struct dwarf_image {
    struct elf_file *file; /* owned only if it is a .dwo's; NULL for a part of a package */
    struct dwarf_image *alt;
    bool split; /* its sections are named .dwo */
    bool scanned;
    struct elf_section sections[SECTION_COUNT];
    uint32_t sections_tried;      /* bits */
    vec(struct dwarf_unit) units; /* sorted by offset; complete once scanned */
    struct abbrev_cache abbrevs;
    struct abbrevs root_abbrevs;    /* the last one that a root DIE was read with */
    uint64_t root_bytes;            /* of .debug_abbrev read for root DIEs */
    uint64_t range_bytes;           /* of range lists read */
    vec(struct line_table *) lines; /* lines.c */
    struct hash_index lines_index;
    uint64_t line_bytes;   /* of .debug_line decoded */
    uint64_t inline_bytes; /* of DIEs read for inlined functions */
};

void image_init(struct dwarf_image *image, struct elf_file *file, bool split);
void image_release(struct dwarf_image *image);
/* An empty view if there is none. */
const struct elf_section *image_section(struct dwarf_image *image, enum image_section kind);
/* The text at an offset of a string section, or NULL. */
const char *image_string(struct dwarf_image *image, enum image_section kind, uint64_t offset);
/* Reads all unit headers; later calls do nothing. */
void image_scan(struct dwarf_image *image);
/* The unit that holds an offset of .debug_info, or NULL. */
struct dwarf_unit *image_unit_at(struct dwarf_image *image, uint64_t offset);

/* Reads the root DIE, into *ret_attributes too unless NULL. False if it is malformed. */
bool unit_load(struct dwarf_unit *unit, struct attributes *ret_attributes);
/* The unit that has the line table, the file names and the addresses: the skeleton of a split one.
 */
struct dwarf_unit *unit_base(struct dwarf_unit *unit);
const struct abbrevs *unit_abbrevs(struct dwarf_unit *unit);

/* A DIE's head. `reader` goes past the code; NULL at the null entry or at something malformed. */
const struct abbrev *die_head(const struct abbrevs *abbrevs, struct reader *reader);
/* Steps over the attributes. */
void die_skip(const struct dwarf_unit *unit, const struct abbrevs *abbrevs,
              const struct abbrev *abbrev, struct reader *reader);
/* Steps over the attributes and keeps those with a slot. False if they are malformed. */
bool die_attributes(const struct dwarf_unit *unit, const struct abbrevs *abbrevs,
                    const struct abbrev *abbrev, struct reader *reader,
                    struct attributes *ret_attributes);
/* All attributes of the DIE at an offset. */
bool die_read(struct dwarf_unit *unit, uint64_t offset, struct attributes *ret_attributes);

/* Reads a value of a form; false if it is malformed or the form unknown. */
bool form_read(struct reader *reader, const struct form_sizes *sizes, uint16_t form,
               int64_t implicit, struct form_value *ret_value);
/* What values mean; NULL or false if they are of another class or malformed. */
const char *value_string(struct dwarf_unit *unit, const struct form_value *value);
bool value_address(struct dwarf_unit *unit, const struct form_value *value, uint64_t *ret_address);
bool value_constant(const struct form_value *value, uint64_t *ret_constant);
bool value_offset(const struct form_value *value, uint64_t *ret_offset);
bool value_reference(struct dwarf_unit *unit, const struct form_value *value,
                     struct dwarf_unit **ret_unit, uint64_t *ret_offset);

static inline const struct form_value *attribute(const struct attributes *attributes,
                                                 enum attribute_slot slot)
{
    return attributes->present & SLOT_BIT(slot) ? &attributes->values[slot] : NULL;
}

/*
 * Adds the ranges of a DIE (low and high pc, or DW_AT_ranges) to a map; those that start in no
 * executable part of the file were discarded by the linker and are left out. Returns false if
 * the DIE has no such attributes.
 */
bool die_add_ranges(struct dwarf_unit *unit, const struct attributes *attributes,
                    struct range_map *map, uint32_t value, uint32_t rank);
/* Whether code can be at an address. */
bool image_has_code(const struct dwarf_image *image, uint64_t address);

#endif
