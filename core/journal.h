/*
 * journal.h - a raw profile on the disk while it is being recorded, so that nothing kills it.
 *
 * FILE.part holds what each table of the profile got since the last flush, in blocks with a
 * checksum (core/journal_block.h). What was flushed is safe from SIGKILL and from the end of
 * memory; not from a power failure, for nothing is synced: the page cache outlives a process.
 *
 * The samples of the profile live in the journal once they are flushed and no longer in memory
 * (core/sequence.h), so that the length of a recording costs no memory.
 *
 * Knows nothing of names, formats and where modules come from. `addresses` are not written: the
 * symbolizer makes them.
 *
 * Blocks, in numbers as of core/packed.h and texts as length and bytes; a list goes to the end
 * of its block:
 *   META     process, its start, boot id, the temporary file beside it, what to show (3 numbers),
 *            string ids of command, host and tool, start, wall start, period, kernel; once, after
 *            the first STRINGS
 *   STRINGS  text …                            ids go on from those before
 *   MODULES  path, build-id …                  positions go on from 1
 *   FRAMES   function, file, line, column, script, module, address, kind, tier …
 *   NAMES    frame, and what it is now, as in FRAMES …    generated code that was named late
 *   NODES    index - parent, frame …
 *   THREADS  index, pid, tid, name …           new ones, and those with a new name
 *   METRICS  name, unit …
 *   SERIES   name, unit …
 *   SAMPLES  as in core/sequence.c             each is one tick of its node in the first metric
 *   POINTS   series, zigzag time delta, the bytes of a double …
 *   EVENTS   time, duration, kind, node, what, reason, before, after, tid …   told, not estimated
 *   LINES    node, line, ticks …               of profile.lines, what came to each since the last
 *   CALLS    node, line, ticks …               the same of profile.calls
 *   VALUES   the end so far, quality, then what the counts of samples alone do not tell: threads
 *            as count × {index, zigzag ticks, waiting, runnable}, and for each metric
 *            count × {node delta, zigzag}
 *   END      nothing: the recording was complete
 */
#ifndef MEMPROF_CORE_JOURNAL_H
#define MEMPROF_CORE_JOURNAL_H

#include "core/error.h"
#include "core/profile.h"

struct journal;

/* What a profile has no place for and its file is made with. */
struct journal_origin {
    uint64_t process_start; /* of target.h; with meta.pid it tells whether the target still runs */
    char boot_id[40];       /* of this boot of the machine: /proc/sys/kernel/random/boot_id */
    char temporary[64];     /* the name of the output's temporary file in the same folder, or "" */
    uint32_t show_threads, show_tid; /* which threads the file shows; the caller's own numbers */
    bool show_given;
};

/* A module of the raw profile; position 0 is left out. */
struct journal_module {
    const char *path, *build_id;
};

/*
 * Creates `path`. One that is there is refused: it is being written, or left from a recording that
 * was killed. The file is locked as long as the journal is open.
 */
int journal_create(const char *path, struct journal **ret_journal, struct error *err);
/* One without a name, in $TMPDIR or /tmp: a place for samples where no file can be left. */
int journal_create_unnamed(struct journal **ret_journal, struct error *err);
/* Before the first flush, once what is in profile->meta is known. */
int journal_begin(struct journal *journal, const struct profile *profile,
                  const struct journal_origin *origin, struct error *err);
/*
 * Writes what is new. `modules` are all there are by now. Fails when the disk is full: the file
 * then ends with its last whole block, and samples that were not written are still in memory.
 */
int journal_flush(struct journal *journal, struct profile *profile,
                  const struct journal_module *modules, size_t module_count, struct error *err);
/* Flush, and say that no more will come. */
int journal_finish(struct journal *journal, struct profile *profile,
                   const struct journal_module *modules, size_t module_count, struct error *err);
uint64_t journal_bytes(const struct journal *journal);
/* Removes the file unless `keep`. After the profile that was flushed to it. NULL is nothing. */
void journal_close(struct journal *journal, bool keep);

/* What was found in a journal. */
struct journal_found {
    struct journal_origin origin;
    uint64_t bytes; /* of the file */
    uint64_t read;  /* up to here it was whole */
    bool finished;  /* the recording was complete */
    bool refused;   /* what comes next is whole, but nothing that this memprof understands */
};

/* Opens a journal that nobody writes any more, and locks it against others that would read it. */
int journal_open(const char *path, int *ret_fd, struct error *err);
/*
 * Reads all blocks up to the first that is torn or makes no sense; at least META must be there.
 * The modules of the profile are at the positions that frames name. Its samples stay in the file:
 * `fd` stays open as long as they are read. The caller frees the profile.
 */
int journal_read(int fd, const char *name, struct profile **ret_profile,
                 struct journal_found *ret_found, struct error *err);

#endif
