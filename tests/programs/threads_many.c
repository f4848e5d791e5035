/*
 * threads_many SECONDS [THREADS] [BUSY] - THREADS (1,000) threads are alive; the first BUSY (4)
 * of them burn SECONDS of CPU time each in many_burn. Of the others every fiftieth wakes each
 * 50 ms, the rest sleep until the end. It says "ready" when all of them run.
 */
#include "burn.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static double seconds;
static int busy;
static int started, finished;
static _Atomic uint64_t burned_ns;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_started = PTHREAD_COND_INITIALIZER,
                      all_finished = PTHREAD_COND_INITIALIZER;
static int threads;

BURN_FUNCTION(many_burn, 6364136223846793005u)

/* Adds one to a count that threads wait for, or with 0 only waits. */
static void meet(int *count, int step, int wanted, pthread_cond_t *met)
{
    pthread_mutex_lock(&mutex);
    *count += step;
    if (*count == wanted)
        pthread_cond_broadcast(met);
    while (*count < wanted)
        pthread_cond_wait(met, &mutex);
    pthread_mutex_unlock(&mutex);
}

static bool is_over(void)
{
    pthread_mutex_lock(&mutex);
    bool over = finished == busy;
    pthread_mutex_unlock(&mutex);
    return over;
}

static void *thread_main(void *argument)
{
    int index = (int)(intptr_t)argument;
    meet(&started, 1, threads + 1, &all_started);
    if (index < busy) {
        burned_ns += (uint64_t)(burn_for(many_burn, seconds) * 1e9);
        meet(&finished, 1, busy, &all_finished);
    }
    while (index % 50 == 0 && !is_over())
        usleep(50000);
    meet(&finished, 0, busy, &all_finished);
    return NULL;
}

int main(int argc, char **argv)
{
    enum { MOST = 4000 };
    static pthread_t ids[MOST];
    pthread_attr_t attributes;
    seconds = argc > 1 ? atof(argv[1]) : 1;
    threads = argc > 2 ? atoi(argv[2]) : 1000;
    busy = argc > 3 ? atoi(argv[3]) : 4;
    if (threads < 1 || threads > MOST || busy > threads)
        return 2;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&ids[i], &attributes, thread_main, (void *)(intptr_t)i))
            return 2;
    }
    meet(&started, 1, threads + 1, &all_started);
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    printf("{\"cpu_s\":%.6f,\"functions\":{\"many_burn\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), (double)burned_ns / 1e9);
    return 0;
}
