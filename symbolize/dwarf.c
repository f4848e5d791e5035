/*
 * dwarf.c - joins the address index, the line tables and the inlined calls.
 *
 * An address leads to its unit (units.h), the unit to the half of it that holds the DIEs
 * (split.h), that to the function and the calls inlined there (inlines.h), and each of these
 * to a name, which is cached by DIE. The place of the innermost frame comes from the line
 * table (lines.h), the places of the others are the calls' own.
 */
#include "symbolize/dwarf.h"

#include "symbolize/inlines.h"
#include "symbolize/lines.h"
#include "symbolize/split.h"
#include "symbolize/units.h"

struct named_die {
    const struct dwarf_unit *unit;
    uint64_t die;
    struct function_name name;
    const char *declared_file;
};

struct dwarf {
    struct dwarf_image main, alt;
    struct split_files split;
    bool indexed;
    struct range_map units;
    vec(struct named_die) names;
    struct hash_index names_index;
};

struct dwarf *dwarf_new(struct elf_file *debug, struct elf_file *alt, pid_t pid)
{
    struct dwarf *dwarf = xcalloc(1, sizeof *dwarf);
    image_init(&dwarf->main, debug, false);
    if (!image_section(&dwarf->main, SECTION_INFO)->size) {
        free(dwarf);
        return NULL;
    }
    if (alt) {
        image_init(&dwarf->alt, alt, false);
        dwarf->main.alt = &dwarf->alt;
    }
    dwarf->split.main = debug;
    dwarf->split.pid = pid;
    return dwarf;
}

void dwarf_free(struct dwarf *dwarf)
{
    if (!dwarf)
        return;
    split_release(&dwarf->split);
    struct dwarf_image *images[] = {&dwarf->main, &dwarf->alt};
    for (int i = 0; i < 2; i++) {
        inlines_release(images[i]);
        lines_release(images[i]);
        image_release(images[i]);
    }
    range_map_release(&dwarf->units);
    vec_release(&dwarf->names);
    hash_release(&dwarf->names_index);
    free(dwarf);
}

static uint64_t die_hash(const struct dwarf_unit *unit, uint64_t die)
{
    return hash_combine((uintptr_t)unit, die);
}

static uint64_t name_hash(const void *context, uint32_t id)
{
    const struct named_die *named = &((const struct dwarf *)context)->names.items[id];
    return die_hash(named->unit, named->die);
}

static const struct named_die *find_name(struct dwarf *dwarf, struct dwarf_unit *unit, uint64_t die)
{
    uint64_t hash = die_hash(unit, die);
    uint32_t id;
    for (struct hash_probe probe = hash_first(hash); hash_next(&dwarf->names_index, &probe, &id);)
        if (dwarf->names.items[id].unit == unit && dwarf->names.items[id].die == die)
            return &dwarf->names.items[id];
    struct named_die named = {.unit = unit, .die = die, .name = function_name_read(unit, die)};
    struct line_table *table = named.name.declared_in ? lines_get(named.name.declared_in) : NULL;
    if (table)
        named.declared_file = lines_file(table, named.name.declared_file);
    hash_insert(&dwarf->names_index, hash, (uint32_t)dwarf->names.count, name_hash, dwarf);
    vec_append(&dwarf->names, named);
    return &dwarf->names.items[dwarf->names.count - 1];
}

static void name_frame(struct dwarf *dwarf, const struct inline_frame *from,
                       struct source_frame *frame)
{
    if (!from->unit)
        return;
    const struct named_die *named = find_name(dwarf, from->unit, from->die);
    frame->function = named->name.name;
    frame->mangled = named->name.mangled;
    frame->declared_line = named->name.declared_line;
    frame->declared_file = named->declared_file;
}

size_t dwarf_find(struct dwarf *dwarf, uint64_t address,
                  struct source_frame frames[LIMIT_INLINE_DEPTH])
{
    if (!dwarf->indexed) {
        units_index(&dwarf->main, &dwarf->units);
        dwarf->indexed = true;
    }
    uint32_t id;
    if (!range_map_find(&dwarf->units, address, &id))
        return 0;
    struct dwarf_unit *unit = &dwarf->main.units.items[id];
    struct dwarf_unit *body = split_unit(&dwarf->split, unit);
    struct inline_frame found[LIMIT_INLINE_DEPTH];
    size_t count = inlines_find(body, address, found);
    struct line_table *table = lines_get(unit);
    struct source_frame innermost = {0};
    bool has_line = table && lines_find(table, address, &innermost.file, &innermost.line);
    if (!count) {
        if (has_line)
            frames[0] = innermost;
        return has_line;
    }
    for (size_t i = 0; i < count; i++) {
        frames[i] = innermost;
        name_frame(dwarf, &found[i], &frames[i]);
        innermost = (struct source_frame){
            .file = table ? lines_file(table, found[i].call_file) : NULL,
            .line = (uint32_t)found[i].call_line,
        };
    }
    return count;
}
