/*
 * report_loop.h - a recording's event loop, in both reports.
 */
#ifndef MEMPROF_OUTPUT_REPORT_LOOP_H
#define MEMPROF_OUTPUT_REPORT_LOOP_H

#include "output/report.h"

/* Whether a series is the event loop's, and told of in its own section. */
bool report_is_loop_series(const char *name);
/* [Event loop]: utilisation, longest blocks, what is open; nothing if none was read. */
void report_loop(struct output_file *file, const struct profile *profile,
                 const struct report_options *options);
/* "event_loop":{…} with a comma before it; nothing if none was read. */
void report_loop_json(struct output_file *file, const struct profile *profile);

#endif
