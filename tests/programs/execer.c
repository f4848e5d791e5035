/*
 * execer SECONDS - burns SECONDS in before_exec, then executes itself and burns twice as much
 * in after_exec.
 */
#include "burn.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

BURN_FUNCTION(before_exec, 6364136223846793005u)
BURN_FUNCTION(after_exec, 2862933555777941757u)

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    if (argc < 3) {
        char burned[32];
        snprintf(burned, sizeof burned, "%.6f", burn_for(before_exec, seconds));
        execl("/proc/self/exe", argv[0], argv[1], burned, (char *)NULL);
        return 2;
    }
    double after = burn_for(after_exec, 2 * seconds);
    printf("{\"cpu_s\":%.6f,\"functions\":{\"before_exec\":%s,\"after_exec\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), argv[2], after);
    return 0;
}
