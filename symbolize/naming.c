/*
 * naming.c - symbols and DWARF brought together.
 *
 * DWARF knows inlined calls and lines, the symbol table knows the functions of files without
 * DWARF and the full names of those whose DIE has a plain name only. Both may come from a
 * separate debug file. A mangled name is demangled once for each `names` table.
 */
#include "symbolize/naming.h"

#include "symbolize/debug_file.h"
#include "symbolize/demangle.h"
#include "symbolize/dwarf.h"
#include "symbolize/kernel_symbols.h"

#include <string.h>

struct symbolic {
    struct elf_file *debug, *alt; /* separate files, or NULL */
    struct symbols *symbols;
    struct dwarf *dwarf;
    struct kernel_symbols *kernel;
};

static bool has_section(struct elf_file *file, const char *name)
{
    struct elf_section section;
    return elf_file_section(file, name, &section);
}

/* `wanted`: the only addresses that will be asked for; NULL: any. */
static struct symbolic *symbolic_new(const struct module *module, const uint64_t *wanted,
                                     size_t wanted_count)
{
    struct symbolic *symbolic = xcalloc(1, sizeof *symbolic);
    if (module->kind == MODULE_KERNEL && !module->problem)
        symbolic->kernel = kernel_symbols_new();
    if (!module->elf)
        return symbolic;
    bool own_dwarf = has_section(module->elf, ".debug_info");
    if (!own_dwarf || !has_section(module->elf, ".symtab"))
        symbolic->debug = debug_file_find(module);
    struct elf_file *files[] = {module->elf, symbolic->debug};
    symbolic->symbols = symbols_new_for(files, symbolic->debug ? 2 : 1, wanted, wanted_count);
    struct elf_file *described = own_dwarf ? module->elf : wanted ? NULL : symbolic->debug;
    if (described) {
        symbolic->alt = debug_file_find_alt(described, module);
        symbolic->dwarf = dwarf_new(described, symbolic->alt, module->pid);
    }
    return symbolic;
}

void symbolic_free(struct symbolic *symbolic)
{
    if (!symbolic)
        return;
    dwarf_free(symbolic->dwarf);
    symbols_free(symbolic->symbols);
    kernel_symbols_free(symbolic->kernel);
    elf_file_free(symbolic->alt);
    elf_file_free(symbolic->debug);
    free(symbolic);
}

/* A module's tables, made on first use. */
static const struct symbolic *symbolic_of(struct module *module)
{
    if (!module->symbolic)
        module->symbolic = symbolic_new(module, NULL, 0);
    return module->symbolic;
}

void module_prepare(struct module *module, const uint64_t *wanted, size_t count)
{
    if (!module->symbolic)
        module->symbolic = symbolic_new(module, wanted, count);
}

void module_forget(struct module *module, bool last)
{
    if (!module->symbolic)
        return;
    struct elf_file *files[] = {module->elf, module->symbolic->debug, module->symbolic->alt};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i])
            elf_file_forget(files[i]);
    if (last) {
        symbolic_free(module->symbolic);
        module->symbolic = NULL;
    }
}

bool module_symbol(struct module *module, uint64_t address, struct symbol *ret_symbol)
{
    const struct symbolic *symbolic = symbolic_of(module);
    return symbolic->symbols && symbols_find(symbolic->symbols, address, ret_symbol);
}

void naming_init(struct naming *naming, struct strings *names)
{
    *naming = (struct naming){.names = names};
}

void naming_release(struct naming *naming)
{
    vec_release(&naming->readable);
    strings_release(&naming->mangled);
}

string_id naming_demangle(struct naming *naming, const char *mangled)
{
    size_t known = naming->mangled.count;
    _cleanup_free_ char *bounded = xstrndup(mangled, strnlen(mangled, LIMIT_SYMBOL_BYTES));
    string_id id = strings_intern(&naming->mangled, bounded);
    if (id < known)
        return naming->readable.items[id];
    while (naming->readable.count <= id)
        vec_append(&naming->readable, 0);
    _cleanup_free_ char *name = demangle(bounded);
    naming->readable.items[id] = strings_intern(naming->names, name);
    return naming->readable.items[id];
}

/*
 * Compilers write a path as they were called: "../src/./a.c" below "/build/x". Read lexically, as
 * debuggers do; the sources need not be here.
 */
string_id naming_file(struct strings *names, const char *path)
{
    char clean[LIMIT_PATH_BYTES];
    size_t used = 0, length = strlen(path);
    if (length >= sizeof clean)
        return strings_intern_length(names, path, length);
    for (const char *at = path; *at;) {
        size_t part = strcspn(at, "/"), next = part + (at[part] == '/');
        if (part == 1 && *at == '.' && at[1]) {
            at += next;
            continue;
        }
        size_t parent = used;
        while (parent && clean[parent - 1] == '/')
            parent--;
        size_t start = parent;
        while (start && clean[start - 1] != '/')
            start--;
        bool climbs = parent - start == 2 && !strncmp(clean + start, "..", 2);
        if (part == 2 && !strncmp(at, "..", 2) && parent > start && !climbs) {
            used = start;
        } else {
            memcpy(clean + used, at, next);
            used += next;
        }
        at += next;
    }
    return strings_intern_length(names, clean, used);
}

/* "name.part.0", "name.cold": the compiler's pieces of the function `plain`. */
static bool is_piece_of(const char *symbol, const char *plain)
{
    size_t length = strlen(plain);
    return !strncmp(symbol, plain, length) && symbol[length] == '.';
}

/*
 * The name of a frame that DWARF describes. `symbol` is given for the outermost one, the function
 * that was really called: it knows more than a plain name (a C++ function's class), but less
 * than a linkage name (identical functions are folded, and one symbol is left for all).
 */
static string_id described_name(struct naming *naming, const struct source_frame *source,
                                const struct symbol *symbol)
{
    static const char internal[] = "__GI_"; /* glibc's mark of an alias for its own calls */
    const char *name = source->function;
    if (name && source->mangled)
        return naming_demangle(naming, strncmp(name, internal, sizeof internal - 1) != 0
                                           ? name
                                           : name + sizeof internal - 1);
    if (symbol && !(name && is_piece_of(symbol->name, name)))
        return naming_demangle(naming, symbol->name);
    return name ? strings_intern(naming->names, name) : 0;
}

size_t naming_find(struct naming *naming, struct module *module, uint64_t address,
                   struct named_frame ret_frames[LIMIT_INLINE_DEPTH])
{
    const struct symbolic *symbolic = symbolic_of(module);
    struct source_frame sources[LIMIT_INLINE_DEPTH];
    struct symbol symbol;
    bool has_symbol = module_symbol(module, address, &symbol);
    size_t count = symbolic->dwarf ? dwarf_find(symbolic->dwarf, address, sources) : 0;
    for (size_t i = 0; i < count; i++) {
        bool outermost = i + 1 == count;
        const struct source_frame *source = &sources[i];
        const char *file = source->declared_file ? source->declared_file : source->file;
        ret_frames[i] = (struct named_frame){
            .function = described_name(naming, source, outermost && has_symbol ? &symbol : NULL),
            .file = file ? naming_file(naming->names, file) : 0,
            .line = source->declared_line,
            .at_file = source->file,
            .at_line = source->line,
        };
    }
    if (count)
        return count;
    ret_frames[0] =
        (struct named_frame){.function = has_symbol ? naming_demangle(naming, symbol.name) : 0};
    return 1;
}

string_id naming_find_kernel(struct naming *naming, struct module *kernel, uint64_t address,
                             const char **ret_module)
{
    const struct symbolic *symbolic = symbolic_of(kernel);
    *ret_module = NULL;
    const char *name =
        symbolic->kernel ? kernel_symbols_find(symbolic->kernel, address, ret_module) : NULL;
    return name ? naming_demangle(naming, name) : 0;
}
