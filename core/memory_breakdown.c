/*
 * memory_breakdown.c - the text of smaps to bytes by kind of mapping.
 *
 * smaps is a header line for each mapping, as in /proc/PID/maps, and lines "Name: N kB" for
 * its numbers. A header decides where the mapping's Rss goes; of the numbers only Rss and Swap
 * count, unknown ones are passed over, for each kernel adds some. The text of a process with
 * 30,000 mappings is 20 MB, so it is taken line by line and only the sums are held.
 *
 * Invariant: heap + stacks + anonymous + shared + vdso + all files is the sum of all Rss.
 */
#include "core/memory.h"

#include "core/limits.h"

#include <inttypes.h>
#include <string.h>

enum {
    /* A header without its path is under 100 bytes; the kernel escapes newlines in fours. */
    LINE_BYTES = 4 * LIMIT_PATH_BYTES + 256,
    GUARD_BYTES = 64 << 10, /* the largest PROT_NONE mapping that is taken for a guard */
    STACK_BYTES = 16 << 10, /* PTHREAD_STACK_MIN: what is smaller is no stack */
};

struct mapping {
    uint64_t start, end;
    char permissions[4];
    uint64_t inode;
    const char *path; /* into the line, not terminated */
    size_t path_length;
};

static int parse_hex(const char **at, const char *end, uint64_t *ret)
{
    uint64_t value = 0;
    const char *p = *at;
    for (; p < end; p++) {
        unsigned digit;
        if (*p >= '0' && *p <= '9')
            digit = (unsigned)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            digit = (unsigned)(*p - 'a') + 10;
        else
            break;
        if (value >> 60)
            return -1;
        value = value << 4 | digit;
    }
    if (p == *at)
        return -1;
    *at = p;
    *ret = value;
    return 0;
}

static int parse_decimal(const char **at, const char *end, uint64_t *ret)
{
    uint64_t value = 0;
    const char *p = *at;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (unsigned)(*p - '0'), &value))
            return -1;
    }
    if (p == *at)
        return -1;
    *at = p;
    *ret = value;
    return 0;
}

static int skip(const char **at, const char *end, char c)
{
    if (*at == end || **at != c)
        return -1;
    (*at)++;
    return 0;
}

/* START-END PERM OFFSET MAJOR:MINOR INODE   PATH */
static int parse_header(const char *at, const char *end, struct mapping *ret)
{
    uint64_t unused;
    if (parse_hex(&at, end, &ret->start) || skip(&at, end, '-') || parse_hex(&at, end, &ret->end) ||
        skip(&at, end, ' ') || ret->end < ret->start || end - at < 4)
        return -1;
    memcpy(ret->permissions, at, 4);
    at += 4;
    if (skip(&at, end, ' ') || parse_hex(&at, end, &unused) || skip(&at, end, ' ') ||
        parse_hex(&at, end, &unused) || skip(&at, end, ':') || parse_hex(&at, end, &unused) ||
        skip(&at, end, ' ') || parse_decimal(&at, end, &ret->inode))
        return -1;
    while (at < end && *at == ' ')
        at++;
    ret->path = at;
    ret->path_length = (size_t)(end - at);
    return 0;
}

static bool path_starts(const struct mapping *mapping, const char *prefix)
{
    size_t length = strlen(prefix);
    return mapping->path_length >= length && !memcmp(mapping->path, prefix, length);
}

static bool path_is(const struct mapping *mapping, const char *path)
{
    return mapping->path_length == strlen(path) && path_starts(mapping, path);
}

static uint64_t hash_of_file(const void *context, uint32_t id)
{
    const struct memory_breakdown *sums = context;
    return hash_bytes(sums->files.items[id].path, strlen(sums->files.items[id].path));
}

static int find_file(struct memory_parser *parser, const struct mapping *mapping, struct error *err)
{
    struct memory_breakdown *sums = &parser->sums;
    _cleanup_free_ char *path = xstrndup(mapping->path, mapping->path_length);
    uint64_t hash = hash_bytes(path, strlen(path));
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&parser->files, &probe, &id);) {
        if (!strcmp(sums->files.items[id].path, path)) {
            parser->current_file = id;
            return 0;
        }
    }
    if (sums->files.count == LIMIT_MODULES)
        return error_set(err, ERROR_LIMIT, "smaps: more than %d files", LIMIT_MODULES);
    vec_push(&sums->files)->path = steal(&path);
    parser->current_file = sums->files.count - 1;
    hash_insert(&parser->files, hash, (uint32_t)parser->current_file, hash_of_file, sums);
    return 0;
}

static bool is_kernels_own(const struct mapping *mapping)
{
    return path_is(mapping, "[vdso]") || path_starts(mapping, "[vvar") ||
           path_is(mapping, "[vsyscall]") || path_is(mapping, "[uprobes]");
}

static bool is_shared_memory(const struct mapping *mapping)
{
    if (mapping->permissions[3] != 's')
        return false;
    return !mapping->path_length || path_starts(mapping, "/dev/zero") ||
           path_starts(mapping, "/memfd:") || path_starts(mapping, "/dev/shm/") ||
           path_starts(mapping, "/SYSV") || path_starts(mapping, "[anon_shmem:");
}

static int start_mapping(struct memory_parser *parser, const struct mapping *mapping,
                         struct error *err)
{
    struct memory_breakdown *sums = &parser->sums;
    bool named = mapping->path_length > 0;
    bool anonymous = !mapping->inode && (!named || mapping->path[0] == '[');
    uint64_t size = mapping->end - mapping->start;
    bool above_guard = parser->guard_end && parser->guard_end == mapping->start;
    bool guard = anonymous && !named && !memcmp(mapping->permissions, "---p", 4);

    parser->guard_end = guard && size <= GUARD_BYTES ? mapping->end : 0;
    parser->in_mapping = true;
    sums->mappings++;
    if (is_shared_memory(mapping))
        parser->current = &sums->shared;
    else if (!anonymous)
        parser->current = NULL;
    else if (path_is(mapping, "[heap]"))
        parser->current = &sums->heap;
    else if (path_starts(mapping, "[stack"))
        parser->current = &sums->stacks;
    else if (is_kernels_own(mapping))
        parser->current = &sums->vdso;
    else if (!named && above_guard && size >= STACK_BYTES &&
             !memcmp(mapping->permissions, "rw-p", 4))
        parser->current = &sums->stacks;
    else
        parser->current = &sums->anonymous;
    return parser->current ? 0 : find_file(parser, mapping, err);
}

static int add_number(uint64_t *sum, const char *at, const char *end)
{
    uint64_t kilobytes, bytes;
    while (at < end && *at == ' ')
        at++;
    if (parse_decimal(&at, end, &kilobytes) || end - at != 3 || memcmp(at, " kB", 3))
        return -1;
    if (__builtin_mul_overflow(kilobytes, 1024u, &bytes) ||
        __builtin_add_overflow(*sum, bytes, sum))
        return -1;
    return 0;
}

static int parse_line(struct memory_parser *parser, const char *line, size_t length,
                      struct error *err)
{
    const char *end = line + length;
    struct mapping mapping;
    if (!parse_header(line, end, &mapping))
        return start_mapping(parser, &mapping, err);
    const char *colon = memchr(line, ':', length);
    bool is_field = length && ((line[0] | 0x20) >= 'a' && (line[0] | 0x20) <= 'z') && colon &&
                    !memchr(line, ' ', (size_t)(colon - line));
    if (!is_field || !parser->in_mapping)
        return error_set(err, ERROR_FORMAT, "smaps: a line is neither a mapping nor a number");
    uint64_t *sum = NULL;
    if (colon - line == 3 && !memcmp(line, "Rss", 3))
        sum = parser->current ? parser->current
                              : &parser->sums.files.items[parser->current_file].bytes;
    else if (colon - line == 4 && !memcmp(line, "Swap", 4))
        sum = &parser->sums.swap;
    if (sum && add_number(sum, colon + 1, end))
        return error_set(err, ERROR_FORMAT, "smaps: a number is malformed or too large");
    return 0;
}

static int keep_partial(struct memory_parser *parser, const char *text, size_t length,
                        struct error *err)
{
    if (!length)
        return 0;
    if (parser->line.count + length > LINE_BYTES)
        return error_set(err, ERROR_LIMIT, "smaps: a line is longer than %d bytes", LINE_BYTES);
    vec_reserve(&parser->line, parser->line.count + length);
    memcpy(parser->line.items + parser->line.count, text, length);
    parser->line.count += length;
    return 0;
}

int memory_parser_feed(struct memory_parser *parser, const char *text, size_t length,
                       struct error *err)
{
    const char *end = text + length;
    parser->bytes += length;
    if (parser->bytes > LIMIT_MAPS_BYTES)
        return error_set(err, ERROR_LIMIT, "smaps: longer than %" PRIu64 " bytes",
                         LIMIT_MAPS_BYTES);
    for (const char *newline; text < end && (newline = memchr(text, '\n', (size_t)(end - text)));
         text = newline + 1) {
        const char *line = text;
        size_t line_length = (size_t)(newline - text);
        if (parser->line.count) {
            if (keep_partial(parser, text, line_length, err))
                return -1;
            line = parser->line.items;
            line_length = parser->line.count;
        }
        if (line_length > LINE_BYTES)
            return error_set(err, ERROR_LIMIT, "smaps: a line is longer than %d bytes", LINE_BYTES);
        if (parse_line(parser, line, line_length, err))
            return -1;
        parser->line.count = 0;
    }
    return keep_partial(parser, text, (size_t)(end - text), err);
}

static int compare_files(const void *a, const void *b)
{
    const struct memory_file *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return strcmp(x->path, y->path);
}

int memory_parser_finish(struct memory_parser *parser, struct memory_breakdown *ret,
                         struct error *err)
{
    if (parser->line.count)
        return error_set(err, ERROR_FORMAT, "smaps: ends in the middle of a line");
    struct memory_breakdown *sums = &parser->sums;
    if (sums->files.count)
        qsort(sums->files.items, sums->files.count, sizeof *sums->files.items, compare_files);
    *ret = *sums;
    *sums = (struct memory_breakdown){0};
    return 0;
}

void memory_parser_release(struct memory_parser *parser)
{
    memory_breakdown_release(&parser->sums);
    hash_release(&parser->files);
    vec_release(&parser->line);
}

int memory_breakdown_parse(const char *text, size_t length, struct memory_breakdown *ret,
                           struct error *err)
{
    _cleanup_(memory_parser_release) struct memory_parser parser = {0};
    if (memory_parser_feed(&parser, text, length, err))
        return -1;
    return memory_parser_finish(&parser, ret, err);
}

void memory_breakdown_release(struct memory_breakdown *breakdown)
{
    for (size_t i = 0; i < breakdown->files.count; i++)
        free(breakdown->files.items[i].path);
    vec_release(&breakdown->files);
}
