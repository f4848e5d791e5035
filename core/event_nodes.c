/*
 * The calls that more than half of the samples lie in are one chain from the root inwards, and a
 * parent comes before its children: the innermost has the greatest id. One pass over the samples
 * serves all events. The most frequent stack would be simpler, and arbitrary: native code is
 * sampled at many addresses, each of which is a stack of its own.
 */
#include "core/event_nodes.h"

#include <string.h>

struct counter {
    uint32_t *counts; /* by node, its callees' samples included; 0 for all but the touched */
    vec(node_id) touched;
    uint32_t samples;
};

static void count_sample(struct counter *counter, const struct profile *profile, node_id node)
{
    counter->samples++;
    for (; node; node = profile->nodes.items[node].parent)
        if (!counter->counts[node]++)
            vec_append(&counter->touched, node);
}

/* And begins anew. */
static node_id take_busiest(struct counter *counter)
{
    node_id busiest = 0;
    for (size_t i = 0; i < counter->touched.count; i++) {
        node_id node = counter->touched.items[i];
        if (counter->counts[node] > counter->samples / 2 && node > busiest)
            busiest = node;
        counter->counts[node] = 0;
    }
    counter->touched.count = 0;
    counter->samples = 0;
    return busiest;
}

/* The next event of the kind from a place on; NULL: none is left. */
static struct profile_event *next_event(struct profile *profile, const char *kind, size_t *place)
{
    while (*place < profile->events.count) {
        struct profile_event *event = &profile->events.items[(*place)++];
        if (!strcmp(profile_string(profile, event->kind), kind))
            return event;
    }
    return NULL;
}

void event_nodes_find(struct profile *profile, const char *kind, thread_id thread)
{
    size_t place = 0;
    struct profile_event *event = next_event(profile, kind, &place);
    struct counter counter = {0};
    struct sample sample;
    if (!event)
        return;
    counter.counts = xcalloc(profile->nodes.count, sizeof *counter.counts);
    struct sequence_cursor cursor = sequence_begin(&profile->samples);
    while (event && sequence_next(&cursor, &sample)) {
        while (event && sample.time_us > event->time_us + event->duration_us) {
            if (!event->node)
                event->node = take_busiest(&counter);
            event = next_event(profile, kind, &place);
        }
        if (event && sample.thread == thread && sample.time_us >= event->time_us &&
            sample.node < profile->nodes.count)
            count_sample(&counter, profile, sample.node);
    }
    if (event && !event->node)
        event->node = take_busiest(&counter);
    free(counter.counts);
    vec_release(&counter.touched);
}
