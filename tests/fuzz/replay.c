/*
 * replay.c - runs a fuzz target over every file of its corpus, as an ordinary test.
 *
 * Linked in place of libFuzzer, so that any compiler and sanitizer can run the corpus. A
 * corpus without a single file is a failure, not a pass.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return -1;
    }
    struct stat status;
    if (fstat(fileno(file), &status) < 0 || !S_ISREG(status.st_mode)) {
        fclose(file);
        fprintf(stderr, "replay: %s: not a regular file\n", path);
        return -1;
    }
    /* An exact allocation, so that a read past the end is seen. */
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, file) != size) {
        free(data);
        fclose(file);
        fprintf(stderr, "replay: %s: short read\n", path);
        return -1;
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
        return 2;
    }
    DIR *directory = opendir(argv[1]);
    if (!directory) {
        fprintf(stderr, "replay: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    unsigned count = 0;
    int status = 0;
    for (struct dirent *entry; !status && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        char path[4096];
        int length = snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (length < 0 || (size_t)length >= sizeof path) {
            fprintf(stderr, "replay: %s: name too long\n", entry->d_name);
            status = 1;
        } else if (replay_file(path) < 0) {
            status = 1;
        }
        count++;
    }
    closedir(directory);
    if (!status && !count) {
        fprintf(stderr, "replay: %s: no input in the corpus\n", argv[1]);
        status = 1;
    }
    if (!status)
        printf("%u inputs replayed\n", count);
    return status;
}
