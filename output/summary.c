#include "output/summary.h"

struct series_summary series_summarize(const struct series *series)
{
    const struct series_point *points = series->points.items;
    const struct series_point *last = &points[series->points.count - 1];
    struct series_summary summary = {
        .first = points->value, .last = last->value, .peak = points->value};
    for (size_t i = 1; i < series->points.count; i++)
        if (points[i].value > summary.peak)
            summary.peak = points[i].value;
    int64_t elapsed_us = (int64_t)(last->time_us - points->time_us);
    if (elapsed_us > 0) {
        summary.has_change = true;
        summary.change_per_minute = (last->value - points->value) * 60e6 / (double)elapsed_us;
    }
    return summary;
}

struct event_summaries events_summarize(const struct profile *profile)
{
    vec(struct event_summary) list = {0};
    _cleanup_free_ uint32_t *places = xcalloc(profile->strings.count, sizeof *places);
    for (size_t i = 0; i < profile->events.count; i++) {
        const struct profile_event *event = &profile->events.items[i];
        if (!places[event->kind]) {
            *vec_push(&list) = (struct event_summary){.kind = event->kind};
            places[event->kind] = (uint32_t)list.count;
        }
        struct event_summary *summary = &list.items[places[event->kind] - 1];
        summary->count++;
        summary->total_us += event->duration_us;
        if (event->duration_us > summary->max_us)
            summary->max_us = event->duration_us;
    }
    return (struct event_summaries){list.items, list.count};
}

static int thread_compare(const void *a, const void *b, void *context)
{
    const struct thread *threads = context;
    const struct thread *x = &threads[*(const thread_id *)a], *y = &threads[*(const thread_id *)b];
    if (x->ticks != y->ticks)
        return x->ticks < y->ticks ? 1 : -1;
    if (x->waiting != y->waiting)
        return x->waiting < y->waiting ? 1 : -1;
    return (x->tid > y->tid) - (x->tid < y->tid);
}

void threads_order(const struct profile *profile, thread_id *order)
{
    for (thread_id i = 0; i < profile->threads.count; i++)
        order[i] = i;
    if (profile->threads.count)
        qsort_r(order, profile->threads.count, sizeof *order, thread_compare,
                profile->threads.items);
}

double profile_duration_s(const struct profile *profile)
{
    int64_t duration_us = (int64_t)(profile->meta.end_us - profile->meta.start_us);
    return duration_us > 0 ? (double)duration_us / 1e6 : 0;
}

double profile_period_us(const struct profile *profile)
{
    if (profile->meta.period_us)
        return (double)profile->meta.period_us;
    return profile->samples.count
               ? profile_duration_s(profile) * 1e6 / (double)profile->samples.count
               : 0;
}
