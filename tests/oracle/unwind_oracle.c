/*
 * unwind_oracle - our unwinder against libdwfl, on the stacks of real processes.
 *
 *     unwind_oracle [-d SECONDS] [-F HZ] [-s STACK_BYTES] [-n SAMPLES] (-p PID | -- COMMAND…)
 *
 * Captures samples, then unwinds each with both, over the mappings that the process has at the
 * end (it is stopped for that time). Every difference is put into a class; independently, each
 * return address must follow a call instruction in the live process, or belong to a signal
 * frame. Both are then timed over the same stacks. Exit 1: fewer than 99.5 % are equal, or a
 * frame is wrong. Exit 2: it failed. Exit 77: perf_event_open is not permitted.
 */
#include "core/perf.h"
#include "core/target.h"
#include "symbolize/modules.h"
#include "symbolize/unwind.h"

#include <elfutils/libdwfl.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

enum { PASSES = 5, REGISTERS = 17, RING_BYTES = 128 << 10, RING_SAMPLES = 512 };
#define STACK_BYTES_MAX ((size_t)600 << 20)

struct captured {
    struct registers registers;
    struct stack_copy stack; /* data is owned */
    uint32_t tid;
};

static struct options {
    double seconds;
    uint32_t frequency_hz, stack_bytes;
    size_t samples;
    pid_t pid;
    char **command;
} options = {5, 4999, 32768, 20000, 0, NULL};

static vec(struct captured) samples;
static size_t stack_bytes_total;
static char *maps_text;
static size_t maps_length;

static struct modules *modules;
static struct space space;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "unwind_oracle: %s: %s\n", what, why);
    exit(2);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void keep_sample(const struct record *record)
{
    if (!record->sample.registers || !record->sample.stack_bytes)
        return;
    struct captured *sample = vec_push(&samples);
    arch_registers_from_perf(arch_host(), record->sample.registers, &sample->registers);
    uint8_t *data = xmalloc(record->sample.stack_bytes);
    memcpy(data, record->sample.stack, record->sample.stack_bytes);
    sample->stack = (struct stack_copy){data, record->sample.stack_bytes, record->sample.stack_cut};
    sample->tid = record->tid;
    stack_bytes_total += record->sample.stack_bytes;
}

static void drop_samples(void)
{
    for (size_t i = 0; i < samples.count; i++)
        free((void *)(uintptr_t)samples.items[i].stack.data);
    samples.count = stack_bytes_total = 0;
}

/* The last text that could be read stays: the process may end at any time. */
static void read_maps(pid_t pid)
{
    char path[64], *text = NULL;
    size_t length = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *from = fopen(path, "re"), *to = open_memstream(&text, &length);
    for (int c; from && to && (c = getc(from)) != EOF;)
        putc(c, to);
    if (from)
        fclose(from);
    fclose(to);
    if (length) {
        free(maps_text);
        maps_text = text;
        maps_length = length;
    } else {
        free(text);
    }
}

static void capture(const struct target *target, struct launch *launch)
{
    struct error err;
    struct sampler *sampler;
    const struct arch *arch = arch_host();
    struct sampler_options sampler_options = {
        .frequency_hz = options.frequency_hz,
        .stack_bytes = options.stack_bytes,
        .user_registers = arch->perf_mask,
        .user_register_count = arch->perf_count,
        .kernel = true,
        .on_exec = launch != NULL,
    };
    if (perf_open(target, &sampler_options, &sampler, &err)) {
        if (err.code != ERROR_PERMISSION)
            fail("perf", err.text);
        printf("skipped: %s\n", err.text);
        if (launch)
            launch_abort(launch);
        exit(77); /* a skip to meson */
    }
    if (launch && launch_go(launch, &err))
        fail("launch", err.text);
    uint64_t end = now_ns() + (uint64_t)(options.seconds * 1e9), lost = 0;
    while (now_ns() < end && samples.count < options.samples &&
           stack_bytes_total < STACK_BYTES_MAX && target_alive(target)) {
        sampler_wait(sampler, -1, 50);
        struct record record;
        uint64_t until = now_ns();
        while (sampler_next(sampler, until, &record)) {
            if (record.kind == RECORD_SAMPLE && record.pid == (uint32_t)target->pid &&
                samples.count < options.samples)
                keep_sample(&record);
            else if (record.kind == RECORD_COMM && record.comm.exec)
                drop_samples(); /* of a program whose mappings are gone */
            else if (record.kind == RECORD_LOST)
                lost += record.lost.count;
        }
        read_maps(target->pid);
    }
    sampler_disable(sampler);
    sampler_free(sampler);
    kill(target->pid, SIGSTOP);
    read_maps(target->pid);
    printf("captured %zu samples, %.1f KB of stack each, %" PRIu64 " lost\n", samples.count,
           samples.count ? (double)stack_bytes_total / 1024 / (double)samples.count : 0, lost);
}

/* libdwfl over one captured sample at a time. */
static const struct captured *current;
static struct dwfl_result {
    uint64_t pc[LIMIT_STACK_FRAMES];
    size_t count;
} theirs;

static pid_t next_thread(Dwfl *dwfl, void *dwfl_arg, void **thread_argp)
{
    (void)dwfl, (void)dwfl_arg, (void)thread_argp;
    return 0;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *dwfl_arg, void **thread_argp)
{
    (void)dwfl, (void)tid, (void)dwfl_arg;
    *thread_argp = NULL;
    return true;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *result, void *arg)
{
    (void)arg;
    uint64_t into = address - current->registers.value[arch_host()->sp];
    if (into < current->stack.size && current->stack.size - into >= 8) {
        memcpy(result, current->stack.data + into, 8);
        return true;
    }
    Dwfl_Module *module = dwfl_addrmodule(dwfl, address);
    Dwarf_Addr bias, in_file = address;
    Elf_Scn *section = module ? dwfl_module_address_section(module, &in_file, &bias) : NULL;
    Elf_Data *data = section ? elf_rawdata(section, NULL) : NULL;
    if (!data || !data->d_buf || in_file > data->d_size || data->d_size - in_file < 8)
        return false;
    memcpy(result, (const uint8_t *)data->d_buf + in_file, 8);
    return true;
}

static bool set_initial_registers(Dwfl_Thread *thread, void *arg)
{
    (void)arg;
    Dwarf_Word values[REGISTERS];
    for (size_t i = 0; i < 16; i++)
        values[i] = current->registers.value[i];
    values[16] = current->registers.pc;
    return dwfl_thread_state_registers(thread, 0, REGISTERS, values);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
    .next_thread = next_thread,
    .get_thread = get_thread,
    .memory_read = memory_read,
    .set_initial_registers = set_initial_registers,
};

static int no_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
                        const char *file, const char *link, GElf_Word crc, char **ret)
{
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)ret;
    return -1;
}

static const Dwfl_Callbacks dwfl_callbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    .find_debuginfo = no_debuginfo,
};

static Dwfl *dwfl_open(pid_t pid)
{
    Dwfl *dwfl = dwfl_begin(&dwfl_callbacks);
    FILE *maps = fmemopen(maps_text, maps_length, "r");
    dwfl_report_begin(dwfl);
    if (dwfl_linux_proc_maps_report(dwfl, maps) || dwfl_report_end(dwfl, NULL, NULL) ||
        !dwfl_attach_state(dwfl, NULL, pid, &thread_callbacks, NULL))
        fail("libdwfl", dwfl_errmsg(-1));
    fclose(maps);
    return dwfl;
}

static int on_frame(Dwfl_Frame *state, void *arg)
{
    struct dwfl_result *result = arg;
    Dwarf_Addr pc;
    bool exact;
    if (!dwfl_frame_pc(state, &pc, &exact) || result->count == LIMIT_STACK_FRAMES)
        return DWARF_CB_ABORT;
    result->pc[result->count++] = pc - !exact;
    return DWARF_CB_OK;
}

static void unwind_theirs(Dwfl *dwfl, const struct captured *sample)
{
    current = sample;
    theirs.count = 0;
    dwfl_getthread_frames(dwfl, (pid_t)sample->tid, on_frame, &theirs);
}

enum verdict {
    EQUAL,
    CUT_COPY,      /* ours is the shorter one, and says that the copy was cut */
    WITHOUT_CFI,   /* they part at code that has no CFI: JIT code, V8's builtins */
    LIBDW_STOPPED, /* ours goes on where libdw ends */
    LIBDW_NOWHERE, /* ours ends where libdw goes on to an address that holds no code */
    OURS_STOPPED,
    DIFFERENT,
    VERDICTS
};

static const char *const verdict_names[] = {
    [EQUAL] = "equal",
    [CUT_COPY] = "truncated copy, ours ends first",
    [WITHOUT_CFI] = "part at code without CFI",
    [LIBDW_STOPPED] = "libdw stopped early",
    [LIBDW_NOWHERE] = "libdw goes on into no mapping",
    [OURS_STOPPED] = "ours stopped early",
    [DIFFERENT] = "another frame",
};

static bool has_cfi(Dwfl *dwfl, uint64_t pc)
{
    Dwarf_Addr bias;
    Dwarf_Frame *frame;
    Dwfl_Module *module = dwfl_addrmodule(dwfl, pc);
    Dwarf_CFI *cfi = module ? dwfl_module_eh_cfi(module, &bias) : NULL;
    if (!cfi || dwarf_cfi_addrframe(cfi, pc - bias, &frame))
        return false;
    free(frame);
    return true;
}

static enum verdict compare(Dwfl *dwfl, const struct unwound_frame *frames, size_t count,
                            enum unwind_end end, size_t *ret_at)
{
    size_t same = 0;
    while (same < count && same < theirs.count && frames[same].pc == theirs.pc[same])
        same++;
    *ret_at = same;
    if (same == count && same == theirs.count)
        return EQUAL;
    if (same == count && end == UNWIND_TRUNCATED)
        return CUT_COPY;
    if (same && !has_cfi(dwfl, frames[same - 1].pc))
        return WITHOUT_CFI;
    if (same == theirs.count)
        return LIBDW_STOPPED;
    if (same == count)
        return space_find(&space, theirs.pc[same]) ? OURS_STOPPED : LIBDW_NOWHERE;
    return DIFFERENT;
}

static bool read_code(pid_t pid, uint64_t address, uint8_t *to, size_t size)
{
    struct iovec local = {to, size}, remote = {(void *)(uintptr_t)address, size};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

struct calls {
    size_t checked, anonymous, signal_frames, unreadable, wrong;
};

/* Each frame but the leaf: a call ends at its return address, or a signal explains it. */
static void check_calls(pid_t pid, const struct unwound_frame *frames, size_t count,
                        struct calls *calls)
{
    const struct arch *arch = arch_host();
    uint8_t code[16];
    for (size_t i = 1; i < count; i++) {
        if (!read_code(pid, frames[i].pc + 1 - ARCH_CALL_BYTES, code, ARCH_CALL_BYTES)) {
            calls->unreadable++;
            continue;
        }
        calls->checked++;
        if (arch_is_call(arch, code))
            continue;
        bool restorer = read_code(pid, frames[i].pc, code, arch->sigreturn_size) &&
                        !memcmp(code, arch->sigreturn_code, arch->sigreturn_size);
        bool interrupted = read_code(pid, frames[i - 1].pc, code, arch->sigreturn_size) &&
                           !memcmp(code, arch->sigreturn_code, arch->sigreturn_size);
        if (restorer || interrupted) {
            calls->signal_frames++;
        } else if (frames[i].segment->module->kind == MODULE_ANON) {
            calls->anonymous++; /* the collector moves JIT code, and frees it */
        } else {
            if (calls->wrong++ < 5)
                printf("  no call before %#" PRIx64 " (%s)\n", frames[i].pc + 1,
                       frames[i].segment->module->path);
        }
    }
}

static void print_difference(const struct unwound_frame *frames, size_t count, size_t at,
                             enum verdict verdict)
{
    printf("  %s at frame %zu of %zu and %zu:", verdict_names[verdict], at, count, theirs.count);
    if (at)
        printf(" after %#" PRIx64 " (%s)", frames[at - 1].pc,
               frames[at - 1].segment ? frames[at - 1].segment->module->path : "?");
    if (at < count)
        printf(", ours %#" PRIx64 " (%s)", frames[at].pc,
               frames[at].segment ? frames[at].segment->module->path : "?");
    if (at < theirs.count)
        printf(", libdw %#" PRIx64, theirs.pc[at]);
    printf("\n");
}

static bool compare_all(Dwfl *dwfl, pid_t pid)
{
    struct unwinder *unwinder = unwinder_new(arch_host());
    static struct unwound_frame frames[LIMIT_STACK_FRAMES];
    size_t verdicts[VERDICTS] = {0}, ends[4] = {0}, frames_total = 0, count;
    struct calls calls = {0};
    for (size_t i = 0; i < samples.count; i++) {
        const struct captured *sample = &samples.items[i];
        enum unwind_end end =
            unwinder_run(unwinder, &space, 0, &sample->registers, &sample->stack, frames, &count);
        size_t at;
        unwind_theirs(dwfl, sample);
        enum verdict verdict = compare(dwfl, frames, count, end, &at);
        if (verdict != EQUAL && verdict != CUT_COPY && verdicts[verdict] < 5)
            print_difference(frames, count, at, verdict);
        if (end == UNWIND_BROKEN && verdict == EQUAL && ends[end] < 5)
            printf("  both end after %#" PRIx64 " (%s), frame %zu\n", frames[count - 1].pc,
                   frames[count - 1].segment ? frames[count - 1].segment->module->path : "?",
                   count);
        verdicts[verdict]++;
        ends[end]++;
        frames_total += count;
        check_calls(pid, frames, count, &calls);
    }
    unwinder_free(unwinder);

    size_t comparable = samples.count - verdicts[WITHOUT_CFI];
    double equal = comparable ? (double)verdicts[EQUAL] / (double)comparable : 0;
    for (size_t i = 0; i < VERDICTS; i++)
        printf("%-34s %8zu\n", verdict_names[i], verdicts[i]);
    printf("equal where libdw has CFI          %8.3f %%\n", equal * 100);
    printf("complete %zu, truncated %zu, broken %zu; %.1f frames a stack\n", ends[UNWIND_COMPLETE],
           ends[UNWIND_TRUNCATED], ends[UNWIND_BROKEN],
           (double)frames_total / (double)samples.count);
    printf("return addresses: %zu checked, %zu of signal frames, %zu JIT code that is gone, "
           "%zu unreadable, %zu WRONG\n",
           calls.checked, calls.signal_frames, calls.anonymous, calls.unreadable, calls.wrong);
    return equal >= 0.995 && !calls.wrong;
}

/*
 * Stitching against the truth: the same stacks with only `bytes` of each copy. Some stitches
 * are wrong by nature (stitch.c); what counts is how few.
 */
static void try_stitching(size_t bytes)
{
    static struct unwound_frame whole[LIMIT_STACK_FRAMES], frames[LIMIT_STACK_FRAMES];
    struct unwinder *unwinder = unwinder_new(arch_host());
    size_t ends[4] = {0}, wrong = 0, whole_count, count;
    for (size_t i = 0; i < samples.count; i++) {
        const struct captured *sample = &samples.items[i];
        struct stack_copy cut = sample->stack;
        unwinder_run(unwinder, &space, 0, &sample->registers, &sample->stack, whole, &whole_count);
        if (cut.size > bytes)
            cut = (struct stack_copy){cut.data, bytes, true};
        enum unwind_end end =
            unwinder_run(unwinder, &space, sample->tid, &sample->registers, &cut, frames, &count);
        ends[end]++;
        wrong += end == UNWIND_STITCHED &&
                 (count != whole_count || memcmp(frames, whole, count * sizeof *frames));
    }
    unwinder_free(unwinder);
    double n = (double)samples.count / 100;
    printf("copies of %zu KB: %.2f %% whole, with stitching %.2f %%; %zu stitches of %zu wrong\n",
           bytes >> 10, (double)ends[UNWIND_COMPLETE] / n,
           (double)(ends[UNWIND_COMPLETE] + ends[UNWIND_STITCHED]) / n, wrong,
           ends[UNWIND_STITCHED]);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, PASSES, sizeof *values, compare_doubles);
    return values[PASSES / 2];
}

/* As many samples as fit, copied to where the kernel would have put them just now. */
static size_t fill_ring(size_t first, uint8_t *ring, struct captured *ret_batch)
{
    size_t count = 0, at = 0;
    while (first + count < samples.count && count < RING_SAMPLES) {
        struct captured sample = samples.items[first + count];
        if (sample.stack.size > RING_BYTES - at)
            break;
        memcpy(ring + at, sample.stack.data, sample.stack.size);
        sample.stack.data = ring + at;
        at += sample.stack.size;
        ret_batch[count++] = sample;
    }
    return count;
}

/* Nanoseconds of each batch, in each pass. */
struct timings {
    double *ours[PASSES + 1]; /* the first pass, which finds the rules, is [0] */
    double *theirs[PASSES + 1];
    size_t batches, stitched;
};

/*
 * One pass over all samples, by ours or else by libdwfl, each in a pass of its own so that it
 * keeps its tables in the cache. The stacks are handed over as a recording gets them, a quarter
 * of a ring of 512 KB at a time, which is copied (untimed) just before: replayed from hundreds
 * of megabytes, both unwinders would mostly wait for memory.
 */
static void time_pass(struct unwinder *ours, Dwfl *dwfl, double *ret_ns, struct timings *timings)
{
    static uint8_t ring[RING_BYTES];
    static struct captured batch[RING_SAMPLES];
    static struct unwound_frame frames[LIMIT_STACK_FRAMES];
    size_t count;
    timings->batches = timings->stitched = 0;
    for (size_t first = 0, size; first < samples.count; first += size) {
        size = fill_ring(first, ring, batch);
        uint64_t start = now_ns();
        for (size_t i = 0; i < size; i++) {
            if (!ours)
                unwind_theirs(dwfl, &batch[i]);
            else if (unwinder_run(ours, &space, batch[i].tid, &batch[i].registers, &batch[i].stack,
                                  frames, &count) == UNWIND_STITCHED)
                timings->stitched++;
        }
        ret_ns[timings->batches++] = (double)(now_ns() - start);
    }
}

/*
 * Microseconds a stack: each batch counts with its median over the passes, so that one during
 * which another process ran does not count.
 */
static double sum_of_medians(double *const *passes, size_t batches)
{
    double sum = 0;
    for (size_t i = 0; i < batches; i++) {
        double values[PASSES];
        for (size_t pass = 0; pass < PASSES; pass++)
            values[pass] = passes[pass + 1][i];
        sum += median(values);
    }
    return sum / 1000 / (double)samples.count;
}

static void time_both(Dwfl *dwfl)
{
    struct unwinder *unwinder = unwinder_new(arch_host());
    struct timings timings = {0};
    double first = 0;
    for (int pass = 0; pass <= PASSES; pass++) {
        timings.ours[pass] = xcalloc(samples.count, sizeof(double));
        timings.theirs[pass] = xcalloc(samples.count, sizeof(double));
        time_pass(NULL, dwfl, timings.theirs[pass], &timings);
        time_pass(unwinder, dwfl, timings.ours[pass], &timings);
    }
    for (size_t i = 0; i < timings.batches; i++)
        first += timings.ours[0][i];
    double ours = sum_of_medians(timings.ours, timings.batches);
    double libdw = sum_of_medians(timings.theirs, timings.batches);
    printf("a stack: ours %.3f us (first pass %.3f), libdwfl %.3f us: %.1f times as fast; "
           "%zu stitched\n",
           ours, first / 1000 / (double)samples.count, libdw, libdw / ours, timings.stitched);
    for (int pass = 0; pass <= PASSES; pass++) {
        free(timings.ours[pass]);
        free(timings.theirs[pass]);
    }
    unwinder_free(unwinder);
}

static void parse_options(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "+d:F:s:n:p:")) != -1;) {
        switch (option) {
        case 'd':
            options.seconds = atof(optarg);
            break;
        case 'F':
            options.frequency_hz = (uint32_t)atoi(optarg);
            break;
        case 's':
            options.stack_bytes = (uint32_t)atoi(optarg);
            break;
        case 'n':
            options.samples = (size_t)atol(optarg);
            break;
        case 'p':
            options.pid = atoi(optarg);
            break;
        default:
            exit(2);
        }
    }
    if (optind < argc)
        options.command = argv + optind;
    if (!options.pid == !options.command)
        fail("usage", "one of -p PID and -- COMMAND");
}

int main(int argc, char **argv)
{
    struct error err;
    struct target target;
    struct launch launch;
    parse_options(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* libdwfl allocates for each frame: it is not to be charged with giving pages back. */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    if (options.command) {
        if (launch_prepare(options.command, &launch, &err))
            fail("launch", err.text);
        options.pid = launch.pid;
    }
    if (target_open(options.pid, &target, &err))
        fail("target", err.text);
    capture(&target, options.command ? &launch : NULL);
    if (!samples.count || !maps_length)
        fail("capture", "the process ended before it was sampled");

    modules = modules_new();
    space_init(&space, modules, options.pid);
    space_parse(&space, modules, maps_text, maps_length);
    Dwfl *dwfl = dwfl_open(options.pid);
    bool good = compare_all(dwfl, options.pid);
    time_both(dwfl);
    for (size_t bytes = 1024; bytes <= 16384; bytes *= 2)
        try_stitching(bytes);
    dwfl_end(dwfl);

    kill(options.pid, options.command ? SIGKILL : SIGCONT);
    if (options.command)
        waitpid(options.pid, NULL, 0);
    space_release(&space);
    modules_free(modules);
    drop_samples();
    vec_release(&samples);
    free(maps_text);
    target_release(&target);
    return good ? 0 : 1;
}
