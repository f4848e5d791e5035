#include "output/json.h"

#include "core/limits.h"
#include "output/escape.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"
#include "tests/unit/written.h"

#include <math.h>
#include <string.h>

/* Reads a text of one value with json_skip; the text lies at the end of its memory. */
static bool accepts(const char *text, struct error *err)
{
    size_t length = strlen(text);
    char *copy = xmalloc(length);
    memcpy(copy, text, length);
    struct json json;
    json_init(&json, copy, length, "x", err);
    bool good = json_skip(&json) && json_finish(&json);
    ck_assert(good != json.failed);
    free(copy);
    return good;
}

START_TEST(the_grammar_is_that_of_rfc_8259)
{
    static const char *const good[] = {"0",
                                       "-0",
                                       "12",
                                       "1.5",
                                       "-1.5e3",
                                       "1E+2",
                                       "1e-2",
                                       "\"\"",
                                       "\"a\\u00e9\\n\"",
                                       "true",
                                       "false",
                                       "null",
                                       "[]",
                                       "{}",
                                       "[1,2]",
                                       " [ 1 , [ ] , { } ] ",
                                       "{\"a\":{\"b\":[1]},\"c\":2}",
                                       "123456789012345678901234567890",
                                       "[[[[]]],{\"a\":[{}]}]",
                                       "\"\\\"\\\\\""};
    static const char *const bad[] = {
        "",          " ",          "01",          "-",         "+1",
        ".5",        "1.",         "1e",          "1.e3",      "nul",
        "tru",       "nan",        "\"",          "\"\\\"",    "\"a\nb\"",
        "[",         "[1",         "[1,",         "[1,]",      "[,1]",
        "[1 2]",     "{",          "{\"a\"",      "{\"a\":",   "{\"a\":1",
        "{\"a\":1,", "{\"a\":1,}", "{a:1}",       "{\"a\" 1}", "{1:2}",
        "]",         "}",          "[}",          "{]",        "[1}",
        "1 2",       "[]]",        "'a'",         "--1",       "0x1",
        "\"\\",      "\"\\u12\"",  "\"\\uzzzz\"", "\"\\x\"",   "\"\\u00e"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(accepts(good[i], NULL), "refused %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!accepts(bad[i], NULL), "accepted %s", bad[i]);
}
END_TEST

START_TEST(an_error_names_the_file_and_the_offset)
{
    struct error err = {0};
    ck_assert(!accepts("[1,2,x]", &err));
    ck_assert_str_eq(err.text, "x: expected a value at offset 5");
    ck_assert_int_eq(err.code, ERROR_FORMAT);
}
END_TEST

START_TEST(numbers_have_their_values)
{
    static const struct {
        const char *text;
        int64_t integer;
        double number;
    } cases[] = {
        {"0", 0, 0},
        {"-7", -7, -7},
        {"1.9", 1, 1.9},
        {"-1.9", -1, -1.9},
        {"1e3", 1000, 1000},
        {"999999999999999999", 999999999999999999, 1e18},
        {"9223372036854775807", INT64_MAX, 0x1p63},
        {"1e300", INT64_MAX, 1e300},
        {"-1e300", INT64_MIN, -1e300},
        {"9007199254740993", 9007199254740993, 9007199254740992.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json json;
        int64_t integer = 0;
        double number = 0;
        json_init(&json, cases[i].text, strlen(cases[i].text), "x", NULL);
        ck_assert(json_integer(&json, &integer) && json_finish(&json));
        ck_assert_int_eq(integer, cases[i].integer);
        json_init(&json, cases[i].text, strlen(cases[i].text), "x", NULL);
        ck_assert(json_number(&json, &number) && json_finish(&json));
        ck_assert_double_eq(number, cases[i].number);
    }
}
END_TEST

/* The fast way of json_next_integer against json_array_next + json_integer, at every length. */
START_TEST(the_fast_integers_are_the_slow_ones)
{
    static const char text[] = "[0,-1,22,  333 ,4444,-55555,666666666666666666,"
                               "7777777777777777777,8.5,9e2,10,11,12,13,14,15,16,17,18,19]";
    for (size_t length = 1; length < sizeof text; length++) {
        struct json fast, slow;
        json_init(&fast, text, length, "x", NULL);
        json_init(&slow, text, length, "x", NULL);
        ck_assert(json_array_begin(&fast) && json_array_begin(&slow));
        for (bool more = true; more;) {
            int64_t a = 0, b = 0;
            more = json_next_integer(&fast, &a);
            ck_assert_int_eq(more, json_array_next(&slow) && json_integer(&slow, &b));
            ck_assert_int_eq(a, b);
        }
        ck_assert_int_eq(fast.failed, slow.failed);
        ck_assert_int_eq(fast.failed, length < sizeof text - 1);
    }
}
END_TEST

START_TEST(strings_are_unescaped)
{
    static const struct {
        const char *raw, *text;
    } cases[] = {
        {"plain", "plain"},
        {"a\\\"b\\\\c\\/d", "a\"b\\c/d"},
        {"\\b\\f\\n\\r\\t", "\b\f\n\r\t"},
        {"\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac"},
        {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
        {"\\ud83d", "\xef\xbf\xbd"},
        {"\\ude00x", "\xef\xbf\xbdx"},
        {"\\ud83d\\u0041", "\xef\xbf\xbd"
                           "A"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_string string = {cases[i].raw, strlen(cases[i].raw), true};
        char buffer[64];
        size_t length = json_unescape(&string, buffer, sizeof buffer);
        ck_assert_str_eq(buffer, cases[i].text);
        ck_assert_uint_eq(length, strlen(cases[i].text));
        ck_assert_uint_le(length, string.length);
        for (size_t size = 1; size < length; size++)
            ck_assert_uint_lt(json_unescape(&string, buffer, size), size);
    }
}
END_TEST

START_TEST(keys_match_with_escapes)
{
    static const char text[] = "{\"\\u0069d\":1,\"id\":2,\"ids\":3}";
    struct json json;
    struct json_string key;
    int matches = 0;
    json_init(&json, text, strlen(text), "x", NULL);
    ck_assert(json_object_begin(&json));
    while (json_object_next(&json, &key)) {
        matches += json_key_is(&key, "id");
        json_skip(&json);
    }
    ck_assert(json_finish(&json));
    ck_assert_int_eq(matches, 2);
}
END_TEST

START_TEST(nesting_is_bounded)
{
    size_t depth = LIMIT_JSON_DEPTH;
    char *text = xmalloc(2 * depth + 3);
    memset(text, '[', depth + 1);
    memset(text + depth + 1, ']', depth + 1);
    text[2 * depth + 2] = 0;
    struct error err = {0};
    ck_assert(!accepts(text, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "deeply"));
    text[2 * depth + 1] = 0;
    ck_assert(accepts(text + 1, NULL));
    free(text);
}
END_TEST

static char *as_json(const char *text)
{
    struct output_file file = written_open();
    json_write_string(&file, text);
    return written_text(&file);
}

START_TEST(written_strings_read_back)
{
    char every[256];
    for (int i = 1; i < 128; i++)
        every[i - 1] = (char)i;
    strcpy(every + 127, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"\\");
    scratch_enter();
    _cleanup_free_ char *text = as_json(every);
    struct json json;
    struct json_string string;
    char back[256];
    json_init(&json, text, strlen(text), "x", NULL);
    ck_assert(json_string_read(&json, &string) && json_finish(&json));
    json_unescape(&string, back, sizeof back);
    ck_assert_str_eq(back, every);
    scratch_leave();
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_replaced)
{
    scratch_enter();
    _cleanup_free_ char *stray = as_json("a\xff z\xc3(\xed\xa0\x80\xc0\x80\xf5");
    ck_assert_str_eq(stray, "\"a\xef\xbf\xbd z\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    scratch_leave();
}
END_TEST

START_TEST(terminals_are_not_steered)
{
    scratch_enter();
    struct output_file file = written_open();
    output_escaped(&file, "a\033[31m\tb\nc\x7f\xc2\x9b\xe2\x80\xae\xff\xc3\xa9");
    _cleanup_free_ char *text = written_text(&file);
    ck_assert_str_eq(text, "a\\x1b[31m\\tb\\nc\\x7f\\x9b\\u{202e}\\xff\xc3\xa9");
    scratch_leave();
}
END_TEST

START_TEST(an_output_appears_whole_or_not_at_all)
{
    scratch_enter();
    struct error err = {0};
    struct output_file file;
    ck_assert_int_eq(output_file_open("out", &file, &err), 0);
    output_text(&file, "half");
    ck_assert_int_ne(access("out", F_OK), 0);
    output_file_release(&file);
    ck_assert_int_eq(system("test -z \"$(ls -A)\""), 0);
    ck_assert_int_eq(output_file_open("out", &file, &err), 0);
    for (int i = 0; i < 100000; i++)
        output_unsigned(&file, (uint64_t)i);
    ck_assert_int_eq(output_file_commit(&file, &err), 0);
    output_file_release(&file);
    ck_assert_int_eq(system("test \"$(ls -A)\" = out"), 0);
    ck_assert_int_eq(system("test $(stat -c %s-%a out) = 488890-600"), 0);
    ck_assert_int_eq(output_file_open("missing/out", &file, &err), -1);
    ck_assert_int_eq(err.code, ERROR_GONE);
    scratch_leave();
}
END_TEST

START_TEST(a_full_device_is_told_and_not_replaced)
{
    struct error err = {0};
    struct output_file file;
    ck_assert_int_eq(output_file_open("/dev/full", &file, &err), 0);
    output_text(&file, "x");
    ck_assert_int_eq(output_file_commit(&file, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "No space left"));
    output_file_release(&file);
    ck_assert_int_eq(system("test -c /dev/full"), 0);
}
END_TEST

UNIT_MAIN("json", the_grammar_is_that_of_rfc_8259, an_error_names_the_file_and_the_offset,
          numbers_have_their_values, the_fast_integers_are_the_slow_ones, strings_are_unescaped,
          keys_match_with_escapes, nesting_is_bounded, written_strings_read_back,
          bytes_that_are_not_utf8_are_replaced, terminals_are_not_steered,
          an_output_appears_whole_or_not_at_all, a_full_device_is_told_and_not_replaced)
