/*
 * completions_bash.c - the script for bash 4 and later, without need of the package
 * bash-completion.
 *
 * Two tables as functions, what an argument is and which options there are, and one function
 * that walks the line. bash splits a word at "=", so "--color=al" comes as three words. A kind of
 * argument is written as "@file" and so on among the words to choose from.
 */
#include "cmd/completions.h"

#include <string.h>

static const char script_end[] =
    "\n"
    "# Offers what $1 says and begins with $2; $3 stands before it in the same word.\n"
    "_memprof_offer()\n"
    "{\n"
    "    local words='' what list\n"
    "    read -ra list <<<\"$1\"\n"
    "    for what in \"${list[@]}\"; do\n"
    "        case $what in\n"
    "        @file)\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t COMPREPLY < <(compgen -P \"$3\" -f -- \"$2\")\n"
    "            ;;\n"
    "        @directory)\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t COMPREPLY < <(compgen -P \"$3\" -d -- \"$2\")\n"
    "            ;;\n"
    "        @command) mapfile -t COMPREPLY < <(compgen -P \"$3\" -c -- \"$2\") ;;\n"
    "        @pid) words+=\" $(cd /proc && echo [0-9]*)\" ;;\n"
    "        @none) ;;\n"
    "        *) words+=\" $what\" ;;\n"
    "        esac\n"
    "    done\n"
    "    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -P \"$3\" -W \"$words\" -- \"$2\")\n"
    "}\n"
    "\n"
    "_memprof()\n"
    "{\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local command=${COMP_WORDS[1]} before='' dashes='' operand=1 reply='' i\n"
    "    COMPREPLY=()\n"
    "    if ((COMP_CWORD == 1)); then\n"
    "        _memprof_offer \"$_memprof_commands\" \"$current\"\n"
    "        return\n"
    "    fi\n"
    "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
    "        if [[ $dashes || ${COMP_WORDS[i]} != -* ]]; then\n"
    "            _memprof_argument \"$command $operand\"\n"
    "            if [[ $reply == @command ]]; then\n"
    "                if declare -F _command_offset >/dev/null; then\n"
    "                    _command_offset \"$i\"\n"
    "                else\n"
    "                    _memprof_offer @file \"$current\"\n"
    "                fi\n"
    "                return\n"
    "            fi\n"
    "            ((++operand))\n"
    "        elif [[ ${COMP_WORDS[i]} == -- ]]; then\n"
    "            dashes=yes\n"
    "        elif [[ ${COMP_WORDS[i + 1]} == = ]]; then\n"
    "            ((i += 2))\n"
    "        elif _memprof_argument \"$command ${COMP_WORDS[i]}\"; then\n"
    "            ((++i))\n"
    "        fi\n"
    "    done\n"
    "    if [[ $current == = ]]; then\n"
    "        current=''\n"
    "    elif [[ $previous == = ]]; then\n"
    "        previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    elif [[ ! $dashes && $current == --*=* ]]; then\n"
    "        previous=${current%%=*}\n"
    "        before=$previous=\n"
    "        current=${current#*=}\n"
    "    fi\n"
    "    if [[ ! $dashes && $previous == -* ]] && _memprof_argument \"$command $previous\"; then\n"
    "        _memprof_offer \"$reply\" \"$current\" \"$before\"\n"
    "    elif [[ ! $dashes && $current == -* ]]; then\n"
    "        _memprof_options \"$command\"\n"
    "        _memprof_offer \"$reply\" \"$current\"\n"
    "    elif _memprof_argument \"$command $operand\"; then\n"
    "        _memprof_offer \"$reply\" \"$current\"\n"
    "    fi\n"
    "}\n"
    "\n"
    "complete -F _memprof memprof\n";

static void write_reply(struct output_file *file, const struct completion *completion)
{
    static const char *const kinds[] = {
        [COMPLETION_NONE] = "@none",           [COMPLETION_FILE] = "@file",
        [COMPLETION_DIRECTORY] = "@directory", [COMPLETION_PID] = "@pid",
        [COMPLETION_COMMAND] = "@command",
    };
    bool both = *completion->words && completion->kind != COMPLETION_NONE;
    output_printf(file, ") reply='%s%s%s' ;;\n", completion->words, both ? " " : "",
                  *completion->words && !both ? "" : kinds[completion->kind]);
}

static void write_arguments(struct output_file *file, const char *name,
                            const struct command_line *line)
{
    for (size_t i = 0; i < line->options.options.count; i++) {
        const struct argp_option *option = &line->options.options.items[i];
        if (!option->arg || option->flags & OPTION_ARG_OPTIONAL)
            continue; /* an optional argument is no word of its own */
        _cleanup_(completion_release) struct completion completion = completion_of(option->arg);
        output_text(file, "    ");
        if (option_has_letter(option))
            output_printf(file, "'%s -%c'%s", name, option->key, option->name ? " | " : "");
        if (option->name)
            output_printf(file, "'%s --%s'", name, option->name);
        write_reply(file, &completion);
    }
    for (size_t i = 0; i < line->operands.count; i++) {
        const struct completion *operand = &line->operands.items[i];
        if (operand->repeats)
            output_printf(file, "    '%s '[0-9]*", name);
        else
            output_printf(file, "    '%s %zu'", name, i + 1);
        write_reply(file, operand);
    }
}

static void write_options(struct output_file *file, const char *name,
                          const struct command_line *line)
{
    output_printf(file, "    %s) reply='", name);
    for (size_t i = 0; i < line->options.options.count; i++) {
        const struct argp_option *option = &line->options.options.items[i];
        output_text(file, i ? " " : "");
        if (option_has_letter(option))
            output_printf(file, "-%c%s", option->key, option->name ? " " : "");
        if (option->name)
            output_printf(file, "--%s", option->name);
    }
    output_text(file, "' ;;\n");
}

static void write_function(struct output_file *file, const char *head,
                           void (*write)(struct output_file *, const char *,
                                         const struct command_line *))
{
    output_text(file, head);
    output_text(file, "{\n    case $1 in\n");
    for (const struct command *command = command_table; command->name; command++) {
        _cleanup_(command_line_release) struct command_line line;
        command_line_build(command, &line);
        write(file, command->name, &line);
    }
    output_text(file, "    *) return 1 ;;\n    esac\n}\n");
}

void completions_bash(struct output_file *file)
{
    output_text(file, "# bash completion for memprof, written by `memprof completions bash`\n"
                      "\n_memprof_commands='");
    for (const struct command *command = command_table; command->name; command++)
        output_printf(file, "%s ", command->name);
    output_text(file, "--help --version'\n");
    write_function(
        file,
        "\n# What the argument of \"COMMAND OPTION\" is, or the one at \"COMMAND PLACE\"; "
        "fails if it has none.\n"
        "_memprof_argument()\n",
        write_arguments);
    write_function(file, "\n_memprof_options()\n", write_options);
    output_text(file, script_end);
}
