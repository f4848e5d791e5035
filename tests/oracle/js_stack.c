/*
 * js_stack - the JavaScript stacks of a Node.js that stands still, as memprof sees them.
 *
 *     js_stack [-o FILE] -- COMMAND…                     at each SIGSTOP that it sends itself
 *     js_stack [-o FILE] -n STOPS [-i MICROSECONDS] -- COMMAND…   at so many moments of our own
 *
 * Writes a line of JSON for each stop: {"threads": [{"tid", "end", "frames": […]}]}, innermost
 * frame first, and of a thread without JavaScript nothing. Each frame has the address, what it is
 * (kind), and of JavaScript the tier's mark, function, file, line and column of the definition,
 * line and column of the call; "map" is what /tmp/perf-PID.map has at the address, if there is
 * one. It judges nothing: the tests compare. After the last stop of our own the command is
 * killed. The exit status is the command's, 77 if ptrace is not permitted.
 */
#include "core/alloc.h"
#include "output/json.h"
#include "symbolize/perf_map.h"
#include "symbolize/unwind.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES_MAX ((size_t)8 << 20)

static struct options {
    const char *output;
    unsigned stops, interval_us;
    char **command;
} options = {"-", 0, 1500, NULL};

static struct output_file output;
static struct modules *modules;
static struct unwinder *unwinder;
static struct perf_map *map;
static pid_t child;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "js_stack: %s: %s\n", what, why);
    if (child)
        kill(child, SIGKILL);
    exit(2);
}

static void registers_of(pid_t tid, struct registers *ret)
{
    struct user_regs_struct all;
    struct iovec part = {&all, sizeof all};
    if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &part))
        fail("PTRACE_GETREGSET", strerror(errno));
    *ret = (struct registers){.known = 0xffff, .pc = all.rip};
    const uint64_t values[16] = {all.rax, all.rdx, all.rcx, all.rbx, all.rsi, all.rdi,
                                 all.rbp, all.rsp, all.r8,  all.r9,  all.r10, all.r11,
                                 all.r12, all.r13, all.r14, all.r15}; /* as DWARF numbers them */
    memcpy(ret->value, values, sizeof values);
}

/* From sp to the end of its mapping; the caller's to free. */
static uint8_t *copy_stack(uint64_t sp, size_t *ret_size)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", child);
    _cleanup_fclose_ FILE *maps = fopen(path, "re");
    uint64_t start = 0, end = 0;
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 && start <= sp && sp < end)
            break;
    if (sp < start || sp >= end)
        return NULL;
    size_t size = end - sp < STACK_BYTES_MAX ? end - sp : STACK_BYTES_MAX;
    uint8_t *stack = xmalloc(size);
    struct iovec here = {stack, size}, there = {(void *)(uintptr_t)sp, size};
    if (process_vm_readv(child, &here, 1, &there, 1, 0) != (ssize_t)size) {
        free(stack);
        return NULL;
    }
    *ret_size = size;
    return stack;
}

/* The map is there from the first function that was compiled; it grows. */
static void read_map(void)
{
    if (!map) {
        char path[64];
        snprintf(path, sizeof path, "/tmp/perf-%d.map", child);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return;
        map = perf_map_new(fd);
    }
    struct code_news news;
    do
        perf_map_update(map, &news);
    while (news.behind);
}

static void write_frame(const struct unwound_frame *frame, bool first)
{
    output_printf(&output, "%s{\"pc\":%" PRIu64, first ? "" : ",", frame->pc);
    const char *name = map ? perf_map_find(map, frame->pc) : NULL;
    if (name) {
        output_text(&output, ",\"map\":");
        json_write_string(&output, name);
    }
    output_text(&output, "}");
}

/* A thread in a ptrace stop of ours. */
static void write_thread(pid_t tid, struct space *space, bool first)
{
    static const char *const ends[] = {
        [UNWIND_COMPLETE] = "complete",
        [UNWIND_STITCHED] = "stitched",
        [UNWIND_TRUNCATED] = "truncated",
        [UNWIND_BROKEN] = "broken",
    };
    static struct unwound_frame frames[LIMIT_STACK_FRAMES];
    struct registers registers;
    struct stack_copy stack = {0};
    size_t count;
    registers_of(tid, &registers);
    _cleanup_free_ uint8_t *copy = copy_stack(registers.value[arch_host()->sp], &stack.size);
    if (!copy)
        return;
    stack.data = copy;
    enum unwind_end end = unwinder_run(unwinder, space, 0, &registers, &stack, frames, &count);
    output_printf(&output, "%s{\"tid\":%d,\"end\":\"%s\",\"frames\":[", first ? "" : ",", tid,
                  ends[end]);
    for (size_t i = 0; i < count; i++)
        write_frame(&frames[i], !i);
    output_text(&output, "]}");
}

/* Stops a thread that runs, or that stands still with its process. */
static bool stop_thread(pid_t tid)
{
    int status;
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
        if (errno == ESRCH)
            return false;
        fprintf(stderr, "js_stack: ptrace: %s\n", strerror(errno));
        kill(child, SIGKILL);
        exit(errno == EPERM ? 77 : 2);
    }
    return !ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) && waitpid(tid, &status, __WALL) == tid &&
           WIFSTOPPED(status);
}

/* All threads, or the main thread alone; one line. */
static void write_stop(bool all)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", child);
    DIR *tasks = opendir(path);
    struct space space;
    bool first = true;
    if (!tasks)
        fail(path, strerror(errno));
    space_init(&space, modules, child);
    output_text(&output, "{\"threads\":[");
    for (struct dirent *entry; (entry = readdir(tasks));) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (tid <= 0 || (!all && tid != child) || !stop_thread(tid))
            continue;
        if (first) { /* from now on the child's end or exec can't come between */
            space_read(&space, modules, NULL);
            read_map();
        }
        write_thread(tid, &space, first);
        first = false;
        ptrace(PTRACE_DETACH, tid, NULL, NULL);
    }
    output_text(&output, "]}\n");
    closedir(tasks);
    space_release(&space);
}

static int status_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int follow_stops(void)
{
    int status;
    while (waitpid(child, &status, WUNTRACED) == child) {
        if (!WIFSTOPPED(status))
            return status_of(status);
        write_stop(true);
        kill(child, SIGCONT);
    }
    fail("waitpid", strerror(errno));
}

/* At uneven times, which do not keep step with anything that the program does. */
static int stop_often(void)
{
    int status;
    unsigned seed = 1;
    for (unsigned i = 0; i < options.stops; i++) {
        seed = seed * 1103515245 + 12345;
        usleep(options.interval_us / 2 + (seed >> 8) % options.interval_us);
        if (waitpid(child, &status, WNOHANG) == child)
            return status_of(status);
        write_stop(false);
    }
    kill(child, SIGKILL);
    return waitpid(child, &status, 0) == child ? 0 : 2;
}

static void parse_options(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "+o:n:i:")) >= 0;) {
        if (option == 'o')
            options.output = optarg;
        else if (option == 'n')
            options.stops = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'i')
            options.interval_us = (unsigned)strtoul(optarg, NULL, 10);
        else
            exit(2);
    }
    options.command = argv + optind;
    if (!options.command[0] || !options.interval_us)
        fail("usage", "js_stack [-o FILE] [-n STOPS] [-i MICROSECONDS] -- COMMAND...");
}

int main(int argc, char **argv)
{
    struct error err;
    parse_options(argc, argv);
    if (output_file_open(options.output, &output, &err))
        fail("output", err.text);
    child = fork();
    if (!child) {
        execvp(options.command[0], options.command);
        _exit(127);
    }
    modules = modules_new();
    unwinder = unwinder_new(arch_host());
    int status = options.stops ? stop_often() : follow_stops();
    unwinder_free(unwinder);
    modules_free(modules);
    perf_map_free(map);
    if (output_file_commit(&output, &err))
        fail("output", err.text);
    return status;
}
