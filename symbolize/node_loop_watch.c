/*
 * A loop runs from the end of one wait to the beginning of the next. Two readings belong to one run
 * if nothing that a turn changes has changed in between: the count of turns where there is one,
 * else the loop's clock, and how long it has waited. A run begins with the loop's look at the
 * clock, which comes right behind the wait. It ends where the next reading shows the wait that it
 * has begun, or, where the loop runs again by then, at that run's beginning, less what it waited in
 * between.
 */
#include "symbolize/node_loop.h"

static bool has_turned(const struct node_loop_reading *reading)
{
    return reading->turns || reading->idle_ns || reading->waits_since_ns;
}

static bool same_run(const struct node_loop_reading *a, const struct node_loop_reading *b)
{
    return !a->waits_since_ns && !b->waits_since_ns && a->idle_ns == b->idle_ns &&
           a->turns == b->turns && (a->turns || a->clock_ns == b->clock_ns);
}

static uint64_t within(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static void note_run(struct node_loop_watch *watch, uint64_t until_ns)
{
    uint64_t run_ns =
        watch->began_ns && until_ns > watch->began_ns ? until_ns - watch->began_ns : 0;
    if (run_ns > watch->longest_ns)
        watch->longest_ns = run_ns;
}

/* Where the run that the last reading saw has ended. */
static uint64_t end_of_run(const struct node_loop_reading *last,
                           const struct node_loop_reading *now)
{
    uint64_t next_ns = now->waits_since_ns ? now->waits_since_ns : now->clock_ns;
    uint64_t waited_ns = now->idle_ns - last->idle_ns;
    return within(next_ns > waited_ns ? next_ns - waited_ns : 0, last->time_ns, now->time_ns);
}

bool node_loop_watch_feed(struct node_loop_watch *watch, const struct node_loop_reading *reading,
                          uint64_t least_ns, struct node_loop_block *ret_block)
{
    struct node_loop_reading last = watch->last;
    bool ended = false;
    if (!has_turned(reading))
        return false;
    watch->last = *reading;
    if (last.time_ns && watch->began_ns && same_run(&last, reading)) {
        note_run(watch, reading->time_ns);
        return false;
    }
    if (last.time_ns && watch->began_ns) {
        uint64_t end_ns = end_of_run(&last, reading);
        note_run(watch, end_ns);
        ended = end_ns - watch->began_ns >= least_ns;
        if (ended)
            *ret_block = (struct node_loop_block){watch->began_ns, end_ns};
    }
    watch->began_ns =
        reading->waits_since_ns ? 0 : within(reading->clock_ns, last.time_ns, reading->time_ns);
    note_run(watch, reading->time_ns);
    return ended;
}

bool node_loop_watch_finish(const struct node_loop_watch *watch, uint64_t least_ns,
                            struct node_loop_block *ret_block)
{
    uint64_t end_ns = watch->last.time_ns;
    if (!watch->began_ns || end_ns - watch->began_ns < least_ns)
        return false;
    *ret_block = (struct node_loop_block){watch->began_ns, end_ns};
    return true;
}

uint64_t node_loop_watch_take(struct node_loop_watch *watch)
{
    uint64_t longest_ns = watch->longest_ns;
    watch->longest_ns = 0;
    note_run(watch, watch->last.time_ns);
    uint64_t present_ns = watch->longest_ns;
    watch->longest_ns = 0;
    return longest_ns > present_ns ? longest_ns : present_ns;
}
