#include "output/report.h"

#include "output/json.h"
#include "output/rows.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"
#include "tests/unit/written.h"

#include <string.h>

static string_id intern(struct profile *p, const char *text)
{
    return strings_intern(&p->strings, text);
}

static node_id node(struct profile *p, node_id parent, struct frame frame, uint64_t ticks)
{
    node_id id = profile_add_node(p, parent, profile_add_frame(p, &frame));
    profile_add_self(p, profile_add_metric(p, "cpu", "ticks"), id, ticks);
    return id;
}

static struct frame js(struct profile *p, const char *name, uint32_t line)
{
    return (struct frame){.function = intern(p, name),
                          .file = intern(p, "file:///srv/app.js"),
                          .line = line,
                          .column = 9,
                          .kind = FRAME_JAVASCRIPT};
}

static void add_process(struct profile *p)
{
    series_id rss = profile_add_series(p, "rss", "bytes");
    series_id faults = profile_add_series(p, "minor_faults", "count");
    series_id heap = profile_add_series(p, "smaps.heap", "bytes");
    for (unsigned i = 0; i < 3; i++) {
        profile_add_point(p, rss, i * 1000000, i == 1 ? 30 << 20 : (10 + i) << 20);
        profile_add_point(p, faults, i * 1000000, 100 + i);
    }
    profile_add_point(p, heap, 0, 4096);
    profile_add_point(p, heap, 2000000, 8192);
    enum { FIB = 3 };
    *vec_push(&p->events) = (struct profile_event){.time_us = 100,
                                                   .duration_us = 20000,
                                                   .kind = intern(p, "gc"),
                                                   .node = FIB,
                                                   .what = intern(p, "mark-compact"),
                                                   .reason = intern(p, "task"),
                                                   .before_bytes = 3 << 20,
                                                   .after_bytes = 2 << 20,
                                                   .tid = 7};
    *vec_push(&p->events) = (struct profile_event){.time_us = 200,
                                                   .duration_us = 5000,
                                                   .kind = intern(p, "gc"),
                                                   .what = intern(p, "scavenge"),
                                                   .estimated = true};
    *vec_push(&p->events) =
        (struct profile_event){.time_us = 300, .duration_us = 1500, .kind = intern(p, "mark")};
    thread_id first = profile_add_thread(p, 7, 7, "main");
    thread_id second = profile_add_thread(p, 7, 8, "wor\033ker");
    p->threads.items[first].ticks = 90;
    p->threads.items[second].ticks = 10;
    p->meta = (struct profile_meta){.command = intern(p, "node app.js"),
                                    .pid = 7,
                                    .end_us = 2000000,
                                    .period_us = 1000,
                                    .kernel = true};
    p->quality = (struct quality){.present = true,
                                  .samples = 100,
                                  .lost = 1,
                                  .coverage = 0.5,
                                  .target_cpu_s = 0.2,
                                  .sampled_cpu_s = 0.1,
                                  .profiler_cpu_s = 0.25,
                                  .profiler_rss_peak = 3 << 20,
                                  .js_frames = 1000,
                                  .js_named = 987,
                                  .v8 = intern(p, "11.3.244.8-node.38"),
                                  .sampler = intern(p, "perf cpu-clock")};
}

static struct profile *example(void)
{
    struct profile *p = profile_new();
    module_id app = profile_add_module(p, "/usr/bin/node", "");
    module_id libc = profile_add_module(p, "/lib/libc.so.6", "");
    node_id outer = node(p, 0, js(p, "outer", 1), 5);
    node_id fib = node(p, outer, js(p, "fib", 3), 20);
    fib = node(p, fib, js(p, "fib", 3), 20);
    node(p, outer, js(p, "", 8), 1);
    node(p, fib, (struct frame){.module = libc, .kind = FRAME_NATIVE}, 14);
    node(p, outer,
         (struct frame){.function = intern(p, "v8::Run(\n)"),
                        .module = app,
                        .file = intern(p, "/v8/run.cc"),
                        .line = 77,
                        .kind = FRAME_NATIVE},
         10);
    node(p, outer,
         (struct frame){.function = intern(p, "memcpy"), .module = libc, .kind = FRAME_NATIVE}, 4);
    node(p, outer, (struct frame){.function = intern(p, "sys_read"), .kind = FRAME_KERNEL}, 6);
    node(p, 0, (struct frame){.function = intern(p, "(program)"), .kind = FRAME_RUNTIME}, 3);
    node(p, 0, (struct frame){.kind = FRAME_GC}, 7);
    node(p, 0, (struct frame){.kind = FRAME_IDLE}, 50);
    node(p, 0, (struct frame){.kind = FRAME_UNKNOWN}, 8);
    profile_add_self(p, 0, 0, 2);
    add_process(p);
    return p;
}

static char *text_of(const struct profile *p, const struct report_options *options, bool json)
{
    struct output_file file = written_open();
    (json ? report_json : report_text)(&file, p, options);
    return written_text(&file);
}

static const char golden[] =
    "Statistical profiling result from x.cpuprofile, (100 ticks, 10 unaccounted, 50 excluded).\n"
    "Process 7 (node app.js), 2.00 s at 1000 Hz.\n"
    "\n"
    " [JavaScript]:\n"
    "   ticks  total  nonlib   name\n"
    "     40   40.0%   46.5%  JS: fib file:///srv/app.js:3:9\n"
    "      5    5.0%    5.8%  JS: outer file:///srv/app.js:1:9\n"
    "      1    1.0%    1.2%  JS: <anonymous> file:///srv/app.js:8:9\n"
    "\n"
    " [C++]:\n"
    "   ticks  total  nonlib   name\n"
    "     10   10.0%   11.6%  v8::Run(\\n) /v8/run.cc:77\n"
    "      4    4.0%    4.7%  memcpy [libc.so.6]\n"
    "      3    3.0%    3.5%  (program)\n"
    "\n"
    " [Kernel]:\n"
    "   ticks  total  nonlib   name\n"
    "      6    6.0%    7.0%  sys_read\n"
    "\n"
    " [Shared libraries]:\n"
    "   ticks  total  nonlib   name\n"
    "     14   14.0%          /lib/libc.so.6\n"
    "\n"
    " [Summary]:\n"
    "   ticks  total  nonlib   name\n"
    "     46   46.0%   53.5%  JavaScript\n"
    "     17   17.0%   19.8%  C++\n"
    "      6    6.0%    7.0%  Kernel\n"
    "      7    7.0%    8.1%  GC\n"
    "     14   14.0%          Shared libraries\n"
    "     10   10.0%   11.6%  Unaccounted\n"
    "\n"
    " [Bottom up (heavy) profile]:\n"
    "  Note: percentage shows a share of a particular caller in the total\n"
    "  amount of its parent calls.\n"
    "  Callers occupying less than 4.0% are not shown.\n"
    "\n"
    "   ticks parent  name\n"
    "     40   40.0%  JS: fib file:///srv/app.js:3:9\n"
    "     20   50.0%    JS: outer file:///srv/app.js:1:9\n"
    "     20   50.0%    JS: fib file:///srv/app.js:3:9\n"
    "     20  100.0%      JS: outer file:///srv/app.js:1:9\n"
    "\n"
    "     14   14.0%  /lib/libc.so.6\n"
    "     14  100.0%    JS: fib file:///srv/app.js:3:9\n"
    "     14  100.0%      JS: fib file:///srv/app.js:3:9\n"
    "     14  100.0%        JS: outer file:///srv/app.js:1:9\n"
    "\n"
    "     10   10.0%  UNKNOWN\n"
    "\n"
    "     10   10.0%  v8::Run(\\n) /v8/run.cc:77\n"
    "     10  100.0%    JS: outer file:///srv/app.js:1:9\n"
    "\n"
    "      7    7.0%  (garbage collector)\n"
    "\n"
    "      6    6.0%  sys_read\n"
    "      6  100.0%    JS: outer file:///srv/app.js:1:9\n"
    "\n"
    "      5    5.0%  JS: outer file:///srv/app.js:1:9\n"
    "\n"
    "      4    4.0%  memcpy [libc.so.6]\n"
    "      4  100.0%    JS: outer file:///srv/app.js:1:9\n"
    "\n"
    " [Threads]:\n"
    "   ticks  total      tid  name\n"
    "     90   90.0%        7  main\n"
    "     10   10.0%        8  wor\\x1bker\n"
    "\n"
    " [Memory]:\n"
    "       first        last        peak  change/min  name\n"
    "    10.0 MiB    12.0 MiB    30.0 MiB   +60.0 MiB  rss\n"
    "         100         102         102         +60  minor_faults\n"
    "\n"
    " [Memory by mapping]:\n"
    "       first        peak        last  name\n"
    "     4.0 KiB     8.0 KiB     8.0 KiB  heap\n"
    "\n"
    " [GC]:\n"
    "   count   total ms     max ms   share  kind\n"
    "       1      20.00      20.00    1.0%  mark-compact\n"
    "       1       5.00       5.00    0.2%  scavenge\n"
    "       2      25.00      20.00    1.2%  all\n"
    "       1  of these estimated from samples\n"
    "\n"
    "  longest ms      at s  before MiB  after MiB  kind (reason), where\n"
    "      20.00     0.000         3.0        2.0  mark-compact (task) in fib "
    "file:///srv/app.js:3\n"
    "\n"
    " [Events]:\n"
    "   count   total ms     max ms   share  name\n"
    "       1       1.50       1.50    0.1%  mark\n"
    "\n"
    " [Quality]:\n"
    "         100  samples\n"
    "           1  lost\n"
    "           0  truncated stacks\n"
    "           0  stitched stacks\n"
    "           0  broken stacks\n"
    "           0  unknown frames\n"
    "           0  extrapolated ticks\n"
    "       50.0%  coverage: 0.10 s sampled of 0.20 s that the kernel accounted\n"
    "      0.25 s  CPU time of the profiler, peak RSS 3.0 MiB\n"
    "  V8 11.3: 98.7 % of JavaScript frames named\n"
    "  sampled by perf cpu-clock\n";

START_TEST(the_text_is_this)
{
    scratch_enter();
    struct profile *p = example();
    struct report_options options = report_defaults;
    options.file_name = "x.cpuprofile";
    options.cut_percent = 4;
    _cleanup_free_ char *text = text_of(p, &options, false);
    ck_assert_str_eq(text, golden);
    profile_free(p);
    scratch_leave();
}
END_TEST

START_TEST(colour_adds_only_escapes)
{
    scratch_enter();
    struct profile *p = example();
    struct report_options options = report_defaults;
    options.file_name = "x.cpuprofile";
    options.cut_percent = 4;
    options.color = true;
    _cleanup_free_ char *text = text_of(p, &options, false);
    ck_assert_ptr_nonnull(strstr(text, "\033[1m"));
    size_t kept = 0;
    for (const char *at = text; *at; at++) {
        if (*at == '\033')
            at += strcspn(at, "m");
        else
            text[kept++] = *at;
    }
    text[kept] = 0;
    ck_assert_str_eq(text, golden);
    profile_free(p);
    scratch_leave();
}
END_TEST

START_TEST(the_tree_goes_down_from_the_root)
{
    scratch_enter();
    struct profile *p = example();
    struct report_options options = report_defaults;
    options.tree = true;
    options.cut_percent = 5;
    _cleanup_free_ char *text = text_of(p, &options, false);
    ck_assert_ptr_nonnull(strstr(text,
                                 "   ticks  total    self  name\n"
                                 "     80   80.0%       5  JS: outer file:///srv/app.js:1:9\n"
                                 "     54   54.0%      20    JS: fib file:///srv/app.js:3:9\n"
                                 "     34   34.0%      20      JS: fib file:///srv/app.js:3:9\n"
                                 "     14   14.0%      14        /lib/libc.so.6\n"
                                 "     10   10.0%      10    v8::Run(\\n) /v8/run.cc:77\n"
                                 "      6    6.0%       6    sys_read\n"
                                 "     10   10.0%      10  UNKNOWN\n"
                                 "      7    7.0%       7  (garbage collector)\n"
                                 "\n [Threads]:"));
    profile_free(p);
    scratch_leave();
}
END_TEST

START_TEST(rows_are_cut_and_sorted)
{
    scratch_enter();
    struct profile *p = example();
    struct report_options options = report_defaults;
    options.top = 1;
    options.sort_total = true;
    _cleanup_free_ char *text = text_of(p, &options, false);
    ck_assert_ptr_nonnull(strstr(text, " [JavaScript]:\n"
                                       "   total  total    self   name\n"
                                       "     80   80.0%       5  JS: outer file:///srv/app.js:1:9\n"
                                       "  and 2 more with 41 ticks of their own\n"));
    profile_free(p);
    scratch_leave();
}
END_TEST

START_TEST(one_thread_is_what_its_samples_say)
{
    struct profile *p = profile_new();
    node_id a = node(p, 0, js(p, "a", 1), 3), b = node(p, a, js(p, "b", 2), 2);
    const node_id nodes[] = {a, b, a, b, a};
    thread_id first = profile_add_thread(p, 1, 10, ""), second = profile_add_thread(p, 1, 11, "");
    for (unsigned i = 0; i < 5; i++)
        sequence_append(&p->samples, &(struct sample){i, i < 2 ? first : second, nodes[i]});
    struct rows rows;
    rows_gather(p, 11, false, &rows);
    ck_assert_uint_eq(rows.ticks, 3);
    ck_assert_uint_eq(rows.functions.items[rows_function(&rows, a)].self, 2);
    ck_assert_uint_eq(rows.functions.items[rows_function(&rows, a)].total, 3);
    ck_assert_uint_eq(rows.functions.items[rows_function(&rows, b)].total, 1);
    rows_release(&rows);
    profile_free(p);
}
END_TEST

/* Against walking every stack: a function's total is the ticks whose stack holds it. */
START_TEST(totals_count_a_tick_once)
{
    uint32_t random = 7;
    for (int round = 0; round < 50; round++) {
        struct profile *p = profile_new();
        struct frame frames[5] = {0};
        for (int i = 0; i < 5; i++) {
            char name[2] = {(char)('a' + i), 0};
            frames[i] = js(p, name, (uint32_t)i + 1);
        }
        for (int i = 0; i < 200; i++) {
            random = random * 1664525 + 1013904223;
            node(p, (random >> 8) % (uint32_t)p->nodes.count, frames[(random >> 24) % 5],
                 (random >> 20) % 4);
        }
        struct rows rows;
        rows_gather(p, -1, false, &rows);
        for (function_id f = 1; f < rows.functions.count; f++) {
            uint64_t expected = 0;
            for (node_id n = 0; n < p->nodes.count; n++) {
                bool on_stack = false;
                for (node_id at = n; at; at = p->nodes.items[at].parent)
                    on_stack |= rows_function(&rows, at) == f;
                expected += on_stack ? profile_self(p, 0, n) : 0;
            }
            ck_assert_uint_eq(rows.functions.items[f].total, expected);
        }
        rows_release(&rows);
        profile_free(p);
    }
}
END_TEST

START_TEST(a_very_deep_tree_needs_no_stack)
{
    scratch_enter();
    struct profile *p = profile_new();
    node_id at = 0;
    for (unsigned i = 0; i < 60000; i++)
        at = node(p, at, js(p, i % 2 ? "even" : "odd", 1 + i % 2), 1);
    struct report_options options = report_defaults;
    options.tree = true;
    options.cut_percent = 99;
    _cleanup_free_ char *text = text_of(p, &options, false);
    ck_assert_ptr_nonnull(strstr(text, "  60000  100.0%       1  JS: odd"));
    profile_free(p);
    scratch_leave();
}
END_TEST

/* Python's parser is strict; the numbers are checked in it, too. */
START_TEST(the_json_is_valid)
{
    scratch_enter();
    struct profile *p = example();
    node(p, 0, js(p, "bad \xff\xfe \"quoted\" \\ \x01", 99), 1);
    profile_add_point(p, profile_add_series(p, "tiny", "seconds"), 5, 1e-9);
    struct report_options options = report_defaults;
    options.file_name = "dir/\"x\".cpuprofile";
    free(text_of(p, &options, true));
    if (system("command -v python3 >/dev/null") != 0) {
        printf("skipped: python3 is not installed\n");
        return;
    }
    FILE *file = fopen("check.py", "w");
    fputs("import json\n"
          "r = json.load(open('written', encoding='utf-8'))\n"
          "assert r['schema'] == 1 and r['kind'] == 'cpu' and r['target']['pid'] == 7\n"
          "assert r['ticks'] == 101 and r['idle_ticks'] == 50 and r['period_us'] == 1000\n"
          "assert sum(r['summary'].values()) == r['ticks']\n"
          "f = {x['name']: x for x in r['functions']}\n"
          "assert (f['fib']['self'], f['fib']['total']) == (40, 54), f['fib']\n"
          "assert (f['fib']['file'], f['fib']['line']) == ('/srv/app.js', 3)\n"
          "assert sum(x['self'] for x in r['functions']) == r['ticks']\n"
          "s = [(-x['self'], -x['total']) for x in r['functions']]\n"
          "assert s == sorted(s)\n"
          "m = {x['metric']: x for x in r['memory']}\n"
          "assert m['rss']['peak'] == 30 << 20 and m['rss']['slope_per_minute'] == 60 << 20\n"
          "gc = r['events']['gc']\n"
          "assert (gc['count'], gc['total_ms'], gc['max_ms']) == (2, 25, 20)\n"
          "assert (gc['share'], gc['estimated']) == (0.0125, 1)\n"
          "assert [k['kind'] for k in gc['kinds']] == ['mark-compact', 'scavenge']\n"
          "assert gc['kinds'][0] == {'kind': 'mark-compact', 'count': 1, 'total_ms': 20,\n"
          "                          'max_ms': 20}\n"
          "assert gc['longest'] == {'at_s': 0.0001, 'duration_ms': 20, 'kind': 'mark-compact',\n"
          "    'reason': 'task', 'tid': 7, 'before_bytes': 3 << 20, 'after_bytes': 2 << 20,\n"
          "    'function': 'fib', 'file': '/srv/app.js', 'line': 3}, gc['longest']\n"
          "assert r['events']['mark'] == {'count': 1, 'total_ms': 1.5, 'max_ms': 1.5}\n"
          "assert r['quality']['coverage'] == 0.5 and r['quality']['lost'] == 1\n"
          "assert r['quality']['v8'] == {'version': '11.3.244.8-node.38', 'frames': 1000,\n"
          "                              'named': 987}\n"
          "assert not any('tier' in x for x in r['functions'])\n"
          "assert [t['tid'] for t in r['threads']] == [7, 8]\n",
          file);
    fclose(file);
    scratch_run("python3 check.py");
    profile_free(p);
    scratch_leave();
}
END_TEST

/* The rows of `node --prof-process`, for which a tier is part of the name. */
START_TEST(tiers_have_rows_of_their_own)
{
    scratch_enter();
    struct profile *p = profile_new();
    node_id at = 0;
    for (int tier = 0; tier < CODE_TIERS; tier++) {
        struct frame fib = js(p, "fib", 3);
        fib.tier = (enum code_tier)tier;
        at = node(p, at, fib, 10 + (uint64_t)tier);
    }
    struct frame evaluated = js(p, "", 5);
    evaluated.file = 0;
    evaluated.tier = TIER_INTERPRETED;
    node(p, at, evaluated, 3);
    node(p, at,
         (struct frame){.function = intern(p, "(unknown JavaScript)"), .kind = FRAME_JAVASCRIPT},
         2);
    node(p, at, (struct frame){.function = intern(p, "Builtins_ArrayMap"), .kind = FRAME_RUNTIME},
         1);
    _cleanup_free_ char *text = text_of(p, &report_defaults, false);
    ck_assert_ptr_nonnull(strstr(text, " [JavaScript]:\n"
                                       "   ticks  total  nonlib   name\n"
                                       "     14   21.2%   21.2%  JS: *fib file:///srv/app.js:3:9\n"
                                       "     13   19.7%   19.7%  JS: +fib file:///srv/app.js:3:9\n"
                                       "     12   18.2%   18.2%  JS: ^fib file:///srv/app.js:3:9\n"
                                       "     11   16.7%   16.7%  JS: ~fib file:///srv/app.js:3:9\n"
                                       "     10   15.2%   15.2%  JS: fib file:///srv/app.js:3:9\n"
                                       "      3    4.5%    4.5%  JS: ~<anonymous> :5:9\n"
                                       "      2    3.0%    3.0%  JS: (unknown JavaScript)\n"
                                       "\n [C++]:\n"
                                       "   ticks  total  nonlib   name\n"
                                       "      1    1.5%    1.5%  Builtins_ArrayMap\n"));
    ck_assert_ptr_nonnull(strstr(text, "     12   18.2%  JS: ^fib file:///srv/app.js:3:9\n"
                                       "     12  100.0%    JS: ~fib file:///srv/app.js:3:9\n"
                                       "     12  100.0%      JS: fib file:///srv/app.js:3:9\n"));
    _cleanup_free_ char *json = text_of(p, &report_defaults, true);
    ck_assert_ptr_nonnull(strstr(json, "{\"name\":\"fib\",\"file\":\"/srv/app.js\",\"line\":3,"
                                       "\"column\":9,\"module\":\"\",\"kind\":\"javascript\","
                                       "\"tier\":\"optimized\",\"self\":14,\"total\":20,"));
    ck_assert_ptr_nonnull(strstr(json, "\"tier\":\"interpreted\""));
    ck_assert_ptr_nonnull(strstr(json, "\"tier\":\"baseline\""));
    ck_assert_ptr_nonnull(strstr(json, "\"tier\":\"maglev\""));
    profile_free(p);
    scratch_leave();
}
END_TEST

/* No more is claimed than there is. */
START_TEST(the_share_of_named_frames_is_rounded_down)
{
    scratch_enter();
    struct profile *p = profile_new();
    p->quality.present = true;
    p->quality.v8 = intern(p, "13.6");
    _cleanup_free_ char *none = text_of(p, &report_defaults, false);
    ck_assert_ptr_nonnull(strstr(none, "\n  V8 13.6: no JavaScript frames\n"));
    p->quality.js_frames = 100000;
    p->quality.js_named = 99999;
    _cleanup_free_ char *most = text_of(p, &report_defaults, false);
    ck_assert_ptr_nonnull(strstr(most, "\n  V8 13.6: 99.9 % of JavaScript frames named\n"));
    p->quality.js_named = 100000;
    _cleanup_free_ char *all = text_of(p, &report_defaults, false);
    ck_assert_ptr_nonnull(strstr(all, "\n  V8 13.6: 100.0 % of JavaScript frames named\n"));
    profile_free(p);
    scratch_leave();
}
END_TEST

START_TEST(an_empty_profile_has_a_report)
{
    scratch_enter();
    struct profile *p = profile_new();
    free(text_of(p, &report_defaults, true));
    scratch_run("python3 -m json.tool written > /dev/null");
    _cleanup_free_ char *text = text_of(p, &report_defaults, false);
    ck_assert_ptr_nonnull(strstr(text, "(0 ticks, 0 unaccounted, 0 excluded)"));
    profile_free(p);
    scratch_leave();
}
END_TEST

UNIT_MAIN("report", the_text_is_this, colour_adds_only_escapes, the_tree_goes_down_from_the_root,
          rows_are_cut_and_sorted, one_thread_is_what_its_samples_say, totals_count_a_tick_once,
          a_very_deep_tree_needs_no_stack, the_json_is_valid, tiers_have_rows_of_their_own,
          the_share_of_named_frames_is_rounded_down, an_empty_profile_has_a_report)
