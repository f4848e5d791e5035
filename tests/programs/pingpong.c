/*
 * pingpong SECONDS [PAIRS] - pairs of threads hand a byte to and fro through two pipes: nothing but
 * context switches. Each pair shares one CPU. Tells how often the byte went round.
 */
#include "burn.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PAIRS_MAX = 32 };

struct pair {
    int there[2], back[2];
    uint64_t rounds;
    double seconds;
};

static void stay_on_cpu(long number)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((int)(number % sysconf(_SC_NPROCESSORS_ONLN)), &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

DISTINCT void pingpong_answer(struct pair *pair)
{
    char byte;
    while (read(pair->there[0], &byte, 1) == 1 && write(pair->back[1], &byte, 1) == 1)
        ;
    keep(byte);
}

DISTINCT void pingpong_ask(struct pair *pair)
{
    char byte = 0;
    double end = wall_seconds() + pair->seconds;
    while (wall_seconds() < end && write(pair->there[1], &byte, 1) == 1 &&
           read(pair->back[0], &byte, 1) == 1)
        pair->rounds++;
    close(pair->there[1]);
}

struct side {
    struct pair *pair;
    long number;
};

static void *answer_main(void *argument)
{
    const struct side *side = argument;
    stay_on_cpu(side->number);
    pingpong_answer(side->pair);
    return NULL;
}

static void *ask_main(void *argument)
{
    const struct side *side = argument;
    stay_on_cpu(side->number);
    pingpong_ask(side->pair);
    return NULL;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1, start = wall_seconds();
    int pairs = argc > 2 ? atoi(argv[2]) : 1;
    struct pair of[PAIRS_MAX] = {0};
    struct side sides[PAIRS_MAX];
    pthread_t ids[2 * PAIRS_MAX];
    uint64_t rounds = 0;
    if (pairs < 1 || pairs > PAIRS_MAX)
        return 2;
    for (int i = 0; i < pairs; i++) {
        of[i].seconds = seconds;
        sides[i] = (struct side){&of[i], i};
        if (pipe(of[i].there) || pipe(of[i].back) ||
            pthread_create(&ids[2 * i], NULL, answer_main, &sides[i]) ||
            pthread_create(&ids[2 * i + 1], NULL, ask_main, &sides[i]))
            return 2;
    }
    for (int i = 0; i < 2 * pairs; i++)
        pthread_join(ids[i], NULL);
    for (int i = 0; i < pairs; i++)
        rounds += of[i].rounds;
    printf("{\"rounds\":%llu,\"wall_s\":%.6f,\"cpu_s\":%.6f}\n", (unsigned long long)rounds,
           wall_seconds() - start, clock_seconds(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}
