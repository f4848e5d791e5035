/*
 * annotate_source.c - the lines of an annotated function and what is written there.
 *
 * A file's lines are listed from the function's definition, or the first line that it has code
 * of, to the last one that it has code of, if the file can be read; else only the lines that
 * have code or ticks. A source is any regular file that debug information names: it is read
 * up to the last line that is wanted, with a bound on its size, and long lines are cut.
 */
#include "symbolize/annotate_internal.h"

#include "core/file_url.h"
#include "core/limits.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

void annotation_note(struct annotation *annotation, const char *format, ...)
{
    char text[LIMIT_PATH_BYTES + 256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    string_id note = strings_intern(&annotation->strings, text);
    for (size_t i = 0; i < annotation->notes.count; i++)
        if (annotation->notes.items[i] == note)
            return;
    vec_append(&annotation->notes, note);
}

static uint64_t file_hash(const void *context, uint32_t id)
{
    return hash_mix(((const struct annotation *)context)->files.items[id].path);
}

static uint32_t collect_file(struct line_collector *lines, string_id path)
{
    struct annotation *annotation = lines->annotation;
    uint64_t hash = hash_mix(path);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&lines->files, &probe, &id);)
        if (annotation->files.items[id].path == path)
            return id;
    uint32_t id = (uint32_t)annotation->files.count;
    *vec_push(&annotation->files) = (struct annotated_file){.path = path};
    hash_insert(&lines->files, hash, id, file_hash, annotation);
    return id;
}

static uint64_t line_hash(const void *context, uint32_t id)
{
    const struct annotated_line *line = &((const struct annotation *)context)->lines.items[id];
    return hash_combine(line->file, line->line);
}

uint32_t collect_line(struct line_collector *lines, string_id file, uint32_t line, uint32_t defined,
                      uint64_t ticks)
{
    struct annotation *annotation = lines->annotation;
    uint32_t file_position = collect_file(lines, file), found = ANNOTATION_NO_LINE;
    struct annotated_file *in = &annotation->files.items[file_position];
    in->ticks += ticks;
    if (defined && (!in->first_line || defined < in->first_line))
        in->first_line = defined;
    uint64_t hash = hash_combine(file_position, line);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; found == ANNOTATION_NO_LINE && hash_next(&lines->lines, &probe, &id);)
        if (annotation->lines.items[id].file == file_position &&
            annotation->lines.items[id].line == line)
            found = id;
    if (found == ANNOTATION_NO_LINE) {
        found = (uint32_t)annotation->lines.count;
        *vec_push(&annotation->lines) =
            (struct annotated_line){.file = file_position, .line = line};
        hash_insert(&lines->lines, hash, found, line_hash, annotation);
    }
    annotation->lines.items[found].ticks += ticks;
    return found;
}

void line_collector_release(struct line_collector *lines)
{
    hash_release(&lines->lines);
    hash_release(&lines->files);
}

struct source {
    char *text; /* NULL: it can't be read */
    size_t length;
    uint64_t changed_s; /* its time of modification, CLOCK_REALTIME */
};

static void source_release(struct source *source)
{
    free(source->text);
}

/* As many bytes as a regular file says that it has, whatever it gives then; -1 if there are none.
 */
static int source_read_path(const char *path, struct source *ret_source)
{
    _cleanup_close_ int fd = elf_open_regular(path);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) || status.st_size <= 0 || status.st_size > LIMIT_SOURCE_BYTES)
        return -1;
    _cleanup_free_ char *text = xmalloc((size_t)status.st_size);
    size_t length = 0;
    for (ssize_t got = 1; got > 0 && length < (size_t)status.st_size; length += (size_t)got) {
        got = read(fd, text + length, (size_t)status.st_size - length);
        if (got < 0)
            return -1;
    }
    *ret_source = (struct source){steal(&text), length, (uint64_t)status.st_mtim.tv_sec};
    return 0;
}

static int source_read(const char *url, const char *root, struct source *ret_source)
{
    _cleanup_free_ char *path = file_url_path(url);
    if (root) {
        _cleanup_free_ char *below = xasprintf("%s/%s", root, path);
        if (!source_read_path(below, ret_source))
            return 0;
    }
    return source_read_path(path, ret_source);
}

static string_id intern_source(struct strings *strings, const char *text, size_t length)
{
    if (length && text[length - 1] == '\r')
        length--;
    if (length <= LIMIT_SOURCE_LINE_BYTES)
        return strings_intern_length(strings, text, length);
    /* Not within a character of UTF-8. */
    length = LIMIT_SOURCE_LINE_BYTES;
    while (length && (text[length] & 0xc0) == 0x80)
        length--;
    _cleanup_free_ char *cut = xasprintf("%.*s …", (int)length, text);
    return strings_intern(strings, cut);
}

/* Gives lines[0, count), which ascend, their text. */
static void set_texts(const struct source *source, struct strings *strings,
                      struct annotated_line *lines, size_t count)
{
    const char *text = source->text, *end = source->text + source->length;
    size_t at = 0;
    for (uint32_t number = 1; at < count && text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;
        while (at < count && lines[at].line < number)
            at++;
        if (at < count && lines[at].line == number)
            lines[at].source = intern_source(strings, text, (size_t)(line_end - text));
        text = newline ? newline + 1 : end;
    }
}

static int line_compare(const void *left, const void *right)
{
    const struct annotated_line *a = left, *b = right;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

typedef vec(struct annotated_line) line_vec;

/* Appends a file's lines, which ascend, and with `gapless` all between them, the definition's on.
 */
static void append_lines(line_vec *all, const struct annotated_line *lines, size_t count,
                         const struct annotated_file *file, bool gapless)
{
    size_t at = 0;
    while (at < count && !lines[at].line)
        vec_append(all, lines[at++]);
    if (at == count)
        return;
    uint32_t next = lines[at].line, last = lines[count - 1].line;
    if (file->first_line && file->first_line < next)
        next = file->first_line;
    gapless = gapless && last - next < LIMIT_SOURCE_LINES;
    for (; at < count; next = lines[at++].line + 1) {
        for (; gapless && next < lines[at].line; next++)
            vec_append(all, ((struct annotated_line){.file = lines[at].file, .line = next}));
        vec_append(all, lines[at]);
    }
}

/* The instructions' positions in the lines that were collected become those in `all`. */
static void renumber(struct annotation *annotation, const line_vec *all)
{
    for (size_t i = 0; i < annotation->instructions.count; i++) {
        uint32_t *position = &annotation->instructions.items[i].line;
        if (*position == ANNOTATION_NO_LINE)
            continue;
        const struct annotated_line *line = bsearch(&annotation->lines.items[*position], all->items,
                                                    all->count, sizeof *all->items, line_compare);
        *position = (uint32_t)(line - all->items);
    }
}

struct file_rank {
    uint64_t ticks;
    uint32_t file;
};

static int rank_compare(const void *left, const void *right)
{
    const struct file_rank *a = left, *b = right;
    if (a->ticks != b->ticks)
        return a->ticks > b->ticks ? -1 : 1;
    return (a->file > b->file) - (a->file < b->file);
}

/* Files by ticks; the lines' positions follow. */
static void order_files(struct annotation *annotation)
{
    size_t count = annotation->files.count;
    _cleanup_free_ struct file_rank *ranks = xcalloc(count, sizeof *ranks);
    _cleanup_free_ uint32_t *places = xcalloc(count, sizeof *places);
    _cleanup_free_ struct annotated_file *files = xcalloc(count, sizeof *files);
    for (uint32_t i = 0; i < count; i++)
        ranks[i] = (struct file_rank){annotation->files.items[i].ticks, i};
    qsort(ranks, count, sizeof *ranks, rank_compare);
    for (uint32_t i = 0; i < count; i++) {
        files[i] = annotation->files.items[ranks[i].file];
        places[ranks[i].file] = i;
    }
    memcpy(annotation->files.items, files, count * sizeof *files);
    for (size_t i = 0; i < annotation->lines.count; i++)
        annotation->lines.items[i].file = places[annotation->lines.items[i].file];
}

/* Appends the lines of one file, with their text if it can be read. */
static void finish_file(struct annotation *annotation, line_vec *all,
                        const struct annotated_line *lines, size_t count, const char *source_root,
                        uint64_t recorded_us)
{
    struct annotated_file *file = &annotation->files.items[lines->file];
    const char *path = annotation_string(annotation, file->path);
    _cleanup_(source_release) struct source source = {0};
    size_t first = all->count;
    file->readable = !source_read(path, source_root, &source);
    append_lines(all, lines, count, file, file->readable);
    if (!file->readable) {
        annotation_note(annotation, "cannot read the source %s; --source-root can name its folder",
                        path);
        return;
    }
    set_texts(&source, &annotation->strings, all->items + first, all->count - first);
    if (recorded_us && source.changed_s > recorded_us / 1000000)
        annotation_note(annotation, "%s changed after the recording: its lines may be others",
                        path);
}

void finish_lines(struct line_collector *lines, const char *source_root, uint64_t recorded_us)
{
    struct annotation *annotation = lines->annotation;
    size_t count = annotation->lines.count;
    line_vec all = {0};
    if (!count)
        return;
    order_files(annotation);
    _cleanup_free_ struct annotated_line *sorted = xcalloc(count, sizeof *sorted);
    memcpy(sorted, annotation->lines.items, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, line_compare);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && sorted[next].file == sorted[i].file; next++)
            ;
        finish_file(annotation, &all, sorted + i, next - i, source_root, recorded_us);
    }
    renumber(annotation, &all);
    vec_release(&annotation->lines);
    annotation->lines.items = all.items;
    annotation->lines.count = all.count;
    annotation->lines.capacity = all.capacity;
}
