/*
 * command.h - what a subcommand is.
 *
 * To add a command: write cmd/NAME.c with its cmd_NAME and NAME_argp, declare both here, add one
 * line to the table in main.c, and write man/memprof-NAME.1. The shells' completions come from
 * the argp by themselves; what they make of an option's argument stands in completions.h.
 */
#ifndef MEMPROF_CMD_COMMAND_H
#define MEMPROF_CMD_COMMAND_H

#include <argp.h>

struct command {
    const char *name;
    const char *summary; /* one line for --help */
    /* argv[0] is "memprof NAME"; returns the exit status. */
    int (*run)(int argc, char **argv);
    const struct argp *argp; /* its options and arguments */
};

/* All commands in the order of --help; the last one has no name. */
extern const struct command command_table[];

/* Exit statuses; `record -- CMD` exits with CMD's own. */
enum {
    EXIT_FINE = 0,
    EXIT_CHECK_FAILED = 1,
    EXIT_TROUBLE = 2 /* wrong usage, or a failure */
};

int cmd_annotate(int argc, char **argv);
int cmd_completions(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_recover(int argc, char **argv);
int cmd_report(int argc, char **argv);

extern const struct argp annotate_argp;
extern const struct argp completions_argp;
extern const struct argp info_argp;
extern const struct argp record_argp;
extern const struct argp recover_argp;
extern const struct argp report_argp;

#endif
