/*
 * What the recorder keeps of processes and threads, fed with records made by hand: no stack
 * is unwound here (samples carry kernel frames only), so every expectation is exact.
 */
#include "symbolize/recorder.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { PERIOD_NS = 1000000, CPUS = 2, THREADS = 20, PID = 4242 };

struct fixture {
    struct profile *profile;
    struct modules *modules;
    struct recorder *recorder;
};

static struct fixture fixture_new(bool children)
{
    struct fixture fixture = {.profile = profile_new(), .modules = modules_new()};
    fixture.recorder = recorder_new(fixture.profile, fixture.modules,
                                    &(struct recorder_options){.pid = PID,
                                                               .kernel = true,
                                                               .children = children,
                                                               .period_ns = PERIOD_NS,
                                                               .thread_count = THREADS,
                                                               .cpu_count = CPUS,
                                                               .arch = arch_host()});
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    recorder_free(fixture->recorder);
    modules_free(fixture->modules);
    profile_free(fixture->profile);
}

static void feed_sample(struct fixture *fixture, uint32_t pid, uint32_t tid, uint64_t address)
{
    uint64_t stack[] = {address, 0xffffffff81000001};
    recorder_feed(
        fixture->recorder,
        &(struct record){.kind = RECORD_SAMPLE,
                         .time_ns = 5000000,
                         .pid = pid,
                         .tid = tid,
                         .sample = {.ticks = 1, .kernel_stack = stack, .kernel_count = 2}});
}

static void feed_time(struct fixture *fixture, uint32_t pid, uint32_t tid, uint64_t running_ns)
{
    recorder_feed(fixture->recorder, &(struct record){.kind = RECORD_TIME,
                                                      .time_ns = 6000000,
                                                      .pid = pid,
                                                      .tid = tid,
                                                      .time = {.running_ns = running_ns}});
}

START_TEST(a_sample_is_a_tick_of_its_thread)
{
    struct fixture fixture = fixture_new(false);
    feed_sample(&fixture, PID, PID, 0xffffffff81234567);
    feed_sample(&fixture, PID, PID, 0xffffffff81234567);
    feed_sample(&fixture, PID, PID + 1, 0xffffffff81234567);
    ck_assert_uint_eq(recorder_ticks(fixture.recorder), 3);
    ck_assert_uint_eq(fixture.profile->threads.count, 2);
    ck_assert_uint_eq(fixture.profile->threads.items[0].ticks, 2);
    ck_assert_uint_eq(fixture.profile->nodes.count, 3); /* root, caller, leaf */
    /* The caller is charged at its call instruction, the leaf where it is. */
    ck_assert_uint_eq(profile_frame_of(fixture.profile, 1)->address, 0xffffffff81000000);
    ck_assert_uint_eq(profile_frame_of(fixture.profile, 2)->address, 0xffffffff81234567);
    ck_assert_int_eq(profile_frame_of(fixture.profile, 2)->kind, FRAME_KERNEL);
    fixture_free(&fixture);
}
END_TEST

START_TEST(other_processes_count_only_with_children)
{
    for (int children = 0; children < 2; children++) {
        struct fixture fixture = fixture_new(children);
        feed_sample(&fixture, PID, PID, 0xffffffff81234567);
        feed_sample(&fixture, PID + 9, PID + 9, 0xffffffff81234567);
        ck_assert_uint_eq(recorder_ticks(fixture.recorder), children ? 2 : 1);
        fixture_free(&fixture);
    }
}
END_TEST

START_TEST(short_threads_lose_no_time)
{
    struct fixture fixture = fixture_new(false);
    /* 1,000 threads of 1.5 periods, each ticked once: a third of the time has no tick. */
    for (uint32_t i = 1; i <= 1000; i++) {
        feed_sample(&fixture, PID, PID + i, 0xffffffff81234567);
        feed_time(&fixture, PID, PID + i, PERIOD_NS);
        feed_time(&fixture, PID, PID + i, PERIOD_NS / 2);
    }
    /* Nothing is made up for beyond the kernel's own account. */
    recorder_account(fixture.recorder, (uint64_t)1200 * PERIOD_NS);
    ck_assert_uint_eq(recorder_ticks(fixture.recorder), 1200);
    recorder_account(fixture.recorder, (uint64_t)1500 * PERIOD_NS);
    ck_assert_uint_eq(fixture.profile->quality.extrapolated, 500);
    ck_assert_uint_eq(recorder_ticks(fixture.recorder), 1500);
    ck_assert_uint_eq(profile_sum(fixture.profile, 0), 1500);
    ck_assert_uint_eq(fixture.profile->samples.count, 1500);
    /* All at the one stack that was seen. */
    ck_assert_uint_eq(fixture.profile->nodes.count, 3);
    fixture_free(&fixture);
}
END_TEST

START_TEST(threads_never_seen_get_a_node_of_their_own)
{
    struct fixture fixture = fixture_new(false);
    for (uint32_t i = 1; i <= 100; i++) {
        feed_time(&fixture, PID, PID + i, PERIOD_NS / 2);
        feed_time(&fixture, PID, PID + i, 0);
    }
    recorder_account(fixture.recorder, (uint64_t)50 * PERIOD_NS);
    ck_assert_uint_eq(recorder_ticks(fixture.recorder), 50);
    ck_assert_uint_eq(fixture.profile->nodes.count, 2);
    ck_assert_str_eq(
        profile_string(fixture.profile, profile_frame_of(fixture.profile, 1)->function),
        "(short-lived threads)");
    ck_assert_uint_eq(fixture.profile->threads.count, 1);
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_tid_used_again_starts_from_nothing)
{
    struct fixture fixture = fixture_new(false);
    feed_sample(&fixture, PID, PID + 1, 0xffffffff81234567); /* its RECORD_TIME was lost */
    recorder_feed(
        fixture.recorder,
        &(struct record){.kind = RECORD_FORK, .pid = PID, .tid = PID + 1, .fork = {PID, PID}});
    feed_time(&fixture, PID, PID + 1, PERIOD_NS);
    feed_time(&fixture, PID, PID + 1, 0);
    recorder_account(fixture.recorder, (uint64_t)2 * PERIOD_NS);
    /* Had the old tick been counted against it, nothing would be owed. */
    ck_assert_uint_eq(fixture.profile->quality.extrapolated, 1);
    fixture_free(&fixture);
}
END_TEST

START_TEST(ten_thousand_threads_come_and_go)
{
    struct fixture fixture = fixture_new(false);
    /* 300 at a time, ending in another order than they came: the table must lose none. */
    for (uint32_t round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < 300; i++)
            feed_sample(&fixture, PID, 10000 + round * 300 + i, 0xffffffff81234567);
        for (uint32_t i = 0; i < 300; i++) {
            uint32_t tid = 10000 + round * 300 + i * 7 % 300;
            feed_time(&fixture, PID, tid, PERIOD_NS);
            feed_time(&fixture, PID, tid, PERIOD_NS);
        }
    }
    /* Each ran two periods and ticked once. */
    recorder_account(fixture.recorder, (uint64_t)24000 * PERIOD_NS);
    ck_assert_uint_eq(fixture.profile->quality.extrapolated, 12000);
    fixture_free(&fixture);
}
END_TEST

START_TEST(creation_and_end_of_threads_are_kernel_time)
{
    struct fixture fixture = fixture_new(false);
    for (uint32_t i = 1; i <= 1000; i++) {
        feed_sample(&fixture, PID, PID + i, 0xffffffff81234567);
        recorder_feed(fixture.recorder,
                      &(struct record){.kind = RECORD_EXIT, .pid = PID, .tid = PID + i});
        feed_time(&fixture, PID, PID + i, PERIOD_NS);
        feed_time(&fixture, PID, PID + i, 0);
    }
    /* 30 ms more than was sampled, 30 µs a thread; the CPUs may still owe a tick each. */
    recorder_account(fixture.recorder, (uint64_t)1030 * PERIOD_NS);
    ck_assert_uint_eq(fixture.profile->quality.extrapolated, 30 - CPUS);
    const struct frame *frame =
        profile_frame_of(fixture.profile, (node_id)fixture.profile->nodes.count - 1);
    ck_assert_str_eq(profile_string(fixture.profile, frame->function), "(thread start and exit)");
    ck_assert_int_eq(frame->kind, FRAME_KERNEL);
    /* But not more than 100 µs a thread, whatever the account says. */
    recorder_account(fixture.recorder, (uint64_t)5000 * PERIOD_NS);
    ck_assert_uint_eq(fixture.profile->quality.extrapolated, 100);
    fixture_free(&fixture);
}
END_TEST

START_TEST(many_threads_below_a_tick_are_told)
{
    struct fixture fixture = fixture_new(false);
    for (int i = 0; i < 100; i++)
        feed_sample(&fixture, PID, PID, 0xffffffff81234567);
    recorder_settle(fixture.recorder, (uint64_t)101 * PERIOD_NS, (uint64_t)200 * PERIOD_NS);
    ck_assert_uint_eq(recorder_ticks(fixture.recorder), 100); /* under 1 % */
    recorder_settle(fixture.recorder, (uint64_t)150 * PERIOD_NS, (uint64_t)110 * PERIOD_NS);
    ck_assert_uint_eq(recorder_ticks(fixture.recorder), 110); /* the kernel's account */
    recorder_settle(fixture.recorder, (uint64_t)500 * PERIOD_NS, (uint64_t)500 * PERIOD_NS);
    ck_assert_uint_eq(recorder_ticks(fixture.recorder), 110 + THREADS * CPUS);
    fixture_free(&fixture);
}
END_TEST

START_TEST(time_never_goes_back)
{
    struct fixture fixture = fixture_new(false);
    struct sample sample;
    for (uint64_t i = 0; i < 3; i++) {
        struct record record = {
            .kind = RECORD_SAMPLE, .pid = PID, .tid = PID, .sample = {.ticks = 1}};
        record.time_ns = 5000000 - i * 1000000;
        recorder_feed(fixture.recorder, &record);
    }
    struct sequence_cursor cursor = sequence_begin(&fixture.profile->samples);
    while (sequence_next(&cursor, &sample))
        ck_assert_uint_eq(sample.time_us, 5000);
    fixture_free(&fixture);
}
END_TEST

START_TEST(names_follow_the_thread)
{
    struct fixture fixture = fixture_new(false);
    feed_sample(&fixture, PID, PID, 0xffffffff81234567);
    recorder_feed(
        fixture.recorder,
        &(struct record){.kind = RECORD_COMM, .pid = PID, .tid = PID, .comm = {.name = "renamed"}});
    ck_assert_str_eq(profile_string(fixture.profile, fixture.profile->threads.items[0].name),
                     "renamed");
    fixture_free(&fixture);
}
END_TEST

START_TEST(lost_records_are_told)
{
    struct fixture fixture = fixture_new(false);
    recorder_feed(fixture.recorder,
                  &(struct record){.kind = RECORD_LOST, .pid = 0, .lost = {.count = 17}});
    ck_assert_uint_eq(fixture.profile->quality.lost, 17);
    fixture_free(&fixture);
}
END_TEST

static void feed_waiting(struct fixture *fixture, uint64_t time_ns, struct record sample)
{
    uint64_t stack[] = {0xffffffff81234567, 0xffffffff81000001};
    sample.kind = RECORD_SAMPLE;
    sample.pid = sample.tid = PID;
    sample.time_ns = time_ns;
    sample.sample.waiting = true;
    if (!sample.sample.repeated) {
        sample.sample.kernel_stack = stack;
        sample.sample.kernel_count = 2;
    }
    recorder_feed(fixture->recorder, &sample);
}

START_TEST(waits_are_leaves_below_the_stack_that_waits)
{
    struct fixture fixture = fixture_new(false);
    const struct profile *profile = fixture.profile;
    feed_waiting(&fixture, 1000000, (struct record){0}); /* it begins */
    ck_assert_uint_eq(profile->samples.count, 0);
    feed_waiting(&fixture, 9000000, (struct record){.sample = {.ticks = 8, .repeated = true}});
    feed_waiting(&fixture, 12000000,
                 (struct record){.sample = {.ticks = 3, .repeated = true, .runnable = true}});
    feed_waiting(&fixture, 14000000, (struct record){.sample = {.ticks = 2, .repeated = true}});
    recorder_settle(fixture.recorder, 0, 0);
    /* root, caller, callee, and two leaves */
    ck_assert_uint_eq(profile->nodes.count, 5);
    ck_assert_int_eq(profile_frame_of(profile, 3)->kind, FRAME_WAITING);
    ck_assert_int_eq(profile_frame_of(profile, 4)->kind, FRAME_RUNNABLE);
    ck_assert_uint_eq(profile->nodes.items[3].parent, 2);
    ck_assert_uint_eq(profile->nodes.items[4].parent, 2);
    ck_assert_uint_eq(profile_self(profile, 0, 3), 10);
    ck_assert_uint_eq(profile_self(profile, 0, 4), 3);
    ck_assert_uint_eq(profile->threads.items[0].waiting, 10);
    ck_assert_uint_eq(profile->threads.items[0].runnable, 3);
    /* It is no CPU time, and no sample of it. */
    ck_assert_uint_eq(profile->threads.items[0].ticks, 0);
    ck_assert_uint_eq(recorder_ticks(fixture.recorder), 0);
    ck_assert_uint_eq(profile->quality.samples, 0);
    recorder_account(fixture.recorder, 5 * (uint64_t)PERIOD_NS);
    ck_assert_uint_eq(recorder_ticks(fixture.recorder), 0);
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_wait_stands_in_the_sequence_where_it_began)
{
    static const uint64_t expected_us[] = {1000, 5000, 9000, 13000};
    struct fixture fixture = {.profile = profile_new(), .modules = modules_new()};
    fixture.recorder = recorder_new(fixture.profile, fixture.modules,
                                    &(struct recorder_options){.pid = PID,
                                                               .period_ns = PERIOD_NS,
                                                               .cpu_count = CPUS,
                                                               .wall = true,
                                                               .arch = arch_host()});
    struct sample sample;
    size_t count = 0;
    feed_waiting(&fixture, 1000000, (struct record){0});
    feed_sample(&fixture, PID, PID + 1, 0xffffffff81234567); /* another thread's, at 5 ms */
    feed_waiting(&fixture, 9000000, (struct record){.sample = {.ticks = 8, .repeated = true}});
    /* One that holds a remainder of the first, and one that does not. */
    feed_waiting(&fixture, 12000000, (struct record){.sample = {.ticks = 4, .repeated = true}});
    feed_waiting(&fixture, 15000000, (struct record){.sample = {.ticks = 2, .repeated = true}});
    recorder_settle(fixture.recorder, 0, 0);
    struct sequence_cursor cursor = sequence_begin(&fixture.profile->samples);
    for (; sequence_next(&cursor, &sample); count++)
        ck_assert_uint_eq(sample.time_us, expected_us[count]);
    ck_assert_uint_eq(count, 4);
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_wait_without_a_stack_is_below_the_root)
{
    struct fixture fixture = fixture_new(false);
    struct record record = {.kind = RECORD_SAMPLE,
                            .time_ns = 9000000,
                            .pid = PID,
                            .tid = PID,
                            .sample = {.ticks = 5, .waiting = true}};
    recorder_feed(fixture.recorder, &record);
    ck_assert_uint_eq(fixture.profile->nodes.count, 2);
    ck_assert_int_eq(profile_frame_of(fixture.profile, 1)->kind, FRAME_WAITING);
    ck_assert_uint_eq(profile_self(fixture.profile, 0, 1), 5);
    fixture_free(&fixture);
}
END_TEST

UNIT_MAIN("recorder", a_sample_is_a_tick_of_its_thread, other_processes_count_only_with_children,
          short_threads_lose_no_time, threads_never_seen_get_a_node_of_their_own,
          a_tid_used_again_starts_from_nothing, ten_thousand_threads_come_and_go,
          creation_and_end_of_threads_are_kernel_time, many_threads_below_a_tick_are_told,
          time_never_goes_back, names_follow_the_thread, lost_records_are_told,
          waits_are_leaves_below_the_stack_that_waits, a_wait_stands_in_the_sequence_where_it_began,
          a_wait_without_a_stack_is_below_the_root)
