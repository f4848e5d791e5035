/*
 * address_sort.h - sorting by address, for tables of a hundred thousand symbols.
 */
#ifndef MEMPROF_SYMBOLIZE_ADDRESS_SORT_H
#define MEMPROF_SYMBOLIZE_ADDRESS_SORT_H

#include <stddef.h>
#include <stdint.h>

struct address_item {
    uint64_t address;
    uint32_t size, tag; /* the caller's */
};

/* Stable, ascending. Linear: a radix sort over the bits in which the addresses differ. */
void address_sort(struct address_item *items, size_t count);

#endif
