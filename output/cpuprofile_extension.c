/*
 * The "memprof" key of a .cpuprofile (its layout stands in cpuprofile.h). Tables are read into
 * the profile at once where nothing else is needed for them (modules, threads, series, quality),
 * and kept raw where they refer to nodes by id.
 */
#include "output/cpuprofile_raw.h"

#include "core/limits.h"

#include <string.h>

void raw_extension_release(struct raw_extension *extension)
{
    vec_release(&extension->modules);
    vec_release(&extension->classes);
    vec_release(&extension->node_classes);
    vec_release(&extension->threads);
    vec_release(&extension->raw_addresses);
    vec_release(&extension->files);
    vec_release(&extension->self);
    vec_release(&extension->calls);
    vec_release(&extension->addresses);
    vec_release(&extension->address_ids);
    vec_release(&extension->event_ids);
}

static bool read_time(struct json *json, uint64_t *ret_time)
{
    int64_t value = 0;
    if (!json_integer(json, &value))
        return false;
    *ret_time = (uint64_t)value;
    return true;
}

static void read_target(struct raw_profile *raw, struct json *json)
{
    struct profile_meta *meta = &raw->profile->meta;
    struct json_string key;
    uint64_t pid = 0;
    if (!json_object_begin(json))
        return;
    while (json_object_next(json, &key)) {
        if (json_key_is(&key, "pid"))
            raw_unsigned(json, UINT32_MAX, &pid);
        else if (json_key_is(&key, "command"))
            meta->command = raw_string_read(raw, json);
        else
            json_skip(json);
    }
    meta->pid = (uint32_t)pid;
}

static void read_modules(struct raw_profile *raw, struct json *json)
{
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_object_begin(json)) {
        struct json_string key;
        string_id path = 0, build_id = 0;
        while (json_object_next(json, &key)) {
            if (json_key_is(&key, "path"))
                path = raw_string_read(raw, json);
            else if (json_key_is(&key, "buildId"))
                build_id = raw_string_read(raw, json);
            else
                json_skip(json);
        }
        if (raw->extension.modules.count >= LIMIT_NODES)
            json_fail(json, "too many modules");
        module_id module = profile_add_module(raw->profile, profile_string(raw->profile, path),
                                              profile_string(raw->profile, build_id));
        vec_append(&raw->extension.modules, module);
    }
}

/* An index into the file's table of modules; modules stand before what refers to them. */
static module_id read_module(struct raw_profile *raw, struct json *json)
{
    uint64_t index = 0;
    if (!raw_unsigned(json, UINT32_MAX, &index))
        return 0;
    if (index >= raw->extension.modules.count) {
        json_fail(json, "a module that is not there");
        return 0;
    }
    return raw->extension.modules.items[index];
}

/* Steps to the next item of a row that must have one. */
static bool row_next(struct json *json)
{
    if (json_array_next(json))
        return true;
    return json_fail(json, "a row that is too short");
}

/* Reads `count` integers, the rest of the row that is open, and closes it. */
static bool read_row(struct json *json, int64_t *ret_values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!row_next(json) || !json_integer(json, &ret_values[i]))
            return false;
    while (json_array_next(json))
        json_skip(json);
    return !json->failed;
}

static void read_classes(struct raw_profile *raw, struct json *json)
{
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_array_begin(json)) {
        uint64_t kind = 0, unnamed = 0, tier = TIER_NONE;
        module_id module = 0;
        if (row_next(json) && raw_unsigned(json, FRAME_KINDS - 1, &kind) && row_next(json))
            module = read_module(raw, json);
        if (row_next(json) && raw_unsigned(json, 1, &unnamed) && json_array_next(json) &&
            raw_unsigned(json, CODE_TIERS - 1, &tier))
            read_row(json, NULL, 0);
        *vec_push(&raw->extension.classes) =
            (struct raw_class){(enum frame_kind)kind, (enum code_tier)tier, module, unnamed};
    }
}

static void read_node_classes(struct raw_profile *raw, struct json *json)
{
    uint64_t value = 0;
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && raw_unsigned(json, UINT32_MAX, &value))
        vec_append(&raw->extension.node_classes, (uint32_t)value);
}

static void read_threads(struct raw_profile *raw, struct json *json)
{
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_object_begin(json)) {
        struct json_string key;
        uint64_t pid = 0, tid = 0, ticks = 0, waiting = 0, runnable = 0;
        int64_t frame_id = RAW_NO_ID;
        string_id name = 0;
        while (json_object_next(json, &key)) {
            if (json_key_is(&key, "pid"))
                raw_unsigned(json, UINT32_MAX, &pid);
            else if (json_key_is(&key, "tid"))
                raw_unsigned(json, UINT32_MAX, &tid);
            else if (json_key_is(&key, "ticks"))
                raw_unsigned(json, INT64_MAX, &ticks);
            else if (json_key_is(&key, "waiting"))
                raw_unsigned(json, INT64_MAX, &waiting);
            else if (json_key_is(&key, "runnable"))
                raw_unsigned(json, INT64_MAX, &runnable);
            else if (json_key_is(&key, "node"))
                json_integer(json, &frame_id);
            else if (json_key_is(&key, "name"))
                name = raw_string_read(raw, json);
            else
                json_skip(json);
        }
        if (raw->extension.threads.count >= LIMIT_NODES)
            json_fail(json, "too many threads");
        thread_id thread = profile_add_thread(raw->profile, (uint32_t)pid, (uint32_t)tid,
                                              profile_string(raw->profile, name));
        struct thread *read = &raw->profile->threads.items[thread];
        read->ticks = ticks;
        read->waiting = waiting;
        read->runnable = runnable;
        *vec_push(&raw->extension.threads) = (struct raw_thread){thread, frame_id};
    }
}

static void read_others(struct raw_profile *raw, struct json *json)
{
    struct json_string key;
    if (!json_object_begin(json))
        return;
    while (json_object_next(json, &key)) {
        if (json_key_is(&key, "samples"))
            json_defer_numbers(json, &raw->extension.others.ids);
        else if (json_key_is(&key, "timeDeltas"))
            json_defer_numbers(json, &raw->extension.others.deltas);
        else if (json_key_is(&key, "threads"))
            json_defer_numbers(json, &raw->extension.others.threads);
        else
            json_skip(json);
    }
}

static void read_addresses(struct raw_profile *raw, struct json *json)
{
    struct raw_extension *extension = &raw->extension;
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_array_begin(json)) {
        int64_t id = 0, row[2] = {0};
        module_id module = 0;
        if (row_next(json) && json_integer(json, &id) && row_next(json))
            module = read_module(raw, json);
        if (!read_row(json, row, 2))
            return;
        if (extension->address_ids.count >= UINT32_MAX) {
            json_fail(json, "too many addresses");
            return;
        }
        *vec_push(&extension->addresses) = (struct address_ticks){
            (node_id)extension->address_ids.count, module, (uint64_t)row[0], (uint64_t)row[1]};
        vec_append(&extension->address_ids, id);
    }
}

static void read_calls(struct raw_profile *raw, struct json *json)
{
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_array_begin(json)) {
        struct raw_call call = {0};
        uint64_t line = 0;
        if (!row_next(json) || !json_integer(json, &call.id) || !row_next(json) ||
            !raw_unsigned(json, UINT32_MAX, &line) || !row_next(json) ||
            !raw_unsigned(json, INT64_MAX, &call.ticks) || !read_row(json, NULL, 0))
            return;
        call.line = (uint32_t)line;
        vec_append(&raw->extension.calls, call);
    }
}

#define read_pairs(raw, json, target)                                                          \
    do {                                                                                       \
        int64_t pair[2];                                                                       \
        if (json_array_begin(json))                                                            \
            while (json_array_next(json) && json_array_begin(json) && read_row(json, pair, 2)) \
                *vec_push(target) = (struct raw_pair){pair[0], pair[1]};                       \
    } while (0)

/* [["path", id, id, …], …] */
static void read_files(struct raw_profile *raw, struct json *json)
{
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_array_begin(json)) {
        int64_t id = 0;
        string_id path = row_next(json) ? raw_string_read(raw, json) : 0;
        while (json_array_next(json) && json_integer(json, &id))
            *vec_push(&raw->extension.files) = (struct raw_pair){id, path};
    }
}

static void read_points(struct raw_profile *raw, struct json *json, struct json *times,
                        struct json *values, series_id series, uint64_t time_us)
{
    if (!times->at || !values->at) {
        json_fail(json, "a series without times and values before");
        return;
    }
    if (!json_array_begin(times) || !json_array_begin(values)) {
        json->failed = true;
        return;
    }
    for (;;) {
        bool more = json_array_next(times);
        if (json_array_next(values) != more && !times->failed && !values->failed)
            json_fail(values, "a series whose times and values differ in number");
        int64_t delta = 0;
        double value = 0;
        if (!more || !json_integer(times, &delta) || !json_number(values, &value))
            break;
        time_us += (uint64_t)delta;
        profile_add_point(raw->profile, series, time_us, value);
    }
    if (times->failed || values->failed)
        json->failed = true;
}

/* Times count from "start", so that the series can be read before the profile's startTime. */
static void read_series(struct raw_profile *raw, struct json *json)
{
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_object_begin(json)) {
        struct json_string key;
        struct json times = {0}, values = {0};
        string_id name = 0, unit = 0;
        uint64_t start = 0;
        while (json_object_next(json, &key)) {
            if (json_key_is(&key, "name"))
                name = raw_string_read(raw, json);
            else if (json_key_is(&key, "unit"))
                unit = raw_string_read(raw, json);
            else if (json_key_is(&key, "start"))
                read_time(json, &start);
            else if (json_key_is(&key, "times"))
                json_defer_numbers(json, &times);
            else if (json_key_is(&key, "values"))
                json_defer_numbers(json, &values);
            else
                json_skip(json);
        }
        if (json->failed)
            return;
        if (raw->profile->series.count >= LIMIT_SERIES) {
            json_fail(json, "too many series");
            return;
        }
        series_id series = profile_add_series(raw->profile, profile_string(raw->profile, name),
                                              profile_string(raw->profile, unit));
        read_points(raw, json, &times, &values, series, start);
    }
}

/* What a collection has beside: "what", "reason", before, after, TID, estimated; and closes the
 * row. */
static void read_collection(struct raw_profile *raw, struct json *json, struct profile_event *event)
{
    uint64_t tid = 0, estimated = 0;
    event->what = raw_string_read(raw, json);
    if (row_next(json))
        event->reason = raw_string_read(raw, json);
    if (row_next(json) && raw_unsigned(json, INT64_MAX, &event->before_bytes) && row_next(json) &&
        raw_unsigned(json, INT64_MAX, &event->after_bytes) && row_next(json) &&
        raw_unsigned(json, UINT32_MAX, &tid) && row_next(json) && raw_unsigned(json, 1, &estimated))
        read_row(json, NULL, 0);
    event->tid = (uint32_t)tid;
    event->estimated = estimated;
}

/* [[time, duration, "kind", node], …] */
static void read_events(struct raw_profile *raw, struct json *json)
{
    if (!json_array_begin(json))
        return;
    while (json_array_next(json) && json_array_begin(json)) {
        struct profile_event event = {0};
        int64_t id = 0;
        if (row_next(json))
            read_time(json, &event.time_us);
        if (row_next(json))
            read_time(json, &event.duration_us);
        if (row_next(json))
            event.kind = raw_string_read(raw, json);
        if (row_next(json) && json_integer(json, &id) && json_array_next(json))
            read_collection(raw, json, &event);
        if (json->failed)
            return;
        *vec_push(&raw->profile->events) = event;
        vec_append(&raw->extension.event_ids, id);
    }
}

static void read_count(struct json *json, uint64_t *ret_count)
{
    raw_unsigned(json, INT64_MAX, ret_count);
}

static bool read_quality_number(struct json *json, const struct json_string *key,
                                struct quality *quality)
{
    const struct {
        const char *key;
        uint64_t *count;
        double *number;
    } fields[] = {
        {"samples", &quality->samples, NULL},
        {"lost", &quality->lost, NULL},
        {"truncated", &quality->truncated, NULL},
        {"stitched", &quality->stitched, NULL},
        {"broken", &quality->broken, NULL},
        {"unknownFrames", &quality->unknown_frames, NULL},
        {"extrapolated", &quality->extrapolated, NULL},
        {"profilerRssPeak", &quality->profiler_rss_peak, NULL},
        {"jsFrames", &quality->js_frames, NULL},
        {"jsNamed", &quality->js_named, NULL},
        {"targetCpuS", NULL, &quality->target_cpu_s},
        {"sampledCpuS", NULL, &quality->sampled_cpu_s},
        {"coverage", NULL, &quality->coverage},
        {"profilerCpuS", NULL, &quality->profiler_cpu_s},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!json_key_is(key, fields[i].key))
            continue;
        if (fields[i].count)
            read_count(json, fields[i].count);
        else
            json_number(json, fields[i].number);
        return true;
    }
    return false;
}

static void read_quality(struct raw_profile *raw, struct json *json)
{
    struct quality *quality = &raw->profile->quality;
    struct json_string key;
    if (!json_object_begin(json))
        return;
    quality->present = true;
    while (json_object_next(json, &key)) {
        if (read_quality_number(json, &key, quality))
            continue;
        if (json_key_is(&key, "v8"))
            quality->v8 = raw_string_read(raw, json);
        else if (json_key_is(&key, "sampler"))
            quality->sampler = raw_string_read(raw, json);
        else if (json_key_is(&key, "note"))
            quality->note = raw_string_read(raw, json);
        else
            json_skip(json);
    }
}

static void read_scalar(struct raw_profile *raw, struct json *json, const struct json_string *key)
{
    struct profile_meta *meta = &raw->profile->meta;
    if (json_key_is(key, "tool"))
        meta->tool = raw_string_read(raw, json);
    else if (json_key_is(key, "host"))
        meta->host = raw_string_read(raw, json);
    else if (json_key_is(key, "startTimeOfDay"))
        read_time(json, &meta->wall_start_us);
    else if (json_key_is(key, "period"))
        read_count(json, &meta->period_us);
    else if (json_key_is(key, "kernel"))
        json_bool(json, &meta->kernel);
    else if (json_key_is(key, "idle"))
        json_integer(json, &raw->extension.idle_id);
    else if (json_key_is(key, "rest"))
        json_integer(json, &raw->extension.rest_id);
    else
        json_skip(json);
}

static void read_table(struct raw_profile *raw, struct json *json, const struct json_string *key)
{
    struct raw_extension *extension = &raw->extension;
    if (json_key_is(key, "target"))
        read_target(raw, json);
    else if (json_key_is(key, "modules"))
        read_modules(raw, json);
    else if (json_key_is(key, "classes"))
        read_classes(raw, json);
    else if (json_key_is(key, "nodeClasses"))
        read_node_classes(raw, json);
    else if (json_key_is(key, "files"))
        read_files(raw, json);
    else if (json_key_is(key, "rawAddresses"))
        read_pairs(raw, json, &extension->raw_addresses);
    else if (json_key_is(key, "self"))
        read_pairs(raw, json, &extension->self);
    else if (json_key_is(key, "threads"))
        read_threads(raw, json);
    else if (json_key_is(key, "sampleThreads"))
        json_defer_numbers(json, &extension->sample_threads);
    else if (json_key_is(key, "others"))
        read_others(raw, json);
    else if (json_key_is(key, "calls"))
        read_calls(raw, json);
    else if (json_key_is(key, "addresses"))
        read_addresses(raw, json);
    else if (json_key_is(key, "series"))
        read_series(raw, json);
    else if (json_key_is(key, "events"))
        read_events(raw, json);
    else if (json_key_is(key, "quality"))
        read_quality(raw, json);
    else
        read_scalar(raw, json, key);
}

bool raw_extension_read(struct raw_profile *raw, struct json *json)
{
    struct json_string key;
    int64_t schema = 0;
    if (raw->extension.present)
        return json_fail(json, "a second \"memprof\" key");
    raw->extension.present = true;
    if (!json_object_begin(json))
        return false;
    while (json_object_next(json, &key)) {
        if (!json_key_is(&key, "schema"))
            read_table(raw, json, &key);
        else if (json_integer(json, &schema) && schema > 1)
            return json_fail(json, "written by a newer memprof: an unknown schema");
    }
    return !json->failed;
}
