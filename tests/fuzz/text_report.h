/*
 * text_report.h - what the fuzz targets of texts that are read line by line have in common.
 */
#ifndef MEMPROF_TESTS_TEXT_REPORT_H
#define MEMPROF_TESTS_TEXT_REPORT_H

#include "output/report.h"
#include "output/text_lines.h"

#include <fcntl.h>
#include <stdlib.h>

typedef int text_read(struct text_lines *lines, struct profile **ret_profile, struct error *err);

/* Every sample must be a tick of a node that is there, and nothing else a tick. */
static inline void check_ticks(const struct profile *profile)
{
    uint64_t samples = 0;
    struct sequence_cursor cursor = sequence_begin(&profile->samples);
    for (struct sample sample; sequence_next(&cursor, &sample); samples++)
        if (sample.node >= profile->nodes.count || sample.thread >= profile->threads.count)
            abort();
    if (samples != profile_sum(profile, 0) + profile_sum_idle(profile, 0) ||
        samples != profile->quality.samples)
        abort();
}

static inline void text_report(const uint8_t *data, size_t size, text_read *read)
{
    struct profile *profile = NULL;
    struct error err = {0};
    struct text_lines lines = text_lines_of_memory((const char *)data, size, "fuzz");
    if (read(&lines, &profile, &err) < 0) {
        if (!*err.text || profile)
            abort();
        return;
    }
    check_ticks(profile);
    struct report_options options = report_defaults;
    struct output_file file = {.fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    file.buffer = xmalloc(64 * 1024);
    options.cut_percent = 0;
    report_text(&file, profile, &options);
    report_json(&file, profile, &options);
    options.tree = true;
    report_text(&file, profile, &options);
    output_file_release(&file);
    profile_free(profile);
}

#endif
