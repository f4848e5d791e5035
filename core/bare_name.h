/*
 * bare_name.h - a function's name without its arguments, for where the whole one is too long.
 */
#ifndef MEMPROF_CORE_BARE_NAME_H
#define MEMPROF_CORE_BARE_NAME_H

#include <stddef.h>

/*
 * The length of a demangled name up to its arguments: "app::push" of "app::push(int) const", also
 * of "app::push(int) [clone .cold]". All of it if it has none.
 */
size_t bare_name_length(const char *name);

#endif
