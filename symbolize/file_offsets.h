/*
 * file_offsets.h - names for a profile whose raw frames tell where in a module's *file* their code
 * is, as the logs of some profilers do.
 *
 * Knows nothing of those logs.
 */
#ifndef MEMPROF_SYMBOLIZE_FILE_OFFSETS_H
#define MEMPROF_SYMBOLIZE_FILE_OFFSETS_H

#include "core/profile.h"

/*
 * A new profile with names (the caller frees it), as symbolize_profile gives it, from the files
 * that lie at the modules' paths now. Takes the samples of `raw`, and makes its addresses ELF
 * addresses.
 */
struct profile *symbolize_file_offsets(struct profile *raw);

#endif
