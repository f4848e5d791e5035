/*
 * memory.c - readings of /proc/PID into the series of a profile.
 *
 * All files are opened below one descriptor of /proc/PID. procfs ties it to the process, not to
 * its number, so that after the process every open fails and a reused PID is never read. The
 * descriptor itself is checked once against the target's start time.
 *
 * A reading is collected as a whole and only then added. What was readable once must stay
 * so: a target that executes a set-user-ID program loses fds and smaps_rollup while
 * status stays readable, and a half reading of another program would look like the target's.
 *
 * The cost of a page-table walk is foretold from the resident set, at a rate that the reads
 * themselves teach; mappings can't be counted beforehand without reading them, so smaps is
 * also read against a deadline. The kernel gives it out a page or so at a time and drops the
 * target's mmap lock between, so giving up half way is possible there. smaps_rollup is one
 * read and can only be foretold.
 */
#include "core/memory.h"

#include "core/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    BUDGET_SHARE = 100,         /* one part in so many of the wall time */
    LENT_NS = 10 * 1000 * 1000, /* what the first reading may cost */
    LAST_NS = 50 * 1000 * 1000, /* what the last breakdown may cost in any case */
    WALK_NS_PER_PAGE = 45,      /* measured on 4 KB pages; the reads correct it */
    PAGE_BYTES = 4096,
    TELLING_PAGES = 1024,   /* a walk of so many tells the rate */
    STATUS_BYTES = 1 << 20, /* a process in 65,536 groups has a long one */
    FILES_NEW = 64,         /* files of one breakdown that may get a series, */
    FILES_ALL = 256,        /* and of a recording */
};

enum value {
    RSS,
    ANON,
    FILE_BACKED,
    SHMEM,
    SWAP,
    VSIZE,
    THREADS,
    MINOR_FAULTS,
    MAJOR_FAULTS,
    CPU_USER,
    CPU_SYSTEM,
    FDS,
    PSS,
    VALUES
};

static const struct {
    const char *name, *unit;
} series_names[VALUES] = {
    [RSS] = {"rss", "bytes"},
    [ANON] = {"anon", "bytes"},
    [FILE_BACKED] = {"file", "bytes"},
    [SHMEM] = {"shmem", "bytes"},
    [SWAP] = {"swap", "bytes"},
    [VSIZE] = {"vsize", "bytes"},
    [THREADS] = {"threads", "count"},
    [MINOR_FAULTS] = {"minor_faults", "count"},
    [MAJOR_FAULTS] = {"major_faults", "count"},
    [CPU_USER] = {"cpu_user", "seconds"},
    [CPU_SYSTEM] = {"cpu_system", "seconds"},
    [FDS] = {"fds", "count"},
    [PSS] = {"pss", "bytes"},
};

struct reading {
    double values[VALUES];
    bool has[VALUES];
};

/* What one kind of page-table walk has cost, and what it may. */
struct budget {
    uint64_t spent_ns;
    uint64_t fixed_ns;  /* foretold for a process of any size, */
    double ns_per_page; /* and for each resident page */
    uint64_t retry_ns;  /* after a dropped read: not before the budget is this large */
};

struct memory_reader {
    struct profile *profile;
    int process; /* /proc/PID */
    int memory;  /* the same, or below its task/ a thread that outlives the main one; -1: not yet */
    uint64_t start_time;
    bool started;
    uint64_t start_us;
    bool need_fds, need_rollup; /* were readable before */
    uint64_t rss, breakdown_rss;
    struct budget rollup_budget, breakdown_budget;
    struct memory_cost cost;
    vec(char) text;
    vec(struct file_series {
        series_id id;
        uint64_t bytes;
    }) files;
};

/*
 * The cost of a read is this thread's CPU time: what the kernel works for it, under the target's
 * lock. Time off the CPU, on a loaded machine or waiting for that lock, costs the target nothing.
 */
static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The whole of a small file below /proc/PID as a string in reader->text. */
static int read_text(struct memory_reader *reader, int directory, const char *name)
{
    _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -1;
    reader->text.count = 0;
    for (;;) {
        vec_reserve(&reader->text, reader->text.count + 4096);
        ssize_t got = read(fd, reader->text.items + reader->text.count,
                           reader->text.capacity - reader->text.count - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || reader->text.count > STATUS_BYTES)
            return -1;
        reader->text.count += (size_t)got;
        reader->text.items[reader->text.count] = '\0';
        if (!got)
            return reader->text.count ? 0 : -1;
    }
}

/* The number behind "\nNAME:" of status or smaps_rollup. */
static bool find_number(const char *text, const char *name, double *ret)
{
    size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, name, length) && line[length] == ':') {
            char *end;
            *ret = (double)strtoull(line + length + 1, &end, 10);
            return end != line + length + 1;
        }
    }
    return false;
}

/*
 * Fields of stat. The name may hold anything, parentheses and blanks too, but nothing behind
 * it does. False for another process than the target.
 */
static bool parse_stat(const char *text, uint64_t start_time, struct reading *ret)
{
    const char *close = strrchr(text, ')');
    char state;
    uint64_t minor, major, user, system, start;
    if (!close || sscanf(close + 1,
                         " %c %*d %*d %*d %*d %*d %*u %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64
                         " %" SCNu64 " %*d %*d %*d %*d %*d %*d %" SCNu64,
                         &state, &minor, &major, &user, &system, &start) != 6)
        return false;
    if (start != start_time)
        return false;
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    const struct {
        enum value value;
        double amount;
    } found[] = {
        {MINOR_FAULTS, (double)minor},
        {MAJOR_FAULTS, (double)major},
        {CPU_USER, (double)user * tick},
        {CPU_SYSTEM, (double)system * tick},
    };
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        ret->values[found[i].value] = found[i].amount;
        ret->has[found[i].value] = true;
    }
    return true;
}

static bool parse_status(const char *text, struct reading *ret)
{
    static const struct {
        enum value value;
        const char *name;
        double unit;
    } lines[] = {
        {RSS, "VmRSS", 1024},      {ANON, "RssAnon", 1024}, {FILE_BACKED, "RssFile", 1024},
        {SHMEM, "RssShmem", 1024}, {SWAP, "VmSwap", 1024},  {VSIZE, "VmSize", 1024},
        {THREADS, "Threads", 1},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        double number;
        if (find_number(text, lines[i].name, &number)) {
            ret->values[lines[i].value] = number * lines[i].unit;
            ret->has[lines[i].value] = true;
        }
    }
    return ret->has[RSS] && ret->has[THREADS];
}

/*
 * A main thread that ended before the others is a zombie without memory, while its process
 * lives: any thread that has status lines of memory stands for all of them.
 */
static bool read_status(struct memory_reader *reader, struct reading *ret)
{
    if (reader->memory < 0)
        reader->memory = fcntl(reader->process, F_DUPFD_CLOEXEC, 0);
    if (!read_text(reader, reader->memory, "status") && parse_status(reader->text.items, ret))
        return true;
    int fd = openat(reader->process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *threads = fd < 0 ? NULL : fdopendir(fd);
    if (!threads && fd >= 0)
        close(fd);
    bool found = false;
    for (const struct dirent *entry; !found && threads && (entry = readdir(threads));) {
        _cleanup_close_ int thread =
            openat(dirfd(threads), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        found = entry->d_name[0] != '.' && thread >= 0 && !read_text(reader, thread, "status") &&
                parse_status(reader->text.items, ret);
        if (found) {
            close(reader->memory);
            reader->memory = steal_fd(&thread);
        }
    }
    if (threads)
        closedir(threads);
    return found;
}

/* Since Linux 6.2 the size of the directory is the number of descriptors; else they are counted. */
static bool count_fds(int directory, double *ret)
{
    _cleanup_close_ int fd = openat(directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status))
        return false;
    if (status.st_size > 0) {
        *ret = (double)status.st_size;
        return true;
    }
    DIR *entries = fdopendir(fd);
    if (!entries)
        return false;
    steal_fd(&fd);
    size_t count = 0;
    errno = 0;
    for (const struct dirent *entry; (entry = readdir(entries));)
        count += entry->d_name[0] != '.';
    bool whole = !errno;
    closedir(entries);
    *ret = (double)count;
    return whole;
}

/* What a walk may cost now. */
static uint64_t budget_left(const struct memory_reader *reader, const struct budget *budget,
                            uint64_t time_us)
{
    uint64_t earned = (time_us - reader->start_us) * 1000 / BUDGET_SHARE;
    uint64_t allowed = earned > LENT_NS ? earned : LENT_NS;
    return allowed > budget->spent_ns ? allowed - budget->spent_ns : 0;
}

static uint64_t budget_foretell(const struct budget *budget, uint64_t rss)
{
    return budget->fixed_ns + (uint64_t)((double)(rss / PAGE_BYTES) * budget->ns_per_page);
}

/* What a small process costs is mostly fixed and says nothing of the rate. */
static void budget_learn(struct budget *budget, uint64_t cost_ns, uint64_t rss)
{
    uint64_t pages = rss / PAGE_BYTES;
    if (pages < TELLING_PAGES) {
        budget->fixed_ns = cost_ns;
    } else {
        budget->fixed_ns = 0;
        budget->ns_per_page = (double)cost_ns / (double)pages;
    }
}

enum outcome { COMPLETE, PUT_OFF, DROPPED, UNREADABLE };

static enum outcome read_rollup(struct memory_reader *reader, uint64_t time_us,
                                struct reading *reading)
{
    struct budget *budget = &reader->rollup_budget;
    uint64_t rss = (uint64_t)reading->values[RSS];
    if (budget_foretell(budget, rss) > budget_left(reader, budget, time_us))
        return PUT_OFF;
    uint64_t start = cpu_ns();
    bool read = !read_text(reader, reader->memory, "smaps_rollup");
    uint64_t cost = cpu_ns() - start;
    budget->spent_ns += cost;
    reader->cost.rollup_ns += cost;
    if (!read || !find_number(reader->text.items, "Pss", &reading->values[PSS]))
        return UNREADABLE;
    reader->cost.rollups++;
    reading->values[PSS] *= 1024;
    reading->has[PSS] = true;
    budget_learn(budget, cost, rss);
    return COMPLETE;
}

static enum outcome read_smaps(struct memory_reader *reader, uint64_t limit_ns,
                               struct memory_breakdown *ret)
{
    uint64_t deadline = cpu_ns() + limit_ns;
    _cleanup_close_ int fd = openat(reader->memory, "smaps", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    _cleanup_(memory_parser_release) struct memory_parser parser = {0};
    if (fd < 0)
        return UNREADABLE;
    vec_reserve(&reader->text, 64 << 10);
    for (;;) {
        ssize_t got = read(fd, reader->text.items, reader->text.capacity);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return UNREADABLE;
        if (!got)
            break;
        if (memory_parser_feed(&parser, reader->text.items, (size_t)got, NULL))
            return UNREADABLE;
        if (cpu_ns() > deadline)
            return DROPPED;
    }
    /* An address space that an exec or exit took away reads as an early end: read once more. */
    if (!parser.sums.mappings || lseek(fd, 0, SEEK_SET) < 0 || read(fd, reader->text.items, 1) != 1)
        return UNREADABLE;
    return memory_parser_finish(&parser, ret, NULL) ? UNREADABLE : COMPLETE;
}

/* A file once seen has a value at every breakdown, 0 when it is no longer mapped. */
static void add_files(struct memory_reader *reader, uint64_t time_us,
                      const struct memory_breakdown *breakdown)
{
    struct profile *profile = reader->profile;
    uint64_t other = 0;
    for (size_t i = 0; i < reader->files.count; i++)
        reader->files.items[i].bytes = 0;
    for (size_t i = 0; i < breakdown->files.count; i++) {
        const struct memory_file *file = &breakdown->files.items[i];
        _cleanup_free_ char *name = xasprintf("smaps.file:%s", file->path);
        int64_t found = profile_find_series(profile, name);
        if (found < 0 && i < FILES_NEW && reader->files.count < FILES_ALL) {
            found = profile_add_series(profile, name, "bytes");
            vec_push(&reader->files)->id = (series_id)found;
        }
        if (found < 0)
            other += file->bytes;
        for (size_t j = 0; found >= 0 && j < reader->files.count; j++) {
            if (reader->files.items[j].id == (series_id)found)
                reader->files.items[j].bytes = file->bytes;
        }
    }
    for (size_t i = 0; i < reader->files.count; i++)
        profile_add_point(profile, reader->files.items[i].id, time_us,
                          (double)reader->files.items[i].bytes);
    profile_add_point(profile, profile_add_series(profile, "smaps.files_other", "bytes"), time_us,
                      (double)other);
}

static void add_breakdown(struct memory_reader *reader, uint64_t time_us,
                          const struct memory_breakdown *breakdown)
{
    struct profile *profile = reader->profile;
    const struct {
        const char *name;
        uint64_t bytes;
    } kinds[] = {
        {"smaps.heap", breakdown->heap},           {"smaps.stacks", breakdown->stacks},
        {"smaps.anonymous", breakdown->anonymous}, {"smaps.shared", breakdown->shared},
        {"smaps.swap", breakdown->swap},           {"smaps.vdso", breakdown->vdso},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        profile_add_point(profile, profile_add_series(profile, kinds[i].name, "bytes"), time_us,
                          (double)kinds[i].bytes);
    add_files(reader, time_us, breakdown);
}

static void take_breakdown(struct memory_reader *reader, uint64_t time_us, bool last)
{
    struct budget *budget = &reader->breakdown_budget;
    uint64_t limit = budget_left(reader, budget, time_us);
    if (last) {
        uint64_t again = (time_us - reader->start_us) * 1000 / BUDGET_SHARE;
        limit = again > limit ? again : limit;
        limit = limit > LAST_NS ? limit : LAST_NS;
    } else if (reader->breakdown_rss && reader->rss < reader->breakdown_rss / 10 * 11) {
        return;
    } else if (limit < budget->retry_ns) {
        return;
    }
    if (budget_foretell(budget, reader->rss) > limit)
        return;

    struct memory_breakdown breakdown = {0};
    uint64_t start = cpu_ns();
    enum outcome outcome = read_smaps(reader, limit, &breakdown);
    uint64_t cost = cpu_ns() - start;
    budget->spent_ns += cost;
    reader->cost.breakdown_ns += cost;
    if (outcome == DROPPED) {
        reader->cost.dropped++;
        budget->retry_ns = 2 * limit;
    } else if (outcome == COMPLETE) {
        reader->cost.breakdowns++;
        reader->breakdown_rss = reader->rss;
        budget->retry_ns = 0;
        budget_learn(budget, cost, reader->rss);
        add_breakdown(reader, time_us, &breakdown);
    }
    memory_breakdown_release(&breakdown);
}

/* All but the breakdown; false when the process has no memory to read, or only half of it. */
static bool take_reading(struct memory_reader *reader, uint64_t time_us, struct reading *ret)
{
    if (read_text(reader, reader->process, "stat") ||
        !parse_stat(reader->text.items, reader->start_time, ret) || !read_status(reader, ret))
        return false;
    enum outcome rollup = read_rollup(reader, time_us, ret);
    ret->has[FDS] = count_fds(reader->memory, &ret->values[FDS]);
    if ((reader->need_rollup && rollup == UNREADABLE) || (reader->need_fds && !ret->has[FDS]))
        return false;
    reader->need_rollup |= rollup == COMPLETE;
    reader->need_fds |= ret->has[FDS];
    return true;
}

struct memory_reader *memory_reader_new(const struct target *target, struct profile *profile)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", (int)target->pid);
    struct memory_reader *reader = xcalloc(1, sizeof *reader);
    reader->profile = profile;
    reader->start_time = target->start_time;
    reader->process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    reader->memory = -1;
    reader->rollup_budget.ns_per_page = WALK_NS_PER_PAGE;
    reader->breakdown_budget.ns_per_page = WALK_NS_PER_PAGE;
    return reader;
}

void memory_reader_free(struct memory_reader *reader)
{
    if (!reader)
        return;
    if (reader->process >= 0)
        close(reader->process);
    if (reader->memory >= 0)
        close(reader->memory);
    vec_release(&reader->text);
    vec_release(&reader->files);
    free(reader);
}

void memory_reader_read(struct memory_reader *reader, uint64_t time_us, bool last)
{
    if (!reader->started)
        reader->start_us = time_us;
    struct reading reading = {0};
    if (reader->process < 0 || time_us < reader->start_us ||
        !take_reading(reader, time_us, &reading))
        return;
    reader->started = true;
    reader->rss = (uint64_t)reading.values[RSS];
    for (int i = 0; i < VALUES; i++) {
        if (reading.has[i])
            profile_add_point(
                reader->profile,
                profile_add_series(reader->profile, series_names[i].name, series_names[i].unit),
                time_us, reading.values[i]);
    }
    take_breakdown(reader, time_us, last);
}

uint64_t memory_reader_rss(const struct memory_reader *reader)
{
    return reader->rss;
}

struct memory_cost memory_reader_cost(const struct memory_reader *reader)
{
    return reader->cost;
}
