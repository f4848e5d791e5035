/*
 * deep SECONDS [LEVELS] - burns 20 % in shallow_burn, called by main, and 80 % in deep_burn
 * below LEVELS (300) calls of deep_recurse with a kilobyte of stack each: deeper than any
 * sample's copy of the stack.
 */
#include "burn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

BURN_FUNCTION(shallow_burn, 2862933555777941757u)
BURN_FUNCTION(deep_burn, 6364136223846793005u)

DISTINCT double deep_recurse(int levels, volatile char *above)
{
    volatile char frame[1024];
    frame[0] = (char)(above[0] + 1);
    double burned = levels > 0 ? deep_recurse(levels - 1, frame) : burn_for(deep_burn, 0.040);
    return burned + (frame[0] == above[0]); /* never equal: but it is no tail call */
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1, deep = 0, shallow = 0;
    int levels = argc > 2 ? atoi(argv[2]) : 300;
    volatile char top = 0;
    while (deep + shallow < seconds) {
        deep += deep_recurse(levels, &top);
        shallow += burn_for(shallow_burn, 0.010);
    }
    printf("{\"cpu_s\":%.6f,\"functions\":{\"deep_burn\":%.6f,\"shallow_burn\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), deep, shallow);
    return 0;
}
