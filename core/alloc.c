#include "core/alloc.h"

#include <stdarg.h>
#include <string.h>

/* write(2), not stdio: stdio may want memory of its own. */
static _Noreturn void out_of_memory(void)
{
    static const char text[] = "memprof: out of memory\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(2);
    exit(2);
}

void *xmalloc(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (!memory)
        out_of_memory();
    return memory;
}

void *xcalloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory)
        out_of_memory();
    return memory;
}

void *xrealloc(void *memory, size_t size)
{
    memory = realloc(memory, size ? size : 1);
    if (!memory)
        out_of_memory();
    return memory;
}

void *xreallocarray(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        out_of_memory();
    return xrealloc(memory, bytes);
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t length)
{
    char *copy = xmalloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        out_of_memory();
    return text;
}

void *vec_grow(void *items, size_t *capacity, size_t needed, size_t item_size)
{
    size_t larger = *capacity < 8 ? 8 : *capacity + *capacity / 2;
    if (larger < needed)
        larger = needed;
    items = xreallocarray(items, larger, item_size);
    *capacity = larger;
    return items;
}
