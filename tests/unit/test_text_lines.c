#include "output/text_lines.h"

#include "core/limits.h"
#include "tests/unit/unit.h"

#include <string.h>

/* A pipe with a writer of its own, because it holds less than a long line. */
static int pipe_of(const char *text, size_t length)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) {
        close(ends[0]);
        for (size_t at = 0; at < length;) {
            ssize_t written = write(ends[1], text + at, length - at);
            if (written < 0)
                _exit(1);
            at += (size_t)written;
        }
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

static void expect(struct text_lines *lines, const char *text, size_t length, bool whole)
{
    const char *line;
    size_t got;
    struct error err = {0};
    ck_assert_int_eq(text_lines_next(lines, &line, &got, &err), 1);
    ck_assert_uint_eq(got, length);
    ck_assert_int_eq(memcmp(line, text, length), 0);
    ck_assert(lines->whole == whole);
}

static void expect_end(struct text_lines *lines)
{
    const char *line;
    size_t length;
    struct error err = {0};
    ck_assert_int_eq(text_lines_next(lines, &line, &length, &err), 0);
    ck_assert_int_eq(text_lines_next(lines, &line, &length, &err), 0);
}

START_TEST(lines_of_memory)
{
    struct text_lines lines = text_lines_of_memory("a\n\nbc", 5, "memory");
    expect(&lines, "a", 1, true);
    expect(&lines, "", 0, true);
    expect(&lines, "bc", 2, false);
    ck_assert_uint_eq(lines.number, 3);
    expect_end(&lines);
    text_lines_release(&lines);
    lines = text_lines_of_memory("", 0, "nothing");
    expect_end(&lines);
}
END_TEST

START_TEST(lines_of_a_pipe_longer_than_the_buffer)
{
    size_t length = 3 << 20;
    char *text = xmalloc(length + 8);
    memset(text, 'x', length);
    memcpy(text, "head\n", 5);
    memcpy(text + length, "\nlast\n", 7);
    int fd = pipe_of(text, length + 6);
    struct text_lines lines = text_lines_of_fd(fd, "pipe");
    size_t ahead;
    struct error err = {0};
    ck_assert_int_eq(text_lines_peek(&lines, 4096, &ahead, &err), 0);
    ck_assert_uint_eq(ahead, 4096);
    ck_assert_int_eq(memcmp(lines.text + lines.start, "head\nx", 6), 0);
    expect(&lines, "head", 4, true);
    expect(&lines, text + 5, length - 5, true);
    expect(&lines, "last", 4, true);
    expect_end(&lines);
    ck_assert_int_eq(text_lines_peek(&lines, 1, &ahead, &err), 0);
    ck_assert_uint_eq(ahead, 0);
    text_lines_release(&lines);
    close(fd);
    free(text);
}
END_TEST

START_TEST(a_line_past_the_limit)
{
    size_t length = LIMIT_LINE_BYTES + 1;
    char *text = xmalloc(length);
    memset(text, 'x', length);
    struct text_lines lines = text_lines_of_memory(text, length, "endless");
    const char *line;
    struct error err = {0};
    ck_assert_int_eq(text_lines_next(&lines, &line, &length, &err), -1);
    ck_assert_int_eq(err.code, ERROR_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "endless: line 1 "));
    free(text);
}
END_TEST

START_TEST(what_cannot_be_read)
{
    struct text_lines lines = text_lines_of_fd(-1, "closed");
    size_t ahead;
    struct error err = {0};
    ck_assert_int_eq(text_lines_peek(&lines, 1, &ahead, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "closed"));
    text_lines_release(&lines);
}
END_TEST

UNIT_MAIN("text_lines", lines_of_memory, lines_of_a_pipe_longer_than_the_buffer,
          a_line_past_the_limit, what_cannot_be_read)
