/*
 * The writer remembers how far each table was written; tables only grow, but for names of threads
 * and the values, of which it has a copy to see what changed. A reader counts each sample as one
 * tick, and so does the copy: what then differs from the profile is all that must be written, and
 * in most recordings that is nothing. (Written plainly, the values would take as much room as the
 * samples: half a second at 1 kHz changes hundreds of nodes.)
 *
 * Tables come before what refers to them, so that the file can be cut behind any block. A block is
 * one write(2).
 */
#include "core/journal.h"

#include "core/journal_block.h"
#include "core/limits.h"
#include "core/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_SPLIT_BYTES = 256 * 1024 };

struct written_values { /* what a reader makes of the file so far */
    vec(uint64_t) self;
};

typedef vec(uint64_t) written_ticks; /* by position in a table of lines */

struct written_thread { /* the same of a thread */
    uint64_t ticks, waiting, runnable;
};

struct journal {
    int fd;
    char *path; /* NULL: without a name */
    uint64_t end;
    vec(uint8_t) buffer; /* the block that is being made */
    size_t strings, modules, frames, nodes, metrics, series, events;
    vec(frame_id) unnamed; /* written frames that may yet get a name */
    vec(string_id) thread_names;
    vec(struct written_thread) threads;
    vec(struct written_values) values; /* by metric */
    vec(uint64_t) point_times;         /* by series: of its last point */
    written_ticks lines, calls;
};

static struct journal *journal_new(int fd, const char *path)
{
    struct journal *journal = xcalloc(1, sizeof *journal);
    journal->fd = fd;
    journal->path = path ? xstrdup(path) : NULL;
    /* What every profile has from the start, its reader's too, is not written. */
    _cleanup_profile_ struct profile *empty = profile_new();
    journal->strings = empty->strings.count;
    journal->modules = empty->modules.count;
    journal->frames = empty->frames.count;
    journal->nodes = empty->nodes.count;
    return journal;
}

/* --- files --- */

/* Tells whether a journal that is in the way is in use. */
static int refuse_existing(const char *path, struct error *err)
{
    struct journal_head head = {0};
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK)
        return error_set(err, ERROR_USAGE,
                         "%s is being written by another memprof (%u); give another -o", path,
                         read_at(fd, 0, &head, sizeof head) ? head.writer : 0);
    return error_set(err, ERROR_USAGE,
                     "%s is there already, from a recording that was killed; `memprof recover %s` "
                     "makes its file, or remove it",
                     path, path);
}

static int write_all(struct journal *journal, const void *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t written = pwrite(journal->fd, (const uint8_t *)bytes + done, length - done,
                                 (off_t)(journal->end + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            /* What was written of the block stays: a reader stops before it. */
            errno = written < 0 ? errno : ENOSPC;
            return -1;
        }
        done += (size_t)written;
    }
    journal->end += length;
    return 0;
}

static int write_head(struct journal *journal, struct error *err)
{
    struct journal_head head = journal_head_now();
    if (!write_all(journal, &head, sizeof head))
        return 0;
    return error_set_errno(err, "cannot write %s", journal->path ? journal->path : "samples");
}

int journal_create(const char *path, struct journal **ret_journal, struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return refuse_existing(path, err);
    if (fd < 0)
        return error_set_errno(err, "cannot write %s", path);
    struct journal *journal = journal_new(fd, path);
    /* File systems without locks have no second memprof to fear more than others. */
    bool in_use = flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
    if (in_use)
        error_set(err, ERROR_USAGE, "%s is in use by another memprof: give another -o", path);
    if (in_use || write_head(journal, err)) {
        journal_close(journal, false);
        return -1;
    }
    *ret_journal = journal;
    return 0;
}

int journal_create_unnamed(struct journal **ret_journal, struct error *err)
{
    const char *folder = getenv("TMPDIR");
    if (!folder || !*folder)
        folder = "/tmp";
    int fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_errno(err, "cannot make a temporary file in %s", folder);
    struct journal *journal = journal_new(fd, NULL);
    if (write_head(journal, err)) {
        journal_close(journal, false);
        return -1;
    }
    *ret_journal = journal;
    return 0;
}

uint64_t journal_bytes(const struct journal *journal)
{
    return journal->end;
}

void journal_close(struct journal *journal, bool keep)
{
    if (!journal)
        return;
    if (journal->path && !keep)
        unlink(journal->path);
    close(journal->fd);
    for (size_t i = 0; i < journal->values.count; i++)
        vec_release(&journal->values.items[i].self);
    vec_release(&journal->values);
    vec_release(&journal->unnamed);
    vec_release(&journal->thread_names);
    vec_release(&journal->threads);
    vec_release(&journal->point_times);
    vec_release(&journal->lines);
    vec_release(&journal->calls);
    vec_release(&journal->buffer);
    free(journal->path);
    free(journal);
}

/* --- blocks --- */

static void block_begin(struct journal *journal)
{
    vec_reserve(&journal->buffer, BLOCK_SPLIT_BYTES);
    journal->buffer.count = BLOCK_HEAD_BYTES;
}

static void put_bytes(struct journal *journal, const void *bytes, size_t length)
{
    vec_reserve(&journal->buffer, journal->buffer.count + length + 1);
    memcpy(journal->buffer.items + journal->buffer.count, bytes, length);
    journal->buffer.count += length;
}

static void put(struct journal *journal, uint64_t value)
{
    uint8_t bytes[PACKED_BYTES_MAX];
    put_bytes(journal, bytes, (size_t)(packed_put(bytes, value) - bytes));
}

static void put_double(struct journal *journal, double value)
{
    put_bytes(journal, &value, sizeof value);
}

static void put_text(struct journal *journal, const char *text)
{
    size_t length = strlen(text);
    put(journal, length);
    put_bytes(journal, text, length);
}

/* Writes the block unless there is nothing in it. */
static int block_write(struct journal *journal, enum block_type type)
{
    size_t length = journal->buffer.count - BLOCK_HEAD_BYTES;
    if (length > LIMIT_JOURNAL_BLOCK_BYTES) {
        errno = EFBIG;
        return -1;
    }
    vec_reserve(&journal->buffer, journal->buffer.count + BLOCK_TAIL_BYTES);
    block_seal(journal->buffer.items, type, (uint32_t)length);
    int failed = write_all(journal, journal->buffer.items, length + BLOCK_FRAME_BYTES);
    block_begin(journal);
    return failed;
}

/* After each row: a long table becomes several blocks. */
static int row_end(struct journal *journal, enum block_type type)
{
    return journal->buffer.count < BLOCK_SPLIT_BYTES ? 0 : block_write(journal, type);
}

static int table_end(struct journal *journal, enum block_type type)
{
    return journal->buffer.count > BLOCK_HEAD_BYTES ? block_write(journal, type) : 0;
}

/* --- tables: all return -1 with errno --- */

static int write_strings(struct journal *journal, const struct profile *profile)
{
    for (; journal->strings < profile->strings.count; journal->strings++) {
        put_text(journal, strings_get(&profile->strings, (string_id)journal->strings));
        if (row_end(journal, BLOCK_STRINGS))
            return -1;
    }
    return table_end(journal, BLOCK_STRINGS);
}

static int write_modules(struct journal *journal, const struct journal_module *modules,
                         size_t count)
{
    for (; journal->modules < count; journal->modules++) {
        put_text(journal, modules[journal->modules].path);
        put_text(journal, modules[journal->modules].build_id);
        if (row_end(journal, BLOCK_MODULES))
            return -1;
    }
    return table_end(journal, BLOCK_MODULES);
}

static void put_frame(struct journal *journal, const struct frame *frame)
{
    put(journal, frame->function);
    put(journal, frame->file);
    put(journal, frame->line);
    put(journal, frame->column);
    put(journal, frame->script);
    put(journal, frame->module);
    put(journal, frame->address);
    put(journal, frame->kind);
    put(journal, frame->tier);
}

static int write_frames(struct journal *journal, const struct profile *profile)
{
    for (; journal->frames < profile->frames.count; journal->frames++) {
        const struct frame *frame = &profile->frames.items[journal->frames];
        put_frame(journal, frame);
        if (frame->kind == FRAME_UNKNOWN && !frame->function)
            vec_append(&journal->unnamed, (frame_id)journal->frames);
        if (row_end(journal, BLOCK_FRAMES))
            return -1;
    }
    return table_end(journal, BLOCK_FRAMES);
}

/* Tables only grow, but for this: a runtime tells what it has generated after it was sampled. */
static int write_names(struct journal *journal, const struct profile *profile)
{
    size_t kept = 0;
    for (size_t i = 0; i < journal->unnamed.count; i++) {
        frame_id id = journal->unnamed.items[i];
        const struct frame *frame = &profile->frames.items[id];
        if (!frame->function && frame->kind == FRAME_UNKNOWN) {
            journal->unnamed.items[kept++] = id;
            continue;
        }
        put(journal, id);
        put_frame(journal, frame);
        if (row_end(journal, BLOCK_NAMES))
            return -1;
    }
    journal->unnamed.count = kept;
    return table_end(journal, BLOCK_NAMES);
}

static int write_nodes(struct journal *journal, const struct profile *profile)
{
    for (; journal->nodes < profile->nodes.count; journal->nodes++) {
        const struct node *node = &profile->nodes.items[journal->nodes];
        put(journal, journal->nodes - node->parent);
        put(journal, node->frame);
        if (row_end(journal, BLOCK_NODES))
            return -1;
    }
    return table_end(journal, BLOCK_NODES);
}

static int write_threads(struct journal *journal, const struct profile *profile)
{
    for (size_t i = 0; i < profile->threads.count; i++) {
        const struct thread *thread = &profile->threads.items[i];
        if (i < journal->thread_names.count && journal->thread_names.items[i] == thread->name)
            continue;
        if (i == journal->thread_names.count) {
            vec_append(&journal->thread_names, thread->name);
            vec_append(&journal->threads, (struct written_thread){0});
        }
        journal->thread_names.items[i] = thread->name;
        put(journal, i);
        put(journal, thread->pid);
        put(journal, thread->tid);
        put(journal, thread->name);
        if (row_end(journal, BLOCK_THREADS))
            return -1;
    }
    return table_end(journal, BLOCK_THREADS);
}

static int write_metrics(struct journal *journal, const struct profile *profile)
{
    for (; journal->metrics < profile->metrics.count; journal->metrics++) {
        put(journal, profile->metrics.items[journal->metrics].name);
        put(journal, profile->metrics.items[journal->metrics].unit);
        vec_push(&journal->values);
    }
    return table_end(journal, BLOCK_METRICS);
}

static int write_series(struct journal *journal, const struct profile *profile)
{
    for (; journal->series < profile->series.count; journal->series++) {
        put(journal, profile->series.items[journal->series].name);
        put(journal, profile->series.items[journal->series].unit);
        vec_append(&journal->point_times, 0);
    }
    return table_end(journal, BLOCK_SERIES);
}

/*
 * Those after the last one that was written, by time: positions change when a series is thinned
 * out (profile_add_point).
 */
static int write_points(struct journal *journal, const struct profile *profile)
{
    for (size_t i = 0; i < profile->series.count; i++) {
        const struct series *series = &profile->series.items[i];
        size_t first = series->points.count;
        while (first && series->points.items[first - 1].time_us > journal->point_times.items[i])
            first--;
        for (; first < series->points.count; first++) {
            const struct series_point *point = &series->points.items[first];
            put(journal, i);
            put(journal, point->time_us - journal->point_times.items[i]);
            put_double(journal, point->value);
            journal->point_times.items[i] = point->time_us;
        }
        if (row_end(journal, BLOCK_POINTS))
            return -1;
    }
    return table_end(journal, BLOCK_POINTS);
}

static int write_events(struct journal *journal, const struct profile *profile)
{
    for (; journal->events < profile->events.count; journal->events++) {
        const struct profile_event *event = &profile->events.items[journal->events];
        put(journal, event->time_us);
        put(journal, event->duration_us);
        put(journal, event->kind);
        put(journal, event->node);
        put(journal, event->what);
        put(journal, event->reason);
        put(journal, event->before_bytes);
        put(journal, event->after_bytes);
        put(journal, event->tid);
        if (row_end(journal, BLOCK_EVENTS))
            return -1;
    }
    return table_end(journal, BLOCK_EVENTS);
}

/* An entry's place never changes, and its ticks only grow. */
static int write_line_ticks(struct journal *journal, const struct line_ticks *items, size_t count,
                            written_ticks *written, enum block_type type)
{
    for (size_t i = 0; i < count; i++) {
        if (i == written->count)
            vec_append(written, 0);
        uint64_t added = items[i].ticks - written->items[i];
        if (!added)
            continue;
        put(journal, items[i].node);
        put(journal, items[i].line);
        put(journal, added);
        written->items[i] = items[i].ticks;
        if (row_end(journal, type))
            return -1;
    }
    return table_end(journal, type);
}

static int write_lines(struct journal *journal, const struct profile *profile)
{
    return write_line_ticks(journal, profile->lines.items, profile->lines.count, &journal->lines,
                            BLOCK_LINES) ||
           write_line_ticks(journal, profile->calls.items, profile->calls.count, &journal->calls,
                            BLOCK_CALLS);
}

/* Counts the samples of a block as its reader will. */
static void count_samples(struct journal *journal, const uint8_t *at, uint32_t length)
{
    const uint8_t *end = at + length;
    uint64_t delta, thread, node;
    while (packed_get(&at, end, &delta) && packed_get(&at, end, &thread) &&
           packed_get(&at, end, &node)) {
        journal->threads.items[thread].ticks++;
        if (journal->values.count)
            journal->values.items[0].self.items[node]++;
    }
}

/* The copy of the values is as long as the table of nodes. */
static void values_extend(struct journal *journal, size_t nodes)
{
    for (size_t i = 0; i < journal->values.count; i++) {
        struct written_values *values = &journal->values.items[i];
        vec_reserve(&values->self, nodes);
        if (nodes > values->self.count)
            memset(values->self.items + values->self.count, 0,
                   (nodes - values->self.count) * sizeof *values->self.items);
        values->self.count = nodes;
    }
}

static int write_samples(struct journal *journal, struct profile *profile)
{
    const uint8_t *bytes;
    uint32_t length;
    values_extend(journal, profile->nodes.count);
    while (sequence_oldest(&profile->samples, &bytes, &length)) {
        put_bytes(journal, bytes, length);
        if (block_write(journal, BLOCK_SAMPLES))
            return -1;
        count_samples(journal, bytes, length);
        sequence_spill_oldest(&profile->samples, journal->fd, JOURNAL_HEAD_BYTES, journal->end);
    }
    return 0;
}

/* --- values --- */

static void put_quality(struct journal *journal, const struct quality *quality)
{
    const uint64_t numbers[] = {
        quality->present,   quality->samples,  quality->lost,         quality->truncated,
        quality->stitched,  quality->broken,   quality->extrapolated, quality->profiler_rss_peak,
        quality->js_frames, quality->js_named, quality->v8,           quality->sampler,
        quality->note,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put(journal, numbers[i]);
    put_double(journal, quality->target_cpu_s);
    put_double(journal, quality->sampled_cpu_s);
    put_double(journal, quality->coverage);
    put_double(journal, quality->profiler_cpu_s);
}

static uint64_t self_at(const struct metric *metric, size_t node)
{
    return node < metric->self.count ? metric->self.items[node] : 0;
}

static void put_metric(struct journal *journal, const struct metric *metric,
                       struct written_values *written)
{
    size_t changed = 0, last = 0;
    for (size_t i = 0; i < written->self.count; i++)
        changed += self_at(metric, i) != written->self.items[i];
    put(journal, changed);
    for (size_t i = 0; changed; i++) {
        uint64_t value = self_at(metric, i);
        if (value == written->self.items[i])
            continue;
        put(journal, i - last);
        put(journal, zigzag(value - written->self.items[i]));
        written->self.items[i] = value;
        last = i;
        changed--;
    }
}

static bool thread_changed(const struct thread *thread, const struct written_thread *written)
{
    return thread->ticks != written->ticks || thread->waiting != written->waiting ||
           thread->runnable != written->runnable;
}

static int write_values(struct journal *journal, const struct profile *profile)
{
    const struct thread *threads = profile->threads.items;
    size_t changed = 0;
    put(journal, profile->meta.end_us);
    put_quality(journal, &profile->quality);
    for (size_t i = 0; i < profile->threads.count; i++)
        changed += thread_changed(&threads[i], &journal->threads.items[i]);
    put(journal, changed);
    for (size_t i = 0; i < profile->threads.count; i++) {
        struct written_thread *written = &journal->threads.items[i];
        if (!thread_changed(&threads[i], written))
            continue;
        put(journal, i);
        put(journal, zigzag(threads[i].ticks - written->ticks));
        put(journal, threads[i].waiting);
        put(journal, threads[i].runnable);
        *written =
            (struct written_thread){threads[i].ticks, threads[i].waiting, threads[i].runnable};
    }
    for (size_t i = 0; i < profile->metrics.count; i++)
        put_metric(journal, &profile->metrics.items[i], &journal->values.items[i]);
    return block_write(journal, BLOCK_VALUES);
}

/* --- the whole --- */

static int failed(struct journal *journal, struct error *err)
{
    return error_set_errno(err, "cannot write %s", journal->path ? journal->path : "samples");
}

int journal_begin(struct journal *journal, const struct profile *profile,
                  const struct journal_origin *origin, struct error *err)
{
    const struct profile_meta *meta = &profile->meta;
    block_begin(journal);
    if (write_strings(journal, profile))
        return failed(journal, err);
    put(journal, meta->pid);
    put(journal, origin->process_start);
    put_text(journal, origin->boot_id);
    put_text(journal, origin->temporary);
    put(journal, origin->show_threads);
    put(journal, origin->show_tid);
    put(journal, origin->show_given);
    put(journal, meta->command);
    put(journal, meta->host);
    put(journal, meta->tool);
    put(journal, meta->start_us);
    put(journal, meta->wall_start_us);
    put(journal, meta->period_us);
    put(journal, meta->kernel);
    return block_write(journal, BLOCK_META) ? failed(journal, err) : 0;
}

int journal_flush(struct journal *journal, struct profile *profile,
                  const struct journal_module *modules, size_t module_count, struct error *err)
{
    block_begin(journal);
    if (write_strings(journal, profile) || write_modules(journal, modules, module_count) ||
        write_frames(journal, profile) || write_names(journal, profile) ||
        write_nodes(journal, profile) || write_threads(journal, profile) ||
        write_metrics(journal, profile) || write_series(journal, profile) ||
        write_samples(journal, profile) || write_points(journal, profile) ||
        write_events(journal, profile) || write_lines(journal, profile) ||
        write_values(journal, profile))
        return failed(journal, err);
    return 0;
}

int journal_finish(struct journal *journal, struct profile *profile,
                   const struct journal_module *modules, size_t module_count, struct error *err)
{
    if (journal_flush(journal, profile, modules, module_count, err))
        return -1;
    return block_write(journal, BLOCK_END) ? failed(journal, err) : 0;
}
