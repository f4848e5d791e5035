/*
 * fuzz_jitdump.c - a jitdump that grows once says the same as one that is there at once; names,
 * files and lines are asked for at all addresses that it mentions.
 */
#include "symbolize/jitdump.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void count_records(void *context, uint64_t time_ns)
{
    (void)time_ns;
    ++*(size_t *)context;
}

static int fill(const char *name, const uint8_t *data, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (write(fd, data, size) != (ssize_t)size)
        __builtin_trap();
    return fd;
}

static void compare(struct jitdump *one, struct jitdump *other, uint64_t pc)
{
    struct jitdump_code a, b;
    bool found = jitdump_find(one, pc, &a);
    if (found != jitdump_find(other, pc, &b))
        __builtin_trap();
    if (!found)
        return;
    if (strcmp(a.name, b.name) || !a.file != !b.file || (a.file && strcmp(a.file, b.file)) ||
        a.first_line != b.first_line || a.line != b.line || (a.line && !a.file))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jitdump *whole = NULL, *growing = NULL;
    struct code_news news;
    size_t records = 0, records_growing = 0, half = size / 2 > 40 ? size / 2 : size;
    int fd = fill("whole", data, size), fd_growing = fill("growing", data, half);
    if (jitdump_new(fd, &whole, NULL)) {
        close(fd);
        close(fd_growing);
        return 0;
    }
    int writing = dup(fd_growing);
    if (jitdump_new(fd_growing, &growing, NULL))
        __builtin_trap();
    do
        jitdump_update(whole, count_records, &records, &news);
    while (news.behind);
    jitdump_update(growing, count_records, &records_growing, &news);
    if (write(writing, data + half, size - half) != (ssize_t)(size - half))
        __builtin_trap();
    do
        jitdump_update(growing, count_records, &records_growing, &news);
    while (news.behind);
    if (records != records_growing)
        __builtin_trap();
    for (size_t at = 40; at + 8 <= size && at < 4096; at += 4) {
        uint64_t pc;
        memcpy(&pc, data + at, sizeof pc);
        compare(whole, growing, pc);
        compare(whole, growing, pc + 16);
    }
    jitdump_free(whole);
    jitdump_free(growing);
    close(writing);
    return 0;
}
