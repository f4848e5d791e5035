/*
 * cpuprofile_extension.h - the parts of cpuprofile_write that lie in cpuprofile_extension_write.c.
 */
#ifndef MEMPROF_OUTPUT_CPUPROFILE_EXTENSION_H
#define MEMPROF_OUTPUT_CPUPROFILE_EXTENSION_H

#include "output/cpuprofile_tree.h"

void cpuprofile_write_signed(struct output_file *file, int64_t value);
/* "samples":[…],"timeDeltas":[…] of the standard sequence or of the others. */
void cpuprofile_write_samples(struct output_file *file, const struct tree *tree, bool others);
/* "memprof":{…} */
void cpuprofile_write_extension(struct output_file *file, const struct tree *tree);

#endif
