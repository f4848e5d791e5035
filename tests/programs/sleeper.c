/*
 * sleeper SECONDS - for so much wall time burns 10 ms in sleeper_burn and sleeps 90 ms, again
 * and again.
 */
#include "burn.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

BURN_FUNCTION(sleeper_burn, 6364136223846793005u)

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 2, start = wall_seconds(), burned = 0;
    while (wall_seconds() - start < seconds) {
        burned += burn_for(sleeper_burn, 0.010);
        usleep(90000);
    }
    printf("{\"cpu_s\":%.6f,\"wall_s\":%.6f,\"functions\":{\"sleeper_burn\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), wall_seconds() - start, burned);
    return 0;
}
