/*
 * grower SECONDS MEGABYTES - for so much wall time allocates and touches MEGABYTES a second, by
 * the clock and not by sleeping, so that a loaded machine does not change the slope.
 */
#include "burn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 2, rate = argc > 2 ? atof(argv[2]) : 20;
    const size_t block = 256 << 10;
    size_t allocated = 0;
    for (double start = wall_seconds(); wall_seconds() - start < seconds;) {
        if ((double)allocated < (wall_seconds() - start) * rate * (1 << 20)) {
            char *memory = malloc(block);
            if (!memory)
                return 2;
            memset(memory, 1, block);
            __asm__ volatile("" : : "r"(memory) : "memory"); /* a leak that must not vanish */
            allocated += block;
        } else {
            usleep(2000);
        }
    }
    printf("{\"cpu_s\":%.6f,\"allocated\":%zu}\n", clock_seconds(CLOCK_PROCESS_CPUTIME_ID),
           allocated);
    return 0;
}
