#include "output/report.h"

#include "output/json.h"
#include "output/report_gc.h"
#include "output/report_loop.h"
#include "output/rows.h"
#include "output/summary.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void write_key(struct output_file *file, const char *key)
{
    json_write_string(file, key);
    output_text(file, ":");
}

/* Six decimals, without an exponent; JSON has no infinities. */
static void write_decimal(struct output_file *file, double value)
{
    if (!isfinite(value) || fabs(value) > 1e18)
        value = 0;
    if (value == trunc(value))
        output_printf(file, "%.0f", value == 0 ? 0 : value);
    else
        output_printf(file, "%.6f", value);
}

static const char *section_name(enum row_section section)
{
    static const char *const names[ROW_SECTIONS] = {
        [ROW_JAVASCRIPT] = "javascript",
        [ROW_NATIVE] = "native",
        [ROW_KERNEL] = "kernel",
        [ROW_GC] = "gc",
        [ROW_LIBRARY] = "shared_libraries",
        [ROW_UNACCOUNTED] = "unaccounted",
        [ROW_WAITING] = "off_cpu",
        [ROW_RUNNABLE] = "runnable",
        [ROW_IDLE] = "idle",
    };
    return names[section];
}

static const char *kind_name(enum frame_kind kind)
{
    static const char *const names[FRAME_KINDS] = {
        [FRAME_UNKNOWN] = "unknown",
        [FRAME_JAVASCRIPT] = "javascript",
        [FRAME_NATIVE] = "native",
        [FRAME_KERNEL] = "kernel",
        [FRAME_GC] = "gc",
        [FRAME_RUNTIME] = "runtime",
        [FRAME_IDLE] = "idle",
        [FRAME_WAITING] = "waiting",
        [FRAME_RUNNABLE] = "runnable",
    };
    return kind < FRAME_KINDS ? names[kind] : "unknown";
}

/* NULL if it is not known. */
static const char *tier_name(enum code_tier tier)
{
    static const char *const names[CODE_TIERS] = {
        [TIER_INTERPRETED] = "interpreted",
        [TIER_BASELINE] = "baseline",
        [TIER_MAGLEV] = "maglev",
        [TIER_OPTIMIZED] = "optimized",
    };
    return tier < CODE_TIERS ? names[tier] : NULL;
}

static void write_head(struct output_file *file, const struct rows *rows,
                       const struct report_options *options)
{
    const struct profile *profile = rows->profile;
    output_text(file, "{\"schema\":1,\"file\":");
    json_write_string(file, options->file_name ? options->file_name : "");
    output_printf(file, ",\"kind\":\"cpu\",\"target\":{\"pid\":%u,\"command\":", profile->meta.pid);
    json_write_string(file, profile_string(profile, profile->meta.command));
    output_printf(file,
                  "},\n\"ticks\":%" PRIu64 ",\"on_cpu_ticks\":%" PRIu64 ",\"idle_ticks\":%" PRIu64
                  ",\"period_us\":",
                  rows->ticks, rows->on_cpu, rows->sections[ROW_IDLE]);
    write_decimal(file, round(profile_period_us(profile)));
    output_text(file, ",\"duration_s\":");
    write_decimal(file, profile_duration_s(profile));
    output_text(file, ",\n\"summary\":{");
    for (int i = 0; i < ROW_IDLE; i++) {
        output_text(file, i ? "," : "");
        write_key(file, section_name((enum row_section)i));
        output_unsigned(file, rows->sections[i]);
    }
    output_text(file, "}");
}

static void write_function(struct output_file *file, const struct profile *profile,
                           const struct function_row *row)
{
    const struct frame *frame = &profile->frames.items[row->frame];
    const char *source = profile_string(profile, frame->file);
    const char *name = profile_string(profile, frame->function);
    bool named = row->frame && row->section != ROW_LIBRARY;
    output_text(file, "{\"name\":");
    json_write_string(file, named ? name : "");
    output_text(file, ",\"file\":");
    /* A file's URL and its path are the same thing to who reads this. */
    json_write_string(file, strncmp(source, "file:///", 8) != 0 ? source : source + 7);
    output_printf(file, ",\"line\":%u,\"column\":%u,\"module\":", frame->line, frame->column);
    json_write_string(file, profile_string(profile, profile->modules.items[frame->module].path));
    output_printf(file, ",\"kind\":\"%s\"", kind_name(frame->kind));
    if (tier_name(frame->tier))
        output_printf(file, ",\"tier\":\"%s\"", tier_name(frame->tier));
    output_printf(file, ",\"self\":%" PRIu64 ",\"total\":%" PRIu64 ",\"waiting\":%" PRIu64 "}",
                  row->self, row->total, row->waiting);
}

static void write_functions(struct output_file *file, const struct rows *rows,
                            const struct report_options *options)
{
    uint32_t written = 0;
    output_text(file, ",\n\"functions\":[");
    for (size_t i = 0; i < rows->functions.count; i++) {
        const struct function_row *row = &rows->functions.items[rows->order[i]];
        if (row->section == ROW_IDLE || !row->total || (options->top && written == options->top))
            continue;
        output_text(file, written++ ? ",\n" : "\n");
        write_function(file, rows->profile, row);
    }
    output_text(file, "]");
}

static void write_threads(struct output_file *file, const struct profile *profile)
{
    _cleanup_free_ thread_id *order = xmalloc((profile->threads.count + 1) * sizeof *order);
    threads_order(profile, order);
    output_text(file, ",\n\"threads\":[");
    for (size_t i = 0; i < profile->threads.count; i++) {
        const struct thread *thread = &profile->threads.items[order[i]];
        output_printf(file, "%s{\"pid\":%u,\"tid\":%u,\"name\":", i ? ",\n" : "", thread->pid,
                      thread->tid);
        json_write_string(file, profile_string(profile, thread->name));
        output_printf(file,
                      ",\"ticks\":%" PRIu64 ",\"waiting\":%" PRIu64 ",\"runnable\":%" PRIu64 "}",
                      thread->ticks, thread->waiting, thread->runnable);
    }
    output_text(file, "]");
}

static void write_memory(struct output_file *file, const struct profile *profile)
{
    bool any = false;
    output_text(file, ",\n\"memory\":[");
    for (size_t i = 0; i < profile->series.count; i++) {
        const struct series *series = &profile->series.items[i];
        if (!series->points.count)
            continue;
        struct series_summary summary = series_summarize(series);
        output_text(file, any ? ",\n{\"metric\":" : "{\"metric\":");
        json_write_string(file, profile_string(profile, series->name));
        output_text(file, ",\"unit\":");
        json_write_string(file, profile_string(profile, series->unit));
        output_text(file, ",\"first\":");
        write_decimal(file, summary.first);
        output_text(file, ",\"last\":");
        write_decimal(file, summary.last);
        output_text(file, ",\"peak\":");
        write_decimal(file, summary.peak);
        output_text(file, ",\"slope_per_minute\":");
        write_decimal(file, summary.change_per_minute);
        /* A difference of two readings says nothing of leaks: null is "not judged". */
        output_text(file, ",\"leak\":null}");
        any = true;
    }
    output_text(file, "]");
}

static void write_events(struct output_file *file, const struct profile *profile)
{
    struct event_summaries events = events_summarize(profile);
    output_text(file, ",\n\"events\":{");
    for (size_t i = 0; i < events.count; i++) {
        const struct event_summary *event = &events.items[i];
        output_text(file, i ? ",\n" : "");
        write_key(file, profile_string(profile, event->kind));
        output_printf(file, "{\"count\":%" PRIu64 ",\"total_ms\":", event->count);
        write_decimal(file, (double)event->total_us / 1000);
        output_text(file, ",\"max_ms\":");
        write_decimal(file, (double)event->max_us / 1000);
        if (!strcmp(profile_string(profile, event->kind), EVENT_GC))
            report_gc_fields(file, profile);
        output_text(file, "}");
    }
    output_text(file, "}");
    free(events.items);
}

static void write_quality(struct output_file *file, const struct profile *profile)
{
    const struct quality *quality = &profile->quality;
    if (!quality->present) {
        output_text(file, ",\n\"quality\":null");
        return;
    }
    output_printf(file,
                  ",\n\"quality\":{\"samples\":%" PRIu64 ",\"lost\":%" PRIu64
                  ",\"truncated\":%" PRIu64 ",\"stitched\":%" PRIu64 ",\"broken\":%" PRIu64
                  ",\"unknown_frames\":%" PRIu64 ",\"extrapolated\":%" PRIu64 ",\"coverage\":",
                  quality->samples, quality->lost, quality->truncated, quality->stitched,
                  quality->broken, quality->unknown_frames, quality->extrapolated);
    if (quality->coverage < 0)
        output_text(file, "null");
    else
        write_decimal(file, quality->coverage);
    output_text(file, ",\"target_cpu_s\":");
    write_decimal(file, quality->target_cpu_s);
    output_text(file, ",\"sampled_cpu_s\":");
    write_decimal(file, quality->sampled_cpu_s);
    output_text(file, ",\"profiler_cpu_s\":");
    write_decimal(file, quality->profiler_cpu_s);
    output_printf(file,
                  ",\"profiler_rss_peak\":%" PRIu64 ",\"sampler\":", quality->profiler_rss_peak);
    json_write_string(file, profile_string(profile, quality->sampler));
    output_text(file, ",\"note\":");
    json_write_string(file, profile_string(profile, quality->note));
    output_text(file, ",\"v8\":");
    if (quality->v8) {
        output_text(file, "{\"version\":");
        json_write_string(file, profile_string(profile, quality->v8));
        output_printf(file, ",\"frames\":%" PRIu64 ",\"named\":%" PRIu64 "}", quality->js_frames,
                      quality->js_named);
    } else {
        output_text(file, "null");
    }
    output_text(file, "}");
}

void report_json(struct output_file *file, const struct profile *profile,
                 const struct report_options *options)
{
    _cleanup_(rows_release) struct rows rows;
    rows_gather(profile, options->thread, options->sort_total, &rows);
    write_head(file, &rows, options);
    write_functions(file, &rows, options);
    write_threads(file, profile);
    write_memory(file, profile);
    write_events(file, profile);
    report_loop_json(file, profile);
    write_quality(file, profile);
    output_text(file, "}\n");
}
