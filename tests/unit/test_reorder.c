#include "core/reorder.h"
#include "tests/unit/unit.h"

enum { WINDOW_US = 1000 };

static void add(struct reorder *reorder, struct sequence *sequence, uint64_t time_us)
{
    reorder_add(reorder, sequence, &(struct sample){time_us, 1, (uint32_t)time_us}, WINDOW_US);
}

/* Checks the order, and returns how many there are. */
static uint64_t in_order(const struct sequence *sequence)
{
    struct sequence_cursor cursor = sequence_begin(sequence);
    uint64_t last_us = 0, count = 0;
    for (struct sample sample; sequence_next(&cursor, &sample); count++) {
        ck_assert_uint_ge(sample.time_us, last_us);
        last_us = sample.time_us;
    }
    return count;
}

START_TEST(what_is_late_within_the_window_finds_its_place)
{
    struct reorder reorder = {0};
    struct sequence sequence = {0};
    for (uint64_t i = 0; i < 20000; i++) {
        add(&reorder, &sequence, 10000 + i * 10);
        if (i % 50 == 0)
            add(&reorder, &sequence, 10000 + i * 10 - 995);
    }
    ck_assert_uint_gt(sequence.count, 15000);
    ck_assert_uint_lt(reorder.held.count, 4000);
    reorder_flush(&reorder, &sequence);
    ck_assert_uint_eq(reorder.held.count, 0);
    ck_assert_uint_eq(in_order(&sequence), 20400);
    struct sequence_cursor cursor = sequence_begin(&sequence);
    for (struct sample sample; sequence_next(&cursor, &sample);)
        ck_assert_uint_eq(sample.time_us, sample.node); /* none was moved */
    reorder_release(&reorder);
    sequence_release(&sequence);
}
END_TEST

START_TEST(what_is_too_late_stands_where_the_sequence_ends)
{
    struct reorder reorder = {0};
    struct sequence sequence = {0};
    for (uint64_t i = 0; i < 5000; i++)
        add(&reorder, &sequence, 100000 + i * 10);
    uint64_t ended_us = sequence.last_time_us;
    ck_assert_uint_gt(ended_us, 100000);
    add(&reorder, &sequence, 5);
    reorder_flush(&reorder, &sequence);
    ck_assert_uint_eq(in_order(&sequence), 5001);
    struct sequence_cursor cursor = sequence_begin(&sequence);
    uint64_t found_us = 0;
    for (struct sample sample; sequence_next(&cursor, &sample);)
        if (sample.node == 5)
            found_us = sample.time_us;
    ck_assert_uint_eq(found_us, ended_us);
    reorder_release(&reorder);
    sequence_release(&sequence);
}
END_TEST

UNIT_MAIN("reorder", what_is_late_within_the_window_finds_its_place,
          what_is_too_late_stands_where_the_sequence_ends)
