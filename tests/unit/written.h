/*
 * written.h - what a writer of output/ wrote, as text. Needs scratch.h's directory.
 */
#ifndef MEMPROF_TESTS_WRITTEN_H
#define MEMPROF_TESTS_WRITTEN_H

#include "core/alloc.h"
#include "output/file.h"

#include <check.h>
#include <stdio.h>

/* The whole file, NUL-terminated, the caller's to free. */
static inline char *file_text(const char *path, size_t *ret_length)
{
    _cleanup_fclose_ FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s is not there", path);
    vec(char) text = {0};
    for (size_t got = 1; got;) {
        vec_reserve(&text, text.count + 65536);
        got = fread(text.items + text.count, 1, text.capacity - text.count - 1, file);
        text.count += got;
    }
    text.items[text.count] = 0;
    if (ret_length)
        *ret_length = text.count;
    return text.items;
}

static inline struct output_file written_open(void)
{
    struct output_file file;
    struct error err = {0};
    ck_assert_msg(output_file_open("written", &file, &err) == 0, "%s", err.text);
    return file;
}

static inline char *written_text(struct output_file *file)
{
    struct error err = {0};
    ck_assert_msg(output_file_commit(file, &err) == 0, "%s", err.text);
    output_file_release(file);
    return file_text("written", NULL);
}

#endif
