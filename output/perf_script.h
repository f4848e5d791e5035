/*
 * perf_script.h - the text that `perf script` prints of a perf.data.
 *
 * Read only: its default fields, and what -F makes of them as long as the process or the time is
 * told: pid/tid or tid, [cpu], time, period, event, call chains with or without offsets and
 * libraries, inlined frames. Each sample is a tick, whatever its period. A file with several
 * events is read for the event of its first sample; the quality's note tells what was left out.
 * The samples of the kernel's idle task are FRAME_IDLE.
 */
#ifndef MEMPROF_OUTPUT_PERF_SCRIPT_H
#define MEMPROF_OUTPUT_PERF_SCRIPT_H

#include "core/profile.h"
#include "output/text_lines.h"

bool perf_script_matches(const char *head, size_t length);
/* Every frame has its name or none: nothing in the text tells where a library was mapped. */
int perf_script_read(struct text_lines *lines, struct profile **ret_profile, struct error *err);

#endif
