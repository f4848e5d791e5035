/*
 * text_lines.h - a file as a stream of lines, of which only the one at hand is in memory.
 *
 * For texts of hundreds of megabytes that are read once from front to back, from a file or a
 * pipe. Knows nothing of what the lines mean.
 */
#ifndef MEMPROF_OUTPUT_TEXT_LINES_H
#define MEMPROF_OUTPUT_TEXT_LINES_H

#include "core/alloc.h"
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_lines {
    const char *name; /* for messages */
    int fd;           /* not owned; -1 when all of the text is there */
    const char *text; /* what is there; [start, end) is not yet handed out */
    size_t start, end;
    char *buffer; /* owned: the memory of `text`; NULL when that is the caller's */
    size_t capacity;
    bool ended;      /* nothing is left to read from fd */
    uint64_t number; /* of the last line, from 1 */
    bool whole;      /* the last line ended in a newline */
};

/* Reads from where fd stands. `name` must outlive the lines. */
struct text_lines text_lines_of_fd(int fd, const char *name);
/* The caller keeps the text. */
struct text_lines text_lines_of_memory(const char *text, size_t length, const char *name);
void text_lines_release(struct text_lines *lines);

/* Looks at up to `least` bytes ahead, fewer at the end of the text. -1 when reading fails. */
int text_lines_peek(struct text_lines *lines, size_t least, size_t *ret_length, struct error *err);
/*
 * The next line without its newline, valid until the next call; a last line may have none.
 * 1, or 0 at the end, or -1: reading failed, or a line is longer than LIMIT_LINE_BYTES.
 */
int text_lines_next(struct text_lines *lines, const char **ret_line, size_t *ret_length,
                    struct error *err);

#endif
