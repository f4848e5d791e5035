/*
 * burn.h - what the test programs share: functions that burn CPU time, and clocks of their own.
 *
 * Each program says on standard output, as one line of JSON, where its CPU time went by its own
 * clock; the tests compare that with what memprof says. Truth is CPU time and never wall time,
 * so that a loaded machine changes nothing. A slice is some milliseconds: long beside the
 * reading of the clock around it, and long beside the period of a sampler. Were the two of a
 * length, a sampler could keep step with the program and see one function only.
 */
#ifndef MEMPROF_TESTS_BURN_H
#define MEMPROF_TESTS_BURN_H

#include <stdint.h>
#include <time.h>

/* One function in the binary under its own name: no clone, no inlining, no folding. */
#if defined(__has_attribute) && __has_attribute(noipa)
#define DISTINCT __attribute__((noipa))
#else
#define DISTINCT __attribute__((noinline))
#endif

/* Defines a function whose every instruction counts as its own. */
#define BURN_FUNCTION(name, multiplier)           \
    DISTINCT uint64_t name(uint64_t rounds)       \
    {                                             \
        uint64_t x = rounds;                      \
        for (uint64_t i = 0; i < rounds; i++)     \
            x = (x ^ x >> 29) * (multiplier) + i; \
        return x;                                 \
    }

enum { BURN_SLICE = 3000000 };

static inline double clock_seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline double cpu_seconds(void)
{
    return clock_seconds(CLOCK_THREAD_CPUTIME_ID);
}

static inline double wall_seconds(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}

/* Uses a value, so that what made it is not optimised away. */
static inline void keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value));
}

/* One slice; returns the CPU time that this thread spent in it. */
static inline double burn_slice(uint64_t (*function)(uint64_t rounds))
{
    double start = cpu_seconds();
    keep(function(BURN_SLICE));
    return cpu_seconds() - start;
}

/* Slices until the thread has spent that much; returns what it was exactly. */
static inline double burn_for(uint64_t (*function)(uint64_t rounds), double seconds)
{
    double spent = 0;
    while (spent < seconds)
        spent += burn_slice(function);
    return spent;
}

#endif
