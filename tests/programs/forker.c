/*
 * forker SECONDS [CHILDREN] - burns SECONDS in parent_burn while each of CHILDREN (2) forked
 * children burns as much in child_burn.
 */
#include "burn.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

BURN_FUNCTION(parent_burn, 6364136223846793005u)
BURN_FUNCTION(child_burn, 2862933555777941757u)

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1, burned, by_children = 0;
    int children = argc > 2 ? atoi(argv[2]) : 2, channel[2];
    if (pipe(channel))
        return 2;
    for (int i = 0; i < children; i++) {
        pid_t child = fork();
        if (child < 0)
            return 2;
        if (!child) {
            burned = burn_for(child_burn, seconds);
            _exit(write(channel[1], &burned, sizeof burned) == sizeof burned ? 0 : 2);
        }
    }
    double own = burn_for(parent_burn, seconds);
    for (int i = 0; i < children; i++) {
        int status;
        if (read(channel[0], &burned, sizeof burned) != sizeof burned || wait(&status) < 0)
            return 2;
        by_children += burned;
    }
    printf("{\"cpu_s\":%.6f,\"functions\":{\"parent_burn\":%.6f,\"child_burn\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), own, by_children);
    return 0;
}
