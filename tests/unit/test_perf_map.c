/*
 * Perf maps that grow, are written anew, and are not what they should be, in a memfd.
 */
#include "symbolize/perf_map.h"

#include "core/limits.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/mman.h>

struct fixture {
    int fd; /* for writing; the map has its own */
    struct perf_map *map;
    struct code_news news;
};

static struct fixture fixture_new(void)
{
    struct fixture fixture = {.fd = memfd_create("perf.map", MFD_CLOEXEC)};
    ck_assert_int_ge(fixture.fd, 0);
    fixture.map = perf_map_new(dup(fixture.fd));
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    perf_map_free(fixture->map);
    close(fixture->fd);
}

static void add_bytes(struct fixture *fixture, const char *text, size_t length)
{
    lseek(fixture->fd, 0, SEEK_END);
    ck_assert_int_eq(write(fixture->fd, text, length), (ssize_t)length);
}

static void add(struct fixture *fixture, const char *text)
{
    add_bytes(fixture, text, strlen(text));
    do
        perf_map_update(fixture->map, &fixture->news);
    while (fixture->news.behind);
}

static void check(struct fixture *fixture, uint64_t pc, const char *name)
{
    const char *found = perf_map_find(fixture->map, pc);
    if (name) {
        ck_assert_ptr_nonnull(found);
        ck_assert_str_eq(found, name);
    } else {
        ck_assert_ptr_null(found);
    }
}

START_TEST(lines_name_addresses)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "7f5bdc03b280 378 JS:~nextRandom /srv/mixed.js:10:20\n"
                  "0x00007f8be0ec7600 0x00000000000002d8 int T.hot(int)\n");
    ck_assert(fixture.news.added && !fixture.news.replaced && !fixture.news.behind);
    check(&fixture, 0x7f5bdc03b280, "JS:~nextRandom /srv/mixed.js:10:20");
    check(&fixture, 0x7f5bdc03b280 + 0x377, "JS:~nextRandom /srv/mixed.js:10:20");
    check(&fixture, 0x7f5bdc03b280 + 0x378, NULL);
    check(&fixture, 0x7f5bdc03b27f, NULL);
    check(&fixture, 0x7f8be0ec7600, "int T.hot(int)");
    perf_map_update(fixture.map, &fixture.news);
    ck_assert(!fixture.news.added && !fixture.news.replaced);
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_map_grows_by_parts_of_lines)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "1000 10 first\n20");
    check(&fixture, 0x1000, "first");
    check(&fixture, 0x2000, NULL);
    add(&fixture, "00 10 sec");
    ck_assert(!fixture.news.added);
    check(&fixture, 0x2000, NULL);
    add(&fixture, "ond\n");
    ck_assert(fixture.news.added && !fixture.news.replaced);
    check(&fixture, 0x2000, "second");
    check(&fixture, 0x1000, "first");
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_later_line_takes_the_place_of_an_earlier_one)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "1000 100 old\n");
    add(&fixture, "1080 10 new\n");
    ck_assert(fixture.news.replaced);
    check(&fixture, 0x107f, "old");
    check(&fixture, 0x1080, "new");
    check(&fixture, 0x1090, "old");
    add(&fixture, "1000 100 newest\n");
    check(&fixture, 0x1085, "newest");
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_map_written_anew_is_read_anew)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "1000 10 first\n2000 10 second\n");
    ck_assert_int_eq(ftruncate(fixture.fd, 0), 0);
    add(&fixture, "3000 10 third\n");
    ck_assert(fixture.news.replaced);
    check(&fixture, 0x1000, NULL);
    check(&fixture, 0x3000, "third");
    /* The same when it is longer than before by the time we look. */
    ck_assert_int_eq(ftruncate(fixture.fd, 0), 0);
    add(&fixture, "4000 10 a longer one\n5000 10 fifth\n");
    ck_assert(fixture.news.replaced);
    check(&fixture, 0x3000, NULL);
    check(&fixture, 0x4000, "a longer one");
    check(&fixture, 0x5000, "fifth");
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_line_that_is_not_what_it_was_names_nothing)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "1000 10 first\n2000 10 second\n");
    ck_assert_int_eq(pwrite(fixture.fd, "9000", 4, 0), 4);
    check(&fixture, 0x1000, NULL);
    perf_map_update(fixture.map, &fixture.news);
    ck_assert(fixture.news.replaced);
    check(&fixture, 0x9000, "first");
    fixture_free(&fixture);
}
END_TEST

START_TEST(what_is_no_line_is_passed_over)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "\n\n \nhello\n1000\n1000 \n1000 10\n1000 10 \n1000  10 two spaces\nx 10 no\n"
                  "1000 0 empty\n-1000 10 negative\n0x 10 no digits\n"
                  "11112222333344445 10 too wide\n"
                  "ffffffffffffffff 10 around the end\n"
                  "1000 ffffffffffff everything\n"
                  "1000 10 good\n");
    check(&fixture, 0x1000, "good");
    check(&fixture, 0, NULL);
    check(&fixture, UINT64_MAX, NULL);
    check(&fixture, 0x5000, NULL);
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_line_without_an_end_is_skipped)
{
    struct fixture fixture = fixture_new();
    size_t length = (size_t)3 << 20;
    char *text = xmalloc(length);
    memset(text, 'a', length);
    memcpy(text, "1000 10 ", 8);
    add_bytes(&fixture, text, length);
    add(&fixture, "\n2000 10 behind\n");
    check(&fixture, 0x1000, NULL);
    check(&fixture, 0x2000, "behind");
    /* A long one that fits is cut. */
    memcpy(text, "3000 10 ", 8);
    add_bytes(&fixture, text, (size_t)1 << 17);
    add(&fixture, "\n");
    const char *name = perf_map_find(fixture.map, 0x3000);
    ck_assert_ptr_nonnull(name);
    ck_assert_uint_ge(strlen(name), LIMIT_SYMBOL_BYTES);
    ck_assert_uint_le(strlen(name), LIMIT_SYMBOL_BYTES + 64);
    free(text);
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_large_map_is_read_in_steps)
{
    enum { LINES = 400000 };
    struct fixture fixture = fixture_new();
    char *text = xmalloc((size_t)LINES * 64);
    size_t used = 0, steps = 0;
    for (unsigned i = 0; i < LINES; i++)
        used +=
            (size_t)sprintf(text + used, "%x 40 JS:~function%u /srv/app.js:%u:1\n", i * 64, i, i);
    add_bytes(&fixture, text, used);
    do {
        perf_map_update(fixture.map, &fixture.news);
        steps++;
    } while (fixture.news.behind);
    ck_assert_uint_gt(steps, 1);
    ck_assert_uint_le(steps, used / (1 << 18) + 1);
    check(&fixture, 0, "JS:~function0 /srv/app.js:0:1");
    check(&fixture, (uint64_t)(LINES - 1) * 64 + 63, "JS:~function399999 /srv/app.js:399999:1");
    free(text);
    fixture_free(&fixture);
}
END_TEST

UNIT_MAIN("perf_map", lines_name_addresses, a_map_grows_by_parts_of_lines,
          a_later_line_takes_the_place_of_an_earlier_one, a_map_written_anew_is_read_anew,
          a_line_that_is_not_what_it_was_names_nothing, what_is_no_line_is_passed_over,
          a_line_without_an_end_is_skipped, a_large_map_is_read_in_steps)
