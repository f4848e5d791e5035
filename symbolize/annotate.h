/*
 * annotate.h - from a function of a stored profile to its source lines and instructions.
 *
 * Takes the ticks of addresses in the profile, the code and the debug information of the files
 * that its modules name, and the sources that these name; needs no running target. Native code
 * has instructions and lines, JavaScript the lines that are stored, in all tiers of the function.
 */
#ifndef MEMPROF_SYMBOLIZE_ANNOTATE_H
#define MEMPROF_SYMBOLIZE_ANNOTATE_H

#include "core/annotation.h"
#include "core/error.h"
#include "core/profile.h"
#include "symbolize/modules.h"

struct annotate_options {
    string_id function;      /* of the profile: every function with that name */
    const char *source_root; /* a folder that sources are looked for below first, or NULL */
    bool intel;              /* Intel's syntax for x86-64 */
};

/*
 * `modules` are those of modules_open_stored. The caller frees the result. Fails if there is
 * nothing to show, with the reason: a file that changed since (with both build-ids), kernel or
 * JIT code, no ticks. What is missing in part is told in the annotation's notes.
 */
int annotate(const struct profile *profile, struct modules *modules,
             const struct annotate_options *options, struct annotation **ret_annotation,
             struct error *err);

#endif
