#include "tests/unit/node_image.h"

#include <check.h>

static void set_up(void)
{
    image = calloc(1, sizeof *image);
}

static void tear_down(void)
{
    free(image);
}

START_TEST(loop_is_read)
{
    struct remote_memory memory = memory_of_image();
    struct node_loop loop;
    struct node_loop_reading reading;
    struct error err;
    uint32_t counts[NODE_HANDLE_TYPES];
    put_loop(some_handles, 6);
    uint64_t now_ns = 6 * (uint64_t)SECOND_NS;
    ck_assert_int_eq(node_loop_open(&memory, LOOP, true, now_ns, &loop, &err), 0);
    ck_assert(node_loop_read(&loop, now_ns, &reading));
    ck_assert_uint_eq(reading.handles, 3);
    ck_assert_uint_eq(reading.requests, 3);
    ck_assert_uint_eq(reading.turns, 77);
    ck_assert_uint_eq(reading.clock_ns, 5 * (uint64_t)SECOND_NS);
    ck_assert_uint_eq(node_loop_idle_ns(&reading), 2 * (uint64_t)SECOND_NS);
    for (int walk = 0; walk < 2; walk++) { /* the second takes what the first has read */
        ck_assert(node_loop_handles(&loop, counts));
        ck_assert_uint_eq(counts[12], 2);
        ck_assert_uint_eq(counts[13], 1);
        ck_assert_uint_eq(counts[7], 0);
    }
    ck_assert_str_eq(node_handle_type(12), "tcp");
    ck_assert_str_eq(node_handle_type(99), "other");
    set64(FIELDS + 136, now_ns - SECOND_NS);
    ck_assert(node_loop_read(&loop, now_ns, &reading));
    ck_assert_uint_eq(node_loop_idle_ns(&reading), 3 * (uint64_t)SECOND_NS);
    node_loop_release(&loop);
}
END_TEST

START_TEST(handles_that_change_are_walked_anew)
{
    struct remote_memory memory = memory_of_image();
    struct node_loop loop;
    struct error err;
    uint32_t counts[NODE_HANDLE_TYPES];
    put_loop(some_handles, 6);
    ck_assert_int_eq(node_loop_open(&memory, LOOP, true, 6 * (uint64_t)SECOND_NS, &loop, &err), 0);
    ck_assert(node_loop_handles(&loop, counts));
    /* The second one is closed and its memory another's. */
    set64(HANDLES + 32, HANDLES + 2 * HANDLE_STEP + 32);
    memset(image->bytes + (HANDLES + HANDLE_STEP - BASE), 0xff, HANDLE_STEP);
    set32(LOOP + 8, 2);
    ck_assert(node_loop_handles(&loop, counts));
    ck_assert_uint_eq(counts[12], 1);
    /* A count that the walk does not find. */
    set32(LOOP + 8, 5);
    ck_assert(!node_loop_handles(&loop, counts));
    /* A ring that never comes back to its head. */
    set64(HANDLES + 32, HANDLES + 32);
    ck_assert(!node_loop_handles(&loop, counts));
    node_loop_release(&loop);
}
END_TEST

START_TEST(what_is_no_loop_is_refused)
{
    struct remote_memory memory = memory_of_image();
    uint64_t now_ns = 6 * (uint64_t)SECOND_NS;
    const struct {
        uint64_t address, value;
        enum error_code code;
    } faults[] = {
        {LOOP + 40, 0, ERROR_FORMAT},              /* not begun */
        {LOOP + 40, 0x7fffffff0000, ERROR_FORMAT}, /* nothing is there */
        {FIELDS, 0, ERROR_UNSUPPORTED},            /* does not measure */
        {LOOP + 544, 0, ERROR_FORMAT},             /* no time */
        {LOOP + 544, 10000, ERROR_FORMAT},         /* the future */
        {FIELDS + 144, UINT64_MAX, ERROR_FORMAT},  /* waited for ever */
        {FIELDS + 136, now_ns * 2, ERROR_FORMAT},  /* waits from later on */
        {LOOP + 16, LOOP + 16, ERROR_FORMAT},      /* half a link */
        {LOOP + 16, 5, ERROR_FORMAT},              /* no link */
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct node_loop loop;
        struct error err;
        memset(image, 0, sizeof *image);
        put_loop(some_handles, 6);
        set64(faults[i].address, faults[i].value);
        ck_assert_int_eq(node_loop_open(&memory, LOOP, true, now_ns, &loop, &err), -1);
        ck_assert_int_eq(err.code, faults[i].code);
    }
}
END_TEST

#define MS(n) ((n) * (uint64_t)1000000)

static struct node_loop_reading looks(uint64_t at_ms, uint64_t idle_ms, uint64_t waits_since_ms,
                                      uint64_t clock_ms, uint64_t turns)
{
    return (struct node_loop_reading){.time_ns = MS(at_ms),
                                      .idle_ns = MS(idle_ms),
                                      .waits_since_ns = MS(waits_since_ms),
                                      .clock_ns = MS(clock_ms),
                                      .turns = turns};
}

START_TEST(blocks_are_found)
{
    struct node_loop_watch watch = {0};
    struct node_loop_block block;
    struct node_loop_reading readings[] = {
        looks(1000, 100, 995, 990, 5),   looks(1010, 115, 0, 1008, 6),
        looks(1100, 115, 0, 1008, 6),    looks(1600, 115, 0, 1008, 6),
        looks(1610, 115, 1605, 1604, 7),
    };
    for (size_t i = 0; i < 4; i++)
        ck_assert(!node_loop_watch_feed(&watch, &readings[i], MS(50), &block));
    ck_assert(node_loop_watch_finish(&watch, MS(50), &block));
    ck_assert(node_loop_watch_feed(&watch, &readings[4], MS(50), &block));
    ck_assert_uint_eq(block.began_ns, MS(1008));
    ck_assert_uint_eq(block.ended_ns, MS(1605));
    ck_assert_uint_eq(node_loop_watch_take(&watch), MS(597));
    ck_assert_uint_eq(node_loop_watch_take(&watch), 0);
    ck_assert(!node_loop_watch_finish(&watch, MS(50), &block));
}
END_TEST

/* One turn after the other, each short and none with a wait: busy, but nothing blocks it. */
START_TEST(busy_turns_are_no_block)
{
    struct node_loop_watch watch = {0};
    struct node_loop_block block;
    for (uint64_t i = 0; i < 100; i++) {
        struct node_loop_reading reading = looks(1000 + i * 10, 100, 0, 999 + i * 10, 5 + i);
        ck_assert(!node_loop_watch_feed(&watch, &reading, MS(50), &block));
    }
    ck_assert_uint_le(node_loop_watch_take(&watch), MS(12));
}
END_TEST

/* What runs before the loop begins to turn is not the loop's. */
START_TEST(loop_that_never_turned_has_no_block)
{
    struct node_loop_watch watch = {0};
    struct node_loop_block block;
    for (uint64_t i = 0; i < 100; i++) {
        struct node_loop_reading reading = looks(1000 + i * 10, 0, 0, 990, 0);
        ck_assert(!node_loop_watch_feed(&watch, &reading, MS(50), &block));
    }
    ck_assert(!node_loop_watch_finish(&watch, MS(50), &block));
}
END_TEST

START_TEST(isolates_are_found)
{
    struct remote_memory memory = memory_of_image();
    struct node_isolate found[LIMIT_ISOLATES];
    struct node_symbols symbols = {0};
    put_platform(&symbols);
    ck_assert_uint_eq(node_isolates_find(&memory, &symbols, found), 2);
    ck_assert(found[0].main && found[0].loop == LOOP);
    ck_assert(!found[1].main && found[1].loop == BASE + 0x7000);
    set64(NODES + 0x200, NODES); /* a ring ends with the count */
    ck_assert_uint_le(node_isolates_find(&memory, &symbols, found), 3);
    set64(PLATFORM, 0);
    ck_assert_uint_eq(node_isolates_find(&memory, &symbols, found), 0);
}
END_TEST

START_TEST(heap_is_read)
{
    struct remote_memory memory = memory_of_image();
    struct node_symbols symbols = put_heap();
    struct node_heap heap;
    struct node_heap_figures figures;
    struct error err;
    ck_assert_int_eq(node_heap_open(&memory, &symbols, ISOLATE, &heap, &err), 0);
    ck_assert(node_heap_read(&heap, &figures));
    ck_assert_uint_eq(figures.total, (16 + 4 + 2) * PAGE);
    ck_assert_uint_eq(figures.used, 257720 + 200000 - (PAGE - 257720) + 700000 + 300000);
    ck_assert_uint_eq(figures.external, 123456);
    ck_assert(figures.has_array_buffers);
    ck_assert_uint_eq(figures.array_buffers, 100000);
    set64(OLD + 152, 5 * PAGE); /* more used than committed */
    ck_assert(!node_heap_read(&heap, &figures));
    set64(OLD + 152, 700000);
    set64(OLD, 0); /* the space is gone */
    ck_assert(!node_heap_read(&heap, &figures));
}
END_TEST

START_TEST(what_is_no_heap_is_refused)
{
    struct remote_memory memory = memory_of_image();
    const struct {
        uint64_t address, value;
        enum error_code code;
        const char *text;
    } faults[] = {
        {VERSION, 14 | (uint64_t)1 << 32, ERROR_UNSUPPORTED,
         "the heap's layout in V8 14.1 is not known"},
        {OLD + 8, HEAP + 8, ERROR_FORMAT, "its heap has no known layout"},
        {OLD, 0, ERROR_FORMAT, "its heap has not all its spaces"},
        {NEW + 360, 0, ERROR_FORMAT, "its heap has not all its spaces"},
        {OLD + 128, 12, ERROR_FORMAT, "the figures of its heap contradict each other"},
        {NEW_AREA, UINT64_MAX, ERROR_FORMAT, "the figures of its heap contradict each other"},
        {OLD + 24, 4 * PAGE + 1, ERROR_FORMAT, "the figures of its heap contradict each other"},
        {NEW + 360 + 80, 0, ERROR_FORMAT, "the figures of its heap contradict each other"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct node_heap heap;
        struct error err = {0};
        memset(image, 0, sizeof *image);
        struct node_symbols symbols = put_heap();
        set64(faults[i].address, faults[i].value);
        ck_assert_int_eq(node_heap_open(&memory, &symbols, ISOLATE, &heap, &err), -1);
        ck_assert_int_eq(err.code, faults[i].code);
        ck_assert_str_eq(err.text, faults[i].text);
    }
}
END_TEST

START_TEST(mappings_are_summed)
{
    static const char maps[] = "00400000-02000000 r-xp 00000000 08:01 1234   /usr/bin/node\n"
                               "0a000000-0a100000 rw-p 00000000 00:00 0      [heap]\n"
                               "1000040000-1000080000 rw-p 00000000 00:00 0 \n"
                               "1000080000-1000100000 ---p 00000000 00:00 0 \n"
                               "1000100000-1000101000 rw-p 00000000 00:00 0\n"
                               "1000201000-1000301000 rw-p 00000000 00:00 0 \n"
                               "1000400000-1000500000 rw-s 00000000 00:00 0 \n"
                               "7f0000000000-7f0000100000 rw-p 00000000 00:00 0 \n"
                               "nonsense\n1000600000-10005";
    ck_assert_uint_eq(node_heap_mapped(maps, sizeof maps - 1), 0x40000 + 0x1000);
    ck_assert_uint_eq(node_heap_mapped(maps, 0), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node_loop");
    TCase *tests = tcase_create("node_loop");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, loop_is_read);
    tcase_add_test(tests, handles_that_change_are_walked_anew);
    tcase_add_test(tests, what_is_no_loop_is_refused);
    tcase_add_test(tests, blocks_are_found);
    tcase_add_test(tests, busy_turns_are_no_block);
    tcase_add_test(tests, loop_that_never_turned_has_no_block);
    tcase_add_test(tests, isolates_are_found);
    tcase_add_test(tests, heap_is_read);
    tcase_add_test(tests, what_is_no_heap_is_refused);
    tcase_add_test(tests, mappings_are_summed);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
