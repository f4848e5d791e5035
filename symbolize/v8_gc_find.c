/*
 * The symbols are taken from .symtab, or from .dynsym where a file has been stripped. Compilers
 * split functions: what has a '.' in its name (".cold", ".part.0", ".constprop.0") is a piece of
 * one, and is not entered where the function begins.
 *
 * Of several functions through which each pause goes these are taken because compilers begin them
 * with a push: see core/perf_probe.h. StartObservablePause() would be nearer to the begin;
 * from 12.4 on it begins with a store, and nothing is told in it of why V8 collects.
 */
#include "symbolize/v8_gc.h"

#include "core/limits.h"

#include <gelf.h>
#include <string.h>

enum wanted { COLLECT, STOP, STATISTICS, STEP, ADD_STEP, WANTED };

static const char *const prefixes[WANTED] = {
    [COLLECT] = "_ZN2v88internal4Heap14CollectGarbageENS0_15AllocationSpaceENS0_"
                "23GarbageCollectionReasonE",
    [STOP] = "_ZN2v88internal8GCTracer19StopObservablePauseENS0_16GarbageCollectorENS_"
             "4base9TimeTicksE",
    [STATISTICS] = "_ZN2v88internal8GCTracer16UpdateStatisticsENS0_16GarbageCollectorE",
    [STEP] = "_ZN2v88internal18IncrementalMarking4StepE",
    [ADD_STEP] = "_ZN2v88internal8GCTracer25AddIncrementalMarkingStepE",
};

#define V8_PREFIX "_ZN2v88internal"

static void look_at(const char *name, size_t room, const Elf64_Sym *symbol,
                    uint64_t addresses[WANTED])
{
    if (room < sizeof V8_PREFIX || memcmp(name, V8_PREFIX, sizeof V8_PREFIX - 1) != 0)
        return;
    for (size_t i = 0; i < WANTED; i++)
        if (!addresses[i] && !strncmp(name, prefixes[i], strlen(prefixes[i])) && !strchr(name, '.'))
            addresses[i] = symbol->st_value;
}

static void look_in(struct elf_file *file, const char *table_name, const char *strings_name,
                    uint64_t addresses[WANTED])
{
    struct elf_section table, strings;
    if (!elf_file_section(file, table_name, &table) ||
        !elf_file_section(file, strings_name, &strings) || !strings.size ||
        strings.data[strings.size - 1])
        return;
    size_t count = table.size / sizeof(Elf64_Sym);
    for (size_t i = 0; i < count && i < LIMIT_SYMBOLS; i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, table.data + i * sizeof symbol, sizeof symbol);
        if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
            symbol.st_name < strings.size)
            look_at((const char *)strings.data + symbol.st_name, strings.size - symbol.st_name,
                    &symbol, addresses);
    }
}

static bool offset_of(const struct elf_file *file, uint64_t address, uint64_t *ret_offset)
{
    for (size_t i = 0; i < file->loads.count; i++) {
        const struct elf_load *load = &file->loads.items[i];
        if (load->executable && address >= load->vaddr && address - load->vaddr < load->file_size) {
            *ret_offset = load->offset + (address - load->vaddr);
            return true;
        }
    }
    return false;
}

static bool add_hook(const struct elf_file *file, struct v8_gc_hooks *hooks, enum v8_gc_role role,
                     uint64_t address)
{
    struct v8_gc_hook hook = {.role = role, .address = address};
    if (!address || !offset_of(file, address, &hook.file_offset))
        return false;
    hooks->items[hooks->count++] = hook;
    return true;
}

bool v8_gc_find(struct elf_file *executable, struct v8_gc_hooks *ret_hooks)
{
    uint64_t addresses[WANTED] = {0};
    struct v8_gc_hooks hooks = {0};
    look_in(executable, ".symtab", ".strtab", addresses);
    look_in(executable, ".dynsym", ".dynstr", addresses);
    elf_file_forget(executable); /* whole tables were walked for a few functions */
    hooks.end_tells_time = addresses[STOP];
    uint64_t end = addresses[STOP] ? addresses[STOP] : addresses[STATISTICS];
    if (!add_hook(executable, &hooks, V8_GC_BEGIN, addresses[COLLECT]) ||
        !add_hook(executable, &hooks, V8_GC_END, end))
        return false;
    size_t pauses = hooks.count;
    if (!add_hook(executable, &hooks, V8_GC_STEP_BEGIN, addresses[STEP]) ||
        !add_hook(executable, &hooks, V8_GC_STEP_END, addresses[ADD_STEP]))
        hooks.count = pauses;
    *ret_hooks = hooks;
    return true;
}
