/*
 * Candidates are tried in the order of their likelihood and each is proven before it is taken:
 * by an equal build-id, or, when one of the two files has none, by the CRC that .gnu_debuglink
 * gives. A build-id saves reading the whole file for its CRC.
 *
 * The target's root is resolved by openat2(RESOLVE_IN_ROOT), so that absolute links in a
 * container point into the container. It may be gone, or be another process's by now: then a
 * candidate does not prove itself.
 */
#include "symbolize/debug_file.h"

#include "core/limits.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <zlib.h>

static const char debug_root[] = "/usr/lib/debug";

struct wanted {           /* what proves a candidate */
    const char *build_id; /* hexadecimal, "" unknown */
    bool has_crc;
    uint32_t crc;
    const struct elf_file *but_not; /* .gnu_debuglink may name the very file that holds it */
};

/* In the root of a process; -1 if there is no such regular file. */
static int open_in_root(pid_t pid, const char *path)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/root", pid);
    _cleanup_close_ int root = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    _cleanup_close_ int found =
        root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    return found < 0 ? -1 : elf_reopen_regular(found);
}

int debug_file_open(pid_t pid, const char *path)
{
    int fd = pid > 0 ? open_in_root(pid, path) : -1;
    return fd >= 0 ? fd : elf_open_regular(path);
}

static bool same_file(int fd, const struct elf_file *file)
{
    struct stat a, b;
    return file && file->fd >= 0 && !fstat(fd, &a) && !fstat(file->fd, &b) &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool crc_matches(int fd, uint32_t wanted)
{
    enum { CHUNK = 256 << 10 };
    const off_t most = (off_t)LIMIT_INFLATED_BYTES;
    _cleanup_free_ uint8_t *buffer = xmalloc(CHUNK);
    uLong crc = crc32(0, NULL, 0);
    off_t at = 0;
    for (ssize_t got; (got = pread(fd, buffer, CHUNK, at)); at += got) {
        if (got < 0 || at > most)
            return false;
        crc = crc32(crc, buffer, (uInt)got);
    }
    return crc == wanted;
}

static bool is_wanted(const struct elf_file *file, const struct wanted *wanted)
{
    if (*wanted->build_id && *file->build_id)
        return !strcmp(wanted->build_id, file->build_id);
    return wanted->has_crc && crc_matches(file->fd, wanted->crc);
}

/* Takes over fd, which may be -1. */
static struct elf_file *take_if_wanted(int fd, const char *path, const struct wanted *wanted)
{
    struct elf_file *file;
    if (fd < 0)
        return NULL;
    if (same_file(fd, wanted->but_not) || elf_file_open(fd, path, &file, NULL)) {
        close(fd);
        return NULL;
    }
    if (is_wanted(file, wanted))
        return file;
    elf_file_free(file);
    return NULL;
}

/* The path in the target's root, then in ours. */
static struct elf_file *try_path(const struct module *module, const char *path,
                                 const struct wanted *wanted)
{
    struct elf_file *file = NULL;
    if (module->pid > 0)
        file = take_if_wanted(open_in_root(module->pid, path), path, wanted);
    return file ? file : take_if_wanted(elf_open_regular(path), path, wanted);
}

static struct elf_file *try_build_id(const struct module *module, const struct wanted *wanted)
{
    char path[128];
    if (strlen(wanted->build_id) < 3)
        return NULL;
    snprintf(path, sizeof path, "%s/.build-id/%.2s/%s.debug", debug_root, wanted->build_id,
             wanted->build_id + 2);
    return try_path(module, path, wanted);
}

/* The part of a path before its last slash. */
static int directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    return length < LIMIT_PATH_BYTES ? (int)length : 0;
}

/* .gnu_debuglink: a file name, NUL, padding to four bytes, CRC-32. */
static const char *read_link(struct elf_file *file, uint32_t *ret_crc)
{
    struct elf_section section;
    if (!elf_file_section(file, ".gnu_debuglink", &section))
        return NULL;
    const char *name = (const char *)section.data;
    size_t length = strnlen(name, section.size), crc_at = (length + 4) & ~(size_t)3;
    if (!length || length > NAME_MAX || section.size < sizeof *ret_crc ||
        crc_at > section.size - sizeof *ret_crc || strchr(name, '/'))
        return NULL;
    memcpy(ret_crc, section.data + crc_at, sizeof *ret_crc);
    return name;
}

static struct elf_file *try_link(const struct module *module)
{
    struct wanted wanted = {.build_id = module->elf->build_id, .but_not = module->elf};
    const char *name = read_link(module->elf, &wanted.crc);
    if (!name || module->path[0] != '/')
        return NULL;
    wanted.has_crc = true;
    int length = directory_length(module->path);
    const char *const forms[][2] = {{"", ""}, {"", "/.debug"}, {debug_root, ""}};
    struct elf_file *file = NULL;
    for (size_t i = 0; !file && i < sizeof forms / sizeof *forms; i++) {
        _cleanup_free_ char *path =
            xasprintf("%s%.*s%s/%s", forms[i][0], length, module->path, forms[i][1], name);
        file = try_path(module, path, &wanted);
    }
    return file;
}

const char *debuginfod_urls(void)
{
    const char *urls = getenv("DEBUGINFOD_URLS");
    return urls && *urls ? urls : NULL;
}

/* The library is asked for at run time only: it pulls in curl, and most users never need it. */
static void *debuginfod_library(void)
{
    return dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
}

bool debuginfod_loads(void)
{
    return debuginfod_library() != NULL;
}

static struct elf_file *try_debuginfod(const struct wanted *wanted)
{
    if (!debuginfod_urls() || !*wanted->build_id)
        return NULL;
    void *library = debuginfod_library();
    if (!library)
        return NULL;
    void *(*begin)(void);
    int (*find)(void *, const unsigned char *, int, char **);
    void (*end)(void *);
    *(void **)&begin = dlsym(library, "debuginfod_begin");
    *(void **)&find = dlsym(library, "debuginfod_find_debuginfo");
    *(void **)&end = dlsym(library, "debuginfod_end");
    void *client = begin && find && end ? begin() : NULL;
    if (!client)
        return NULL;
    /* Length 0: the id is hexadecimal text. */
    int fd = find(client, (const unsigned char *)wanted->build_id, 0, NULL);
    end(client);
    return take_if_wanted(fd, "debuginfod's file", wanted);
}

struct elf_file *debug_file_find(const struct module *module)
{
    if (!module->elf || module->kind != MODULE_FILE)
        return NULL;
    struct wanted wanted = {.build_id = module->elf->build_id, .but_not = module->elf};
    struct elf_file *file = try_build_id(module, &wanted);
    if (!file)
        file = try_link(module);
    return file ? file : try_debuginfod(&wanted);
}

/* .gnu_debugaltlink: a path, NUL, the build-id's bytes. */
static const char *read_alt_link(struct elf_file *file, char ret_build_id[65])
{
    struct elf_section section;
    if (!elf_file_section(file, ".gnu_debugaltlink", &section))
        return NULL;
    const char *path = (const char *)section.data;
    size_t length = strnlen(path, section.size);
    if (!length || length >= LIMIT_PATH_BYTES || length >= section.size)
        return NULL;
    size_t id_bytes = section.size - length - 1;
    if (!id_bytes || id_bytes > 32)
        return NULL;
    for (size_t i = 0; i < id_bytes; i++)
        snprintf(ret_build_id + 2 * i, 3, "%02x", section.data[length + 1 + i]);
    return path;
}

/* A relative path counts from the directory of the file that names it. */
static char *resolve_beside(const struct elf_file *file, const char *path)
{
    char link[64], own[LIMIT_PATH_BYTES];
    if (*path == '/')
        return xstrdup(path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", file->fd);
    ssize_t length = readlink(link, own, sizeof own - 1);
    if (length <= 0)
        return NULL;
    own[length] = '\0';
    return xasprintf("%.*s/%s", directory_length(own), own, path);
}

struct elf_file *debug_file_find_alt(struct elf_file *debug, const struct module *module)
{
    char build_id[65] = "";
    const char *link = read_alt_link(debug, build_id);
    if (!link)
        return NULL;
    struct wanted wanted = {.build_id = build_id, .but_not = debug};
    struct elf_file *file = try_build_id(module, &wanted);
    _cleanup_free_ char *path = file ? NULL : resolve_beside(debug, link);
    if (path)
        file = try_path(module, path, &wanted);
    return file ? file : try_debuginfod(&wanted);
}
