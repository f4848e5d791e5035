/*
 * The program captures itself: registers by getcontext or from a signal's frame, the stack by
 * copying. The truth is what each function on the way notes of its own return address, and
 * libgcc's backtrace(), which walks live memory by its own reader of .eh_frame.
 */
#include "symbolize/modules.h"
#include "symbolize/unwind.h"
#include "tests/unit/unit.h"

#include <execinfo.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { COPY_BYTES = 256 << 10, DEPTH_MAX = 400 };

static struct capture {
    struct registers registers;
    uint8_t stack[COPY_BYTES];
    size_t size;
    void *backtrace[DEPTH_MAX];
    int backtrace_count;
} capture;

static void *shadow[DEPTH_MAX]; /* return addresses, outermost first */
static size_t shadow_count;
static volatile int sink;

static struct modules *modules;
static struct space space;
static struct unwinder *unwinder;
static struct unwound_frame frames[LIMIT_STACK_FRAMES];
static size_t count;

static void set_up(void)
{
    struct error err;
    modules = modules_new();
    space_init(&space, modules, getpid());
    ck_assert_int_eq(space_read(&space, modules, &err), 0);
    unwinder = unwinder_new(arch_host());
    void *warm_up[4];
    backtrace(warm_up, 4); /* loads libgcc_s, which maps code */
    space_clear(&space, modules);
    ck_assert_int_eq(space_read(&space, modules, &err), 0);
}

static void tear_down(void)
{
    unwinder_free(unwinder);
    space_release(&space);
    modules_free(modules);
}

static void registers_of(const ucontext_t *context, struct registers *ret)
{
    memset(ret, 0, sizeof *ret);
#if defined __x86_64__
    static const int8_t order[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                   REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15};
    for (size_t i = 0; i < sizeof order; i++)
        ret->value[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
    ret->known = 0xffff;
    ret->pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#else
    for (size_t i = 0; i < 31; i++)
        ret->value[i] = context->uc_mcontext.regs[i];
    ret->value[31] = context->uc_mcontext.sp;
    ret->known = 0xffffffff;
    ret->pc = context->uc_mcontext.pc;
#endif
}

/* The end of the mapping that holds an address. */
static uint64_t mapping_end(uint64_t address)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4096];
    uint64_t start, end, found = 0;
    while (!found && maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 && start <= address &&
            address < end)
            found = end;
    fclose(maps);
    return found;
}

/* The sanitizers' redzones are read on purpose. */
__attribute__((no_sanitize("address"), noinline)) static void copy_stack(uint64_t sp)
{
    uint64_t end = mapping_end(sp);
    capture.size = end - sp < COPY_BYTES ? end - sp : COPY_BYTES;
    const volatile uint8_t *from = (const volatile uint8_t *)sp;
    for (size_t i = 0; i < capture.size; i++)
        capture.stack[i] = from[i];
}

__attribute__((noinline)) static int capture_here(void)
{
    ucontext_t context;
    getcontext(&context);
    registers_of(&context, &capture.registers);
    capture.backtrace_count = backtrace(capture.backtrace, DEPTH_MAX);
    copy_stack(capture.registers.value[arch_host()->sp]);
    shadow[shadow_count++] = __builtin_return_address(0);
    return ++sink;
}

static enum unwind_end unwind(uint32_t tid, size_t bytes)
{
    struct stack_copy copy = {capture.stack, bytes < capture.size ? bytes : capture.size,
                              bytes < capture.size};
    memset(frames, 0xa5, sizeof frames);
    count = 0;
    return unwinder_run(unwinder, &space, tid, &capture.registers, &copy, frames, &count);
}

/* frames[first…] are the callers that the functions noted themselves. */
static void check_shadow(size_t first)
{
    ck_assert_uint_ge(count, first + shadow_count);
    for (size_t i = 0; i < shadow_count; i++)
        ck_assert_uint_eq(frames[first + i].pc + 1, (uint64_t)shadow[shadow_count - 1 - i]);
}

/* From capture_here's caller on, frames[first…] are backtrace()'s, to the last one. */
static void check_backtrace(size_t first)
{
    int from = 0;
    while (from < capture.backtrace_count && capture.backtrace[from] != shadow[shadow_count - 1])
        from++;
    ck_assert_int_lt(from, capture.backtrace_count);
    ck_assert_uint_eq(count - first, (size_t)(capture.backtrace_count - from));
    for (size_t i = first; i < count; i++) {
        uint64_t truth = (uint64_t)capture.backtrace[(size_t)from + i - first];
        ck_assert_msg(frames[i].pc + 1 == truth || frames[i].pc == truth,
                      "frame %zu: %#" PRIx64 ", backtrace has %#" PRIx64, i, frames[i].pc, truth);
    }
}

static void check_invariants(void)
{
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(count, LIMIT_STACK_FRAMES);
    for (size_t i = 1; i < count; i++) {
        if (!frames[i].pc && !frames[i].segment)
            continue; /* a call to NULL that a signal interrupted */
        ck_assert_ptr_nonnull(frames[i].segment);
        ck_assert_uint_ge(frames[i].pc, frames[i].segment->start);
        ck_assert_uint_lt(frames[i].pc, frames[i].segment->end);
    }
}

__attribute__((noinline)) static int descend(int depth, int (*leaf)(void))
{
    volatile char room[200];
    size_t at = shadow_count;
    shadow[shadow_count++] = __builtin_return_address(0);
    room[0] = (char)depth;
    int result = depth ? descend(depth - 1, leaf) : leaf();
    shadow[at] = __builtin_return_address(0);
    return result + room[0];
}

/* alloca and alignment make the compiler address its frame in other ways. */
__attribute__((noinline)) static int descend_aligned(int depth, int (*leaf)(void))
{
    _Alignas(64) volatile char room[128];
    volatile char *dynamic = __builtin_alloca((size_t)depth * 24 + 16);
    shadow[shadow_count++] = __builtin_return_address(0);
    dynamic[0] = room[0] = (char)depth;
    int result = depth ? descend_aligned(depth - 1, leaf) : leaf();
    return result + room[0] + dynamic[0];
}

START_TEST(known_depths)
{
    set_up();
    for (int depth = 0; depth < 60; depth += 7) {
        shadow_count = 0;
        descend(depth, capture_here);
        ck_assert_int_eq(unwind(0, COPY_BYTES), UNWIND_COMPLETE);
        ck_assert_uint_eq(frames[0].pc, capture.registers.pc);
        ck_assert_uint_eq(shadow_count, (size_t)depth + 2);
        check_shadow(1);
        check_backtrace(1);
        check_invariants();
        for (size_t i = 1; i < count; i++)
            ck_assert_uint_gt(frames[i].sp, frames[i - 1].sp);
    }
    tear_down();
}
END_TEST

START_TEST(realigned_frames_and_alloca)
{
    set_up();
    shadow_count = 0;
    descend_aligned(20, capture_here);
    ck_assert_int_eq(unwind(0, COPY_BYTES), UNWIND_COMPLETE);
    ck_assert_uint_eq(shadow_count, 22);
    check_shadow(1);
    check_backtrace(1);
    tear_down();
}
END_TEST

static int compare_captures(const void *a, const void *b)
{
    if (!shadow_count)
        capture_here();
    return *(const int *)a - *(const int *)b;
}

START_TEST(through_libc)
{
    set_up();
    int numbers[] = {3, 1, 2};
    shadow_count = 0;
    qsort(numbers, 3, sizeof *numbers, compare_captures);
    ck_assert_int_eq(unwind(0, COPY_BYTES), UNWIND_COMPLETE);
    check_shadow(1);
    check_backtrace(1);
    tear_down();
}
END_TEST

START_TEST(the_deepest_stack_keeps_the_innermost_frames)
{
    set_up();
    shadow_count = 0;
    descend(DEPTH_MAX - 10, capture_here);
    enum unwind_end end = unwind(0, COPY_BYTES);
    ck_assert_int_eq(end, UNWIND_COMPLETE);
    check_shadow(1);
    /* The same frames over and over, past the bound: a loop of frame records. */
    struct registers registers = {.pc = 0x10005};
    uint64_t fp = 0x7000;
    static uint8_t records[20000];
    for (size_t i = 0; i + 16 <= sizeof records; i += 16) {
        uint64_t words[2] = {fp + i + 16, 0x10005};
        memcpy(records + i, words, sizeof words);
    }
    static const char maps[] = "10000-11000 r-xp 00000000 00:00 0 \n";
    struct space anonymous;
    space_init(&anonymous, modules, 1);
    space_parse(&anonymous, modules, maps, sizeof maps - 1);
    registers.value[arch_host()->sp] = registers.value[arch_host()->fp] = fp;
    registers.known = (uint64_t)1 << arch_host()->sp | (uint64_t)1 << arch_host()->fp;
    struct stack_copy copy = {records, sizeof records, true};
    ck_assert_int_eq(unwinder_run(unwinder, &anonymous, 0, &registers, &copy, frames, &count),
                     UNWIND_TRUNCATED);
    ck_assert_uint_eq(count, LIMIT_STACK_FRAMES);
    space_release(&anonymous);
    tear_down();
}
END_TEST

START_TEST(a_cut_copy_is_told)
{
    set_up();
    shadow_count = 0;
    descend(40, capture_here);
    ck_assert_int_eq(unwind(0, COPY_BYTES), UNWIND_COMPLETE);
    size_t whole = count;
    static struct unwound_frame truth[LIMIT_STACK_FRAMES];
    memcpy(truth, frames, sizeof truth);
    size_t grown = 0, last = 0;
    for (size_t bytes = 0; bytes < truth[whole - 1].sp - truth[0].sp; bytes += 40) {
        ck_assert_int_eq(unwind(0, bytes), UNWIND_TRUNCATED);
        ck_assert_uint_lt(count, whole);
        ck_assert_uint_ge(count, last);
        grown += count > last;
        last = count;
        for (size_t i = 0; i < count; i++)
            ck_assert_mem_eq(&frames[i], &truth[i], sizeof *frames);
    }
    ck_assert_uint_gt(grown, 30);
    tear_down();
}
END_TEST

START_TEST(a_copy_that_ends_below_the_stack_without_being_cut_is_broken)
{
    set_up();
    shadow_count = 0;
    descend(5, capture_here);
    struct stack_copy copy = {capture.stack, 600, false};
    ck_assert_int_eq(unwinder_run(unwinder, &space, 0, &capture.registers, &copy, frames, &count),
                     UNWIND_BROKEN);
    tear_down();
}
END_TEST

static struct capture second;

START_TEST(stitching)
{
    set_up();
    enum { TID = 77 };
    shadow_count = 0;
    descend(40, capture_here);
    ck_assert_int_eq(unwind(TID, 1000), UNWIND_TRUNCATED); /* nothing remembered yet */
    ck_assert_int_eq(unwind(TID, COPY_BYTES), UNWIND_COMPLETE);
    static struct unwound_frame truth[LIMIT_STACK_FRAMES];
    size_t whole = count;
    memcpy(truth, frames, sizeof truth);
    ck_assert_int_eq(unwind(TID, 1500), UNWIND_STITCHED);
    ck_assert_uint_eq(count, whole);
    ck_assert_mem_eq(frames, truth, whole * sizeof *frames);
    ck_assert_int_eq(unwind(TID + 1, 1500), UNWIND_TRUNCATED); /* another thread */
    unwinder_forget(unwinder, TID);
    ck_assert_int_eq(unwind(TID, 1500), UNWIND_TRUNCATED);

    /* A stack that went elsewhere at the same depth: its cut copy fits to nothing. */
    ck_assert_int_eq(unwind(TID, COPY_BYTES), UNWIND_COMPLETE);
    memcpy(&second, &capture, sizeof second);
    shadow_count = 0;
    descend_aligned(30, capture_here);
    ck_assert_int_eq(unwind(TID, 1500), UNWIND_TRUNCATED);
    check_invariants();

    /* Mappings move in the array when one is added: segments must be the new ones. */
    memcpy(&capture, &second, sizeof capture);
    space_map(&space, modules, &(struct mapping){.start = 0x1000, .size = 0x1000, .path = ""});
    ck_assert_int_eq(unwind(TID, 1500), UNWIND_STITCHED);
    ck_assert_uint_eq(count, whole);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(frames[i].pc, truth[i].pc);
        ck_assert_ptr_eq(frames[i].segment, space_find(&space, frames[i].pc));
    }
    tear_down();
}
END_TEST

START_TEST(many_threads_come_and_go)
{
    set_up();
    shadow_count = 0;
    descend(20, capture_here);
    for (uint32_t tid = 1; tid <= 3000; tid++) {
        ck_assert_int_eq(unwind(tid, COPY_BYTES), UNWIND_COMPLETE);
        if (tid > 300)
            unwinder_forget(unwinder, tid - 300);
    }
    for (uint32_t tid = 1; tid <= 3000; tid++)
        ck_assert_int_eq(unwind(tid, 1500), tid > 2700 ? UNWIND_STITCHED : UNWIND_TRUNCATED);
    tear_down();
}
END_TEST

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    shadow_count = 0;
    capture_here();
    ucontext_t *interrupted = context;
#if defined __x86_64__
    interrupted->uc_mcontext.gregs[REG_RIP] += 2; /* over ud2 */
#else
    interrupted->uc_mcontext.pc += 4;
#endif
}

/* Faults at its first byte: one byte earlier another function ends. */
__asm__(".pushsection .text\n"
        ".type before_trap, %function\n"
        "before_trap:\n"
        ".cfi_startproc\n"
#if defined __x86_64__
        ".cfi_def_cfa rax, 64\n"
        "nop\n"
        ".cfi_endproc\n"
        ".globl trap_at_once\n"
        ".type trap_at_once, %function\n"
        "trap_at_once:\n"
        ".cfi_startproc\n"
        "ud2\n"
        "ret\n"
        ".cfi_endproc\n"
        ".globl restorer_without_cfi\n"
        ".type restorer_without_cfi, %function\n"
        ".p2align 4\n"
        "restorer_without_cfi:\n"
        "mov $15, %rax\n"
        "syscall\n"
        ".p2align 4\n"
        "nop\n"
#else
        "nop\n"
        ".cfi_endproc\n"
        ".globl trap_at_once\n"
        ".type trap_at_once, %function\n"
        "trap_at_once:\n"
        ".cfi_startproc\n"
        "udf #0\n"
        "ret\n"
        ".cfi_endproc\n"
#endif
        ".popsection\n");
int trap_at_once(void);

__attribute__((noinline)) static int call_trap(void)
{
    shadow_count = 0;
    return trap_at_once() + ++sink;
}

static size_t find_frame(uint64_t pc)
{
    size_t i = 0;
    while (i < count && frames[i].pc != pc)
        i++;
    return i;
}

static void check_signal_stack(void)
{
    size_t at = find_frame((uint64_t)(uintptr_t)trap_at_once);
    ck_assert_uint_lt(at + 2, count);
    ck_assert_uint_ge(at, 3); /* capture_here, on_signal, the restorer */
    ck_assert_uint_gt(frames[at + 1].pc, (uint64_t)(uintptr_t)call_trap);
    ck_assert_uint_lt(frames[at + 1].pc, (uint64_t)(uintptr_t)call_trap + 200);
    check_invariants();
}

START_TEST(a_signal_handler)
{
    set_up();
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO}, old;
    sigaction(SIGILL, &action, &old);
    call_trap();
    sigaction(SIGILL, &old, NULL);
    ck_assert_int_eq(unwind(0, COPY_BYTES), UNWIND_COMPLETE);
    check_signal_stack();
    check_backtrace(1);
    tear_down();
}
END_TEST

START_TEST(a_signal_on_its_own_stack)
{
    set_up();
    enum { ALT_BYTES = 64 << 10 };
    uint8_t *memory =
        mmap(NULL, ALT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    stack_t alternate = {.ss_sp = memory, .ss_size = ALT_BYTES}, old_stack;
    ck_assert_int_eq(sigaltstack(&alternate, &old_stack), 0);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
    sigaction(SIGILL, &action, &old);
    call_trap();
    sigaction(SIGILL, &old, NULL);
    sigaltstack(&old_stack, NULL);
    /* Only the alternate stack: what may lie behind it in memory is not in perf's copy. */
    size_t bytes =
        (size_t)((uint64_t)memory + ALT_BYTES - capture.registers.value[arch_host()->sp]);
    struct stack_copy copy = {capture.stack, bytes, false};
    ck_assert_int_eq(unwinder_run(unwinder, &space, 0, &capture.registers, &copy, frames, &count),
                     UNWIND_TRUNCATED);
    size_t at = find_frame((uint64_t)(uintptr_t)trap_at_once);
    ck_assert_uint_eq(at, count - 1); /* the interrupted function is the last that is known */
    munmap(memory, ALT_BYTES);
    tear_down();
}
END_TEST

#if defined __x86_64__
void restorer_without_cfi(void);

START_TEST(a_restorer_without_cfi)
{
    set_up();
    struct {
        void (*handler)(int, siginfo_t *, void *);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action = {on_signal, SA_SIGINFO | 0x04000000 /* SA_RESTORER */, restorer_without_cfi, 0};
    struct sigaction old;
    sigaction(SIGILL, NULL, &old);
    ck_assert_int_eq(syscall(SYS_rt_sigaction, SIGILL, &action, NULL, 8), 0);
    call_trap();
    sigaction(SIGILL, &old, NULL);
    ck_assert_int_eq(unwind(0, COPY_BYTES), UNWIND_COMPLETE);
    check_signal_stack();
    size_t at = find_frame((uint64_t)(uintptr_t)restorer_without_cfi);
    ck_assert_uint_eq(at, 2); /* behind capture_here and on_signal */
    /* A tick inside rt_sigreturn: the pc is behind the system call, sp at the ucontext. */
    uint64_t skipped = frames[at].sp - frames[0].sp;
    size_t rest = count - at - 1;
    uint64_t next = frames[at + 1].pc;
    capture.registers.pc = (uint64_t)(uintptr_t)restorer_without_cfi + 9;
    capture.registers.value[7] = frames[at].sp;
    capture.registers.known = 0xffff;
    struct stack_copy copy = {capture.stack + skipped, capture.size - skipped, false};
    ck_assert_int_eq(unwinder_run(unwinder, &space, 0, &capture.registers, &copy, frames, &count),
                     UNWIND_COMPLETE);
    ck_assert_uint_eq(frames[1].pc, next);
    ck_assert_uint_eq(count, rest + 1);
    tear_down();
}
END_TEST
#endif

static sigjmp_buf after_fault;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    registers_of(context, &capture.registers);
    copy_stack(capture.registers.value[arch_host()->sp]);
    siglongjmp(after_fault, 1);
}

__attribute__((noinline)) static int call_null(void)
{
    int (*volatile nowhere)(void) = NULL;
    shadow_count = 0;
    shadow[shadow_count++] = __builtin_return_address(0);
    return nowhere() + ++sink;
}

START_TEST(a_call_to_null)
{
    set_up();
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
    sigaction(SIGSEGV, &action, &old);
    if (!sigsetjmp(after_fault, 1))
        call_null();
    sigaction(SIGSEGV, &old, NULL);
    ck_assert_int_eq(unwind(0, COPY_BYTES), UNWIND_COMPLETE);
    ck_assert_uint_eq(frames[0].pc, 0);
    ck_assert_ptr_null(frames[0].segment);
    ck_assert_uint_gt(frames[1].pc, (uint64_t)(uintptr_t)call_null);
    ck_assert_uint_lt(frames[1].pc, (uint64_t)(uintptr_t)call_null + 200);
    check_shadow(2);
    check_invariants();
    tear_down();
}
END_TEST

START_TEST(a_pc_in_no_mapping_is_broken)
{
    set_up();
    shadow_count = 0;
    descend(3, capture_here);
    capture.registers.pc = 0x123456;
    ck_assert_int_eq(unwind(5, COPY_BYTES), UNWIND_BROKEN);
    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_null(frames[0].segment);
    ck_assert_uint_eq(frames[0].pc, 0x123456);
    tear_down();
}
END_TEST

START_TEST(code_without_cfi_walks_by_frame_pointer)
{
    set_up();
    /* JIT frames at 0x10000 over a record that is no call, a record that is misaligned, … */
    static const char maps[] = "10000-11000 rwxp 00000000 00:00 0 \n";
    struct space jit;
    uint8_t arch_sp = arch_host()->sp, arch_fp = arch_host()->fp;
    uint64_t stack[16] = {0};
    struct registers registers = {.pc = 0x10100};
    struct stack_copy copy = {(const uint8_t *)stack, sizeof stack, false};
    space_init(&jit, modules, 2);
    space_parse(&jit, modules, maps, sizeof maps - 1);
    registers.known = (uint64_t)1 << arch_sp | (uint64_t)1 << arch_fp;
    registers.value[arch_sp] = 0x7000;
    registers.value[arch_fp] = 0x7010;
    stack[2] = 0x7030; /* at 0x7010 */
    stack[3] = 0x10200;
    stack[6] = 0; /* at 0x7030: the outermost record */
    stack[7] = 0x10300;
    ck_assert_int_eq(unwinder_run(unwinder, &jit, 0, &registers, &copy, frames, &count),
                     UNWIND_COMPLETE);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(frames[1].pc, 0x101ff);
    ck_assert_uint_eq(frames[2].pc, 0x102ff);
    ck_assert_uint_eq(frames[1].sp, 0x7020);

    stack[3] = 0x999999; /* a return address outside code */
    ck_assert_int_eq(unwinder_run(unwinder, &jit, 0, &registers, &copy, frames, &count),
                     UNWIND_BROKEN);
    ck_assert_uint_eq(count, 1);
    stack[3] = 0x10200;
    stack[2] = 0x7008; /* a record below its callee's */
    ck_assert_int_eq(unwinder_run(unwinder, &jit, 0, &registers, &copy, frames, &count),
                     UNWIND_BROKEN);
    ck_assert_uint_eq(count, 2);
    stack[2] = 0x7031; /* misaligned */
    ck_assert_int_eq(unwinder_run(unwinder, &jit, 0, &registers, &copy, frames, &count),
                     UNWIND_BROKEN);
    ck_assert_uint_eq(count, 2);
    stack[2] = 0x9000; /* beyond a copy that is not cut */
    ck_assert_int_eq(unwinder_run(unwinder, &jit, 0, &registers, &copy, frames, &count),
                     UNWIND_BROKEN);
    copy.cut = true;
    ck_assert_int_eq(unwinder_run(unwinder, &jit, 0, &registers, &copy, frames, &count),
                     UNWIND_TRUNCATED);
    ck_assert_uint_eq(count, 2);
    space_release(&jit);
    tear_down();
}
END_TEST

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static uint64_t random_pc(void)
{
    const struct segment *segment = &space.segments.items[random_next() % space.segments.count];
    return segment->start + random_next() % (segment->end - segment->start);
}

/* Words that look like what an attacker would put there: code, the stack, small numbers. */
static uint64_t random_word(uint64_t base, size_t size)
{
    switch (random_next() % 5) {
    case 0:
        return random_next();
    case 1:
        return base + random_next() % size / 8 * 8;
    case 2:
        return random_next() % 64;
    default:
        return random_pc();
    }
}

START_TEST(hostile_stacks)
{
    set_up();
    enum { ROUNDS = 100000, WORDS = 512 };
    size_t ends[4] = {0}, deep = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t base = random_next() % 3 ? 0x7ffd00000000 + random_next() % 4096
                                          : UINT64_MAX - random_next() % 5000;
        size_t words = random_next() % WORDS + 1, size = words * 8 - random_next() % 8;
        /* Exactly sized, so that AddressSanitizer sees each byte too far. */
        uint8_t *stack = malloc(size);
        struct registers registers = {.known = UINT64_MAX, .pc = random_pc()};
        for (size_t i = 0; i + 8 <= size; i += 8)
            memcpy(stack + i, &(uint64_t){random_word(base, size)}, 8);
        for (size_t i = 0; i < ARCH_REGISTERS; i++)
            registers.value[i] = random_word(base, size);
        registers.value[arch_host()->sp] = base;
        struct stack_copy copy = {stack, size, random_next() & 1};
        enum unwind_end end =
            unwinder_run(unwinder, &space, random_next() % 3, &registers, &copy, frames, &count);
        check_invariants();
        ends[end]++;
        deep += count > 3;
        free(stack);
    }
    ck_assert_uint_gt(ends[UNWIND_BROKEN], 0);
    ck_assert_uint_gt(ends[UNWIND_TRUNCATED], 0);
    ck_assert_uint_gt(deep, 1000);
    tear_down();
}
END_TEST

#if defined __x86_64__
#define NATIVE_TESTS a_restorer_without_cfi,
#else
#define NATIVE_TESTS
#endif

UNIT_MAIN("unwind", NATIVE_TESTS known_depths, realigned_frames_and_alloca, through_libc,
          the_deepest_stack_keeps_the_innermost_frames, a_cut_copy_is_told,
          a_copy_that_ends_below_the_stack_without_being_cut_is_broken, stitching,
          many_threads_come_and_go, a_signal_handler, a_signal_on_its_own_stack, a_call_to_null,
          a_pc_in_no_mapping_is_broken, code_without_cfi_walks_by_frame_pointer, hostile_stacks)
