/*
 * js_stack - the JavaScript stacks of a Node.js that stands still, as memprof sees them.
 *
 *     js_stack [OPTION…] -- COMMAND…
 *
 *     -o FILE            where to, else standard output
 *     -n STOPS           so many stops at moments of our own, then the command is killed; without
 *                        it one at each SIGSTOP that the command sends itself
 *     -i MICROSECONDS    about so much between those
 *     -t                 what each stack took, too
 *     -d SEED -e ELF -a STOP    the main thread's stack at the STOPth stop, for the fuzzer, too
 *                               (tests/fuzz/v8_seed.h)
 *
 * Writes a line of JSON for each stop: {"threads": [{"tid", "end", "frames": […]}]}, innermost
 * frame first. A frame has its address and what it is (kind); of V8's also the function, its file,
 * the line and column of its definition, the line in it (call_line), the mark of its tier and
 * whether it is inlined; "map" is what /tmp/perf-PID.map has at the address. -t adds nanoseconds
 * and reads of memory, as the stack came and once more when all of it was known. It judges nothing:
 * the tests compare. The exit status is the command's, 77 if ptrace is not permitted.
 */
#include "core/alloc.h"
#include "output/json.h"
#include "symbolize/perf_map.h"
#include "symbolize/unwind.h"
#include "symbolize/v8.h"
#include "tests/fuzz/v8_seed.h"

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
    const char *output, *seed, *elf;
    unsigned stops, interval_us, seed_stop;
    bool timed;
    char **command;
} options = {.output = "-", .interval_us = 1500};

static struct output_file output;
static struct modules *modules;
static struct unwinder *unwinder;
static struct perf_map *map;
static struct profile *profile;
static struct v8 *v8;
static pid_t child;
static unsigned stops_seen; /* of the main thread, with V8 */

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

static void write_string(const char *key, const char *text)
{
    output_printf(&output, ",\"%s\":", key);
    json_write_string(&output, text);
}

/* One logical frame: of an unwound frame that stands for several, the outermost is not inlined. */
static void write_named(const struct v8_named *named, bool inlined)
{
    static const char *const kinds[] = {
        [FRAME_UNKNOWN] = "unknown", [FRAME_JAVASCRIPT] = "javascript",
        [FRAME_NATIVE] = "native",   [FRAME_KERNEL] = "kernel",
        [FRAME_GC] = "gc",           [FRAME_RUNTIME] = "runtime",
    };
    static const char *const tiers[] = {
        [TIER_NONE] = "",    [TIER_INTERPRETED] = "~", [TIER_BASELINE] = "^",
        [TIER_MAGLEV] = "+", [TIER_OPTIMIZED] = "*",
    };
    const struct frame *frame = &profile->frames.items[named->frame];
    write_string("kind", kinds[frame->kind]);
    write_string("tier", tiers[frame->tier]);
    write_string("function", profile_string(profile, frame->function));
    write_string("file", profile_string(profile, frame->file));
    output_printf(&output, ",\"line\":%u,\"column\":%u,\"call_line\":%u,\"inlined\":%s",
                  frame->line, frame->column, named->line, inlined ? "true" : "false");
}

static void write_frame(const struct unwound_frame *frame, const struct v8_named *names,
                        size_t count, bool first)
{
    const char *name = map ? perf_map_find(map, frame->pc) : NULL;
    for (size_t i = 0; i < count || !i; i++) {
        output_printf(&output, "%s{\"pc\":%" PRIu64, first && !i ? "" : ",", frame->pc);
        if (count)
            write_named(&names[i], i + 1 < count);
        else
            write_string("kind", "native");
        if (name)
            write_string("map", name);
        output_text(&output, "}");
    }
}

/* ---- seeds for the fuzzer ---- */

static void put(FILE *to, const void *data, size_t size)
{
    if (fwrite(data, 1, size, to) != size)
        fail("seed", strerror(errno));
}

static void put_block(FILE *to, const void *data, size_t size)
{
    uint32_t length = (uint32_t)size;
    put(to, &length, sizeof length);
    put(to, data, size);
}

/* A memory_image_fn: reads the process, and writes what it read. */
static bool read_and_keep(const void *context, uint64_t address, void *into, size_t size)
{
    FILE *seed = (FILE *)(uintptr_t)context;
    struct iovec here = {into, size}, there = {(void *)(uintptr_t)address, size};
    if (process_vm_readv(child, &here, 1, &there, 1, 0) != (ssize_t)size)
        return false;
    put(seed, &address, sizeof address);
    put_block(seed, into, size);
    return true;
}

static void write_seed(const struct segment *of_v8, const struct unwound_frame *frames,
                       size_t count, const struct stack_copy *stack)
{
    struct module *module = of_v8->module;
    _cleanup_fclose_ FILE *seed = fopen(options.seed, "wbe");
    _cleanup_fclose_ FILE *elf = fopen(options.elf, "rbe");
    static uint8_t image[1 << 20];
    size_t elf_size = elf ? fread(image, 1, sizeof image, elf) : 0;
    size_t top = frames[count - 1].fp > frames[0].sp ? frames[count - 1].fp - frames[0].sp + 16 : 0;
    if (!seed || !elf_size || elf_size == sizeof image)
        fail(options.seed, "cannot be made");
    put_block(seed, image, elf_size);
    uint32_t frame_count = (uint32_t)count;
    put(seed, &frame_count, sizeof frame_count);
    for (size_t i = 0; i < count; i++) {
        const struct segment *segment = frames[i].segment;
        uint64_t place = V8_SEED_ELSEWHERE;
        if (segment && module_is_generated(segment->module))
            place = V8_SEED_GENERATED;
        else if (segment && segment->module == module)
            place = V8_SEED_MODULE;
        /* In the module the seed has addresses of the file. */
        uint64_t bias = place == V8_SEED_MODULE ? segment->bias : 0;
        put(seed, (uint64_t[]){frames[i].pc - bias, frames[i].sp, frames[i].fp, place}, 32);
    }
    put_block(seed, stack->data, top && top < stack->size ? top : stack->size);
    struct v8 *fresh = v8_new(profile, module, of_v8->bias, child, NULL);
    v8_set_image(fresh, read_and_keep, seed);
    v8_begin(fresh, UINT64_MAX);
    v8_name_stack(fresh, frames, count, stack);
    v8_free(fresh);
}

/* ---- stops ---- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The names of a stack, with what they took. */
static const struct v8_names *name_stack(const struct unwound_frame *frames, size_t count,
                                         const struct stack_copy *stack, uint64_t unwind_ns)
{
    uint64_t start = now_ns(), reads = v8_reads(v8);
    const struct v8_names *names = v8_name_stack(v8, frames, count, stack);
    if (options.timed) {
        uint64_t first = now_ns(), first_reads = v8_reads(v8);
        v8_begin(v8, first);
        names = v8_name_stack(v8, frames, count, stack);
        output_printf(&output,
                      ",\"unwind_ns\":%" PRIu64 ",\"name_ns\":%" PRIu64 ",\"again_ns\":%" PRIu64
                      ",\"reads\":%" PRIu64 ",\"again_reads\":%" PRIu64,
                      unwind_ns, first - start, now_ns() - first, first_reads - reads,
                      v8_reads(v8) - first_reads);
    }
    return names;
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
    uint64_t start = now_ns();
    if (v8)
        v8_begin(v8, start);
    enum unwind_end end = unwinder_run(unwinder, space, 0, &registers, &stack, frames, &count);
    uint64_t unwind_ns = now_ns() - start;
    output_printf(&output, "%s{\"tid\":%d,\"end\":\"%s\"", first ? "" : ",", tid, ends[end]);
    const struct v8_names *names = v8 ? name_stack(frames, count, &stack, unwind_ns) : NULL;
    if (names && options.seed && tid == child && ++stops_seen == options.seed_stop)
        write_seed(v8_segment(space), frames, count, &stack);
    output_text(&output, ",\"frames\":[");
    for (size_t i = 0; i < count; i++) {
        struct v8_run run = names ? names->runs[i] : (struct v8_run){0};
        write_frame(&frames[i], run.count ? names->items.items + run.first : NULL, run.count, !i);
    }
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

static void open_v8(const struct space *space)
{
    struct error err;
    const struct segment *segment = v8 ? NULL : v8_segment(space);
    if (!segment)
        return;
    v8 = v8_new(profile, segment->module, segment->bias, child, &err);
    if (!v8)
        fail("V8", err.text);
    unwinder_ask(unwinder, v8_leaf_frame, v8);
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
        if (first) { /* the child's end or exec can't come between any more */
            space_read(&space, modules, NULL);
            read_map();
            open_v8(&space);
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
    for (int option; (option = getopt(argc, argv, "+o:n:i:td:e:a:")) >= 0;) {
        unsigned number = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        switch (option) {
        case 'o':
            options.output = optarg;
            break;
        case 'n':
            options.stops = number;
            break;
        case 'i':
            options.interval_us = number;
            break;
        case 't':
            options.timed = true;
            break;
        case 'd':
            options.seed = optarg;
            break;
        case 'e':
            options.elf = optarg;
            break;
        case 'a':
            options.seed_stop = number;
            break;
        default:
            exit(2);
        }
    }
    options.command = argv + optind;
    if (!options.command[0] || !options.interval_us || (options.seed && !options.elf))
        fail("usage", "js_stack [OPTION...] -- COMMAND...");
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
    profile = profile_new();
    modules = modules_new();
    unwinder = unwinder_new(arch_host());
    int status = options.stops ? stop_often() : follow_stops();
    v8_free(v8);
    unwinder_free(unwinder);
    modules_free(modules);
    profile_free(profile);
    perf_map_free(map);
    if (output_file_commit(&output, &err))
        fail("output", err.text);
    return status;
}
