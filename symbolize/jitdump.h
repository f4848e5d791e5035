/*
 * jitdump.h - the names and lines of generated code from a runtime's jit-PID.dump.
 *
 * The format is that of the kernel's tools/perf/Documentation/jitdump-specification.txt: records
 * with the time at which code was loaded or moved, its name and its line table. The file grows
 * while it is read. Knows nothing of where it lies or whose it is.
 */
#ifndef MEMPROF_SYMBOLIZE_JITDUMP_H
#define MEMPROF_SYMBOLIZE_JITDUMP_H

#include "core/error.h"
#include "symbolize/code_layers.h"

struct jitdump;

struct jitdump_code { /* valid until the next call */
    const char *name; /* cut after LIMIT_SYMBOL_BYTES */
    const char *file; /* of the code's first line; NULL: there is no line table */
    uint32_t first_line;
    uint32_t line; /* of the address, if that is in the same file; else 0 */
};

/*
 * Takes over `fd`, a regular file opened for reading, on success. ERROR_FORMAT, ERROR_UNSUPPORTED
 * for what is no jitdump of this machine's byte order and of version 1.
 */
int jitdump_new(int fd, struct jitdump **ret_dump, struct error *err);
void jitdump_free(struct jitdump *dump);
/*
 * Reads the records that were added, some thousand at a time. Before a record of a later time
 * takes effect `before` (may be NULL) is called with that time, CLOCK_MONOTONIC, so that the
 * caller can ask what lay where until then; not if the file's times are of another clock.
 */
void jitdump_update(struct jitdump *dump, void (*before)(void *context, uint64_t time_ns),
                    void *context, struct code_news *ret_news);
/* The code at pc; false if there is none. */
bool jitdump_find(struct jitdump *dump, uint64_t pc, struct jitdump_code *ret_code);

#endif
