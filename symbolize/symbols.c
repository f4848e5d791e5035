/*
 * The symbol tables are walked once; each function becomes a 16-byte key {address, size, which
 * symbol and its rank}, and the keys are radix-sorted. Then symbols of equal address are resolved
 * and the table is split into the start addresses, which the binary search touches, and the rest.
 *
 * Invariants: starts ascend (twice the same only when a longer symbol lies under the preferred
 * one). `outer` of an entry is the nearest earlier entry that ends after it, so that the symbol
 * with the closest start that covers an address is found by following outer from the last entry
 * that starts at or before it. A symbol without a size stands only where no sized one covers its
 * start, and ends at the next entry or with its section.
 *
 * Why not dwfl_module_addrinfo: it scans all symbols for each address, 3.5 ms in a file of
 * 100,000; the whole table here costs about as much as two such look-ups.
 */
#include "symbolize/symbols.h"

#include "core/limits.h"
#include "symbolize/address_sort.h"
#include "symbolize/mini_debug.h"
#include "symbolize/plt.h"

#include <gelf.h>
#include <string.h>

enum {
    REF_BITS = 26,    /* LIMIT_SYMBOLS fits */
    OUTER_STEPS = 64, /* nesting that is followed in a look-up */
    NO_OUTER = -1
};
_Static_assert(LIMIT_SYMBOLS < 1 << REF_BITS, "a ref can name each symbol");

struct entry {
    uint32_t size;
    uint32_t ref;
    int32_t outer;
};

struct area { /* a section of the file, by section number */
    uint64_t start, end;
    bool executable;
};

struct source { /* one symbol table with its strings */
    const uint8_t *symbols;
    uint32_t count;
    uint32_t first_ref;
    const char *strings;
    size_t string_bytes; /* the last one is NUL */
    size_t areas;        /* into symbols.areas */
    size_t area_count;
    bool full; /* .symtab: preferred to .dynsym, which repeats part of it */
};

struct symbols {
    uint64_t *starts;
    struct entry *entries;
    size_t count;
    uint32_t refs;
    vec(struct source) sources;
    vec(struct area) areas;
    vec(struct elf_file *) mini_files;
    vec(uint8_t *) mini_images;
    struct plt_symbols plt;
};

/* The tag: position among the symbols of all sources, and rank_of above it. */
typedef vec(struct address_item) key_vec;

static uint32_t ref_of(const struct address_item *key)
{
    return key->tag & ((1u << REF_BITS) - 1);
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* Copied, because a section of a hostile file may lie at an odd address. */
static Elf64_Sym symbol_at(const struct source *source, uint32_t index)
{
    Elf64_Sym symbol;
    memcpy(&symbol, source->symbols + (size_t)index * sizeof symbol, sizeof symbol);
    return symbol;
}

static const struct source *source_of(const struct symbols *symbols, uint32_t ref)
{
    size_t i = symbols->sources.count - 1;
    while (symbols->sources.items[i].first_ref > ref)
        i--;
    return &symbols->sources.items[i];
}

static const char *name_of(const struct symbols *symbols, uint32_t ref)
{
    const struct source *source = source_of(symbols, ref);
    return source->strings + symbol_at(source, ref - source->first_ref).st_name;
}

static const struct area *area_of(const struct symbols *symbols, const struct source *source,
                                  const Elf64_Sym *symbol)
{
    if (symbol->st_shndx >= source->area_count)
        return NULL;
    return &symbols->areas.items[source->areas + symbol->st_shndx];
}

/* The sections of a file, section 0 included, so that st_shndx is a position. */
static size_t add_areas(struct symbols *symbols, struct elf_file *file)
{
    size_t added = 0, count = 0;
    if (elf_getshdrnum(file->elf, &count) || count > LIMIT_ELF_SECTIONS)
        return 0;
    for (; added < count; added++) {
        Elf_Scn *section = elf_getscn(file->elf, added);
        struct area *area = vec_push(&symbols->areas);
        GElf_Shdr header;
        if (!section || !gelf_getshdr(section, &header))
            continue;
        area->start = header.sh_addr;
        area->end = add_saturated(header.sh_addr, header.sh_size);
        area->executable = header.sh_flags & SHF_EXECINSTR;
    }
    return added;
}

static void add_source(struct symbols *symbols, const struct elf_section *table,
                       const struct elf_section *strings, size_t areas, size_t area_count,
                       bool full)
{
    const char *last = strings->size ? memrchr(strings->data, '\0', strings->size) : NULL;
    size_t count = table->size / sizeof(Elf64_Sym);
    if (!last || !count)
        return;
    if (count > LIMIT_SYMBOLS - symbols->refs)
        count = LIMIT_SYMBOLS - symbols->refs;
    *vec_push(&symbols->sources) = (struct source){
        .symbols = table->data,
        .count = (uint32_t)count,
        .first_ref = symbols->refs,
        .strings = (const char *)strings->data,
        .string_bytes = (size_t)(last + 1 - (const char *)strings->data),
        .areas = areas,
        .area_count = area_count,
        .full = full,
    };
    symbols->refs += (uint32_t)count;
}

static void add_file(struct symbols *symbols, struct elf_file *file)
{
    static const struct {
        const char *table, *strings;
        bool full;
    } pairs[] = {{".symtab", ".strtab", true}, {".dynsym", ".dynstr", false}};
    size_t areas = symbols->areas.count, area_count = add_areas(symbols, file);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct elf_section table, strings;
        if (elf_file_section(file, pairs[i].table, &table) &&
            elf_file_section(file, pairs[i].strings, &strings))
            add_source(symbols, &table, &strings, areas, area_count, pairs[i].full);
    }
}

static void add_mini_debug(struct symbols *symbols, struct elf_file *file)
{
    uint8_t *image;
    struct elf_file *inner = mini_debug_open(file, &image);
    if (!inner)
        return;
    vec_append(&symbols->mini_files, inner);
    vec_append(&symbols->mini_images, image);
    add_file(symbols, inner);
}

static void add_plt(struct symbols *symbols, struct elf_file *file)
{
    plt_symbols_read(&symbols->plt, file);
    struct elf_section table = {.data = (const uint8_t *)symbols->plt.symbols.items,
                                .size = symbols->plt.symbols.count * sizeof(Elf64_Sym)};
    struct elf_section strings = {.data = (const uint8_t *)symbols->plt.names.items,
                                  .size = symbols->plt.names.count};
    add_source(symbols, &table, &strings, 0, 0, false);
}

/* Marks that assemblers and plugins leave in code: no functions. */
static bool name_is_mark(const char *name)
{
    if (name[0] == '$')
        return strchr("adtx", name[1]) && (!name[1] || !name[2] || name[2] == '.');
    return name[0] == '.' && (name[1] == 'L' || !strncmp(name, ".annobin", 8));
}

/* Higher is better: bound more widely, of type function, from the fuller table. */
static uint32_t rank_of(const Elf64_Sym *symbol, bool function, bool full)
{
    static const uint8_t bindings[] = {[STB_LOCAL] = 1, [STB_GLOBAL] = 3, [STB_WEAK] = 2};
    unsigned bind = ELF64_ST_BIND(symbol->st_info);
    uint32_t width = bind < sizeof bindings ? bindings[bind] : bind == STB_GNU_UNIQUE ? 3 : 0;
    return width << 2 | (uint32_t)function << 1 | full;
}

static bool symbol_is_code(const struct symbols *symbols, const struct source *source,
                           const Elf64_Sym *symbol, bool *ret_function)
{
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    if (symbol->st_shndx == SHN_UNDEF || !symbol->st_name ||
        symbol->st_name >= source->string_bytes)
        return false;
    *ret_function = type == STT_FUNC || type == STT_GNU_IFUNC;
    if (*ret_function)
        return true;
    const struct area *area = type == STT_NOTYPE ? area_of(symbols, source, symbol) : NULL;
    return area && area->executable && symbol->st_value < area->end &&
           !name_is_mark(source->strings + symbol->st_name);
}

/*
 * The addresses that are asked for, or NULL for all. What covers none of them matters only as the
 * end of a symbol without a size: that is the nearest one that starts at or before an address.
 */
struct wanted {
    const uint64_t *addresses;
    size_t count;
    uint64_t *nearest; /* by address: the highest start of a symbol up to it */
    struct elf_file *const *files;
    size_t file_count;
};

/* Whole tables were walked for a few addresses. */
static void forget_files(const struct wanted *wanted)
{
    for (size_t i = 0; wanted->addresses && i < wanted->file_count; i++)
        elf_file_forget(wanted->files[i]);
}

/* The first wanted address at or above a symbol's start. */
static size_t wanted_from(const struct wanted *wanted, uint64_t start)
{
    size_t low = 0, high = wanted->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (wanted->addresses[middle] < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void find_nearest(const struct symbols *symbols, struct wanted *wanted)
{
    wanted->nearest = xcalloc(wanted->count, sizeof *wanted->nearest);
    for (size_t i = 0; i < symbols->sources.count; i++) {
        const struct source *source = &symbols->sources.items[i];
        for (uint32_t j = 0; j < source->count; j++) {
            Elf64_Sym symbol = symbol_at(source, j);
            bool function;
            size_t at = wanted_from(wanted, symbol.st_value);
            if (at < wanted->count && symbol.st_value > wanted->nearest[at] &&
                symbol_is_code(symbols, source, &symbol, &function))
                wanted->nearest[at] = symbol.st_value;
        }
        forget_files(wanted);
    }
    for (size_t i = 1; i < wanted->count; i++)
        if (wanted->nearest[i] < wanted->nearest[i - 1])
            wanted->nearest[i] = wanted->nearest[i - 1];
}

static bool is_wanted(const struct wanted *wanted, const Elf64_Sym *symbol)
{
    if (!wanted->addresses)
        return true;
    size_t at = wanted_from(wanted, symbol->st_value);
    return at < wanted->count &&
           (wanted->addresses[at] < add_saturated(symbol->st_value, symbol->st_size) ||
            wanted->nearest[at] == symbol->st_value);
}

static void collect_keys(const struct symbols *symbols, const struct source *source,
                         const struct wanted *wanted, key_vec *keys)
{
    for (uint32_t i = 0; i < source->count; i++) {
        Elf64_Sym symbol = symbol_at(source, i);
        bool function;
        if (!is_wanted(wanted, &symbol) || !symbol_is_code(symbols, source, &symbol, &function))
            continue;
        vec_reserve(keys, keys->count + 1);
        keys->items[keys->count++] = (struct address_item){
            .address = symbol.st_value,
            .size = symbol.st_size < UINT32_MAX ? (uint32_t)symbol.st_size : UINT32_MAX,
            .tag = (source->first_ref + i) | rank_of(&symbol, function, source->full) << REF_BITS,
        };
    }
}

/* A few are enough to tell names apart, and a hostile one could be all underscores. */
static size_t leading_underscores(const char *name)
{
    size_t count = 0;
    while (count < 8 && name[count] == '_')
        count++;
    return count;
}

/* Of two symbols at one address: is `a` the one to show? */
static bool key_better(const struct symbols *symbols, const struct address_item *a,
                       const struct address_item *b)
{
    if (!a->size != !b->size)
        return a->size;
    if (a->tag >> REF_BITS != b->tag >> REF_BITS)
        return a->tag > b->tag;
    return leading_underscores(name_of(symbols, ref_of(a))) <
           leading_underscores(name_of(symbols, ref_of(b)));
}

static void push_entry(struct symbols *symbols, const struct address_item *key)
{
    symbols->starts[symbols->count] = key->address;
    symbols->entries[symbols->count++] = (struct entry){.size = key->size, .ref = ref_of(key)};
}

/* Keeps one symbol for each address, and under it the longest if that one reaches further. */
static void resolve_keys(struct symbols *symbols, const key_vec *keys)
{
    uint64_t covered = 0; /* the end of all sized symbols so far */
    for (size_t i = 0, next; i < keys->count; i = next) {
        const struct address_item *best = &keys->items[i], *longest = best;
        for (next = i + 1;
             next < keys->count && keys->items[next].address == keys->items[i].address; next++) {
            const struct address_item *key = &keys->items[next];
            if (key_better(symbols, key, best))
                best = key;
            if (key->size > longest->size)
                longest = key;
        }
        if (!best->size && best->address < covered)
            continue;
        if (longest->size > best->size)
            push_entry(symbols, longest);
        push_entry(symbols, best);
        uint64_t end = add_saturated(longest->address, longest->size);
        if (end > covered)
            covered = end;
    }
}

/* A symbol without a size goes on to the next one, but not out of its section. */
static void guess_sizes(struct symbols *symbols)
{
    for (size_t i = 0; i < symbols->count; i++) {
        if (symbols->entries[i].size)
            continue;
        uint32_t ref = symbols->entries[i].ref;
        const struct source *source = source_of(symbols, ref);
        Elf64_Sym symbol = symbol_at(source, ref - source->first_ref);
        const struct area *area = area_of(symbols, source, &symbol);
        uint64_t end = i + 1 < symbols->count ? symbols->starts[i + 1] : symbols->starts[i];
        if (area && (area->end < end || i + 1 == symbols->count))
            end = area->end;
        uint64_t size = end > symbols->starts[i] ? end - symbols->starts[i] : 0;
        symbols->entries[i].size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
    }
}

static uint64_t entry_end(const struct symbols *symbols, size_t i)
{
    return add_saturated(symbols->starts[i], symbols->entries[i].size);
}

/* Whoever ends at or before this one can't be the outer of a later entry either: follow outer. */
static void link_outer(struct symbols *symbols)
{
    for (size_t i = 0; i < symbols->count; i++) {
        int32_t outer = (int32_t)i - 1;
        uint64_t end = entry_end(symbols, i);
        while (outer != NO_OUTER && entry_end(symbols, (size_t)outer) <= end)
            outer = symbols->entries[outer].outer;
        symbols->entries[i].outer = outer;
    }
}

struct symbols *symbols_new(struct elf_file *const *files, size_t count)
{
    return symbols_new_for(files, count, NULL, 0);
}

struct symbols *symbols_new_for(struct elf_file *const *files, size_t count,
                                const uint64_t *addresses, size_t address_count)
{
    struct symbols *symbols = xcalloc(1, sizeof *symbols);
    struct wanted wanted = {addresses, address_count, NULL, files, count};
    key_vec keys = {0};
    for (size_t i = 0; i < count; i++) {
        add_file(symbols, files[i]);
        add_mini_debug(symbols, files[i]);
    }
    if (count)
        add_plt(symbols, files[0]);
    forget_files(&wanted);
    if (addresses)
        find_nearest(symbols, &wanted);
    else
        vec_reserve(&keys, symbols->refs);
    for (size_t i = 0; i < symbols->sources.count; i++) {
        collect_keys(symbols, &symbols->sources.items[i], &wanted, &keys);
        forget_files(&wanted);
    }
    free(wanted.nearest);
    address_sort(keys.items, keys.count);
    symbols->starts = xreallocarray(NULL, keys.count, sizeof *symbols->starts);
    symbols->entries = xreallocarray(NULL, keys.count, sizeof *symbols->entries);
    resolve_keys(symbols, &keys);
    vec_release(&keys);
    symbols->starts = xreallocarray(symbols->starts, symbols->count, sizeof *symbols->starts);
    symbols->entries = xreallocarray(symbols->entries, symbols->count, sizeof *symbols->entries);
    guess_sizes(symbols);
    link_outer(symbols);
    return symbols;
}

void symbols_free(struct symbols *symbols)
{
    if (!symbols)
        return;
    for (size_t i = 0; i < symbols->mini_files.count; i++) {
        elf_file_free(symbols->mini_files.items[i]);
        free(symbols->mini_images.items[i]);
    }
    vec_release(&symbols->mini_files);
    vec_release(&symbols->mini_images);
    vec_release(&symbols->sources);
    vec_release(&symbols->areas);
    plt_symbols_release(&symbols->plt);
    free(symbols->starts);
    free(symbols->entries);
    free(symbols);
}

/* The number of entries that start at or before address; branch-free, as samples are random. */
static size_t entries_before(const struct symbols *symbols, uint64_t address)
{
    const uint64_t *base = symbols->starts;
    size_t left = symbols->count;
    while (left > 1) {
        size_t half = left / 2;
        base += base[half - 1] <= address ? half : 0;
        left -= half;
    }
    return (size_t)(base - symbols->starts) + (left && *base <= address);
}

bool symbols_find(const struct symbols *symbols, uint64_t address, struct symbol *ret_symbol)
{
    int64_t found = (int64_t)entries_before(symbols, address) - 1;
    for (int step = 0; found != NO_OUTER && step < OUTER_STEPS; step++) {
        const struct entry *entry = &symbols->entries[found];
        const char *name = NULL;
        if (address - symbols->starts[found] < entry->size)
            name = name_of(symbols, entry->ref);
        if (name && *name) {
            *ret_symbol = (struct symbol){name, symbols->starts[found], entry->size};
            return true;
        }
        found = entry->outer;
    }
    return false;
}

bool symbols_find_name(const struct symbols *symbols, const char *name, struct symbol *ret_symbol)
{
    for (size_t i = 0; i < symbols->sources.count; i++) {
        const struct source *source = &symbols->sources.items[i];
        for (uint32_t j = 0; j < source->count; j++) {
            Elf64_Sym symbol = symbol_at(source, j);
            if (symbol.st_shndx == SHN_UNDEF || !symbol.st_name ||
                symbol.st_name >= source->string_bytes ||
                strcmp(source->strings + symbol.st_name, name) != 0)
                continue;
            *ret_symbol = (struct symbol){.name = source->strings + symbol.st_name,
                                          .address = symbol.st_value,
                                          .size = symbol.st_size};
            return true;
        }
    }
    return false;
}

bool symbols_file_has(struct elf_file *file, const char *name)
{
    struct symbols unsorted = {0};
    struct symbol ignored;
    add_file(&unsorted, file);
    bool found = symbols_find_name(&unsorted, name, &ignored);
    vec_release(&unsorted.sources);
    vec_release(&unsorted.areas);
    return found;
}
