/*
 * V8's own code comes first, then the files: the builtins lie inside the mapping of the
 * executable, and V8 tells where each is.
 *
 * Of a mapping only its end and the file's base are known, not its start. Mappings do not
 * overlap, so the one that holds an address is the one with the lowest end above it.
 *
 * V8 runs its builtins from a copy near the code that it compiles, and V8 11 logs them at their
 * original place only. The copy lies at the end of the region for code, which is 512 MiB, and its
 * size is a multiple of 256 KiB (V8's CodeRange::RemapEmbeddedBuiltins). Later versions log the
 * copy, and there it lies by the same rule. Builtins that do not begin at a page are not copied.
 *
 * The stacks of a log repeat a few thousand addresses, so looked-up places are cached; any change
 * of the code makes the whole cache stale by its generation.
 */
#include "output/v8log_code.h"

#include "core/limits.h"
#include "core/v8_name.h"

#include <string.h>

enum {
    PAGE_BYTES = 4096,
    HEAP_BYTES = 512 << 20,
    COPY_ALIGNMENT = 256 << 10,
    BUILTINS_BYTES_MAX = 16 << 20, /* they have some 2 MiB */
};

struct v8log_code *v8log_code_new(struct profile *profile)
{
    struct v8log_code *code = xcalloc(1, sizeof *code);
    code->profile = profile;
    code->generation = 1;
    return code;
}

void v8log_code_free(struct v8log_code *code)
{
    if (!code)
        return;
    code_map_release(&code->map);
    vec_release(&code->items);
    hash_release(&code->item_index);
    strings_release(&code->names);
    vec_release(&code->libraries);
    free(code);
}

/* --- what is told --- */

/* The first mapping that ends above an address. */
static size_t library_above(const struct v8log_code *code, uint64_t address)
{
    size_t low = 0, high = code->libraries.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (code->libraries.items[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool v8log_code_map_file(struct v8log_code *code, const char *path, uint64_t base, uint64_t end)
{
    if (end <= base)
        return true;
    if (code->profile->modules.count >= LIMIT_MODULES)
        return false;
    struct v8log_library library = {base, end, profile_add_module(code->profile, path, "")};
    code->generation++;
    size_t at = library_above(code, end - 1);
    if (at < code->libraries.count && code->libraries.items[at].end == end) {
        code->libraries.items[at] = library;
        return true;
    }
    if (code->libraries.count >= LIMIT_SEGMENTS)
        return false;
    vec_reserve(&code->libraries, code->libraries.count + 1);
    memmove(code->libraries.items + at + 1, code->libraries.items + at,
            (code->libraries.count - at) * sizeof *code->libraries.items);
    code->libraries.items[at] = library;
    code->libraries.count++;
    return true;
}

static uint64_t item_hash(const void *context, uint32_t id)
{
    const struct v8log_item *item = &((const struct v8log_code *)context)->items.items[id];
    return hash_mix((uint64_t)item->name << 8 | (uint64_t)item->place.kind);
}

static uint32_t item_need(struct v8log_code *code, enum v8log_kind kind, const char *name,
                          size_t length)
{
    string_id id = strings_intern_length(&code->names, name, length);
    uint64_t hash = hash_mix((uint64_t)id << 8 | (uint64_t)kind);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t found; hash_next(&code->item_index, &probe, &found);)
        if (code->items.items[found].name == id && code->items.items[found].place.kind == kind)
            return found;
    *vec_push(&code->items) = (struct v8log_item){.name = id, .place.kind = kind};
    hash_insert(&code->item_index, hash, (uint32_t)code->items.count - 1, item_hash, code);
    return (uint32_t)code->items.count - 1;
}

bool v8log_code_add_heap(struct v8log_code *code, uint64_t start)
{
    if (code->heap_count == V8LOG_HEAPS)
        return false;
    code->heaps[code->heap_count++] = start;
    code->generation++;
    return true;
}

bool v8log_code_add(struct v8log_code *code, enum v8log_kind kind, const char *name, size_t length,
                    uint64_t start, uint64_t size)
{
    if (code->map.count >= LIMIT_CODE_RANGES || code->items.count >= LIMIT_FRAMES)
        return false;
    code_map_add(&code->map, start, size, item_need(code, kind, name, length));
    code->generation++;
    if ((kind == V8LOG_BUILTIN || kind == V8LOG_HANDLER) && size <= UINT64_MAX - start) {
        if (!code->builtins_end || start < code->builtins_start)
            code->builtins_start = start;
        if (start + size > code->builtins_end)
            code->builtins_end = start + size;
    }
    return true;
}

void v8log_code_move(struct v8log_code *code, uint64_t from, uint64_t to)
{
    struct code_range range;
    if (!code_map_take(&code->map, from, &range))
        return;
    code_map_add(&code->map, to, range.end - range.start, range.value);
    code->generation++;
}

void v8log_code_delete(struct v8log_code *code, uint64_t start)
{
    struct code_range range;
    if (code_map_take(&code->map, start, &range))
        code->generation++;
}

/* --- what is asked --- */

static frame_id item_frame(struct v8log_code *code, const struct v8log_item *item)
{
    const struct string_entry *name = &code->names.entries[item->name];
    struct strings *strings = &code->profile->strings;
    if (item->place.kind == V8LOG_JAVASCRIPT) {
        struct frame frame = v8_name_frame(strings, name->text, name->length);
        return profile_add_frame(code->profile, &frame);
    }
    return profile_add_frame(
        code->profile,
        &(struct frame){.kind = FRAME_RUNTIME,
                        .function = strings_intern_length(strings, name->text, name->length)});
}

/* The code at an address, or at the original of one in a copy of the builtins. */
static const struct code_range *range_find(const struct v8log_code *code, uint64_t address)
{
    const struct code_range *range = code_map_find(&code->map, address);
    uint64_t start = code->builtins_start, size = code->builtins_end - start;
    if (range || start % PAGE_BYTES || size > BUILTINS_BYTES_MAX)
        return range;
    uint64_t from_end = (size + COPY_ALIGNMENT - 1) / COPY_ALIGNMENT * COPY_ALIGNMENT;
    for (size_t i = 0; i < code->heap_count && !range; i++) {
        uint64_t offset = address - (code->heaps[i] + HEAP_BYTES - from_end);
        if (offset < size)
            range = code_map_find(&code->map, start + offset);
    }
    return range;
}

static struct v8log_place place_find(struct v8log_code *code, uint64_t address)
{
    const struct code_range *range = range_find(code, address);
    if (range) {
        struct v8log_item *item = &code->items.items[range->value];
        if (!item->place.frame)
            item->place.frame = item_frame(code, item);
        return item->place;
    }
    size_t at = library_above(code, address);
    if (at == code->libraries.count || code->libraries.items[at].base > address)
        return (struct v8log_place){V8LOG_NOTHING, 0};
    const struct v8log_library *library = &code->libraries.items[at];
    struct frame frame = {
        .kind = FRAME_NATIVE, .module = library->module, .address = address - library->base};
    return (struct v8log_place){V8LOG_LIBRARY, profile_add_frame(code->profile, &frame)};
}

struct v8log_place v8log_code_find(struct v8log_code *code, uint64_t address)
{
    struct v8log_cached *cached = &code->cache[hash_mix(address) % V8LOG_CACHE];
    if (cached->generation != code->generation || cached->address != address)
        *cached = (struct v8log_cached){address, code->generation, place_find(code, address)};
    return cached->place;
}
