#include "output/v8log.h"

#include "core/v8_name.h"
#include "tests/unit/rows_of.h"
#include "tests/unit/unit.h"

#define HEAD "v8-version,11,3,244,8,-node.38,0\n"
#define LIBC "shared-library,/lib/libc.so.6,0x7f0000000000,0x7f0000200000,0\n"
#define FIB "code-creation,JS,13,100,0x1000,256,fib /srv/app.js:3:13,0x9000,*\n"

static void expect_name(const char *text, enum code_tier tier, const char *function,
                        const char *file, uint32_t line, uint32_t column)
{
    struct strings strings = {0};
    strings_intern(&strings, "");
    struct frame frame = v8_name_frame(&strings, text, strlen(text));
    ck_assert_str_eq(strings_get(&strings, frame.function), function);
    ck_assert_str_eq(strings_get(&strings, frame.file), file);
    ck_assert_uint_eq(frame.line, line);
    ck_assert_uint_eq(frame.column, column);
    ck_assert_int_eq(frame.kind, FRAME_JAVASCRIPT);
    ck_assert_int_eq(frame.tier, tier);
    strings_release(&strings);
}

START_TEST(names_of_functions)
{
    expect_name("*fib /srv/app.js:3:13", TIER_OPTIMIZED, "fib", "/srv/app.js", 3, 13);
    expect_name("~ /srv/my app/app.js:3:13", TIER_INTERPRETED, "", "/srv/my app/app.js", 3, 13);
    expect_name("^get size node:internal/url:7:1", TIER_BASELINE, "get size", "node:internal/url",
                7, 1);
    expect_name("+f file:///a b.mjs:1:2", TIER_MAGLEV, "f", "file:///a b.mjs", 1, 2);
    expect_name("g evalmachine.<anonymous>:5", TIER_NONE, "g", "evalmachine.<anonymous>", 5, 0);
    expect_name("*f [worker eval]:1:18", TIER_OPTIMIZED, "f", "[worker eval]", 1, 18);
    expect_name("get [Symbol.x] [eval]:1:18", TIER_NONE, "get [Symbol.x]", "[eval]", 1, 18);
    expect_name("get [Symbol.x] node:url:1:18", TIER_NONE, "get [Symbol.x]", "node:url", 1, 18);
    expect_name("h :5:6", TIER_NONE, "h", "", 5, 6);
    expect_name("noPlace", TIER_NONE, "noPlace", "", 0, 0);
    expect_name("f /a.js:99999999999:3", TIER_NONE, "f", "/a.js:99999999999", 3, 0);
    expect_name("", TIER_NONE, "", "", 0, 0);
    expect_name("*", TIER_OPTIMIZED, "", "", 0, 0);
    expect_name(":1:2", TIER_NONE, "", "", 1, 2);
    expect_name("+'f /a.js:1:2", TIER_MAGLEV, "f", "/a.js", 1, 2);
}
END_TEST

START_TEST(ticks_of_compiled_code)
{
    struct profile *profile =
        read_text(v8log_read,
                  HEAD LIBC "profiler,begin,500\n" FIB
                            "code-creation,JS,11,110,0x2000,64, /srv/app.js:1:1,0x9100,~\n"
                            "tick,0x1010,5000,0,0x0,0,0x1020,0x2004\n"
                            "tick,0x10ff,5500,0,0x0,0,+0x10,-0x1000\n"
                            "tick,0x1100,6000,0,0x0,0\n"
                            "profiler,end\n",
                  "/tmp/isolate-0x55d0-4242-v8.log");
    char *rows = rows_of(profile);
    ck_assert_str_eq(rows, "1 j:~@/srv/app.js;j:*fib@/srv/app.js;j:*fib@/srv/app.js\n"
                           "1 j:*fib@/srv/app.js\n"
                           "1 ?:+0\n");
    free(rows);
    ck_assert_uint_eq(profile->meta.pid, 4242);
    ck_assert_uint_eq(profile->meta.period_us, 500);
    ck_assert_uint_eq(profile->meta.end_us, 6000);
    ck_assert_str_eq(profile_string(profile, profile->meta.tool), "V8 11.3.244.8-node.38");
    ck_assert_str_eq(profile_string(profile, profile->meta.command), "/lib/libc.so.6");
    ck_assert_uint_eq(profile->quality.samples, 3);
    ck_assert_uint_eq(profile->quality.note, 0);
    ck_assert_uint_eq(profile->threads.items[0].ticks, 3);
    ck_assert_uint_eq(profile->samples.count, 3);
    profile_free(profile);
}
END_TEST

START_TEST(native_code_and_who_called_it)
{
    expect_rows(v8log_read,
                HEAD LIBC FIB
                "shared-library,/usr/bin/node,0x400000,0xb71000,0\n"
                "shared-library,/usr/bin/node,0x400000,0x25fe000,0\n"
                /* the function that JavaScript called, while it runs something else */
                "tick,0x7f0000001234,1000,1,0xb80000,6,0x1010\n"
                /* the top of the stack lies in JavaScript: no frame yet */
                "tick,0x7f0000001234,2000,0,0x1080,0\n"
                /* it lies elsewhere */
                "tick,0x7f0000001234,3000,0,0x7f0000000010,0,0x1010\n"
                /* past the last mapping */
                "tick,0x7f0000200000,4000,0,0x0,0\n",
                "1 j:*fib@/srv/app.js;n:/usr/bin/node+780000;n:/lib/libc.so.6+1234\n"
                "2 j:*fib@/srv/app.js;n:/lib/libc.so.6+1234\n"
                "1 ?:+0\n");
}
END_TEST

START_TEST(collections_and_waiting)
{
    expect_rows(v8log_read,
                HEAD LIBC FIB "tick,0x7f0000001234,1000,0,0x0,1\n"
                              "tick,0x7f0000001234,2000,0,0x0,1,0x1010\n"
                              "tick,0x7f0000001234,3000,0,0x0,8,0x1010\n"
                              "tick,0x7f0000001234,4000,0,0x0,7\n",
                "1 g:(garbage collector)\n"
                "1 j:*fib@/srv/app.js;g:(garbage collector)\n"
                "2 i:(idle)\n");
}
END_TEST

START_TEST(code_moves_and_goes)
{
    expect_rows(v8log_read,
                HEAD FIB "code-move,0x1000,0x1080\n"
                         "tick,0x1090,1000,0,0x0,0\n"
                         "tick,0x1010,1100,0,0x0,0\n"
                         /* other code takes part of its place: it is gone */
                         "code-creation,JS,13,100,0x1100,8,g /srv/app.js:9:1,0x9000,^\n"
                         "tick,0x1090,1200,0,0x0,0\n"
                         "tick,0x1104,1300,0,0x0,0\n"
                         "code-delete,0x1100\n"
                         "tick,0x1104,1400,0,0x0,0\n"
                         "code-move,0x1100,0x1\n"
                         "code-delete,0x77\n",
                "1 j:*fib@/srv/app.js\n"
                "3 ?:+0\n"
                "1 j:^g@/srv/app.js\n");
}
END_TEST

START_TEST(the_runtimes_own_code)
{
    expect_rows(v8log_read,
                HEAD FIB
                "code-creation,Builtin,2,90,0x4000,100,ArrayMap\n"
                "code-creation,BytecodeHandler,2,90,0x5000,100,LdaZero\n"
                "code-creation,RegExp,4,90,0x6000,64,(a\\x2Cb)\\\\n\\n\\u00e9\\ud83d\\ude00\n"
                /* a handler stands for the function that it interprets */
                "tick,0x5010,1000,0,0x0,0,0x1010\n"
                "tick,0x5010,1100,0,0x0,0\n"
                "tick,0x4010,1200,0,0x0,0,0x5010,0x1010\n"
                "tick,0x6010,1300,0,0x0,0\n",
                "1 j:*fib@/srv/app.js\n"
                "1 r:BytecodeHandler: LdaZero\n"
                "1 j:*fib@/srv/app.js;r:Builtin: ArrayMap\n"
                "1 r:RegExp: (a,b)\\n\n\303\251\360\237\230\200\n");
}
END_TEST

/* V8 11 runs its builtins from a copy that the log does not tell of. */
START_TEST(builtins_that_were_copied)
{
    static const char log[] = HEAD "shared-library,/usr/bin/node,0x400000,0x25fe000,0\n"
                                   "new,CodeRange,0x7f8c88000000,0\n"
                                   "code-creation,Builtin,2,1,0x18c4000,768,First\n"
                                   "code-creation,Builtin,2,1,0x18c4340,1646456,Last\n"
                                   "tick,0x7f8ca7e40010,1000,0,0x0,0\n"
                                   "tick,0x7f8ca7fd22b7,1100,0,0x0,0\n"
                                   "tick,0x7f8ca7fd22b8,1200,0,0x0,0\n"
                                   "tick,0x7f8ca7e3ffff,1300,0,0x0,0\n"
                                   "tick,0x18c4010,1400,0,0x0,0\n";
    expect_rows(v8log_read, log, "2 r:Builtin: First\n1 r:Builtin: Last\n2 ?:+0\n");
}
END_TEST

START_TEST(malformed_lines_are_counted)
{
    struct profile *profile = read_text(v8log_read,
                                        HEAD FIB "tick,0x1010,1000,0,0x0,0,0x10zz,0x1010\n"
                                                 "tick,0x1010,1000,0,0x0\n"
                                                 "tick,1010h,1000,0,0x0,0\n"
                                                 "tick,0x11111111111111111,1000,0,0x0,0\n"
                                                 "code-creation,JS,13\n"
                                                 "code-move,1\n"
                                                 "\n"
                                                 "unheard-of,line\n"
                                                 "tick,0x1010,1100,0,0x0,0,overflow\n"
                                                 "tick,0x1010,1200,0,0x0,0,0x10",
                                        "v8.log");
    ck_assert_uint_eq(profile->quality.samples, 2);
    ck_assert_uint_eq(profile->quality.broken, 1);
    ck_assert_uint_eq(profile->quality.lost, 1);
    ck_assert_str_eq(profile_string(profile, profile->quality.note),
                     "7 malformed lines of the log were passed over");
    ck_assert_uint_eq(profile->meta.pid, 0);
    profile_free(profile);
}
END_TEST

START_TEST(deep_stacks_are_cut_and_told)
{
    char *log = xstrdup(HEAD FIB "tick,0x1010,1000,0,0x0,0");
    for (int i = 0; i < 2000; i++) {
        char *longer = xasprintf("%s,0x1010", log);
        free(log);
        log = longer;
    }
    char *line = xasprintf("%s\n", log);
    struct profile *profile = read_text(v8log_read, line, "v8.log");
    ck_assert_uint_eq(profile->quality.truncated, 1);
    ck_assert_uint_eq(profile->nodes.count, 513);
    profile_free(profile);
    free(line);
    free(log);
}
END_TEST

START_TEST(what_is_a_log)
{
    ck_assert(v8log_matches(HEAD, sizeof HEAD - 1));
    ck_assert(v8log_matches("tick,0x1,2,0,0x0,0\n", 19));
    ck_assert(!v8log_matches("tick", 4));
    ck_assert(!v8log_matches("{\"nodes\":[", 10));
    ck_assert(!v8log_matches("", 0));
}
END_TEST

UNIT_MAIN("v8log", names_of_functions, ticks_of_compiled_code, native_code_and_who_called_it,
          collections_and_waiting, code_moves_and_goes, the_runtimes_own_code,
          builtins_that_were_copied, malformed_lines_are_counted, deep_stacks_are_cut_and_told,
          what_is_a_log)
