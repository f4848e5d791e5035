/*
 * fuzz_dwarf_inlines.c - an ELF image with DWARF: units, DIEs, range lists, inlined calls,
 * references into a shared (dwz) file, and split units.
 *
 * The image is its own dwz file, and where it has .dwo sections they are its first unit's other
 * half. No file is opened: the limit on open files is zero meanwhile.
 */
#include "symbolize/dwarf.h"
#include "symbolize/inlines.h"
#include "symbolize/lines.h"
#include "symbolize/units.h"

#include <string.h>
#include <sys/resource.h>

static size_t touched;

static void touch(const char *text)
{
    touched += text ? strlen(text) : 0;
}

static void look_up(struct dwarf *dwarf, uint64_t address)
{
    struct source_frame frames[LIMIT_INLINE_DEPTH];
    size_t count = dwarf_find(dwarf, address, frames);
    if (count > LIMIT_INLINE_DEPTH)
        __builtin_trap();
    for (size_t i = 0; i < count; i++) {
        touch(frames[i].function);
        touch(frames[i].file);
        touch(frames[i].declared_file);
    }
}

static void look_up_all(struct elf_file *file, struct dwarf *dwarf)
{
    for (size_t i = 0; i < file->loads.count && i < 8; i++)
        for (uint64_t offset = 0; offset < 0x1000; offset += offset < 0x200 ? 1 : 16)
            look_up(dwarf, file->loads.items[i].vaddr + offset);
    for (uint64_t address = 0; address < 0x3000; address += 11)
        look_up(dwarf, address);
    look_up(dwarf, UINT64_MAX);
}

/* The .dwo sections of the same image, as split.c reads those of another file. */
static void read_split(struct elf_file *file)
{
    struct dwarf_image main, split;
    struct range_map units = {0};
    image_init(&main, file, false);
    image_init(&split, file, true);
    units_index(&main, &units);
    image_scan(&split);
    for (size_t i = 0; main.units.count && i < split.units.count && i < 16; i++) {
        struct dwarf_unit *unit = &split.units.items[i];
        unit->skeleton = &main.units.items[0];
        if (!unit_load(unit, NULL))
            continue;
        for (uint64_t address = 0; address < 0x2000; address += 5) {
            struct inline_frame frames[LIMIT_INLINE_DEPTH];
            size_t count = inlines_find(unit, address, frames);
            for (size_t k = 0; k < count; k++)
                if (frames[k].unit)
                    touch(function_name_read(frames[k].unit, frames[k].die).name);
        }
    }
    range_map_release(&units);
    inlines_release(&split);
    lines_release(&main);
    image_release(&split);
    image_release(&main);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_file *file;
    struct rlimit old, none;
    if (elf_file_open_memory(data, size, "input", &file, NULL))
        return 0;
    if (!getrlimit(RLIMIT_NOFILE, &old)) {
        none = (struct rlimit){0, old.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        struct dwarf *dwarf = dwarf_new(file, file, 0);
        if (dwarf)
            look_up_all(file, dwarf);
        dwarf_free(dwarf);
        read_split(file);
        setrlimit(RLIMIT_NOFILE, &old);
    }
    elf_file_free(file);
    return 0;
}
