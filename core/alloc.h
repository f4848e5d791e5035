/*
 * alloc.h - allocation that can't fail, scope cleanup, and growable arrays.
 *
 * The command has no useful answer to a failed allocation: it exits (DESIGN). Sizes that come
 * from an input are bounded by core/limits.h before they get here. Not for core/agent, which
 * never allocates.
 */
#ifndef MEMPROF_CORE_ALLOC_H
#define MEMPROF_CORE_ALLOC_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* These return memory or end the process with one line on standard error and status 2. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *memory, size_t size);
void *xreallocarray(void *memory, size_t count, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t length);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Scope cleanup: `_cleanup_free_ char *p = …;` frees p when it goes out of scope, and
 * `return steal(&p);` hands it to the caller.
 */
static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
    if (*file)
        fclose(*file);
}

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

#define steal(pointer)                         \
    __extension__({                            \
        __auto_type steal_slot = (pointer);    \
        __auto_type steal_value = *steal_slot; \
        *steal_slot = NULL;                    \
        steal_value;                           \
    })

static inline int steal_fd(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

/*
 * A growable array: `vec(struct node) nodes;` is {items, count, capacity}, valid when zeroed.
 * vec_push gives a pointer to a new zeroed item, valid until the next push.
 */
#define vec(type)        \
    struct {             \
        type *items;     \
        size_t count;    \
        size_t capacity; \
    }

void *vec_grow(void *items, size_t *capacity, size_t needed, size_t item_size);

#define vec_reserve(v, needed)         \
    ((v)->capacity >= (size_t)(needed) \
         ? (void)0                     \
         : (void)((v)->items =         \
                      vec_grow((v)->items, &(v)->capacity, (needed), sizeof *(v)->items)))

#define vec_push(v)                    \
    (vec_reserve((v), (v)->count + 1), \
     __builtin_memset(&(v)->items[(v)->count], 0, sizeof *(v)->items), &(v)->items[(v)->count++])

#define vec_append(v, value) \
    (vec_reserve((v), (v)->count + 1), (void)((v)->items[(v)->count++] = (value)))

#define vec_release(v) \
    (free((v)->items), (v)->items = NULL, (v)->count = 0, (void)((v)->capacity = 0))

#endif
