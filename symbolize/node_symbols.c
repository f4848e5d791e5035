#include "symbolize/node_symbols.h"

#include "symbolize/symbol_search.h"

#include <string.h>

enum { VTABLE_HEAD = 16 }; /* an object points past its class's offset and type */

struct place {
    uint64_t address, size;
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
    MARK_COMPACT,
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
    [MARK_COMPACT] = "_ZN2v88internal4Heap11MarkCompactEv",
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

static void take_place(void *context, size_t wanted, const struct symbol *symbol)
{
    struct place *places = context;
    places[wanted] = (struct place){symbol->address, symbol->size, true};
}

/* The loop is the largest variable, and the functions that are wanted are short. */
static void find_places(struct elf_file *file, struct place places[WANTED])
{
    static const struct symbol_filter filters[] = {
        {.types = SYMBOL_DATA, .smallest = 4, .largest = 1024},
        {.types = SYMBOL_FUNCTIONS, .smallest = 1, .largest = 2048},
    };
    struct symbol_wanted wanted[WANTED];
    for (size_t i = 0; i < WANTED; i++)
        wanted[i] = (struct symbol_wanted){
            .name = i < SPACES ? targets[i] : classes[i - SPACES].vtable,
        };
    symbol_search(file, &(struct symbol_query){filters, 2, wanted, WANTED}, take_place, places);
}

static uint64_t address_of(const struct place *place, uint64_t bias, uint64_t head)
{
    return place->found ? place->address + bias + head : 0;
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
    struct place places[WANTED] = {0};
    find_places(file, places);
    if (!places[UV_DEFAULT_LOOP].found || !places[PLATFORM].found)
        return false;
    *ret_symbols = (struct node_symbols){
        .default_loop = address_of(&places[DEFAULT_LOOP], bias, 0),
        .loop_counts = places[METRICS_INFO].found,
        .platform = address_of(&places[PLATFORM], bias, 0),
        .platform_data_vtable = address_of(&places[PLATFORM_DATA], bias, VTABLE_HEAD),
        .node_platform_vtable = address_of(&places[NODE_PLATFORM], bias, VTABLE_HEAD),
        .allocator_vtable = address_of(&places[ALLOCATOR], bias, VTABLE_HEAD),
        .semi_space_vtable = address_of(&places[SEMI_SPACE], bias, VTABLE_HEAD),
        .major = address_of(&places[MAJOR], bias, 0),
        .minor = address_of(&places[MINOR], bias, 0),
        .mark_compact = address_of(&places[MARK_COMPACT], bias, 0),
        .mark_compact_size = places[MARK_COMPACT].size,
    };
    for (size_t i = 0; i < NODE_SPACE_CLASSES; i++)
        ret_symbols->spaces[i] = (struct node_space_class){
            .vtable = address_of(&places[SPACES + i], bias, VTABLE_HEAD),
            .kind = classes[i].kind,
            .old = !strcmp(classes[i].vtable, "_ZTVN2v88internal8OldSpaceE"),
        };
    find_data(file, bias, ret_symbols);
    return true;
}
