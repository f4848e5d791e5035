/*
 * report_gc.h - the pauses of a garbage collector, in both reports.
 */
#ifndef MEMPROF_OUTPUT_REPORT_GC_H
#define MEMPROF_OUTPUT_REPORT_GC_H

#include "output/report.h"

/* [GC]: count, total and longest by kind, and the longest ones; nothing if there are none. */
void report_gc(struct output_file *file, const struct profile *profile,
               const struct report_options *options);
/* More fields for the object of "events" that counts them: begins with a comma. */
void report_gc_fields(struct output_file *file, const struct profile *profile);

#endif
