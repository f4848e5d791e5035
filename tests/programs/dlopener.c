/*
 * dlopener SECONDS - burns SECONDS in before_dlopen, then opens plugin.so beside itself and
 * burns twice as much in its plugin_burn; then closes it.
 */
#include "burn.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

BURN_FUNCTION(before_dlopen, 6364136223846793005u)

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    char self[PATH_MAX] = "", path[PATH_MAX + 32];
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return 2;
    snprintf(path, sizeof path, "%s/plugin.so", dirname(self));
    double before = burn_for(before_dlopen, seconds);
    void *library = dlopen(path, RTLD_NOW);
    void *symbol = library ? dlsym(library, "plugin_burn") : NULL;
    if (!symbol) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    double after = burn_for((uint64_t(*)(uint64_t))(uintptr_t)symbol, 2 * seconds);
    dlclose(library);
    printf("{\"cpu_s\":%.6f,\"functions\":{\"before_dlopen\":%.6f,\"plugin_burn\":%.6f}}\n",
           clock_seconds(CLOCK_PROCESS_CPUTIME_ID), before, after);
    return 0;
}
