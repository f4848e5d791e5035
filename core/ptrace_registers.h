/*
 * ptrace_registers.h - the registers of a stopped thread, and the system call it was taken from.
 *
 * Private to core/ptrace*.c; the only place there that knows instruction sets. All functions are
 * for a thread that is in a ptrace stop of the caller's.
 */
#ifndef MEMPROF_CORE_PTRACE_REGISTERS_H
#define MEMPROF_CORE_PTRACE_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

enum { PTRACE_REGISTERS = 33 }; /* as many as perf delivers of any machine */

/* -1: the thread is gone, or runs 32-bit code. */
int registers_read(pid_t tid, struct user_regs_struct *ret);
uint64_t registers_sp(const struct user_regs_struct *registers);
/* Those of a sample_regs_user mask, in perf's order. */
void registers_to_perf(const struct user_regs_struct *registers, uint64_t mask,
                       uint64_t ret_values[PTRACE_REGISTERS]);
/* The thread was in a system call when it stopped. */
bool registers_in_call(const struct user_regs_struct *registers);
/*
 * A system call that the stop has interrupted, and that the kernel would let fail with EINTR,
 * is made to begin again. Nothing is done if a signal with a handler is pending: then EINTR
 * is what the program expects. Returns true if it did something.
 */
bool registers_restart_call(pid_t pid, pid_t tid, struct user_regs_struct *registers);

#endif
