#include "core/tid_map.h"
#include "tests/unit/unit.h"

#include <stdint.h>

START_TEST(what_was_put_is_found_until_it_is_taken)
{
    struct tid_map map = {0};
    ck_assert_ptr_null(tid_map_get(&map, 7));
    ck_assert_ptr_null(tid_map_take(&map, 7));
    for (uintptr_t tid = 1; tid <= 5000; tid++)
        tid_map_put(&map, (uint32_t)tid, (void *)(tid * 8));
    /* In another order than they came: runs break up in the middle. */
    for (uintptr_t i = 0; i < 5000; i++) {
        uint32_t tid = (uint32_t)(i * 7 % 5000 + 1);
        ck_assert_ptr_eq(tid_map_get(&map, tid), (void *)((uintptr_t)tid * 8));
        if (tid % 3)
            ck_assert_ptr_eq(tid_map_take(&map, tid), (void *)((uintptr_t)tid * 8));
        if (tid % 3)
            ck_assert_ptr_null(tid_map_get(&map, tid));
    }
    for (uintptr_t tid = 1; tid <= 5000; tid++)
        ck_assert_ptr_eq(tid_map_get(&map, (uint32_t)tid), tid % 3 ? NULL : (void *)(tid * 8));
    ck_assert_uint_eq(map.count, 5000 / 3);
    tid_map_release(&map, NULL);
}
END_TEST

START_TEST(coming_and_going_does_not_grow_it)
{
    struct tid_map map = {0};
    for (uint32_t tid = 1; tid <= 100000; tid++) {
        tid_map_put(&map, tid, &map);
        if (tid > 8)
            ck_assert_ptr_eq(tid_map_take(&map, tid - 8), &map);
    }
    ck_assert_uint_eq(map.count, 8);
    ck_assert_uint_lt(map.mask, 64);
    tid_map_release(&map, NULL);
}
END_TEST

UNIT_MAIN("tid_map", what_was_put_is_found_until_it_is_taken, coming_and_going_does_not_grow_it)
