#include "core/small_file.h"

#include "core/alloc.h"

#include <errno.h>
#include <fcntl.h>

ssize_t small_file_read(const char *path, char *buffer, size_t size)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t used = 0;
    for (ssize_t got; used < size - 1; used += (size_t)got) {
        got = read(fd, buffer + used, size - 1 - used);
        if (got < 0)
            return -1;
        if (!got)
            break;
    }
    buffer[used] = '\0';
    return (ssize_t)used;
}

int64_t small_file_number(const char *path, int64_t otherwise)
{
    char text[64], *end = text;
    if (small_file_read(path, text, sizeof text) <= 0)
        return otherwise;
    errno = 0;
    int64_t value = strtoll(text, &end, 10);
    return end == text || errno ? otherwise : value;
}
