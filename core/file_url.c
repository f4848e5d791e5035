#include "core/file_url.h"

#include "core/alloc.h"

#include <string.h>

/* -1: it is none. */
static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *file_url_path(const char *url)
{
    static const char scheme[] = "file://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return xstrdup(url);
    const char *text = url + sizeof scheme - 1;
    char *path = xmalloc(strlen(text) + 1), *end = path;
    while (*text) {
        int high = *text == '%' ? digit_of(text[1]) : -1;
        int low = high >= 0 ? digit_of(text[2]) : -1;
        *end++ = low >= 0 ? (char)(high * 16 + low) : *text;
        text += low >= 0 ? 3 : 1;
    }
    *end = '\0';
    return path;
}
