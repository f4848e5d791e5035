/*
 * record.c - `memprof record`: CPU time and memory of a process into a profile.
 */
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/options_scan.h"
#include "cmd/session.h"
#include "core/limits.h"
#include "output/json.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_INTERVAL_MS = 250, WAIT_MS = 100 };

struct options {
    struct common_options common;
    struct session_options session;
};

/* Set by the handler: the signal that ends the recording. */
static volatile sig_atomic_t stop_signal;
/* Sent by a process, not by the terminal: a launched command has not got it itself. */
static volatile sig_atomic_t stop_was_sent;

static void on_stop(int number, siginfo_t *info, void *context)
{
    (void)context;
    stop_signal = number;
    stop_was_sent = info->si_code != SI_KERNEL;
}

static void install_handlers(void)
{
    struct sigaction action = {.sa_sigaction = on_stop, .sa_flags = SA_SIGINFO};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* Under nohup the command is to survive, and so is the recording. */
    struct sigaction old;
    if (!sigaction(SIGHUP, NULL, &old) && old.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
}

struct status_line {
    bool shown;
    uint64_t next_ns;
    double last_cpu_s;
    uint64_t last_ns;
};

static void status_show(struct status_line *status, const struct session *session)
{
    uint64_t now_ns = monotonic_ns();
    if (!status->shown || now_ns < status->next_ns)
        return;
    double cpu_s = session->last_user_s + session->last_system_s;
    double share = status->last_ns ? 100 * (cpu_s - status->last_cpu_s) /
                                         ((double)(now_ns - status->last_ns) / 1e9)
                                   : 0;
    const struct quality *quality = &session->raw->quality;
    fprintf(stderr,
            "\r\033[K%.1f s  %" PRIu64 " samples  %" PRIu64 " lost  CPU %.0f %%  RSS %.1f MB",
            (double)(now_ns - session->start_ns) / 1e9, quality->samples, quality->lost, share,
            (double)memory_reader_rss(session->memory) / 1e6);
    status->last_cpu_s = cpu_s;
    status->last_ns = now_ns;
    status->next_ns = now_ns + (uint64_t)STATUS_INTERVAL_MS * 1000000;
}

static void status_clear(const struct status_line *status)
{
    if (status->shown)
        fputs("\r\033[K", stderr);
}

/* On a line of its own, also where there is no status line. */
static void tell_long_pauses(const struct session *session, const struct status_line *status,
                             bool quiet)
{
    struct long_pause pause;
    while (session_gc_next_long(session->gc, &pause)) {
        if (quiet)
            continue;
        status_clear(status);
        fprintf(stderr, "Long GC pause: %.2f ms (%s)\n", pause.duration_ms,
                pause.what ? pause.what : "unknown");
    }
}

static bool is_over(const struct session *session)
{
    double limit_s = session->options.duration_s;
    return stop_signal ||
           (limit_s > 0 && (double)(monotonic_ns() - session->start_ns) >= limit_s * 1e9);
}

/* What was sent to memprof is meant for the command it runs, as with any wrapper. */
static void pass_on_signal(const struct session *session)
{
    int number = stop_signal;
    stop_signal = 0;
    if (number && stop_was_sent)
        kill(session->launch.pid, number);
}

/* A launched command goes on after -d or Ctrl-C; its status is memprof's own in the end. */
static int wait_for_command(const struct session *session, bool quiet)
{
    int status;
    pass_on_signal(session);
    if (target_alive(&session->target) && !quiet)
        message_print("the recording is written; waiting for %s (%d)", session->target.command,
                      session->launch.pid);
    struct pollfd ended = {.fd = session->target.pidfd, .events = POLLIN};
    pid_t got;
    while (!(got = waitpid(session->launch.pid, &status, WNOHANG))) {
        pass_on_signal(session);
        poll(&ended, 1, WAIT_MS);
    }
    if (got < 0)
        return EXIT_TROUBLE;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* One line for a person on standard error, or one object for a program on standard output. */
static void tell_result(const struct session *session, const struct options *options)
{
    const struct quality *quality = &session->raw->quality;
    const char *path = session->output_path;
    if (options->common.json) {
        _cleanup_(output_file_release) struct output_file file = {.fd = -1};
        struct error err;
        if (output_file_open("-", &file, &err))
            return;
        output_text(&file, "{\"schema\":1,\"file\":");
        json_write_string(&file, path);
        output_printf(&file, ",\"pid\":%d,\"samples\":%" PRIu64 ",\"lost\":%" PRIu64 "}\n",
                      session->target.pid, quality->samples, quality->lost);
        output_file_commit(&file, &err);
    } else if (!options->common.quiet) {
        char lost[64] = "";
        if (quality->lost)
            snprintf(lost, sizeof lost, ", %" PRIu64 " lost: lower -F or --stack-size",
                     quality->lost);
        message_print("%s: %" PRIu64 " samples of %s (%d)%s", path, quality->samples,
                      session->target.command, session->target.pid, lost);
    }
}

/* The text is empty where there is nobody to tell: see output_file_commit. */
static void tell_failure(const struct session *session, const struct error *err)
{
    if (*err->text && session->journal_kept)
        message_print("%s; `memprof recover %s` tries again", err->text, session->journal_path);
    else
        message_print("%s", err->text);
}

static void tell_full_disk(const struct session *session)
{
    double seconds = (double)(session->raw->meta.end_us - session->raw->meta.start_us) / 1e6;
    if (session->full.code)
        message_print("the recording ended after %.1f s: %s", seconds, session->full.text);
}

static int record(const struct options *options)
{
    _cleanup_(session_release) struct session session;
    struct error err;
    struct status_line status = {.shown = !options->common.quiet && isatty(STDERR_FILENO)};
    install_handlers();
    if (session_open(&session, &options->session, &err) || session_start(&session, &err)) {
        message_print("%s", err.text);
        return EXIT_TROUBLE;
    }
    if (*session.fallback && !options->common.quiet)
        message_print("sampling by ptrace instead of perf: %s", session.fallback);
    if (options->common.verbose)
        fprintf(stderr,
                "memprof: %s at %" PRIu32 " Hz, %" PRIu32 " bytes of stack, %s kernel frames\n",
                session.sampler->name, session.sampler->frequency_hz, session.sampler->stack_bytes,
                session.sampler->kernel_frames ? "with" : "without");
    while (!is_over(&session) && session_step(&session)) {
        tell_long_pauses(&session, &status, options->common.quiet);
        status_show(&status, &session);
    }
    int failed = session_finish(&session, &err);
    tell_long_pauses(&session, &status, options->common.quiet);
    status_clear(&status);
    if (failed)
        tell_failure(&session, &err);
    else
        tell_result(&session, options);
    tell_full_disk(&session);
    finish_tell(&session.finish, session.output_path, session.modules, options->common.verbose);
    int exit_status = session.full.code ? EXIT_TROUBLE : EXIT_FINE;
    if (session.launched)
        exit_status = wait_for_command(&session, options->common.quiet);
    return failed ? EXIT_TROUBLE : exit_status;
}

enum {
    KEY_MEMORY_INTERVAL = OPTION_OWN,
    KEY_CHILDREN,
    KEY_KERNEL,
    KEY_NO_KERNEL,
    KEY_THREADS,
    KEY_STACK_SIZE,
    KEY_SAMPLER,
    KEY_WALL
};

enum {
    FREQUENCY_DEFAULT_HZ = 999, /* not 1,000: out of step with timers of the target */
    STACK_DEFAULT_BYTES = 32 * 1024,
    STACK_LEAST_BYTES = 1024
};

static const struct argp_option option_table[] = {
    {"pid", 'p', "PID", 0, "attach to this process", 0},
    {"duration", 'd', "TIME", 0, "stop after 30, 1.5s, 2m, 1h (default: when the target ends)", 0},
    {"frequency", 'F', "HZ", 0, "samples per second of CPU time (default 999)", 0},
    {"output", 'o', "FILE", 0, "output (default memprof-PID.cpuprofile); - is standard output", 0},
    {"memory-interval", KEY_MEMORY_INTERVAL, "TIME", 0, "between memory readings (default 1s)", 0},
    {"children", KEY_CHILDREN, NULL, 0, "record its child processes, too", 0},
    {"kernel", KEY_KERNEL, NULL, 0, "record kernel frames (default, where permitted)", 0},
    {"no-kernel", KEY_NO_KERNEL, NULL, 0, "record user code only", 0},
    {"threads", KEY_THREADS, "all|main|TID", 0,
     "threads in the file's main sequence (default: main for Node.js and with --wall, else all); "
     "every thread is recorded in any case",
     0},
    {"sampler", KEY_SAMPLER, "auto|perf|ptrace", 0,
     "how samples are taken (default auto: perf, or ptrace where perf is forbidden)", 0},
    {"stack-size", KEY_STACK_SIZE, "SIZE", 0, "stack copied per sample (default 32K)", 0},
    {"wall", KEY_WALL, NULL, 0, "record time off the CPU, too, by the stack that waits", 0},
    {0},
};

static void parse_threads(struct session_options *options, const struct argp_state *state,
                          const char *text)
{
    options->threads_given = true;
    if (!strcmp(text, "all")) {
        options->write.threads = WRITE_THREADS_ALL;
    } else if (!strcmp(text, "main")) {
        options->write.threads = WRITE_THREADS_MAIN;
    } else {
        options->write.threads = WRITE_THREADS_ONE;
        options->write.tid = (uint32_t)option_integer(state, "--threads", text, 1, INT32_MAX);
    }
}

static enum sampler_choice parse_sampler(const struct argp_state *state, const char *text)
{
    static const char *const names[] = {
        [SAMPLER_AUTO] = "auto", [SAMPLER_PERF] = "perf", [SAMPLER_PTRACE] = "ptrace"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i]))
            return (enum sampler_choice)i;
    usage_error(state->argv[0], "--sampler is auto, perf or ptrace, not '%s'", text);
}

static uint32_t parse_stack_size(const struct argp_state *state, const char *text)
{
    uint64_t bytes = option_size(state, "--stack-size", text);
    if (bytes < STACK_LEAST_BYTES || bytes > 64 * 1024)
        usage_error(state->argv[0], "--stack-size is from 1K to 64K, not '%s'", text);
    return bytes > LIMIT_STACK_DUMP ? LIMIT_STACK_DUMP : (uint32_t)bytes & ~7u;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    struct session_options *session = &options->session;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case 'p':
        session->pid = (pid_t)option_integer(state, "-p", value, 1, INT32_MAX);
        return 0;
    case 'd':
        session->duration_s = (double)option_duration(state, "-d", value) / 1e6;
        return 0;
    case 'F':
        session->frequency_hz = (uint32_t)option_integer(state, "-F", value, 1, LIMIT_FREQUENCY_HZ);
        return 0;
    case 'o':
        session->output_path = value;
        return 0;
    case KEY_MEMORY_INTERVAL:
        session->memory_interval_s =
            (double)option_duration(state, "--memory-interval", value) / 1e6;
        return 0;
    case KEY_CHILDREN:
        session->children = true;
        return 0;
    case KEY_KERNEL:
    case KEY_NO_KERNEL:
        session->kernel = key == KEY_KERNEL;
        return 0;
    case KEY_THREADS:
        parse_threads(session, state, value);
        return 0;
    case KEY_SAMPLER:
        session->sampler = parse_sampler(state, value);
        return 0;
    case KEY_STACK_SIZE:
        session->stack_bytes = parse_stack_size(state, value);
        return 0;
    case KEY_WALL:
        session->wall = true;
        return 0;
    case ARGP_KEY_ARG: /* CMD: the rest of the line is its own */
        session->command = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_END:
        if (!session->pid == !session->command)
            usage_error(state->argv[0], "give either -p PID or -- CMD");
        if (options->common.json && session->output_path && !strcmp(session->output_path, "-"))
            usage_error(state->argv[0], "-o - and --json both write to standard output");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};

const struct argp record_argp = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "-p PID\n-- CMD [ARG...]",
    .doc = "Record where the CPU time and the memory of a process go. Ends when the target ends, "
           "after -d, or on Ctrl-C. With -- CMD the exit status is CMD's own.",
    .children = children,
};

int cmd_record(int argc, char **argv)
{
    struct options options = {
        .session = {.frequency_hz = FREQUENCY_DEFAULT_HZ,
                    .stack_bytes = STACK_DEFAULT_BYTES,
                    .memory_interval_s = 1,
                    .kernel = true},
    };
    options_parse(&record_argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
    return record(&options);
}
