/*
 * recover.c - `memprof recover`: the file of a recording that was killed, from its journal.
 */
#include "cmd/command.h"
#include "cmd/finish.h"
#include "cmd/options.h"
#include "cmd/session_journal.h"
#include "core/journal.h"
#include "core/target.h"
#include "output/json.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
    struct common_options common;
    const char *journal_path, *output_path;
};

struct recovery {
    int fd;
    struct profile *raw;
    struct modules *modules;
    struct journal_found found;
    struct output_file output;
    struct finish finish;
    char *output_path; /* owned */
    bool kept;         /* the journal: there is more in it */
};

static void recovery_release(struct recovery *recovery)
{
    profile_free(recovery->raw);
    modules_free(recovery->modules);
    output_file_release(&recovery->output);
    free(recovery->output_path);
    if (recovery->fd >= 0)
        close(recovery->fd);
}

static const char suffix[] = ".part";

/* FILE of FILE.part. */
static char *path_without_suffix(const char *path)
{
    size_t length = strlen(path);
    return length > strlen(suffix) && !strcmp(path + length - strlen(suffix), suffix)
               ? xstrndup(path, length - strlen(suffix))
               : NULL;
}

/* The process as it was recorded, not another one of the same number. */
static bool still_runs(const struct recovery *recovery)
{
    struct target target;
    if (target_open((pid_t)recovery->raw->meta.pid, &target, NULL))
        return false;
    bool same = target.start_time == recovery->found.origin.process_start;
    target_release(&target);
    return same;
}

static void open_modules(struct recovery *recovery)
{
    char boot_id[40];
    boot_id_read(boot_id);
    recovery->modules = modules_open_stored(recovery->raw);
    if (strcmp(boot_id, recovery->found.origin.boot_id) != 0)
        recovery->modules->items.items[0]->problem =
            xstrdup("the machine was started anew since it was recorded");
    else if (still_runs(recovery))
        modules_take_running(recovery->modules, recovery->raw, (pid_t)recovery->raw->meta.pid);
}

/*
 * What the recording had for its output is left beside the journal, with all the room it took.
 * A journal may lie: only a name that memprof gives its temporary files is removed.
 */
static void remove_temporary(const struct recovery *recovery, const char *journal_path)
{
    static const char beginning[] = ".memprof-", ending[] = ".tmp";
    const char *name = recovery->found.origin.temporary, *slash = strrchr(journal_path, '/');
    size_t length = strlen(name);
    if (strncmp(name, beginning, strlen(beginning)) || strchr(name, '/') ||
        length < strlen(beginning) + strlen(ending) ||
        strcmp(name + length - strlen(ending), ending))
        return;
    _cleanup_free_ char *path =
        xasprintf("%.*s%s", slash ? (int)(slash - journal_path + 1) : 0, journal_path, name);
    unlink(path);
}

static void fill_note(struct recovery *recovery)
{
    struct profile *raw = recovery->raw;
    const struct journal_found *found = &recovery->found;
    const char *old = profile_string(raw, raw->quality.note);
    _cleanup_free_ char *torn =
        xasprintf(", torn at byte %" PRIu64 " of %" PRIu64, found->read, found->bytes);
    _cleanup_free_ char *note =
        xasprintf("recovered from %s%s%s%s",
                  found->finished ? "its journal" : "the journal of a recording that was killed",
                  found->read < found->bytes ? torn : "", *old ? "; " : "", old);
    raw->quality.note = strings_intern(&raw->strings, note);
    raw->quality.present = true;
}

static int choose_finish(struct recovery *recovery, struct error *err)
{
    const struct journal_origin *origin = &recovery->found.origin;
    recovery->finish = (struct finish){
        .format = finish_format(recovery->output_path, err),
        .write = {.threads = origin->show_threads <= WRITE_THREADS_ONE ? origin->show_threads
                                                                       : WRITE_THREADS_ALL,
                  .tid = origin->show_tid},
        .threads_given = origin->show_given,
    };
    return recovery->finish.format ? 0 : -1;
}

/*
 * Nothing that could still be had from it may be lost, and what stands at its path may be another
 * file by now: the output itself, or the journal of a new recording.
 */
static bool remove_journal(const struct recovery *recovery, const char *path)
{
    struct stat opened, found;
    if (recovery->found.refused || recovery->finish.samples_cut)
        return false;
    if (!fstat(recovery->fd, &opened) && !lstat(path, &found) && opened.st_dev == found.st_dev &&
        opened.st_ino == found.st_ino)
        unlink(path);
    return true;
}

static int recover(const struct options *options, struct recovery *recovery, struct error *err)
{
    const char *path = options->journal_path;
    recovery->output_path =
        options->output_path ? xstrdup(options->output_path) : path_without_suffix(path);
    if (!recovery->output_path)
        return error_set(err, ERROR_USAGE, "%s does not end in .part: give the output with -o",
                         path);
    if (journal_open(path, &recovery->fd, err) ||
        journal_read(recovery->fd, path, &recovery->raw, &recovery->found, err) ||
        choose_finish(recovery, err))
        return -1;
    remove_temporary(recovery, path);
    if (output_file_open(recovery->output_path, &recovery->output, err))
        return -1;
    open_modules(recovery);
    fill_note(recovery);
    if (finish_profile(&recovery->finish, recovery->raw, recovery->modules, &recovery->output, err))
        return -1;
    recovery->kept = !remove_journal(recovery, path);
    return 0;
}

static void tell_json(const struct recovery *recovery)
{
    const struct journal_found *found = &recovery->found;
    _cleanup_(output_file_release) struct output_file file = {.fd = -1};
    struct error err;
    if (output_file_open("-", &file, &err))
        return;
    output_text(&file, "{\"schema\":1,\"file\":");
    json_write_string(&file, recovery->output_path);
    output_printf(&file,
                  ",\"pid\":%u,\"samples\":%" PRIu64 ",\"lost\":%" PRIu64
                  ",\"finished\":%s,\"bytes\":%" PRIu64 ",\"read\":%" PRIu64 "}\n",
                  recovery->raw->meta.pid, recovery->raw->quality.samples,
                  recovery->raw->quality.lost, found->finished ? "true" : "false", found->bytes,
                  found->read);
    output_file_commit(&file, &err);
}

static void tell_result(const struct recovery *recovery)
{
    const struct profile *raw = recovery->raw;
    const struct journal_found *found = &recovery->found;
    _cleanup_free_ char *torn =
        found->read < found->bytes
            ? xasprintf("; the journal is torn at byte %" PRIu64 " of %" PRIu64, found->read,
                        found->bytes)
            : NULL;
    message_print("%s: %" PRIu64 " samples of %s (%u), %.1f s%s", recovery->output_path,
                  raw->quality.samples, profile_string(raw, raw->meta.command), raw->meta.pid,
                  (double)(raw->meta.end_us - raw->meta.start_us) / 1e6,
                  torn              ? torn
                  : found->finished ? ""
                                    : "; less than the last second is missing");
}

static const struct argp_option option_table[] = {
    {"output", 'o', "FILE", 0, "output (default: the name without .part); - is standard output", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case 'o':
        options->output_path = value;
        return 0;
    case ARGP_KEY_ARG:
        if (options->journal_path)
            usage_error(state->argv[0], "give one file; '%s' is a second one", value);
        options->journal_path = value;
        return 0;
    case ARGP_KEY_END:
        if (!options->journal_path)
            usage_error(state->argv[0], "give the FILE.part of a recording");
        if (options->common.json && options->output_path && !strcmp(options->output_path, "-"))
            usage_error(state->argv[0], "-o - and --json both write to standard output");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};

const struct argp recover_argp = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "FILE.part",
    .doc = "Make the profile of a recording that was killed before its end, and remove what the "
           "recording left. The target need not run any more.",
    .children = children,
};

int cmd_recover(int argc, char **argv)
{
    struct options options = {0};
    struct error err;
    options_parse(&recover_argp, argc, argv, 0, NULL, &options);
    _cleanup_(recovery_release) struct recovery recovery = {.fd = -1, .output = {.fd = -1}};
    if (recover(&options, &recovery, &err)) {
        message_print("%s", err.text);
        return EXIT_TROUBLE;
    }
    if (options.common.json)
        tell_json(&recovery);
    else if (!options.common.quiet)
        tell_result(&recovery);
    if (recovery.kept)
        message_print("%s is kept: it holds more than could be written", options.journal_path);
    finish_tell(&recovery.finish, recovery.output_path, recovery.modules, options.common.verbose);
    return EXIT_FINE;
}
