/*
 * modules.c - opening mapped files, and the mapping table of a process.
 *
 * A space is a sorted array without overlaps: look-ups are a binary search, and mappings come
 * rarely enough that inserting by memmove is no cost. perf tells of new executable mappings
 * only, never of munmap: a segment lives until another takes its place, which is harmless, as
 * no code runs where nothing is mapped.
 */
#include "symbolize/modules.h"

#include "core/limits.h"
#include "core/profile.h"
#include "symbolize/cfi.h"
#include "symbolize/naming.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static struct module *module_add(struct modules *modules, const char *path, enum module_kind kind,
                                 pid_t pid)
{
    struct module *module = xcalloc(1, sizeof *module);
    module->path = xstrdup(path);
    module->kind = kind;
    module->pid = pid;
    module->jitdump_fd = -1;
    module->index = (uint32_t)modules->items.count;
    vec_append(&modules->items, module);
    return module;
}

static void module_free(struct module *module)
{
    cfi_free(module->cfi);
    symbolic_free(module->symbolic);
    elf_file_free(module->elf);
    cleanup_close(&module->jitdump_fd);
    free(module->problem);
    free(module->path);
    free(module);
}

struct modules *modules_new(void)
{
    struct modules *modules = xcalloc(1, sizeof *modules);
    module_add(modules, "[kernel]", MODULE_KERNEL, 0);
    return modules;
}

void modules_free(struct modules *modules)
{
    if (!modules)
        return;
    for (size_t i = 0; i < modules->items.count; i++)
        module_free(modules->items.items[i]);
    vec_release(&modules->items);
    free(modules);
}

/*
 * Device numbers of the mapping and of stat differ on btrfs and overlayfs, inodes do not: the
 * inode decides.
 */
static int open_checked(const char *path, uint64_t inode)
{
    int fd = elf_open_regular(path);
    struct stat status;
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) || status.st_ino != inode) {
        close(fd);
        errno = ESTALE;
        return -1;
    }
    return fd;
}

static int open_mapped(pid_t pid, const struct mapping *mapping)
{
    char path[LIMIT_PATH_BYTES + 64];
    snprintf(path, sizeof path, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, mapping->start,
             mapping->start + mapping->size);
    int fd = open_checked(path, mapping->inode);
    if (fd >= 0)
        return fd;
    snprintf(path, sizeof path, "/proc/%d/root%s", pid, mapping->path);
    fd = open_checked(path, mapping->inode);
    return fd >= 0 ? fd : open_checked(mapping->path, mapping->inode);
}

/* Runtimes map their jitdump executable, only so that profilers see where it is. */
static bool is_jitdump_name(const char *path)
{
    const char *base = strrchr(path, '/'), *dot = strrchr(path, '.');
    return base && dot && !strncmp(base, "/jit-", 5) && !strcmp(dot, ".dump");
}

static void module_open(struct module *module, pid_t pid, const struct mapping *mapping)
{
    struct error err;
    int fd = open_mapped(pid, mapping);
    if (fd < 0) {
        module->problem =
            xstrdup(errno == ESTALE ? "replaced since it was mapped" : strerror(errno));
        return;
    }
    if (elf_file_open(fd, module->path, &module->elf, &err)) {
        module->problem = xstrdup(err.text);
        if (is_jitdump_name(module->path))
            module->jitdump_fd = fd;
        else
            close(fd);
    }
}

/* All 64-bit processes of one kernel map the same image: ours stands for the target's. */
static void vdso_open(struct module *module)
{
    const void *image = (const void *)getauxval(AT_SYSINFO_EHDR);
    _cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
    char line[LIMIT_PATH_BYTES];
    struct error err;
    while (image && maps && fgets(line, sizeof line, maps)) {
        uintptr_t start, end;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2 &&
            start == (uintptr_t)image &&
            !elf_file_open_memory(image, end - start, module->path, &module->elf, &err))
            return;
    }
    module->problem = xstrdup("no vDSO in this process");
}

bool module_is_generated(const struct module *module)
{
    static const char memfd[] = "/memfd:";
    return module->kind == MODULE_ANON || (module->kind == MODULE_FILE && !module->elf &&
                                           !strncmp(module->path, memfd, sizeof memfd - 1));
}

/* A file may have been replaced since, and our vDSO may be another kernel's. */
static void check_build_id(struct module *module, const char *recorded)
{
    if (!module->elf || !*recorded || !strcmp(module->elf->build_id, recorded))
        return;
    module->problem =
        xasprintf("changed since it was recorded: its build-id is %s, not %s",
                  *module->elf->build_id ? module->elf->build_id : "missing", recorded);
    elf_file_free(module->elf);
    module->elf = NULL;
}

static void open_stored(struct module *module)
{
    struct error err;
    int fd = elf_open_regular(module->path);
    if (fd < 0) {
        module->problem = xstrdup(strerror(errno));
    } else if (elf_file_open(fd, module->path, &module->elf, &err)) {
        module->problem = xstrdup(err.text);
        close(fd);
    }
}

struct modules *modules_open_stored(const struct profile *profile)
{
    struct modules *modules = modules_new();
    for (size_t i = 1; i < profile->modules.count; i++) {
        const struct profile_module *stored = &profile->modules.items[i];
        const char *path = profile_string(profile, stored->path);
        enum module_kind kind = !strcmp(path, "[vdso]")     ? MODULE_VDSO
                                : !strcmp(path, "[kernel]") ? MODULE_KERNEL
                                : *path == '/'              ? MODULE_FILE
                                                            : MODULE_ANON;
        struct module *module = module_add(modules, path, kind, 0);
        if (kind == MODULE_VDSO)
            vdso_open(module);
        else if (kind == MODULE_FILE)
            open_stored(module);
        check_build_id(module, profile_string(profile, stored->build_id));
    }
    return modules;
}

static void take_running(struct module *module, struct modules *running, const char *recorded)
{
    for (size_t i = 1; i < running->items.count; i++) {
        struct module *other = running->items.items[i];
        if (other->kind != MODULE_FILE || !other->elf || strcmp(other->path, module->path) ||
            strcmp(other->elf->build_id, recorded))
            continue;
        elf_file_free(module->elf);
        free(steal(&module->problem));
        module->elf = steal(&other->elf);
        module->pid = other->pid;
        return;
    }
}

void modules_take_running(struct modules *modules, const struct profile *profile, pid_t pid)
{
    struct modules *running = modules_new();
    struct space space;
    space_init(&space, running, pid);
    if (!space_read(&space, running, NULL))
        for (size_t i = 1; i < modules->items.count && i < profile->modules.count; i++)
            if (modules->items.items[i]->kind == MODULE_FILE)
                take_running(modules->items.items[i], running,
                             profile_string(profile, profile->modules.items[i].build_id));
    space_release(&space);
    modules_free(running);
}

static enum module_kind kind_of(const struct mapping *mapping)
{
    if (!strcmp(mapping->path, "[vdso]"))
        return MODULE_VDSO;
    return mapping->inode && mapping->path[0] == '/' && strncmp(mapping->path, "/dev/zero", 9)
               ? MODULE_FILE
               : MODULE_ANON;
}

/* Anonymous code is one module for each process: at the same address there is other code. */
static bool module_is(const struct module *module, enum module_kind kind, const char *path,
                      pid_t pid, const struct mapping *mapping)
{
    if (module->kind != kind || (kind == MODULE_ANON && module->pid != pid))
        return false;
    return kind != MODULE_FILE ||
           (module->inode == mapping->inode && module->device == mapping->device &&
            !strcmp(module->path, path));
}

static struct module *module_get(struct modules *modules, pid_t pid, const struct mapping *mapping)
{
    static const char deleted[] = " (deleted)";
    static const char *const stand_ins[] = {[MODULE_VDSO] = "[vdso]", [MODULE_ANON] = "[anon]"};
    enum module_kind kind = kind_of(mapping);
    char path[LIMIT_PATH_BYTES];
    snprintf(path, sizeof path, "%s", kind == MODULE_FILE ? mapping->path : stand_ins[kind]);
    size_t length = strlen(path);
    if (length > sizeof deleted && !strcmp(path + length + 1 - sizeof deleted, deleted))
        path[length + 1 - sizeof deleted] = '\0';
    for (size_t i = modules->items.count; i-- > 0;)
        if (module_is(modules->items.items[i], kind, path, pid, mapping))
            return modules->items.items[i];
    if (modules->items.count >= LIMIT_MODULES)
        return NULL;
    struct module *module = module_add(modules, path, kind, pid);
    if (kind == MODULE_FILE) {
        module->device = mapping->device;
        module->inode = mapping->inode;
        module_open(module, pid, mapping);
    } else if (kind == MODULE_VDSO) {
        vdso_open(module);
    }
    return module;
}

static void changed(struct space *space, struct modules *modules)
{
    space->generation = ++modules->generations;
}

void space_init(struct space *space, struct modules *modules, pid_t pid)
{
    *space = (struct space){.pid = pid};
    changed(space, modules);
}

void space_copy(struct space *space, struct modules *modules, const struct space *parent, pid_t pid)
{
    space_init(space, modules, pid);
    vec_reserve(&space->segments, parent->segments.count);
    if (parent->segments.count)
        memcpy(space->segments.items, parent->segments.items,
               parent->segments.count * sizeof *parent->segments.items);
    space->segments.count = parent->segments.count;
}

void space_release(struct space *space)
{
    vec_release(&space->segments);
}

void space_clear(struct space *space, struct modules *modules)
{
    space->segments.count = 0;
    changed(space, modules);
}

/* The position of the first segment that ends above an address. */
static size_t lower_bound(const struct space *space, uint64_t address)
{
    size_t low = 0, high = space->segments.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (space->segments.items[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct segment *space_find(const struct space *space, uint64_t pc)
{
    size_t at = lower_bound(space, pc);
    if (at == space->segments.count || space->segments.items[at].start > pc)
        return NULL;
    return &space->segments.items[at];
}

/* Makes room: cuts, splits or removes what overlaps; returns where the new segment belongs. */
static size_t carve(struct space *space, uint64_t start, uint64_t end)
{
    size_t first = lower_bound(space, start);
    struct segment *items = space->segments.items;
    if (first < space->segments.count && items[first].start < start) {
        struct segment tail = items[first];
        items[first].end = start;
        first++;
        if (tail.end > end) { /* the hole lies within: the tail becomes a segment of its own */
            tail.file_offset += end - tail.start;
            tail.start = end;
            vec_reserve(&space->segments, space->segments.count + 1);
            items = space->segments.items;
            memmove(items + first + 1, items + first,
                    (space->segments.count - first) * sizeof *items);
            items[first] = tail;
            space->segments.count++;
            return first;
        }
    }
    size_t last = first;
    while (last < space->segments.count && items[last].end <= end)
        last++;
    if (last < space->segments.count && items[last].start < end) {
        items[last].file_offset += end - items[last].start;
        items[last].start = end;
    }
    if (last > first)
        memmove(items + first, items + last, (space->segments.count - last) * sizeof *items);
    space->segments.count -= last - first;
    return first;
}

static uint64_t bias_of(const struct module *module, const struct mapping *mapping)
{
    uint64_t vaddr;
    switch (module->kind) {
    case MODULE_VDSO:
        return mapping->start;
    case MODULE_FILE:
        if (module->elf && elf_file_vaddr_of_offset(module->elf, mapping->file_offset, &vaddr))
            return mapping->start - vaddr;
        return mapping->start - mapping->file_offset;
    default:
        return 0;
    }
}

void space_map(struct space *space, struct modules *modules, const struct mapping *mapping)
{
    uint64_t end;
    if (!mapping->size || __builtin_add_overflow(mapping->start, mapping->size, &end) ||
        !strcmp(mapping->path, "[vsyscall]"))
        return;
    struct module *module = module_get(modules, space->pid, mapping);
    if (!module || space->segments.count + 2 >= LIMIT_SEGMENTS)
        return;
    uint64_t bias = bias_of(module, mapping);
    const struct segment *old = space_find(space, mapping->start);
    if (old && old->end >= end && old->module == module && old->bias == bias)
        return; /* mprotect to and fro, or JIT pages within one region: nothing is new */
    size_t at = carve(space, mapping->start, end);
    vec_reserve(&space->segments, space->segments.count + 1);
    struct segment *items = space->segments.items;
    memmove(items + at + 1, items + at, (space->segments.count - at) * sizeof *items);
    items[at] = (struct segment){mapping->start, end, bias, mapping->file_offset, module};
    space->segments.count++;
    changed(space, modules);
}

/* start-end perms offset major:minor inode path (proc_pid_maps(5)). */
static void parse_line(struct space *space, struct modules *modules, char *line)
{
    uint64_t start, end, offset, inode;
    unsigned major_number, minor_number;
    char permissions[5];
    int path_at = -1;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &start, &end,
               permissions, &offset, &major_number, &minor_number, &inode, &path_at) < 7 ||
        path_at < 0 || strlen(permissions) != 4 || permissions[2] != 'x' || end <= start)
        return;
    space_map(space, modules,
              &(struct mapping){
                  .start = start,
                  .size = end - start,
                  .file_offset = offset,
                  .device = makedev(major_number, minor_number),
                  .inode = inode,
                  .path = line + path_at,
              });
}

void space_parse(struct space *space, struct modules *modules, const char *text, size_t length)
{
    char line[LIMIT_PATH_BYTES + 128];
    while (length) {
        const char *newline = memchr(text, '\n', length);
        size_t size = newline ? (size_t)(newline - text) : length;
        if (size < sizeof line) {
            memcpy(line, text, size);
            line[size] = '\0';
            parse_line(space, modules, line);
        }
        size += newline != NULL;
        text += size;
        length -= size;
    }
}

/* The mappings as a process or thread sees them; false if there are none (its memory is gone). */
static bool read_maps(struct space *space, struct modules *modules, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    _cleanup_fclose_ FILE *maps = fopen(path, "re");
    _cleanup_free_ char *line = NULL;
    size_t capacity = 0;
    bool any = false;
    for (ssize_t length; maps && (length = getline(&line, &capacity, maps)) > 0; any = true)
        space_parse(space, modules, line, (size_t)length);
    return any;
}

int space_read(struct space *space, struct modules *modules, struct error *err)
{
    char path[64];
    if (read_maps(space, modules, space->pid))
        return 0;
    /* A main thread that has ended has no memory any more: ask the others. */
    snprintf(path, sizeof path, "/proc/%d/task", space->pid);
    DIR *tasks = opendir(path);
    bool found = false;
    for (struct dirent *entry; tasks && !found && (entry = readdir(tasks));) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (tid <= 0 || tid == space->pid)
            continue;
        struct space seen = {.pid = tid, .generation = space->generation};
        found = read_maps(&seen, modules, tid);
        if (found) {
            space_release(space);
            *space = seen;
        } else {
            space_release(&seen);
        }
    }
    if (tasks)
        closedir(tasks);
    return found ? 0
                 : error_set(err, ERROR_GONE, "cannot read the mappings of %d: it has ended",
                             space->pid);
}
