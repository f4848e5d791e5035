/*
 * arena.h - memory that is built up, read, and given back all at once.
 *
 * Blocks double up to 1 MiB; what does not fit gets a block of its own. Pointers stay valid
 * until arena_release. A zeroed arena is ready for use.
 */
#ifndef MEMPROF_CORE_ARENA_H
#define MEMPROF_CORE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t bytes; /* handed out, without the slack of blocks */
};

/* Memory aligned for any type, not zeroed. */
void *arena_alloc(struct arena *arena, size_t size);
/* A NUL-terminated copy of length bytes. */
char *arena_strndup(struct arena *arena, const char *text, size_t length);
void arena_release(struct arena *arena);

#endif
