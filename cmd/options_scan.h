/*
 * options_scan.h - the options of a command as one table, and what is wrong with a command line
 * before argp sees it.
 */
#ifndef MEMPROF_CMD_OPTIONS_SCAN_H
#define MEMPROF_CMD_OPTIONS_SCAN_H

#include "core/alloc.h"
#include "core/error.h"

#include <argp.h>
#include <stdbool.h>

/* Keys of options without a letter; a command's own start at OPTION_OWN. */
enum { OPTION_JSON = 0x1000, OPTION_COLOR, OPTION_OWN = 0x1100 };

/*
 * All options of a command and its children, --help and --usage of argp's own among them. An
 * alias has the argument and the doc of the option that it stands for.
 */
struct option_table {
    vec(struct argp_option) options;
    vec(const char *) names; /* the long ones */
};

void option_table_build(const struct argp *argp, struct option_table *ret_table);
void option_table_release(struct option_table *table);

/*
 * Checks every option of argv against the tables of argp and its children, by getopt_long's
 * rules: abbreviations, clustered letters, arguments attached or not, "--". With in_order,
 * options end at the first argument that is none.
 */
int options_scan(const struct argp *argp, int argc, char **argv, bool in_order, struct error *err);

#endif
