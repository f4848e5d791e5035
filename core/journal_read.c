/*
 * Each block is read whole, its checksum compared, and its rows put into the profile by the same
 * functions that a recording uses; a row whose id is not the next one of its table is refused, for
 * ids are positions. The first block that is torn, or that says what can't be, ends the reading:
 * tables come before what refers to them, so all before it makes a profile of its own.
 *
 * A checksum is no proof of good will: every id is compared with its table. Samples are looked
 * through once for that, and read again from the file by whoever wants them.
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

struct payload {
    const uint8_t *at, *end;
    bool failed;
};

struct reader {
    struct profile *profile;
    struct journal_found *found;
    struct payload payload;
    uint64_t counted; /* samples since the last VALUES */
    struct strings module_texts;
    vec(uint64_t) point_times; /* by series */
    vec(uint8_t) buffer;       /* the block */
    bool has_meta;
};

/* --- what a payload holds; after the first failure all is 0 --- */

static uint64_t get(struct payload *payload)
{
    uint64_t value = 0;
    if (payload->failed || !packed_get(&payload->at, payload->end, &value)) {
        payload->failed = true;
        return 0;
    }
    return value;
}

/* A number below `bound`: an id, or a count that is bounded. */
static uint32_t get_below(struct payload *payload, uint64_t bound)
{
    uint64_t value = get(payload);
    if (value < bound)
        return (uint32_t)value;
    payload->failed = true;
    return 0;
}

static uint32_t get_word(struct payload *payload)
{
    return get_below(payload, (uint64_t)UINT32_MAX + 1);
}

static double get_double(struct payload *payload)
{
    double value = 0;
    if (payload->failed || (size_t)(payload->end - payload->at) < sizeof value) {
        payload->failed = true;
        return 0;
    }
    memcpy(&value, payload->at, sizeof value);
    payload->at += sizeof value;
    return value;
}

static const char *get_text(struct payload *payload, size_t *ret_length)
{
    uint64_t length = get(payload);
    *ret_length = 0;
    if (payload->failed || length > LIMIT_STRING_BYTES ||
        length > (size_t)(payload->end - payload->at)) {
        payload->failed = true;
        return "";
    }
    const uint8_t *text = payload->at;
    payload->at += length;
    *ret_length = (size_t)length;
    return (const char *)text;
}

/* Into a buffer with a NUL behind it. */
static void get_name(struct payload *payload, char *buffer, size_t size)
{
    size_t length;
    const char *text = get_text(payload, &length);
    if (length >= size) {
        payload->failed = true;
        return;
    }
    memcpy(buffer, text, length);
    buffer[length] = '\0';
}

static string_id get_string(struct reader *reader)
{
    return get_below(&reader->payload, reader->profile->strings.count);
}

/* --- rows --- */

static void read_meta(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    struct profile_meta *meta = &reader->profile->meta;
    struct journal_origin *origin = &reader->found->origin;
    payload->failed |= reader->has_meta;
    meta->pid = get_word(payload);
    origin->process_start = get(payload);
    get_name(payload, origin->boot_id, sizeof origin->boot_id);
    get_name(payload, origin->temporary, sizeof origin->temporary);
    origin->show_threads = get_word(payload);
    origin->show_tid = get_word(payload);
    origin->show_given = get(payload);
    meta->command = get_string(reader);
    meta->host = get_string(reader);
    meta->tool = get_string(reader);
    meta->start_us = meta->end_us = get(payload);
    meta->wall_start_us = get(payload);
    meta->period_us = get(payload);
    meta->kernel = get(payload);
    reader->has_meta = !payload->failed;
}

static void read_string(struct reader *reader)
{
    size_t length, next = reader->profile->strings.count;
    const char *text = get_text(&reader->payload, &length);
    if (!reader->payload.failed &&
        strings_intern_length(&reader->profile->strings, text, length) != next)
        reader->payload.failed = true;
}

/*
 * Two files of the same name, one after the other, are two modules: positions count. The texts
 * are not among the profile's own while it is read, or the ids of later strings would move.
 */
static void read_module(struct reader *reader)
{
    struct profile *profile = reader->profile;
    size_t path_length, id_length;
    const char *path = get_text(&reader->payload, &path_length);
    const char *build_id = get_text(&reader->payload, &id_length);
    if (reader->payload.failed || profile->modules.count >= LIMIT_MODULES) {
        reader->payload.failed = true;
        return;
    }
    struct profile_module module = {
        strings_intern_length(&reader->module_texts, path, path_length),
        strings_intern_length(&reader->module_texts, build_id, id_length)};
    vec_append(&profile->modules, module);
}

static void settle_modules(struct reader *reader)
{
    struct profile *profile = reader->profile;
    for (size_t i = 1; i < profile->modules.count; i++) {
        struct profile_module *module = &profile->modules.items[i];
        module->path =
            strings_intern(&profile->strings, strings_get(&reader->module_texts, module->path));
        module->build_id =
            strings_intern(&profile->strings, strings_get(&reader->module_texts, module->build_id));
    }
    strings_release(&reader->module_texts);
}

static struct frame get_frame(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    return (struct frame){
        .function = get_string(reader),
        .file = get_string(reader),
        .line = get_word(payload),
        .column = get_word(payload),
        .script = get_word(payload),
        .module = get_below(payload, reader->profile->modules.count),
        .address = get(payload),
        .kind = get_below(payload, FRAME_KINDS),
        .tier = get_below(payload, CODE_TIERS),
    };
}

static void read_frame(struct reader *reader)
{
    /* Two may be equal: generated code gets its name after others had it. */
    struct frame frame = get_frame(reader);
    reader->payload.failed |= reader->profile->frames.count >= LIMIT_FRAMES;
    if (!reader->payload.failed)
        vec_append(&reader->profile->frames, frame);
}

static void read_name(struct reader *reader)
{
    frame_id id = get_below(&reader->payload, reader->profile->frames.count);
    struct frame frame = get_frame(reader);
    if (!reader->payload.failed && id)
        reader->profile->frames.items[id] = frame;
}

static void read_node(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    size_t next = reader->profile->nodes.count;
    uint64_t distance = get(payload);
    frame_id frame = get_below(payload, reader->profile->frames.count);
    payload->failed |= distance == 0 || distance > next;
    if (!payload->failed &&
        profile_add_node(reader->profile, (node_id)(next - distance), frame) != next)
        payload->failed = true;
}

static void read_thread(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    struct profile *profile = reader->profile;
    uint32_t index = get_below(payload, (uint64_t)profile->threads.count + 1);
    uint32_t pid = get_word(payload), tid = get_word(payload);
    const char *name = profile_string(profile, get_string(reader));
    if (index >= LIMIT_THREADS)
        payload->failed = true;
    if (!payload->failed && profile_add_thread(profile, pid, tid, name) != index)
        payload->failed = true;
}

static void read_metric(struct reader *reader)
{
    struct profile *profile = reader->profile;
    size_t next = profile->metrics.count;
    string_id name = get_string(reader), unit = get_string(reader);
    reader->payload.failed |= next >= LIMIT_METRICS;
    if (!reader->payload.failed && profile_add_metric(profile, profile_string(profile, name),
                                                      profile_string(profile, unit)) != next)
        reader->payload.failed = true;
}

static void read_series(struct reader *reader)
{
    struct profile *profile = reader->profile;
    size_t next = profile->series.count;
    string_id name = get_string(reader), unit = get_string(reader);
    reader->payload.failed |= next >= LIMIT_SERIES;
    if (!reader->payload.failed && profile_add_series(profile, profile_string(profile, name),
                                                      profile_string(profile, unit)) != next)
        reader->payload.failed = true;
    vec_append(&reader->point_times, 0);
}

static void read_point(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    series_id series = get_below(payload, reader->profile->series.count);
    uint64_t delta = get(payload);
    double value = get_double(payload);
    if (payload->failed)
        return;
    reader->point_times.items[series] += delta;
    profile_add_point(reader->profile, series, reader->point_times.items[series], value);
}

static void read_event(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    struct profile_event event = {
        .time_us = get(payload),
        .duration_us = get(payload),
        .kind = get_string(reader),
        .node = get_below(payload, reader->profile->nodes.count),
        .what = get_string(reader),
        .reason = get_string(reader),
        .before_bytes = get(payload),
        .after_bytes = get(payload),
        .tid = get_word(payload),
    };
    if (!payload->failed)
        vec_append(&reader->profile->events, event);
}

static void read_line(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    node_id node = get_below(payload, reader->profile->nodes.count);
    uint32_t line = get_word(payload);
    uint64_t ticks = get(payload);
    if (!payload->failed)
        profile_add_line(reader->profile, node, line, ticks);
}

static void read_call(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    node_id node = get_below(payload, reader->profile->nodes.count);
    uint32_t line = get_word(payload);
    uint64_t ticks = get(payload);
    if (!payload->failed)
        profile_add_call_line(reader->profile, node, line, ticks);
}

static void read_sample(struct reader *reader)
{
    struct profile *profile = reader->profile;
    uint64_t delta = get(&reader->payload);
    uint32_t thread = get_below(&reader->payload, profile->threads.count);
    uint32_t node = get_below(&reader->payload, profile->nodes.count);
    if (reader->payload.failed)
        return;
    profile->samples.last_time_us += unzigzag(delta);
    profile->samples.count++;
    profile->threads.items[thread].ticks++;
    if (profile->metrics.count)
        profile_add_self(profile, 0, node, 1);
    reader->counted++;
}

static void read_quality(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    struct quality *quality = &reader->profile->quality;
    quality->present = get(payload);
    quality->samples = get(payload);
    quality->lost = get(payload);
    quality->truncated = get(payload);
    quality->stitched = get(payload);
    quality->broken = get(payload);
    quality->extrapolated = get(payload);
    quality->profiler_rss_peak = get(payload);
    quality->js_frames = get(payload);
    quality->js_named = get(payload);
    quality->v8 = get_string(reader);
    quality->sampler = get_string(reader);
    quality->note = get_string(reader);
    quality->target_cpu_s = get_double(payload);
    quality->sampled_cpu_s = get_double(payload);
    quality->coverage = get_double(payload);
    quality->profiler_cpu_s = get_double(payload);
}

static void read_values(struct reader *reader)
{
    struct payload *payload = &reader->payload;
    struct profile *profile = reader->profile;
    profile->meta.end_us = get(payload);
    read_quality(reader);
    reader->counted = 0;
    for (uint64_t left = get(payload); left && !payload->failed; left--) {
        uint32_t thread = get_below(payload, profile->threads.count);
        uint64_t ticks = unzigzag(get(payload));
        uint64_t waiting = get(payload), runnable = get(payload);
        if (payload->failed)
            break;
        profile->threads.items[thread].ticks += ticks;
        profile->threads.items[thread].waiting = waiting;
        profile->threads.items[thread].runnable = runnable;
    }
    for (metric_id metric = 0; metric < profile->metrics.count; metric++) {
        uint64_t node = 0;
        for (uint64_t left = get(payload); left && !payload->failed; left--) {
            node += get_below(payload, profile->nodes.count - node);
            uint64_t value = unzigzag(get(payload));
            if (!payload->failed)
                profile_add_self(profile, metric, (node_id)node, value);
        }
    }
}

/* --- blocks --- */

static void read_rows(struct reader *reader, void (*read_row)(struct reader *))
{
    while (reader->payload.at < reader->payload.end && !reader->payload.failed)
        read_row(reader);
}

/* False where the block says what can't be. */
static bool read_block(struct reader *reader, enum block_type type)
{
    static void (*const rows[])(struct reader *) = {
        [BLOCK_STRINGS] = read_string, [BLOCK_MODULES] = read_module, [BLOCK_FRAMES] = read_frame,
        [BLOCK_NAMES] = read_name,     [BLOCK_NODES] = read_node,     [BLOCK_THREADS] = read_thread,
        [BLOCK_METRICS] = read_metric, [BLOCK_SERIES] = read_series,  [BLOCK_SAMPLES] = read_sample,
        [BLOCK_POINTS] = read_point,   [BLOCK_EVENTS] = read_event,   [BLOCK_LINES] = read_line,
        [BLOCK_CALLS] = read_call,
    };
    struct payload *payload = &reader->payload;
    if (!reader->has_meta && type != BLOCK_STRINGS && type != BLOCK_META)
        return false;
    if (type == BLOCK_META)
        read_meta(reader);
    else if (type == BLOCK_VALUES)
        read_values(reader);
    else if (type == BLOCK_END)
        reader->found->finished = true;
    else if (type < sizeof rows / sizeof *rows && rows[type])
        read_rows(reader, rows[type]);
    else
        return false;
    return !payload->failed && payload->at == payload->end;
}

/* Reads the block at found->read and moves that behind it; false where what is whole ends. */
static bool next_block(int fd, struct reader *reader)
{
    struct journal_found *found = reader->found;
    struct block block;
    uint64_t at = found->read;
    if (!block_step(fd, &at, found->bytes, &block) || block.length > LIMIT_JOURNAL_BLOCK_BYTES)
        return false;
    size_t whole = BLOCK_FRAME_BYTES + (size_t)block.length;
    vec_reserve(&reader->buffer, whole);
    uint8_t *bytes = reader->buffer.items;
    if (!read_at(fd, found->read, bytes, whole) || !block_is_sound(bytes, block.length))
        return false;
    reader->payload = (struct payload){.at = bytes + BLOCK_HEAD_BYTES,
                                       .end = bytes + BLOCK_HEAD_BYTES + block.length};
    /* Its head was read twice: it may have been changed in between. */
    if (memcmp(bytes, &block.length, sizeof block.length) != 0)
        return false;
    found->refused = !read_block(reader, bytes[BLOCK_HEAD_BYTES - 1]);
    if (found->refused)
        return false;
    found->read = at;
    return true;
}

static int check_head(int fd, const char *name, uint64_t *ret_bytes, struct error *err)
{
    struct journal_head head;
    struct stat status;
    if (fstat(fd, &status))
        return error_set_errno(err, "cannot read %s", name);
    if (!status.st_size)
        return error_set(err, ERROR_FORMAT, "%s is empty: nothing was recorded", name);
    if (!read_at(fd, 0, &head, sizeof head) || !journal_head_is(&head))
        return error_set(err, ERROR_FORMAT, "%s is no journal of memprof record", name);
    if (head.version != JOURNAL_VERSION)
        return error_set(err, ERROR_FORMAT,
                         "%s is a journal of version %u, this memprof reads version %d; use the "
                         "memprof that wrote it",
                         name, head.version, JOURNAL_VERSION);
    *ret_bytes = (uint64_t)status.st_size;
    return 0;
}

int journal_read(int fd, const char *name, struct profile **ret_profile,
                 struct journal_found *ret_found, struct error *err)
{
    struct journal_found found = {.read = JOURNAL_HEAD_BYTES};
    if (check_head(fd, name, &found.bytes, err))
        return -1;
    struct reader reader = {.profile = profile_new(), .found = &found};
    struct profile *profile = reader.profile;
    while (!found.finished && next_block(fd, &reader))
        ;
    settle_modules(&reader);
    profile->quality.samples += reader.counted;
    profile->samples.spill_fd = fd;
    profile->samples.spill_start = JOURNAL_HEAD_BYTES;
    profile->samples.spill_end = found.read;
    vec_release(&reader.point_times);
    vec_release(&reader.buffer);
    if (!reader.has_meta) {
        profile_free(profile);
        return error_set(err, ERROR_FORMAT, "%s ends before anything was recorded", name);
    }
    *ret_profile = profile;
    *ret_found = found;
    return 0;
}

int journal_open(const char *path, int *ret_fd, struct error *err)
{
    struct journal_head head = {0};
    struct stat status;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status))
        return error_set_errno(err, "cannot read %s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_FORMAT, "%s is no file, and so no journal", path);
    if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return error_set(err, ERROR_USAGE,
                         "%s is in use by memprof (%u); it makes the file itself when it ends",
                         path, read_at(fd, 0, &head, sizeof head) ? head.writer : 0);
    *ret_fd = steal_fd(&fd);
    return 0;
}
