#include "core/bus_guard.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

START_TEST(a_truncated_mapping_reads_as_zeros)
{
    char name[] = "/tmp/memprof-test-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    char page[4096];
    memset(page, 'x', sizeof page);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(write(fd, page, sizeof page), sizeof page);
    const char *text = mmap(NULL, 4 * sizeof page, PROT_READ, MAP_PRIVATE, fd, 0);
    ck_assert_ptr_ne(text, MAP_FAILED);
    ck_assert_int_eq(text[3 * sizeof page], 'x');
    bus_guard_install();
    ck_assert_int_eq(ftruncate(fd, sizeof page), 0);
    ck_assert_int_eq(text[0], 'x');
    ck_assert_int_eq(text[2 * sizeof page + 17], 0);
    ck_assert_int_eq(text[3 * sizeof page], 0);
    munmap((void *)(uintptr_t)text, 4 * sizeof page);
    close(fd);
}
END_TEST

UNIT_MAIN("bus_guard", a_truncated_mapping_reads_as_zeros)
