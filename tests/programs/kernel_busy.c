/*
 * kernel_busy SECONDS - spends SECONDS of CPU time, half in the kernel (reading /dev/zero in
 * kernel_read) and half in user_burn.
 */
#include "burn.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

BURN_FUNCTION(user_burn, 6364136223846793005u)

DISTINCT double kernel_read(int fd)
{
    static char buffer[1 << 20];
    double start = cpu_seconds();
    for (int i = 0; i < 160; i++) {
        if (read(fd, buffer, sizeof buffer) < 0)
            exit(2);
    }
    return cpu_seconds() - start;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1, kernel = 0, user = 0;
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 2;
    while (kernel + user < seconds) {
        if (kernel <= user)
            kernel += kernel_read(fd);
        else
            user += burn_slice(user_burn);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"cpu_s\":%.6f,\"system_s\":%.6f,"
           "\"functions\":{\"kernel_read\":%.6f,\"user_burn\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID),
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6, kernel, user);
    return 0;
}
