/*
 * small_file.h - the small text files of /proc and /sys, which are read whole.
 */
#ifndef MEMPROF_CORE_SMALL_FILE_H
#define MEMPROF_CORE_SMALL_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reads at most size - 1 bytes of a file and a NUL behind them. The length, or -1 and errno. A
 * length of size - 1 says that there may be more.
 */
ssize_t small_file_read(const char *path, char *buffer, size_t size);
/* The number at the head of such a file; `otherwise` when there is none. */
int64_t small_file_number(const char *path, int64_t otherwise);

#endif
