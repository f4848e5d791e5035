/*
 * symbol_search.h - a few symbols of one ELF file by their names, without building anything.
 *
 * Of a file with 100,000 symbols nearly all are told apart by what they are, and their names are
 * never looked at: that keeps a search to few milliseconds, and most of the file out of memory. For
 * symbols by address see symbols.h.
 */
#ifndef MEMPROF_SYMBOLIZE_SYMBOL_SEARCH_H
#define MEMPROF_SYMBOLIZE_SYMBOL_SEARCH_H

#include "symbolize/symbols.h"

enum symbol_types { /* a set */
                    SYMBOL_FUNCTIONS = 1,
                    SYMBOL_DATA = 2,
                    SYMBOL_UNTYPED = 4 /* labels of assembly */
};

struct symbol_filter {
    unsigned types;
    uint64_t smallest, largest; /* size in the file; largest 0: any */
    uint64_t start, end;        /* addresses [start, end); end 0: any */
};

struct symbol_wanted {
    const char *name; /* mangled */
    bool beginning;   /* it only begins so */
};

struct symbol_query {
    const struct symbol_filter *filters; /* symbols that fit one of them are looked at */
    size_t filter_count;
    const struct symbol_wanted *wanted;
    size_t wanted_count;
};

/* `wanted` is a position in the array; the symbol's name goes on as long as the file is open. */
typedef void symbol_found_fn(void *context, size_t wanted, const struct symbol *symbol);

/*
 * Hands out each symbol whose name is wanted, once for each name that it fits, in no order. They
 * are .symtab's; .dynsym's if that has none of them, or has been stripped. Sizes are as in the
 * file, 0 where it tells none.
 */
void symbol_search(struct elf_file *file, const struct symbol_query *query, symbol_found_fn *found,
                   void *context);

#endif
