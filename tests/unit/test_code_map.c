#include "core/code_map.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { SPACE = 4096, OPERATIONS = 5000 };

/* The plain way: a value for each address. */
struct plain {
    uint32_t values[SPACE]; /* 0: nothing */
    uint32_t ranges[SPACE]; /* which range an address belongs to */
};

static void plain_drop(struct plain *plain, uint32_t range)
{
    for (size_t i = 0; range && i < SPACE; i++)
        if (plain->ranges[i] == range)
            plain->ranges[i] = plain->values[i] = 0;
}

static void plain_add(struct plain *plain, uint64_t start, uint64_t size, uint32_t value,
                      uint32_t range)
{
    for (uint64_t i = start; i < start + size; i++)
        plain_drop(plain, plain->ranges[i]);
    for (uint64_t i = start; i < start + size; i++) {
        plain->values[i] = value;
        plain->ranges[i] = range;
    }
}

static void check_all(const struct code_map *map, const struct plain *plain)
{
    for (uint64_t i = 0; i < SPACE; i++) {
        const struct code_range *range = code_map_find(map, i);
        ck_assert_uint_eq(range ? range->value : 0, plain->values[i]);
    }
}

START_TEST(it_agrees_with_the_plain_way)
{
    struct code_map map = {0};
    struct plain *plain = xcalloc(1, sizeof *plain);
    srandom(3);
    for (uint32_t i = 1; i <= OPERATIONS; i++) {
        uint64_t start = (uint64_t)random() % SPACE, size = (uint64_t)random() % 12;
        struct code_range taken;
        if (random() % 4) {
            if (start + size > SPACE)
                size = SPACE - start;
            code_map_add(&map, start, size, i);
            plain_add(plain, start, size, i, i);
        } else if (code_map_take(&map, start, &taken)) {
            ck_assert_uint_eq(taken.start, start);
            ck_assert_uint_eq(taken.value, plain->values[start]);
            plain_drop(plain, plain->ranges[start]);
        } else {
            ck_assert(!plain->values[start] || plain->ranges[start - 1] == plain->ranges[start]);
        }
        if (i % 500 == 0)
            check_all(&map, plain);
    }
    ck_assert_uint_gt(map.count, 256);
    free(plain);
    code_map_release(&map);
    ck_assert_ptr_null(code_map_find(&map, 1));
}
END_TEST

/* More than fits into a block, in every order. */
START_TEST(many_ranges_in_any_order)
{
    static const uint64_t steps[] = {1, 99999, 7919};
    for (size_t order = 0; order < 3; order++) {
        struct code_map map = {0};
        for (uint64_t i = 0, at = 0; i < 100000; i++, at = (at + steps[order]) % 100000)
            code_map_add(&map, at * 16, 8, (uint32_t)at);
        ck_assert_uint_eq(map.count, 100000);
        for (uint64_t i = 0; i < 100000; i++) {
            const struct code_range *range = code_map_find(&map, i * 16 + 7);
            ck_assert_ptr_nonnull(range);
            ck_assert_uint_eq(range->value, i);
            ck_assert_ptr_null(code_map_find(&map, i * 16 + 8));
        }
        code_map_add(&map, 0, 100000 * 16, 5);
        ck_assert_uint_eq(map.count, 1);
        code_map_release(&map);
    }
}
END_TEST

START_TEST(the_ends_of_the_address_space)
{
    struct code_map map = {0};
    code_map_add(&map, UINT64_MAX - 4, 4, 1);
    code_map_add(&map, UINT64_MAX - 4, 6, 2);
    code_map_add(&map, 0, 0, 3);
    ck_assert_uint_eq(map.count, 1);
    ck_assert_uint_eq(code_map_find(&map, UINT64_MAX - 1)->value, 1);
    ck_assert_ptr_null(code_map_find(&map, UINT64_MAX));
    ck_assert_ptr_null(code_map_find(&map, 0));
    code_map_release(&map);
}
END_TEST

UNIT_MAIN("code_map", it_agrees_with_the_plain_way, many_ranges_in_any_order,
          the_ends_of_the_address_space)
