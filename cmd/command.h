/*
 * command.h - what a subcommand is.
 *
 * To add a command: write cmd/NAME.c with its cmd_NAME, declare it here, add one line to the
 * table in main.c, and write man/memprof-NAME.1.
 */
#ifndef MEMPROF_CMD_COMMAND_H
#define MEMPROF_CMD_COMMAND_H

struct command {
    const char *name;
    const char *summary; /* one line for --help */
    /* argv[0] is "memprof NAME"; returns the exit status. */
    int (*run)(int argc, char **argv);
};

/* Exit statuses; `record -- CMD` exits with CMD's own. */
enum {
    EXIT_FINE = 0,
    EXIT_CHECK_FAILED = 1,
    EXIT_TROUBLE = 2 /* wrong usage, or a failure */
};

int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);

#endif
