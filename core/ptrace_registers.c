/*
 * ptrace_registers.c - x86-64 and arm64 by PTRACE_GETREGSET.
 *
 * Interrupted calls: a call that a stop interrupts comes back with one of the kernel's own
 * -ERESTART codes, and the kernel restarts it by itself once the thread goes on. Some calls
 * return a plain -EINTR instead (signal(7): epoll_wait and others are "never restarted"), which
 * the program would see although no signal was sent. They have transferred nothing, so to begin
 * them again is the same as if they had been entered a little later. The exception is close,
 * whose descriptor is gone after EINTR: hence a list, and not any call.
 *
 * Why not when a handler's signal is pending: a program may count on epoll_wait to return for
 * it. One that comes after the look at the pending ones finds the call not yet begun again,
 * as if it had come just before the call; against that a program must be safe anyway.
 *
 * On arm64 x0 holds both the first argument and the result, and the kernel keeps the argument
 * where ptrace can't read it; /proc/PID/task/TID/syscall shows it if the number of the call is
 * put back for a moment.
 */
#include "core/ptrace_registers.h"

#include "core/target.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static const int never_restarted[] = {
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
    SYS_epoll_pwait,
    SYS_semop,
    SYS_semtimedop,
    SYS_rt_sigtimedwait,
    SYS_io_getevents,
    SYS_io_pgetevents,
    SYS_io_uring_enter,
    /* With SO_RCVTIMEO or SO_SNDTIMEO; read also of inotify. */
    SYS_read,
    SYS_readv,
    SYS_write,
    SYS_writev,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_accept,
    SYS_accept4,
    SYS_connect,
};

static bool is_never_restarted(long number)
{
    for (size_t i = 0; i < sizeof never_restarted / sizeof *never_restarted; i++)
        if (never_restarted[i] == number)
            return true;
    return false;
}

static int get_set(pid_t tid, int set, void *data, size_t size)
{
    struct iovec part = {data, size};
    return ptrace(PTRACE_GETREGSET, tid, set, &part) || part.iov_len != size ? -1 : 0;
}

static int set_set(pid_t tid, int set, void *data, size_t size)
{
    struct iovec part = {data, size};
    return ptrace(PTRACE_SETREGSET, tid, set, &part) ? -1 : 0;
}

#if defined __x86_64__

enum { CODE_SEGMENT_32 = 0x23, SYSCALL_BYTES = 2 };

int registers_read(pid_t tid, struct user_regs_struct *ret)
{
    return get_set(tid, NT_PRSTATUS, ret, sizeof *ret) || ret->cs == CODE_SEGMENT_32 ? -1 : 0;
}

uint64_t registers_sp(const struct user_regs_struct *registers)
{
    return registers->rsp;
}

bool registers_in_call(const struct user_regs_struct *registers)
{
    return (long)registers->orig_rax >= 0;
}

/* enum perf_event_x86_regs of the kernel: ax bx cx dx si di bp sp ip flags, six segments, r8… */
void registers_to_perf(const struct user_regs_struct *registers, uint64_t mask,
                       uint64_t ret_values[PTRACE_REGISTERS])
{
    const uint64_t values[] = {
        registers->rax, registers->rbx, registers->rcx, registers->rdx, registers->rsi,
        registers->rdi, registers->rbp, registers->rsp, registers->rip, registers->eflags,
        registers->cs,  registers->ss,  registers->ds,  registers->es,  registers->fs,
        registers->gs,  registers->r8,  registers->r9,  registers->r10, registers->r11,
        registers->r12, registers->r13, registers->r14, registers->r15,
    };
    for (size_t i = 0, used = 0; i < sizeof values / sizeof *values; i++)
        if (mask >> i & 1)
            ret_values[used++] = values[i];
}

static bool was_interrupted(pid_t tid, const struct user_regs_struct *registers)
{
    (void)tid;
    return (long)registers->rax == -EINTR && registers_in_call(registers) &&
           is_never_restarted((long)registers->orig_rax);
}

static int restart(pid_t pid, pid_t tid, struct user_regs_struct *registers)
{
    (void)pid;
    struct user_regs_struct changed = *registers;
    changed.rax = changed.orig_rax;
    changed.rip -= SYSCALL_BYTES;
    changed.orig_rax = (unsigned long)-1; /* or the kernel would restart it a second time */
    return set_set(tid, NT_PRSTATUS, &changed, sizeof changed);
}

#elif defined __aarch64__

enum { ARM_SYSTEM_CALL = 0x404 /* NT_ARM_SYSTEM_CALL */, SYSCALL_BYTES = 4 };

int registers_read(pid_t tid, struct user_regs_struct *ret)
{
    return get_set(tid, NT_PRSTATUS, ret, sizeof *ret);
}

uint64_t registers_sp(const struct user_regs_struct *registers)
{
    return registers->sp;
}

/* x8 holds the number before and after a call; the kernel's own copy is gone by the stop. */
bool registers_in_call(const struct user_regs_struct *registers)
{
    long result = (long)registers->regs[0];
    return result < 0 && result >= -516; /* -ERESTART_RESTARTBLOCK, include/linux/errno.h */
}

/* enum perf_event_arm_regs: x0 to x30, sp, pc, as they lie. */
void registers_to_perf(const struct user_regs_struct *registers, uint64_t mask,
                       uint64_t ret_values[PTRACE_REGISTERS])
{
    uint64_t values[PTRACE_REGISTERS];
    memcpy(values, registers, sizeof values);
    for (size_t i = 0, used = 0; i < PTRACE_REGISTERS; i++)
        if (mask >> i & 1)
            ret_values[used++] = values[i];
}

static bool was_interrupted(pid_t tid, const struct user_regs_struct *registers)
{
    const uint32_t supervisor_call = 0xd4000001; /* svc #0 */
    uint32_t code = 0;
    struct iovec here = {&code, sizeof code};
    struct iovec there = {(void *)(registers->pc - SYSCALL_BYTES), sizeof code};
    return (long)registers->regs[0] == -EINTR && is_never_restarted((long)registers->regs[8]) &&
           process_vm_readv(tid, &here, 1, &there, 1, 0) == sizeof code && code == supervisor_call;
}

static int restart(pid_t pid, pid_t tid, struct user_regs_struct *registers)
{
    struct user_regs_struct changed = *registers;
    int number = (int)registers->regs[8], none = -1;
    char text[128];
    unsigned long long first;
    if (set_set(tid, ARM_SYSTEM_CALL, &number, sizeof number))
        return -1;
    bool known = target_read_thread(pid, tid, "syscall", text, sizeof text) > 0 &&
                 sscanf(text, "%*d %llx", &first) == 1;
    set_set(tid, ARM_SYSTEM_CALL, &none, sizeof none);
    if (!known)
        return -1;
    changed.regs[0] = first;
    changed.pc -= SYSCALL_BYTES;
    return set_set(tid, NT_PRSTATUS, &changed, sizeof changed);
}

#else
#error "memprof samples x86-64 and arm64 only"
#endif

/* A hexadecimal mask of /proc/PID/status. */
static uint64_t mask_of(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

/* Unreadable counts as pending: then nothing is changed. */
static bool handler_will_run(pid_t pid, pid_t tid)
{
    char status[8192];
    if (target_read_thread(pid, tid, "status", status, sizeof status) <= 0 ||
        !strstr(status, "\nSigCgt:"))
        return true;
    uint64_t pending = mask_of(status, "\nSigPnd:") | mask_of(status, "\nShdPnd:");
    return pending & ~mask_of(status, "\nSigBlk:") & mask_of(status, "\nSigCgt:");
}

bool registers_restart_call(pid_t pid, pid_t tid, struct user_regs_struct *registers)
{
    return was_interrupted(tid, registers) && !handler_will_run(pid, tid) &&
           !restart(pid, tid, registers);
}
