/*
 * getopt_long knows what is wrong with a command line but says it in its own words and knows no
 * near names. So argv is scanned against the argp tables first (options_scan.c), with the same
 * rules, and only a line without such errors reaches argp_parse.
 */
#include "cmd/options.h"

#include "cmd/command.h"
#include "cmd/options_scan.h"
#include "core/alloc.h"
#include "output/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { COMMON_GROUP = -2, LINE_BYTES = 1024 };

static error_t parse_common(int key, char *argument, struct argp_state *state)
{
    struct common_options *options = state->input;
    switch (key) {
    case 'q':
        options->quiet = true;
        return 0;
    case 'v':
        options->verbose = true;
        return 0;
    case OPTION_JSON:
        options->json = true;
        return 0;
    case OPTION_COLOR:
        if (!strcmp(argument, "auto"))
            options->color = COLOR_AUTO;
        else if (!strcmp(argument, "always"))
            options->color = COLOR_ALWAYS;
        else if (!strcmp(argument, "never"))
            options->color = COLOR_NEVER;
        else
            usage_error(state->argv[0], "--color takes auto, always or never, not '%s'", argument);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option common_table[] = {
    {"quiet", 'q', NULL, 0, "no status and no progress, only results and errors", COMMON_GROUP},
    {"verbose", 'v', NULL, 0, "say more about what is done", COMMON_GROUP},
    {"json", OPTION_JSON, NULL, 0, "print JSON", COMMON_GROUP},
    {"color", OPTION_COLOR, "auto|always|never", 0, "colour (default auto, which honours NO_COLOR)",
     COMMON_GROUP},
    {0},
};

const struct argp options_common = {.options = common_table, .parser = parse_common};

bool options_color(const struct common_options *options)
{
    if (options->color != COLOR_AUTO)
        return options->color == COLOR_ALWAYS;
    const char *no_color = getenv("NO_COLOR");
    return (!no_color || !*no_color) && isatty(STDOUT_FILENO);
}

/* In one write, so that the line stays whole between those of other processes. */
static void print_line(const char *text)
{
    /* Each byte may become \xNN. */
    char buffer[sizeof "memprof: \n" + 4 * LINE_BYTES];
    struct output_file line = {.fd = STDERR_FILENO, .buffer = buffer};
    if (!*text)
        return;
    output_text(&line, "memprof: ");
    output_escaped(&line, text);
    output_text(&line, "\n");
    for (size_t done = 0; done < line.used;) {
        ssize_t written = write(STDERR_FILENO, buffer + done, line.used - done);
        if (written < 0 && errno != EINTR)
            return;
        done += written < 0 ? 0 : (size_t)written;
    }
}

void message_print(const char *format, ...)
{
    char text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_line(text);
}

void usage_error(const char *argv0, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    message_print("%s; see `%s --help`", text, argv0);
    exit(EXIT_TROUBLE);
}

int stdout_finish(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_FINE;
    if (errno != EPIPE)
        message_print("cannot write standard output: %s", strerror(errno));
    return EXIT_TROUBLE;
}

void options_parse(const struct argp *argp, int argc, char **argv, unsigned flags,
                   int *ret_arg_index, void *input)
{
    struct error err = {0};
    if (options_scan(argp, argc, argv, flags & ARGP_IN_ORDER, &err) < 0)
        usage_error(argv[0], "%s", err.text);
    argp_err_exit_status = EXIT_TROUBLE;
    error_t failed = argp_parse(argp, argc, argv, flags, ret_arg_index, input);
    if (failed)
        usage_error(argv[0], "%s", strerror(failed));
}

/* --- arguments --- */

/* strtod without what it takes beside decimal numbers: space, infinity, hexadecimal. */
static int decimal_read(const char *text, double *ret_value, const char **ret_rest)
{
    if (!*text || !strchr("0123456789.-", *text) || strpbrk(text, "xXpPnN"))
        return -1;
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || !isfinite(value))
        return -1;
    *ret_value = value;
    *ret_rest = end;
    return 0;
}

struct unit {
    const char *name;
    double factor;
};

static int with_unit_read(const char *text, const struct unit *units, uint64_t *ret_value)
{
    double value = 0;
    const char *rest = NULL;
    if (decimal_read(text, &value, &rest) < 0 || value < 0)
        return -1;
    while (units->name && strcmp(units->name, rest) != 0)
        units++;
    value = round(value * units->factor);
    if (!units->name || value >= 0x1p63)
        return -1;
    *ret_value = (uint64_t)value;
    return 0;
}

int duration_parse(const char *text, uint64_t *ret_us, struct error *err)
{
    static const struct unit units[] = {{"", 1e6},     {"s", 1e6},    {"m", 60e6},
                                        {"min", 60e6}, {"h", 3600e6}, {0}};
    static const struct unit small[] = {{"ms", 1e3}, {"us", 1}, {0}};
    uint64_t value_us = 0;
    if ((with_unit_read(text, units, &value_us) < 0 &&
         with_unit_read(text, small, &value_us) < 0) ||
        !value_us)
        return error_set(err, ERROR_USAGE, "'%s' is no time, such as 30, 1.5s, 2m or 1h", text);
    *ret_us = value_us;
    return 0;
}

int size_parse(const char *text, uint64_t *ret_bytes, struct error *err)
{
    static const struct unit units[] = {
        {"", 1},         {"B", 1},        {"K", 0x1p10},  {"k", 0x1p10},   {"KB", 0x1p10},
        {"KiB", 0x1p10}, {"M", 0x1p20},   {"MB", 0x1p20}, {"MiB", 0x1p20}, {"G", 0x1p30},
        {"GB", 0x1p30},  {"GiB", 0x1p30}, {"T", 0x1p40},  {"TiB", 0x1p40}, {0}};
    if (with_unit_read(text, units, ret_bytes) < 0)
        return error_set(err, ERROR_USAGE, "'%s' is no size, such as 4096, 64K, 1.5M or 2G", text);
    return 0;
}

int integer_parse(const char *text, int64_t least, int64_t most, int64_t *ret_value,
                  struct error *err)
{
    const char *digits = text + (*text == '-');
    if (!*digits || digits[strspn(digits, "0123456789")])
        return error_set(err, ERROR_USAGE, "'%s' is no whole number", text);
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno || value < least || value > most)
        return error_set(err, ERROR_USAGE, "%s is not between %" PRId64 " and %" PRId64, text,
                         least, most);
    *ret_value = value;
    return 0;
}

int number_parse(const char *text, double least, double most, double *ret_value, struct error *err)
{
    double value = 0;
    const char *rest = NULL;
    if (decimal_read(text, &value, &rest) < 0 || *rest)
        return error_set(err, ERROR_USAGE, "'%s' is no number", text);
    if (value < least || value > most)
        return error_set(err, ERROR_USAGE, "%s is not between %g and %g", text, least, most);
    *ret_value = value;
    return 0;
}

uint64_t option_duration(const struct argp_state *state, const char *option, const char *text)
{
    struct error err = {0};
    uint64_t value_us = 0;
    if (duration_parse(text, &value_us, &err) < 0)
        usage_error(state->argv[0], "%s: %s", option, err.text);
    return value_us;
}

uint64_t option_size(const struct argp_state *state, const char *option, const char *text)
{
    struct error err = {0};
    uint64_t value = 0;
    if (size_parse(text, &value, &err) < 0)
        usage_error(state->argv[0], "%s: %s", option, err.text);
    return value;
}

int64_t option_integer(const struct argp_state *state, const char *option, const char *text,
                       int64_t least, int64_t most)
{
    struct error err = {0};
    int64_t value = 0;
    if (integer_parse(text, least, most, &value, &err) < 0)
        usage_error(state->argv[0], "%s: %s", option, err.text);
    return value;
}

double option_number(const struct argp_state *state, const char *option, const char *text,
                     double least, double most)
{
    struct error err = {0};
    double value = 0;
    if (number_parse(text, least, most, &value, &err) < 0)
        usage_error(state->argv[0], "%s: %s", option, err.text);
    return value;
}
