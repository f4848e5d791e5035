/*
 * options_scan.h - finds what is wrong with a command line before argp sees it.
 */
#ifndef MEMPROF_CMD_OPTIONS_SCAN_H
#define MEMPROF_CMD_OPTIONS_SCAN_H

#include "core/error.h"

#include <argp.h>
#include <stdbool.h>

/* Keys of options without a letter; a command's own start at OPTION_OWN. */
enum { OPTION_JSON = 0x1000, OPTION_COLOR, OPTION_OWN = 0x1100 };

/*
 * Checks every option of argv against the tables of argp and its children, by getopt_long's
 * rules: abbreviations, clustered letters, arguments attached or not, "--". With in_order,
 * options end at the first argument that is none.
 */
int options_scan(const struct argp *argp, int argc, char **argv, bool in_order, struct error *err);

#endif
