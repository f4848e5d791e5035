/*
 * The mean utilisation is taken from how long the loop has waited in all (eventloop.idle), not from
 * the points of utilisation: these are thinned out in long recordings, and stand for unequal times.
 *
 * Who blocked the loop is the innermost JavaScript function of the block's stack that is not
 * Node.js's own: a loop that asks for the time over and over blocks, not the clock. Where the stack
 * has none, it is Node.js's, or a native one.
 */
#include "output/report_loop.h"

#include "core/bare_name.h"
#include "output/escape.h"
#include "output/json.h"
#include "output/report_text.h"
#include "output/summary.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BLOCK_ROWS = 5 };

struct loop_summary {
    bool present, has_utilization;
    double mean, last; /* utilisation, 0 to 1 */
    uint64_t blocks, blocked_us;
    const struct profile_event *longest[BLOCK_ROWS]; /* longest first */
    size_t longest_count;
};

bool report_is_loop_series(const char *name)
{
    const char *dot = strchr(name, '.');
    if (!strncmp(name, "worker", 6) && dot)
        name = dot + 1;
    return !strncmp(name, "eventloop.", 10) || !strcmp(name, "handles") ||
           !strncmp(name, "handles.", 8) || !strcmp(name, "requests");
}

/* NULL if there is none with a point. */
static const struct series *find_series(const struct profile *profile, const char *name)
{
    int64_t id = profile_find_series(profile, name);
    const struct series *series = id >= 0 ? &profile->series.items[id] : NULL;
    return series && series->points.count ? series : NULL;
}

static double bounded(double share)
{
    return share >= 0 && share <= 1 ? share : share > 1 ? 1 : 0;
}

/* Of the whole recording, 0 to 1; false if one reading is all there is. */
static bool mean_utilization(const struct series *idle, double *ret_mean)
{
    const struct series_point *first = idle->points.items, *last = first + idle->points.count - 1;
    if (last->time_us <= first->time_us)
        return false;
    *ret_mean =
        bounded(1 - (last->value - first->value) * 1e6 / (double)(last->time_us - first->time_us));
    return true;
}

static void keep_longest(struct loop_summary *summary, const struct profile_event *event)
{
    size_t at = summary->longest_count;
    while (at && summary->longest[at - 1]->duration_us < event->duration_us)
        at--;
    if (at == BLOCK_ROWS)
        return;
    size_t moved =
        (summary->longest_count < BLOCK_ROWS ? summary->longest_count : BLOCK_ROWS - 1) - at;
    memmove(&summary->longest[at + 1], &summary->longest[at], moved * sizeof *summary->longest);
    summary->longest[at] = event;
    summary->longest_count += summary->longest_count < BLOCK_ROWS;
}

static struct loop_summary summarize(const struct profile *profile)
{
    struct loop_summary summary = {0};
    const struct series *idle = find_series(profile, "eventloop.idle");
    const struct series *utilization = find_series(profile, "eventloop.utilization");
    summary.present = idle;
    summary.has_utilization = idle && utilization && mean_utilization(idle, &summary.mean);
    if (summary.has_utilization)
        summary.last = bounded(utilization->points.items[utilization->points.count - 1].value);
    for (size_t i = 0; i < profile->events.count; i++) {
        const struct profile_event *event = &profile->events.items[i];
        if (strcmp(profile_string(profile, event->kind), EVENT_LOOP_BLOCK) != 0)
            continue;
        summary.blocks++;
        summary.blocked_us += event->duration_us;
        keep_longest(&summary, event);
    }
    return summary;
}

static double started_s(const struct profile *profile, const struct profile_event *event)
{
    double at_s = (double)(int64_t)(event->time_us - profile->meta.start_us) / 1e6;
    return fmin(fmax(at_s, -1e12), 1e12);
}

/* Who blocked it; NULL: unknown. */
static const struct frame *blocker(const struct profile *profile, node_id node)
{
    const struct frame *innermost = node ? profile_frame_of(profile, node) : NULL;
    const struct frame *internal = NULL;
    for (; node; node = profile->nodes.items[node].parent) {
        const struct frame *frame = profile_frame_of(profile, node);
        if (frame->kind != FRAME_JAVASCRIPT)
            continue;
        if (strncmp(profile_string(profile, frame->file), "node:", 5) != 0)
            return frame;
        if (!internal)
            internal = frame;
    }
    return internal ? internal : innermost && innermost->function ? innermost : NULL;
}

static void write_block(struct output_file *file, const struct profile *profile,
                        const struct profile_event *event)
{
    const struct frame *frame = blocker(profile, event->node);
    output_printf(file, "  %9.2f  %8.3f  ", (double)event->duration_us / 1000,
                  started_s(profile, event));
    if (!frame) {
        output_text(file, "(unknown)\n");
        return;
    }
    const char *name = profile_string(profile, frame->function);
    bool native = frame->kind != FRAME_JAVASCRIPT;
    _cleanup_free_ char *bare = native ? xstrndup(name, bare_name_length(name)) : NULL;
    output_escaped(file, !*name ? "(anonymous)" : bare ? bare : name);
    if (frame->file && frame->line) {
        output_text(file, " ");
        output_escaped(file, profile_string(profile, frame->file));
        output_printf(file, ":%u", frame->line);
    }
    output_text(file, "\n");
}

static void write_count(struct output_file *file, const struct series *series, const char *name)
{
    struct series_summary summary = series_summarize(series);
    output_printf(file, "  %10.0f  %10.0f  %10.0f  ", fmin(summary.first, 1e9),
                  fmin(summary.last, 1e9), fmin(summary.peak, 1e9));
    output_escaped(file, name);
    output_text(file, "\n");
}

/* "handles.tcp" below "handles"; what a Worker has is told with its own name. */
static void write_counts(struct output_file *file, const struct profile *profile)
{
    bool any = false;
    for (size_t i = 0; i < profile->series.count; i++) {
        const struct series *series = &profile->series.items[i];
        const char *name = profile_string(profile, series->name);
        const char *unit = profile_string(profile, series->unit);
        if (!report_is_loop_series(name) || strcmp(unit, "count") != 0 || !series->points.count)
            continue;
        if (!any)
            output_text(file, "\n       first        last        peak  active\n");
        any = true;
        write_count(file, series, name);
    }
}

static void write_workers(struct output_file *file, const struct profile *profile)
{
    for (size_t i = 0; i < profile->series.count; i++) {
        const struct series *series = &profile->series.items[i];
        const char *name = profile_string(profile, series->name);
        const char *dot = strchr(name, '.');
        double mean;
        if (strncmp(name, "worker", 6) != 0 || !dot || strcmp(dot, ".eventloop.idle") != 0 ||
            series->points.count < 2 || !mean_utilization(series, &mean))
            continue;
        output_printf(file, "  %5.1f%%  utilization of ", 100 * mean);
        _cleanup_free_ char *worker = xstrndup(name, (size_t)(dot - name));
        output_escaped(file, worker);
        output_text(file, "\n");
    }
}

void report_loop(struct output_file *file, const struct profile *profile,
                 const struct report_options *options)
{
    struct loop_summary summary = summarize(profile);
    if (!summary.present && !summary.blocks)
        return;
    report_heading(file, options, "Event loop");
    if (summary.has_utilization)
        output_printf(file, "  %5.1f%%  utilization, %.1f%% at the last reading\n",
                      100 * summary.mean, 100 * summary.last);
    write_workers(file, profile);
    if (summary.blocks) {
        output_printf(file, "  %6" PRIu64 "  blocks of 50 ms and more, %.2f ms in all\n",
                      summary.blocks, fmin((double)summary.blocked_us / 1000, 1e15));
        output_text(file, "\n  longest ms      at s  blocked by\n");
    }
    for (size_t i = 0; i < summary.longest_count; i++)
        write_block(file, profile, summary.longest[i]);
    write_counts(file, profile);
}

static void write_number(struct output_file *file, const char *key, double value)
{
    output_printf(file, ",\"%s\":%.6f", key, isfinite(value) ? fmin(fmax(value, -1e15), 1e15) : 0);
}

static void write_longest_json(struct output_file *file, const struct profile *profile,
                               const struct profile_event *event)
{
    const struct frame *frame = blocker(profile, event->node);
    const char *source = frame ? profile_string(profile, frame->file) : "";
    output_printf(file, ",\"longest\":{\"at_s\":%.6f,\"duration_ms\":%.3f,\"function\":",
                  started_s(profile, event), (double)event->duration_us / 1000);
    json_write_string(file, frame ? profile_string(profile, frame->function) : "");
    output_text(file, ",\"file\":");
    json_write_string(file, strncmp(source, "file:///", 8) != 0 ? source : source + 7);
    output_printf(file, ",\"line\":%u}", frame ? frame->line : 0);
}

/* The last reading of each type. */
static void write_handles_json(struct output_file *file, const struct profile *profile)
{
    bool any = false;
    output_text(file, ",\"handles\":{");
    for (size_t i = 0; i < profile->series.count; i++) {
        const struct series *series = &profile->series.items[i];
        const char *name = profile_string(profile, series->name);
        if (strncmp(name, "handles.", 8) != 0 || !series->points.count)
            continue;
        output_text(file, any ? "," : "");
        json_write_string(file, name + 8);
        output_printf(file, ":%.0f",
                      fmin(series->points.items[series->points.count - 1].value, 1e9));
        any = true;
    }
    output_text(file, "}");
}

void report_loop_json(struct output_file *file, const struct profile *profile)
{
    struct loop_summary summary = summarize(profile);
    const struct series *requests = find_series(profile, "requests");
    if (!summary.present && !summary.blocks)
        return;
    output_printf(file, ",\n\"event_loop\":{\"blocks\":%" PRIu64, summary.blocks);
    write_number(file, "blocked_ms", (double)summary.blocked_us / 1000);
    if (summary.has_utilization) {
        write_number(file, "utilization", summary.mean);
        write_number(file, "last_utilization", summary.last);
    }
    if (summary.longest_count)
        write_longest_json(file, profile, summary.longest[0]);
    write_handles_json(file, profile);
    if (requests)
        write_number(file, "requests", requests->points.items[requests->points.count - 1].value);
    output_text(file, "}");
}
