/*
 * Each table is walked once. A symbol that passes the filters is compared with all wanted names by
 * their first eight bytes, as one number, and by the rest only if these are equal. Wanted are a few
 * dozen, and nearly all symbols fail that way: a hash of whole names would have to read each to its
 * end, and can't look up beginnings.
 */
#include "symbolize/symbol_search.h"

#include "core/limits.h"

#include <gelf.h>
#include <string.h>

struct pattern {
    uint64_t head, mask; /* the first bytes of a name, and which of them count */
    const char *name;
    size_t length; /* that have to be equal, the final NUL included if it counts */
};

struct search {
    struct pattern *patterns; /* owned, as many as are wanted */
    const struct symbol_query *query;
    symbol_found_fn *found;
    void *context;
    bool any; /* one was found */
};

static unsigned type_of(const Elf64_Sym *symbol)
{
    switch (ELF64_ST_TYPE(symbol->st_info)) {
    case STT_FUNC:
    case STT_GNU_IFUNC:
        return SYMBOL_FUNCTIONS;
    case STT_OBJECT:
        return SYMBOL_DATA;
    case STT_NOTYPE:
        return SYMBOL_UNTYPED;
    default:
        return 0;
    }
}

static bool is_looked_at(const struct symbol_query *query, const Elf64_Sym *symbol)
{
    unsigned type = type_of(symbol);
    for (size_t i = 0; i < query->filter_count; i++) {
        const struct symbol_filter *filter = &query->filters[i];
        if ((type & filter->types) && symbol->st_value >= filter->start &&
            (!filter->end || symbol->st_value < filter->end) &&
            symbol->st_size >= filter->smallest &&
            (!filter->largest || symbol->st_size <= filter->largest))
            return true;
    }
    return false;
}

static uint64_t head_of(const char *name, size_t length)
{
    uint64_t head = 0;
    memcpy(&head, name, length < sizeof head ? length : sizeof head);
    return head;
}

static struct pattern pattern_of(const struct symbol_wanted *wanted)
{
    struct pattern pattern = {.name = wanted->name,
                              .length = strlen(wanted->name) + !wanted->beginning};
    pattern.head = head_of(wanted->name, pattern.length);
    pattern.mask = UINT64_MAX;
    if (pattern.length < sizeof pattern.mask)
        pattern.mask = ((uint64_t)1 << (8 * pattern.length)) - 1;
    return pattern;
}

/* `room` is what is left of the table of strings, which ends in a NUL. */
static void look_at(struct search *search, const char *name, size_t room, const Elf64_Sym *symbol)
{
    uint64_t head = head_of(name, room);
    for (size_t i = 0; i < search->query->wanted_count; i++) {
        const struct pattern *pattern = &search->patterns[i];
        if (((head ^ pattern->head) & pattern->mask) || pattern->length > room ||
            memcmp(name, pattern->name, pattern->length) != 0)
            continue;
        search->any = true;
        search->found(search->context, i,
                      &(struct symbol){name, symbol->st_value, symbol->st_size});
    }
}

static void walk(struct search *search, struct elf_file *file, const char *table_name,
                 const char *strings_name)
{
    struct elf_section table, strings;
    if (!elf_file_section(file, table_name, &table) ||
        !elf_file_section(file, strings_name, &strings))
        return;
    const uint8_t *last = strings.size ? memrchr(strings.data, '\0', strings.size) : NULL;
    size_t size = last ? (size_t)(last + 1 - strings.data) : 0;
    size_t count = table.size / sizeof(Elf64_Sym);
    for (size_t i = 0; i < count && i < LIMIT_SYMBOLS; i++) {
        Elf64_Sym
            symbol; /* copied, because a section of a hostile file may lie at an odd address */
        memcpy(&symbol, table.data + i * sizeof symbol, sizeof symbol);
        if (is_looked_at(search->query, &symbol) && symbol.st_shndx != SHN_UNDEF &&
            symbol.st_name && symbol.st_name < size)
            look_at(search, (const char *)strings.data + symbol.st_name, size - symbol.st_name,
                    &symbol);
    }
}

void symbol_search(struct elf_file *file, const struct symbol_query *query, symbol_found_fn *found,
                   void *context)
{
    struct search search = {.query = query, .found = found, .context = context};
    search.patterns = xcalloc(query->wanted_count, sizeof *search.patterns);
    for (size_t i = 0; i < query->wanted_count; i++)
        search.patterns[i] = pattern_of(&query->wanted[i]);
    walk(&search, file, ".symtab", ".strtab");
    if (!search.any)
        walk(&search, file, ".dynsym", ".dynstr");
    free(search.patterns);
}
