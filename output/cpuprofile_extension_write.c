/*
 * The "memprof" key of a .cpuprofile; its layout stands in cpuprofile.h.
 *
 * What hangs on nodes is the bulk of it. Kind and module are one small number per node (an index
 * into "classes": there are few distinct pairs), threads are runs, and all else is listed only
 * for the nodes that have it.
 */
#include "output/cpuprofile_extension.h"

#include "output/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void cpuprofile_write_signed(struct output_file *file, int64_t value)
{
    if (value < 0)
        output_text(file, "-");
    output_unsigned(file, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* The shortest text that reads back as the same number. JSON has no infinities. */
static void write_number(struct output_file *file, double value)
{
    if (!isfinite(value)) {
        output_text(file, "0");
        return;
    }
    if (value == trunc(value) && fabs(value) < 0x1p53) {
        cpuprofile_write_signed(file, (int64_t)value);
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    output_text(file, text);
}

void cpuprofile_write_samples(struct output_file *file, const struct tree *tree, bool others)
{
    struct tree_sample sample;
    const char *separator = "";
    output_text(file, "\"samples\":[");
    struct tree_cursor cursor = tree_samples(tree, others);
    while (tree_sample_next(&cursor, &sample)) {
        /* What the others alone run has its entries too: nodes_complete saw to that. */
        uint32_t id = others ? tree->first_ids[sample.node]
                             : tree->entries.items[tree_sample_entry(tree, &sample)].id;
        output_text(file, separator);
        output_unsigned(file, id);
        separator = ",";
    }
    output_text(file, "],\n\"timeDeltas\":[");
    separator = "";
    uint64_t last = tree->profile->meta.start_us;
    cursor = tree_samples(tree, others);
    while (tree_sample_next(&cursor, &sample)) {
        output_text(file, separator);
        cpuprofile_write_signed(file, (int64_t)(sample.time_us - last));
        last = sample.time_us;
        separator = ",";
    }
    output_text(file, "]");
}

/* Runs [thread, count, …] of the samples that a thread's own frame does not tell apart. */
static void write_runs(struct output_file *file, const struct tree *tree, bool others)
{
    const struct profile *profile = tree->profile;
    struct tree_cursor cursor = tree_samples(tree, others);
    struct tree_sample sample;
    uint64_t count = 0;
    thread_id thread = 0;
    const char *separator = "";
    output_text(file, "[");
    for (bool more = true; more;) {
        more = tree_sample_next(&cursor, &sample);
        bool told =
            more && (sample.node == TREE_IDLE_NODE ||
                     (tree->groups && sample.thread < profile->threads.count &&
                      !(tree->has_rest && tree->thread_groups[sample.thread] == tree->groups - 1)));
        if (told)
            continue;
        if (count && (!more || sample.thread != thread)) {
            output_text(file, separator);
            output_printf(file, "%u,%" PRIu64, thread, count);
            separator = ",";
            count = 0;
        }
        thread = sample.thread;
        count++;
    }
    output_text(file, "]");
}

static void write_meta(struct output_file *file, const struct profile *profile)
{
    const struct profile_meta *meta = &profile->meta;
    output_text(file, "\"memprof\":{\"schema\":1,\"tool\":");
    json_write_string(file, profile_string(profile, meta->tool));
    output_printf(file, ",\n\"target\":{\"pid\":%u,\"command\":", meta->pid);
    json_write_string(file, profile_string(profile, meta->command));
    output_text(file, "},\"host\":");
    json_write_string(file, profile_string(profile, meta->host));
    output_text(file, ",\"startTimeOfDay\":");
    cpuprofile_write_signed(file, (int64_t)meta->wall_start_us);
    output_text(file, ",\"period\":");
    cpuprofile_write_signed(file, (int64_t)meta->period_us);
    output_printf(file, ",\"kernel\":%s,\n\"modules\":[", meta->kernel ? "true" : "false");
    for (size_t i = 0; i < profile->modules.count; i++) {
        output_text(file, i ? ",\n{\"path\":" : "{\"path\":");
        json_write_string(file, profile_string(profile, profile->modules.items[i].path));
        output_text(file, ",\"buildId\":");
        json_write_string(file, profile_string(profile, profile->modules.items[i].build_id));
        output_text(file, "}");
    }
    output_text(file, "]");
}

struct class_table {
    vec(uint64_t) keys;
    struct hash_index index;
};

static uint64_t class_hash(const void *context, uint32_t id)
{
    return hash_mix(((const struct class_table *)context)->keys.items[id]);
}

static uint32_t class_need(struct class_table *table, uint64_t key)
{
    struct hash_probe probe = hash_first(hash_mix(key));
    for (uint32_t id; hash_next(&table->index, &probe, &id);)
        if (table->keys.items[id] == key)
            return id;
    vec_append(&table->keys, key);
    hash_insert(&table->index, hash_mix(key), (uint32_t)table->keys.count - 1, class_hash, table);
    return (uint32_t)table->keys.count - 1;
}

/* Kind, module, tier and "unnamed" in one word. */
static uint64_t class_key(const struct tree *tree, const struct tree_entry *entry)
{
    if (entry->node == 0 || entry->node == TREE_IDLE_NODE)
        return 0;
    const struct frame *frame = profile_frame_of(tree->profile, entry->node);
    bool unnamed = !frame->function && frame->kind != FRAME_JAVASCRIPT;
    return (uint64_t)frame->module << 16 | (uint64_t)frame->tier << 8 | (uint64_t)frame->kind << 1 |
           unnamed;
}

static void write_classes(struct output_file *file, const struct tree *tree)
{
    struct class_table table = {0};
    output_text(file, ",\n\"nodeClasses\":[");
    for (size_t i = 0; i < tree->entries.count; i++) {
        if (i)
            output_text(file, ",");
        output_unsigned(file,
                        class_need(&table, class_key(tree, &tree->entries.items[tree->order[i]])));
    }
    output_text(file, "],\n\"classes\":[");
    for (size_t i = 0; i < table.keys.count; i++) {
        uint64_t key = table.keys.items[i];
        output_printf(file, "%s[%u,%u,%u", i ? "," : "", (unsigned)(key >> 1 & 0x7f),
                      (unsigned)(key >> 16), (unsigned)(key & 1));
        if (key >> 8 & 0xff)
            output_printf(file, ",%u", (unsigned)(key >> 8 & 0xff));
        output_text(file, "]");
    }
    output_text(file, "]");
    vec_release(&table.keys);
    hash_release(&table.index);
}

/* Whether url can't tell the frame's source file. */
static bool file_is_untold(const struct profile *profile, const struct frame *frame)
{
    const char *source = profile_string(profile, frame->file);
    return frame->kind != FRAME_JAVASCRIPT && *source && *source != '/';
}

struct untold_file {
    string_id file;
    uint32_t id;
};

static int untold_compare(const void *a, const void *b)
{
    const struct untold_file *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void write_untold_files(struct output_file *file, const struct tree *tree)
{
    const struct profile *profile = tree->profile;
    vec(struct untold_file) files = {0};
    for (size_t i = 1; i < tree->entries.count; i++) {
        const struct tree_entry *entry = &tree->entries.items[i];
        if (!entry->node || entry->node == TREE_IDLE_NODE)
            continue;
        const struct frame *frame = profile_frame_of(profile, entry->node);
        if (file_is_untold(profile, frame))
            vec_append(&files, ((struct untold_file){frame->file, entry->id}));
    }
    if (files.count)
        qsort(files.items, files.count, sizeof *files.items, untold_compare);
    for (size_t i = 0; i < files.count; i++) {
        if (!i || files.items[i].file != files.items[i - 1].file) {
            output_text(file, i ? "],\n[" : ",\n\"files\":[[");
            json_write_string(file, profile_string(profile, files.items[i].file));
        }
        output_printf(file, ",%u", files.items[i].id);
    }
    output_text(file, files.count ? "]]" : "");
    vec_release(&files);
}

static void write_raw_addresses(struct output_file *file, const struct tree *tree)
{
    bool any = false;
    for (size_t i = 1; i < tree->entries.count; i++) {
        const struct tree_entry *entry = &tree->entries.items[tree->order[i]];
        if (!entry->node || entry->node == TREE_IDLE_NODE)
            continue;
        const struct frame *frame = profile_frame_of(tree->profile, entry->node);
        if (!frame->address)
            continue;
        output_printf(file, "%s[%u,%" PRId64 "]", any ? "," : ",\n\"rawAddresses\":[", entry->id,
                      (int64_t)frame->address);
        any = true;
    }
    output_text(file, any ? "]" : "");
}

static void write_threads(struct output_file *file, const struct tree *tree)
{
    const struct profile *profile = tree->profile;
    output_text(file, ",\n\"threads\":[");
    for (size_t i = 0; i < profile->threads.count; i++) {
        const struct thread *thread = &profile->threads.items[i];
        uint32_t group = tree->groups ? tree->thread_groups[i] : TREE_NO_GROUP;
        output_printf(file, "%s{\"pid\":%u,\"tid\":%u,\"name\":", i ? ",\n" : "", thread->pid,
                      thread->tid);
        json_write_string(file, profile_string(profile, thread->name));
        output_printf(file, ",\"ticks\":%" PRIu64, thread->ticks);
        if (thread->waiting || thread->runnable)
            output_printf(file, ",\"waiting\":%" PRIu64 ",\"runnable\":%" PRIu64, thread->waiting,
                          thread->runnable);
        if (group != TREE_NO_GROUP && !(tree->has_rest && group == tree->groups - 1))
            output_printf(file, ",\"node\":%u", tree->entries.items[tree_find(tree, group, 0)].id);
        output_text(file, "}");
    }
    output_text(file, "]");
    if (tree->has_rest)
        output_printf(file, ",\n\"rest\":%u",
                      tree->entries.items[tree_find(tree, tree->groups - 1, 0)].id);
    if (tree->idle != TREE_NO_GROUP)
        output_printf(file, ",\n\"idle\":%u", tree->entries.items[tree->idle].id);
    if (!profile->samples.count)
        return;
    output_text(file, ",\n\"sampleThreads\":");
    write_runs(file, tree, false);
    if (!tree->has_others)
        return;
    output_text(file, ",\n\"others\":{");
    cpuprofile_write_samples(file, tree, true);
    output_text(file, ",\n\"threads\":");
    write_runs(file, tree, true);
    output_text(file, "}");
}

/* Ticks that no sample stands for: the sequence may have been cut, or never kept. */
static void write_self(struct output_file *file, const struct tree *tree)
{
    const struct profile *profile = tree->profile;
    int64_t cpu = profile_find_metric(profile, "cpu");
    if (!profile->samples.count || cpu < 0)
        return;
    _cleanup_free_ uint64_t *counts = xcalloc(profile->nodes.count, sizeof *counts);
    struct sequence_cursor cursor = sequence_begin(&profile->samples);
    for (struct sample sample; sequence_next(&cursor, &sample);)
        counts[sample.node]++;
    bool any = false;
    for (size_t i = 0; i < profile->nodes.count; i++) {
        uint64_t self = profile_self(profile, (metric_id)cpu, (node_id)i);
        if (self == counts[i])
            continue;
        output_printf(file, "%s[%u,%" PRId64 "]", any ? "," : ",\n\"self\":[", tree->first_ids[i],
                      (int64_t)(self - counts[i]));
        any = true;
    }
    output_text(file, any ? "]" : "");
}

static void write_calls(struct output_file *file, const struct tree *tree)
{
    const struct profile *profile = tree->profile;
    if (!profile->calls.count)
        return;
    output_text(file, ",\n\"calls\":[");
    for (size_t i = 0; i < profile->calls.count; i++) {
        const struct line_ticks *call = &profile->calls.items[i];
        output_printf(file, "%s[%u,%u,%" PRIu64 "]", i ? "," : "", tree->first_ids[call->node],
                      call->line, call->ticks);
    }
    output_text(file, "]");
}

static void write_addresses(struct output_file *file, const struct tree *tree)
{
    const struct profile *profile = tree->profile;
    if (!profile->addresses.count)
        return;
    output_text(file, ",\n\"addresses\":[");
    for (size_t i = 0; i < profile->addresses.count; i++) {
        const struct address_ticks *at = &profile->addresses.items[i];
        output_printf(file, "%s[%u,%u,%" PRId64 ",%" PRIu64 "]", i ? "," : "",
                      tree->first_ids[at->node], at->module, (int64_t)at->address, at->ticks);
    }
    output_text(file, "]");
}

static void write_series(struct output_file *file, const struct profile *profile)
{
    if (!profile->series.count)
        return;
    output_text(file, ",\n\"series\":[");
    for (size_t i = 0; i < profile->series.count; i++) {
        const struct series *series = &profile->series.items[i];
        uint64_t last = profile->meta.start_us;
        output_text(file, i ? ",\n{\"name\":" : "{\"name\":");
        json_write_string(file, profile_string(profile, series->name));
        output_text(file, ",\"unit\":");
        json_write_string(file, profile_string(profile, series->unit));
        output_text(file, ",\"start\":");
        cpuprofile_write_signed(file, (int64_t)last);
        output_text(file, ",\"times\":[");
        for (size_t j = 0; j < series->points.count; j++) {
            output_text(file, j ? "," : "");
            cpuprofile_write_signed(file, (int64_t)(series->points.items[j].time_us - last));
            last = series->points.items[j].time_us;
        }
        output_text(file, "],\"values\":[");
        for (size_t j = 0; j < series->points.count; j++) {
            output_text(file, j ? "," : "");
            write_number(file, series->points.items[j].value);
        }
        output_text(file, "]}");
    }
    output_text(file, "]");
}

static void write_collection(struct output_file *file, const struct profile *profile,
                             const struct profile_event *event)
{
    if (!event->what && !event->reason && !event->before_bytes && !event->after_bytes &&
        !event->tid && !event->estimated)
        return;
    output_text(file, ",");
    json_write_string(file, profile_string(profile, event->what));
    output_text(file, ",");
    json_write_string(file, profile_string(profile, event->reason));
    output_printf(file, ",%" PRId64 ",%" PRId64 ",%u,%d", (int64_t)event->before_bytes,
                  (int64_t)event->after_bytes, event->tid, event->estimated);
}

static void write_events(struct output_file *file, const struct tree *tree)
{
    const struct profile *profile = tree->profile;
    if (!profile->events.count)
        return;
    output_text(file, ",\n\"events\":[");
    for (size_t i = 0; i < profile->events.count; i++) {
        const struct profile_event *event = &profile->events.items[i];
        output_printf(file, "%s[%" PRId64 ",%" PRId64 ",", i ? "," : "", (int64_t)event->time_us,
                      (int64_t)event->duration_us);
        json_write_string(file, profile_string(profile, event->kind));
        output_printf(file, ",%u", tree->first_ids[event->node]);
        write_collection(file, profile, event);
        output_text(file, "]");
    }
    output_text(file, "]");
}

static void write_quality(struct output_file *file, const struct profile *profile)
{
    const struct quality *quality = &profile->quality;
    if (!quality->present)
        return;
    output_printf(
        file,
        ",\n\"quality\":{\"samples\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"truncated\":%" PRIu64
        ",\"stitched\":%" PRIu64 ",\"broken\":%" PRIu64 ",\"unknownFrames\":%" PRIu64
        ",\"extrapolated\":%" PRIu64 ",\"profilerRssPeak\":%" PRIu64,
        quality->samples, quality->lost, quality->truncated, quality->stitched, quality->broken,
        quality->unknown_frames, quality->extrapolated, quality->profiler_rss_peak);
    output_text(file, ",\"targetCpuS\":");
    write_number(file, quality->target_cpu_s);
    output_text(file, ",\"sampledCpuS\":");
    write_number(file, quality->sampled_cpu_s);
    output_text(file, ",\"coverage\":");
    write_number(file, quality->coverage);
    output_text(file, ",\"profilerCpuS\":");
    write_number(file, quality->profiler_cpu_s);
    if (quality->v8) {
        output_text(file, ",\"v8\":");
        json_write_string(file, profile_string(profile, quality->v8));
    }
    if (quality->js_frames)
        output_printf(file, ",\"jsFrames\":%" PRIu64 ",\"jsNamed\":%" PRIu64, quality->js_frames,
                      quality->js_named);
    output_text(file, ",\"sampler\":");
    json_write_string(file, profile_string(profile, quality->sampler));
    output_text(file, ",\"note\":");
    json_write_string(file, profile_string(profile, quality->note));
    output_text(file, "}");
}

void cpuprofile_write_extension(struct output_file *file, const struct tree *tree)
{
    const struct profile *profile = tree->profile;
    write_meta(file, profile);
    write_classes(file, tree);
    write_untold_files(file, tree);
    write_raw_addresses(file, tree);
    write_threads(file, tree);
    write_self(file, tree);
    write_calls(file, tree);
    write_addresses(file, tree);
    write_series(file, profile);
    write_events(file, tree);
    write_quality(file, profile);
    output_text(file, "}");
}
