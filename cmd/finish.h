/*
 * finish.h - from a raw profile to the finished file, for what was recorded just now and for what
 * is recovered.
 */
#ifndef MEMPROF_CMD_FINISH_H
#define MEMPROF_CMD_FINISH_H

#include "output/format.h"
#include "symbolize/modules.h"

struct finish {
    const struct format *format;
    struct write_options write;
    bool threads_given; /* else: main for Node.js and with waits, all for the rest */
    /* Results. */
    bool thread_missing;  /* write.tid was never sampled: all threads are written instead */
    uint64_t samples_cut; /* left out of the sequence, for the disk was full; their ticks are not */
};

/* The format of an output by its suffix; "-" is a .cpuprofile. */
const struct format *finish_format(const char *path, struct error *err);
/*
 * Gives everything names, writes the file and commits it. On a full disk the newest half of the
 * samples is left out, and half of the rest, until it fits.
 */
int finish_profile(struct finish *finish, struct profile *raw, struct modules *modules,
                   struct output_file *output, struct error *err);
/* Messages of what the file lacks, and with `verbose` of the modules that have no symbols. */
void finish_tell(const struct finish *finish, const char *path, const struct modules *modules,
                 bool verbose);

#endif
