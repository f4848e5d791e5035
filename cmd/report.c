/*
 * report.c - `memprof report`: a profile as text or JSON.
 */
#include "output/report.h"

#include "cmd/command.h"
#include "cmd/load.h"
#include "cmd/options.h"
#include "cmd/options_scan.h"

#include <inttypes.h>
#include <string.h>

struct options {
    struct common_options common;
    struct report_options report;
};

enum { KEY_TOP = OPTION_OWN, KEY_THREAD, KEY_TREE, KEY_SORT, KEY_CUT };

static const struct argp_option option_table[] = {
    {"top", KEY_TOP, "N", 0, "at most N rows of each section", 0},
    {"thread", KEY_THREAD, "TID", 0, "only the ticks of this thread", 0},
    {"tree", KEY_TREE, NULL, 0, "callees from the root down, in place of callers", 0},
    {"sort", KEY_SORT, "self|total", 0, "by a function's own ticks, or with its callees", 0},
    {"cut", KEY_CUT, "PERCENT", 0, "leave out callers and callees below this share (default 1)", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    struct report_options *report = &options->report;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case KEY_TOP:
        report->top = (uint32_t)option_integer(state, "--top", value, 1, UINT32_MAX);
        return 0;
    case KEY_THREAD:
        report->thread = option_integer(state, "--thread", value, 1, INT32_MAX);
        return 0;
    case KEY_TREE:
        report->tree = true;
        return 0;
    case KEY_SORT:
        report->sort_total = !strcmp(value, "total");
        if (!report->sort_total && strcmp(value, "self") != 0)
            usage_error(state->argv[0], "--sort takes self or total, not '%s'", value);
        return 0;
    case KEY_CUT:
        report->cut_percent = option_number(state, "--cut", value, 0, 100);
        return 0;
    case ARGP_KEY_ARG:
        if (report->file_name)
            usage_error(state->argv[0], "give one file; '%s' is a second one", value);
        report->file_name = value;
        return 0;
    case ARGP_KEY_END:
        if (!report->file_name)
            usage_error(state->argv[0], "give a file");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};

const struct argp report_argp = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "FILE",
    .doc = "Print where the time and the memory of a recording went. FILE is a .cpuprofile of "
           "memprof, Node.js or Chrome, a log of node --prof, or the text of perf script; - is "
           "standard input.",
    .children = children,
};

static int thread_check(const struct profile *profile, const struct report_options *options,
                        struct error *err)
{
    if (options->thread < 0)
        return 0;
    for (size_t i = 0; i < profile->threads.count; i++)
        if (profile->threads.items[i].tid == (uint64_t)options->thread)
            return 0;
    return error_set(err, ERROR_USAGE, "%s has no thread %" PRId64 "; `memprof report` lists them",
                     options->file_name, options->thread);
}

static int report(const struct report_options *options, bool json, struct error *err)
{
    _cleanup_profile_ struct profile *profile = NULL;
    _cleanup_(output_file_release) struct output_file file = {.fd = -1};
    if (profile_load(options->file_name, &profile, err) < 0 ||
        thread_check(profile, options, err) < 0 || output_file_open("-", &file, err) < 0)
        return -1;
    if (json)
        report_json(&file, profile, options);
    else
        report_text(&file, profile, options);
    return output_file_commit(&file, err);
}

int cmd_report(int argc, char **argv)
{
    struct options options = {.report = report_defaults};
    struct error err;
    options_parse(&report_argp, argc, argv, 0, NULL, &options);
    options.report.color = options_color(&options.common);
    if (report(&options.report, options.common.json, &err) == 0)
        return EXIT_FINE;
    message_print("%s", err.text);
    return EXIT_TROUBLE;
}
