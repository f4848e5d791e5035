/*
 * demangle.h - linkage names to the names people write (C++ Itanium ABI, Rust legacy and v0).
 */
#ifndef MEMPROF_SYMBOLIZE_DEMANGLE_H
#define MEMPROF_SYMBOLIZE_DEMANGLE_H

/* A new string: the demangled name, abridged (abridge.h), or a copy of `name` if it is not a
 * mangled one. */
char *demangle(const char *name);

#endif
