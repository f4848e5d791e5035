#include "symbolize/range_map.h"
#include "tests/unit/unit.h"

enum { SPAN = 200 };

/* What range_map.h promises, said as a loop over all ranges. */
static bool find_naively(const struct range *ranges, size_t count, uint64_t address,
                         uint32_t *ret_value)
{
    const struct range *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct range *range = &ranges[i];
        if (address < range->start || address >= range->end)
            continue;
        if (!best || range->start > best->start ||
            (range->start == best->start &&
             (range->end < best->end || (range->end == best->end && range->rank > best->rank))))
            best = range;
    }
    if (best)
        *ret_value = best->value;
    return best;
}

START_TEST(random_ranges_are_found_as_a_plain_loop_finds_them)
{
    srand(20);
    size_t found = 0;
    for (int round = 0; round < 3000; round++) {
        struct range ranges[24];
        struct range_map map = {0};
        size_t count = (size_t)(rand() % 24);
        for (size_t i = 0; i < count; i++) {
            uint64_t start = (uint64_t)(rand() % SPAN);
            uint64_t end = start + (uint64_t)(rand() % (round % 2 ? 10 : SPAN));
            ranges[i] = (struct range){start, end, (uint32_t)i, (uint32_t)i};
            range_map_add(&map, start, end, (uint32_t)i, (uint32_t)i);
        }
        range_map_finish(&map);
        for (uint64_t address = 0; address < 2 * SPAN; address++) {
            uint32_t ours = 0, wanted = 0;
            bool expected = find_naively(ranges, count, address, &wanted);
            ck_assert_int_eq(range_map_find(&map, address, &ours), expected);
            ck_assert_uint_eq(ours, wanted);
            found += expected;
        }
        range_map_release(&map);
    }
    ck_assert_uint_gt(found, 100000);
}
END_TEST

START_TEST(ranges_reach_to_the_last_address)
{
    struct range_map map = {0};
    uint32_t value = 0;
    range_map_add(&map, UINT64_MAX - 10, UINT64_MAX, 7, 0);
    range_map_add(&map, 0, UINT64_MAX, 1, 0);
    range_map_finish(&map);
    ck_assert(range_map_find(&map, UINT64_MAX - 1, &value));
    ck_assert_uint_eq(value, 7);
    ck_assert(range_map_find(&map, 0, &value));
    ck_assert_uint_eq(value, 1);
    ck_assert(!range_map_find(&map, UINT64_MAX, &value));
    range_map_release(&map);
}
END_TEST

UNIT_MAIN("range_map", random_ranges_are_found_as_a_plain_loop_finds_them,
          ranges_reach_to_the_last_address)
