/*
 * bus_guard.c - the SIGBUS handler puts an anonymous zero page at the fault and lets the read go
 * on. Reading files into the heap would be safe too, but copies 300 MB of DWARF.
 */
#include "core/bus_guard.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static long page_bytes;

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    void *page = (void *)((uintptr_t)info->si_addr & ~((uintptr_t)page_bytes - 1));
    if (info->si_code == BUS_ADRERR &&
        mmap(page, (size_t)page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
            MAP_FAILED)
        return;
    signal(number, SIG_DFL);
}

static void install(void)
{
    page_bytes = sysconf(_SC_PAGESIZE);
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
}

void bus_guard_install(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}
