/*
 * format.h - the table of file formats.
 *
 * To add a format: write output/NAME.c with its read and write functions, declare them in
 * output/NAME.h, add one line to the table in format.c, and a golden test in tests/.
 */
#ifndef MEMPROF_OUTPUT_FORMAT_H
#define MEMPROF_OUTPUT_FORMAT_H

#include "core/error.h"
#include "core/profile.h"
#include "output/file.h"
#include "output/text_lines.h"

struct format {
    const char *name;
    const char *suffix; /* ".cpuprofile"; NULL for what is only read */
    /* Whether the first bytes of a file look like this format. */
    bool (*matches)(const char *head, size_t length);
    int (*read)(const char *text, size_t length, const char *name, struct profile **ret_profile,
                struct error *err);
    int (*write)(struct output_file *file, const struct profile *profile,
                 const struct write_options *options, struct error *err);
    /* In place of read, for texts that are streamed line by line and never held whole. */
    int (*read_lines)(struct text_lines *lines, struct profile **ret_profile, struct error *err);
    /* Its raw frames hold offsets in files (symbolize/file_offsets.h). */
    bool file_offsets;
};

/* What a file is written as, by the suffix of its path; NULL when there is none. */
const struct format *format_for_path(const char *path);

/*
 * Reads a profile of any known format ("-": standard input). The messages name the path, and
 * the offset for malformed input. *ret_format is the format that it was.
 */
int profile_read(const char *path, struct profile **ret_profile, const struct format **ret_format,
                 struct error *err);

#endif
