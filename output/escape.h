/*
 * escape.h - names from a target, made safe for a terminal.
 */
#ifndef MEMPROF_OUTPUT_ESCAPE_H
#define MEMPROF_OUTPUT_ESCAPE_H

#include "output/file.h"

/*
 * Writes text with everything that could steer a terminal or forge a line replaced: control
 * characters (C0, DEL, C1), line and paragraph separators and bidirectional overrides as
 * \xNN or \u{NNNN}, newline and tab as \n and \t, bytes that are not UTF-8 as \xNN.
 */
void output_escaped(struct output_file *file, const char *text);

#endif
