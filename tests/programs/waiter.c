/*
 * waiter SECONDS [THREADS] [CYCLE_US] - each thread goes through cycles: 60 % of one asleep in
 * waiter_sleep, 30 % waiting for a condition in waiter_condition, 10 % of CPU time in waiter_burn.
 * Two more threads fight for a lock: waiter_hold sleeps with it, and waiter_lock waits for it. The
 * main thread waits in waiter_join from the first moment to the last. Tells the wall time of each
 * function, summed over the threads.
 */
#include "burn.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS_MAX = 64, BURN_ROUNDS = 20000 };

struct share {
    double sleep, condition, burn, lock, hold, all;
};

static double seconds = 2;
static unsigned cycle_us = 100000;
static pthread_mutex_t fought_for = PTHREAD_MUTEX_INITIALIZER;

BURN_FUNCTION(waiter_rounds, 6364136223846793005u)

/* Nothing here is in tail position: each stays on the stack while it waits. */
DISTINCT void waiter_sleep(unsigned microseconds)
{
    usleep(microseconds);
    keep(microseconds);
}

DISTINCT void waiter_condition(unsigned microseconds)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)microseconds * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    pthread_cond_timedwait(&never, &mutex, &until);
    pthread_mutex_unlock(&mutex);
}

DISTINCT void waiter_burn(unsigned microseconds)
{
    double end = cpu_seconds() + microseconds / 1e6;
    while (cpu_seconds() < end)
        keep(waiter_rounds(cycle_us < BURN_ROUNDS ? cycle_us : BURN_ROUNDS));
}

DISTINCT void waiter_lock(void)
{
    pthread_mutex_lock(&fought_for);
    keep(0);
}

DISTINCT void waiter_hold(void)
{
    usleep(5000);
    keep(0);
}

static void *cycles_main(void *argument)
{
    struct share *share = argument;
    double start = wall_seconds(), at = start;
    while (at - start < seconds) {
        waiter_sleep(cycle_us * 6 / 10);
        double slept = wall_seconds();
        waiter_condition(cycle_us * 3 / 10);
        double waited = wall_seconds();
        waiter_burn(cycle_us / 10);
        double burned = wall_seconds();
        share->sleep += slept - at;
        share->condition += waited - slept;
        share->burn += burned - waited;
        at = burned;
    }
    share->all = at - start;
    return NULL;
}

static void *fight_main(void *argument)
{
    struct share *share = argument;
    double start = wall_seconds(), at = start;
    while (at - start < seconds) {
        waiter_lock();
        double locked = wall_seconds();
        waiter_hold();
        double held = wall_seconds();
        pthread_mutex_unlock(&fought_for);
        usleep(100); /* or the other one would never get it */
        share->lock += locked - at;
        share->hold += held - locked;
        at = wall_seconds();
    }
    share->all = at - start;
    return NULL;
}

DISTINCT void waiter_join(const pthread_t *ids, int count)
{
    for (int i = 0; i < count; i++)
        pthread_join(ids[i], NULL);
    keep(0);
}

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[2]) : 2;
    pthread_t ids[THREADS_MAX + 2];
    struct share shares[THREADS_MAX + 2] = {0}, sum = {0};
    seconds = argc > 1 ? atof(argv[1]) : seconds;
    cycle_us = argc > 3 ? (unsigned)atoi(argv[3]) : cycle_us;
    if (threads < 0 || threads > THREADS_MAX || !cycle_us)
        return 2;
    double start = wall_seconds();
    for (int i = 0; i < threads + 2; i++)
        if (pthread_create(&ids[i], NULL, i < threads ? cycles_main : fight_main, &shares[i]))
            return 2;
    double created = wall_seconds();
    waiter_join(ids, threads + 2);
    double join = wall_seconds() - created;
    for (int i = 0; i < threads + 2; i++) {
        sum.sleep += shares[i].sleep;
        sum.condition += shares[i].condition;
        sum.burn += shares[i].burn;
        sum.lock += shares[i].lock;
        sum.hold += shares[i].hold;
        sum.all += shares[i].all;
    }
    printf("{\"cpu_s\":%.6f,\"wall_s\":%.6f,\"functions\":{\"waiter_sleep\":%.6f,"
           "\"waiter_condition\":%.6f,\"waiter_burn\":%.6f,\"waiter_lock\":%.6f,"
           "\"waiter_hold\":%.6f,\"waiter_join\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), sum.all + wall_seconds() - start, sum.sleep,
           sum.condition, sum.burn, sum.lock, sum.hold, join);
    return 0;
}
