/*
 * frame_states_oracle - what frame_states says of V8's code, against a node that is run instruction
 * by instruction.
 *
 *     frame_states_oracle [-n STEPS] [-v] [-w SECONDS] -- NODE [ARGUMENTS…]
 *
 * Starts the command, lets it run for a while, then single-steps its main thread, in stretches with
 * some milliseconds between them, and keeps its own account of calls: where each return address was
 * put, its value, and what fp was then. It knows calls and returns by their opcodes, and reads all
 * else from the live registers and stack. Before each instruction in an embedded builtin
 * (Builtins_* of the executable) it compares what frame_states says with the account; likewise in
 * code that V8 compiled, if the command is given --perf-basic-prof. Prints shares, and beside them
 * how often fp alone leads to the caller; with -v also where most is unknown. Exit 1: an answer was
 * wrong. Exit 2: it failed. Exit 77: ptrace is not permitted, or there is no V8.
 */
#include "core/target.h"
#include "symbolize/arch.h"
#include "symbolize/frame_states.h"
#include "symbolize/symbols.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#ifndef __x86_64__
int main(void)
{
    printf("skipped: frame states are known for x86-64 only\n");
    return 77;
}
#else

enum {
    CODE_BYTES = 16,
    TABLE = 1 << 14,
    SHOWN_EACH = 3,
    LISTED = 20,
    STRETCH = 20000,
    NATIVE_STEPS = 5000
};

struct call { /* one that has not returned */
    uint64_t slot, value, fp;
};

struct function {
    uint64_t start, size; /* start in the executable, or at run time for compiled code */
    char *name;
    uint8_t *code; /* of compiled code, which changes */
    struct frame_states *states;
    bool tried;
    size_t wrong, unknown;
};

enum group { GROUP_BUILTIN, GROUP_HANDLER, GROUP_COMPILED, GROUPS };
enum verdict { VERDICT_RIGHT, VERDICT_UNKNOWN, VERDICT_WRONG, VERDICTS };

static struct tally {
    size_t verdicts[VERDICTS], fp_right, fp_right_of_unknown, kinds[LEAF_BURIED + 1];
} tallies[GROUPS];

static pid_t pid;
static size_t steps_wanted = 200000;
static double warm_up_s = 1;
static bool verbose;
static struct elf_file *executable;
static struct symbols *symbols;
static struct mapping {
    uint64_t start, end, offset;
    bool executable, generated;
} mappings[1 << 12];
static size_t mapping_count;
static struct function *builtins[TABLE];
static vec(struct function) compiled;
static long map_read; /* bytes of the perf map that were read */
static vec(struct call) calls;
static size_t unsure;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "frame_states_oracle: %s: %s\n", what, why);
    if (pid)
        kill(pid, SIGKILL);
    exit(2);
}

static _Noreturn void skip(const char *why)
{
    printf("skipped: %s\n", why);
    if (pid)
        kill(pid, SIGKILL);
    exit(77);
}

static bool read_memory(uint64_t address, void *into, size_t size)
{
    struct iovec local = {into, size}, remote = {(void *)(uintptr_t)address, size};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static uint64_t word_at(uint64_t address)
{
    uint64_t word = 0;
    read_memory(address, &word, sizeof word);
    return word;
}

static void read_maps(void)
{
    char path[64], line[4096], executable_path[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t length = readlink(path, executable_path, sizeof executable_path - 1);
    executable_path[length < 0 ? 0 : length] = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    _cleanup_fclose_ FILE *maps = fopen(path, "re");
    mapping_count = 0;
    while (maps && fgets(line, sizeof line, maps)) {
        struct mapping mapping = {0};
        char permissions[5];
        int name = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %n", &mapping.start,
                   &mapping.end, permissions, &mapping.offset, &name) < 4 ||
            permissions[2] != 'x' || mapping_count == sizeof mappings / sizeof *mappings)
            continue;
        line[strcspn(line, "\n")] = 0;
        mapping.executable = !strcmp(line + name, executable_path);
        mapping.generated = !line[name];
        mappings[mapping_count++] = mapping;
    }
}

static const struct mapping *find_mapping(uint64_t pc)
{
    for (size_t i = 0; i < mapping_count; i++)
        if (pc - mappings[i].start < mappings[i].end - mappings[i].start)
            return &mappings[i];
    return NULL;
}

static void open_executable(void)
{
    char path[64];
    struct error err;
    struct symbol symbol;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (elf_file_open(elf_open_regular(path), path, &executable, &err))
        fail("executable", err.text);
    symbols = symbols_new(&executable, 1);
    if (!symbols_find_name(symbols, "Builtins_InterpreterEntryTrampoline", &symbol))
        skip("the executable has no symbols of V8's builtins");
}

/* The builtin at an address of the executable; NULL for other code. */
static struct function *find_builtin(uint64_t address)
{
    struct symbol symbol;
    if (!symbols_find(symbols, address, &symbol) || strncmp(symbol.name, "Builtins_", 9) != 0)
        return NULL;
    size_t at = symbol.address / 4 % TABLE;
    while (builtins[at] && builtins[at]->start != symbol.address)
        at = (at + 1) % TABLE;
    if (!builtins[at]) {
        struct function *function = builtins[at] = xcalloc(1, sizeof *function);
        const uint8_t *code = elf_file_code(executable, symbol.address, symbol.size);
        function->start = symbol.address;
        function->size = symbol.size;
        function->name = xstrdup(symbol.name);
        if (code)
            function->states = frame_states_new(EM_X86_64, code, symbol.size, symbol.address);
    }
    return builtins[at];
}

static void read_perf_map(void)
{
    char path[64], line[4096], name[256];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", pid);
    _cleanup_fclose_ FILE *map = fopen(path, "re");
    if (!map || fseek(map, map_read, SEEK_SET))
        return;
    while (fgets(line, sizeof line, map) && strchr(line, '\n')) {
        struct function function = {0};
        if (sscanf(line, "%" SCNx64 " %" SCNx64 " %255[^\n]", &function.start, &function.size,
                   name) == 3) {
            function.name = xstrdup(name);
            vec_append(&compiled, function);
        }
        map_read = ftell(map);
    }
}

static void drop_states(struct function *function)
{
    frame_states_free(function->states);
    free(function->code);
    function->states = NULL;
    function->code = NULL;
    function->tried = false;
}

/* The newest compiled function at pc; its states belong to the bytes that are there now. */
static struct function *find_compiled(uint64_t pc, const uint8_t now[CODE_BYTES])
{
    static size_t last;
    struct function *function = NULL;
    if (last < compiled.count && pc - compiled.items[last].start < compiled.items[last].size)
        function = &compiled.items[last];
    for (size_t i = compiled.count; i-- > 0 && !function;)
        if (pc - compiled.items[i].start < compiled.items[i].size)
            function = &compiled.items[last = i];
    if (!function)
        return NULL;
    uint64_t into = pc - function->start, left = function->size - into;
    if (function->code &&
        memcmp(function->code + into, now, left < CODE_BYTES ? left : CODE_BYTES) != 0)
        drop_states(function);
    if (!function->tried && function->size <= 1 << 20) {
        function->code = xmalloc(function->size);
        if (read_memory(function->start, function->code, function->size))
            function->states =
                frame_states_new(EM_X86_64, function->code, function->size, function->start);
        function->tried = true;
    }
    return function;
}

/* By DWARF number. */
static uint64_t register_value(const struct user_regs_struct *registers, uint32_t number)
{
    const uint64_t values[] = {registers->rax, registers->rdx, registers->rcx, registers->rbx,
                               registers->rsi, registers->rdi, registers->rbp, registers->rsp,
                               registers->r8,  registers->r9,  registers->r10, registers->r11,
                               registers->r12, registers->r13, registers->r14, registers->r15};
    return number < sizeof values / sizeof *values ? values[number] : 0;
}

static bool is_in_register(const struct user_regs_struct *registers, uint64_t value)
{
    for (uint32_t i = 0; i < 16; i++)
        if (i != 6 && i != 7 && register_value(registers, i) == value)
            return true;
    return false;
}

/*
 * The innermost call that has not returned; NULL if it was made before the first step. A tail call
 * with more arguments moves the return address: it is where it was, or at sp, or in a register.
 */
static struct call *innermost(const struct user_regs_struct *registers)
{
    while (calls.count) {
        struct call *call = &calls.items[calls.count - 1];
        bool in_place = call->slot >= registers->rsp && word_at(call->slot) == call->value;
        if (!in_place && word_at(registers->rsp) == call->value)
            call->slot = registers->rsp;
        if (call->slot >= registers->rsp || is_in_register(registers, call->value))
            return call;
        calls.count--; /* an exception has thrown its frame away */
    }
    return NULL;
}

static bool is_right(enum leaf_frame leaf, uint32_t where, const struct call *call,
                     const struct user_regs_struct *registers)
{
    switch (leaf) {
    case LEAF_FRAMED:
        return registers->rbp + 8 == call->slot && word_at(registers->rbp) == call->fp;
    case LEAF_BARE:
        return registers->rsp + where == call->slot && registers->rbp == call->fp;
    case LEAF_HELD:
        return register_value(registers, where) == call->value && registers->rbp == call->fp;
    case LEAF_BURIED:
        return registers->rbp == call->fp;
    case LEAF_RESUMED: /* of no function that can be called */
    case LEAF_UNKNOWN:
        break;
    }
    return false;
}

static void compare(struct function *function, enum group group, uint64_t address,
                    const struct user_regs_struct *registers)
{
    static const char *const names[] = {"unknown", "framed", "bare", "held", "buried"};
    const struct call *call = innermost(registers);
    if (!call) {
        unsure++;
        return;
    }
    uint32_t where = 0;
    enum leaf_frame leaf =
        function->states ? frame_states_find(function->states, address, &where) : LEAF_UNKNOWN;
    bool right = is_right(leaf, where, call, registers);
    bool fp_right = registers->rbp + 8 == call->slot;
    struct tally *tally = &tallies[group];
    tally->verdicts[!leaf ? VERDICT_UNKNOWN : right ? VERDICT_RIGHT : VERDICT_WRONG]++;
    tally->kinds[leaf]++;
    function->unknown += !leaf;
    tally->fp_right += fp_right;
    tally->fp_right_of_unknown += !leaf && fp_right;
    if (leaf && !right && function->wrong++ < SHOWN_EACH)
        printf("wrong: %s+0x%" PRIx64 ": %s %u; return address at sp%+" PRId64 ", at fp%+" PRId64
               ", fp %s the caller's\n",
               function->name, address - function->start, names[leaf], where,
               (int64_t)(call->slot - (uint64_t)registers->rsp),
               (int64_t)(call->slot - (uint64_t)registers->rbp),
               registers->rbp == call->fp ? "is" : "is not");
}

/* False in code that is not V8's. */
static bool compare_here(const struct user_regs_struct *registers, const uint8_t now[CODE_BYTES])
{
    const struct mapping *mapping = find_mapping(registers->rip);
    struct function *function = NULL;
    enum group group = GROUP_COMPILED;
    uint64_t address = registers->rip;
    if (mapping && mapping->generated) {
        function = find_compiled(address, now);
    } else if (mapping && mapping->executable &&
               elf_file_vaddr_of_offset(
                   executable, registers->rip - mapping->start + mapping->offset, &address)) {
        function = find_builtin(address);
        if (function)
            group = strstr(function->name, "Handler") ? GROUP_HANDLER : GROUP_BUILTIN;
    }
    if (function)
        compare(function, group, address, registers);
    return function != NULL;
}

enum transfer { TRANSFER_NONE, TRANSFER_CALL, TRANSFER_RETURN };

static enum transfer transfer_of(const uint8_t code[CODE_BYTES])
{
    size_t at = 0;
    while (at < CODE_BYTES - 2 && (code[at] == 0x66 || code[at] == 0x3e || code[at] == 0xf2 ||
                                   code[at] == 0xf3 || (code[at] & 0xf0) == 0x40))
        at++;
    if (code[at] == 0xe8 || (code[at] == 0xff && (code[at + 1] >> 3 & 7) == 2))
        return TRANSFER_CALL;
    return code[at] == 0xc3 || code[at] == 0xc2 ? TRANSFER_RETURN : TRANSFER_NONE;
}

/* A return from sp; `target`: the word there. */
static void account_return(const struct user_regs_struct *before, uint64_t target)
{
    struct call *call = innermost(before);
    if (!call)
        return;
    if (call->slot == before->rsp || target == call->value)
        calls.count--;
    else if (call->slot < before->rsp)
        calls.count = 0; /* lost */
    /* Else it was a jump by way of the stack, and the function's own return address stays. */
}

static void account(const struct user_regs_struct *before, const uint8_t code[CODE_BYTES],
                    const struct user_regs_struct *after)
{
    enum transfer transfer = transfer_of(code);
    uint64_t word;
    switch (transfer) {
    case TRANSFER_CALL:
        word = word_at(after->rsp);
        if (after->rsp == before->rsp - 8 && word - before->rip <= CODE_BYTES)
            vec_append(&calls, ((struct call){after->rsp, word, before->rbp}));
        break;
    case TRANSFER_RETURN:
        account_return(before, word_at(before->rsp));
        break;
    case TRANSFER_NONE:
        break;
    }
}

/* One instruction; signals are passed on. False once the process has ended. */
static bool step(void)
{
    static int signal_number;
    int status;
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(intptr_t)signal_number) < 0)
        fail("PTRACE_SINGLESTEP", strerror(errno));
    if (waitpid(pid, &status, __WALL) < 0 || !WIFSTOPPED(status))
        return false;
    int stopped_by = WSTOPSIG(status);
    signal_number = stopped_by == SIGTRAP || status >> 16 ? 0 : stopped_by;
    return true;
}

static bool stop(void)
{
    int status;
    return ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && waitpid(pid, &status, __WALL) == pid &&
           WIFSTOPPED(status);
}

/* To other code; what was called meanwhile is not known. */
static bool skip_ahead(void)
{
    static const struct timespec pause = {.tv_nsec = 10000000};
    calls.count = 0;
    if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0)
        return false;
    nanosleep(&pause, NULL);
    return stop();
}

static size_t run_steps(void)
{
    struct user_regs_struct before, after;
    uint8_t code[CODE_BYTES];
    size_t steps = 0, native = 0;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &before) < 0)
        fail("PTRACE_GETREGS", strerror(errno));
    for (; steps < steps_wanted; steps++) {
        if (steps % STRETCH == 0) {
            read_maps();
            read_perf_map();
        }
        bool readable = read_memory(before.rip, code, sizeof code);
        native = readable && compare_here(&before, code) ? 0 : native + 1;
        if (native == NATIVE_STEPS || steps % STRETCH == STRETCH - 1) {
            native = 0;
            if (!skip_ahead() || ptrace(PTRACE_GETREGS, pid, NULL, &before) < 0)
                break;
            continue;
        }
        if (!step() || ptrace(PTRACE_GETREGS, pid, NULL, &after) < 0)
            break;
        if (readable)
            account(&before, code, &after);
        before = after;
    }
    return steps;
}

static void attach(char **command)
{
    struct error err;
    struct launch launch;
    if (launch_prepare(command, &launch, &err))
        fail("launch", err.text);
    pid = launch.pid;
    if (launch_go(&launch, &err))
        fail("launch", err.text);
    struct timespec pause = {(time_t)warm_up_s, (long)((warm_up_s - (time_t)warm_up_s) * 1e9)};
    nanosleep(&pause, NULL);
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 && errno == EPERM)
        skip("ptrace is not permitted");
    if (!stop())
        fail("attach", "the command has ended before it was attached to");
}

static size_t report(void)
{
    static const char *const names[] = {"builtins", "bytecode handlers", "compiled code"};
    size_t wrong = 0;
    for (int group = 0; group < GROUPS; group++) {
        const struct tally *tally = &tallies[group];
        const size_t *verdicts = tally->verdicts;
        double all = (double)(verdicts[0] + verdicts[1] + verdicts[2]);
        wrong += verdicts[VERDICT_WRONG];
        if (all <= 0)
            continue;
        printf(
            "%s: %.0f compared: %.3f %% right, %.3f %% unknown, %zu wrong "
            "(framed %zu, bare %zu, held %zu, buried %zu); by fp alone %.3f %% right, of the unknown %zu\n",
            names[group], all, 100 * (double)verdicts[VERDICT_RIGHT] / all,
            100 * (double)verdicts[VERDICT_UNKNOWN] / all, verdicts[VERDICT_WRONG],
            tally->kinds[LEAF_FRAMED], tally->kinds[LEAF_BARE], tally->kinds[LEAF_HELD],
            tally->kinds[LEAF_BURIED], 100 * (double)tally->fp_right / all,
            tally->fp_right_of_unknown);
    }
    return wrong;
}

static int compare_unknown(const void *left, const void *right)
{
    size_t a = (*(struct function *const *)left)->unknown;
    size_t b = (*(struct function *const *)right)->unknown;
    return (a < b) - (a > b);
}

static void list_unknown(void)
{
    vec(struct function *) all = {0};
    for (size_t i = 0; i < TABLE; i++)
        if (builtins[i])
            vec_append(&all, builtins[i]);
    for (size_t i = 0; i < compiled.count; i++)
        vec_append(&all, &compiled.items[i]);
    qsort(all.items, all.count, sizeof *all.items, compare_unknown);
    for (size_t i = 0; i < all.count && i < LISTED && all.items[i]->unknown; i++)
        printf("%8zu unknown in %s\n", all.items[i]->unknown, all.items[i]->name);
    vec_release(&all);
}

static void release(void)
{
    for (size_t i = 0; i < TABLE; i++) {
        if (!builtins[i])
            continue;
        frame_states_free(builtins[i]->states);
        free(builtins[i]->name);
        free(builtins[i]);
    }
    for (size_t i = 0; i < compiled.count; i++) {
        drop_states(&compiled.items[i]);
        free(compiled.items[i].name);
    }
    vec_release(&compiled);
    vec_release(&calls);
    symbols_free(symbols);
    elf_file_free(executable);
}

int main(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "+n:vw:")) != -1;) {
        if (option == 'n')
            steps_wanted = (size_t)atol(optarg);
        else if (option == 'w')
            warm_up_s = atof(optarg);
        else if (option == 'v')
            verbose = true;
        else
            return 2;
    }
    if (optind >= argc)
        fail("usage", "-- COMMAND is missing");
    setvbuf(stdout, NULL, _IOLBF, 0);
    attach(argv + optind);
    open_executable();
    size_t steps = run_steps();
    kill(pid, SIGKILL);
    waitpid(pid, NULL, __WALL);
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", pid);
    unlink(path);
    printf("%zu steps; %zu in functions that were called before the first\n", steps, unsure);
    size_t wrong = report();
    if (verbose)
        list_unknown();
    bool compared = tallies[GROUP_BUILTIN].verdicts[VERDICT_RIGHT];
    release();
    if (!compared)
        fail("steps", "none of them was in a builtin");
    return wrong ? 1 : 0;
}
#endif
