/*
 * text.h - small things that all texts for people share.
 */
#ifndef MEMPROF_OUTPUT_TEXT_H
#define MEMPROF_OUTPUT_TEXT_H

#include <stdint.h>
#include <string.h>

static inline double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* The last part of a path; all of a stand-in such as [vdso]. */
static inline const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] && *path != '[' ? slash + 1 : path;
}

#endif
