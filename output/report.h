/*
 * report.h - the text and JSON report of a CPU profile.
 *
 * The text has the layout of `node --prof-process` (V8's tools/tickprocessor.mjs), with
 * sections of ours behind it: [Threads], [Memory], [GC], [Events], [Quality].
 */
#ifndef MEMPROF_OUTPUT_REPORT_H
#define MEMPROF_OUTPUT_REPORT_H

#include "core/profile.h"
#include "output/file.h"

struct report_options {
    const char *file_name;
    uint32_t top;       /* rows of a section, 0: all */
    bool sort_total;    /* sections sorted by total instead of self */
    bool tree;          /* a top-down tree in place of the bottom-up one */
    double cut_percent; /* callers and callees below this share are not shown */
    int64_t thread;     /* only this TID; -1: all */
    bool color;         /* ANSI colours; the text is the same without */
};

/* Defaults: all rows of at least one tick, 1.0 % cut. */
extern const struct report_options report_defaults;

void report_text(struct output_file *file, const struct profile *profile,
                 const struct report_options *options);
/* The schema stands in the design and in memprof-report(1); fields are only ever added. */
void report_json(struct output_file *file, const struct profile *profile,
                 const struct report_options *options);

#endif
