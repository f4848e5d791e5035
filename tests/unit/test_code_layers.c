/*
 * The map against a table that holds the value of every address.
 */
#include "symbolize/code_layers.h"
#include "tests/unit/unit.h"

enum { ADDRESSES = 512 };

static void check_all(const struct code_layers *map, const uint32_t truth[ADDRESSES])
{
    for (uint64_t at = 0; at < ADDRESSES; at++) {
        uint32_t value = 0;
        bool found = code_layers_find(map, at, &value);
        ck_assert_int_eq(found, truth[at] != CODE_LAYERS_NONE);
        if (found)
            ck_assert_uint_eq(value, truth[at]);
    }
}

START_TEST(an_empty_map_has_no_code)
{
    struct code_layers map = {0};
    uint32_t value;
    ck_assert(!code_layers_find(&map, 0, &value));
    ck_assert(!code_layers_overlaps(&map, 0, UINT64_MAX));
    code_layers_add(&map, 7, 7, 1);
    code_layers_add(&map, 9, 7, 1);
    ck_assert_uint_eq(map.ranges.count, 0);
    code_layers_release(&map);
}
END_TEST

START_TEST(new_code_hides_old)
{
    struct code_layers map = {0};
    uint32_t value;
    code_layers_add(&map, 100, 200, 1);
    ck_assert(code_layers_overlaps(&map, 199, 300));
    ck_assert(!code_layers_overlaps(&map, 200, 300));
    ck_assert(!code_layers_overlaps(&map, 0, 100));
    code_layers_add(&map, 140, 160, 2);
    ck_assert(code_layers_find(&map, 150, &value));
    ck_assert_uint_eq(value, 2);
    ck_assert(code_layers_find(&map, 139, &value));
    ck_assert_uint_eq(value, 1);
    ck_assert(code_layers_find(&map, 160, &value));
    ck_assert_uint_eq(value, 1);
    ck_assert(!code_layers_find(&map, 200, &value));
    code_layers_add(&map, 0, 1000, CODE_LAYERS_NONE);
    ck_assert(!code_layers_find(&map, 150, &value));
    code_layers_release(&map);
}
END_TEST

START_TEST(any_order_of_additions_agrees_with_a_table)
{
    srand(7);
    for (int round = 0; round < 60; round++) {
        struct code_layers map = {0};
        uint32_t truth[ADDRESSES];
        for (size_t i = 0; i < ADDRESSES; i++)
            truth[i] = CODE_LAYERS_NONE;
        for (uint32_t added = 0; added < 300; added++) {
            uint64_t start = (uint64_t)(rand() % ADDRESSES);
            uint64_t end = start + 1 + (uint64_t)(rand() % (1 << round % 9));
            uint32_t value = added % 11 ? added : CODE_LAYERS_NONE;
            code_layers_add(&map, start, end, value);
            for (uint64_t at = start; at < end && at < ADDRESSES; at++)
                truth[at] = value;
            if (added % 50 == 0)
                check_all(&map, truth);
        }
        check_all(&map, truth);
        code_layers_release(&map);
    }
}
END_TEST

START_TEST(a_million_additions_stay_few_runs)
{
    struct code_layers map = {0};
    uint32_t value;
    for (uint32_t i = 0; i < 1000000; i++) /* in an order far from sorted */
        code_layers_add(&map, (uint64_t)(i * 2654435761u % 1000003) * 64,
                     (uint64_t)(i * 2654435761u % 1000003) * 64 + 64, i);
    ck_assert_uint_le(map.runs.count, 21);
    ck_assert_uint_le(map.ranges.count, 2000000);
    for (uint32_t i = 999000; i < 1000000; i++) {
        ck_assert(code_layers_find(&map, (uint64_t)(i * 2654435761u % 1000003) * 64 + 63, &value));
        ck_assert_uint_ge(value, i);
    }
    code_layers_release(&map);
}
END_TEST

UNIT_MAIN("code_layers", an_empty_map_has_no_code, new_code_hides_old,
          any_order_of_additions_agrees_with_a_table, a_million_additions_stay_few_runs)
