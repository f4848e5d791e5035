/*
 * annotate.c - `memprof annotate`: source lines and instructions of one function with their ticks.
 */
#include "symbolize/annotate.h"

#include "cmd/command.h"
#include "cmd/function_name.h"
#include "cmd/load.h"
#include "cmd/options.h"
#include "cmd/options_scan.h"
#include "output/annotation.h"
#include "output/format.h"

#include <string.h>

struct options {
    struct common_options common;
    struct annotation_options print;
    const char *function, *source_root;
    bool intel;
};

enum { KEY_SOURCE = OPTION_OWN, KEY_ASM, KEY_INTEL, KEY_SOURCE_ROOT };

static const struct argp_option option_table[] = {
    {"source", KEY_SOURCE, NULL, 0, "only source lines", 0},
    {"asm", KEY_ASM, NULL, 0, "only instructions, all of them, with the lines they are from", 0},
    {"intel", KEY_INTEL, NULL, 0, "x86-64 instructions in Intel's syntax instead of AT&T's", 0},
    {"source-root", KEY_SOURCE_ROOT, "DIR", 0, "look for sources below DIR first", 0},
    {0},
};

static void set_view(struct options *options, const struct argp_state *state,
                     enum annotation_view view)
{
    if (options->print.view != ANNOTATION_MIXED && options->print.view != view)
        usage_error(state->argv[0], "give one of --source and --asm; without them both are shown");
    options->print.view = view;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case KEY_SOURCE:
        set_view(options, state, ANNOTATION_SOURCE);
        return 0;
    case KEY_ASM:
        set_view(options, state, ANNOTATION_CODE);
        return 0;
    case KEY_INTEL:
        options->intel = true;
        return 0;
    case KEY_SOURCE_ROOT:
        options->source_root = value;
        return 0;
    case ARGP_KEY_ARG:
        if (options->function)
            usage_error(state->argv[0], "give one file and one function; '%s' is too much", value);
        *(options->print.file_name ? &options->function : &options->print.file_name) = value;
        return 0;
    case ARGP_KEY_END:
        if (!options->function)
            usage_error(state->argv[0], "give a file and a function");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};

const struct argp annotate_argp = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "FILE FUNCTION",
    .doc = "Print a function's source lines and instructions with their ticks. FILE is a "
           ".cpuprofile of memprof, or with lines of JavaScript also of Node.js or Chrome; - is "
           "standard input. FUNCTION is its name, or as much of it as no other has.",
    .children = children,
};

static void cleanup_modules(struct modules **modules)
{
    modules_free(*modules);
}

static int run(const struct options *options, struct error *err)
{
    struct annotate_options how = {.source_root = options->source_root, .intel = options->intel};
    _cleanup_profile_ struct profile *profile = NULL;
    _cleanup_annotation_ struct annotation *annotation = NULL;
    _cleanup_(cleanup_modules) struct modules *modules = NULL;
    _cleanup_(output_file_release) struct output_file file = {.fd = -1};
    if (profile_load(options->print.file_name, &profile, err) < 0 ||
        function_name_find(profile, options->function, options->print.file_name, &how.function,
                           err) < 0)
        return -1;
    modules = modules_open_stored(profile);
    if (annotate(profile, modules, &how, &annotation, err) < 0)
        return -1;
    if (options->print.view == ANNOTATION_CODE && !annotation->code.count)
        return error_set(err, ERROR_UNSUPPORTED,
                         "no instructions of JavaScript are stored; leave --asm out");
    if (options->print.view == ANNOTATION_SOURCE && !annotation->lines.count)
        return error_set(err, ERROR_UNSUPPORTED,
                         "no debug information tells the lines of %.200s; leave --source out, or "
                         "install its debug file",
                         annotation_string(annotation, annotation->function));
    if (output_file_open("-", &file, err) < 0)
        return -1;
    if (options->common.json)
        annotation_json(&file, annotation, &options->print);
    else
        annotation_text(&file, annotation, &options->print);
    return output_file_commit(&file, err);
}

int cmd_annotate(int argc, char **argv)
{
    struct options options = {0};
    struct error err;
    options_parse(&annotate_argp, argc, argv, 0, NULL, &options);
    options.print.color = options_color(&options.common);
    if (run(&options, &err) == 0)
        return EXIT_FINE;
    message_print("%s", err.text);
    return EXIT_TROUBLE;
}
