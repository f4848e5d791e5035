/*
 * The account of waits, fed with switches made by hand. The source has no CPUs, so that no event
 * is opened; what depends on samples at switches is tested on real programs (cli/test_wall.py).
 */
#include "core/perf_wall.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_NS = 1000000, TID = 0x7ffffff0 /* no thread has it: pid_max is lower */ };

static struct perf_wall *wall_new(void)
{
    struct sampler_options options = {.frequency_hz = 1000, .stack_bytes = 1024, .wall = true};
    struct perf_wall *wall = perf_wall_new(&options, &(struct perf_switch_source){0}, 0);
    ck_assert_ptr_nonnull(wall);
    return wall;
}

static void feed(struct perf_wall *wall, enum perf_switch switched, uint64_t time_ns)
{
    struct record record = {.pid = TID, .tid = TID, .time_ns = time_ns};
    ck_assert(!perf_wall_feed(wall, &(struct perf_origin){.switched = switched}, &record));
}

static bool feed_kind(struct perf_wall *wall, enum record_kind kind, uint64_t time_ns)
{
    struct record record = {.kind = kind, .pid = TID, .tid = TID, .time_ns = time_ns};
    return perf_wall_feed(wall, &(struct perf_origin){0}, &record);
}

/* All that is flushed, by sort. */
struct sums {
    uint64_t waiting, runnable;
};

static void count(struct sums *sums, const struct record *record)
{
    ck_assert_int_eq(record->kind, RECORD_SAMPLE);
    ck_assert_uint_eq(record->tid, TID);
    ck_assert(record->sample.waiting);
    *(record->sample.runnable ? &sums->runnable : &sums->waiting) += record->sample.ticks;
}

static void flush(struct perf_wall *wall, uint64_t until_ns, bool last, struct sums *sums)
{
    for (struct record record; perf_wall_flush(wall, until_ns, last, &record);)
        count(sums, &record);
}

START_TEST(nothing_of_the_time_is_lost)
{
    struct perf_wall *wall = wall_new();
    struct sums sums = {0};
    uint64_t at = 1000000000;
    for (int i = 0; i < 1000; i++) {
        feed(wall, PERF_SWITCH_OUT, at);
        feed(wall, PERF_SWITCH_IN, at += 300000);
        feed(wall, PERF_SWITCH_PREEMPTED, at += 500000);
        feed(wall, PERF_SWITCH_IN, at += 200000);
    }
    feed(wall, PERF_SWITCH_OUT, at);
    flush(wall, at + 50000000, true, &sums);
    ck_assert_uint_eq(sums.waiting, 350);
    ck_assert_uint_eq(sums.runnable, 200);
    perf_wall_free(wall);
}
END_TEST

START_TEST(a_long_wait_shows_while_it_lasts)
{
    struct perf_wall *wall = wall_new();
    struct sums sums = {0};
    feed(wall, PERF_SWITCH_OUT, 1000000000);
    flush(wall, 1050000000, false, &sums);
    ck_assert_uint_eq(sums.waiting, 0);
    flush(wall, 1150000000, false, &sums);
    ck_assert_uint_eq(sums.waiting, 150);
    flush(wall, 1200000000, false, &sums); /* 50 ms more are too few */
    ck_assert_uint_eq(sums.waiting, 150);
    flush(wall, 1300000000, false, &sums);
    ck_assert_uint_eq(sums.waiting, 300);
    feed(wall, PERF_SWITCH_IN, 1333000000);
    struct record record;
    ck_assert(perf_wall_pop(wall, &record));
    ck_assert(record.sample.repeated);
    ck_assert_uint_eq(record.sample.ticks, 33);
    ck_assert_uint_eq(record.time_ns, 1333000000);
    ck_assert(!perf_wall_pop(wall, &record));
    flush(wall, 2000000000, true, &sums); /* it has run since */
    ck_assert_uint_eq(sums.waiting, 300);
    perf_wall_free(wall);
}
END_TEST

START_TEST(the_end_of_a_thread_ends_its_wait)
{
    struct perf_wall *wall = wall_new();
    struct sums sums = {0};
    struct record record;
    feed(wall, PERF_SWITCH_OUT, 1000000000);
    ck_assert(feed_kind(wall, RECORD_EXIT, 1040000000));
    ck_assert(perf_wall_pop(wall, &record));
    ck_assert_uint_eq(record.sample.ticks, 40);
    /* Its TID is another thread's from here. */
    ck_assert(feed_kind(wall, RECORD_FORK, 1050000000));
    feed(wall, PERF_SWITCH_IN, 1060000000);
    flush(wall, 3000000000, true, &sums);
    ck_assert_uint_eq(sums.waiting + sums.runnable, 0);
    perf_wall_free(wall);
}
END_TEST

START_TEST(lost_records_do_not_make_a_runner_wait)
{
    struct perf_wall *wall = wall_new();
    struct sums sums = {0};
    struct record record;
    feed(wall, PERF_SWITCH_OUT, 1000000000); /* its coming back is lost */
    ck_assert(feed_kind(wall, RECORD_SAMPLE, 1010000000));
    flush(wall, 2000000000, false, &sums);
    feed(wall, PERF_SWITCH_IN, 2000000001); /* its going was lost */
    ck_assert(!perf_wall_pop(wall, &record));
    flush(wall, 3000000000, true, &sums);
    ck_assert_uint_eq(sums.waiting + sums.runnable, 0);
    perf_wall_free(wall);
}
END_TEST

/* A thread that slept before the recording, and sleeps on, is known by its state alone. */
START_TEST(a_sleeper_from_before_is_counted)
{
    pid_t child = fork();
    if (!child) {
        pause();
        _exit(0);
    }
    struct perf_wall *wall = wall_new();
    struct timespec now, moment = {.tv_nsec = 300000000};
    nanosleep(&moment, NULL);
    ck_assert_int_eq(perf_wall_add_thread(wall, child, child), 0);
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t at = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, ticks = 0;
    for (struct record record; perf_wall_flush(wall, at + 500000000, true, &record);) {
        ck_assert_uint_eq(record.tid, (uint32_t)child);
        ticks += record.sample.ticks;
    }
    /* From when it was added, a moment before `at`. */
    ck_assert_uint_ge(ticks, 500);
    perf_wall_free(wall);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
END_TEST

UNIT_MAIN("perf_wall", nothing_of_the_time_is_lost, a_long_wait_shows_while_it_lasts,
          the_end_of_a_thread_ends_its_wait, lost_records_do_not_make_a_runner_wait,
          a_sleeper_from_before_is_counted)
