/*
 * maps_many SECONDS [MAPPINGS] - makes 30,000 mappings by giving every other page another
 * protection, touches them, and burns SECONDS in maps_burn.
 */
#include "burn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

BURN_FUNCTION(maps_burn, 6364136223846793005u)

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    size_t mappings = argc > 2 ? (size_t)atol(argv[2]) : 30000;
    char *memory =
        mmap(NULL, mappings * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 2;
    memset(memory, 1, mappings * 4096);
    for (size_t i = 0; i < mappings; i += 2) {
        if (mprotect(memory + i * 4096, 4096, PROT_READ))
            return 2;
    }
    puts("ready");
    fflush(stdout);
    double burned = burn_for(maps_burn, seconds);
    printf("{\"cpu_s\":%.6f,\"functions\":{\"maps_burn\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), burned);
    return 0;
}
