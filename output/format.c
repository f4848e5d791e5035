#include "output/format.h"

#include "core/bus_guard.h"
#include "core/limits.h"
#include "output/cpuprofile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* The order is the order in which a file's first bytes are looked at. */
static const struct format formats[] = {
    {"cpuprofile", ".cpuprofile", cpuprofile_matches, cpuprofile_read, cpuprofile_write},
};

enum { FORMATS = sizeof formats / sizeof *formats, HEAD_BYTES = 4096 };

const struct format *format_for_path(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < FORMATS; i++) {
        size_t suffix = strlen(formats[i].suffix);
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

static int input_read(int fd, const char *name, struct input *ret_input, struct error *err)
{
    vec(char) bytes = {0};
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

static int input_open(const char *path, const char *name, struct input *ret_input,
                      struct error *err)
{
    _cleanup_close_ int opened = -1;
    int fd = STDIN_FILENO;
    if (strcmp(path, "-") != 0) {
        opened = open(path, O_RDONLY | O_CLOEXEC);
        if (opened < 0)
            return error_set_errno(err, "cannot read %s", name);
        fd = opened;
    }
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set_errno(err, "cannot read %s", name);
    if (S_ISDIR(status.st_mode))
        return error_set(err, ERROR_FORMAT, "%s is a directory, not a profile", name);
    if (!S_ISREG(status.st_mode) || status.st_size == 0 || lseek(fd, 0, SEEK_CUR) != 0)
        return input_read(fd, name, ret_input, err);
    if ((uint64_t)status.st_size > LIMIT_PROFILE_BYTES)
        return error_set(err, ERROR_LIMIT, "%s is too large", name);
    size_t length = (size_t)status.st_size;
    bus_guard_install();
    void *text = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (text == MAP_FAILED)
        return input_read(fd, name, ret_input, err);
    *ret_input = (struct input){.text = text, .length = length, .mapped = true};
    return 0;
}

int profile_read(const char *path, struct profile **ret_profile, struct error *err)
{
    const char *name = strcmp(path, "-") != 0 ? path : "standard input";
    _cleanup_(input_release) struct input input = {0};
    if (input_open(path, name, &input, err) < 0)
        return -1;
    if (!input.length)
        return error_set(err, ERROR_FORMAT, "%s is empty", name);
    size_t head = input.length < HEAD_BYTES ? input.length : HEAD_BYTES;
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].matches(input.text, head))
            return formats[i].read(input.text, input.length, name, ret_profile, err);
    return error_set(err, ERROR_FORMAT, "%s is not a profile that memprof knows (.cpuprofile)",
                     name);
}
