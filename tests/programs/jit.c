/*
 * jit SECONDS - a runtime in small: makes the code of one function, tells of it in its perf map, as
 * "generated_loop", and runs it for that much CPU time. Says when it has begun.
 */
#include "burn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
/* push rbp; mov rbp, rsp; 1: dec rdi; jnz 1b; pop rbp; ret */
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xff,
                                     0xcf, 0x75, 0xfb, 0x5d, 0xc3};
#elif defined(__aarch64__)
/* stp x29, x30, [sp, -16]!; mov x29, sp; 1: subs x0, x0, 1; b.ne 1b; ldp x29, x30, [sp], 16; ret */
static const unsigned int code[] = {0xa9bf7bfd, 0x910003fd, 0xf1000400,
                                    0x54ffffe1, 0xa8c17bfd, 0xd65f03c0};
#endif

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    char path[64];
    void (*generated)(uint64_t rounds);
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 2;
    memcpy(memory, code, sizeof code);
    __builtin___clear_cache(memory, (char *)memory + sizeof code);
    if (mprotect(memory, 4096, PROT_READ | PROT_EXEC))
        return 2;
    memcpy(&generated, &memory, sizeof generated);
    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(path, "we");
    if (!map)
        return 2;
    fprintf(map, "%lx %zx generated_loop\n", (unsigned long)memory, sizeof code);
    fclose(map);
    puts("ready");
    fflush(stdout);
    while (cpu_seconds() < seconds)
        generated(1000000);
    return 0;
}
