/*
 * file.h - output that appears whole or not at all.
 *
 * Bytes go to a temporary file beside the destination (mode 0600, O_EXCL, O_NOFOLLOW), which
 * output_file_commit flushes to the disk and renames. Anything else removes it. "-" is standard
 * output, which has no such guarantee; neither has a device or a pipe. A write error is remembered
 * and told by commit, so that writers need not check each call.
 */
#ifndef MEMPROF_OUTPUT_FILE_H
#define MEMPROF_OUTPUT_FILE_H

#include "core/alloc.h"
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output_file {
    char *path, *temporary; /* temporary is NULL for what is written directly */
    int fd;
    int write_errno; /* of the first write that failed */
    bool reserved;   /* longer than what is written to it, until commit */
    char *buffer;
    size_t used;
};

struct write_options {
    /* Which threads stand in a format's main sequence: see cpuprofile.h. */
    enum write_threads { WRITE_THREADS_ALL, WRITE_THREADS_MAIN, WRITE_THREADS_ONE } threads;
    uint32_t tid; /* of WRITE_THREADS_ONE */
};

/* Creates the temporary file, so that a bad destination is told before any work is done. */
int output_file_open(const char *path, struct output_file *ret_file, struct error *err);
void output_write(struct output_file *file, const void *data, size_t length);
void output_text(struct output_file *file, const char *text);
void output_unsigned(struct output_file *file, uint64_t value);
void output_printf(struct output_file *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * Takes room on the disk for a file of so many bytes, so that what is written later will fit. -1
 * with errno: there is no more room, or (EOPNOTSUPP) none can be taken beforehand.
 */
int output_file_reserve(struct output_file *file, uint64_t bytes);
/* Flushes; whether the disk, the quota or the limit on file sizes turned out too small. */
bool output_file_is_full(struct output_file *file);
/* Begins again from the first byte; only with a temporary file. */
void output_file_rewind(struct output_file *file);
/*
 * Flush, fsync, rename. On failure nothing is left behind. When standard output was a pipe that
 * nobody reads any more, the text of the error is empty.
 */
int output_file_commit(struct output_file *file, struct error *err);
/* Drops what is not committed; safe after commit and on a zeroed file with fd -1. */
void output_file_release(struct output_file *file);

#endif
