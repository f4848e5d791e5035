/*
 * stolen SECONDS - watches the clock, below 12 KB of stack, and tells what share of the time it
 * did not run for 0.4 to 60 µs at a time: what interrupts took, those of a profiler among them.
 * Being switched off takes longer and does not count. Steadier than comparing run times, which
 * on a virtual machine differ by some percent whatever is done.
 */
#include "burn.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEAST_NS = 400, MOST_NS = 60000, DEPTH = 12, FRAME_BYTES = 900 };

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

DISTINCT void watch(double seconds)
{
    uint64_t start = now_ns(), last = start, stolen_ns = 0, gaps = 0;
    uint64_t end = start + (uint64_t)(seconds * 1e9);
    while (last < end) {
        uint64_t now = now_ns(), gap = now - last;
        if (gap > LEAST_NS && gap < MOST_NS) {
            stolen_ns += gap;
            gaps++;
        }
        last = now;
    }
    printf("{\"gaps\":%lu,\"stolen_percent\":%f}\n", (unsigned long)gaps,
           100.0 * (double)stolen_ns / (double)(last - start));
}

DISTINCT void descend(int depth, double seconds)
{
    volatile char frame[FRAME_BYTES];
    memset((char *)frame, depth, sizeof frame);
    if (depth)
        descend(depth - 1, seconds);
    else
        watch(seconds);
    frame[0] = 1;
}

int main(int argc, char **argv)
{
    descend(DEPTH, argc > 1 ? atof(argv[1]) : 4);
    return EXIT_SUCCESS;
}
