/*
 * symbols.h - the function symbol at an address of one ELF file.
 *
 * .symtab and .dynsym, and what .gnu_debugdata (MiniDebugInfo, an xz-compressed ELF) adds, as
 * one sorted table with a binary search. Names point into the file. Overlapping symbols are
 * resolved as the tests' oracle (libdwfl) does: the closest start wins, a sized symbol before
 * an unsized one, a global before a weak before a local one.
 */
#ifndef MEMPROF_SYMBOLIZE_SYMBOLS_H
#define MEMPROF_SYMBOLIZE_SYMBOLS_H

#include "symbolize/elf_file.h"

struct symbol {
    const char *name;       /* mangled, NUL-terminated, owned by the file */
    uint64_t address, size; /* in the module; the size is guessed up to the next one if it was 0 */
};

struct symbols;

/* `files`: the module's own file and its separate debug file, if any; both outlive the result. */
struct symbols *symbols_new(struct elf_file *const *files, size_t count);
/*
 * The same for `wanted` addresses only, which ascend: symbols that cover none of them are left out,
 * so that naming a few addresses of a large file takes little memory. A size that is guessed may
 * be larger than in the whole table.
 */
struct symbols *symbols_new_for(struct elf_file *const *files, size_t count, const uint64_t *wanted,
                                size_t wanted_count);
void symbols_free(struct symbols *symbols);
/* The symbol that covers an address; false when none does. */
bool symbols_find(const struct symbols *symbols, uint64_t address, struct symbol *ret_symbol);
/* A symbol by its exact mangled name; a linear scan. */
bool symbols_find_name(const struct symbols *symbols, const char *name, struct symbol *ret_symbol);
/* The file's own tables define `name`; without building anything. */
bool symbols_file_has(struct elf_file *file, const char *name);

#endif
