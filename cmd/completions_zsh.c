/*
 * completions_zsh.c - the script for zsh: one _arguments for each command (zshcompsys(1)).
 */
#include "cmd/completions.h"

#include <string.h>

/* Text inside single quotes, with a backslash before what _arguments or _describe would take. */
static void write_quoted(struct output_file *file, const char *text, const char *special)
{
    for (const char *at = text; *at; at++) {
        char one[2] = {*at, '\0'};
        if (*at == '\'')
            output_text(file, "'\\''");
        else
            completions_write(file, one, special);
    }
}

/* ":MESSAGE:ACTION" */
static void write_action(struct output_file *file, const struct completion *completion)
{
    static const char *const actions[] = {
        [COMPLETION_NONE] = " ",
        [COMPLETION_FILE] = "_files",
        [COMPLETION_DIRECTORY] = "_files -/",
        [COMPLETION_PID] = "_pids",
        [COMPLETION_COMMAND] = " _command_names -e", /* a blank: called as it stands */
    };
    output_text(file, ":");
    write_quoted(file, completion->text, ":\\");
    if (*completion->words && completion->kind == COMPLETION_NONE)
        output_printf(file, ":(%s)", completion->words);
    else if (*completion->words)
        output_printf(file, ":{ compadd %s; %s }", completion->words, actions[completion->kind]);
    else
        output_printf(file, ":%s", actions[completion->kind]);
}

/* One form of an option; either shuts out both. */
static void write_option(struct output_file *file, const struct argp_option *option, bool letter)
{
    const char *optional = option->flags & OPTION_ARG_OPTIONAL ? "-" : "";
    output_text(file, " \\\n            '");
    if (option_has_letter(option) && option->name)
        output_printf(file, "(-%c --%s)", option->key, option->name);
    if (letter)
        output_printf(file, "-%c%s", option->key, !option->arg ? "" : *optional ? "-" : "+");
    else
        output_printf(file, "--%s%s%s", option->name, option->arg ? "=" : "", optional);
    output_text(file, "[");
    write_quoted(file, option->doc ? option->doc : "", "[]\\");
    output_text(file, "]");
    if (option->arg) {
        _cleanup_(completion_release) struct completion completion = completion_of(option->arg);
        output_text(file, *optional ? ":" : "");
        write_action(file, &completion);
    }
    output_text(file, "'");
}

static void write_operand(struct output_file *file, const struct completion *operand, size_t place)
{
    output_text(file, " \\\n            '");
    if (operand->kind == COMPLETION_COMMAND)
        output_text(file, "(-)");
    if (operand->repeats)
        output_text(file, "*");
    else
        output_unsigned(file, place);
    write_action(file, operand);
    output_text(file, "'");
}

static void write_command(struct output_file *file, const struct command *command)
{
    _cleanup_(command_line_release) struct command_line line;
    command_line_build(command, &line);
    output_printf(file, "        %s)\n            _arguments -s -S", command->name);
    for (size_t i = 0; i < line.options.options.count; i++) {
        const struct argp_option *option = &line.options.options.items[i];
        if (option_has_letter(option))
            write_option(file, option, true);
        if (option->name)
            write_option(file, option, false);
    }
    for (size_t i = 0; i < line.operands.count; i++) {
        write_operand(file, &line.operands.items[i], i + 1);
        if (line.operands.items[i].kind == COMPLETION_COMMAND) {
            output_text(file, " \\\n            '*::argument:_normal'");
            break;
        }
    }
    output_text(file, "\n            ;;\n");
}

void completions_zsh(struct output_file *file)
{
    output_text(file, "#compdef memprof\n"
                      "# zsh completion for memprof, written by `memprof completions zsh`\n"
                      "\n"
                      "_memprof()\n"
                      "{\n"
                      "    local curcontext=$curcontext state line\n"
                      "    local -A opt_args\n"
                      "    local -a names=(\n");
    for (const struct command *command = command_table; command->name; command++) {
        output_printf(file, "        '%s:", command->name);
        write_quoted(file, command->summary, ":\\");
        output_text(file, "'\n");
    }
    output_text(file, "    )\n"
                      "    _arguments -C \\\n"
                      "        '(- *)'{-\\?,--help}'[print the commands]' \\\n"
                      "        '(- *)'{-V,--version}'[print the version]' \\\n"
                      "        '1:command:->command' '*::argument:->argument'\n"
                      "    case $state in\n"
                      "    command) _describe 'memprof command' names ;;\n"
                      "    argument)\n"
                      "        curcontext=\"${curcontext%:*:*}:memprof-$line[1]:\"\n"
                      "        case $line[1] in\n");
    for (const struct command *command = command_table; command->name; command++)
        write_command(file, command);
    output_text(file, "        esac\n"
                      "        ;;\n"
                      "    esac\n"
                      "}\n"
                      "\n"
                      "if [[ $funcstack[1] == _memprof ]]; then\n"
                      "    _memprof \"$@\"\n"
                      "else\n"
                      "    compdef _memprof memprof\n"
                      "fi\n");
}
