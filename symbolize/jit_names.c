/*
 * jit_names.c - two files that grow while they are read, and the frames that wait for them.
 *
 * A pc that neither file knows yet becomes a raw frame, and waits: runtimes buffer what they
 * write (V8 its jitdump by 4 KB), and some write only when they are told to, or at their end. When
 * the code becomes known the frame is given its name where it stands, in all stacks at once.
 * Waiting frames are in order of time; a jitdump, whose records have times, is replayed against
 * them: each is named by what lay at its pc when it was seen. Lines of a perf map have no time, and
 * name all that still waits.
 *
 * Not seen: that an address was taken over by other code between a sample and the moment, up to
 * a tenth of a second later, at which it is read and named.
 */
#include "symbolize/jit_names.h"

#include "core/limits.h"
#include "core/target.h"
#include "symbolize/code_name.h"
#include "symbolize/demangle.h"
#include "symbolize/jitdump.h"
#include "symbolize/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

enum {
    POLL_NS = 10000000,     /* two system calls, so that nothing is noticed of them */
    RETRY_NS = 1000000000,  /* every waiting frame is asked for again */
    FINISH_READS = 1 << 14, /* some GB; a file that is written anew all the time has no end */
    REST_SHARE = 3          /* the part of the time in which a large file is not read */
};

struct waiting {
    uint64_t pc, time_ns;
    frame_id frame; /* 0: it has got its name */
};

struct jit_names {
    struct profile *profile;
    frame_lines *lines;
    uid_t user;            /* of the process */
    struct timespec begun; /* the process, by CLOCK_REALTIME */
    int directory;         /* its /tmp, O_PATH; -1: none */
    char map_name[32];
    struct perf_map *map;
    dev_t map_device;
    ino_t map_inode;
    struct jitdump *dump;
    uint32_t generation;
    uint64_t polled_ns, retried_ns; /* in the samples' time */
    uint64_t rest_until_ns;         /* not to read before; CLOCK_MONOTONIC */
    bool added;  /* something since the waiting frames were asked for the last time */
    bool behind; /* answers are old ones: there is more to read */
    vec(struct waiting) waiting;
    size_t replayed; /* waiting frames before it have been asked for at their own time */
};

/* Its user, and how its map is named; false if it is gone. `nested`: it has a namespace of PIDs. */
static bool read_identity(struct jit_names *names, pid_t pid, bool *ret_nested)
{
    char path[32], line[256];
    unsigned user, own_pid = (unsigned)pid;
    bool found = false, nested = false;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    _cleanup_fclose_ FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status)) {
        int used = 0;
        if (sscanf(line, "Uid: %*u %u", &user) == 1) {
            names->user = user;
            found = true;
        } else if (!strncmp(line, "NStgid:", 7)) {
            size_t count = 0;
            for (char *at = line + 7; sscanf(at, "%u%n", &own_pid, &used) == 1; at += used)
                count++;
            nested = count > 1;
        }
    }
    snprintf(names->map_name, sizeof names->map_name, "perf-%u.map", own_pid);
    *ret_nested = nested;
    return found;
}

/*
 * /tmp as the process sees it, symbolic links resolved below its root. One that has ended but is
 * not waited for has no root any more: where it had no namespaces, ours stands for it.
 */
static int open_directory(pid_t pid, bool nested)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 && errno == ENOENT && !nested)
        root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    return root < 0 ? -1 : (int)syscall(SYS_openat2, root, "tmp", &how, sizeof how);
}

static void read_begin(struct jit_names *names, pid_t pid)
{
    struct timespec now, since_boot;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    time_t age =
        since_boot.tv_sec - (time_t)(target_start_ticks(pid) / (uint64_t)sysconf(_SC_CLK_TCK));
    names->begun = (struct timespec){.tv_sec = now.tv_sec - age - 1}; /* for the rounding */
}

struct jit_names *jit_names_new(struct profile *profile, frame_lines *lines, pid_t pid)
{
    struct jit_names *names = xcalloc(1, sizeof *names);
    bool nested;
    names->profile = profile;
    names->lines = lines;
    names->generation = 1;
    names->directory = read_identity(names, pid, &nested) ? open_directory(pid, nested) : -1;
    read_begin(names, pid);
    return names;
}

void jit_names_free(struct jit_names *names)
{
    if (!names)
        return;
    perf_map_free(names->map);
    jitdump_free(names->dump);
    cleanup_close(&names->directory);
    vec_release(&names->waiting);
    free(names);
}

uint32_t jit_names_generation(const struct jit_names *names)
{
    return names->generation;
}

/* Root's files only if others may read them: who is root must not read more than the target may. */
static bool is_trusted(const struct jit_names *names, const struct stat *status)
{
    return S_ISREG(status->st_mode) &&
           (status->st_uid == names->user || (!status->st_uid && status->st_mode & S_IROTH));
}

/* Opens the process's map when it is there, and again when it is another file. */
static void find_map(struct jit_names *names)
{
    struct stat status;
    if (names->directory < 0 ||
        fstatat(names->directory, names->map_name, &status, AT_SYMLINK_NOFOLLOW) ||
        (names->map && status.st_ino == names->map_inode && status.st_dev == names->map_device) ||
        /* One that a process of the same PID has left behind. */
        status.st_mtim.tv_sec < names->begun.tv_sec)
        return;
    _cleanup_close_ int found =
        openat(names->directory, names->map_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_close_ int fd = found < 0 ? -1 : elf_reopen_regular(found);
    if (fd < 0 || fstat(fd, &status) || !is_trusted(names, &status))
        return;
    perf_map_free(names->map);
    names->map = perf_map_new(steal_fd(&fd));
    names->map_inode = status.st_ino;
    names->map_device = status.st_dev;
    names->generation++;
}

/* The runtime maps its file before it writes the header: until then it is no jitdump. */
static void find_dump(struct jit_names *names, const struct space *space)
{
    struct stat status;
    for (size_t i = 0; !names->dump && i < space->segments.count; i++) {
        int found = space->segments.items[i].module->jitdump_fd;
        if (found < 0 || fstat(found, &status) || !is_trusted(names, &status))
            continue;
        int fd = fcntl(found, F_DUPFD_CLOEXEC, 0);
        if (fd >= 0 && jitdump_new(fd, &names->dump, NULL))
            close(fd);
    }
}

/* Fills in a frame, and the line of pc or 0; false if the code is not known. */
static bool describe(struct jit_names *names, uint64_t pc, struct frame *ret_frame,
                     uint32_t *ret_line)
{
    struct strings *strings = &names->profile->strings;
    struct jitdump_code code = {0};
    struct code_name parts;
    if (!(names->dump && jitdump_find(names->dump, pc, &code)))
        code.name = names->map ? perf_map_find(names->map, pc) : NULL;
    if (!code.name)
        return false;
    code_name_parse(code.name, &parts);
    struct frame frame = {
        .kind = parts.kind, .tier = parts.tier, .address = pc, .column = parts.column};
    _cleanup_free_ char *function = xstrndup(parts.function, parts.function_length);
    _cleanup_free_ char *readable = parts.kind == FRAME_NATIVE ? demangle(function) : NULL;
    frame.function = strings_intern(strings, readable ? readable : function);
    frame.file = strings_intern_length(strings, parts.file, parts.file_length);
    frame.line = parts.line;
    if (!frame.file && code.file) {
        frame.file = strings_intern(strings, code.file);
        frame.line = code.first_line;
    }
    /* Lines of another file are those of functions that were inlined. */
    bool own = code.file && !strcmp(code.file, strings_get(strings, frame.file));
    *ret_frame = frame;
    *ret_line = own ? code.line : 0;
    return true;
}

static void keep_line(struct jit_names *names, frame_id frame, uint32_t line)
{
    if (line)
        vec_append(names->lines, ((struct frame_line){frame, line}));
}

static void name_waiting(struct jit_names *names, struct waiting *waiting)
{
    struct frame frame;
    uint32_t line;
    if (!waiting->frame || !describe(names, waiting->pc, &frame, &line))
        return;
    names->profile->frames.items[waiting->frame] = frame;
    keep_line(names, waiting->frame, line);
    waiting->frame = 0;
}

/* Called before a record of time_ns takes effect in the jitdump. */
static void replay(void *context, uint64_t time_ns)
{
    struct jit_names *names = context;
    for (; names->replayed < names->waiting.count; names->replayed++) {
        struct waiting *waiting = &names->waiting.items[names->replayed];
        if (waiting->time_ns >= time_ns)
            break;
        name_waiting(names, waiting);
    }
}

static void name_all_waiting(struct jit_names *names)
{
    size_t kept = 0;
    for (size_t i = 0; i < names->waiting.count; i++) {
        name_waiting(names, &names->waiting.items[i]);
        if (names->waiting.items[i].frame)
            names->waiting.items[kept++] = names->waiting.items[i];
    }
    names->waiting.count = names->replayed = kept;
    names->added = false;
}

static void read_on(struct jit_names *names, const struct space *space)
{
    struct code_news of_dump = {0}, of_map = {0};
    find_dump(names, space);
    find_map(names);
    if (names->dump)
        jitdump_update(names->dump, replay, names, &of_dump);
    if (names->map)
        perf_map_update(names->map, &of_map);
    names->added |= of_dump.added || of_map.added;
    names->behind = of_dump.behind || of_map.behind;
    names->generation += of_dump.replaced || of_map.replaced;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Meanwhile samples collect in the rings, which must not overflow: a large file is read bit by bit.
 */
static void read_on_at_leisure(struct jit_names *names, const struct space *space)
{
    uint64_t begin_ns = now_ns();
    if (names->behind && begin_ns < names->rest_until_ns)
        return;
    read_on(names, space);
    uint64_t end_ns = now_ns();
    names->rest_until_ns = end_ns + REST_SHARE * (end_ns - begin_ns);
}

void jit_names_poll(struct jit_names *names, const struct space *space, uint64_t time_ns)
{
    if (time_ns - names->polled_ns < POLL_NS)
        return;
    names->polled_ns = time_ns;
    read_on_at_leisure(names, space);
    if (!names->added || names->behind || time_ns - names->retried_ns < RETRY_NS)
        return;
    names->retried_ns = time_ns;
    name_all_waiting(names);
}

frame_id jit_names_frame(struct jit_names *names, const struct space *space, uint64_t pc,
                         const struct frame *raw, uint64_t time_ns)
{
    struct frame frame;
    uint32_t line = 0;
    size_t known = names->profile->frames.count;
    bool named = !names->behind && describe(names, pc, &frame, &line);
    if (!named && names->polled_ns != time_ns) {
        names->polled_ns = time_ns;
        read_on_at_leisure(names, space);
        named = !names->behind && describe(names, pc, &frame, &line);
    }
    frame_id id = profile_add_frame(names->profile, named ? &frame : raw);
    if (id < known)
        return id;
    if (named)
        keep_line(names, id, line);
    else
        vec_append(&names->waiting, ((struct waiting){pc, time_ns, id}));
    return id;
}

void jit_names_finish(struct jit_names *names, const struct space *space)
{
    size_t reads = 0;
    do
        read_on(names, space);
    while (names->behind && ++reads < FINISH_READS);
    name_all_waiting(names);
}

void frame_lines_apply(const frame_lines *lines, struct profile *profile, metric_id ticks)
{
    if (!lines->count)
        return;
    _cleanup_free_ uint32_t *of_frames = xcalloc(profile->frames.count, sizeof *of_frames);
    for (size_t i = 0; i < lines->count; i++)
        of_frames[lines->items[i].frame] = lines->items[i].line;
    for (node_id node = 0; node < profile->nodes.count; node++) {
        uint32_t line = of_frames[profile->nodes.items[node].frame];
        uint64_t self = line ? profile_self(profile, ticks, node) : 0;
        if (self)
            profile_add_line(profile, node, line, self);
    }
}
