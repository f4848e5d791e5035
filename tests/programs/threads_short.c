/*
 * threads_short SECONDS [RATE] - creates and ends RATE (500) threads a second, each of which
 * burns 1 to 2 ms in short_burn. What they spent is summed by each thread's own clock, the
 * whole by getrusage.
 */
#include "burn.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SLICE = 20000 };

static _Atomic uint64_t burned_ns, running;

BURN_FUNCTION(short_burn, 6364136223846793005u)

static void *thread_main(void *argument)
{
    double seconds = 0.001 + 0.001 * (double)((uintptr_t)argument % 11) / 10;
    double start = cpu_seconds(), spent;
    do {
        keep(short_burn(SLICE));
        spent = cpu_seconds() - start;
    } while (spent < seconds);
    burned_ns += (uint64_t)(spent * 1e9);
    running--;
    return NULL;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 2, rate = argc > 2 ? atof(argv[2]) : 500;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 64 << 10);

    /* On a loaded machine it falls behind its rate rather than pile threads up. */
    uintptr_t created = 0;
    for (double start = wall_seconds(); wall_seconds() - start < seconds;) {
        pthread_t id;
        if (running < 100 && (double)created < (wall_seconds() - start) * rate) {
            running++;
            if (pthread_create(&id, &attributes, thread_main, (void *)created))
                return 2;
            created++;
        } else {
            usleep(500);
        }
    }
    while (running)
        usleep(1000);
    usleep(10000); /* the last one is past its decrement, not yet past its end */

    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"cpu_s\":%.6f,\"threads\":%lu,\"functions\":{\"short_burn\":%.6f}}\n",
           (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
               (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
           (unsigned long)created, (double)burned_ns / 1e9);
    return 0;
}
