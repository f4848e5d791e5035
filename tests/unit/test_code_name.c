/*
 * Names as runtimes write them: from the maps of node 20, OpenJDK 17 and Python 3.12, and V8's
 * older tags.
 */
#include "symbolize/code_name.h"
#include "tests/unit/unit.h"

#include <string.h>

static void check_tier(const char *name, enum code_tier tier)
{
    struct code_name parts;
    code_name_parse(name, &parts);
    ck_assert_int_eq(parts.tier, tier);
}

static void check(const char *name, enum frame_kind kind, const char *function, const char *file,
                  uint32_t line, uint32_t column)
{
    struct code_name parts;
    code_name_parse(name, &parts);
    char *found_function = xstrndup(parts.function, parts.function_length);
    char *found_file = xstrndup(parts.file, parts.file_length);
    ck_assert_str_eq(found_function, function);
    ck_assert_str_eq(found_file, file);
    ck_assert_uint_eq(parts.line, line);
    ck_assert_uint_eq(parts.column, column);
    ck_assert_int_eq(parts.kind, kind);
    ck_assert_int_eq(parts.v8, kind != FRAME_NATIVE);
    free(found_function);
    free(found_file);
}

START_TEST(javascript_functions_have_a_place)
{
    check("JS:*fib /srv/app.js:3:13", FRAME_JAVASCRIPT, "fib", "/srv/app.js", 3, 13);
    check("JS:~nextPart node:fs:2653:31", FRAME_JAVASCRIPT, "nextPart", "node:fs", 2653, 31);
    check("LazyCompile:^go file:///srv/a.mjs:1:2", FRAME_JAVASCRIPT, "go", "file:///srv/a.mjs", 1,
          2);
    check("Function:+mid /a.js:10:1", FRAME_JAVASCRIPT, "mid", "/a.js", 10, 1);
    check("JS:*'closed /a.js:10:1", FRAME_JAVASCRIPT, "closed", "/a.js", 10, 1);
    check("Eval:~ node:internal/streams/from:1:1", FRAME_JAVASCRIPT, "",
          "node:internal/streams/from", 1, 1);
    check("Script:~ evalmachine.<anonymous>:1:1", FRAME_JAVASCRIPT, "", "evalmachine.<anonymous>",
          1, 1);
}
END_TEST

START_TEST(the_mark_is_the_tier)
{
    check_tier("JS:~f /a.js:1:1", TIER_INTERPRETED);
    check_tier("LazyCompile:^f /a.js:1:1", TIER_BASELINE);
    check_tier("JS:+'f /a.js:1:1", TIER_MAGLEV);
    check_tier("JS:*f /a.js:1:1", TIER_OPTIMIZED);
    check_tier("Script: /a.js:1:1", TIER_NONE);
    check_tier("*f", TIER_NONE);
    check_tier("Builtin:ArrayMap", TIER_NONE);
}
END_TEST

START_TEST(names_and_files_may_hold_spaces)
{
    check("JS:*get size /srv/my app/a b.js:7:9", FRAME_JAVASCRIPT, "get size", "/srv/my app/a b.js",
          7, 9);
    check("JS:~ /srv/my app/a.js:7:9", FRAME_JAVASCRIPT, "", "/srv/my app/a.js", 7, 9);
    check("JS:*a b c:7:9", FRAME_JAVASCRIPT, "a b", "c", 7, 9);
    check("JS:*only:7:9", FRAME_JAVASCRIPT, "only", "", 7, 9);
    check("JS:*fn :7:9", FRAME_JAVASCRIPT, "fn", "", 7, 9);
    check("JS:*fn /a.js:7", FRAME_JAVASCRIPT, "fn", "/a.js", 7, 0);
    check("JS:*'fn /a.js:7:9", FRAME_JAVASCRIPT, "fn", "/a.js", 7, 9);
    check("JS:*fn /a.js:1234567890123:1", FRAME_JAVASCRIPT, "fn", "/a.js:1234567890123", 1, 0);
}
END_TEST

START_TEST(what_is_no_place_is_part_of_the_name)
{
    check("JS:*fn", FRAME_JAVASCRIPT, "fn", "", 0, 0);
    check("JS:*fn /a.js::", FRAME_JAVASCRIPT, "fn /a.js::", "", 0, 0);
    check("JS:", FRAME_JAVASCRIPT, "", "", 0, 0);
    check("JS:*", FRAME_JAVASCRIPT, "", "", 0, 0);
    check("JS::1:1", FRAME_JAVASCRIPT, "", "", 1, 1);
    check("", FRAME_NATIVE, "", "", 0, 0);
}
END_TEST

START_TEST(code_of_v8_itself_keeps_its_tag)
{
    check("Builtin:ArrayMap", FRAME_RUNTIME, "Builtin:ArrayMap", "", 0, 0);
    check("BytecodeHandler:Add.Wide", FRAME_RUNTIME, "BytecodeHandler:Add.Wide", "", 0, 0);
    check("RegExp:([a-z]\\w*)@([a-z]+)\\.org|\\+(\\d+)", FRAME_RUNTIME,
          "RegExp:([a-z]\\w*)@([a-z]+)\\.org|\\+(\\d+)", "", 0, 0);
}
END_TEST

START_TEST(other_runtimes_names_are_as_they_are)
{
    check("int T.hot(int)", FRAME_NATIVE, "int T.hot(int)", "", 0, 0);
    check("Interpreter", FRAME_NATIVE, "Interpreter", "", 0, 0);
    check("py::hot:/srv/app.py", FRAME_NATIVE, "hot", "/srv/app.py", 0, 0);
    check("py::_find:<frozen importlib._bootstrap>", FRAME_NATIVE, "_find",
          "<frozen importlib._bootstrap>", 0, 0);
    check("py::", FRAME_NATIVE, "py::", "", 0, 0);
    check("py:::", FRAME_NATIVE, "py:::", "", 0, 0);
    check("JSON parser", FRAME_NATIVE, "JSON parser", "", 0, 0);
}
END_TEST

UNIT_MAIN("code_name", javascript_functions_have_a_place, the_mark_is_the_tier,
          names_and_files_may_hold_spaces, what_is_no_place_is_part_of_the_name,
          code_of_v8_itself_keeps_its_tag, other_runtimes_names_are_as_they_are)
