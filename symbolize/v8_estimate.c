/*
 * A run is broken by a sample of the same thread elsewhere, and by a time without any: a thread
 * that waits for others that collect for it has no samples, but neither has one that sleeps between
 * two collections. A step of incremental marking and a pause behind it are two runs.
 *
 * A run of n samples stands for n periods of CPU time, and for the time from its first to its last
 * sample and one period more if that is longer, for it may have waited in between.
 */
#include "symbolize/v8_estimate.h"

#include "symbolize/v8_collector.h"

#include <string.h>

enum { GAP_PERIODS = 10 };

struct run { /* of one thread; no samples: none is open */
    uint64_t first_us, last_us, samples;
    node_id node; /* of `named` */
    enum v8_collector collector;
};

struct estimate {
    const struct profile *raw;
    struct profile *named;
    uint64_t period_us;
    struct run *runs; /* by thread */
    bool *told;       /* by thread: its process has events already */
};

/* What distinguishes two runs: a pause whose kind shows only now is the same one. */
static bool is_step(enum v8_collector collector)
{
    return collector == V8_COLLECTOR_STEP;
}

static void end_run(struct estimate *estimate, thread_id thread)
{
    struct run *run = &estimate->runs[thread];
    if (!run->samples)
        return;
    uint64_t waited_us = run->last_us - run->first_us + estimate->period_us;
    uint64_t ran_us = run->samples * estimate->period_us;
    struct strings *strings = &estimate->named->strings;
    const char *what = v8_collector_name(run->collector);
    *vec_push(&estimate->named->events) = (struct profile_event){
        .time_us = run->first_us,
        .duration_us = waited_us > ran_us ? waited_us : ran_us,
        .kind = strings_intern(strings, EVENT_GC),
        .node = run->node,
        .what = what ? strings_intern(strings, what) : 0,
        .tid = estimate->raw->threads.items[thread].tid,
        .estimated = true,
    };
    run->samples = 0;
}

static void add_sample(struct estimate *estimate, const struct sample *sample,
                       enum v8_collector collector, node_id node)
{
    struct run *run = &estimate->runs[sample->thread];
    bool pauses = collector >= V8_COLLECTOR_STEP;
    if (run->samples && (!pauses || is_step(collector) != is_step(run->collector) ||
                         sample->time_us > run->last_us + GAP_PERIODS * estimate->period_us))
        end_run(estimate, sample->thread);
    if (!pauses)
        return;
    if (!run->samples)
        *run = (struct run){.first_us = sample->time_us, .node = node};
    if (collector > run->collector)
        run->collector = collector;
    run->last_us = sample->time_us;
    run->samples++;
}

static void find_told(struct estimate *estimate)
{
    const struct profile *raw = estimate->raw;
    for (size_t i = 0; i < raw->events.count; i++) {
        const struct profile_event *event = &raw->events.items[i];
        uint32_t pid = 0;
        if (strcmp(profile_string(raw, event->kind), EVENT_GC) != 0)
            continue;
        for (size_t j = 0; j < raw->threads.count && !pid; j++)
            if (raw->threads.items[j].tid == event->tid)
                pid = raw->threads.items[j].pid;
        for (size_t j = 0; j < raw->threads.count; j++)
            if (raw->threads.items[j].pid == pid)
                estimate->told[j] = true;
    }
}

static int event_compare(const void *a, const void *b)
{
    const struct profile_event *x = a, *y = b;
    return (x->time_us > y->time_us) - (x->time_us < y->time_us);
}

void v8_estimate_pauses(const struct profile *raw, const uint8_t *collecting, const node_id *nodes,
                        struct profile *named)
{
    bool any = false;
    for (size_t i = 0; i < raw->nodes.count && !any; i++)
        any = collecting[i] >= V8_COLLECTOR_STEP;
    if (!any || !raw->threads.count)
        return;
    struct estimate estimate = {
        .raw = raw,
        .named = named,
        .period_us = raw->meta.period_us,
        .runs = xcalloc(raw->threads.count, sizeof *estimate.runs),
        .told = xcalloc(raw->threads.count, sizeof *estimate.told),
    };
    size_t first = named->events.count;
    find_told(&estimate);
    struct sequence_cursor cursor = sequence_begin(&raw->samples);
    struct sample sample;
    while (sequence_next(&cursor, &sample))
        if (sample.thread < raw->threads.count && sample.node < raw->nodes.count &&
            !estimate.told[sample.thread])
            add_sample(&estimate, &sample, collecting[sample.node], nodes[sample.node]);
    for (thread_id i = 0; i < raw->threads.count; i++)
        end_run(&estimate, i);
    if (named->events.count > first)
        qsort(named->events.items + first, named->events.count - first, sizeof *named->events.items,
              event_compare);
    free(estimate.runs);
    free(estimate.told);
}
