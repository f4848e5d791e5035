/*
 * completions_fish.c - the script for fish 3.0 and later: one `complete` for each option.
 *
 * Its own test for "which command is this" looks at the second word alone: fish's
 * __fish_seen_subcommand_from finds the name of a command among arguments, too.
 */
#include "cmd/completions.h"

#include <string.h>

static const char script_start[] =
    "# fish completion for memprof, written by `memprof completions fish`\n"
    "\n"
    "function __memprof_no_command\n"
    "    test (count (commandline -opc)) -eq 1\n"
    "end\n"
    "\n"
    "function __memprof_command_is\n"
    "    set -l words (commandline -opc)\n"
    "    test (count $words) -gt 1; and test $words[2] = $argv[1]; and not contains -- -- $words\n"
    "end\n"
    "\n"
    "# The line of the command behind \"--\".\n"
    "function __memprof_other_command\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    set -l dashes (contains -i -- -- $words)\n"
    "    complete -C (string join -- ' ' (string escape -- $words[(math $dashes + 1)..-2]) "
    "\"$words[-1]\")\n"
    "end\n"
    "\n"
    "function __memprof_behind_dashes\n"
    "    set -l words (commandline -opc)\n"
    "    test (count $words) -gt 2; and test $words[2] = $argv[1]; and contains -- -- $words\n"
    "end\n"
    "\n"
    "complete -c memprof -f\n"
    "complete -c memprof -n __memprof_no_command -s '?' -l help -d 'print the commands'\n"
    "complete -c memprof -n __memprof_no_command -s V -l version -d 'print the version'\n";

static void write_quoted(struct output_file *file, const char *text)
{
    output_text(file, "'");
    completions_write(file, text, "'\\");
    output_text(file, "'");
}

/* What an argument may be, as options of `complete`. */
static void write_choice(struct output_file *file, const struct completion *completion)
{
    static const char *const kinds[] = {
        [COMPLETION_NONE] = "",
        [COMPLETION_FILE] = "",
        [COMPLETION_DIRECTORY] = "(__fish_complete_directories)",
        [COMPLETION_PID] = "(__fish_complete_pids)",
        [COMPLETION_COMMAND] = "(__fish_complete_command)",
    };
    const char *kind = kinds[completion->kind];
    if (completion->kind == COMPLETION_FILE)
        output_text(file, " -F");
    if (*completion->words || *kind)
        output_printf(file, " -a '%s%s%s'", completion->words,
                      *completion->words && *kind ? " " : "", kind);
}

static void write_option(struct output_file *file, const char *name,
                         const struct argp_option *option)
{
    output_printf(file, "complete -c memprof -n '__memprof_command_is %s'", name);
    if (option_has_letter(option)) {
        output_text(file, " -s ");
        output_printf(file, "'%c'", option->key);
    }
    if (option->name)
        output_printf(file, " -l %s", option->name);
    if (option->arg) {
        _cleanup_(completion_release) struct completion completion = completion_of(option->arg);
        if (!(option->flags & OPTION_ARG_OPTIONAL))
            output_text(file, completion.kind == COMPLETION_FILE ? " -r" : " -x");
        write_choice(file, &completion);
    }
    if (option->doc) {
        output_text(file, " -d ");
        write_quoted(file, option->doc);
    }
    output_text(file, "\n");
}

/* fish does not count operands: what one of them may be is offered for each. */
static void write_operand(struct output_file *file, const char *name,
                          const struct completion *operand)
{
    if (operand->kind == COMPLETION_COMMAND) {
        output_printf(file,
                      "complete -c memprof -n '__memprof_behind_dashes %s' "
                      "-a '(__memprof_other_command)'\n",
                      name);
        return;
    }
    if (operand->kind == COMPLETION_NONE && !*operand->words)
        return;
    output_printf(file, "complete -c memprof -n '__memprof_command_is %s'", name);
    write_choice(file, operand);
    output_text(file, "\n");
}

void completions_fish(struct output_file *file)
{
    output_text(file, script_start);
    for (const struct command *command = command_table; command->name; command++) {
        _cleanup_(command_line_release) struct command_line line;
        command_line_build(command, &line);
        output_printf(file, "\ncomplete -c memprof -n __memprof_no_command -a %s -d ",
                      command->name);
        write_quoted(file, command->summary);
        output_text(file, "\n");
        for (size_t i = 0; i < line.options.options.count; i++)
            write_option(file, command->name, &line.options.options.items[i]);
        for (size_t i = 0; i < line.operands.count; i++)
            write_operand(file, command->name, &line.operands.items[i]);
    }
}
