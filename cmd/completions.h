/*
 * completions.h - what a shell can complete, as read out of the commands' argp tables.
 *
 * An option's argument, and each word of args_doc, tells by its text what it is: "auto|always"
 * are words to choose from; of names in capitals, FILE… is a file, DIR… a directory, PID a
 * process, CMD a command with arguments of its own, and anything else can't be completed. Both go
 * together: "all|main|PID".
 */
#ifndef MEMPROF_CMD_COMPLETIONS_H
#define MEMPROF_CMD_COMPLETIONS_H

#include "cmd/command.h"
#include "cmd/options_scan.h"
#include "output/file.h"

struct completion {
    char *text;  /* as in --help, such as "TIME" */
    char *words; /* to choose from, with a space in between; "" */
    enum completion_kind {
        COMPLETION_NONE,
        COMPLETION_FILE,
        COMPLETION_DIRECTORY,
        COMPLETION_PID,
        COMPLETION_COMMAND
    } kind;
    bool repeats; /* of operands: any number of them */
};

/* From the text of one argument. The caller releases it. */
struct completion completion_of(const char *text);
void completion_release(struct completion *completion);

/* What stands on a command's line. */
struct command_line {
    struct option_table options; /* without hidden ones */
    vec(struct completion) operands;
};

void command_line_build(const struct command *command, struct command_line *ret_line);
void command_line_release(struct command_line *line);
/* Whether the option has a letter. */
bool option_has_letter(const struct argp_option *option);

/* The scripts, for all of command_table. */
void completions_bash(struct output_file *file);
void completions_fish(struct output_file *file);
void completions_zsh(struct output_file *file);

/* Writes text with a backslash before each of the characters of `special`. */
void completions_write(struct output_file *file, const char *text, const char *special);

#endif
