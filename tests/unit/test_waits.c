/*
 * Time off the CPU in reports and files: a profile in which two threads run for 40 ms, wait for
 * 150 ms and are runnable for 10 ms.
 */
#include "output/cpuprofile.h"
#include "output/report.h"
#include "output/rows.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"
#include "tests/unit/written.h"

#include <string.h>

enum { START_US = 5000000, PERIOD_US = 1000, MAIN_TID = 7, WORKER_TID = 8 };

struct places {
    node_id work, runnable, poll_wait, lock_wait, no_stack;
};

static node_id add(struct profile *p, node_id parent, const char *name, enum frame_kind kind)
{
    struct frame frame = {.function = strings_intern(&p->strings, name), .kind = kind};
    return profile_add_node(p, parent, profile_add_frame(p, &frame));
}

static struct places add_places(struct profile *p)
{
    struct places places;
    node_id outer = add(p, 0, "main", FRAME_NATIVE);
    places.work = add(p, outer, "work", FRAME_NATIVE);
    node_id tick = add(p, places.work, "irqentry_exit", FRAME_KERNEL);
    places.runnable = add(p, tick, "(runnable)", FRAME_RUNNABLE);
    node_id poll = add(p, outer, "epoll_wait", FRAME_NATIVE);
    node_id sleeps = add(p, add(p, poll, "do_epoll_wait", FRAME_KERNEL), "schedule", FRAME_KERNEL);
    places.poll_wait = add(p, sleeps, "(off-CPU)", FRAME_WAITING);
    node_id lock = add(p, outer, "lock", FRAME_NATIVE);
    places.lock_wait = add(p, add(p, lock, "schedule", FRAME_KERNEL), "(off-CPU)", FRAME_WAITING);
    places.no_stack = add(p, 0, "(off-CPU)", FRAME_WAITING);
    return places;
}

/* The entries of a sequence are in order of time; the ticks are their nodes' in any case. */
static void add_entry(struct profile *p, unsigned at_ms, thread_id thread, node_id node,
                      unsigned ticks)
{
    const struct frame *frame = profile_frame_of(p, node);
    struct thread *of = &p->threads.items[thread];
    sequence_append(&p->samples, &(struct sample){START_US + at_ms * 1000, thread, node});
    profile_add_self(p, 0, node, ticks);
    *(frame->kind == FRAME_WAITING    ? &of->waiting
      : frame->kind == FRAME_RUNNABLE ? &of->runnable
                                      : &of->ticks) += ticks;
}

static struct profile *waiting_profile(void)
{
    struct profile *p = profile_new();
    struct places places = add_places(p);
    profile_add_metric(p, "cpu", "ticks");
    thread_id first = profile_add_thread(p, MAIN_TID, MAIN_TID, "main");
    thread_id second = profile_add_thread(p, MAIN_TID, WORKER_TID, "worker");
    add_entry(p, 0, second, places.no_stack, 10);
    for (unsigned i = 0; i < 30; i++)
        add_entry(p, i, first, places.work, 1);
    add_entry(p, 30, first, places.poll_wait, 60);
    add_entry(p, 30, second, places.lock_wait, 60);
    add_entry(p, 90, first, places.runnable, 10);
    add_entry(p, 90, second, places.lock_wait, 20);
    p->meta = (struct profile_meta){.pid = MAIN_TID,
                                    .start_us = START_US,
                                    .end_us = START_US + 110000,
                                    .period_us = PERIOD_US,
                                    .kernel = true};
    for (unsigned i = 0; i < 10; i++)
        add_entry(p, 100 + i, first, places.work, 1);
    return p;
}

static char *report_of(const struct profile *p, const struct report_options *options, bool json)
{
    struct output_file file = written_open();
    (json ? report_json : report_text)(&file, p, options);
    return written_text(&file);
}

static char *file_of(const struct profile *p, enum write_threads threads)
{
    struct output_file file = written_open();
    struct error err = {0};
    struct write_options options = {.threads = threads};
    ck_assert_msg(cpuprofile_write(&file, p, &options, &err) == 0, "%s", err.text);
    return written_text(&file);
}

static const char golden[] =
    ", (200 ticks, 160 of them off CPU, 0 unaccounted, 0 excluded).\n"
    "Process 7, 0.11 s at 1000 Hz.\n"
    "\n"
    " [JavaScript]:\n"
    "   ticks  total     cpu   name\n"
    "\n"
    " [C++]:\n"
    "   ticks  total     cpu   name\n"
    "     40   20.0%  100.0%  work\n"
    "\n"
    " [Kernel]:\n"
    "   ticks  total     cpu   name\n"
    "\n"
    " [Shared libraries]:\n"
    "   ticks  total     cpu   name\n"
    "\n"
    " [Off-CPU]:\n"
    "   ticks  total  of all   name\n"
    "     80   40.0%   53.3%  lock\n"
    "     60   30.0%   40.0%  epoll_wait\n"
    "     10    5.0%    6.7%  (off-CPU)\n"
    "\n"
    " [Summary]:\n"
    "   ticks  total     cpu   name\n"
    "      0    0.0%    0.0%  JavaScript\n"
    "     40   20.0%  100.0%  C++\n"
    "    150   75.0%          Off-CPU\n"
    "     10    5.0%          Runnable\n"
    "\n"
    " [Bottom up (heavy) profile]:\n"
    "  Note: percentage shows a share of a particular caller in the total\n"
    "  amount of its parent calls.\n"
    "  Callers occupying less than 1.0% are not shown.\n"
    "\n"
    "   ticks parent  name\n"
    "    150   75.0%  (off-CPU)\n"
    "     80   53.3%    lock\n"
    "     80  100.0%      main\n"
    "     60   40.0%    epoll_wait\n"
    "     60  100.0%      main\n"
    "\n"
    "     40   20.0%  work\n"
    "     40  100.0%    main\n"
    "\n"
    "     10    5.0%  (runnable)\n"
    "     10  100.0%    work\n"
    "     10  100.0%      main\n"
    "\n"
    " [Threads]:\n"
    "   ticks  total  waiting  runnable      tid  name\n"
    "     40  100.0%       60        10        7  main\n"
    "      0    0.0%       90         0        8  worker\n";

START_TEST(the_report_tells_waiting_from_running)
{
    scratch_enter();
    struct profile *p = waiting_profile();
    _cleanup_free_ char *text = report_of(p, &report_defaults, false);
    ck_assert_str_eq(strchr(text, ','), golden);
    profile_free(p);
    scratch_leave();
}
END_TEST

START_TEST(waiters_are_cut_at_top)
{
    scratch_enter();
    struct profile *p = waiting_profile();
    struct report_options options = report_defaults;
    options.top = 1;
    _cleanup_free_ char *text = report_of(p, &options, false);
    ck_assert_ptr_nonnull(strstr(text, "     80   40.0%   53.3%  lock\n"
                                       "  and 2 more with 70 ticks\n"));
    profile_free(p);
    scratch_leave();
}
END_TEST

START_TEST(the_json_tells_it_too)
{
    scratch_enter();
    struct profile *p = waiting_profile();
    _cleanup_free_ char *text = report_of(p, &report_defaults, true);
    ck_assert_ptr_nonnull(
        strstr(text, "\"ticks\":200,\"on_cpu_ticks\":40,\"idle_ticks\":0,\"period_us\":1000"));
    ck_assert_ptr_nonnull(strstr(text, "\"off_cpu\":150,\"runnable\":10}"));
    ck_assert_ptr_nonnull(strstr(text, "\"kind\":\"waiting\",\"self\":150,\"total\":150"));
    ck_assert_ptr_nonnull(strstr(text, "\"kind\":\"runnable\",\"self\":10,\"total\":10"));
    ck_assert_ptr_nonnull(
        strstr(text, "\"kind\":\"native\",\"self\":0,\"total\":80,\"waiting\":80}"));
    ck_assert_ptr_nonnull(strstr(text, "\"ticks\":40,\"waiting\":60,\"runnable\":10}"));
    scratch_run("python3 -m json.tool written > /dev/null");
    profile_free(p);
    scratch_leave();
}
END_TEST

/* Where a thread's wait is one entry, its ticks are the time until the thread's next one. */
START_TEST(one_threads_waits_last_until_its_next_sample)
{
    struct profile *p = waiting_profile();
    struct rows rows;
    rows_gather(p, MAIN_TID, false, &rows);
    ck_assert_uint_eq(rows.sections[ROW_WAITING], 60);
    ck_assert_uint_eq(rows.sections[ROW_RUNNABLE], 10);
    ck_assert_uint_eq(rows.on_cpu, 40);
    rows_release(&rows);
    rows_gather(p, WORKER_TID, false, &rows);
    ck_assert_uint_eq(rows.sections[ROW_WAITING], 110); /* 30, 60, and 20 until the end */
    ck_assert_uint_eq(rows.on_cpu, 0);
    rows_release(&rows);
    profile_free(p);
}
END_TEST

START_TEST(what_is_written_reads_back)
{
    static const enum write_threads which[] = {WRITE_THREADS_ALL, WRITE_THREADS_MAIN};
    scratch_enter();
    struct profile *p = waiting_profile();
    _cleanup_free_ char *before = report_of(p, &report_defaults, true);
    for (size_t i = 0; i < 2; i++) {
        _cleanup_free_ char *text = file_of(p, which[i]);
        struct error err = {0};
        _cleanup_profile_ struct profile *back = NULL;
        ck_assert_msg(cpuprofile_read(text, strlen(text), "x", &back, &err) == 0, "%s", err.text);
        ck_assert_uint_eq(back->threads.items[0].waiting, 60);
        ck_assert_uint_eq(back->threads.items[0].runnable, 10);
        ck_assert_uint_eq(back->samples.count, p->samples.count);
        _cleanup_free_ char *after = report_of(back, &report_defaults, true);
        ck_assert_str_eq(after, before);
    }
    profile_free(p);
    scratch_leave();
}
END_TEST

/* A wait fills its gap with its own stack: a reader charges it with 60 ms, and nothing is idle. */
START_TEST(a_wait_is_no_idle_time)
{
    scratch_enter();
    struct profile *p = waiting_profile();
    _cleanup_free_ char *text = file_of(p, WRITE_THREADS_MAIN);
    ck_assert_ptr_null(strstr(text, "(idle)"));
    ck_assert_ptr_nonnull(strstr(text, ",1000,60000,10000,1000,"));
    profile_free(p);
    scratch_leave();
}
END_TEST

UNIT_MAIN("waits", the_report_tells_waiting_from_running, waiters_are_cut_at_top,
          the_json_tells_it_too, one_threads_waits_last_until_its_next_sample,
          what_is_written_reads_back, a_wait_is_no_idle_time)
