/*
 * kernel_symbols.h - names of kernel addresses, from /proc/kallsyms when it is readable.
 *
 * Under kptr_restrict the file lists zero addresses: then there are no names, and
 * kernel_symbols_new says so by NULL.
 */
#ifndef MEMPROF_SYMBOLIZE_KERNEL_SYMBOLS_H
#define MEMPROF_SYMBOLIZE_KERNEL_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct kernel_symbols;

/* From /proc/kallsyms; NULL if it can't be read or has no addresses. */
struct kernel_symbols *kernel_symbols_new(void);
/* From text in the format of /proc/kallsyms. */
struct kernel_symbols *kernel_symbols_parse(const char *text, size_t length);
void kernel_symbols_free(struct kernel_symbols *symbols);
/*
 * The symbol at an address, or NULL. *ret_module is the kernel module's name, or NULL for the
 * kernel proper. Both live as long as the symbols.
 */
const char *kernel_symbols_find(const struct kernel_symbols *symbols, uint64_t address,
                                const char **ret_module);

#endif
