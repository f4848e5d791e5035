/*
 * leaderless SECONDS - its main thread ends at once; another burns SECONDS of CPU time in
 * leaderless_burn and ends the process.
 */
#include "burn.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static double seconds;

BURN_FUNCTION(leaderless_burn, 6364136223846793005u)

static void *thread_main(void *argument)
{
    double burned = burn_for(leaderless_burn, seconds);
    printf("{\"cpu_s\":%f,\"functions\":{\"leaderless_burn\":%f}}\n", burned, burned);
    fflush(stdout);
    exit(EXIT_SUCCESS);
    return argument;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    seconds = argc > 1 ? atof(argv[1]) : 2;
    if (pthread_create(&thread, NULL, thread_main, NULL))
        return EXIT_FAILURE;
    pthread_exit(NULL);
}
