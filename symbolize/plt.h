/*
 * plt.h - names for the stubs of the procedure linkage table, "malloc@plt".
 *
 * No symbol table lists them; each stub jumps through a slot of the GOT, and the relocation of
 * that slot names the function. x86-64 and arm64.
 */
#ifndef MEMPROF_SYMBOLIZE_PLT_H
#define MEMPROF_SYMBOLIZE_PLT_H

#include "symbolize/elf_file.h"

struct plt_symbols { /* in the form of a symbol table and its strings; ready when zeroed */
    vec(Elf64_Sym) symbols;
    vec(char) names;
};

void plt_symbols_read(struct plt_symbols *plt, struct elf_file *file);
void plt_symbols_release(struct plt_symbols *plt);

#endif
