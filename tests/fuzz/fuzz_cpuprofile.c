/*
 * fuzz_cpuprofile.c - .cpuprofile files through the whole way of `memprof report`: reading, both
 * reports, and writing; what was written must read back.
 */
#include "output/cpuprofile.h"
#include "output/report.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An output in memory: a file that only this process sees. */
static struct output_file memory_open(void)
{
    struct output_file file = {.fd = -1};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    file.path = xstrdup(path);
    file.fd = fd;
    file.buffer = xmalloc(64 * 1024);
    return file;
}

static void check_rewrite(const struct profile *profile, enum write_threads threads)
{
    struct output_file file = memory_open();
    struct write_options options = {.threads = threads};
    struct error err = {0};
    if (cpuprofile_write(&file, profile, &options, &err) < 0)
        abort();
    int fd = dup(file.fd);
    if (fd < 0 || output_file_commit(&file, &err) < 0)
        abort();
    off_t length = lseek(fd, 0, SEEK_END);
    char *text = xmalloc((size_t)length);
    struct profile *back = NULL;
    if (pread(fd, text, (size_t)length, 0) != length ||
        cpuprofile_read(text, (size_t)length, "written", &back, &err) < 0 ||
        back->samples.count != profile->samples.count ||
        profile_sum(back, 0) != profile_sum(profile, 0))
        abort();
    /* Names that differ only in bytes that are not UTF-8 are one name in JSON. */
    if (back->nodes.count != profile->nodes.count &&
        !memmem(text, (size_t)length, "\xef\xbf\xbd", 3))
        abort();
    free(text);
    profile_free(back);
    close(fd);
    output_file_release(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct profile *profile = NULL;
    struct error err = {0};
    cpuprofile_matches((const char *)data, size < 4096 ? size : 4096);
    if (cpuprofile_read((const char *)data, size, "fuzz", &profile, &err) < 0) {
        if (!*err.text || profile)
            abort();
        return 0;
    }
    struct report_options options = report_defaults;
    struct output_file file = {.fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    file.buffer = xmalloc(64 * 1024);
    options.cut_percent = 0;
    report_text(&file, profile, &options);
    report_json(&file, profile, &options);
    options.tree = true;
    report_text(&file, profile, &options);
    output_file_release(&file);
    check_rewrite(profile, WRITE_THREADS_ALL);
    check_rewrite(profile, WRITE_THREADS_MAIN);
    profile_free(profile);
    return 0;
}
