/*
 * bus_guard.h - reading mapped files that somebody else may truncate.
 *
 * A read behind the new end of a truncated mapping raises SIGBUS. With the guard it reads zero
 * bytes instead, which the parsers then see as malformed input.
 */
#ifndef MEMPROF_CORE_BUS_GUARD_H
#define MEMPROF_CORE_BUS_GUARD_H

/* Installs the handler, once for the process. */
void bus_guard_install(void);

#endif
