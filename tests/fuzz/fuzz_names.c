/*
 * fuzz_names.c - names from outside: one linkage name, and the text of /proc/kallsyms.
 */
#include "core/alloc.h"
#include "core/bare_name.h"
#include "symbolize/demangle.h"
#include "symbolize/kernel_symbols.h"

#include <string.h>

static void read_kallsyms(const char *text, size_t size)
{
    struct kernel_symbols *symbols = kernel_symbols_parse(text, size);
    static const uint64_t addresses[] = {0, 1, 0xffffffff81000000, 0xffffffffc0000010, UINT64_MAX};
    for (size_t i = 0; symbols && i < sizeof addresses / sizeof *addresses; i++) {
        const char *module = NULL;
        const char *name = kernel_symbols_find(symbols, addresses[i], &module);
        if (name && strlen(name) + (module ? strlen(module) : 0) > size)
            __builtin_trap();
    }
    kernel_symbols_free(symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *mangled = xstrndup((const char *)data, size);
    _cleanup_free_ char *name = demangle(mangled);
    if (!*name != !*mangled && mangled[0] != '@' && strncmp(mangled, ".llvm.", 6) != 0)
        __builtin_trap();
    if (bare_name_length(name) > strlen(name))
        __builtin_trap();
    read_kallsyms((const char *)data, size);
    return 0;
}
