/*
 * burn SECONDS [THREADS] - each thread burns that much CPU time, 70 % of it in burn_hot and 30 %
 * in burn_warm. SECONDS 0 is for ever. BURN_EXIT=N ends with status N, BURN_SIGNAL=N by it.
 */
#include "burn.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct share {
    double seconds, hot, warm;
};

BURN_FUNCTION(burn_hot, 6364136223846793005u)
BURN_FUNCTION(burn_warm, 2862933555777941757u)

DISTINCT void burn_both(struct share *share)
{
    while (share->seconds <= 0 || share->hot + share->warm < share->seconds) {
        if (share->hot * 30 <= share->warm * 70)
            share->hot += burn_slice(burn_hot);
        else
            share->warm += burn_slice(burn_warm);
    }
}

static void *thread_main(void *argument)
{
    burn_both(argument);
    return NULL;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    pthread_t ids[64];
    struct share shares[64] = {0}, sum = {0};
    if (threads < 1 || threads > 64)
        return 2;
    for (int i = 0; i < threads; i++)
        shares[i].seconds = seconds;
    for (int i = 1; i < threads; i++) {
        if (pthread_create(&ids[i], NULL, thread_main, &shares[i]))
            return 2;
    }
    burn_both(&shares[0]);
    for (int i = 0; i < threads; i++) {
        if (i)
            pthread_join(ids[i], NULL);
        sum.hot += shares[i].hot;
        sum.warm += shares[i].warm;
    }
    printf("{\"cpu_s\":%.6f,\"functions\":{\"burn_hot\":%.6f,\"burn_warm\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), sum.hot, sum.warm);
    fflush(stdout);
    const char *number = getenv("BURN_SIGNAL");
    if (number)
        kill(getpid(), atoi(number));
    number = getenv("BURN_EXIT");
    return number ? atoi(number) : 0;
}
