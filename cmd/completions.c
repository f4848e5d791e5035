/*
 * completions.c - `memprof completions`: a script with which a shell completes command lines.
 *
 * The scripts hold all there is to know, so that a shell need not run memprof to complete. They
 * are made when memprof is built and installed with it; the command is there for who has the
 * binary alone.
 */
#include "cmd/completions.h"

#include "cmd/options.h"

#include <ctype.h>
#include <string.h>

void completions_write(struct output_file *file, const char *text, const char *special)
{
    for (const char *at = text; *at; at++) {
        if (strchr(special, *at))
            output_text(file, "\\");
        output_write(file, at, 1);
    }
}

bool option_has_letter(const struct argp_option *option)
{
    return option->key > 0 && option->key < 128 && isgraph(option->key);
}

/* --- arguments --- */

static enum completion_kind kind_of(const char *name)
{
    static const struct {
        const char *prefix;
        enum completion_kind kind;
    } kinds[] = {{"FILE", COMPLETION_FILE},
                 {"DIR", COMPLETION_DIRECTORY},
                 {"PID", COMPLETION_PID},
                 {"CMD", COMPLETION_COMMAND}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)))
            return kinds[i].kind;
    return COMPLETION_NONE;
}

struct completion completion_of(const char *text)
{
    struct completion completion = {.text = xstrdup(text), .words = xstrdup("")};
    _cleanup_free_ char *copy = xstrdup(text);
    char *save = NULL;
    for (char *word = strtok_r(copy, "|", &save); word; word = strtok_r(NULL, "|", &save)) {
        if (isupper((unsigned char)*word)) {
            completion.kind = kind_of(word);
            continue;
        }
        _cleanup_free_ char *before = completion.words;
        completion.words = xasprintf("%s%s%s", before, *before ? " " : "", word);
    }
    return completion;
}

void completion_release(struct completion *completion)
{
    free(completion->text);
    free(completion->words);
}

/* --- lines --- */

/* "[FILE...]" is FILE, and repeats. */
static struct completion operand_of(char *word)
{
    size_t length = strlen(word);
    char *open = *word == '[' ? word + 1 : word;
    if (length && word[length - 1] == ']')
        word[--length] = '\0';
    char *dots = strstr(open, "...");
    if (dots)
        *dots = '\0';
    struct completion completion = completion_of(open);
    completion.repeats = dots;
    return completion;
}

/* One way to write the line: "-p PID" holds no operand, "-- CMD [ARG...]" two. */
static void collect_operands(struct command_line *line, char *way)
{
    char *save = NULL;
    size_t count = 0;
    for (char *word = strtok_r(way, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        if (*word == '-') {
            if (strcmp(word, "--") != 0)
                strtok_r(NULL, " ", &save);
            continue;
        }
        if (count++ < line->operands.count)
            continue; /* an earlier way tells */
        struct completion operand = operand_of(word);
        vec_append(&line->operands, operand);
    }
}

void command_line_build(const struct command *command, struct command_line *ret_line)
{
    *ret_line = (struct command_line){0};
    option_table_build(command->argp, &ret_line->options);
    size_t kept = 0;
    for (size_t i = 0; i < ret_line->options.options.count; i++) {
        struct argp_option *option = &ret_line->options.options.items[i];
        if (!(option->flags & OPTION_HIDDEN))
            ret_line->options.options.items[kept++] = *option;
    }
    ret_line->options.options.count = kept;
    _cleanup_free_ char *ways = xstrdup(command->argp->args_doc ? command->argp->args_doc : "");
    char *save = NULL;
    for (char *way = strtok_r(ways, "\n", &save); way; way = strtok_r(NULL, "\n", &save))
        collect_operands(ret_line, way);
}

void command_line_release(struct command_line *line)
{
    option_table_release(&line->options);
    for (size_t i = 0; i < line->operands.count; i++)
        completion_release(&line->operands.items[i]);
    vec_release(&line->operands);
}

/* --- the command --- */

static const struct {
    const char *name;
    void (*write)(struct output_file *file);
} shells[] = {
    {"bash", completions_bash},
    {"fish", completions_fish},
    {"zsh", completions_zsh},
};

struct options {
    struct common_options common;
    void (*write)(struct output_file *file);
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case ARGP_KEY_ARG:
        if (options->write)
            usage_error(state->argv[0], "give one shell; '%s' is a second one", value);
        for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
            if (!strcmp(value, shells[i].name))
                options->write = shells[i].write;
        if (!options->write)
            usage_error(state->argv[0], "'%s' is not one of bash, fish and zsh", value);
        return 0;
    case ARGP_KEY_END:
        if (!options->write)
            usage_error(state->argv[0], "give a shell: bash, fish or zsh");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};

const struct argp completions_argp = {
    .parser = parse_option,
    .args_doc = "bash|fish|zsh",
    .doc = "Print the script with which a shell completes memprof's command lines.",
    .children = children,
};

int cmd_completions(int argc, char **argv)
{
    struct options options = {0};
    _cleanup_(output_file_release) struct output_file file = {.fd = -1};
    struct error err;
    options_parse(&completions_argp, argc, argv, 0, NULL, &options);
    if (output_file_open("-", &file, &err) == 0) {
        options.write(&file);
        if (output_file_commit(&file, &err) == 0)
            return EXIT_FINE;
    }
    message_print("%s", err.text);
    return EXIT_TROUBLE;
}
