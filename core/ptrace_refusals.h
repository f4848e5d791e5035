/*
 * ptrace_refusals.h - whether a process may be sampled by ptrace, and if not, why.
 *
 * Private to core/ptrace*.c. Asks without touching the process.
 */
#ifndef MEMPROF_CORE_PTRACE_REFUSALS_H
#define MEMPROF_CORE_PTRACE_REFUSALS_H

#include "core/error.h"
#include "core/target.h"

/* 0, or -1 with the reason and the remedy. */
int ptrace_check(const struct target *target, struct error *err);

#endif
