/*
 * The symbols are taken from .symtab, or from .dynsym where a file has been stripped. Compilers
 * split functions: what has a '.' in its name (".cold", ".part.0", ".constprop.0") is a piece of
 * one, and is not entered where the function begins.
 *
 * The end of a step is each of its return instructions. A return probe would do, but it puts an
 * address of the kernel's into the stack, which then can't be unwound while the step runs.
 */
#include "symbolize/v8_gc.h"

#include "core/limits.h"
#include "symbolize/disasm.h"

#include <gelf.h>
#include <string.h>

struct wanted {
    enum v8_gc_role role;
    const char *prefix;
};

/* In the order of their importance. */
static const struct wanted wanted[] = {
    {V8_GC_BEGIN, "_ZN2v88internal8GCTracer20StartObservablePauseE"},
    {V8_GC_END, "_ZN2v88internal8GCTracer19StopObservablePauseE"},
    {V8_GC_KIND, "_ZN2v88internal4Heap25GarbageCollectionEpilogueENS0_16GarbageCollectorE"},
    {V8_GC_REASON, "_ZN2v88internal4Heap14CollectGarbageENS0_15AllocationSpaceENS0_"
                   "23GarbageCollectionReasonE"},
    {V8_GC_STEP_BEGIN, "_ZN2v88internal18IncrementalMarking4StepE"},
};
enum { WANTED = sizeof wanted / sizeof *wanted };

#define V8_PREFIX "_ZN2v88internal"

struct found {
    uint64_t address, size;           /* 0: not there */
    bool takes_collector, takes_time; /* as their first arguments */
};

static void look_at(const char *name, size_t room, const Elf64_Sym *symbol,
                    struct found found[WANTED])
{
    if (room < sizeof V8_PREFIX || memcmp(name, V8_PREFIX, sizeof V8_PREFIX - 1) != 0)
        return;
    for (size_t i = 0; i < WANTED; i++) {
        size_t length = strlen(wanted[i].prefix);
        if (found[i].address || strncmp(name, wanted[i].prefix, length) != 0 || strchr(name, '.'))
            continue;
        found[i] = (struct found){
            .address = symbol->st_value,
            .size = symbol->st_size,
            .takes_collector = !strncmp(name + length, "NS0_16GarbageCollectorE", 23),
            .takes_time = !strcmp(name + length, "NS_4base9TimeTicksE"),
        };
    }
}

static void look_in(struct elf_file *file, const char *table_name, const char *strings_name,
                    struct found found[WANTED])
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
                    &symbol, found);
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
    if (hooks->count >= V8_GC_HOOKS || !offset_of(file, address, &hook.file_offset))
        return false;
    hooks->items[hooks->count++] = hook;
    return true;
}

/* All returns or, if they are more than there is room for, none; nor the step's begin then. */
static void add_step(const struct elf_file *file, struct v8_gc_hooks *hooks,
                     const struct found *step)
{
    enum { STEP_BYTES = 64 * 1024 };
    struct disasm *disasm;
    struct error err;
    size_t before = hooks->count, left = step->size < STEP_BYTES ? step->size : 0;
    const uint8_t *code = left ? elf_file_code(file, step->address, left) : NULL;
    if (!code || disasm_new(file->machine, false, &disasm, &err))
        return;
    bool fits = add_hook(file, hooks, V8_GC_STEP_BEGIN, step->address);
    for (uint64_t address = step->address; fits && left;) {
        struct instruction instruction = disasm_next(disasm, code, left, address);
        if (!strncmp(instruction.text, "ret", 3))
            fits = add_hook(file, hooks, V8_GC_STEP_END, address);
        code += instruction.size;
        address += instruction.size;
        left -= instruction.size;
    }
    if (!fits || hooks->count < before + 2)
        hooks->count = before;
    disasm_free(disasm);
}

bool v8_gc_find(struct elf_file *executable, struct v8_gc_hooks *ret_hooks)
{
    struct found found[WANTED] = {0};
    struct v8_gc_hooks hooks = {0};
    look_in(executable, ".symtab", ".strtab", found);
    look_in(executable, ".dynsym", ".dynstr", found);
    elf_file_forget(executable); /* whole tables were walked for a few functions */
    hooks.end_tells_kind = found[V8_GC_END].takes_collector;
    hooks.begin_tells_time = found[V8_GC_BEGIN].takes_time;
    for (size_t i = 0; i < WANTED; i++) {
        enum v8_gc_role role = wanted[i].role;
        bool needed = role == V8_GC_BEGIN || role == V8_GC_END;
        bool there = found[i].address;
        if (role == V8_GC_KIND && hooks.end_tells_kind)
            there = false;
        if (there && role == V8_GC_STEP_BEGIN)
            add_step(executable, &hooks, &found[i]);
        else if ((!there || !add_hook(executable, &hooks, role, found[i].address)) && needed)
            return false;
    }
    *ret_hooks = hooks;
    return true;
}
