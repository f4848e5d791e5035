#include "output/report_text.h"

#include "output/escape.h"
#include "output/report_gc.h"
#include "output/report_loop.h"
#include "output/summary.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { VALUE_CHARACTERS = 32, BREAKDOWN_ROWS = 20 };

/* "12.3 MiB"; with a sign where a change is meant. */
static void format_bytes(double bytes, bool sign, char text[VALUE_CHARACTERS])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (fabs(bytes) >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, VALUE_CHARACTERS, sign ? "%+.*f %s" : "%.*f %s", unit ? 1 : 0, bytes,
             units[unit]);
}

static void format_value(double value, const char *unit, bool sign, char text[VALUE_CHARACTERS])
{
    /* A file may say anything; no column holds more. */
    value = fmin(fmax(value, -1e15), 1e15);
    if (!strcmp(unit, "bytes"))
        format_bytes(value, sign, text);
    else if (!strcmp(unit, "seconds"))
        snprintf(text, VALUE_CHARACTERS, sign ? "%+.2f s" : "%.2f s", value);
    else
        snprintf(text, VALUE_CHARACTERS, sign ? "%+.*f" : "%.*f",
                 value == trunc(value) || fabs(value) >= 100 ? 0 : 1, value);
}

static void write_thread(struct output_file *file, const struct profile *profile,
                         const struct thread *thread, double percent, bool waits)
{
    output_printf(file, "  %5" PRIu64 "  %5.1f%%  ", thread->ticks, percent);
    if (waits)
        output_printf(file, "%7" PRIu64 "  %8" PRIu64 "  ", thread->waiting, thread->runnable);
    output_printf(file, "%7u  ", thread->tid);
    output_escaped(file, profile_string(profile, thread->name));
    output_text(file, "\n");
}

static void write_threads(struct output_file *file, const struct rows *rows,
                          const struct report_options *options)
{
    const struct profile *profile = rows->profile;
    size_t count = profile->threads.count, shown = 0, left = 0;
    const struct thread *threads = profile->threads.items;
    uint64_t total = 0, left_ticks = 0, off_cpu = 0;
    for (size_t i = 0; i < count; i++) {
        total += threads[i].ticks;
        off_cpu += threads[i].waiting + threads[i].runnable;
    }
    /* A file of V8's has one thread, and does not know which. */
    if (!count || (count == 1 && !threads[0].tid))
        return;
    _cleanup_free_ thread_id *order = xmalloc(count * sizeof *order);
    threads_order(profile, order);
    report_heading(file, options, "Threads");
    output_text(file, off_cpu ? "   ticks  total  waiting  runnable      tid  name\n"
                              : "   ticks  total      tid  name\n");
    for (size_t i = 0; i < count; i++) {
        const struct thread *thread = &threads[order[i]];
        bool any = thread->ticks || thread->waiting || thread->runnable;
        if (!any || (options->top && shown == options->top)) {
            left++;
            left_ticks += thread->ticks;
            continue;
        }
        shown++;
        write_thread(file, profile, thread,
                     total ? 100.0 * (double)thread->ticks / (double)total : 0, off_cpu > 0);
    }
    if (left)
        output_printf(file, "  and %zu more with %" PRIu64 " ticks\n", left, left_ticks);
}

static void write_readings(struct output_file *file, const struct profile *profile,
                           const struct report_options *options)
{
    bool any = false;
    for (size_t i = 0; i < profile->series.count; i++) {
        const struct series *series = &profile->series.items[i];
        const char *name = profile_string(profile, series->name);
        const char *unit = profile_string(profile, series->unit);
        if (!series->points.count || report_is_loop_series(name) ||
            !strncmp(name, SERIES_BREAKDOWN, strlen(SERIES_BREAKDOWN)))
            continue;
        if (!any) {
            report_heading(file, options, "Memory");
            output_text(file, "       first        last        peak  change/min  name\n");
            any = true;
        }
        struct series_summary summary = series_summarize(series);
        char first[VALUE_CHARACTERS], last[VALUE_CHARACTERS], peak[VALUE_CHARACTERS];
        char change[VALUE_CHARACTERS] = "-";
        format_value(summary.first, unit, false, first);
        format_value(summary.last, unit, false, last);
        format_value(summary.peak, unit, false, peak);
        if (summary.has_change)
            format_value(summary.change_per_minute, unit, true, change);
        output_printf(file, "  %10s  %10s  %10s  %10s  ", first, last, peak, change);
        output_escaped(file, name);
        output_text(file, "\n");
    }
}

struct breakdown {
    const struct series *series;
    struct series_summary summary;
};

static int breakdown_compare(const void *a, const void *b)
{
    double x = ((const struct breakdown *)a)->summary.peak;
    double y = ((const struct breakdown *)b)->summary.peak;
    return (x < y) - (x > y);
}

static void write_breakdown(struct output_file *file, const struct profile *profile,
                            const struct report_options *options)
{
    vec(struct breakdown) rows = {0};
    for (size_t i = 0; i < profile->series.count; i++) {
        const struct series *series = &profile->series.items[i];
        const char *name = profile_string(profile, series->name);
        if (!series->points.count || strncmp(name, SERIES_BREAKDOWN, strlen(SERIES_BREAKDOWN)) != 0)
            continue;
        struct breakdown row = {series, series_summarize(series)};
        if (row.summary.peak > 0)
            vec_append(&rows, row);
    }
    if (rows.count) {
        qsort(rows.items, rows.count, sizeof *rows.items, breakdown_compare);
        report_heading(file, options, "Memory by mapping");
        output_text(file, "       first        peak        last  name\n");
    }
    size_t limit = options->top ? options->top : BREAKDOWN_ROWS;
    for (size_t i = 0; i < rows.count && i < limit; i++) {
        const struct breakdown *row = &rows.items[i];
        const char *unit = profile_string(profile, row->series->unit);
        const char *name = profile_string(profile, row->series->name) + strlen(SERIES_BREAKDOWN);
        char first[VALUE_CHARACTERS], last[VALUE_CHARACTERS], peak[VALUE_CHARACTERS];
        format_value(row->summary.first, unit, false, first);
        format_value(row->summary.peak, unit, false, peak);
        format_value(row->summary.last, unit, false, last);
        output_printf(file, "  %10s  %10s  %10s  ", first, peak, last);
        output_escaped(file, strncmp(name, "file:", 5) != 0 ? name : name + 5);
        output_text(file, "\n");
    }
    if (rows.count > limit)
        output_printf(file, "  and %zu more\n", rows.count - limit);
    vec_release(&rows);
}

static void write_events(struct output_file *file, const struct profile *profile,
                         const struct report_options *options)
{
    struct event_summaries events = events_summarize(profile);
    double duration_us = profile_duration_s(profile) * 1e6;
    bool any = false;
    for (size_t i = 0; i < events.count; i++) {
        const struct event_summary *event = &events.items[i];
        const char *kind = profile_string(profile, event->kind);
        if (!strcmp(kind, EVENT_GC) || !strcmp(kind, EVENT_LOOP_BLOCK))
            continue;
        if (!any) {
            report_heading(file, options, "Events");
            output_text(file, "   count   total ms     max ms   share  name\n");
            any = true;
        }
        output_printf(file, "  %6" PRIu64 "  %9.2f  %9.2f  %5.1f%%  ", event->count,
                      (double)event->total_us / 1000, (double)event->max_us / 1000,
                      duration_us > 0 ? 100.0 * (double)event->total_us / duration_us : 0);
        output_escaped(file, profile_string(profile, event->kind));
        output_text(file, "\n");
    }
    free(events.items);
}

/* "V8 11.3: 98.7 % of JavaScript frames named", rounded down: 100 % is every one. */
static void write_v8(struct output_file *file, const struct profile *profile)
{
    const struct quality *quality = &profile->quality;
    const char *version = profile_string(profile, quality->v8);
    if (!*version)
        return;
    size_t major = strcspn(version, "."),
           rest = strcspn(version + major + (version[major] == '.'), ".");
    _cleanup_free_ char *shown = xstrndup(version, major + (version[major] == '.') + rest);
    output_text(file, "  V8 ");
    output_escaped(file, shown);
    if (quality->js_frames)
        output_printf(file, ": %.1f %% of JavaScript frames named\n",
                      floor(1000 * ((double)quality->js_named / (double)quality->js_frames)) / 10);
    else
        output_text(file, ": no JavaScript frames\n");
}

static void write_quality(struct output_file *file, const struct profile *profile,
                          const struct report_options *options)
{
    const struct quality *quality = &profile->quality;
    if (!quality->present)
        return;
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {
        {"samples", quality->samples},
        {"lost", quality->lost},
        {"truncated stacks", quality->truncated},
        {"stitched stacks", quality->stitched},
        {"broken stacks", quality->broken},
        {"unknown frames", quality->unknown_frames},
        {"extrapolated ticks", quality->extrapolated},
    };
    report_heading(file, options, "Quality");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        output_printf(file, "  %10" PRIu64 "  %s\n", counts[i].count, counts[i].name);
    if (quality->coverage >= 0)
        output_printf(file,
                      "  %9.1f%%  coverage: %.2f s sampled of %.2f s that the kernel accounted\n",
                      fmin(quality->coverage, 1e9) * 100, fmin(quality->sampled_cpu_s, 1e15),
                      fmin(quality->target_cpu_s, 1e15));
    /* Files of other tools don't tell what the profiler took. */
    if (quality->profiler_cpu_s > 0 || quality->profiler_rss_peak) {
        char rss[VALUE_CHARACTERS];
        format_bytes((double)quality->profiler_rss_peak, false, rss);
        output_printf(file, "  %8.2f s  CPU time of the profiler, peak RSS %s\n",
                      fmin(quality->profiler_cpu_s, 1e15), rss);
    }
    write_v8(file, profile);
    if (quality->sampler) {
        output_text(file, "  sampled by ");
        output_escaped(file, profile_string(profile, quality->sampler));
        output_text(file, "\n");
    }
    if (quality->note) {
        output_text(file, "  note: ");
        output_escaped(file, profile_string(profile, quality->note));
        output_text(file, "\n");
    }
}

void report_process(struct output_file *file, const struct rows *rows,
                    const struct report_options *options)
{
    write_threads(file, rows, options);
    write_readings(file, rows->profile, options);
    write_breakdown(file, rows->profile, options);
    report_loop(file, rows->profile, options);
    report_gc(file, rows->profile, options);
    write_events(file, rows->profile, options);
    write_quality(file, rows->profile, options);
}
