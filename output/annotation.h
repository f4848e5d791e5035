/*
 * annotation.h - an annotated function (core/annotation.h) as text or JSON.
 */
#ifndef MEMPROF_OUTPUT_ANNOTATION_H
#define MEMPROF_OUTPUT_ANNOTATION_H

#include "core/annotation.h"
#include "output/file.h"

struct annotation_options {
    const char *file_name; /* of the profile */
    /* MIXED: source lines with the hot instructions below each; both in full in JSON. */
    enum annotation_view { ANNOTATION_MIXED, ANNOTATION_SOURCE, ANNOTATION_CODE } view;
    bool color; /* ANSI colours; the text is the same without */
};

/* MIXED becomes CODE, with a note, if no source can be read. */
void annotation_text(struct output_file *file, const struct annotation *annotation,
                     const struct annotation_options *options);
/* The schema stands in memprof-annotate(1); fields are only ever added. */
void annotation_json(struct output_file *file, const struct annotation *annotation,
                     const struct annotation_options *options);

#endif
