#include "output/cpuprofile.h"

#include "output/json.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"
#include "tests/unit/written.h"

#include <inttypes.h>
#include <string.h>

/* --- a profile as sorted lines, so that two can be compared whatever their ids --- */

struct description {
    vec(char *) lines;
};

__attribute__((format(printf, 2, 3))) static void say(struct description *to, const char *format,
                                                      ...)
{
    va_list arguments;
    char *line = NULL;
    va_start(arguments, format);
    ck_assert_int_ge(vasprintf(&line, format, arguments), 0);
    va_end(arguments);
    vec_append(&to->lines, line);
}

/* The frames from the root with all their fields. */
static char *path_of(const struct profile *p, node_id node)
{
    char *path = xstrdup("");
    for (; node; node = p->nodes.items[node].parent) {
        const struct frame *f = profile_frame_of(p, node);
        const struct profile_module *m = &p->modules.items[f->module];
        char *longer = xasprintf(
            "/%s|%s:%u:%u|%u|%s,%s|%" PRIx64 "|%d|%d%s", profile_string(p, f->function),
            profile_string(p, f->file), f->line, f->column, f->script, profile_string(p, m->path),
            profile_string(p, m->build_id), f->address, f->kind, f->tier, path);
        free(path);
        path = longer;
    }
    return path;
}

static void describe_nodes(struct description *to, const struct profile *p)
{
    int64_t cpu = profile_find_metric(p, "cpu");
    for (node_id i = 0; i < p->nodes.count; i++) {
        _cleanup_free_ char *path = path_of(p, i);
        say(to, "node %s self %" PRIu64, path, cpu < 0 ? 0 : profile_self(p, (metric_id)cpu, i));
    }
    for (size_t i = 0; i < p->lines.count; i++) {
        _cleanup_free_ char *path = path_of(p, p->lines.items[i].node);
        say(to, "line %s %u %" PRIu64, path, p->lines.items[i].line, p->lines.items[i].ticks);
    }
    for (size_t i = 0; i < p->calls.count; i++) {
        _cleanup_free_ char *path = path_of(p, p->calls.items[i].node);
        say(to, "call %s %u %" PRIu64, path, p->calls.items[i].line, p->calls.items[i].ticks);
    }
    for (size_t i = 0; i < p->addresses.count; i++) {
        const struct address_ticks *a = &p->addresses.items[i];
        _cleanup_free_ char *path = path_of(p, a->node);
        say(to, "address %s %s %" PRIx64 " %" PRIu64, path,
            profile_string(p, p->modules.items[a->module].path), a->address, a->ticks);
    }
    for (size_t i = 0; i < p->events.count; i++) {
        const struct profile_event *e = &p->events.items[i];
        _cleanup_free_ char *path = path_of(p, e->node);
        say(to, "event %zu %" PRIu64 " %" PRIu64 " %s %s", i, e->time_us, e->duration_us,
            profile_string(p, e->kind), path);
        say(to, "  %s %s %" PRIu64 " %" PRIu64 " %u %d", profile_string(p, e->what),
            profile_string(p, e->reason), e->before_bytes, e->after_bytes, e->tid, e->estimated);
    }
}

static void describe_rest(struct description *to, const struct profile *p)
{
    const struct profile_meta *m = &p->meta;
    const struct quality *q = &p->quality;
    struct sequence_cursor cursor = sequence_begin(&p->samples);
    uint64_t at = 0;
    for (struct sample s; sequence_next(&cursor, &s); at++) {
        _cleanup_free_ char *path = path_of(p, s.node);
        say(to, "sample %08" PRIu64 " %" PRIu64 " %u %s", at, s.time_us,
            p->threads.items[s.thread].tid, path);
    }
    for (size_t i = 0; i < p->threads.count; i++)
        say(to, "thread %zu %u %u %s %" PRIu64, i, p->threads.items[i].pid, p->threads.items[i].tid,
            profile_string(p, p->threads.items[i].name), p->threads.items[i].ticks);
    for (size_t i = 0; i < p->modules.count; i++)
        say(to, "module %zu %s %s", i, profile_string(p, p->modules.items[i].path),
            profile_string(p, p->modules.items[i].build_id));
    for (size_t i = 0; i < p->series.count; i++)
        for (size_t j = 0; j < p->series.items[i].points.count; j++)
            say(to, "series %zu %s %s %" PRIu64 " %a", i,
                profile_string(p, p->series.items[i].name),
                profile_string(p, p->series.items[i].unit),
                p->series.items[i].points.items[j].time_us,
                p->series.items[i].points.items[j].value);
    say(to, "meta %s %s %s %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d",
        profile_string(p, m->command), profile_string(p, m->host), profile_string(p, m->tool),
        m->pid, m->start_us, m->end_us, m->wall_start_us, m->period_us, m->kernel);
    say(to,
        "quality %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
        " %" PRIu64 " %a %a %a %a %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %s %s",
        q->present, q->samples, q->lost, q->truncated, q->stitched, q->broken, q->unknown_frames,
        q->extrapolated, q->target_cpu_s, q->sampled_cpu_s, q->coverage, q->profiler_cpu_s,
        q->profiler_rss_peak, q->js_frames, q->js_named, profile_string(p, q->v8),
        profile_string(p, q->sampler), profile_string(p, q->note));
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *describe(const struct profile *profile)
{
    struct description to = {0};
    describe_nodes(&to, profile);
    describe_rest(&to, profile);
    qsort(to.lines.items, to.lines.count, sizeof *to.lines.items, compare_lines);
    char *all = NULL;
    size_t size;
    FILE *stream = open_memstream(&all, &size);
    for (size_t i = 0; i < to.lines.count; i++) {
        fprintf(stream, "%s\n", to.lines.items[i]);
        free(to.lines.items[i]);
    }
    fclose(stream);
    vec_release(&to.lines);
    return all;
}

/* --- profiles --- */

static string_id intern(struct profile *p, const char *text)
{
    return strings_intern(&p->strings, text);
}

enum { START_US = 5000000, PERIOD_US = 1000, STACKS = 9 };

/* Every kind of frame, and everything that makes a frame odd. */
static void add_stacks(struct profile *p, node_id ret_leaves[STACKS])
{
    module_id app = profile_add_module(p, "/usr/bin/app", "00ff");
    module_id libc = profile_add_module(p, "/lib/libc.so.6", "");
    module_id kernel = profile_add_module(p, "[kernel]", "");
    struct frame frames[] = {
        {.function = intern(p, "main"),
         .file = intern(p, "/src/a b/mäin%.c"),
         .line = 10,
         .module = app,
         .kind = FRAME_NATIVE},
        {.function = intern(p, "ns::work<int, \"x\\y\">(char\n)"),
         .file = intern(p, "work.cpp"),
         .line = 4,
         .column = 7,
         .module = app,
         .kind = FRAME_NATIVE},
        {.module = libc, .kind = FRAME_NATIVE},
        {.function = intern(p, "do_syscall_64"), .module = kernel, .kind = FRAME_KERNEL},
        {.function = intern(p, "fib"),
         .file = intern(p, "file:///srv/a%20b.js"),
         .line = 3,
         .column = 13,
         .script = 81,
         .kind = FRAME_JAVASCRIPT,
         .tier = TIER_INTERPRETED},
        {.file = intern(p, "node:internal/x"),
         .line = 1,
         .column = 1,
         .script = 4,
         .kind = FRAME_JAVASCRIPT},
        {.function = intern(p, "(garbage collector)"), .kind = FRAME_GC},
        {.module = app, .address = 0xffffffff81000010u, .kind = FRAME_UNKNOWN},
        {.function = intern(p, "[libc.so.6]"),
         .file = intern(p, "file:///not/a/path"),
         .kind = FRAME_RUNTIME},
    };
    frame_id ids[STACKS];
    for (int i = 0; i < STACKS; i++)
        ids[i] = profile_add_frame(p, &frames[i]);
    node_id main_node = profile_add_node(p, 0, ids[0]);
    ret_leaves[0] = main_node;
    for (int i = 1; i < STACKS; i++)
        ret_leaves[i] = profile_add_node(p, i % 2 ? main_node : ret_leaves[i / 2], ids[i]);
    ret_leaves[8] = profile_add_node(p, ret_leaves[7], ids[1]);
}

static void add_samples(struct profile *p, const node_id leaves[STACKS], unsigned thread_count,
                        unsigned sample_count)
{
    metric_id cpu = profile_add_metric(p, "cpu", "ticks");
    uint64_t time_us = START_US;
    uint32_t random = 12345;
    for (unsigned i = 0; i < thread_count; i++) {
        _cleanup_free_ char *name = xasprintf("worker \"%u\"", i);
        profile_add_thread(p, 42, 42 + i, i ? name : "main");
    }
    for (unsigned i = 0; i < sample_count; i++) {
        random = random * 1664525 + 1013904223;
        /* The last threads are rare: below 1 %. */
        thread_id thread =
            i % 500 == 499 ? thread_count - 1 : (random >> 8) % (1 + thread_count / 2);
        node_id node = random >> 24 < 5 ? 0 : leaves[(random >> 16) % STACKS];
        time_us += i % 50 == 49 ? 7 * PERIOD_US : 900 + random % 200;
        sequence_append(&p->samples, &(struct sample){time_us, thread, node});
        profile_add_self(p, cpu, node, 1);
        p->threads.items[thread].ticks++;
    }
    p->meta.start_us = START_US;
    p->meta.end_us = time_us + 10 * PERIOD_US;
}

static void add_extras(struct profile *p, const node_id leaves[STACKS])
{
    series_id rss = profile_add_series(p, "rss", "bytes");
    series_id cpu_user = profile_add_series(p, "cpu_user", "seconds");
    for (unsigned i = 0; i < 5; i++) {
        profile_add_point(p, rss, START_US + i * 1000000, 1e6 + i * 4096);
        profile_add_point(p, cpu_user, START_US + i * 1000000, i / 3.0);
    }
    profile_add_line(p, leaves[0], 12, 3);
    profile_add_line(p, leaves[0], 13, 4);
    profile_add_line(p, leaves[4], 5, 1);
    profile_add_call_line(p, leaves[4], 11, 6);
    profile_add_call_line(p, leaves[4], 12, 1);
    profile_add_call_line(p, leaves[8], 7, 2);
    profile_add_address(p, leaves[1], 1, 0x401000, 9);
    profile_add_address(p, leaves[3], 3, 0xffffffff81234567u, 2);
    /* Ticks that no sample stands for. */
    profile_add_self(p, 0, leaves[2], 11);
    *vec_push(&p->events) = (struct profile_event){
        .time_us = START_US + 77,
        .duration_us = 1500,
        .kind = intern(p, "gc"),
        .node = leaves[6],
        .what = intern(p, "mark-compact"),
        .reason = intern(p, "task"),
        .before_bytes = 3000000,
        .after_bytes = 2000000,
        .tid = 12,
        .estimated = true,
    };
    *vec_push(&p->events) =
        (struct profile_event){.time_us = START_US + 99, .kind = intern(p, "mark")};
    p->meta.command = intern(p, "app --flag \"q\"");
    p->meta.host = intern(p, "host");
    p->meta.tool = intern(p, "memprof 0.1.0");
    p->meta.pid = 42;
    p->meta.wall_start_us = 1700000000000000;
    p->meta.period_us = PERIOD_US;
    p->meta.kernel = true;
    p->quality = (struct quality){true,
                                  1,
                                  2,
                                  3,
                                  4,
                                  5,
                                  6,
                                  7,
                                  1.0 / 3,
                                  0.25,
                                  0.99,
                                  0.015,
                                  1234567,
                                  1000,
                                  987,
                                  intern(p, "11.3.244.8"),
                                  intern(p, "perf cpu-clock"),
                                  intern(p, "a note")};
}

static struct profile *rich_profile(unsigned thread_count, unsigned sample_count)
{
    struct profile *p = profile_new();
    node_id leaves[STACKS];
    add_stacks(p, leaves);
    add_samples(p, leaves, thread_count, sample_count);
    add_extras(p, leaves);
    return p;
}

static char *write_profile(const struct profile *profile, struct write_options options)
{
    struct output_file file = written_open();
    struct error err = {0};
    ck_assert_msg(cpuprofile_write(&file, profile, &options, &err) == 0, "%s", err.text);
    return written_text(&file);
}

static struct profile *read_text(const char *text)
{
    struct profile *profile = NULL;
    struct error err = {0};
    ck_assert_msg(cpuprofile_read(text, strlen(text), "x", &profile, &err) == 0, "%s", err.text);
    return profile;
}

static void check_round_trip(const struct profile *profile, struct write_options options)
{
    _cleanup_free_ char *text = write_profile(profile, options);
    _cleanup_profile_ struct profile *back = read_text(text);
    _cleanup_free_ char *before = describe(profile), *after = describe(back);
    ck_assert_str_eq(after, before);
    ck_assert(cpuprofile_matches(text, 4096));
}

START_TEST(what_is_written_reads_back)
{
    scratch_enter();
    for (unsigned threads = 1; threads <= 8; threads++) {
        struct profile *profile = rich_profile(threads, 3000);
        check_round_trip(profile, (struct write_options){WRITE_THREADS_ALL, 0});
        check_round_trip(profile, (struct write_options){WRITE_THREADS_MAIN, 0});
        check_round_trip(profile, (struct write_options){WRITE_THREADS_ONE, 42 + threads - 1});
        profile_free(profile);
    }
    scratch_leave();
}
END_TEST

START_TEST(profiles_without_samples_read_back)
{
    scratch_enter();
    struct profile *profile = rich_profile(3, 0);
    check_round_trip(profile, (struct write_options){WRITE_THREADS_ALL, 0});
    profile_free(profile);
    profile = profile_new();
    profile_add_metric(profile, "cpu", "ticks");
    check_round_trip(profile, (struct write_options){WRITE_THREADS_MAIN, 0});
    profile_free(profile);
    scratch_leave();
}
END_TEST

START_TEST(a_thread_that_is_not_there_is_an_error)
{
    scratch_enter();
    struct profile *profile = rich_profile(2, 10);
    struct output_file file = written_open();
    struct error err = {0};
    struct write_options options = {WRITE_THREADS_ONE, 999};
    ck_assert_int_eq(cpuprofile_write(&file, profile, &options, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "999"));
    output_file_release(&file);
    profile_free(profile);
    scratch_leave();
}
END_TEST

/* --- the standard part as others read it --- */

/* What a reader that knows nothing of our extension sees, counted by node's own program. */
static void check_with_node(const char *script, const char *expected)
{
    if (system("command -v node >/dev/null") != 0) {
        printf("skipped: node is not installed\n");
        return;
    }
    _cleanup_fclose_ FILE *file = fopen("check.js", "w");
    fprintf(file,
            "const p = JSON.parse(require('fs').readFileSync('written'));\n"
            "const by = new Map(p.nodes.map(n => [n.id, n]));\n"
            "const name = id => by.get(id).callFrame.functionName;\n%s",
            script);
    fclose(file);
    file = NULL;
    scratch_run("node check.js > seen");
    _cleanup_free_ char *seen = file_text("seen", NULL);
    ck_assert_str_eq(seen, expected);
}

/* One function, called by itself and in each tier: all that differs is in the extension. */
START_TEST(tiers_are_nodes_of_their_own)
{
    scratch_enter();
    struct profile *profile = profile_new();
    metric_id cpu = profile_add_metric(profile, "cpu", "ticks");
    string_id name = intern(profile, "fib"), file = intern(profile, "file:///a.js");
    for (int i = 0; i < CODE_TIERS * CODE_TIERS; i++) {
        struct frame frame = {.function = name, .file = file, .line = 3, .kind = FRAME_JAVASCRIPT};
        node_id node = 0;
        for (int j = 0; j < 2; j++) {
            frame.tier = (enum code_tier)(j ? i % CODE_TIERS : i / CODE_TIERS);
            node = profile_add_node(profile, node, profile_add_frame(profile, &frame));
        }
        profile_add_self(profile, cpu, node, 1 + (uint64_t)i);
    }
    ck_assert_uint_eq(profile->nodes.count, 1 + CODE_TIERS + CODE_TIERS * CODE_TIERS);
    check_round_trip(profile, (struct write_options){WRITE_THREADS_ALL, 0});
    free(write_profile(profile, (struct write_options){WRITE_THREADS_ALL, 0}));
    check_with_node("console.log(new Set(p.nodes.slice(1).map(n => name(n.id))).size);\n"
                    "console.log(p.memprof.classes);\n",
                    "1\n[\n  [ 0, 0, 0 ],\n  [ 1, 0, 0 ],\n  [ 1, 0, 0, 1 ],\n  [ 1, 0, 0, 2 ],\n"
                    "  [ 1, 0, 0, 3 ],\n  [ 1, 0, 0, 4 ]\n]\n");
    profile_free(profile);
    scratch_leave();
}
END_TEST

START_TEST(other_readers_find_a_sound_tree)
{
    scratch_enter();
    struct profile *profile = rich_profile(4, 2000);
    free(write_profile(profile, (struct write_options){WRITE_THREADS_ALL, 0}));
    check_with_node(
        "console.log(p.nodes.every((n, i) => n.id === i + 1), name(1));\n"
        "const parents = new Map();\n"
        "for (const n of p.nodes) for (const c of n.children || [])\n"
        "  { console.assert(!parents.has(c) && c > n.id); parents.set(c, n.id); }\n"
        "console.log(parents.size === p.nodes.length - 1);\n"
        "const hits = {}; for (const s of p.samples) hits[s] = (hits[s] || 0) + 1;\n"
        "console.log(p.nodes.every(n => (hits[n.id] || 0) === n.hitCount));\n"
        "console.log(p.samples.length === p.timeDeltas.length);\n"
        "console.log(p.samples.filter(s => name(s) !== '(idle)').length);\n"
        "console.log(by.get(1).children.map(name).filter(n => /^Thread|^Other/.test(n)).sort());\n",
        "true (root)\ntrue\ntrue\ntrue\n2000\n"
        "[\n  'Other threads',\n  'Thread 42 (main)',\n"
        "  'Thread 43 (worker \"1\")',\n  'Thread 44 (worker \"2\")'\n]\n");
    profile_free(profile);
    scratch_leave();
}
END_TEST

/* No sample but an idle one is charged with more than two periods. */
START_TEST(nothing_is_charged_for_sleeping)
{
    scratch_enter();
    struct profile *profile = rich_profile(1, 1000);
    _cleanup_free_ char *text = write_profile(profile, (struct write_options){0});
    check_with_node(
        "let at = p.startTime, times = p.timeDeltas.map(d => at += d), most = 0, idle = 0;\n"
        "times.push(p.endTime);\n"
        "p.samples.forEach((s, i) => { const t = times[i + 1] - times[i];\n"
        "  if (name(s) === '(idle)') idle += t; else most = Math.max(most, t); });\n"
        "console.log(most <= 2000, idle > 20 * 5000);\n",
        "true true\n");
    ck_assert_ptr_nonnull(strstr(text, "\"idle\":"));
    profile_free(profile);
    scratch_leave();
}
END_TEST

/* --- files of others --- */

#define FRAME(name, url, line)                                                       \
    "\"callFrame\":{\"functionName\":\"" name "\",\"scriptId\":\"7\",\"url\":\"" url \
    "\",\"lineNumber\":" #line ",\"columnNumber\":" #line "}"
#define META(name)                                                                  \
    "\"callFrame\":{\"functionName\":\"" name "\",\"scriptId\":\"0\",\"url\":\"\"," \
    "\"lineNumber\":-1,\"columnNumber\":-1}"

START_TEST(kinds_are_told_by_name_and_url)
{
    struct profile *p = read_text("{\"nodes\":[{\"id\":1," META(
        "(root)") ",\"hitCount\":0,\"children\":[5,2,3,4,6,9]},"
                  "{\"id\":2," META(
                      "(program)") ",\"hitCount\":1},"
                                   "{\"id\":3," META(
                                       "(idle)") ",\"hitCount\":2},"
                                                 "{\"id\":4," META(
                                                     "(garbage collector)") ",\"hitCount\":3},"
                                                                            "{\"id\":5," FRAME(
                                                                                "f", "file:///a.js",
                                                                                4) ",\"hitCount\":4},"
                                                                                   "{\"id\":6," FRAME(
                                                                                       "g",
                                                                                       "node:fs",
                                                                                       0) ",\"hitCount\":5},"
                                                                                          "{\"id\":9," META(
                                                                                              "writeUtf8String") ",\"hitCount\":6}],"
                                                                                                                 "\"startTime\":1,\"endTime\":2,\"samples\":[],\"timeDeltas\":[]}");
    static const enum frame_kind kinds[] = {FRAME_RUNTIME,    FRAME_IDLE,       FRAME_GC,
                                            FRAME_JAVASCRIPT, FRAME_JAVASCRIPT, FRAME_RUNTIME};
    ck_assert_uint_eq(p->nodes.count, 7);
    for (node_id i = 1; i < 7; i++) {
        ck_assert_int_eq(profile_frame_of(p, i)->kind, kinds[i - 1]);
        ck_assert_uint_eq(profile_self(p, 0, i), i);
    }
    ck_assert_uint_eq(profile_frame_of(p, 4)->line, 5);
    ck_assert_uint_eq(profile_frame_of(p, 4)->column, 5);
    ck_assert_uint_eq(profile_frame_of(p, 1)->line, 0);
    profile_free(p);
}
END_TEST

START_TEST(ticks_come_from_samples_without_hit_counts)
{
    /* Keys in another order, ids far apart, parents told by the child. */
    struct profile *p = read_text(
        "{\"timeDeltas\":[10,20,-5,30],\"samples\":[-9,4000000000,-9,12],\"startTime\":100,"
        "\"nodes\":[{\"id\":12," META(
            "(root)") "},"
                      "{\"parent\":-9,\"id\":4000000000," FRAME(
                          "f", "a.js", 1) "},"
                                          "{\"id\":-9,\"parent\":12," FRAME(
                                              "g", "a.js", 2) "}],\"endTime\":200,\"title\":[{}]}");
    ck_assert_uint_eq(p->nodes.count, 3);
    ck_assert_str_eq(profile_string(p, profile_frame_of(p, 1)->function), "g");
    ck_assert_uint_eq(profile_self(p, 0, 0), 1);
    ck_assert_uint_eq(profile_self(p, 0, 1), 2);
    ck_assert_uint_eq(profile_self(p, 0, 2), 1);
    static const uint64_t times[] = {110, 130, 125, 155};
    struct sequence_cursor cursor = sequence_begin(&p->samples);
    struct sample sample;
    for (size_t i = 0; i < 4; i++) {
        ck_assert(sequence_next(&cursor, &sample));
        ck_assert_uint_eq(sample.time_us, times[i]);
    }
    profile_free(p);
}
END_TEST

/* Totals of a file of node's, computed by node. */
START_TEST(a_file_of_node_has_the_totals_that_node_counts)
{
    if (system("command -v node >/dev/null") != 0) {
        printf("skipped: node is not installed\n");
        return;
    }
    scratch_enter();
    scratch_run(
        "node --cpu-prof --cpu-prof-name=written -e \"function f(n) {"
        " return n < 2 ? 1 : f(n - 1) + f(n - 2); } f(31); JSON.stringify([...Array(2e5)])\"");
    size_t length;
    _cleanup_free_ char *text = file_text("written", &length);
    _cleanup_profile_ struct profile *profile = read_text(text);
    int64_t sums[FRAME_KINDS] = {0};
    for (node_id i = 0; i < profile->nodes.count; i++)
        sums[profile_frame_of(profile, i)->kind] += (int64_t)profile_self(profile, 0, i);
    ck_assert_int_gt(sums[FRAME_JAVASCRIPT], 0);
    _cleanup_free_ char *expected =
        xasprintf("%" PRIu64 " %" PRId64 " %" PRId64 " %" PRId64 " %zu\n", profile->samples.count,
                  sums[FRAME_JAVASCRIPT], sums[FRAME_GC], sums[FRAME_IDLE], profile->nodes.count);
    check_with_node("let s = { js: 0, gc: 0, idle: 0 };\n"
                    "for (const n of p.nodes) { const f = n.callFrame;\n"
                    "  const k = f.url ? 'js' : f.functionName === '(garbage collector)' ? 'gc'\n"
                    "    : f.functionName === '(idle)' ? 'idle' : 'other';\n"
                    "  s[k] += n.hitCount; }\n"
                    "console.log(p.samples.length, s.js, s.gc, s.idle, p.nodes.length);\n",
                    expected);
    check_round_trip(profile, (struct write_options){WRITE_THREADS_ALL, 0});
    scratch_leave();
}
END_TEST

/* --- bad files --- */

static void check_refused(const char *text, const char *reason)
{
    struct profile *profile = NULL;
    struct error err = {0};
    ck_assert_msg(cpuprofile_read(text, strlen(text), "x", &profile, &err) == -1, "read %s", text);
    ck_assert_ptr_null(profile);
    ck_assert_msg(strstr(err.text, reason) != NULL, "'%s' for %s", err.text, text);
}

#define ROOT(children) "{\"nodes\":[{\"id\":1," META("(root)") ",\"children\":[" children "]}"
#define NODE(id, rest) ",{\"id\":" #id "," META("f") rest "}"

START_TEST(unsound_trees_are_refused)
{
    check_refused(ROOT("2") "]}", "a child that is not there (node 1) at offset 10");
    check_refused(ROOT("1") "]}", "no root");
    check_refused(ROOT("2") NODE(2, "") NODE(2, "") "]}", "two nodes with one id");
    check_refused(ROOT("2,3") NODE(2, ",\"children\":[3]") NODE(3, "") "]}", "two parents");
    check_refused(ROOT("") NODE(2, "") "]}", "a second node without a parent");
    check_refused(ROOT("") NODE(2, ",\"children\":[3]") NODE(3, ",\"children\":[2]") "]}",
                  "its own ancestor");
    check_refused(ROOT("") NODE(2, ",\"parent\":9") "]}", "a parent that is not there");
    check_refused("{\"nodes\":[]}", "no nodes");
    check_refused("{\"nodes\":[{" META("f") "}]}", "without an id");
    check_refused(ROOT("") "],\"nodes\":[]}", "second array of nodes");
}
END_TEST

START_TEST(unsound_samples_are_refused)
{
    check_refused(ROOT("") "],\"samples\":[1,1],\"timeDeltas\":[1]}", "differ in number");
    check_refused(ROOT("") "],\"samples\":[1],\"timeDeltas\":[1,1]}", "differ in number");
    check_refused(ROOT("") "],\"samples\":[2],\"timeDeltas\":[1]}", "a sample of a node");
    check_refused(ROOT("") "],\"samples\":[1]}", "no timeDeltas");
    check_refused(ROOT("") "],\"samples\":[\"1\"],\"timeDeltas\":[1]}", "expected a number");
    check_refused(ROOT("") "],\"samples\":[[1]],\"timeDeltas\":[1]}", "expected");
}
END_TEST

START_TEST(unsound_extensions_are_refused)
{
    check_refused(ROOT("") "],\"memprof\":{\"schema\":2}}", "newer memprof");
    check_refused(ROOT("") "],\"memprof\":{\"classes\":[[1,5,0]]}}", "a module that is not there");
    check_refused(ROOT("") "],\"memprof\":{\"classes\":[[99,0,0]]}}", "out of range");
    check_refused(ROOT("") "],\"memprof\":{\"classes\":[[1]]}}", "too short");
    check_refused(ROOT("") "],\"memprof\":{\"modules\":[{}],\"classes\":[[1,0,0,9]]}}",
                  "out of range");
    check_refused(ROOT("") "],\"memprof\":{\"calls\":[[1,2]]}}", "too short");
    check_refused(ROOT("") "],\"memprof\":{\"calls\":[[1,-2,3]]}}", "out of range");
    check_refused(ROOT("") "],\"memprof\":{\"calls\":[[7,2,3]]}}",
                  "a call of a node that is not there");
    check_refused(ROOT("") "],\"memprof\":{\"nodeClasses\":[0]}}", "nodeClasses");
    check_refused(ROOT("") "],\"memprof\":{\"events\":[[1,1,\"gc\",7]]}}", "an event of a node");
    check_refused(ROOT("") "],\"memprof\":{\"self\":[[1,-5]]}}", "fewer than no ticks");
    check_refused(ROOT("") "],\"samples\":[1],\"timeDeltas\":[1],\"memprof\":{"
                           "\"threads\":[{\"tid\":1}],\"sampleThreads\":[3,1]}}",
                  "a thread that is not there");
    check_refused(ROOT("") "],\"samples\":[1],\"timeDeltas\":[1],\"memprof\":{"
                           "\"threads\":[{\"tid\":1}],\"sampleThreads\":[]}}",
                  "fewer threads");
    check_refused(ROOT("") "],\"memprof\":{\"series\":[{\"times\":[1],\"values\":[]}]}}",
                  "differ in number");
}
END_TEST

START_TEST(deep_trees_are_bounded)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    int depth = 70000;
    fprintf(stream, "{\"nodes\":[");
    for (int i = 1; i <= depth; i++)
        fprintf(stream, "%s{\"id\":%d,\"callFrame\":{},\"parent\":%d}", i > 1 ? "," : "", depth - i,
                depth - i + 1);
    fprintf(stream, ",{\"id\":%d,\"callFrame\":{}}]}", depth);
    fclose(stream);
    check_refused(text, "deeper than 65536");
    free(text);
}
END_TEST

/* Cut anywhere, in memory that ends where the text does. */
START_TEST(truncated_files_are_refused_at_every_byte)
{
    scratch_enter();
    struct profile *profile = rich_profile(3, 60);
    _cleanup_free_ char *text = write_profile(profile, (struct write_options){0});
    size_t whole = strlen(text) - 1; /* without the newline */
    ck_assert_uint_gt(whole, 2000);
    for (size_t length = 0; length < whole; length++) {
        char *copy = xmalloc(length);
        memcpy(copy, text, length);
        struct profile *back = NULL;
        struct error err = {0};
        ck_assert_msg(cpuprofile_read(copy, length, "x", &back, &err) == -1, "at %zu", length);
        ck_assert_ptr_null(back);
        ck_assert_uint_gt(strlen(err.text), 0);
        free(copy);
    }
    profile_free(profile);
    scratch_leave();
}
END_TEST

START_TEST(the_file_is_small)
{
    scratch_enter();
    /* A minute at 999 Hz: the tree is small here, so this is the cost of the sequence. */
    struct profile *profile = rich_profile(4, 60000);
    _cleanup_free_ char *text = write_profile(profile, (struct write_options){0});
    ck_assert_uint_lt(strlen(text), 60000 * 15);
    profile_free(profile);
    scratch_leave();
}
END_TEST

UNIT_MAIN("cpuprofile", what_is_written_reads_back, profiles_without_samples_read_back,
          a_thread_that_is_not_there_is_an_error, tiers_are_nodes_of_their_own,
          other_readers_find_a_sound_tree, nothing_is_charged_for_sleeping,
          kinds_are_told_by_name_and_url, ticks_come_from_samples_without_hit_counts,
          a_file_of_node_has_the_totals_that_node_counts, unsound_trees_are_refused,
          unsound_samples_are_refused, unsound_extensions_are_refused, deep_trees_are_bounded,
          truncated_files_are_refused_at_every_byte, the_file_is_small)
