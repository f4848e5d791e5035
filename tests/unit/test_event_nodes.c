#include "core/event_nodes.h"

#include <check.h>

static node_id add(struct profile *profile, node_id parent, const char *name)
{
    struct frame frame = {.function = strings_intern(&profile->strings, name),
                          .kind = FRAME_JAVASCRIPT};
    return profile_add_node(profile, parent, profile_add_frame(profile, &frame));
}

static void sample(struct profile *profile, uint64_t time_us, thread_id thread, node_id node)
{
    sequence_append(&profile->samples, &(struct sample){time_us, thread, node});
}

static void event(struct profile *profile, uint64_t time_us, uint64_t duration_us, const char *kind)
{
    *vec_push(&profile->events) =
        (struct profile_event){.time_us = time_us,
                               .duration_us = duration_us,
                               .kind = strings_intern(&profile->strings, kind)};
}

START_TEST(innermost_of_the_half)
{
    _cleanup_profile_ struct profile *profile = profile_new();
    thread_id thread = profile_add_thread(profile, 1, 1, "main");
    thread_id other = profile_add_thread(profile, 1, 2, "other");
    node_id main = add(profile, 0, "main"), spin = add(profile, main, "spin");
    node_id leaves[3] = {add(profile, spin, "a"), add(profile, spin, "b"), add(profile, spin, "c")};
    node_id elsewhere = add(profile, main, "elsewhere");
    event(profile, 1000, 100, EVENT_LOOP_BLOCK); /* spread over spin's callees */
    event(profile, 1050, 10, EVENT_GC);          /* of another kind */
    event(profile, 2000, 100, EVENT_LOOP_BLOCK); /* of nobody */
    event(profile, 3000, 100, EVENT_LOOP_BLOCK); /* at the end */
    sample(profile, 999, thread, elsewhere);
    for (uint64_t i = 0; i < 9; i++) {
        sample(profile, 1000 + i * 10, thread, leaves[i % 3]);
        sample(profile, 1001 + i * 10, other, elsewhere);
    }
    sample(profile, 1090, thread, elsewhere);
    sample(profile, 1500, thread, elsewhere);
    sample(profile, 3050, thread, elsewhere);
    event_nodes_find(profile, EVENT_LOOP_BLOCK, thread);
    ck_assert_uint_eq(profile->events.items[0].node, spin);
    ck_assert_uint_eq(profile->events.items[1].node, 0);
    ck_assert_uint_eq(profile->events.items[2].node, 0);
    ck_assert_uint_eq(profile->events.items[3].node, elsewhere);
}
END_TEST

START_TEST(nothing_to_find)
{
    _cleanup_profile_ struct profile *profile = profile_new();
    event_nodes_find(profile, EVENT_LOOP_BLOCK, 0);
    event(profile, 1, 1, EVENT_LOOP_BLOCK);
    event_nodes_find(profile, EVENT_LOOP_BLOCK, 0);
    ck_assert_uint_eq(profile->events.items[0].node, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_nodes");
    TCase *tests = tcase_create("event_nodes");
    tcase_add_test(tests, innermost_of_the_half);
    tcase_add_test(tests, nothing_to_find);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
