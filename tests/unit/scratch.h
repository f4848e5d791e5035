/*
 * scratch.h - a directory of its own for a test, and commands that fill it.
 *
 * Test cases run in processes of their own (Check forks), so one directory each is enough.
 */
#ifndef MEMPROF_TESTS_SCRATCH_H
#define MEMPROF_TESTS_SCRATCH_H

#include "core/alloc.h"

#include <check.h>
#include <stdarg.h>
#include <string.h>

static char scratch_directory[64];

/* Makes the directory and enters it. */
static inline void scratch_enter(void)
{
    strcpy(scratch_directory, "/tmp/memprof-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch_directory));
    ck_assert_int_eq(chdir(scratch_directory), 0);
}

static inline void scratch_leave(void)
{
    _cleanup_free_ char *command = xasprintf("rm -rf %s", scratch_directory);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

/* Runs a shell command that must succeed. */
__attribute__((format(printf, 1, 2))) static inline void scratch_run(const char *format, ...)
{
    va_list args;
    char *command = NULL;
    va_start(args, format);
    ck_assert_int_gt(vasprintf(&command, format, args), 0);
    va_end(args);
    ck_assert_msg(system(command) == 0, "failed: %s", command);
    free(command);
}

static inline void scratch_write(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(name, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static inline char *scratch_path(const char *name)
{
    return xasprintf("%s/%s", scratch_directory, name);
}

#endif
