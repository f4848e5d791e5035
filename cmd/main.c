/*
 * main.c - the table of commands.
 */
#include "cmd/command.h"
#include "cmd/options.h"
#include "core/alloc.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

const struct command command_table[] = {
    {"record", "CPU time and memory of a process into a profile", cmd_record, &record_argp},
    {"recover", "the profile of a recording that was killed", cmd_recover, &recover_argp},
    {"report", "where a profile's time and memory went", cmd_report, &report_argp},
    {"annotate", "source lines and instructions of a function with their ticks", cmd_annotate,
     &annotate_argp},
    {"info", "what works on this machine, and the remedy for what does not", cmd_info, &info_argp},
    {"completions", "completion of command lines for a shell", cmd_completions, &completions_argp},
    {0},
};

enum { COMMANDS = sizeof command_table / sizeof *command_table - 1 };

static void print_help(void)
{
    puts("memprof says where a running process's CPU time and memory go, from outside.\n\n"
         "Usage: memprof COMMAND [OPTION...]\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-11s %s\n", command_table[i].name, command_table[i].summary);
    puts("\n`memprof COMMAND --help` lists a command's options; memprof(1) tells more.");
}

static int unknown_command(const char *name)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = command_table[i].name;
    const char *nearest = name_nearest(name, names, COMMANDS);
    if (nearest)
        message_print("unknown command '%s'; did you mean '%s'?", name, nearest);
    else
        message_print("unknown command '%s'; see `memprof --help`", name);
    return EXIT_TROUBLE;
}

static int run(int argc, char **argv)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], command_table[i].name) != 0)
            continue;
        _cleanup_free_ char *name = xasprintf("memprof %s", command_table[i].name);
        argv[0] = name;
        return command_table[i].run(argc, argv);
    }
    return unknown_command(argv[0]);
}

int main(int argc, char **argv)
{
    /* A closed pipe, or a file that may not grow, is a failed write, told by the exit status. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        message_print("no command given; see `memprof --help`");
        return EXIT_TROUBLE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?")) {
        print_help();
        return stdout_finish();
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("memprof %s\n", MEMPROF_VERSION);
        return stdout_finish();
    }
    return run(argc - 1, argv + 1);
}
