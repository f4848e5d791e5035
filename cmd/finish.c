#include "cmd/finish.h"

#include "cmd/options.h"
#include "symbolize/symbolize.h"

#include <inttypes.h>
#include <string.h>

const struct format *finish_format(const char *path, struct error *err)
{
    const struct format *format = format_for_path(strcmp(path, "-") ? path : "stdout.cpuprofile");
    if (format && format->write)
        return format;
    error_set(err, ERROR_USAGE, "cannot write %s: its suffix names no format; use .cpuprofile",
              path);
    return NULL;
}

/* Node.js is known by a function of its own, in the executable or in libnode.so. */
static bool is_node(struct modules *modules)
{
    for (size_t i = 0; i < modules->items.count; i++) {
        const char *base = strrchr(modules->items.items[i]->path, '/');
        if (base && (!strncmp(base, "/node", 5) || !strncmp(base, "/libnode", 8)) &&
            module_has_symbol(modules->items.items[i], "_ZN4node5StartEiPPc"))
            return true;
    }
    return false;
}

static bool has_waits(const struct profile *raw)
{
    for (size_t i = 0; i < raw->threads.count; i++)
        if (raw->threads.items[i].waiting || raw->threads.items[i].runnable)
            return true;
    return false;
}

/*
 * One sequence can show one thread's time off the CPU only: for that of all threads together it
 * has no room. What was recorded is not given up for a thread that slept, or that never was.
 */
static void choose_threads(struct finish *finish, const struct profile *raw,
                           struct modules *modules)
{
    struct write_options *write = &finish->write;
    if (!finish->threads_given && (has_waits(raw) || is_node(modules)))
        write->threads = WRITE_THREADS_MAIN;
    if (write->threads != WRITE_THREADS_ONE)
        return;
    for (size_t i = 0; i < raw->threads.count; i++)
        if (raw->threads.items[i].tid == write->tid)
            return;
    finish->thread_missing = true;
    write->threads = WRITE_THREADS_ALL;
}

int finish_profile(struct finish *finish, struct profile *raw, struct modules *modules,
                   struct output_file *output, struct error *err)
{
    choose_threads(finish, raw, modules);
    _cleanup_profile_ struct profile *profile = symbolize_profile(raw, modules);
    uint64_t all = profile->samples.count, count = all;
    while (true) {
        if (finish->format->write(output, profile, &finish->write, err))
            return -1;
        if (!count || !output_file_is_full(output))
            break;
        output_file_rewind(output);
        count /= 2;
        sequence_cut(&profile->samples, count);
    }
    finish->samples_cut = all - count;
    return output_file_commit(output, err);
}

void finish_tell(const struct finish *finish, const char *path, const struct modules *modules,
                 bool verbose)
{
    if (finish->thread_missing)
        message_print("thread %" PRIu32 " was never sampled: all threads are shown instead",
                      finish->write.tid);
    if (finish->samples_cut)
        message_print("%s: no room for the order of the last %" PRIu64 " samples, only their sums",
                      path, finish->samples_cut);
    for (size_t i = 0; verbose && i < modules->items.count; i++) {
        const struct module *module = modules->items.items[i];
        if (module->problem)
            message_print("no symbols of %s: %s", module->path, module->problem);
    }
}
