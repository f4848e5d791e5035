/*
 * annotate_internal.h - what annotate.c (ticks and instructions), annotate_javascript.c (lines that
 * the profile has) and annotate_source.c (lines and their text) share.
 */
#ifndef MEMPROF_SYMBOLIZE_ANNOTATE_INTERNAL_H
#define MEMPROF_SYMBOLIZE_ANNOTATE_INTERNAL_H

#include "core/hash.h"
#include "symbolize/annotate.h"

/* The lines of an annotation in the making, in the order in which they were met. */
struct line_collector {
    struct annotation *annotation;
    struct hash_index lines, files;
};

/*
 * The position of a line of a file in annotation->lines, with `ticks` added to both. `defined` is
 * the line of the function's definition if that is in the same file, else 0.
 */
uint32_t collect_line(struct line_collector *lines, string_id file, uint32_t line, uint32_t defined,
                      uint64_t ticks);
/*
 * The lines of the JavaScript functions with that name (of profile), and their ticks, which are
 * added to those of the annotation. Nothing is done if no lines are stored.
 */
void collect_javascript(const struct profile *profile, string_id function,
                        struct line_collector *lines);
/*
 * Reads the sources and puts files, lines and the instructions' positions in order. Sources that
 * changed after recorded_us (CLOCK_REALTIME, 0: unknown) are noted.
 */
void finish_lines(struct line_collector *lines, const char *source_root, uint64_t recorded_us);
void line_collector_release(struct line_collector *lines);

/* One more line of annotation->notes, if it is not there yet. */
void annotation_note(struct annotation *annotation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
