/*
 * fuzz_elf_symbols.c - an ELF image: its sections, symbols (.gnu_debugdata and stubs included),
 * look-ups, and links to debug files.
 *
 * No file is opened: the limit on open files is zero meanwhile.
 */
#include "symbolize/debug_file.h"
#include "symbolize/symbols.h"

#include <string.h>
#include <sys/resource.h>

/* A symbol that is found covers the address and is one of the file's. */
static void look_up(const struct symbols *symbols, uint64_t address)
{
    struct symbol symbol, same;
    if (!symbols_find(symbols, address, &symbol))
        return;
    if (address - symbol.address >= symbol.size || !*symbol.name)
        __builtin_trap();
    if (!strstr(symbol.name, "@plt") && !symbols_find_name(symbols, symbol.name, &same))
        __builtin_trap();
}

static void look_up_all(struct elf_file *file, const uint8_t *data, size_t size)
{
    struct symbols *symbols = symbols_new(&file, 1);
    for (size_t i = 0; i < file->loads.count && i < 16; i++)
        for (uint64_t offset = 0; offset < 256; offset++)
            look_up(symbols, file->loads.items[i].vaddr + offset * 7);
    for (size_t at = 0; at + 8 <= size && at < 4096; at += 8) {
        uint64_t address;
        memcpy(&address, data + at, sizeof address);
        look_up(symbols, address);
    }
    look_up(symbols, 0);
    look_up(symbols, UINT64_MAX);
    symbols_free(symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_file *file;
    struct rlimit old, none;
    if (elf_file_open_memory(data, size, "input", &file, NULL))
        return 0;
    look_up_all(file, data, size);
    if (!getrlimit(RLIMIT_NOFILE, &old)) {
        none = (struct rlimit){0, old.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        char path[] = "/nowhere/input";
        struct module module = {.path = path, .kind = MODULE_FILE, .elf = file};
        if (debug_file_find(&module) || debug_file_find_alt(file, &module))
            __builtin_trap();
        setrlimit(RLIMIT_NOFILE, &old);
    }
    elf_file_free(file);
    return 0;
}
