/*
 * Which address an offset has only the file's program headers tell: in an executable that is not
 * position-independent they differ by its base, and some linkers leave gaps between segments.
 */
#include "symbolize/file_offsets.h"

#include "symbolize/symbolize.h"

static void offsets_to_addresses(struct profile *raw, const struct modules *modules)
{
    for (size_t i = 1; i < raw->frames.count; i++) {
        struct frame *frame = &raw->frames.items[i];
        const struct elf_file *file = modules->items.items[frame->module]->elf;
        if (frame->function || !frame->module || !file)
            continue;
        /* The file may be another one than was mapped; no symbol lies at the last address. */
        if (!elf_file_vaddr_of_offset(file, frame->address, &frame->address))
            frame->address = UINT64_MAX;
    }
}

struct profile *symbolize_file_offsets(struct profile *raw)
{
    struct modules *modules = modules_open_stored(raw);
    modules->once = true;
    offsets_to_addresses(raw, modules);
    struct profile *named = symbolize_profile(raw, modules);
    modules_free(modules);
    return named;
}
