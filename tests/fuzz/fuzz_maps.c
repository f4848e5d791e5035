/*
 * fuzz_maps.c - the text of /proc/PID/maps: whatever it says, the segments are sorted, do not
 * overlap, and are found.
 *
 * No mapped file is opened: the limit on open files is zero meanwhile.
 */
#include "symbolize/modules.h"

#include <sys/resource.h>

static void check_space(const struct space *space)
{
    for (size_t i = 0; i < space->segments.count; i++) {
        const struct segment *segment = &space->segments.items[i];
        if (segment->start >= segment->end || !segment->module ||
            (i && segment[-1].end > segment->start))
            __builtin_trap();
        if (space_find(space, segment->start) != segment ||
            space_find(space, segment->end - 1) != segment)
            __builtin_trap();
        const struct segment *before = space_find(space, segment->start - 1);
        if (before && segment->start && before->end != segment->start)
            __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rlimit old, none;
    if (getrlimit(RLIMIT_NOFILE, &old))
        return 0;
    none = (struct rlimit){0, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);

    struct modules *modules = modules_new();
    struct space space, child;
    space_init(&space, modules, 1);
    space_parse(&space, modules, (const char *)data, size);
    check_space(&space);
    space_copy(&child, modules, &space, 2);
    space_parse(&child, modules, (const char *)data, size / 2);
    check_space(&child);
    space_clear(&space, modules);
    if (space_find(&space, 0))
        __builtin_trap();
    space_release(&space);
    space_release(&child);
    modules_free(modules);
    setrlimit(RLIMIT_NOFILE, &old);
    return 0;
}
