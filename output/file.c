/*
 * One buffer in front of a descriptor. The first write error is kept and later writes are
 * dropped, so that a writer of a million numbers needs no million checks.
 *
 * A destination that exists and is no regular file (/dev/null, a pipe, /dev/stdout) is written
 * directly: to rename a file over a device would replace the device.
 */
#include "output/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

enum { BUFFER_BYTES = 64 * 1024, TEMPORARY_TRIES = 100 };

static int temporary_create(const char *path, struct output_file *file, struct error *err)
{
    const char *slash = strrchr(path, '/');
    int folder_length = slash ? (int)(slash - path + 1) : 0;
    for (int i = 0; i < TEMPORARY_TRIES; i++) {
        _cleanup_free_ char *name =
            xasprintf("%.*s.memprof-%d-%d.tmp", folder_length, path, (int)getpid(), i);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0) {
            file->fd = fd;
            file->temporary = steal(&name);
            return 0;
        }
        if (errno != EEXIST)
            return error_set_errno(err, "cannot write %s", path);
    }
    return error_set(err, ERROR_SYSTEM, "cannot write %s: too many temporary files beside it",
                     path);
}

int output_file_open(const char *path, struct output_file *ret_file, struct error *err)
{
    struct output_file file = {.fd = -1};
    struct stat status;
    if (!strcmp(path, "-")) {
        file.fd = STDOUT_FILENO;
    } else if (!*path) {
        return error_set(err, ERROR_USAGE, "the name of the output file is empty");
    } else if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        file.fd = open(path, O_WRONLY | O_CLOEXEC);
        if (file.fd < 0)
            return error_set_errno(err, "cannot write %s", path);
    } else if (temporary_create(path, &file, err) < 0) {
        return -1;
    }
    file.path = xstrdup(path);
    file.buffer = xmalloc(BUFFER_BYTES);
    *ret_file = file;
    return 0;
}

static void write_all(struct output_file *file, const char *data, size_t length)
{
    while (length && !file->write_errno) {
        ssize_t written = write(file->fd, data, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            file->write_errno = errno;
            return;
        }
        data += written;
        length -= (size_t)written;
    }
}

static void flush(struct output_file *file)
{
    write_all(file, file->buffer, file->used);
    file->used = 0;
}

void output_write(struct output_file *file, const void *data, size_t length)
{
    if (!length)
        return;
    if (length > BUFFER_BYTES - file->used)
        flush(file);
    if (length >= BUFFER_BYTES) {
        write_all(file, data, length);
        return;
    }
    memcpy(file->buffer + file->used, data, length);
    file->used += length;
}

void output_text(struct output_file *file, const char *text)
{
    output_write(file, text, strlen(text));
}

void output_unsigned(struct output_file *file, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    output_write(file, digits + at, sizeof digits - at);
}

void output_printf(struct output_file *file, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof text) {
        _cleanup_free_ char *longer = xmalloc((size_t)length + 1);
        va_start(arguments, format);
        vsnprintf(longer, (size_t)length + 1, format, arguments);
        va_end(arguments);
        output_write(file, longer, (size_t)length);
    } else if (length > 0) {
        output_write(file, text, (size_t)length);
    }
}

int output_file_reserve(struct output_file *file, uint64_t bytes)
{
    if (!file->temporary || bytes > INT64_MAX) {
        errno = EOPNOTSUPP;
        return -1;
    }
    int failed;
    do
        failed = fallocate(file->fd, 0, 0, (off_t)bytes);
    while (failed && errno == EINTR);
    if (failed && (errno == ENOSYS || errno == EINVAL))
        errno = EOPNOTSUPP;
    file->reserved |= !failed;
    return failed;
}

bool output_file_is_full(struct output_file *file)
{
    flush(file);
    return file->temporary && (file->write_errno == ENOSPC || file->write_errno == EDQUOT ||
                               file->write_errno == EFBIG);
}

void output_file_rewind(struct output_file *file)
{
    file->used = 0;
    file->write_errno = lseek(file->fd, 0, SEEK_SET) < 0 ? errno : 0;
    file->reserved = true;
}

/* What was reserved or written before and is not needed is given back. */
static void cut_to_length(struct output_file *file)
{
    off_t length = lseek(file->fd, 0, SEEK_CUR);
    if (length < 0 || ftruncate(file->fd, length) < 0)
        file->write_errno = errno;
}

/* Descriptors that can't be synced (pipes, terminals) say EINVAL or EROFS. */
static void sync_file(struct output_file *file)
{
    if (fsync(file->fd) < 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
        file->write_errno = errno;
}

int output_file_commit(struct output_file *file, struct error *err)
{
    flush(file);
    bool is_stdout = file->fd == STDOUT_FILENO;
    if (!file->write_errno && file->reserved)
        cut_to_length(file);
    if (!file->write_errno && file->temporary)
        sync_file(file);
    if (!is_stdout && file->fd >= 0 && close(file->fd) < 0 && !file->write_errno)
        file->write_errno = errno;
    file->fd = -1;
    if (!file->write_errno && file->temporary) {
        if (rename(file->temporary, file->path) < 0)
            file->write_errno = errno;
        else
            free(steal(&file->temporary));
    }
    if (!file->write_errno)
        return 0;
    /* Nobody reads any more: there is nobody to tell either. */
    if (is_stdout && file->write_errno == EPIPE)
        return error_set(err, ERROR_GONE, "%s", "");
    errno = file->write_errno;
    return error_set_errno(err, "cannot write %s", is_stdout ? "standard output" : file->path);
}

void output_file_release(struct output_file *file)
{
    if (file->fd >= 0 && file->fd != STDOUT_FILENO)
        close(file->fd);
    if (file->temporary)
        unlink(file->temporary);
    free(file->path);
    free(file->temporary);
    free(file->buffer);
    *file = (struct output_file){.fd = -1};
}
