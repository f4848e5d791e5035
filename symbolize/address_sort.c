/*
 * Least significant digit first, 11 bits a pass: the 32 MB of a large program's code take three
 * passes, 100,000 symbols about a millisecond, where qsort takes ten.
 */
#include "symbolize/address_sort.h"

#include "core/alloc.h"

#include <string.h>

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

static size_t digit_of(const struct address_item *item, unsigned shift)
{
    return item->address >> shift & (DIGITS - 1);
}

static void sort_by_digit(const struct address_item *from, struct address_item *to, size_t count,
                          unsigned shift)
{
    size_t position[DIGITS] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++)
        position[digit_of(&from[i], shift)]++;
    for (size_t digit = 0; digit < DIGITS; digit++) {
        size_t here = position[digit];
        position[digit] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++)
        to[position[digit_of(&from[i], shift)]++] = from[i];
}

void address_sort(struct address_item *items, size_t count)
{
    uint64_t differ = 0;
    for (size_t i = 1; i < count; i++)
        differ |= items[i].address ^ items[0].address;
    if (!differ)
        return;
    _cleanup_free_ struct address_item *scratch = xreallocarray(NULL, count, sizeof *scratch);
    struct address_item *from = items, *to = scratch;
    unsigned shift = (unsigned)__builtin_ctzll(differ);
    for (; shift < 64 && differ >> shift; shift += DIGIT_BITS) {
        sort_by_digit(from, to, count, shift);
        struct address_item *other = from;
        from = to;
        to = other;
    }
    if (from != items)
        memcpy(items, from, count * sizeof *items);
}
