/*
 * One buffer, filled by read() and not by mapping the file: mapped pages count as memory of the
 * process until they are dropped one by one, and a pipe can't be mapped at all. The unread rest
 * moves to the front when the buffer is empty behind it; it grows only for a line that does not
 * fit.
 */
#include "output/text_lines.h"

#include "core/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { BUFFER_BYTES = 256 * 1024 };

struct text_lines text_lines_of_fd(int fd, const char *name)
{
    return (struct text_lines){.name = name, .fd = fd};
}

struct text_lines text_lines_of_memory(const char *text, size_t length, const char *name)
{
    return (struct text_lines){.name = name, .fd = -1, .text = text, .end = length, .ended = true};
}

void text_lines_release(struct text_lines *lines)
{
    free(lines->buffer);
    *lines = (struct text_lines){.fd = -1, .ended = true};
}

/* Reads something more, or finds the end. */
static int fill(struct text_lines *lines, struct error *err)
{
    if (lines->start) {
        memmove(lines->buffer, lines->buffer + lines->start, lines->end - lines->start);
        lines->end -= lines->start;
        lines->start = 0;
    }
    if (lines->end == lines->capacity) {
        lines->capacity = lines->capacity ? lines->capacity * 2 : BUFFER_BYTES;
        lines->buffer = xrealloc(lines->buffer, lines->capacity);
        lines->text = lines->buffer;
    }
    ssize_t got;
    do
        got = read(lines->fd, lines->buffer + lines->end, lines->capacity - lines->end);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return error_set_errno(err, "cannot read %s", lines->name);
    lines->end += (size_t)got;
    lines->ended = got == 0;
    return 0;
}

int text_lines_peek(struct text_lines *lines, size_t least, size_t *ret_length, struct error *err)
{
    while (!lines->ended && lines->end - lines->start < least)
        if (fill(lines, err) < 0)
            return -1;
    size_t there = lines->end - lines->start;
    *ret_length = there < least ? there : least;
    return 0;
}

int text_lines_next(struct text_lines *lines, const char **ret_line, size_t *ret_length,
                    struct error *err)
{
    size_t looked = 0; /* at so many bytes: each is searched once */
    for (;;) {
        size_t there = lines->end - lines->start;
        const char *line = there ? lines->text + lines->start : "";
        const char *newline = memchr(line + looked, '\n', there - looked);
        size_t length = newline ? (size_t)(newline - line) : there;
        if (length > LIMIT_LINE_BYTES)
            return error_set(err, ERROR_LIMIT, "%s: line %" PRIu64 " is longer than %d bytes",
                             lines->name, lines->number + 1, LIMIT_LINE_BYTES);
        if (newline || lines->ended) {
            if (!newline && !length)
                return 0;
            lines->start += length + (newline != NULL);
            lines->number++;
            lines->whole = newline != NULL;
            *ret_line = line;
            *ret_length = length;
            return 1;
        }
        looked = there;
        if (fill(lines, err) < 0)
            return -1;
    }
}
