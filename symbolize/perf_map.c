/*
 * perf_map.c - the ranges are kept, the names are not: node's map grows to 100 MB, of which a
 * recording asks for some thousand names. The value of a range is the offset of its line, which
 * is read again when the name is wanted.
 *
 * Only whole lines are taken; the rest of the last one waits for its newline. That a file was
 * written anew shows in its size, in the bytes before the place up to which it was read, or in
 * a line that is not the one it was.
 */
#include "symbolize/perf_map.h"

#include "core/limits.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 1 << 18, /* also the longest line that is read */
    UPDATE_BYTES = 1 << 19, /* read by one update: some 4 ms of work */
    TAIL_BYTES = 64,
    NUMBERS_BYTES = 64 /* what a line has before its name: twice "0x", 16 digits, a space */
};

struct perf_map {
    int fd;
    struct code_layers code;
    uint64_t offset;         /* up to which whole lines were taken */
    uint64_t size;           /* at the last update … */
    struct timespec written; /* … and when it had been modified */
    bool behind;             /* there are lines between offset and size */
    bool skipping;           /* offset lies within a line that is too long */
    bool changed;            /* a line is not the one it was */
    char tail[TAIL_BYTES];   /* the bytes before offset */
    size_t tail_length;
    char *line; /* for perf_map_find */
};

struct line {
    uint64_t start, end;
    const char *name;
    size_t length;
};

struct perf_map *perf_map_new(int fd)
{
    struct perf_map *map = xcalloc(1, sizeof *map);
    map->fd = fd;
    return map;
}

void perf_map_free(struct perf_map *map)
{
    if (!map)
        return;
    code_layers_release(&map->code);
    close(map->fd);
    free(map->line);
    free(map);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A number and the space behind it; NULL if there is none. The JVM writes 0x before its own. */
static const char *take_hex(const char *at, const char *end, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (end - at > 2 && at[0] == '0' && (at[1] | 0x20) == 'x')
        at += 2;
    const char *digits = at;
    for (; at < end && at - digits < 16 && hex_digit(*at) >= 0; at++)
        number = number << 4 | (uint64_t)hex_digit(*at);
    if (at == digits || at == end || *at != ' ')
        return NULL;
    *ret_number = number;
    return at + 1;
}

/* False for what is no line of a map. */
static bool line_parse(const char *at, const char *end, struct line *ret)
{
    uint64_t size;
    at = take_hex(at, end, &ret->start);
    at = at ? take_hex(at, end, &size) : NULL;
    if (!at || at == end || !size || size > LIMIT_GENERATED_BYTES ||
        __builtin_add_overflow(ret->start, size, &ret->end))
        return false;
    ret->name = at;
    ret->length = (size_t)(end - at);
    return true;
}

static size_t read_at(const struct perf_map *map, char *buffer, size_t size, uint64_t offset)
{
    ssize_t got = pread(map->fd, buffer, size, (off_t)offset);
    return got > 0 ? (size_t)got : 0;
}

static bool tail_is_the_same(const struct perf_map *map)
{
    char tail[TAIL_BYTES];
    return read_at(map, tail, map->tail_length, map->offset - map->tail_length) ==
               map->tail_length &&
           !memcmp(tail, map->tail, map->tail_length);
}

/* Whether there is anything to read. Starts from the beginning if the file was written anew. */
static bool has_changed(struct perf_map *map, struct code_news *news)
{
    struct stat status;
    if (fstat(map->fd, &status))
        return false;
    uint64_t size = (uint64_t)status.st_size;
    if (size == map->size && status.st_mtim.tv_sec == map->written.tv_sec &&
        status.st_mtim.tv_nsec == map->written.tv_nsec && !map->changed)
        return map->behind;
    map->size = size;
    map->written = status.st_mtim;
    if (map->changed || size < map->offset || !tail_is_the_same(map)) {
        code_layers_release(&map->code);
        map->offset = map->tail_length = 0;
        map->skipping = map->changed = false;
        news->replaced = true;
    }
    return true;
}

static void add_line(struct perf_map *map, const char *at, const char *end, uint64_t offset,
                     struct code_news *news)
{
    struct line line;
    if (!line_parse(at, end, &line) || map->code.ranges.count >= LIMIT_CODE_RANGES)
        return;
    news->added = true;
    news->replaced = news->replaced || code_layers_overlaps(&map->code, line.start, line.end);
    code_layers_add(&map->code, line.start, line.end, (uint32_t)offset);
}

/* Takes the whole lines of what was read at map->offset; how many bytes they are. */
static size_t take_lines(struct perf_map *map, const char *buffer, size_t size,
                         struct code_news *news)
{
    const char *at = buffer, *end = buffer + size;
    for (const char *newline; at < end && (newline = memchr(at, '\n', (size_t)(end - at)));
         at = newline + 1) {
        if (!map->skipping)
            add_line(map, at, newline, map->offset + (uint64_t)(at - buffer), news);
        map->skipping = false;
    }
    if (at == buffer && size == BUFFER_BYTES) {
        map->skipping = true;
        return size;
    }
    return (size_t)(at - buffer);
}

static void read_on(struct perf_map *map, struct code_news *news)
{
    uint64_t size = map->size < LIMIT_CODE_FILE_BYTES ? map->size : LIMIT_CODE_FILE_BYTES;
    uint64_t stop = map->offset + UPDATE_BYTES;
    map->behind = false;
    if (map->offset >= size)
        return;
    size_t capacity = size - map->offset < BUFFER_BYTES ? size - map->offset : BUFFER_BYTES;
    _cleanup_free_ char *buffer = xmalloc(capacity);
    while (map->offset < size) {
        if (map->offset >= stop) {
            map->behind = true;
            return;
        }
        size_t wanted = size - map->offset < capacity ? size - map->offset : capacity;
        size_t taken = take_lines(map, buffer, read_at(map, buffer, wanted, map->offset), news);
        if (!taken)
            return;
        map->tail_length = taken < TAIL_BYTES ? taken : TAIL_BYTES;
        memcpy(map->tail, buffer + taken - map->tail_length, map->tail_length);
        map->offset += taken;
    }
}

void perf_map_update(struct perf_map *map, struct code_news *ret_news)
{
    struct code_news news = {0};
    if (has_changed(map, &news))
        read_on(map, &news);
    news.behind = map->behind;
    *ret_news = news;
}

const char *perf_map_find(struct perf_map *map, uint64_t pc)
{
    enum { LINE_BYTES = NUMBERS_BYTES + LIMIT_SYMBOL_BYTES };
    uint32_t offset;
    struct line line;
    if (!code_layers_find(&map->code, pc, &offset))
        return NULL;
    if (!map->line)
        map->line = xmalloc(LINE_BYTES + 1);
    size_t got = read_at(map, map->line, LINE_BYTES, offset);
    char *end = memchr(map->line, '\n', got);
    end = end ? end : map->line + got;
    *end = '\0';
    if (!line_parse(map->line, end, &line) || pc < line.start || pc >= line.end) {
        map->changed = true;
        return NULL;
    }
    return line.name;
}
