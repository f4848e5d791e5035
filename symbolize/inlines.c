/*
 * inlines.c - functions of a unit, and the trees of inlined calls in them.
 *
 * The first look-up in a unit walks its DIEs for subprograms that have code. It jumps over
 * whatever can't hold them at the outer levels by DW_AT_sibling, where there is one: gcc's
 * classes and function bodies. Code that belongs to a unit but to none of these functions is
 * in one defined within a class or a function (a lambda): then the unit is walked once more,
 * without jumps. clang writes no siblings, so its first walk has seen everything already.
 *
 * The first look-up in a function reads its subtree once into nodes {parent, origin, call}
 * and a range map to the innermost node; dwarf_getscopes, the obvious alternative, walks the
 * unit for every address. All walks are loops with a depth, never recursion, and only go
 * forward.
 */
#include "symbolize/inlines.h"

#include <dwarf.h>

#define NO_NODE UINT32_MAX

struct inline_node {
    uint32_t parent; /* the node it is inlined in, or NO_NODE: the function itself */
    uint32_t call_line;
    uint64_t call_file;
    struct dwarf_unit *unit; /* of the abstract origin */
    uint64_t origin;
};

struct function {
    uint64_t die;
    bool read; /* nodes and inlined are there */
    vec(struct inline_node) nodes;
    struct range_map inlined; /* to nodes */
};

struct functions {
    vec(struct function) items;
    struct range_map map;
    bool complete; /* nothing was jumped over */
};

/* A walk over a unit's DIEs, in file order. */
struct walk {
    struct dwarf_unit *unit;
    const struct abbrevs *abbrevs;
    const uint8_t *info; /* start of .debug_info */
    struct reader reader;
    unsigned depth; /* of the next DIE below the first one's parent */
};

static struct walk walk_begin(struct dwarf_unit *unit, uint64_t offset)
{
    const struct elf_section *info = image_section(unit->image, SECTION_INFO);
    return (struct walk){.unit = unit,
                         .abbrevs = unit_abbrevs(unit),
                         .info = info->data,
                         .reader = reader_open(info, offset, unit->end)};
}

/* The head of the next DIE, past null entries; NULL where the subtree or what is readable ends. */
static const struct abbrev *walk_next(struct walk *walk, uint64_t *ret_offset)
{
    while (reader_left(&walk->reader)) {
        *ret_offset = (uint64_t)(walk->reader.at - walk->info);
        const struct abbrev *abbrev = die_head(walk->abbrevs, &walk->reader);
        if (abbrev)
            return abbrev;
        if (walk->reader.failed || walk->depth <= 1)
            return NULL;
        walk->depth--;
    }
    return NULL;
}

/* Goes on with the DIE's children; false if they are too deep. */
static bool walk_enter(struct walk *walk, const struct abbrev *abbrev)
{
    if (abbrev->children)
        walk->depth++;
    return walk->depth < LIMIT_DIE_DEPTH;
}

/* Jumps over the children by DW_AT_sibling; false without a usable one. */
static bool walk_jump(struct walk *walk, const struct attributes *attributes)
{
    const struct form_value *sibling = attribute(attributes, SLOT_SIBLING);
    struct dwarf_unit *unit = NULL;
    uint64_t offset;
    if (!sibling || !value_reference(walk->unit, sibling, &unit, &offset) || unit != walk->unit ||
        walk->info + offset < walk->reader.at)
        return false;
    walk->reader.at = walk->info + offset;
    return true;
}

/* Reads past the children, one by one where they have no sibling to jump to. */
static bool walk_over(struct walk *walk, const struct abbrev *abbrev)
{
    if (!abbrev->children)
        return true;
    unsigned outside = walk->depth;
    if (!walk_enter(walk, abbrev))
        return false;
    while (walk->depth > outside) {
        const struct abbrev *child;
        if (!reader_left(&walk->reader))
            return false;
        if (!(child = die_head(walk->abbrevs, &walk->reader))) {
            if (walk->reader.failed)
                return false;
            walk->depth--;
            continue;
        }
        struct attributes attributes;
        bool jumped = false;
        if (child->slots & SLOT_BIT(SLOT_SIBLING) && child->children)
            jumped = die_attributes(walk->unit, walk->abbrevs, child, &walk->reader, &attributes) &&
                     walk_jump(walk, &attributes);
        else
            die_skip(walk->unit, walk->abbrevs, child, &walk->reader);
        if (!jumped && !walk_enter(walk, child))
            return false;
    }
    return true;
}

static bool holds_functions(uint16_t tag)
{
    return tag == DW_TAG_namespace || tag == DW_TAG_module || tag == DW_TAG_compile_unit ||
           tag == DW_TAG_skeleton_unit;
}

static void add_function(struct functions *functions, struct dwarf_unit *unit, uint64_t die,
                         const struct attributes *attributes)
{
    size_t before = functions->map.ranges.count;
    die_add_ranges(unit, attributes, &functions->map, (uint32_t)functions->items.count, 0);
    if (functions->map.ranges.count > before)
        vec_append(&functions->items, ((struct function){.die = die}));
}

static void find_functions(struct functions *functions, struct dwarf_unit *unit, bool jump)
{
    const uint32_t code = SLOT_BIT(SLOT_LOW_PC) | SLOT_BIT(SLOT_RANGES);
    struct walk walk = walk_begin(unit, unit->dies);
    uint64_t offset;
    functions->complete = true;
    for (const struct abbrev *abbrev; (abbrev = walk_next(&walk, &offset));) {
        bool function = abbrev->tag == DW_TAG_subprogram && abbrev->slots & code;
        bool may_jump = jump && abbrev->children && !holds_functions(abbrev->tag) &&
                        abbrev->slots & SLOT_BIT(SLOT_SIBLING);
        if (function || may_jump) {
            struct attributes attributes;
            if (!die_attributes(unit, walk.abbrevs, abbrev, &walk.reader, &attributes))
                break;
            if (function)
                add_function(functions, unit, offset, &attributes);
            if (may_jump && walk_jump(&walk, &attributes)) {
                functions->complete = false;
                continue;
            }
        } else {
            die_skip(unit, walk.abbrevs, abbrev, &walk.reader);
        }
        if (!walk_enter(&walk, abbrev))
            break;
    }
    range_map_finish(&functions->map);
}

static void functions_release(struct functions *functions)
{
    for (size_t i = 0; i < functions->items.count; i++) {
        vec_release(&functions->items.items[i].nodes);
        range_map_release(&functions->items.items[i].inlined);
    }
    vec_release(&functions->items);
    range_map_release(&functions->map);
}

void inlines_release(struct dwarf_image *image)
{
    for (size_t i = 0; i < image->units.count; i++) {
        struct functions *functions = image->units.items[i].functions;
        if (functions)
            functions_release(functions);
        free(functions);
    }
}

static struct function *find_function(struct dwarf_unit *unit, uint64_t address)
{
    uint32_t id;
    if (!unit->functions) {
        unit->functions = xcalloc(1, sizeof *unit->functions);
        find_functions(unit->functions, unit, true);
    }
    struct functions *functions = unit->functions;
    if (range_map_find(&functions->map, address, &id))
        return &functions->items.items[id];
    if (functions->complete)
        return NULL;
    functions_release(functions);
    *functions = (struct functions){0};
    find_functions(functions, unit, false);
    return range_map_find(&functions->map, address, &id) ? &functions->items.items[id] : NULL;
}

static uint32_t add_node(struct function *function, struct dwarf_unit *unit, uint32_t parent,
                         unsigned depth, const struct attributes *attributes)
{
    const struct form_value *origin = attribute(attributes, SLOT_ABSTRACT_ORIGIN);
    const struct form_value *file = attribute(attributes, SLOT_CALL_FILE);
    const struct form_value *line = attribute(attributes, SLOT_CALL_LINE);
    struct inline_node node = {.parent = parent};
    uint64_t call_line = 0;
    if (file)
        value_constant(file, &node.call_file);
    if (line)
        value_constant(line, &call_line);
    node.call_line = (uint32_t)call_line;
    if (origin)
        value_reference(unit, origin, &node.unit, &node.origin);
    uint32_t id = (uint32_t)function->nodes.count;
    die_add_ranges(unit, attributes, &function->inlined, id, depth);
    vec_append(&function->nodes, node);
    return id;
}

static bool holds_inlines(uint16_t tag)
{
    return tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine ||
           tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

/* Reads the inlined calls of a function; what can't hold any is stepped over. */
static void read_inlines(struct function *function, struct dwarf_unit *unit)
{
    uint32_t parents[LIMIT_DIE_DEPTH + 1]; /* the node around the DIEs of each depth */
    struct walk walk = walk_begin(unit, function->die);
    uint64_t offset;
    function->read = true;
    /* Functions of a hostile file may lie within one another. */
    if (unit->image->inline_bytes / LIMIT_DWARF_REREADS >
        image_section(unit->image, SECTION_INFO)->size)
        return;
    const uint8_t *start = walk.reader.at;
    const struct abbrev *abbrev = walk_next(&walk, &offset);
    if (!abbrev || !abbrev->children)
        return;
    die_skip(unit, walk.abbrevs, abbrev, &walk.reader);
    walk.depth = 1;
    parents[1] = NO_NODE;
    while ((abbrev = walk_next(&walk, &offset))) {
        bool jumped = false;
        uint32_t node = parents[walk.depth];
        if (abbrev->tag == DW_TAG_inlined_subroutine ||
            (abbrev->children && abbrev->slots & SLOT_BIT(SLOT_SIBLING) &&
             !holds_inlines(abbrev->tag))) {
            struct attributes attributes;
            if (!die_attributes(unit, walk.abbrevs, abbrev, &walk.reader, &attributes))
                break;
            if (abbrev->tag == DW_TAG_inlined_subroutine)
                node = add_node(function, unit, node, walk.depth, &attributes);
            else
                jumped = walk_jump(&walk, &attributes);
        } else {
            die_skip(unit, walk.abbrevs, abbrev, &walk.reader);
        }
        if (jumped)
            continue;
        if (!holds_inlines(abbrev->tag)) {
            if (!walk_over(&walk, abbrev))
                break;
        } else if (!walk_enter(&walk, abbrev)) {
            break;
        }
        if (abbrev->children && holds_inlines(abbrev->tag))
            parents[walk.depth] = node;
    }
    unit->image->inline_bytes += (uint64_t)(walk.reader.at - start);
    range_map_finish(&function->inlined);
}

size_t inlines_find(struct dwarf_unit *unit, uint64_t address,
                    struct inline_frame ret_frames[LIMIT_INLINE_DEPTH])
{
    struct function *function = find_function(unit, address);
    if (!function)
        return 0;
    if (!function->read)
        read_inlines(function, unit);
    size_t count = 0;
    uint32_t id;
    if (range_map_find(&function->inlined, address, &id))
        for (; id != NO_NODE; id = function->nodes.items[id].parent) {
            const struct inline_node *node = &function->nodes.items[id];
            if (count < LIMIT_INLINE_DEPTH - 1)
                ret_frames[count++] = (struct inline_frame){node->unit, node->origin,
                                                            node->call_file, node->call_line};
        }
    ret_frames[count++] = (struct inline_frame){.unit = unit, .die = function->die};
    return count;
}

struct function_name function_name_read(struct dwarf_unit *unit, uint64_t die)
{
    struct function_name name = {0};
    struct attributes attributes;
    for (int hops = 0; hops < LIMIT_DIE_HOPS && die_read(unit, die, &attributes); hops++) {
        const struct form_value *linkage = attribute(&attributes, SLOT_LINKAGE_NAME);
        const struct form_value *plain = attribute(&attributes, SLOT_NAME);
        const struct form_value *line = attribute(&attributes, SLOT_DECL_LINE);
        const struct form_value *file = attribute(&attributes, SLOT_DECL_FILE);
        const char *text;
        uint64_t number;
        if (linkage && !name.mangled && (text = value_string(unit, linkage))) {
            name.name = text;
            name.mangled = true;
        }
        if (plain && !name.name)
            name.name = value_string(unit, plain);
        if (line && !name.declared_line && value_constant(line, &number))
            name.declared_line = (uint32_t)number;
        if (file && !name.declared_in && value_constant(file, &name.declared_file))
            name.declared_in = unit;
        const struct form_value *next = attribute(&attributes, SLOT_ABSTRACT_ORIGIN);
        if (!next)
            next = attribute(&attributes, SLOT_SPECIFICATION);
        if (!next || !value_reference(unit, next, &unit, &die))
            break;
    }
    return name;
}
