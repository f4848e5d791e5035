#include "core/memory.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum { MEGABYTE = 1 << 20 };

static char *file_read(const char *path, size_t *ret_length)
{
    _cleanup_fclose_ FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    vec(char) text = {0};
    for (size_t got; vec_reserve(&text, text.count + 4097),
                     (got = fread(text.items + text.count, 1, 4096, file)) > 0;)
        text.count += got;
    text.items[text.count] = '\0';
    *ret_length = text.count;
    return text.items;
}

/* The target's start time, counted by blanks: these programs' names have none. */
static struct target target_of(pid_t pid)
{
    char path[64];
    size_t length;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    char *text = file_read(path, &length), *at = text;
    for (int i = 1; i < 22; i++)
        at = strchr(at, ' ') + 1;
    struct target target = {.pid = pid, .pidfd = -1, .start_time = strtoull(at, NULL, 10)};
    free(text);
    return target;
}

static double last_of(const struct profile *profile, const char *name)
{
    int64_t id = profile_find_series(profile, name);
    ck_assert_msg(id >= 0, "no series %s", name);
    const struct series *series = &profile->series.items[id];
    ck_assert_uint_gt(series->points.count, 0);
    return series->points.items[series->points.count - 1].value;
}

static size_t points_of(const struct profile *profile, const char *name)
{
    int64_t id = profile_find_series(profile, name);
    return id < 0 ? 0 : profile->series.items[id].points.count;
}

static uint64_t breakdown_sum(const struct memory_breakdown *breakdown)
{
    uint64_t sum = breakdown->heap + breakdown->stacks + breakdown->anonymous + breakdown->shared +
                   breakdown->vdso;
    for (size_t i = 0; i < breakdown->files.count; i++)
        sum += breakdown->files.items[i].bytes;
    return sum;
}

/* The oracle: every Rss line, whatever stands around it. */
static uint64_t rss_sum(const char *text)
{
    uint64_t sum = 0;
    for (const char *at = text; (at = strstr(at, "\nRss:")); at++)
        sum += strtoull(at + 5, NULL, 10) * 1024;
    return sum;
}

static uint64_t file_bytes(const struct memory_breakdown *breakdown, const char *path)
{
    for (size_t i = 0; i < breakdown->files.count; i++) {
        if (!strcmp(breakdown->files.items[i].path, path))
            return breakdown->files.items[i].bytes;
    }
    return UINT64_MAX;
}

static struct memory_breakdown parse(const char *text)
{
    struct memory_breakdown breakdown = {0};
    struct error err = {0};
    int result = memory_breakdown_parse(text, strlen(text), &breakdown, &err);
    ck_assert_msg(result == 0, "%s", err.text);
    return breakdown;
}

START_TEST(each_mapping_has_its_kind)
{
    struct memory_breakdown breakdown =
        parse("5618d77c1000-5618d77c3000 r--p 00000000 fe:00 247498   /usr/bin/a b\n"
              "Rss:                   8 kB\nPss:  1 kB\nSwap:   1 kB\nVmFlags: rd mr\n"
              "5618d77c3000-5618d77c4000 r-xp 00002000 fe:00 247498   /usr/bin/a b\nRss: 4 kB\n"
              "5618d8000000-5618d8021000 rw-p 00000000 00:00 0        [heap]\nRss: 100 kB\n"
              "7f0000000000-7f0000001000 ---p 00000000 00:00 0 \nRss: 0 kB\n"
              "7f0000001000-7f0000801000 rw-p 00000000 00:00 0 \nRss: 12 kB\nSwap: 2 kB\n"
              "7f0000801000-7f0000901000 rw-p 00000000 00:00 0 \nRss: 50 kB\n"
              "7f0000901000-7f0000902000 rw-p 00000000 00:00 0   [anon:arena]\nRss: 3 kB\n"
              "7f0001000000-7f0001100000 rw-s 00000000 00:01 9   /dev/zero (deleted)\nRss: 7 kB\n"
              "7f0001100000-7f0001200000 rw-s 00000000 00:01 8   /memfd:x (deleted)\nRss: 9 kB\n"
              "7f0002000000-7f0002100000 r--s 00000000 fe:00 5   /srv/data\nRss: 200 kB\n"
              "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0   [stack]\nRss: 16 kB\n"
              "7ffd00100000-7ffd00104000 r--p 00000000 00:00 0   [vvar]\nRss: 0 kB\n"
              "7ffd00104000-7ffd00106000 r-xp 00000000 00:00 0   [vdso]\nRss: 4 kB\n"
              "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\nRss: 0 kB\n");
    ck_assert_uint_eq(breakdown.heap, 100 << 10);
    ck_assert_uint_eq(breakdown.stacks, (12 + 16) << 10);
    ck_assert_uint_eq(breakdown.anonymous, 53 << 10);
    ck_assert_uint_eq(breakdown.shared, 16 << 10);
    ck_assert_uint_eq(breakdown.vdso, 4 << 10);
    ck_assert_uint_eq(breakdown.swap, 3 << 10);
    ck_assert_uint_eq(breakdown.mappings, 14);
    ck_assert_uint_eq(breakdown.files.count, 2);
    ck_assert_str_eq(breakdown.files.items[0].path, "/srv/data");
    ck_assert_uint_eq(breakdown.files.items[0].bytes, 200 << 10);
    ck_assert_uint_eq(file_bytes(&breakdown, "/usr/bin/a b"), 12 << 10);
    memory_breakdown_release(&breakdown);
}
END_TEST

/* A guard of an arena, a gap, or a file called [heap] must not make a stack or a heap. */
START_TEST(look_alikes_are_what_they_are)
{
    struct memory_breakdown breakdown =
        parse("7f0000000000-7f0004000000 ---p 00000000 00:00 0 \nRss: 0 kB\n"
              "7f0004000000-7f0004100000 rw-p 00000000 00:00 0 \nRss: 1 kB\n"
              "7f0005000000-7f0005001000 ---p 00000000 00:00 0 \nRss: 0 kB\n"
              "7f0005002000-7f0005100000 rw-p 00000000 00:00 0 \nRss: 2 kB\n"
              "7f0006000000-7f0006001000 ---p 00000000 00:00 0 \nRss: 0 kB\n"
              "7f0006001000-7f0006002000 rw-p 00000000 00:00 0 \nRss: 4 kB\n"
              "7f0007000000-7f0007001000 rw-p 00000000 fe:00 7 [heap]\nRss: 8 kB\n");
    ck_assert_uint_eq(breakdown.stacks, 0);
    ck_assert_uint_eq(breakdown.heap, 0);
    ck_assert_uint_eq(breakdown.anonymous, 7 << 10);
    ck_assert_uint_eq(file_bytes(&breakdown, "[heap]"), 8 << 10);
    memory_breakdown_release(&breakdown);
}
END_TEST

START_TEST(stored_smaps_sum_up)
{
    static const char *const names[] = {"burn", "node", "threads"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        size_t length;
        snprintf(path, sizeof path, "%s/tests/fuzz/corpus/smaps/%s", getenv("SOURCE_ROOT"),
                 names[i]);
        char *text = file_read(path, &length);
        struct memory_breakdown breakdown = parse(text);
        ck_assert_uint_gt(rss_sum(text), 100 << 10);
        ck_assert_uint_eq(breakdown_sum(&breakdown), rss_sum(text));
        ck_assert_uint_gt(breakdown.stacks, 0);
        ck_assert_uint_gt(breakdown.heap, 0);
        for (size_t j = 1; j < breakdown.files.count; j++)
            ck_assert_uint_ge(breakdown.files.items[j - 1].bytes, breakdown.files.items[j].bytes);
        memory_breakdown_release(&breakdown);

        /* In pieces of any size it is the same. */
        for (size_t piece = 1; piece < 200; piece += 13) {
            struct memory_parser parser = {0};
            for (size_t at = 0; at < length; at += piece)
                ck_assert_int_eq(memory_parser_feed(&parser, text + at,
                                                    at + piece < length ? piece : length - at,
                                                    NULL),
                                 0);
            ck_assert_int_eq(memory_parser_finish(&parser, &breakdown, NULL), 0);
            ck_assert_uint_eq(breakdown_sum(&breakdown), rss_sum(text));
            memory_breakdown_release(&breakdown);
            memory_parser_release(&parser);
        }
        free(text);
    }
}
END_TEST

START_TEST(malformed_text_is_refused)
{
#define MAPPING "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n"
    static const struct {
        const char *text;
        enum error_code code;
    } cases[] = {
        {"Rss: 4 kB\n", ERROR_FORMAT},
        {"\n", ERROR_FORMAT},
        {MAPPING "Rss: 4 kB", ERROR_FORMAT},
        {MAPPING "Rss: four kB\n", ERROR_FORMAT},
        {MAPPING "Rss: 4 MB\n", ERROR_FORMAT},
        {MAPPING "Rss: -4 kB\n", ERROR_FORMAT},
        {MAPPING "Rss: 18446744073709551616 kB\n", ERROR_FORMAT},
        {MAPPING "Rss: 18446744073709551615 kB\n", ERROR_FORMAT},
        {MAPPING "Rss: 18014398509481983 kB\nRss: 4 kB\n", ERROR_FORMAT},
        {"7f0000001000-7f0000000000 rw-p 00000000 00:00 0 \n", ERROR_FORMAT},
        {"7f0000000000-7f00000000001000000 rw-p 00000000 00:00 0 \n", ERROR_FORMAT},
        {"7f0000000000-7f0000001000 rw\n", ERROR_FORMAT},
        {"7f0000000000-7f0000001000 rw-p 0 0:0 99999999999999999999 \n", ERROR_FORMAT},
        {MAPPING "no number here\n", ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct memory_breakdown untouched = {.heap = 42};
        struct error err = {0};
        ck_assert_msg(
            memory_breakdown_parse(cases[i].text, strlen(cases[i].text), &untouched, &err) == -1,
            "case %zu was taken", i);
        ck_assert_int_eq(err.code, cases[i].code);
        ck_assert_uint_eq(untouched.heap, 42);
    }
    struct error err = {0};
    struct memory_breakdown breakdown;
    char *line = xmalloc(100000);
    memset(line, 'a', 100000);
    ck_assert_int_eq(memory_breakdown_parse(line, 100000, &breakdown, &err), -1);
    ck_assert_int_eq(err.code, ERROR_LIMIT);
    line[99999] = '\n';
    ck_assert_int_eq(memory_breakdown_parse(line, 100000, &breakdown, &err), -1);
    free(line);
}
END_TEST

static void touch(char *memory, size_t size)
{
    for (size_t i = 0; i < size; i += 4096)
        *(volatile char *)(memory + i) = 1;
}

/*
 * A reading with its breakdown, however slow the machine: a thousand seconds after the first one
 * the budget is ten seconds.
 */
static void read_baseline(struct memory_reader *reader)
{
    memory_reader_read(reader, 1000000, false);
    memory_reader_read(reader, 1001000000, true);
}

START_TEST(touched_memory_is_seen)
{
    const size_t size = 64 * MEGABYTE;
    struct target target = target_of(getpid());
    struct profile *profile = profile_new();
    struct memory_reader *reader = memory_reader_new(&target, profile);
    read_baseline(reader);
    double rss = last_of(profile, "rss"), anon = last_of(profile, "anon"),
           vsize = last_of(profile, "vsize"), faults = last_of(profile, "minor_faults"),
           anonymous = last_of(profile, "smaps.anonymous"), pss = last_of(profile, "pss");
    ck_assert_double_eq(rss, (double)memory_reader_rss(reader));
    ck_assert_double_gt(last_of(profile, "smaps.stacks"), 0);

    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    madvise(memory, size, MADV_NOHUGEPAGE);
    touch(memory, size);
    memory_reader_read(reader, 2000000000, false);
    double tolerance = 2 * MEGABYTE;
#ifdef __SANITIZE_ADDRESS__
    tolerance += (double)size / 8; /* its shadow memory */
#endif
    ck_assert_double_eq_tol(last_of(profile, "rss") - rss, (double)size, tolerance);
    ck_assert_double_eq_tol(last_of(profile, "anon") - anon, (double)size, tolerance);
    ck_assert_double_eq_tol(last_of(profile, "vsize") - vsize, (double)size, tolerance);
    ck_assert_double_eq_tol(last_of(profile, "pss") - pss, (double)size, tolerance);
    ck_assert_double_ge(last_of(profile, "minor_faults") - faults, (double)(size / 4096));
    ck_assert_double_eq_tol(last_of(profile, "smaps.anonymous") - anonymous, (double)size,
                            tolerance);
    ck_assert_double_eq(last_of(profile, "swap"), 0);
    ck_assert_double_eq(last_of(profile, "smaps.swap"), 0);

    /* Given back, it is no new peak: no breakdown before the last reading. */
    munmap(memory, size);
    size_t breakdowns = points_of(profile, "smaps.heap");
    memory_reader_read(reader, 2001000000, false);
    ck_assert_uint_eq(points_of(profile, "smaps.heap"), breakdowns);
    memory_reader_read(reader, 2002000000, true);
    ck_assert_uint_eq(points_of(profile, "smaps.heap"), breakdowns + 1);
    ck_assert_double_eq_tol(last_of(profile, "rss"), rss, tolerance);
    ck_assert_double_eq_tol(last_of(profile, "smaps.anonymous"), anonymous, tolerance);
    memory_reader_free(reader);
    profile_free(profile);
}
END_TEST

START_TEST(heap_stack_and_shared_memory_are_told_apart)
{
    const size_t size = 8 * MEGABYTE;
    struct target target = target_of(getpid());
    struct profile *profile = profile_new();
    struct memory_reader *reader = memory_reader_new(&target, profile);
    read_baseline(reader);
    double heap = last_of(profile, "smaps.heap"), stacks = last_of(profile, "smaps.stacks"),
           shared = last_of(profile, "smaps.shared"), shmem = last_of(profile, "shmem");

    char *shared_memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared_memory, MAP_FAILED);
    touch(shared_memory, size);
    char *grown = sbrk((intptr_t)size);
    ck_assert_ptr_ne(grown, (void *)-1);
    touch(grown, size);
    volatile char stack[4 * MEGABYTE];
    touch((char *)stack, sizeof stack);

    memory_reader_read(reader, 2000000000, true);
    ck_assert_double_eq_tol(last_of(profile, "smaps.shared") - shared, (double)size, 1 << 16);
    ck_assert_double_eq_tol(last_of(profile, "shmem") - shmem, (double)size, 2 * MEGABYTE);
    ck_assert_double_eq_tol(last_of(profile, "smaps.stacks") - stacks, (double)sizeof stack,
                            1 << 17);
#ifndef __SANITIZE_ADDRESS__
    ck_assert_double_ge(last_of(profile, "smaps.heap") - heap, (double)size);
#else
    (void)heap;
#endif
    munmap(shared_memory, size);
    memory_reader_free(reader);
    profile_free(profile);
}
END_TEST

START_TEST(a_mapped_file_has_a_series_and_then_zero)
{
    const size_t size = 4 * MEGABYTE;
    char path[] = "/tmp/test_memory_XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
    char name[64];
    snprintf(name, sizeof name, "smaps.file:%s", path);

    struct target target = target_of(getpid());
    struct profile *profile = profile_new();
    struct memory_reader *reader = memory_reader_new(&target, profile);
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    touch(memory, size);
    read_baseline(reader);
    ck_assert_double_eq(last_of(profile, name), (double)size);
    double fds = last_of(profile, "fds");
    munmap(memory, size);
    close(fd);
    memory_reader_read(reader, 2000000000, true);
    ck_assert_double_eq(last_of(profile, name), 0);
    ck_assert_double_eq(last_of(profile, "fds"), fds - 1);
    ck_assert_double_eq(last_of(profile, "threads"), 1);
    unlink(path);
    memory_reader_free(reader);
    profile_free(profile);
}
END_TEST

START_TEST(cpu_time_is_read)
{
    struct target target = target_of(getpid());
    struct profile *profile = profile_new();
    struct memory_reader *reader = memory_reader_new(&target, profile);
    struct timespec now;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while (now.tv_sec < 1 && now.tv_nsec < 300000000);
    memory_reader_read(reader, 1000000, false);
    double seconds = last_of(profile, "cpu_user") + last_of(profile, "cpu_system");
    ck_assert_double_eq_tol(seconds, (double)now.tv_sec + (double)now.tv_nsec / 1e9, 0.05);
    memory_reader_free(reader);
    profile_free(profile);
}
END_TEST

/* A child that runs `prepare`, tells that it is ready, and waits to be killed. */
static pid_t child_start(void (*prepare)(void))
{
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prepare();
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void child_end(pid_t child)
{
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

static void map_many(void)
{
    const size_t count = 30000;
    char *memory =
        mmap(NULL, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        _exit(1);
    touch(memory, count * 4096);
    for (size_t i = 0; i < count; i += 2) {
        if (mprotect(memory + i * 4096, 4096, PROT_READ))
            _exit(1);
    }
}

/*
 * The clock of the readings is the test's, so the rule is tested without waiting, over a
 * simulated recording of five minutes: nothing is read once 1 % of the time so far (10 ms at
 * least) is spent, and the breakdown is there in the end. What one read costs is the machine's.
 */
START_TEST(many_mappings_are_read_within_the_budget)
{
    pid_t child = child_start(map_many);
    struct target target = target_of(child);
    struct profile *profile = profile_new();
    struct memory_reader *reader = memory_reader_new(&target, profile);
    size_t first_after = 0;
    struct memory_cost before = {0};
    for (size_t second = 0; second <= 300; second++) {
        memory_reader_read(reader, (second + 1) * 1000000, false);
        struct memory_cost after = memory_reader_cost(reader);
        uint64_t budget_ns = second < 1 ? 10000000 : second * 10000000;
        if (after.rollups > before.rollups)
            ck_assert_uint_lt(before.rollup_ns, budget_ns);
        if (after.breakdown_ns > before.breakdown_ns)
            ck_assert_uint_lt(before.breakdown_ns, budget_ns);
        if (!first_after && after.breakdowns)
            first_after = second + 1;
        before = after;
    }
    struct memory_cost cost = memory_reader_cost(reader);
    printf("30,000 mappings: breakdown after %zu s, %u dropped, %.1f ms in all; "
           "%u smaps_rollup, %.1f ms\n",
           first_after, cost.dropped, (double)cost.breakdown_ns / 1e6, cost.rollups,
           (double)cost.rollup_ns / 1e6);
    ck_assert_uint_eq(points_of(profile, "rss"), 301);
    ck_assert_uint_gt(first_after, 1); /* 20 MB of text do not fit into the first 10 ms */
    ck_assert_uint_ge(cost.dropped, 1);
    ck_assert_uint_eq(cost.breakdowns, 1); /* rss did not grow */
    ck_assert_uint_gt(cost.rollups, 10);
    ck_assert_double_ge(last_of(profile, "smaps.anonymous"), 30000.0 * 4096);
    memory_reader_free(reader);
    profile_free(profile);
    child_end(child);
}
END_TEST

static void prepare_nothing(void)
{
}

START_TEST(a_process_that_is_gone_adds_nothing)
{
    pid_t child = child_start(prepare_nothing);
    struct target target = target_of(child);
    struct profile *profile = profile_new();
    struct memory_reader *reader = memory_reader_new(&target, profile);
    memory_reader_read(reader, 1000000, false);
    ck_assert_uint_eq(points_of(profile, "rss"), 1);
    size_t series = profile->series.count;

    kill(child, SIGKILL);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    memory_reader_read(reader, 2000000, true); /* a zombie */
    child_end(child);
    memory_reader_read(reader, 3000000, true); /* gone */
    ck_assert_uint_eq(profile->series.count, series);
    for (size_t i = 0; i < series; i++)
        ck_assert_uint_eq(profile->series.items[i].points.count, 1);
    memory_reader_free(reader);

    /* Nor is another process with its number taken for it. */
    struct target other = target_of(getpid());
    other.start_time++;
    reader = memory_reader_new(&other, profile);
    memory_reader_read(reader, 4000000, true);
    ck_assert_uint_eq(points_of(profile, "rss"), 1);
    memory_reader_free(reader);
    profile_free(profile);
}
END_TEST

static void *outlive(void *ready)
{
    usleep(200000);
    if (write(*(int *)ready, "", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

START_TEST(a_process_outlives_its_main_thread)
{
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) {
        pthread_t thread;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (pthread_create(&thread, NULL, outlive, &ready[1]))
            _exit(1);
        pthread_exit(NULL);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    struct target target = target_of(child);
    struct profile *profile = profile_new();
    struct memory_reader *reader = memory_reader_new(&target, profile);
    read_baseline(reader);
    ck_assert_uint_eq(points_of(profile, "rss"), 2);
    ck_assert_uint_eq(points_of(profile, "pss"), 2);
    ck_assert_uint_ge(points_of(profile, "smaps.heap"), 1);
    ck_assert_double_ge(last_of(profile, "fds"), 3);
    memory_reader_free(reader);
    profile_free(profile);
    child_end(child);
}
END_TEST

START_TEST(another_users_process_has_only_what_is_public)
{
    if (geteuid()) {
        printf("skipped: only root can become another user\n");
        return;
    }
    struct target target = target_of(getpid());
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) {
        struct profile *profile = profile_new();
        if (setgid(65534) || setuid(65534))
            _exit(1);
        struct memory_reader *reader = memory_reader_new(&target, profile);
        memory_reader_read(reader, 1000000, false);
        memory_reader_read(reader, 2000000, true);
        bool public = points_of(profile, "rss") == 2 && points_of(profile, "cpu_user") == 2;
        bool private = points_of(profile, "pss") || points_of(profile, "fds") ||
                       points_of(profile, "smaps.heap");
        memory_reader_free(reader);
        profile_free(profile);
        _exit(public && !private ? 0 : 2);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

UNIT_MAIN("memory", each_mapping_has_its_kind, look_alikes_are_what_they_are, stored_smaps_sum_up,
          malformed_text_is_refused, touched_memory_is_seen,
          heap_stack_and_shared_memory_are_told_apart, a_mapped_file_has_a_series_and_then_zero,
          cpu_time_is_read, many_mappings_are_read_within_the_budget,
          a_process_that_is_gone_adds_nothing, a_process_outlives_its_main_thread,
          another_users_process_has_only_what_is_public)
