/*
 * abbrevs.h - abbreviation tables: the layout of a unit's DIEs (DWARF 5 §7.5.3).
 *
 * Each attribute that memprof reads has a slot; all others are only stepped over, by one
 * addition when all attributes of an abbreviation have a fixed size.
 */
#ifndef MEMPROF_SYMBOLIZE_ABBREVS_H
#define MEMPROF_SYMBOLIZE_ABBREVS_H

#include "core/alloc.h"
#include "core/hash.h"
#include "symbolize/dwarf_reader.h"

enum attribute_slot {
    SLOT_SIBLING,
    SLOT_NAME,
    SLOT_LINKAGE_NAME,
    SLOT_LOW_PC,
    SLOT_HIGH_PC,
    SLOT_RANGES,
    SLOT_ABSTRACT_ORIGIN,
    SLOT_SPECIFICATION,
    SLOT_CALL_FILE,
    SLOT_CALL_LINE,
    SLOT_DECL_FILE,
    SLOT_DECL_LINE,
    SLOT_STMT_LIST,
    SLOT_COMP_DIR,
    SLOT_DWO_NAME,
    SLOT_DWO_ID,
    SLOT_ADDR_BASE,
    SLOT_STR_OFFSETS_BASE,
    SLOT_RNGLISTS_BASE,
    SLOT_GNU_RANGES_BASE,
    SLOT_COUNT,
    SLOT_NONE = SLOT_COUNT
};

#define SLOT_BIT(slot) ((uint32_t)1 << (slot))

/* What the sizes of some forms depend on. */
struct form_sizes {
    uint8_t version, address_size, offset_size;
};

struct abbrev_attribute {
    int64_t implicit; /* the value of DW_FORM_implicit_const */
    uint16_t form;
    uint8_t slot;
};

#define ABBREV_SIZE_VARIES UINT32_MAX

struct abbrev {
    uint32_t code;
    uint16_t tag;
    bool children;
    uint32_t first, count; /* its attributes */
    uint32_t size;         /* bytes of its attributes, or ABBREV_SIZE_VARIES */
    uint32_t slots;        /* SLOT_BITs that it has */
};

struct abbrevs {
    uint64_t offset;
    struct form_sizes sizes;
    bool dense; /* codes are 1, 2, 3, …; else sorted for a binary search */
    vec(struct abbrev) items;
    vec(struct abbrev_attribute) attributes;
};

struct abbrev_cache {
    vec(struct abbrevs *) tables;
    uint64_t bytes; /* of the section that were parsed */
    struct hash_index index;
};

/* Bytes of a form's value if they are fixed, else -1. */
int form_size(uint16_t form, const struct form_sizes *sizes);

/*
 * Reads the table at an offset of .debug_abbrev into *table, up to and including `last_code`
 * (0: all of it). A malformed table ends before its first bad entry.
 * Returns the bytes read.
 */
uint64_t abbrevs_parse(struct abbrevs *table, const struct elf_section *section, uint64_t offset,
                       const struct form_sizes *sizes, uint64_t last_code);
void abbrevs_release(struct abbrevs *table);
const struct abbrev *abbrevs_find(const struct abbrevs *table, uint64_t code);

/*
 * The whole table at an offset; parsed once. Empty when as much as the whole section was already
 * parsed: only tables made to overlap do that.
 */
const struct abbrevs *abbrev_cache_get(struct abbrev_cache *cache,
                                       const struct elf_section *section, uint64_t offset,
                                       const struct form_sizes *sizes);
void abbrev_cache_release(struct abbrev_cache *cache);

#endif
