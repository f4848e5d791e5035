/*
 * js_functions - all functions of a Node.js that stands still, as memprof reads them.
 *
 *     js_functions -o FILE -- COMMAND…
 *
 * Runs the command until it sends itself SIGSTOP, finds every SharedFunctionInfo in its memory by
 * the type of its map, and writes a line of JSON for each that v8_function_read can read:
 * {"script", "name", "file", "line", "column"}, and for those that it can't {"refused": ADDRESS}.
 * Then the command goes on. It judges nothing: the tests compare. The exit status is the
 * command's.
 */
#include "core/alloc.h"
#include "core/hash.h"
#include "output/json.h"
#include "symbolize/v8_function.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAPS_CACHED = 1 << 20 };
#define REGION_BYTES_MAX ((size_t)1 << 30)

struct region { /* of the command's memory, copied */
    uint64_t start, end;
    uint8_t *data; /* owned */
};

static vec(struct region) regions;
static struct { /* by its address, what a map is of; direct-mapped */
    uint64_t map;
    uint16_t type;
} maps[MAPS_CACHED];

static struct output_file output;
static struct v8_heap heap;
static struct v8_scripts *scripts;
static struct strings strings; /* of the functions */
static struct remote_memory process;
static pid_t child;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "js_functions: %s: %s\n", what, why);
    if (child)
        kill(child, SIGKILL);
    exit(2);
}

/* From the copy; what is not in it, such as sources in the executable, from the command itself. */
static bool read_memory(const void *context, uint64_t address, void *into, size_t size)
{
    (void)context;
    size_t low = 0, high = regions.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (regions.items[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    const struct region *region = low < regions.count ? &regions.items[low] : NULL;
    if (!region || address < region->start || size > region->end - address)
        return remote_read(&process, address, into, size);
    memcpy(into, region->data + (address - region->start), size);
    return true;
}

/* All private memory that is no file's. */
static void copy_memory(void)
{
    char path[64], line[4352], permissions[5];
    snprintf(path, sizeof path, "/proc/%d/maps", child);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    uint64_t start, end, inode;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, &start, &end, permissions,
                   &inode) != 4 ||
            inode || permissions[0] != 'r' || permissions[3] != 'p' ||
            end - start > REGION_BYTES_MAX)
            continue;
        struct region region = {start, end, xmalloc(end - start)};
        if (remote_read(&process, start, region.data, end - start))
            vec_append(&regions, region);
        else
            free(region.data);
    }
}

static bool is_shared_function_info(uint64_t map)
{
    uint64_t slot = hash_mix(map) & (MAPS_CACHED - 1);
    if (!v8_is_object(map) || map % 8 != V8_HEAP_OBJECT_TAG)
        return false;
    if (maps[slot].map != map) {
        maps[slot].map = map;
        maps[slot].type = v8_type_of_map(&heap, map);
    }
    return maps[slot].type == heap.layout.shared_function_info;
}

static void write_function(uint64_t object)
{
    struct v8_function function;
    if (!v8_function_read(&heap, scripts, &strings, object, &function)) {
        output_printf(&output, "{\"refused\":%" PRIu64 "}\n", object);
        return;
    }
    output_printf(&output, "{\"script\":%u,\"line\":%u,\"column\":%u,\"name\":", function.script_id,
                  function.line, function.column);
    json_write_string(&output, strings_get(&strings, function.name));
    output_printf(&output, ",\"file\":");
    json_write_string(&output, strings_get(&strings, function.file));
    output_printf(&output, "}\n");
}

static void write_functions(void)
{
    for (size_t i = 0; i < regions.count; i++) {
        const struct region *region = &regions.items[i];
        for (uint64_t at = region->start; at < region->end; at += 8) {
            uint64_t map;
            memcpy(&map, region->data + (at - region->start), sizeof map);
            if (is_shared_function_info(map))
                write_function(at + V8_HEAP_OBJECT_TAG);
        }
    }
}

static void start(char **command)
{
    child = fork();
    if (child < 0)
        fail("fork", strerror(errno));
    if (!child) {
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    process.pid = child;
    heap.memory.image = read_memory;
}

static void read_layout(void)
{
    char path[64];
    struct error err = {0};
    struct elf_file *executable;
    snprintf(path, sizeof path, "/proc/%d/exe", child);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail(path, strerror(errno));
    if (elf_file_open(fd, path, &executable, &err) ||
        v8_layout_read(executable, &heap.layout, &err))
        fail(path, err.text);
    elf_file_free(executable);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    int status = 0;
    if (argc < 5 || strcmp(argv[1], "-o") != 0 || strcmp(argv[3], "--") != 0) {
        fprintf(stderr, "usage: js_functions -o FILE -- COMMAND…\n");
        return 2;
    }
    if (output_file_open(argv[2], &output, &err))
        fail(argv[2], err.text);
    scripts = v8_scripts_new();
    start(argv + 4);
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
        fail(argv[4], "has not stopped itself");
    read_layout();
    copy_memory();
    write_functions();
    if (output_file_commit(&output, &err))
        fail(argv[2], err.text);
    kill(child, SIGCONT);
    if (waitpid(child, &status, 0) != child)
        fail("waitpid", strerror(errno));
    for (size_t i = 0; i < regions.count; i++)
        free(regions.items[i].data);
    vec_release(&regions);
    v8_scripts_free(scripts);
    strings_release(&strings);
    output_file_release(&output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
