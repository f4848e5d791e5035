#include "cmd/options.h"

#include "cmd/options_scan.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct argp_option table[] = {
    {"output", 'o', "FILE", 0, "", 0},
    {"children", 1, NULL, 0, "", 0},
    {"kernel", 2, NULL, 0, "", 0},
    {"kernel-only", 3, NULL, 0, "", 0},
    {"maybe", 'm', "X", OPTION_ARG_OPTIONAL, "", 0},
    {0},
};
static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
static const struct argp parser = {.options = table, .children = children};

/* The line's arguments in one text, split at spaces; "" when nothing is wrong. */
static const char *wrong(const char *line, bool in_order)
{
    static struct error err;
    char copy[256];
    char *argv[32] = {"memprof test"};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    err = (struct error){0};
    int result = options_scan(&parser, argc, argv, in_order, &err);
    ck_assert_int_eq(result, *err.text ? -1 : 0);
    return err.text;
}

START_TEST(right_lines_pass)
{
    static const char *const lines[] = {"",
                                        "-o x",
                                        "-ox",
                                        "--output x",
                                        "--output=x",
                                        "--out x",
                                        "--output --children",
                                        "-qvo x",
                                        "--children -q a b --json",
                                        "--kernel",
                                        "--kernel-only",
                                        "--kernel-",
                                        "-m",
                                        "-mx",
                                        "--maybe --json",
                                        "--help",
                                        "-?",
                                        "--usage",
                                        "--color never -- --nonsense -Z",
                                        "-",
                                        "a - b"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(!*wrong(lines[i], false), "%s: %s", lines[i], wrong(lines[i], false));
    ck_assert_str_eq(wrong("-q command --nonsense -Z", true), "");
}
END_TEST

START_TEST(wrong_lines_say_what_is_wrong)
{
    ck_assert_str_eq(wrong("--childen", false),
                     "unknown option --childen; did you mean --children?");
    ck_assert_str_eq(wrong("a --jsno", false), "unknown option --jsno; did you mean --json?");
    ck_assert_str_eq(wrong("--colour=never", false),
                     "unknown option --colour; did you mean --color?");
    ck_assert_str_eq(wrong("--zzzzzzzz", false), "unknown option --zzzzzzzz");
    ck_assert_str_eq(wrong("-qZ", false), "unknown option -Z");
    ck_assert_str_eq(wrong("-o", false), "-o needs an argument (FILE)");
    ck_assert_str_eq(wrong("--output", false), "--output needs an argument (FILE)");
    ck_assert_str_eq(wrong("--json=1", false), "--json takes no argument");
    ck_assert_str_eq(wrong("--k", false), "--k is the beginning of more than one option");
}
END_TEST

START_TEST(durations_and_sizes_have_units)
{
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {{"90", 90000000},  {"1.5s", 1500000},  {"200ms", 200000}, {"5us", 5},
                {"2m", 120000000}, {"1h", 3600000000}, {".5", 500000}};
    static const char *const bad[] = {"",    "s",  "-1", "1x",    "nan",  "inf",   "0x10",
                                      "1 s", " 1", "0",  "1e400", "1e30", "1.5.2", "."};
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_int_eq(duration_parse(good[i].text, &value, NULL), 0);
        ck_assert_uint_eq(value, good[i].us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(duration_parse(bad[i], &value, NULL) == -1, "took '%s'", bad[i]);
    ck_assert_int_eq(size_parse("1.5M", &value, NULL), 0);
    ck_assert_uint_eq(value, 3 << 19);
    ck_assert_int_eq(size_parse("2G", &value, NULL), 0);
    ck_assert_uint_eq(value, (uint64_t)2 << 30);
    ck_assert_int_eq(size_parse("4096", &value, NULL), 0);
    ck_assert_uint_eq(value, 4096);
    ck_assert_int_eq(size_parse("12Q", &value, NULL), -1);
    ck_assert_int_eq(size_parse("99999999999T", &value, NULL), -1);
}
END_TEST

START_TEST(numbers_have_bounds)
{
    int64_t integer = 0;
    double number = 0;
    static const char *const bad[] = {
        "", "-", "1x", "1e9", " 1", "+1", "0", "51", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(integer_parse(bad[i], 1, 50, &integer, NULL) == -1, "took '%s'", bad[i]);
    ck_assert_int_eq(integer_parse("50", 1, 50, &integer, NULL), 0);
    ck_assert_int_eq(integer, 50);
    ck_assert_int_eq(number_parse("2.5", 0, 100, &number, NULL), 0);
    ck_assert_double_eq(number, 2.5);
    ck_assert_int_eq(number_parse("100.1", 0, 100, &number, NULL), -1);
    ck_assert_int_eq(number_parse("1%", 0, 100, &number, NULL), -1);
}
END_TEST

START_TEST(the_nearest_name_is_near)
{
    static const char *const names[] = {"record", "report", "watch"};
    ck_assert_str_eq(name_nearest("recrod", names, 3), "record");
    ck_assert_str_eq(name_nearest("repot", names, 3), "report");
    ck_assert_str_eq(name_nearest("watc", names, 3), "watch");
    ck_assert_ptr_null(name_nearest("frobnicate", names, 3));
    ck_assert_ptr_null(name_nearest("", names, 3));
    char longer[1000];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = 0;
    ck_assert_ptr_null(name_nearest(longer, names, 3));
}
END_TEST

START_TEST(the_table_has_all_options)
{
    static const struct argp_option own[] = {
        {NULL, 0, NULL, 0, "a heading", 1},
        {"output", 'o', "FILE", 0, "where to", 0},
        {"out-file", 'O', NULL, OPTION_ALIAS, NULL, 0},
        {"secret", 7, NULL, OPTION_HIDDEN, "", 0},
        {"not one", 0, NULL, OPTION_DOC, "only told of", 0},
        {0},
    };
    const struct argp argp = {.options = own, .children = children};
    _cleanup_(option_table_release) struct option_table table;
    option_table_build(&argp, &table);
    static const char *const names[] = {"help",  "usage",   "output", "out-file", "secret",
                                        "quiet", "verbose", "json",   "color"};
    ck_assert_uint_eq(table.options.count, sizeof names / sizeof *names);
    ck_assert_uint_eq(table.names.count, table.options.count);
    for (size_t i = 0; i < table.options.count; i++) {
        ck_assert_str_eq(table.options.items[i].name, names[i]);
        ck_assert_str_eq(table.names.items[i], names[i]);
        ck_assert_ptr_nonnull(table.options.items[i].doc);
    }
    const struct argp_option *alias = &table.options.items[3];
    ck_assert_int_eq(alias->key, 'O');
    ck_assert_str_eq(alias->arg, "FILE");
    ck_assert_str_eq(alias->doc, "where to");
    ck_assert_int_ne(table.options.items[4].flags & OPTION_HIDDEN, 0);
}
END_TEST

UNIT_MAIN("options", right_lines_pass, wrong_lines_say_what_is_wrong,
          durations_and_sizes_have_units, numbers_have_bounds, the_nearest_name_is_near,
          the_table_has_all_options)
