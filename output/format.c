#include "output/format.h"

#include "core/bus_guard.h"
#include "core/limits.h"
#include "output/cpuprofile.h"
#include "output/perf_script.h"
#include "output/v8log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* The order is the order in which a file's first bytes are looked at. */
static const struct format formats[] = {
    {.name = "cpuprofile",
     .suffix = ".cpuprofile",
     .matches = cpuprofile_matches,
     .read = cpuprofile_read,
     .write = cpuprofile_write},
    {.name = "V8 log", .matches = v8log_matches, .read_lines = v8log_read, .file_offsets = true},
    {.name = "perf script", .matches = perf_script_matches, .read_lines = perf_script_read},
};

enum { FORMATS = sizeof formats / sizeof *formats, HEAD_BYTES = 4096 };

const struct format *format_for_path(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < FORMATS; i++) {
        size_t suffix = formats[i].suffix ? strlen(formats[i].suffix) : length;
        if (length > suffix && !strcmp(path + length - suffix, formats[i].suffix))
            return &formats[i];
    }
    return NULL;
}

/* A whole file in memory: mapped where it can be, else read (pipes, /proc). */
struct input {
    char *text;
    size_t length;
    bool mapped;
};

static void input_release(struct input *input)
{
    if (input->mapped)
        munmap(input->text, input->length);
    else
        free(input->text);
}

/* `head` is what was already read. */
static int input_read(int fd, const char *name, const struct text_lines *head,
                      struct input *ret_input, struct error *err)
{
    vec(char) bytes = {0};
    bytes.count = head->end - head->start;
    vec_reserve(&bytes, bytes.count);
    memcpy(bytes.items, head->text + head->start, bytes.count);
    for (;;) {
        vec_reserve(&bytes, bytes.count + 64 * 1024);
        ssize_t got = read(fd, bytes.items + bytes.count, bytes.capacity - bytes.count);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || bytes.count + (size_t)got > LIMIT_PROFILE_BYTES) {
            if (got < 0)
                error_set_errno(err, "cannot read %s", name);
            else
                error_set(err, ERROR_LIMIT, "%s is too large", name);
            vec_release(&bytes);
            return -1;
        }
        bytes.count += (size_t)got;
    }
    *ret_input = (struct input){.text = bytes.items, .length = bytes.count};
    return 0;
}

/* All of a file of which `head` is the beginning. */
static int input_open(int fd, const char *name, const struct text_lines *head,
                      struct input *ret_input, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set_errno(err, "cannot read %s", name);
    if (!S_ISREG(status.st_mode) || status.st_size == 0 ||
        lseek(fd, 0, SEEK_CUR) != (off_t)(head->end - head->start))
        return input_read(fd, name, head, ret_input, err);
    if ((uint64_t)status.st_size > LIMIT_PROFILE_BYTES)
        return error_set(err, ERROR_LIMIT, "%s is too large", name);
    size_t length = (size_t)status.st_size;
    bus_guard_install();
    void *text = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (text == MAP_FAILED)
        return input_read(fd, name, head, ret_input, err);
    *ret_input = (struct input){.text = text, .length = length, .mapped = true};
    return 0;
}

static int fd_open(const char *path, const char *name, int *ret_fd, struct error *err)
{
    struct stat status;
    _cleanup_close_ int fd = strcmp(path, "-") != 0 ? open(path, O_RDONLY | O_CLOEXEC)
                                                    : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_set_errno(err, "cannot read %s", name);
    if (S_ISDIR(status.st_mode))
        return error_set(err, ERROR_FORMAT, "%s is a directory, not a profile", name);
    *ret_fd = steal_fd(&fd);
    return 0;
}

static int read_as(const struct format *format, int fd, struct text_lines *lines,
                   struct profile **ret_profile, struct error *err)
{
    if (format->read_lines)
        return format->read_lines(lines, ret_profile, err);
    _cleanup_(input_release) struct input input = {0};
    if (input_open(fd, lines->name, lines, &input, err) < 0)
        return -1;
    return format->read(input.text, input.length, lines->name, ret_profile, err);
}

int profile_read(const char *path, struct profile **ret_profile, const struct format **ret_format,
                 struct error *err)
{
    const char *name = strcmp(path, "-") != 0 ? path : "standard input";
    _cleanup_close_ int fd = -1;
    if (fd_open(path, name, &fd, err) < 0)
        return -1;
    _cleanup_(text_lines_release) struct text_lines lines = text_lines_of_fd(fd, name);
    size_t head;
    if (text_lines_peek(&lines, HEAD_BYTES, &head, err) < 0)
        return -1;
    if (!head)
        return error_set(err, ERROR_FORMAT, "%s is empty", name);
    for (size_t i = 0; i < FORMATS; i++) {
        if (!formats[i].matches(lines.text, head))
            continue;
        if (read_as(&formats[i], fd, &lines, ret_profile, err) < 0)
            return -1;
        *ret_format = &formats[i];
        return 0;
    }
    return error_set(err, ERROR_FORMAT,
                     "%s is not a profile that memprof knows (.cpuprofile, the log of node --prof, "
                     "the text of perf script)",
                     name);
}
