/*
 * summary.h - series and events boiled down to the few numbers that a report shows.
 */
#ifndef MEMPROF_OUTPUT_SUMMARY_H
#define MEMPROF_OUTPUT_SUMMARY_H

#include "core/profile.h"

/* The prefix of the series that break the resident set down by kind of mapping. */
#define SERIES_BREAKDOWN "smaps."

struct series_summary {
    double first, last, peak;
    double change_per_minute; /* between the first and the last reading */
    bool has_change;          /* false with one reading */
};

/* The series has at least one point. */
struct series_summary series_summarize(const struct series *series);

struct event_summary {
    string_id kind;
    uint64_t count;
    uint64_t total_us, max_us;
};

struct event_summaries {
    struct event_summary *items;
    size_t count;
};

/* By kind, in the order in which the kinds first came; the caller frees items. */
struct event_summaries events_summarize(const struct profile *profile);

/* Thread ids by ticks on a CPU, most first, then by ticks of waiting, then by TID; `order` has room
 * for all. */
void threads_order(const struct profile *profile, thread_id *order);

/* The period of a tick, or the mean distance of the samples of a file that does not tell it. */
double profile_period_us(const struct profile *profile);
double profile_duration_s(const struct profile *profile);

#endif
