#include "core/limits.h"
#include "core/profile.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static frame_id add_function(struct profile *profile, const char *name)
{
    return profile_add_frame(profile, &(struct frame){
                                          .function = strings_intern(&profile->strings, name),
                                          .kind = FRAME_NATIVE,
                                      });
}

START_TEST(strings_are_interned_once)
{
    struct strings strings = {0};
    char name[32];
    string_id ids[5000];
    ck_assert_uint_eq(strings_intern(&strings, ""), 0);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "name %d", i);
        ids[i] = strings_intern(&strings, name);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "name %d", i);
        ck_assert_uint_eq(strings_intern(&strings, name), ids[i]);
        ck_assert_str_eq(strings_get(&strings, ids[i]), name);
    }
    ck_assert_str_eq(strings_get(&strings, 999999), "");
    strings_release(&strings);
}
END_TEST

START_TEST(a_string_ends_at_its_first_nul)
{
    struct strings strings = {0};
    ck_assert_uint_eq(strings_intern_length(&strings, "ab\0cd", 5), strings_intern(&strings, "ab"));
    strings_release(&strings);
}
END_TEST

START_TEST(equal_stacks_are_one_node)
{
    struct profile *profile = profile_new();
    frame_id main_frame = add_function(profile, "main"), work = add_function(profile, "work");
    frame_id stack[] = {work, main_frame};
    node_id leaf = profile_add_stack(profile, 0, stack, 2);
    ck_assert_uint_eq(profile_add_stack(profile, 0, stack, 2), leaf);
    ck_assert_uint_eq(profile->nodes.count, 3);
    ck_assert_uint_eq(profile->nodes.items[leaf].frame, work);
    ck_assert_uint_eq(profile_add_stack(profile, 0, stack + 1, 1),
                      profile->nodes.items[leaf].parent);
    profile_free(profile);
}
END_TEST

START_TEST(totals_sum_descendants)
{
    struct profile *profile = profile_new();
    frame_id a = add_function(profile, "a"), b = add_function(profile, "b");
    metric_id cpu = profile_add_metric(profile, "cpu", "ticks");
    node_id na = profile_add_node(profile, 0, a);
    node_id nab = profile_add_node(profile, na, b);
    node_id naba = profile_add_node(profile, nab, a);
    profile_add_self(profile, cpu, na, 1);
    profile_add_self(profile, cpu, nab, 10);
    profile_add_self(profile, cpu, naba, 100);
    uint64_t *totals = profile_totals(profile, cpu);
    ck_assert_uint_eq(totals[0], 111);
    ck_assert_uint_eq(totals[na], 111);
    ck_assert_uint_eq(totals[nab], 110);
    ck_assert_uint_eq(totals[naba], 100);
    ck_assert_uint_eq(profile_sum(profile, cpu), 111);
    free(totals);
    profile_free(profile);
}
END_TEST

START_TEST(idle_is_not_summed)
{
    struct profile *profile = profile_new();
    metric_id cpu = profile_add_metric(profile, "cpu", "ticks");
    frame_id idle = profile_add_frame(profile, &(struct frame){.kind = FRAME_IDLE});
    profile_add_self(profile, cpu, profile_add_node(profile, 0, idle), 7);
    profile_add_self(profile, cpu, profile_add_node(profile, 0, add_function(profile, "f")), 5);
    ck_assert_uint_eq(profile_sum(profile, cpu), 5);
    ck_assert_uint_eq(profile_sum_idle(profile, cpu), 7);
    profile_free(profile);
}
END_TEST

START_TEST(samples_come_back_in_order)
{
    struct sequence sequence = {0};
    uint64_t time = 1u << 30;
    for (uint32_t i = 0; i < 100000; i++) {
        /* Every 7th goes back in time: rings of two CPUs may disagree by a little. */
        time += i % 7 ? 1001 : (uint64_t)-500;
        sequence_append(&sequence, &(struct sample){time, i % 3, i * 2654435761u >> 4});
    }
    struct sequence_cursor cursor = sequence_begin(&sequence);
    struct sample sample;
    time = 1u << 30;
    for (uint32_t i = 0; i < 100000; i++) {
        time += i % 7 ? 1001 : (uint64_t)-500;
        ck_assert(sequence_next(&cursor, &sample));
        ck_assert_uint_eq(sample.time_us, time);
        ck_assert_uint_eq(sample.thread, i % 3);
        ck_assert_uint_eq(sample.node, i * 2654435761u >> 4);
    }
    ck_assert(!sequence_next(&cursor, &sample));
    sequence_release(&sequence);
}
END_TEST

START_TEST(long_series_are_thinned_out)
{
    struct profile *profile = profile_new();
    series_id rss = profile_add_series(profile, "rss", "bytes");
    uint64_t count = 20 * LIMIT_SERIES_POINTS + 3, peak_at = count / 3;
    for (uint64_t i = 0; i < count; i++)
        profile_add_point(profile, rss, i, i == peak_at ? 1e6 : (double)(i % 5));
    const struct series *series = &profile->series.items[rss];
    const struct series_point *points = series->points.items;
    ck_assert_uint_le(series->points.count, LIMIT_SERIES_POINTS);
    ck_assert_uint_gt(series->points.count, LIMIT_SERIES_POINTS / 4);
    ck_assert_uint_eq(points[0].time_us, 0);
    ck_assert_uint_eq(points[series->points.count - 1].time_us, count - 1);
    bool peak = false;
    for (size_t i = 1; i < series->points.count; i++) {
        ck_assert(points[i].time_us > points[i - 1].time_us);
        peak |= points[i].time_us == peak_at && points[i].value == 1e6;
    }
    ck_assert(peak);
    profile_free(profile);
}
END_TEST

START_TEST(threads_are_found_by_pid_and_tid)
{
    struct profile *profile = profile_new();
    thread_id first = profile_add_thread(profile, 10, 11, "worker");
    ck_assert_uint_ne(profile_add_thread(profile, 10, 12, ""), first);
    ck_assert_uint_eq(profile_add_thread(profile, 10, 11, ""), first);
    ck_assert_str_eq(profile_string(profile, profile->threads.items[first].name), "worker");
    profile_free(profile);
}
END_TEST

START_TEST(lines_and_addresses_accumulate)
{
    struct profile *profile = profile_new();
    profile_add_line(profile, 1, 20, 2);
    profile_add_line(profile, 1, 21, 1);
    profile_add_line(profile, 1, 20, 3);
    ck_assert_uint_eq(profile->lines.count, 2);
    ck_assert_uint_eq(profile->lines.items[0].ticks, 5);
    profile_add_address(profile, 1, 2, 0x400, 1);
    profile_add_address(profile, 1, 2, 0x400, 1);
    profile_add_address(profile, 1, 3, 0x400, 1);
    ck_assert_uint_eq(profile->addresses.count, 2);
    ck_assert_uint_eq(profile->addresses.items[0].ticks, 2);
    profile_free(profile);
}
END_TEST

START_TEST(calls_are_counted_by_the_callers_line)
{
    struct profile *profile = profile_new();
    ck_assert_uint_eq(profile_call_ticks(profile, 1, 20), 0);
    profile_add_call_line(profile, 1, 20, 2);
    profile_add_call_line(profile, 2, 20, 7);
    profile_add_call_line(profile, 1, 20, 3);
    profile_add_line(profile, 1, 21, 1);
    ck_assert_uint_eq(profile->calls.count, 2);
    ck_assert_uint_eq(profile->lines.count, 1);
    ck_assert_uint_eq(profile_call_ticks(profile, 1, 20), 5);
    ck_assert_uint_eq(profile_call_ticks(profile, 2, 20), 7);
    ck_assert_uint_eq(profile_call_ticks(profile, 1, 21), 0);
    for (uint32_t line = 100; line < 5000; line++)
        profile_add_call_line(profile, line % 7, line, line);
    for (uint32_t line = 100; line < 5000; line++)
        ck_assert_uint_eq(profile_call_ticks(profile, line % 7, line), line);
    profile_free(profile);
}
END_TEST

START_TEST(tiers_of_a_function_are_frames_of_their_own)
{
    struct profile *profile = profile_new();
    string_id name = strings_intern(&profile->strings, "f");
    frame_id ids[CODE_TIERS];
    for (int i = 0; i < 2 * CODE_TIERS; i++) {
        struct frame frame = {
            .function = name, .kind = FRAME_JAVASCRIPT, .tier = (enum code_tier)(i % CODE_TIERS)};
        frame_id id = profile_add_frame(profile, &frame);
        if (i < CODE_TIERS)
            ids[i] = id;
        ck_assert_uint_eq(id, ids[i % CODE_TIERS]);
    }
    ck_assert_uint_eq(profile->frames.count, 1 + CODE_TIERS);
    profile_free(profile);
}
END_TEST

UNIT_MAIN("profile", strings_are_interned_once, a_string_ends_at_its_first_nul,
          equal_stacks_are_one_node, totals_sum_descendants, idle_is_not_summed,
          samples_come_back_in_order, threads_are_found_by_pid_and_tid, long_series_are_thinned_out,
          lines_and_addresses_accumulate, calls_are_counted_by_the_callers_line,
          tiers_of_a_function_are_frames_of_their_own)
