/*
 * debug_file.h - finds a module's separate debug file and its dwz supplement.
 *
 * By build-id below /usr/lib/debug/.build-id, by .gnu_debuglink with its CRC, both first in the
 * target's root, then in ours; and through debuginfod only when DEBUGINFOD_URLS is set. A file
 * whose build-id differs is never taken.
 */
#ifndef MEMPROF_SYMBOLIZE_DEBUG_FILE_H
#define MEMPROF_SYMBOLIZE_DEBUG_FILE_H

#include "symbolize/modules.h"

/*
 * A regular file by the path that a process (0: none) or its files name: in its root, else in
 * ours. The caller closes it; -1 and errno.
 */
int debug_file_open(pid_t pid, const char *path);
/* The debug file of a module, or NULL; the caller frees it. */
struct elf_file *debug_file_find(const struct module *module);
/* The dwz file that `debug` names in .gnu_debugaltlink, or NULL; the caller frees it. */
struct elf_file *debug_file_find_alt(struct elf_file *debug, const struct module *module);

/* The servers to ask, from DEBUGINFOD_URLS; NULL: none, and no network is used. */
const char *debuginfod_urls(void);
/* Whether their client library is there; once loaded it stays. */
bool debuginfod_loads(void);

#endif
