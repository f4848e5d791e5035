/*
 * arm64_stacks - writes samples of its own stacks, with the truth beside them.
 *
 * Built without a libc, so that the file is a few KB of our own code; scripts in tests/data/arm64
 * build it, run it by qemu-aarch64 and store both. Each sample is a few lines of text:
 *
 *     sample NAME
 *     registers x0 … x30 sp pc      (hexadecimal, as everything)
 *     truth PC PC …                 return addresses, innermost first; an interrupted pc is
 *                                   written with a leading '='
 *     stack BYTES                   from sp to where the stack began
 */
#include <stddef.h>
#include <stdint.h>

enum { SYS_EXIT = 93, SYS_WRITE = 64, SYS_RT_SIGACTION = 134, SIGNAL_ILL = 4 };
enum { FLAG_SIGINFO = 4, FLAG_RESTORER = 0x04000000 };

#define NOINLINE __attribute__((noinline, noclone))
#define NOTE_CALLER() (truth[truth_count++] = (uint64_t)__builtin_return_address(0))

struct {
    uint64_t x[31], sp, pc;
} snapshot;

uint64_t stack_top;
uint64_t without_cfi_caller; /* 0: without_cfi does not run */
static uint64_t truth[64];   /* outermost first */
static int interrupted_at = -1;
static size_t truth_count;
static uint8_t copy[8192];
static size_t copy_size;
static volatile int sink;

void capture(void);
void restorer_with_cfi(void), restorer_without_cfi(void), trap(void);
int without_cfi(int (*leaf)(void));

__asm__(".globl _start, capture, restorer_with_cfi, restorer_without_cfi, trap, without_cfi\n"
        ".type _start, %function\n"
        "_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined x30\n"
        "mov x29, #0\n"
        "mov x30, #0\n"
        "adrp x0, stack_top\n"
        "add x0, x0, :lo12:stack_top\n"
        "mov x1, sp\n"
        "str x1, [x0]\n"
        "bl start\n"
        "udf #0\n"
        ".cfi_endproc\n"

        ".type capture, %function\n"
        "capture:\n"
        ".cfi_startproc\n"
        "adrp x16, snapshot\n"
        "add x16, x16, :lo12:snapshot\n"
        "stp x0, x1, [x16]\n"
        "stp x2, x3, [x16, #16]\n"
        "stp x4, x5, [x16, #32]\n"
        "stp x6, x7, [x16, #48]\n"
        "stp x8, x9, [x16, #64]\n"
        "stp x10, x11, [x16, #80]\n"
        "stp x12, x13, [x16, #96]\n"
        "stp x14, x15, [x16, #112]\n"
        "stp x18, x19, [x16, #144]\n"
        "stp x20, x21, [x16, #160]\n"
        "stp x22, x23, [x16, #176]\n"
        "stp x24, x25, [x16, #192]\n"
        "stp x26, x27, [x16, #208]\n"
        "stp x28, x29, [x16, #224]\n"
        "mov x17, sp\n"
        "stp x30, x17, [x16, #240]\n"
        "adr x17, .\n"
        "str x17, [x16, #256]\n"
        "ret\n"
        ".cfi_endproc\n"

        /* As the kernel's vDSO describes its own. */
        ".type restorer_with_cfi, %function\n"
        ".cfi_startproc\n"
        ".cfi_signal_frame\n"
        ".cfi_def_cfa x29, 0\n"
        ".cfi_offset x29, 0\n"
        ".cfi_offset x30, 8\n"
        "nop\n"
        "restorer_with_cfi:\n"
        "mov x8, #139\n"
        "svc #0\n"
        ".cfi_endproc\n"
        ".p2align 6\n"
        "nop\n"
        ".type restorer_without_cfi, %function\n"
        "restorer_without_cfi:\n"
        "mov x8, #139\n"
        "svc #0\n"

        ".type trap, %function\n"
        "trap:\n"
        ".cfi_startproc\n"
        "udf #0\n"
        "ret\n"
        ".cfi_endproc\n"

        ".p2align 6\n"
        ".skip 64\n"
        ".type without_cfi, %function\n"
        "without_cfi:\n"
        "adrp x1, without_cfi_caller\n"
        "str x30, [x1, :lo12:without_cfi_caller]\n"
        "stp x29, x30, [sp, #-16]!\n"
        "mov x29, sp\n"
        "blr x0\n"
        "ldp x29, x30, [sp], #16\n"
        "ret\n"
        ".skip 64\n");

static long system_call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a, x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c, x3 __asm__("x3") = d;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}

static void put_text(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    system_call(SYS_WRITE, 1, (long)text, (long)length, 0);
}

static void put_hex(uint64_t value, int digits)
{
    char text[17];
    for (int i = digits; i-- > 0; value >>= 4)
        text[i] = "0123456789abcdef"[value & 15];
    text[digits] = '\0';
    put_text(text);
}

static void put_number(uint64_t value)
{
    int digits = 1;
    while (digits < 16 && value >> 4 * digits)
        digits++;
    put_text(" ");
    put_hex(value, digits);
}

/* Where capture's caller continues is noted by the snapshot's own x30. */
NOINLINE static int capture_stack(void)
{
    if (without_cfi_caller)
        truth[truth_count++] = without_cfi_caller;
    without_cfi_caller = 0;
    NOTE_CALLER();
    capture();
    truth[truth_count++] = snapshot.x[30];
    copy_size = stack_top - snapshot.sp;
    for (size_t i = 0; i < copy_size && i < sizeof copy; i++)
        copy[i] = ((const volatile uint8_t *)snapshot.sp)[i];
    return ++sink;
}

static void write_sample(const char *name)
{
    put_text("sample ");
    put_text(name);
    put_text("\nregisters");
    for (int i = 0; i < 31; i++)
        put_number(snapshot.x[i]);
    put_number(snapshot.sp);
    put_number(snapshot.pc);
    put_text("\ntruth");
    for (size_t i = truth_count; i-- > 0;) {
        put_text((int)i == interrupted_at ? " =" : " ");
        put_hex(truth[i], 8);
    }
    put_text("\nstack ");
    for (size_t i = 0; i < copy_size && i < sizeof copy; i++)
        put_hex(copy[i], 2);
    put_text("\n");
    truth_count = 1; /* start's caller stays */
    interrupted_at = -1;
}

NOINLINE static int recurse(int depth, int (*leaf)(void))
{
    NOTE_CALLER();
    int result = depth ? recurse(depth - 1, leaf) : leaf();
    return result + depth;
}

/* So many live values that all callee-saved registers are used and saved. */
NOINLINE static int pressed(const volatile int *from, int (*leaf)(void))
{
    NOTE_CALLER();
    int a = from[0], b = from[1], c = from[2], d = from[3], e = from[4], f = from[5], g = from[6],
        h = from[7], i = from[8], j = from[9], k = from[10], l = from[11];
    int result = leaf();
    return result + a * b + c * d + e * f + g * h + i * j + k * l;
}

static const volatile int numbers[12];

NOINLINE static int pressed_leaf(void)
{
    NOTE_CALLER();
    return pressed(numbers, capture_stack) + ++sink;
}

NOINLINE static int dynamic(int size, int (*leaf)(void))
{
    NOTE_CALLER();
    volatile char *room = __builtin_alloca((size_t)size);
    room[0] = 1;
    return leaf() + room[0];
}

NOINLINE static int dynamic_leaf(void)
{
    NOTE_CALLER();
    return dynamic(200, pressed_leaf) + ++sink;
}

__attribute__((target("branch-protection=pac-ret+leaf"))) NOINLINE static int
signed_address(int depth, int (*leaf)(void))
{
    NOTE_CALLER();
    int result = depth ? signed_address(depth - 1, leaf) : leaf();
    return result + depth;
}

__attribute__((optimize("no-omit-frame-pointer"))) NOINLINE static int
with_frame_pointer(int (*leaf)(void))
{
    NOTE_CALLER();
    return without_cfi(leaf) + ++sink;
}

NOINLINE static int without_frame_pointer(int (*leaf)(void))
{
    NOTE_CALLER();
    return without_cfi(leaf) + ++sink;
}

/* The interrupted pc is trap's first instruction; what follows is written by its callers. */
static void on_signal(int number, void *info, uint8_t *context)
{
    (void)number;
    (void)info;
    uint64_t *x = (uint64_t *)(context + 176 + 8), *pc = x + 32;
    truth[truth_count++] = x[30];
    interrupted_at = (int)truth_count;
    truth[truth_count++] = *pc;
    NOTE_CALLER();
    capture_stack();
    *pc += 4;
}

NOINLINE static int call_trap(void)
{
    NOTE_CALLER();
    trap();
    return ++sink;
}

static void handle_trap(void (*restorer)(void))
{
    struct {
        void (*handler)(int, void *, uint8_t *);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action = {on_signal, FLAG_SIGINFO | FLAG_RESTORER, restorer, 0};
    system_call(SYS_RT_SIGACTION, SIGNAL_ILL, (long)&action, 0, 8);
}

void start(void);

void start(void)
{
    NOTE_CALLER();
    recurse(0, capture_stack);
    write_sample("shallow");
    recurse(20, capture_stack);
    write_sample("recursion");
    recurse(3, pressed_leaf);
    write_sample("saved-registers");
    recurse(2, dynamic_leaf);
    write_sample("alloca");
    signed_address(5, capture_stack);
    write_sample("signed-addresses");
    with_frame_pointer(capture_stack);
    write_sample("frame-record-without-cfi");
    without_frame_pointer(capture_stack);
    write_sample("unconfirmed-sp");
    handle_trap(restorer_with_cfi);
    recurse(2, call_trap);
    write_sample("signal");
    handle_trap(restorer_without_cfi);
    recurse(2, call_trap);
    write_sample("signal-without-cfi");
    system_call(SYS_EXIT, 0, 0, 0, 0);
    __builtin_unreachable();
}
