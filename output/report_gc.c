/*
 * Pauses of several threads (Workers) are summed up: their share of the wall time can be more than
 * all of it.
 *
 * Whoever set a pause off is the innermost JavaScript function of its stack; where there is none,
 * V8 itself did, from a task of the event loop, and then its innermost function is named.
 */
#include "output/report_gc.h"

#include "core/bare_name.h"
#include "output/escape.h"
#include "output/json.h"
#include "output/report_text.h"
#include "output/summary.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { LONG_US = 50000, LONGEST_ROWS = 10, BYTES_CHARACTERS = 24 };

struct kind_sum {
    string_id what;
    uint64_t count, total_us, max_us;
};

struct pauses {
    const struct profile *profile;
    vec(const struct profile_event *) events; /* longest first */
    vec(struct kind_sum) kinds;               /* largest sum first */
    struct kind_sum all;
    uint64_t estimated;
};

static int event_compare(const void *a, const void *b)
{
    const struct profile_event *x = *(const struct profile_event *const *)a;
    const struct profile_event *y = *(const struct profile_event *const *)b;
    if (x->duration_us != y->duration_us)
        return x->duration_us < y->duration_us ? 1 : -1;
    return (x->time_us > y->time_us) - (x->time_us < y->time_us);
}

static int kind_compare(const void *a, const void *b)
{
    const struct kind_sum *x = a, *y = b;
    return (x->total_us < y->total_us) - (x->total_us > y->total_us);
}

static void add(struct kind_sum *sum, uint64_t duration_us)
{
    sum->count++;
    sum->total_us += duration_us;
    if (duration_us > sum->max_us)
        sum->max_us = duration_us;
}

static struct kind_sum *kind_get(struct pauses *pauses, string_id what)
{
    for (size_t i = 0; i < pauses->kinds.count; i++)
        if (pauses->kinds.items[i].what == what)
            return &pauses->kinds.items[i];
    *vec_push(&pauses->kinds) = (struct kind_sum){.what = what};
    return &pauses->kinds.items[pauses->kinds.count - 1];
}

static struct pauses gather(const struct profile *profile)
{
    enum { KINDS_MAX = 64 }; /* a file may say anything */
    struct pauses pauses = {.profile = profile};
    for (size_t i = 0; i < profile->events.count; i++) {
        const struct profile_event *event = &profile->events.items[i];
        if (strcmp(profile_string(profile, event->kind), EVENT_GC) != 0)
            continue;
        string_id what = pauses.kinds.count < KINDS_MAX ? event->what : 0;
        add(kind_get(&pauses, what), event->duration_us);
        add(&pauses.all, event->duration_us);
        pauses.estimated += event->estimated;
        vec_append(&pauses.events, event);
    }
    if (!pauses.events.count)
        return pauses;
    qsort(pauses.events.items, pauses.events.count, sizeof *pauses.events.items, event_compare);
    qsort(pauses.kinds.items, pauses.kinds.count, sizeof *pauses.kinds.items, kind_compare);
    return pauses;
}

static void pauses_release(struct pauses *pauses)
{
    vec_release(&pauses->events);
    vec_release(&pauses->kinds);
}

static const char *kind_name(const struct profile *profile, string_id what)
{
    return what ? profile_string(profile, what) : "unknown kind";
}

static double share_of(const struct profile *profile, uint64_t total_us)
{
    double duration_us = profile_duration_s(profile) * 1e6;
    return duration_us > 0 ? (double)total_us / duration_us : 0;
}

/* In seconds from the start of the recording. */
static double time_of(const struct profile *profile, const struct profile_event *event)
{
    return (double)(int64_t)(event->time_us - profile->meta.start_us) / 1e6;
}

/* The frame of whoever set it off; NULL: unknown. */
static const struct frame *culprit(const struct profile *profile, node_id node)
{
    const struct frame *innermost = node ? profile_frame_of(profile, node) : NULL;
    for (; node; node = profile->nodes.items[node].parent)
        if (profile_frame_of(profile, node)->kind == FRAME_JAVASCRIPT)
            return profile_frame_of(profile, node);
    return innermost && innermost->function ? innermost : NULL;
}

static void write_sum(struct output_file *file, const struct profile *profile,
                      const struct kind_sum *sum, const char *name)
{
    output_printf(file, "  %6" PRIu64 "  %9.2f  %9.2f  %5.1f%%  ", sum->count,
                  (double)sum->total_us / 1000, (double)sum->max_us / 1000,
                  100 * share_of(profile, sum->total_us));
    output_escaped(file, name);
    output_text(file, "\n");
}

static void format_mebibytes(uint64_t bytes, char text[BYTES_CHARACTERS])
{
    if (bytes)
        snprintf(text, BYTES_CHARACTERS, "%.1f", fmin((double)bytes / (1 << 20), 1e9));
    else
        snprintf(text, BYTES_CHARACTERS, "-");
}

static void write_pause(struct output_file *file, const struct profile *profile,
                        const struct profile_event *event)
{
    char before[BYTES_CHARACTERS], after[BYTES_CHARACTERS];
    format_mebibytes(event->before_bytes, before);
    format_mebibytes(event->after_bytes, after);
    output_printf(file, "  %9.2f  %8.3f  %10s  %9s  ", (double)event->duration_us / 1000,
                  fmin(time_of(profile, event), 1e9), before, after);
    output_escaped(file, kind_name(profile, event->what));
    if (event->reason) {
        output_text(file, " (");
        output_escaped(file, profile_string(profile, event->reason));
        output_text(file, ")");
    }
    const struct frame *frame = culprit(profile, event->node);
    if (frame) {
        const char *name = profile_string(profile, frame->function);
        bool native = frame->kind != FRAME_JAVASCRIPT;
        _cleanup_free_ char *bare = native ? xstrndup(name, bare_name_length(name)) : NULL;
        output_text(file, " in ");
        output_escaped(file, !*name ? "(anonymous)" : bare ? bare : name);
        if (frame->file && frame->line) {
            output_text(file, " ");
            output_escaped(file, profile_string(profile, frame->file));
            output_printf(file, ":%u", frame->line);
        }
    }
    output_text(file, "\n");
}

void report_gc(struct output_file *file, const struct profile *profile,
               const struct report_options *options)
{
    _cleanup_(pauses_release) struct pauses pauses = gather(profile);
    if (!pauses.all.count)
        return;
    report_heading(file, options, "GC");
    output_text(file, "   count   total ms     max ms   share  kind\n");
    for (size_t i = 0; i < pauses.kinds.count; i++)
        write_sum(file, profile, &pauses.kinds.items[i],
                  kind_name(profile, pauses.kinds.items[i].what));
    if (pauses.kinds.count > 1)
        write_sum(file, profile, &pauses.all, "all");
    if (pauses.estimated)
        output_printf(file, "  %6" PRIu64 "  of these estimated from samples\n", pauses.estimated);
    size_t most = options->top ? options->top : LONGEST_ROWS, shown = 0, long_ones = 0;
    output_text(file, "\n  longest ms      at s  before MiB  after MiB  kind (reason), where\n");
    for (size_t i = 0; i < pauses.events.count; i++) {
        const struct profile_event *event = pauses.events.items[i];
        long_ones += event->duration_us > LONG_US;
        if (shown == most || (shown && event->duration_us <= LONG_US))
            continue;
        write_pause(file, profile, event);
        shown++;
    }
    if (long_ones > shown)
        output_printf(file, "  and %zu more of over 50 ms\n", long_ones - shown);
}

/* Three decimals are a microsecond; JSON has no infinities. */
static void write_ms(struct output_file *file, uint64_t us)
{
    output_printf(file, "%.3f", (double)us / 1000);
}

static void write_longest(struct output_file *file, const struct profile *profile,
                          const struct profile_event *event)
{
    const struct frame *frame = culprit(profile, event->node);
    output_printf(
        file, ",\"longest\":{\"at_s\":%.6f,\"duration_ms\":", fmin(time_of(profile, event), 1e12));
    write_ms(file, event->duration_us);
    output_text(file, ",\"kind\":");
    json_write_string(file, profile_string(profile, event->what));
    output_text(file, ",\"reason\":");
    json_write_string(file, profile_string(profile, event->reason));
    output_printf(file, ",\"tid\":%u,\"before_bytes\":%" PRIu64 ",\"after_bytes\":%" PRIu64,
                  event->tid, event->before_bytes, event->after_bytes);
    output_text(file, ",\"function\":");
    json_write_string(file, frame ? profile_string(profile, frame->function) : "");
    const char *source = frame ? profile_string(profile, frame->file) : "";
    output_text(file, ",\"file\":");
    json_write_string(file, strncmp(source, "file:///", 8) != 0 ? source : source + 7);
    output_printf(file, ",\"line\":%u}", frame ? frame->line : 0);
}

void report_gc_fields(struct output_file *file, const struct profile *profile)
{
    _cleanup_(pauses_release) struct pauses pauses = gather(profile);
    if (!pauses.all.count)
        return;
    output_printf(file, ",\"share\":%.6f,\"estimated\":%" PRIu64,
                  fmin(share_of(profile, pauses.all.total_us), 1e12), pauses.estimated);
    write_longest(file, profile, pauses.events.items[0]);
    output_text(file, ",\"kinds\":[");
    for (size_t i = 0; i < pauses.kinds.count; i++) {
        const struct kind_sum *sum = &pauses.kinds.items[i];
        output_text(file, i ? ",{\"kind\":" : "{\"kind\":");
        json_write_string(file, profile_string(profile, sum->what));
        output_printf(file, ",\"count\":%" PRIu64 ",\"total_ms\":", sum->count);
        write_ms(file, sum->total_us);
        output_text(file, ",\"max_ms\":");
        write_ms(file, sum->max_us);
        output_text(file, "}");
    }
    output_text(file, "]");
}
