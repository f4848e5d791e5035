/*
 * descriptors.h - how many files memprof may have open at a time.
 */
#ifndef MEMPROF_CORE_DESCRIPTORS_H
#define MEMPROF_CORE_DESCRIPTORS_H

#include <stddef.h>

/* Raises RLIMIT_NOFILE to what is needed, or as far as this user may. */
void raise_descriptor_limit(size_t needed);

#endif
