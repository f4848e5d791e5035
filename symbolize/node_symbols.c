/*
 * One pass over .symtab, and one over .dynsym for what a stripped file has only there. The names
 * wanted are few and long: a symbol whose length is none of theirs is passed over at once.
 */
#include "symbolize/node_symbols.h"

#include "core/limits.h"

#include <string.h>

enum { VTABLE_HEAD = 16, LENGTHS = 64 }; /* an object points past its class's offset and type */

struct wanted {
    const char *name;
    uint64_t address;
    bool found;
};

/* In the order of `targets`, then the classes of spaces. */
enum {
    DEFAULT_LOOP,
    METRICS_INFO,
    PLATFORM,
    PLATFORM_DATA,
    NODE_PLATFORM,
    ALLOCATOR,
    SEMI_SPACE,
    MAJOR,
    MINOR,
    UV_DEFAULT_LOOP,
    SPACES,
    WANTED = SPACES + NODE_SPACE_CLASSES
};

static const char *const targets[SPACES] = {
    [DEFAULT_LOOP] = "default_loop_struct",
    [METRICS_INFO] = "uv_metrics_info",
    [PLATFORM] = "_ZN4node11per_process11v8_platformE",
    [PLATFORM_DATA] = "_ZTVN4node22PerIsolatePlatformDataE",
    [NODE_PLATFORM] = "_ZTVN4node12NodePlatformE",
    [ALLOCATOR] = "_ZTVN4node24NodeArrayBufferAllocatorE",
    [SEMI_SPACE] = "_ZTVN2v88internal9SemiSpaceE",
    [MAJOR] = "_ZN2v88internal7Version6major_E",
    [MINOR] = "_ZN2v88internal7Version6minor_E",
    [UV_DEFAULT_LOOP] = "uv_default_loop",
};

/* V8's heap/spaces.h, new-spaces.h, paged-spaces.h, large-spaces.h, read-only-spaces.h. */
static const struct {
    const char *vtable;
    enum node_space_kind kind;
} classes[NODE_SPACE_CLASSES] = {
    {"_ZTVN2v88internal8NewSpaceE", NODE_SPACE_NEW},
    {"_ZTVN2v88internal17SemiSpaceNewSpaceE", NODE_SPACE_NEW},
    {"_ZTVN2v88internal13PagedNewSpaceE", NODE_SPACE_OTHER},
    {"_ZTVN2v88internal8OldSpaceE", NODE_SPACE_PAGED},
    {"_ZTVN2v88internal11StickySpaceE", NODE_SPACE_OTHER},
    {"_ZTVN2v88internal9CodeSpaceE", NODE_SPACE_PAGED},
    {"_ZTVN2v88internal8MapSpaceE", NODE_SPACE_PAGED},
    {"_ZTVN2v88internal11SharedSpaceE", NODE_SPACE_PAGED},
    {"_ZTVN2v88internal12TrustedSpaceE", NODE_SPACE_PAGED},
    {"_ZTVN2v88internal18SharedTrustedSpaceE", NODE_SPACE_PAGED},
    {"_ZTVN2v88internal19OldLargeObjectSpaceE", NODE_SPACE_LARGE},
    {"_ZTVN2v88internal19NewLargeObjectSpaceE", NODE_SPACE_LARGE},
    {"_ZTVN2v88internal20CodeLargeObjectSpaceE", NODE_SPACE_LARGE},
    {"_ZTVN2v88internal22SharedLargeObjectSpaceE", NODE_SPACE_LARGE},
    {"_ZTVN2v88internal23TrustedLargeObjectSpaceE", NODE_SPACE_LARGE},
    {"_ZTVN2v88internal29SharedTrustedLargeObjectSpaceE", NODE_SPACE_LARGE},
    {"_ZTVN2v88internal13ReadOnlySpaceE", NODE_SPACE_READ_ONLY},
    {"_ZTVN2v88internal19SharedReadOnlySpaceE", NODE_SPACE_READ_ONLY},
    {"_ZTVN2v88internal15CompactionSpaceE", NODE_SPACE_OTHER},
    {"_ZTVN2v88internal10PagedSpaceE", NODE_SPACE_OTHER},
    {"_ZTVN2v88internal16LargeObjectSpaceE", NODE_SPACE_OTHER},
};

static void find_in_table(struct elf_file *file, const char *table_name, const char *strings_name,
                          struct wanted *wanted, const bool lengths[LENGTHS])
{
    struct elf_section table, strings;
    if (!elf_file_section(file, table_name, &table) ||
        !elf_file_section(file, strings_name, &strings))
        return;
    size_t count = table.size / sizeof(Elf64_Sym);
    for (size_t i = 0; i < count && i < LIMIT_SYMBOLS; i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, table.data + i * sizeof symbol, sizeof symbol);
        if (symbol.st_shndx == SHN_UNDEF || !symbol.st_name || symbol.st_name >= strings.size)
            continue;
        const char *name = (const char *)strings.data + symbol.st_name;
        size_t room = strings.size - symbol.st_name;
        size_t length = strnlen(name, room < LENGTHS ? room : LENGTHS);
        if (length >= LENGTHS || length == room || !lengths[length])
            continue;
        for (size_t j = 0; j < WANTED; j++)
            if (!wanted[j].found && !strcmp(wanted[j].name, name)) {
                wanted[j].address = symbol.st_value;
                wanted[j].found = true;
            }
    }
}

static uint64_t address_of(const struct wanted *wanted, uint64_t bias, uint64_t head)
{
    return wanted->found ? wanted->address + bias + head : 0;
}

static void find_data(const struct elf_file *file, uint64_t bias, struct node_symbols *symbols)
{
    for (size_t i = 0; i < file->loads.count; i++) {
        const struct elf_load *load = &file->loads.items[i];
        uint64_t start = load->vaddr + bias, end = start + load->memory_size;
        if (load->executable || end < start)
            continue;
        /* .data and .bss come last. */
        if (start >= symbols->data_start) {
            symbols->data_start = start;
            symbols->data_end = end;
        }
    }
}

bool node_symbols_read(struct elf_file *file, uint64_t bias, struct node_symbols *ret_symbols)
{
    struct wanted wanted[WANTED] = {0};
    bool lengths[LENGTHS] = {false};
    for (size_t i = 0; i < WANTED; i++) {
        wanted[i].name = i < SPACES ? targets[i] : classes[i - SPACES].vtable;
        lengths[strlen(wanted[i].name)] = true;
    }
    find_in_table(file, ".symtab", ".strtab", wanted, lengths);
    find_in_table(file, ".dynsym", ".dynstr", wanted, lengths);
    elf_file_forget(file);
    if (!wanted[UV_DEFAULT_LOOP].found || !wanted[PLATFORM].found)
        return false;
    *ret_symbols = (struct node_symbols){
        .default_loop = address_of(&wanted[DEFAULT_LOOP], bias, 0),
        .loop_counts = wanted[METRICS_INFO].found,
        .platform = address_of(&wanted[PLATFORM], bias, 0),
        .platform_data_vtable = address_of(&wanted[PLATFORM_DATA], bias, VTABLE_HEAD),
        .node_platform_vtable = address_of(&wanted[NODE_PLATFORM], bias, VTABLE_HEAD),
        .allocator_vtable = address_of(&wanted[ALLOCATOR], bias, VTABLE_HEAD),
        .semi_space_vtable = address_of(&wanted[SEMI_SPACE], bias, VTABLE_HEAD),
        .major = address_of(&wanted[MAJOR], bias, 0),
        .minor = address_of(&wanted[MINOR], bias, 0),
    };
    for (size_t i = 0; i < NODE_SPACE_CLASSES; i++)
        ret_symbols->spaces[i] = (struct node_space_class){
            .vtable = address_of(&wanted[SPACES + i], bias, VTABLE_HEAD),
            .kind = classes[i].kind,
            .old = !strcmp(classes[i].vtable, "_ZTVN2v88internal8OldSpaceE"),
        };
    find_data(file, bias, ret_symbols);
    return true;
}
