#include "output/perf_script.h"

#include "tests/unit/rows_of.h"
#include "tests/unit/unit.h"

#define FRAMES \
    "\t    7f01 price(int)+0x92 (/srv/my app/orders)\n\t    7f02 main+0x1 (/srv/my app/orders)\n"
#define STACK "n:main /srv/my app/orders;n:price(int) /srv/my app/orders\n"

/* One head in front of a stack: who, when, how long. */
static void expect_head(const char *head, uint32_t pid, uint32_t tid, const char *name,
                        uint64_t time_us, const char *sampler)
{
    char *text = xasprintf("%s\n" FRAMES "\n", head);
    ck_assert_msg(perf_script_matches(text, strlen(text)), "%s", head);
    struct profile *profile = read_text(perf_script_read, text, "text");
    char *rows = rows_of(profile);
    ck_assert_str_eq(rows, "1 " STACK);
    ck_assert_uint_eq(profile->threads.count, 1);
    const struct thread *thread = &profile->threads.items[0];
    ck_assert_uint_eq(thread->pid, pid);
    ck_assert_uint_eq(thread->tid, tid);
    ck_assert_uint_eq(thread->ticks, 1);
    ck_assert_str_eq(profile_string(profile, thread->name), name);
    ck_assert_uint_eq(profile->meta.end_us, time_us);
    ck_assert_str_eq(profile_string(profile, profile->quality.sampler), sampler);
    free(rows);
    profile_free(profile);
    free(text);
}

START_TEST(heads_of_all_fields)
{
    expect_head("orders 20457   709.570895:    2004008 cpu-clock: ", 0, 20457, "orders", 709570895,
                "perf cpu-clock");
    expect_head("orders 20457/20458 [001]   709.570895:    2004008 cycles:u: ", 20457, 20458,
                "orders", 709570895, "perf cycles:u");
    expect_head("my prog 12 20457 [001] d..2.   709.570895123: cpu-clock: ", 0, 20457, "my prog 12",
                709570895, "perf cpu-clock");
    expect_head("orders 20457/20458   709.5: ", 20457, 20458, "orders", 709500000, "perf");
    expect_head("709.000001: ", 0, 0, "", 709000001, "perf");
    expect_head("20457/20458   709.000001: ", 20457, 20458, "", 709000001, "perf");
    expect_head("orders 20457 ", 0, 20457, "orders", 0, "perf");
    expect_head("Web 12 Worker 20457 [003] ", 0, 20457, "Web 12 Worker", 0, "perf");
    expect_head("orders 20457 [003] 99 cycles: ", 0, 20457, "orders", 0, "perf cycles");
    expect_head("orders 20457 cycles:ppp: ", 0, 20457, "orders", 0, "perf cycles:ppp");
    expect_head("orders    -1/-1     709.570895:  1 cpu-clock: ", 0, 0, "orders", 709570895,
                "perf cpu-clock");
}
END_TEST

START_TEST(frames_of_all_kinds)
{
    expect_rows(perf_script_read,
                "a 1/2   7.5:    1000000 cpu-clock:u: \n"
                "\tffffffff815a6522 filemap_get_entry+0x92 ([kernel.kallsyms])\n"
                "\t           12345 nft_do_chain+0x10 ([nf_tables])\n"
                "\t           12345 ip_rcv ([kernel.vmlinux])\n"
                "\t     7ffc00001000 __vdso_gettime+0x4 ([vdso])\n"
                "\t             e2bc price(int, (anonymous namespace)::Order const&) (inlined)\n"
                "\t             e2bc operator() (inlined)\n"
                "\t             e2bc main+0x1e79 (/srv/orders (deleted))\n"
                "\t             99bc strayed (inlined)\n"
                "\t     7f0000000000 [unknown] (/usr/lib/libz.so.1)\n"
                "\t     7f0000000001 [unknown] ([unknown])\n"
                "\t     7f0000000002 foo(int)+0x1\n"
                "\t     7f0000000003 foo(int)\n"
                "\t     7f0000000004\n"
                "\t     55d000000000 JS:*fib /srv/app.js:3:13+0x20 (/tmp/perf-1.map)\n"
                "\t     55d000000001 Builtin:ArrayMap (/tmp/perf-1.map)\n",
                "1 n:Builtin:ArrayMap /tmp/perf-1.map;j:*fib@/srv/app.js;?:+0;n:foo(int);"
                "n:foo(int);?:+0;n:/usr/lib/libz.so.1+0;n:strayed;n:main /srv/orders (deleted);"
                "n:operator() /srv/orders (deleted);"
                "n:price(int, (anonymous namespace)::Order const&) /srv/orders (deleted);"
                "n:__vdso_gettime [vdso];k:ip_rcv [kernel];k:nft_do_chain [nf_tables];"
                "k:filemap_get_entry [kernel]\n");
}
END_TEST

START_TEST(samples_without_call_chains)
{
    expect_rows(perf_script_read,
                "          orders 20457   709.570895: cpu-clock:  ffffffff815a6522 "
                "filemap_get_entry ([kernel.kallsyms])\n"
                "          orders 20457   709.575021:    2004008 cpu-clock:      7f9dba1408ff "
                "std::f<a b> (/usr/lib/libapp.so)\n"
                "          dead 20457   709.575022:    2004008 cpu-clock:      7f9dba1408ff "
                "g (/usr/lib/libapp.so)\n",
                "1 k:filemap_get_entry [kernel]\n"
                "1 n:std::f<a b> /usr/lib/libapp.so\n"
                "1 n:g /usr/lib/libapp.so\n");
}
END_TEST

START_TEST(other_lines_are_passed_over)
{
    static const char text[] =
        "# ========\n# captured on    : Tue Nov 24 06:12:34 2026\n# cmdline : perf record 1.5: x:\n"
        "a 1 0.000000: PERF_RECORD_COMM exec: a:1/1\n"
        "a 1 7.5: 1000000 cpu-clock: \n" FRAMES "  orders.cpp:12\n"
        "\n"
        "a 1 7.6: PERF_RECORD_MMAP2 1/1: [0x4000(0x1000) @ 0 fe:00 1 2]: r-xp /a\n"
        "a 1 7.7: 1 sched:sched_switch: prev_comm=a prev_pid=1\n" FRAMES "\n"
        "a 1 7.8: 1000000 cpu-clock: \n"
        "\n"
        "swapper     0 [000]   7.9:    1000000 cpu-clock: \n" FRAMES;
    ck_assert(perf_script_matches(text, sizeof text - 1));
    struct profile *profile = read_text(perf_script_read, text, "text");
    char *rows = rows_of(profile);
    ck_assert_str_eq(rows, "1 " STACK "1 ?:+0\n1 i:(idle)\n");
    ck_assert_str_eq(profile_string(profile, profile->quality.note),
                     "1 samples of other events than cpu-clock left out");
    ck_assert_uint_eq(profile->quality.samples, 3);
    ck_assert_uint_eq(profile->meta.period_us, 1000);
    ck_assert_uint_eq(profile->meta.start_us, 7500000);
    ck_assert(!profile->meta.kernel);
    free(rows);
    profile_free(profile);
}
END_TEST

START_TEST(deep_stacks_are_cut_and_told)
{
    char *text = xstrdup("a 1 7.5: cpu-clock: \n");
    for (int i = 0; i < 600; i++) {
        char *longer = xasprintf("%s\t %x f%d (%s)\n", text, 1, i, i < 590 ? "inlined" : "/a");
        free(text);
        text = longer;
    }
    struct profile *profile = read_text(perf_script_read, text, "text");
    ck_assert_uint_eq(profile->quality.truncated, 1);
    ck_assert_uint_eq(profile->nodes.count, 513);
    profile_free(profile);
    free(text);
}
END_TEST

START_TEST(what_is_no_text_of_perf_script)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "hello world\n",
                                        "# only a comment\n",
                                        "{\"nodes\": 1}\n",
                                        "a b c\n\tzz y\n",
                                        "12\n34\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(!perf_script_matches(texts[i], strlen(texts[i])), "%s", texts[i]);
    struct text_lines lines = text_lines_of_memory("# nothing\n", 10, "empty.txt");
    struct profile *profile = NULL;
    struct error err = {0};
    ck_assert_int_eq(perf_script_read(&lines, &profile, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "empty.txt"));
}
END_TEST

UNIT_MAIN("perf_script", heads_of_all_fields, frames_of_all_kinds, samples_without_call_chains,
          other_lines_are_passed_over, deep_stacks_are_cut_and_told, what_is_no_text_of_perf_script)
