/*
 * abridge.h - C++ names without the noise that nobody wrote.
 *
 * Takes out default template arguments of the standard library (allocators, char_traits,
 * default_delete), inline namespaces and ABI tags, so that
 * `std::vector<int, std::allocator<int> >` reads `std::vector<int>` and
 * `std::__cxx11::basic_string<char, …>` reads `std::string`. Knows nothing of mangling.
 */
#ifndef MEMPROF_SYMBOLIZE_ABRIDGE_H
#define MEMPROF_SYMBOLIZE_ABRIDGE_H

/* In place: the result is never longer. */
void name_abridge(char *name);

#endif
