/*
 * sleeping.c - /proc/PID/task/TID/syscall before and after the copy: when both say the same, and
 * the thread was not scheduled in between (its count of switches), the copy is of one moment.
 *
 * Why not a ptrace stop, which would know all registers: it ends some system calls (epoll_wait
 * and its kin return EINTR to the program), and it makes each sleeper run.
 */
#include "core/sleeping.h"

#include "core/alloc.h"

#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>

#if defined(__x86_64__)
#include <asm/perf_regs.h>
enum { REGISTER_SP = PERF_REG_X86_SP, REGISTER_PC = PERF_REG_X86_IP };
#elif defined(__aarch64__)
#include <asm/perf_regs.h>
enum { REGISTER_SP = PERF_REG_ARM64_SP, REGISTER_PC = PERF_REG_ARM64_PC };
#endif

enum { PAGE_BYTES = 4096 };

struct place {
    uint64_t sp, pc;
    uint64_t switches;
};

void sleeping_stack_release(struct sleeping_stack *stack)
{
    free(stack->stack);
    stack->stack = NULL;
}

static FILE *open_task(pid_t pid, pid_t tid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, tid, name);
    return fopen(path, "re");
}

/* How often the thread left a CPU, of its own will or not. */
static bool read_switches(pid_t pid, pid_t tid, uint64_t *ret_switches)
{
    _cleanup_fclose_ FILE *file = open_task(pid, tid, "status");
    char line[256];
    uint64_t sum = 0, value;
    int found = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &value) == 1 ||
            sscanf(line, "nonvoluntary_ctxt_switches: %" SCNu64, &value) == 1) {
            sum += value;
            found++;
        }
    *ret_switches = sum;
    return found == 2;
}

/* "running", or "number arguments[6] sp pc", or "-1 sp pc" outside of system calls. */
static enum sleeping_result read_place(pid_t pid, pid_t tid, struct place *ret_place)
{
    _cleanup_fclose_ FILE *file = open_task(pid, tid, "syscall");
    char line[256];
    if (!file || !fgets(line, sizeof line, file))
        return SLEEPING_UNKNOWN;
    if (!strncmp(line, "running", 7))
        return SLEEPING_AWAKE;
    char *end = strrchr(line, ' ');
    char *before = end;
    while (before && before > line && before[-1] != ' ')
        before--;
    if (!before || before == line)
        return SLEEPING_UNKNOWN;
    ret_place->pc = strtoull(end + 1, NULL, 16);
    ret_place->sp = strtoull(before, NULL, 16);
    return read_switches(pid, tid, &ret_place->switches) ? SLEEPING_READ : SLEEPING_UNKNOWN;
}

/* In pieces of pages: the copy ends at the first one that is not there. */
static size_t read_stack(pid_t pid, uint64_t sp, uint8_t *stack, size_t size)
{
    struct iovec pieces[64], whole = {stack, size};
    size_t count = 0;
    for (uint64_t at = sp; size && count < sizeof pieces / sizeof *pieces; count++) {
        size_t piece = PAGE_BYTES - at % PAGE_BYTES;
        if (piece > size)
            piece = size;
        pieces[count] = (struct iovec){(void *)(uintptr_t)at, piece};
        at += piece;
        size -= piece;
    }
    ssize_t got = process_vm_readv(pid, &whole, 1, pieces, count, 0);
    return got > 0 ? (size_t)got & ~(size_t)7 : 0;
}

/* The place of a register in what perf would deliver: registers come in the order of the mask. */
static size_t register_index(uint64_t mask, int number)
{
    return (size_t)__builtin_popcountll(mask & (((uint64_t)1 << number) - 1));
}

enum sleeping_result sleeping_stack_read(struct sleeping_stack *stack,
                                         const struct sampler_options *options, pid_t pid,
                                         pid_t tid, struct record *ret_record)
{
    struct place before, after;
    enum sleeping_result result = read_place(pid, tid, &before);
    if (result != SLEEPING_READ)
        return result;
    if (!stack->stack)
        stack->stack = xmalloc(options->stack_bytes);
    size_t bytes = read_stack(pid, before.sp, stack->stack, options->stack_bytes);
    result = read_place(pid, tid, &after);
    if (result != SLEEPING_READ)
        return result;
    if (before.sp != after.sp || before.pc != after.pc || before.switches != after.switches)
        return SLEEPING_AWAKE;
    memset(stack->registers, 0, sizeof stack->registers);
    stack->registers[register_index(options->user_registers, REGISTER_SP)] = before.sp;
    stack->registers[register_index(options->user_registers, REGISTER_PC)] = before.pc;
    ret_record->sample.registers = stack->registers;
    ret_record->sample.stack = stack->stack;
    ret_record->sample.stack_bytes = bytes;
    ret_record->sample.stack_cut = bytes == options->stack_bytes;
    return SLEEPING_READ;
}
