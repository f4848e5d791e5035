/*
 * signal_frames SECONDS - interrupted_burn runs and a timer of its CPU time interrupts it every
 * 20 ms; the handler burns as much in handler_burn as interrupted_burn had since.
 */
#include "burn.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

static volatile double in_handler;

BURN_FUNCTION(interrupted_burn, 6364136223846793005u)
BURN_FUNCTION(handler_burn, 2862933555777941757u)

/* Async-signal-safe: clock_gettime and arithmetic. */
static void handler(int number)
{
    (void)number;
    in_handler += burn_for(handler_burn, 0.010);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1, all = 0;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval timer = {.it_interval.tv_usec = 20000, .it_value.tv_usec = 20000};
    if (sigaction(SIGPROF, &action, NULL) || setitimer(ITIMER_PROF, &timer, NULL))
        return 2;
    while (all < seconds)
        all += burn_slice(interrupted_burn);
    timer.it_value.tv_usec = 0;
    setitimer(ITIMER_PROF, &timer, NULL);
    printf("{\"cpu_s\":%.6f,\"functions\":{\"handler_burn\":%.6f,\"interrupted_burn\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), in_handler, all - in_handler);
    return 0;
}
