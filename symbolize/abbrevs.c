/*
 * abbrevs.c - parsing and looking up abbreviations.
 *
 * Compilers number abbreviations 1, 2, 3, …, so that a code is an array position; a table that
 * does not is sorted. Tables are shared by their offset: dwz and linkers let many units use one.
 */
#include "symbolize/abbrevs.h"

#include <dwarf.h>

static uint8_t slot_of(uint64_t name)
{
    switch (name) {
    case DW_AT_sibling:
        return SLOT_SIBLING;
    case DW_AT_name:
        return SLOT_NAME;
    case DW_AT_linkage_name:
    case DW_AT_MIPS_linkage_name:
        return SLOT_LINKAGE_NAME;
    case DW_AT_low_pc:
        return SLOT_LOW_PC;
    case DW_AT_high_pc:
        return SLOT_HIGH_PC;
    case DW_AT_ranges:
        return SLOT_RANGES;
    case DW_AT_abstract_origin:
        return SLOT_ABSTRACT_ORIGIN;
    case DW_AT_specification:
        return SLOT_SPECIFICATION;
    case DW_AT_call_file:
        return SLOT_CALL_FILE;
    case DW_AT_call_line:
        return SLOT_CALL_LINE;
    case DW_AT_decl_file:
        return SLOT_DECL_FILE;
    case DW_AT_decl_line:
        return SLOT_DECL_LINE;
    case DW_AT_stmt_list:
        return SLOT_STMT_LIST;
    case DW_AT_comp_dir:
        return SLOT_COMP_DIR;
    case DW_AT_dwo_name:
    case DW_AT_GNU_dwo_name:
        return SLOT_DWO_NAME;
    case DW_AT_GNU_dwo_id:
        return SLOT_DWO_ID;
    case DW_AT_addr_base:
    case DW_AT_GNU_addr_base:
        return SLOT_ADDR_BASE;
    case DW_AT_str_offsets_base:
        return SLOT_STR_OFFSETS_BASE;
    case DW_AT_rnglists_base:
        return SLOT_RNGLISTS_BASE;
    case DW_AT_GNU_ranges_base:
        return SLOT_GNU_RANGES_BASE;
    default:
        return SLOT_NONE;
    }
}

int form_size(uint16_t form, const struct form_sizes *sizes)
{
    switch (form) {
    case DW_FORM_flag_present:
    case DW_FORM_implicit_const:
        return 0;
    case DW_FORM_data1:
    case DW_FORM_ref1:
    case DW_FORM_flag:
    case DW_FORM_strx1:
    case DW_FORM_addrx1:
        return 1;
    case DW_FORM_data2:
    case DW_FORM_ref2:
    case DW_FORM_strx2:
    case DW_FORM_addrx2:
        return 2;
    case DW_FORM_strx3:
    case DW_FORM_addrx3:
        return 3;
    case DW_FORM_data4:
    case DW_FORM_ref4:
    case DW_FORM_strx4:
    case DW_FORM_addrx4:
    case DW_FORM_ref_sup4:
        return 4;
    case DW_FORM_data8:
    case DW_FORM_ref8:
    case DW_FORM_ref_sig8:
    case DW_FORM_ref_sup8:
        return 8;
    case DW_FORM_data16:
        return 16;
    case DW_FORM_addr:
        return sizes->address_size;
    case DW_FORM_ref_addr:
        return sizes->version <= 2 ? sizes->address_size : sizes->offset_size;
    case DW_FORM_strp:
    case DW_FORM_line_strp:
    case DW_FORM_sec_offset:
    case DW_FORM_strp_sup:
    case DW_FORM_GNU_ref_alt:
    case DW_FORM_GNU_strp_alt:
        return sizes->offset_size;
    default:
        return -1;
    }
}

/* The attributes of one abbreviation; false if the section ends in them. */
static bool parse_attributes(struct abbrevs *table, struct abbrev *abbrev, struct reader *reader)
{
    uint64_t total = 0;
    bool varies = false;
    abbrev->first = (uint32_t)table->attributes.count;
    for (;;) {
        uint64_t name = reader_uleb(reader), form = reader_uleb(reader);
        if (reader->failed || form > UINT16_MAX)
            return false;
        int64_t implicit = form == DW_FORM_implicit_const ? reader_sleb(reader) : 0;
        if (!name && !form)
            break;
        uint8_t slot = slot_of(name);
        int size = form_size((uint16_t)form, &table->sizes);
        if (size < 0)
            varies = true;
        else
            total += (uint64_t)size;
        if (slot != SLOT_NONE)
            abbrev->slots |= SLOT_BIT(slot);
        vec_append(&table->attributes, ((struct abbrev_attribute){implicit, (uint16_t)form, slot}));
    }
    abbrev->count = (uint32_t)table->attributes.count - abbrev->first;
    abbrev->size = varies || total >= ABBREV_SIZE_VARIES ? ABBREV_SIZE_VARIES : (uint32_t)total;
    return !reader->failed;
}

static int compare_abbrevs(const void *left, const void *right)
{
    const struct abbrev *a = left, *b = right;
    if (a->code != b->code)
        return a->code < b->code ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

uint64_t abbrevs_parse(struct abbrevs *table, const struct elf_section *section, uint64_t offset,
                       const struct form_sizes *sizes, uint64_t last_code)
{
    struct reader reader = reader_open(section, offset, section->size);
    const uint8_t *start = reader.at;
    table->offset = offset;
    table->sizes = *sizes;
    table->dense = true;
    table->items.count = table->attributes.count = 0;
    while (!reader.failed) {
        uint64_t code = reader_uleb(&reader);
        uint64_t tag = reader_uleb(&reader);
        uint64_t children = reader_fixed(&reader, 1);
        struct abbrev abbrev = {.code = (uint32_t)code,
                                .tag = tag <= UINT16_MAX ? (uint16_t)tag : 0,
                                .children = children};
        if (!code || code > UINT32_MAX || reader.failed ||
            !parse_attributes(table, &abbrev, &reader))
            break;
        vec_append(&table->items, abbrev);
        table->dense = table->dense && code == table->items.count;
        if (code == last_code)
            break;
    }
    if (!table->dense)
        qsort(table->items.items, table->items.count, sizeof *table->items.items, compare_abbrevs);
    return start ? (uint64_t)(reader.at - start) : 0;
}

void abbrevs_release(struct abbrevs *table)
{
    vec_release(&table->items);
    vec_release(&table->attributes);
}

const struct abbrev *abbrevs_find(const struct abbrevs *table, uint64_t code)
{
    if (table->dense)
        return code - 1 < table->items.count ? &table->items.items[code - 1] : NULL;
    size_t low = 0, high = table->items.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->items.items[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->items.count && table->items.items[low].code == code
               ? &table->items.items[low]
               : NULL;
}

static uint64_t key_hash(uint64_t offset, const struct form_sizes *sizes)
{
    uint64_t kind = (uint64_t)(sizes->version <= 2) << 16 | (uint64_t)sizes->address_size << 8 |
                    sizes->offset_size;
    return hash_combine(offset, kind);
}

static uint64_t table_hash(const void *context, uint32_t id)
{
    const struct abbrevs *table = ((const struct abbrev_cache *)context)->tables.items[id];
    return key_hash(table->offset, &table->sizes);
}

const struct abbrevs *abbrev_cache_get(struct abbrev_cache *cache,
                                       const struct elf_section *section, uint64_t offset,
                                       const struct form_sizes *sizes)
{
    uint64_t hash = key_hash(offset, sizes);
    uint32_t id;
    for (struct hash_probe probe = hash_first(hash); hash_next(&cache->index, &probe, &id);) {
        const struct abbrevs *table = cache->tables.items[id];
        if (table->offset == offset && table->sizes.address_size == sizes->address_size &&
            table->sizes.offset_size == sizes->offset_size &&
            (table->sizes.version <= 2) == (sizes->version <= 2))
            return table;
    }
    struct abbrevs *table = xcalloc(1, sizeof *table);
    table->offset = offset;
    table->sizes = *sizes;
    if (cache->bytes <= section->size)
        cache->bytes += abbrevs_parse(table, section, offset, sizes, 0);
    hash_insert(&cache->index, hash, (uint32_t)cache->tables.count, table_hash, cache);
    vec_append(&cache->tables, table);
    return table;
}

void abbrev_cache_release(struct abbrev_cache *cache)
{
    for (size_t i = 0; i < cache->tables.count; i++) {
        abbrevs_release(cache->tables.items[i]);
        free(cache->tables.items[i]);
    }
    vec_release(&cache->tables);
    hash_release(&cache->index);
}
