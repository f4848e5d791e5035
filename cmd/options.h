/*
 * options.h - what the command lines of all commands have in common: argp with better errors,
 * the options that every command has, arguments with units, and how an error is printed.
 *
 * A command has a struct of its own options with a struct common_options in it, and a parser with
 *     static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
 * that sets state->child_inputs[0] to those common options at ARGP_KEY_INIT. Keys of options
 * without a letter start at OPTION_OWN (options_scan.h).
 */
#ifndef MEMPROF_CMD_OPTIONS_H
#define MEMPROF_CMD_OPTIONS_H

#include "core/error.h"

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* -q, -v, --json, --color */
struct common_options {
    bool quiet;
    bool verbose;
    bool json;
    enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } color;
};

extern const struct argp options_common;

/* Whether to colour standard output: --color, else NO_COLOR and whether it is a terminal. */
bool options_color(const struct common_options *options);

/*
 * argp_parse, but every usage error is one line of ours and ends the process with status 2; an
 * unknown option names the nearest one. `flags` as for argp_parse: with ARGP_IN_ORDER options
 * end at the first argument that is none. *ret_arg_index (may be NULL) is the first argument
 * that was not parsed.
 */
void options_parse(const struct argp *argp, int argc, char **argv, unsigned flags,
                   int *ret_arg_index, void *input);

/* Prints "memprof: text; see `memprof NAME --help`" and exits with status 2. */
_Noreturn void usage_error(const char *argv0, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * "90", "1.5s", "200ms", "2m", "1h" (seconds without a unit; more than 0), and "64", "10K",
 * "1.5M", "2G" (powers of 1024). -1 with a text that quotes the argument.
 */
int duration_parse(const char *text, uint64_t *ret_us, struct error *err);
int size_parse(const char *text, uint64_t *ret_bytes, struct error *err);
int integer_parse(const char *text, int64_t least, int64_t most, int64_t *ret_value,
                  struct error *err);
int number_parse(const char *text, double least, double most, double *ret_value, struct error *err);

/* The same for use in an argp parser: a bad argument of `option` ends in usage_error. */
uint64_t option_duration(const struct argp_state *state, const char *option, const char *text);
uint64_t option_size(const struct argp_state *state, const char *option, const char *text);
int64_t option_integer(const struct argp_state *state, const char *option, const char *text,
                       int64_t least, int64_t most);
double option_number(const struct argp_state *state, const char *option, const char *text,
                     double least, double most);

/* The name that was probably meant, or NULL. */
const char *name_nearest(const char *name, const char *const *names, size_t count);

/* One line "memprof: text" on standard error, control characters escaped; nothing for "". */
void message_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Flushes stdio's standard output: the exit status 0, or 2 with a message. */
int stdout_finish(void);

#endif
