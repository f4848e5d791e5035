/*
 * report_text.h - what the halves of the text report share: report_text.c (where the ticks went)
 * and report_process.c (threads, memory, events, quality).
 */
#ifndef MEMPROF_OUTPUT_REPORT_TEXT_H
#define MEMPROF_OUTPUT_REPORT_TEXT_H

#include "output/report.h"
#include "output/rows.h"

/* A blank line and " [Name]:". */
void report_heading(struct output_file *file, const struct report_options *options,
                    const char *name);
/* [Threads], [Memory], [GC], [Events], [Quality]; each only when there is something to say. */
void report_process(struct output_file *file, const struct rows *rows,
                    const struct report_options *options);

#endif
