/*
 * info.c - `memprof info`: what works on this machine, and the remedy for what does not.
 */
#include "cmd/command.h"
#include "cmd/options.h"
#include "core/small_file.h"
#include "core/system_info.h"
#include "output/escape.h"
#include "output/json.h"
#include "symbolize/debug_file.h"
#include "symbolize/kernel_symbols.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>

static const struct {
    const char *name, *color;
} states[] = {
    [PROBE_WORKS] = {"works", "\033[32m"},
    [PROBE_LIMITED] = {"limited", "\033[33m"},
    [PROBE_MISSING] = {"missing", "\033[31m"},
};

enum { STATES = sizeof states / sizeof *states, NAME_WIDTH = 16 };

/* --- rows that symbolize/ knows about --- */

/* As kallsyms_show_value() of the kernel has it. */
static char *kernel_names_remedy(struct system_info *info, int64_t restricted)
{
    const int syslog[] = {CAP_SYSLOG, -1};
    const char *open_sysctl = "kernel.kptr_restrict=0 kernel.perf_event_paranoid=1";
    bool capable = privileges_have(&info->privileges, CAP_SYSLOG);
    if (restricted > 1)
        return xasprintf("`sysctl %s`", capable ? "kernel.kptr_restrict=1" : open_sysctl);
    if (capable)
        return xstrdup("a kernel with CONFIG_KALLSYMS=y");
    return system_info_need(info, syslog,
                            restricted ? open_sysctl : "kernel.perf_event_paranoid=1");
}

static void probe_kernel_names(struct system_info *info)
{
    int64_t restricted = small_file_number("/proc/sys/kernel/kptr_restrict", 0);
    struct kernel_symbols *symbols = kernel_symbols_new();
    if (symbols)
        system_info_add(info, "kernel_names", PROBE_WORKS,
                        xstrdup("/proc/kallsyms names the kernel's functions"), NULL);
    else
        system_info_add(info, "kernel_names", PROBE_MISSING,
                        xasprintf("/proc/kallsyms shows no addresses, so that kernel functions "
                                  "have no names (kernel.kptr_restrict is %" PRId64 ")",
                                  restricted),
                        kernel_names_remedy(info, restricted));
    kernel_symbols_free(symbols);
}

static void probe_debuginfod(struct system_info *info)
{
    const char *urls = debuginfod_urls();
    if (urls && debuginfod_loads())
        system_info_add(info, "debuginfod", PROBE_WORKS,
                        xasprintf("missing debug files are asked of %s", urls), NULL);
    else if (urls)
        system_info_add(info, "debuginfod", PROBE_MISSING,
                        xstrdup("DEBUGINFOD_URLS is set, but libdebuginfod.so.1 is not there"),
                        xstrdup("`apt-get install libdebuginfod1`, or your system's elfutils "
                                "debuginfod client"));
    else
        system_info_add(
            info, "debuginfod", PROBE_MISSING,
            xstrdup("DEBUGINFOD_URLS is not set: no server is asked for debug files"),
            xasprintf("`export DEBUGINFOD_URLS=https://debuginfod.elfutils.org/`%s",
                      debuginfod_loads() ? "" : " and `apt-get install libdebuginfod1`"));
}

/* --- text --- */

static void write_heading(struct output_file *file, const struct system_info *info)
{
    const struct privileges *privileges = &info->privileges;
    output_printf(file, "memprof %s on Linux %s %s, %ld CPU%s, user %u", MEMPROF_VERSION,
                  info->system.release, info->system.machine, info->cpus,
                  info->cpus == 1 ? "" : "s", privileges->uid);
    if (*privileges->container) {
        output_text(file, ", in a container (");
        output_escaped(file, privileges->container);
        output_text(file, ")");
    }
    output_text(file, privileges->user_namespace ? ", in a user namespace" : "");
    output_text(file, privileges->seccomp ? ", under a seccomp filter" : "");
    output_text(file, privileges->no_new_privs ? ", with no_new_privs" : "");
    output_text(file, "\n\n");
}

/* The row above that has the same remedy, which is not told twice; or NULL. */
static const struct probe *told_before(const struct system_info *info, size_t row)
{
    const struct probe *probes = info->probes.items;
    for (size_t i = 0; i < row; i++)
        if (probes[i].remedy && !strcmp(probes[i].remedy, probes[row].remedy))
            return &probes[i];
    return NULL;
}

static void write_row(struct output_file *file, const struct system_info *info, size_t row,
                      bool color)
{
    const struct probe *probe = &info->probes.items[row];
    output_printf(file, "  %s%-7s%s  %-*s  ", color ? states[probe->state].color : "",
                  states[probe->state].name, color ? "\033[0m" : "", NAME_WIDTH, probe->name);
    output_escaped(file, probe->detail);
    output_text(file, "\n");
    if (!probe->remedy)
        return;
    const struct probe *same = told_before(info, row);
    output_text(file, "           remedy: ");
    if (same)
        output_printf(file, "as for %s", same->name);
    else
        output_escaped(file, probe->remedy);
    output_text(file, "\n");
}

static void write_text(struct output_file *file, const struct system_info *info, bool color)
{
    size_t counts[STATES] = {0};
    write_heading(file, info);
    for (size_t i = 0; i < info->probes.count; i++) {
        write_row(file, info, i, color);
        counts[info->probes.items[i].state]++;
    }
    output_text(file, "\n");
    for (int i = 0; i < STATES; i++)
        output_printf(file, "%s%zu %s", i ? ", " : "", counts[i], states[i].name);
    output_text(file, "\n");
    _cleanup_free_ char *remedy = system_info_remedy(info);
    if (remedy) {
        output_text(file, "All that lacks a capability, at once: ");
        output_escaped(file, remedy);
        output_text(file, "\n");
    }
}

/* --- JSON --- */

static void write_pair(struct output_file *file, const char *key, const char *value)
{
    output_printf(file, ",\"%s\":", key);
    if (value)
        json_write_string(file, value);
    else
        output_text(file, "null");
}

static void write_flag(struct output_file *file, const char *key, bool value)
{
    output_printf(file, ",\"%s\":%s", key, value ? "true" : "false");
}

static void write_cgroup(struct output_file *file, const struct cgroup *cgroup)
{
    uint64_t limit = cgroup_memory_limit(cgroup);
    if (!cgroup->version) {
        output_text(file, ",\n\"cgroup\":null");
        return;
    }
    output_printf(file, ",\n\"cgroup\":{\"version\":%d", cgroup->version);
    write_pair(file, "path", cgroup->path);
    write_pair(file, "directory", *cgroup->directory ? cgroup->directory : NULL);
    output_text(file, ",\"memory_limit\":");
    if (limit == CGROUP_NO_LIMIT)
        output_text(file, "null");
    else
        output_unsigned(file, limit);
    output_text(file, "}");
}

static void write_json(struct output_file *file, const struct system_info *info)
{
    const struct privileges *privileges = &info->privileges;
    output_text(file, "{\"schema\":1");
    write_pair(file, "version", MEMPROF_VERSION);
    write_pair(file, "kernel", info->system.release);
    write_pair(file, "machine", info->system.machine);
    output_printf(file, ",\"cpus\":%ld,\n\"uid\":%u,\"capabilities\":\"%016" PRIx64 "\"",
                  info->cpus, privileges->uid, privileges->capabilities);
    write_pair(file, "container", *privileges->container ? privileges->container : NULL);
    write_flag(file, "seccomp", privileges->seccomp);
    write_flag(file, "user_namespace", privileges->user_namespace);
    write_flag(file, "no_new_privs", privileges->no_new_privs);
    output_printf(file, ",\"perf_event_paranoid\":%" PRId64, info->paranoid);
    write_cgroup(file, &info->cgroup);
    output_text(file, ",\n\"probes\":[");
    for (size_t i = 0; i < info->probes.count; i++) {
        const struct probe *probe = &info->probes.items[i];
        output_printf(file, "%s{\"name\":\"%s\",\"state\":\"%s\"", i ? ",\n" : "\n", probe->name,
                      states[probe->state].name);
        write_pair(file, "detail", probe->detail);
        write_pair(file, "remedy", probe->remedy);
        output_text(file, "}");
    }
    output_text(file, "]");
    _cleanup_free_ char *remedy = system_info_remedy(info);
    write_pair(file, "capabilities_remedy", remedy);
    output_text(file, "}\n");
}

/* --- the command --- */

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->input;
        return 0;
    case ARGP_KEY_ARG:
        usage_error(state->argv[0], "no argument is taken, not '%s'", value);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};

const struct argp info_argp = {
    .parser = parse_option,
    .doc = "Try what memprof makes use of on this machine, and print what works, and for what does "
           "not the remedy.",
    .children = children,
};

int cmd_info(int argc, char **argv)
{
    struct common_options options = {0};
    _cleanup_(system_info_release) struct system_info info;
    _cleanup_(output_file_release) struct output_file file = {.fd = -1};
    struct error err;
    options_parse(&info_argp, argc, argv, 0, NULL, &options);
    system_info_gather(&info);
    probe_kernel_names(&info);
    probe_debuginfod(&info);
    if (output_file_open("-", &file, &err) == 0) {
        if (options.json)
            write_json(&file, &info);
        else
            write_text(&file, &info, options_color(&options));
        if (output_file_commit(&file, &err) == 0)
            return EXIT_FINE;
    }
    message_print("%s", err.text);
    return EXIT_TROUBLE;
}
