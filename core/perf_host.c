#include "core/perf_host.h"

#include "core/alloc.h"

#include <stdbool.h>
#include <unistd.h>

/* "0-3,8" of /sys/devices/system/cpu/online. */
size_t perf_host_cpus(int **ret_cpus)
{
    vec(int) cpus = {0};
    _cleanup_fclose_ FILE *file = fopen("/sys/devices/system/cpu/online", "re");
    int first, last;
    while (file && fscanf(file, "%d", &first) == 1) {
        last = first;
        int separator = fgetc(file);
        if (separator == '-' && fscanf(file, "%d", &last) == 1)
            separator = fgetc(file);
        for (int cpu = first; cpu <= last; cpu++)
            vec_append(&cpus, cpu);
        if (separator != ',')
            break;
    }
    for (int cpu = 0; !cpus.count && cpu < (int)sysconf(_SC_NPROCESSORS_ONLN); cpu++)
        vec_append(&cpus, cpu);
    *ret_cpus = cpus.items;
    return cpus.count;
}
