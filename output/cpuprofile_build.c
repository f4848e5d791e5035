/*
 * From the flat tables of a .cpuprofile to a profile.
 *
 * 1. Ids become indices (a direct table when they are dense, else a hash).
 * 2. Links become parents; a breadth-first walk from the one node without a parent reaches
 *    every node exactly when there is no cycle, and gives an order in which a parent comes
 *    before its children, whatever the order in the file.
 * 3. Nodes are added in that order. Nodes that cpuprofile_write put in (a thread's frame) stand
 *    for their parent, so that their subtrees merge again.
 * 4. The standard samples and those of the other threads are merged by time.
 *
 * Nothing recurses, and apart from the result only a few words per node are held.
 */
#include "output/cpuprofile_raw.h"

#include "core/file_url.h"
#include "core/limits.h"

#include <inttypes.h>
#include <string.h>

#define NONE UINT32_MAX
#define REST (UINT32_MAX - 1)

struct id_map {
    int64_t base;     /* of the direct table */
    uint32_t *direct; /* index by id - base, NONE where there is none; NULL: use the hash */
    size_t direct_count;
    struct hash_index index;
};

struct build {
    struct raw_profile *raw;
    struct id_map ids;
    uint32_t *parents; /* by index */
    uint32_t *order;   /* indices, breadth first */
    uint32_t *threads; /* by index: the thread (raw) whose frame is above, NONE, or REST */
    node_id *nodes;    /* by index */
    uint32_t root, idle;
    metric_id cpu;
    vec(uint64_t) counts; /* samples by node of the profile */
};

static void build_release(struct build *build)
{
    free(build->ids.direct);
    hash_release(&build->ids.index);
    free(build->parents);
    free(build->order);
    free(build->threads);
    free(build->nodes);
    vec_release(&build->counts);
}

/* An offset of 0 is left out: what refers to nodes from elsewhere has none. */
static int fail_at(const struct raw_profile *raw, uint64_t offset, const char *what, int64_t id)
{
    if (!offset)
        return error_set(raw->err, ERROR_FORMAT, "%s: %s (node %" PRId64 ")", raw->name, what, id);
    return error_set(raw->err, ERROR_FORMAT, "%s: %s (node %" PRId64 ") at offset %" PRIu64,
                     raw->name, what, id, offset);
}

/* --- ids --- */

static uint64_t id_hash(const void *context, uint32_t index)
{
    const struct raw_profile *raw = context;
    return hash_mix((uint64_t)raw->nodes.items[index].id);
}

static uint32_t id_find(const struct build *build, int64_t id)
{
    const struct id_map *ids = &build->ids;
    if (ids->direct) {
        uint64_t place = (uint64_t)id - (uint64_t)ids->base;
        return place < ids->direct_count ? ids->direct[place] : NONE;
    }
    struct hash_probe probe = hash_first(hash_mix((uint64_t)id));
    for (uint32_t index; hash_next(&ids->index, &probe, &index);)
        if (build->raw->nodes.items[index].id == id)
            return index;
    return NONE;
}

static int ids_build(struct build *build)
{
    const struct raw_profile *raw = build->raw;
    struct id_map *ids = &build->ids;
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (size_t i = 0; i < raw->nodes.count; i++) {
        int64_t id = raw->nodes.items[i].id;
        least = id < least ? id : least;
        most = id > most ? id : most;
    }
    uint64_t span = (uint64_t)most - (uint64_t)least;
    if (span < raw->nodes.count * 4 + 1024) {
        ids->base = least;
        ids->direct_count = span + 1;
        ids->direct = xreallocarray(NULL, ids->direct_count, sizeof *ids->direct);
        memset(ids->direct, 0xff, ids->direct_count * sizeof *ids->direct);
    }
    for (size_t i = 0; i < raw->nodes.count; i++) {
        const struct raw_node *node = &raw->nodes.items[i];
        if (id_find(build, node->id) != NONE)
            return fail_at(raw, node->offset, "two nodes with one id", node->id);
        if (ids->direct)
            ids->direct[(uint64_t)node->id - (uint64_t)least] = (uint32_t)i;
        else
            hash_insert(&ids->index, hash_mix((uint64_t)node->id), (uint32_t)i, id_hash, raw);
    }
    return 0;
}

/* --- the tree --- */

static int link_child(struct build *build, uint32_t parent, uint32_t child, const char *missing,
                      uint32_t blamed)
{
    const struct raw_node *node = &build->raw->nodes.items[blamed];
    if (parent == NONE || child == NONE)
        return fail_at(build->raw, node->offset, missing, node->id);
    if (build->parents[child] != NONE && build->parents[child] != parent)
        return fail_at(build->raw, build->raw->nodes.items[child].offset, "a node with two parents",
                       build->raw->nodes.items[child].id);
    build->parents[child] = parent;
    return 0;
}

static int parents_build(struct build *build)
{
    const struct raw_profile *raw = build->raw;
    build->parents = xreallocarray(NULL, raw->nodes.count, sizeof *build->parents);
    memset(build->parents, 0xff, raw->nodes.count * sizeof *build->parents);
    uint32_t child = 0;
    for (uint32_t i = 0; i < raw->nodes.count; i++) {
        const struct raw_node *node = &raw->nodes.items[i];
        for (; child < node->children_end; child++)
            if (link_child(build, i, id_find(build, raw->children.items[child]),
                           "a child that is not there", i) < 0)
                return -1;
        if (node->parent_id != RAW_NO_ID && link_child(build, id_find(build, node->parent_id), i,
                                                       "a parent that is not there", i) < 0)
            return -1;
    }
    build->root = NONE;
    for (uint32_t i = 0; i < raw->nodes.count; i++) {
        if (build->parents[i] != NONE)
            continue;
        if (build->root != NONE)
            return fail_at(raw, raw->nodes.items[i].offset, "a second node without a parent",
                           raw->nodes.items[i].id);
        build->root = i;
    }
    if (build->root == NONE)
        return error_set(raw->err, ERROR_FORMAT, "%s: the call tree has no root", raw->name);
    return 0;
}

/* Children by parent in one array (a counting sort), then the queue is the order itself. */
static int order_build(struct build *build)
{
    const struct raw_profile *raw = build->raw;
    size_t count = raw->nodes.count;
    _cleanup_free_ uint32_t *starts = xcalloc(count + 2, sizeof *starts);
    _cleanup_free_ uint32_t *children = xreallocarray(NULL, count, sizeof *children);
    for (size_t i = 0; i < count; i++)
        if (build->parents[i] != NONE)
            starts[build->parents[i] + 2]++;
    for (size_t i = 2; i < count + 2; i++)
        starts[i] += starts[i - 1];
    for (uint32_t i = 0; i < count; i++)
        if (build->parents[i] != NONE)
            children[starts[build->parents[i] + 1]++] = i;

    build->order = xreallocarray(NULL, count, sizeof *build->order);
    size_t queued = 1, level_end = 1;
    build->order[0] = build->root;
    for (size_t i = 0, depth = 0; i < queued; i++) {
        if (i == level_end) {
            level_end = queued;
            if (++depth > LIMIT_DEPTH)
                return error_set(raw->err, ERROR_LIMIT, "%s: the call tree is deeper than %d",
                                 raw->name, LIMIT_DEPTH);
        }
        uint32_t node = build->order[i];
        for (uint32_t at = starts[node]; at < starts[node + 1]; at++)
            build->order[queued++] = children[at];
    }
    if (queued == count)
        return 0;
    _cleanup_free_ bool *reached = xcalloc(count, sizeof *reached);
    for (size_t i = 0; i < queued; i++)
        reached[build->order[i]] = true;
    size_t lost = 0;
    while (reached[lost])
        lost++;
    return fail_at(raw, raw->nodes.items[lost].offset,
                   "a node that is its own ancestor or below one", raw->nodes.items[lost].id);
}

/* --- frames --- */

/* V8 marks its own code by a name in parentheses; other code without a source is built in. */
static enum frame_kind kind_by_name(const struct profile *profile, const struct raw_node *node)
{
    const char *name = profile_string(profile, node->function);
    if (node->url)
        return FRAME_JAVASCRIPT;
    if (!strcmp(name, "(idle)"))
        return FRAME_IDLE;
    if (!strcmp(name, "(garbage collector)"))
        return FRAME_GC;
    /* Code from eval has no URL, but a place in its script. */
    return node->script && node->line ? FRAME_JAVASCRIPT : FRAME_RUNTIME;
}

static string_id path_of_url(struct profile *profile, string_id url)
{
    _cleanup_free_ char *path = file_url_path(profile_string(profile, url));
    return strings_intern(&profile->strings, path);
}

static struct frame frame_of_node(struct build *build, uint32_t index)
{
    struct raw_profile *raw = build->raw;
    const struct raw_extension *extension = &raw->extension;
    const struct raw_node *node = &raw->nodes.items[index];
    struct frame frame = {
        .function = node->function,
        .file = node->url,
        .line = node->line,
        .column = node->column,
        .script = node->script,
    };
    if (!extension->node_classes.count) {
        frame.kind = kind_by_name(raw->profile, node);
        return frame;
    }
    const struct raw_class *class = &extension->classes.items[extension->node_classes.items[index]];
    frame.kind = class->kind;
    frame.tier = class->tier;
    frame.module = class->module;
    if (class->unnamed)
        frame.function = 0;
    if (frame.kind != FRAME_JAVASCRIPT && frame.file)
        frame.file = path_of_url(raw->profile, frame.file);
    return frame;
}

static int classes_check(const struct raw_profile *raw)
{
    const struct raw_extension *extension = &raw->extension;
    if (!extension->node_classes.count)
        return 0;
    bool good = extension->node_classes.count == raw->nodes.count;
    for (size_t i = 0; good && i < extension->node_classes.count; i++)
        good = extension->node_classes.items[i] < extension->classes.count;
    return good ? 0
                : error_set(raw->err, ERROR_FORMAT, "%s: nodeClasses does not fit the nodes",
                            raw->name);
}

/* Files and addresses that the callFrame has no place for; few nodes have them. */
static int frames_amend(struct build *build, struct frame *frames)
{
    const struct raw_profile *raw = build->raw;
    for (size_t i = 0; i < raw->extension.files.count; i++) {
        const struct raw_pair *pair = &raw->extension.files.items[i];
        uint32_t index = id_find(build, pair->id);
        if (index == NONE)
            return fail_at(raw, 0, "a file of a node that is not there", pair->id);
        frames[index].file = (string_id)pair->value;
    }
    for (size_t i = 0; i < raw->extension.raw_addresses.count; i++) {
        const struct raw_pair *pair = &raw->extension.raw_addresses.items[i];
        uint32_t index = id_find(build, pair->id);
        if (index == NONE)
            return fail_at(raw, 0, "an address of a node that is not there", pair->id);
        frames[index].address = (uint64_t)pair->value;
    }
    return 0;
}

/* Marks the nodes that stand for threads and for idle time. */
static void threads_mark(struct build *build)
{
    const struct raw_extension *extension = &build->raw->extension;
    build->threads = xreallocarray(NULL, build->raw->nodes.count, sizeof *build->threads);
    memset(build->threads, 0xff, build->raw->nodes.count * sizeof *build->threads);
    for (size_t i = 0; i < extension->threads.count; i++) {
        int64_t id = extension->threads.items[i].frame_id;
        uint32_t index = id == RAW_NO_ID ? NONE : id_find(build, id);
        if (index != NONE && index != build->root)
            build->threads[index] = (uint32_t)i;
    }
    uint32_t rest = extension->rest_id == RAW_NO_ID ? NONE : id_find(build, extension->rest_id);
    if (rest != NONE && rest != build->root)
        build->threads[rest] = REST;
    build->idle = extension->idle_id == RAW_NO_ID ? NONE : id_find(build, extension->idle_id);
}

static int nodes_build(struct build *build)
{
    struct raw_profile *raw = build->raw;
    size_t count = raw->nodes.count;
    if (classes_check(raw) < 0)
        return -1;
    threads_mark(build);
    _cleanup_free_ struct frame *frames = xreallocarray(NULL, count, sizeof *frames);
    for (uint32_t i = 0; i < count; i++)
        frames[i] = frame_of_node(build, i);
    if (frames_amend(build, frames) < 0)
        return -1;
    build->nodes = xcalloc(count, sizeof *build->nodes);
    for (size_t i = 1; i < count; i++) {
        uint32_t index = build->order[i], parent = build->parents[index];
        node_id above = build->nodes[parent];
        bool stand_in = build->threads[index] != NONE || index == build->idle;
        if (!stand_in)
            build->threads[index] = build->threads[parent];
        build->nodes[index] =
            stand_in ? above
                     : profile_add_node(raw->profile, above,
                                        profile_add_frame(raw->profile, &frames[index]));
    }
    return 0;
}

/* --- samples --- */

/* One sequence of the file: samples and timeDeltas side by side, threads in runs. */
struct source {
    struct json ids, deltas, threads;
    bool ends; /* nothing more to read */
    uint64_t time_us;
    uint64_t run_left; /* samples still to come of the run of threads */
    thread_id run_thread;
    struct sample sample; /* the next one */
};

static bool run_next(struct build *build, struct source *source)
{
    const struct raw_extension *extension = &build->raw->extension;
    uint64_t thread = 0;
    if (source->run_left)
        return source->run_left--, true;
    /* Without runs everything belongs to the one thread that there is. */
    if (!source->threads.at)
        return true;
    if (!json_array_next(&source->threads) ||
        !raw_unsigned(&source->threads, UINT32_MAX, &thread) ||
        !json_array_next(&source->threads) ||
        !raw_unsigned(&source->threads, INT64_MAX, &source->run_left))
        return json_fail(&source->threads, "fewer threads than samples");
    if (thread >= extension->threads.count || !source->run_left)
        return json_fail(&source->threads, "a thread that is not there");
    source->run_thread = extension->threads.items[thread].thread;
    source->run_left--;
    return true;
}

/* Reads the next sample into source->sample, or sets `ends`; -1 on an error. */
static int source_next(struct build *build, struct source *source)
{
    for (;;) {
        int64_t id = 0, delta = 0;
        bool more = json_next_integer(&source->ids, &id);
        if (json_next_integer(&source->deltas, &delta) != more && !source->ids.failed &&
            !source->deltas.failed)
            json_fail(&source->ids, "samples and timeDeltas differ in number");
        if (source->ids.failed || source->deltas.failed)
            return -1;
        if (!more) {
            source->ends = true;
            return 0;
        }
        uint32_t index = id_find(build, id);
        if (index == NONE) {
            json_fail(&source->ids, "a sample of a node that is not there");
            return -1;
        }
        source->time_us += (uint64_t)delta;
        if (index == build->idle)
            continue;
        uint32_t thread = build->threads[index];
        if (thread >= REST && !run_next(build, source))
            return -1;
        source->sample = (struct sample){
            .time_us = source->time_us,
            .thread = thread < REST ? build->raw->extension.threads.items[thread].thread
                                    : source->run_thread,
            .node = build->nodes[index],
        };
        return 0;
    }
}

static int source_open(struct build *build, const struct raw_samples *samples,
                       const struct json *threads, struct source *ret_source)
{
    struct source source = {.ids = samples->ids,
                            .deltas = samples->deltas,
                            .threads = *threads,
                            .time_us = build->raw->profile->meta.start_us};
    if (!samples->ids.at || !samples->deltas.at) {
        struct json array = samples->ids;
        source.ends = true;
        /* An empty list of samples needs no list of times. */
        if (array.at && json_array_begin(&array) && json_array_next(&array))
            return error_set(build->raw->err, ERROR_FORMAT, "%s: has samples, but no timeDeltas",
                             build->raw->name);
        *ret_source = source;
        return array.at && array.failed ? -1 : 0;
    }
    if (!json_array_begin(&source.ids) || !json_array_begin(&source.deltas) ||
        (source.threads.at && !json_array_begin(&source.threads)) ||
        source_next(build, &source) < 0)
        return -1;
    *ret_source = source;
    return 0;
}

static int samples_build(struct build *build)
{
    struct raw_profile *raw = build->raw;
    struct profile *profile = raw->profile;
    struct source standard = {0}, others = {0};
    if (source_open(build, &raw->samples, &raw->extension.sample_threads, &standard) < 0 ||
        source_open(build, &raw->extension.others, &raw->extension.others.threads, &others) < 0)
        return -1;
    if ((!standard.ends || !others.ends) && !profile->threads.count)
        profile_add_thread(profile, 0, 0, "");
    vec_reserve(&build->counts, profile->nodes.count);
    build->counts.count = profile->nodes.count;
    memset(build->counts.items, 0, build->counts.count * sizeof *build->counts.items);
    while (!standard.ends || !others.ends) {
        bool first =
            others.ends ||
            (!standard.ends && (int64_t)(standard.sample.time_us - others.sample.time_us) <= 0);
        struct source *source = first ? &standard : &others;
        sequence_append(&profile->samples, &source->sample);
        build->counts.items[source->sample.node]++;
        if (source_next(build, source) < 0)
            return -1;
    }
    return 0;
}

/* --- ticks, and what else refers to nodes --- */

/*
 * V8 counts a node's ticks itself, also when it leaves out the samples. Our own hitCount agrees
 * with the standard samples only, so there the samples of all threads are what counts.
 */
static void self_build(struct build *build)
{
    struct raw_profile *raw = build->raw;
    struct profile *profile = raw->profile;
    build->cpu = profile_add_metric(profile, "cpu", "ticks");
    bool by_samples = profile->samples.count && (!raw->has_hits || raw->extension.present);
    if (by_samples) {
        for (size_t i = 0; i < build->counts.count; i++)
            if (build->counts.items[i])
                profile_add_self(profile, build->cpu, (node_id)i, build->counts.items[i]);
        return;
    }
    for (uint32_t i = 0; i < raw->nodes.count; i++)
        if (raw->nodes.items[i].hits && i != build->idle)
            profile_add_self(profile, build->cpu, build->nodes[i], raw->nodes.items[i].hits);
    /* A file of V8's knows one thread, and all its ticks are that one's. */
    if (profile->threads.count == 1 && !raw->extension.threads.count)
        profile->threads.items[0].ticks = profile_sum(profile, build->cpu);
}

static int node_find(const struct build *build, int64_t id, const char *what, node_id *ret_node)
{
    uint32_t index = id_find(build, id);
    if (index == NONE)
        return fail_at(build->raw, 0, what, id);
    *ret_node = build->nodes[index];
    return 0;
}

static int references_build(struct build *build)
{
    struct raw_profile *raw = build->raw;
    struct profile *profile = raw->profile;
    const struct raw_extension *extension = &raw->extension;
    node_id node = 0;
    for (size_t i = 0; i < raw->lines.count; i++) {
        const struct raw_line *line = &raw->lines.items[i];
        profile_add_line(profile, build->nodes[line->index], line->line, line->ticks);
    }
    for (size_t i = 0; i < extension->self.count; i++) {
        const struct raw_pair *pair = &extension->self.items[i];
        if (node_find(build, pair->id, "ticks of a node that is not there", &node) < 0)
            return -1;
        if (pair->value < 0 && 0 - (uint64_t)pair->value > profile_self(profile, build->cpu, node))
            return fail_at(raw, 0, "fewer than no ticks", pair->id);
        profile_add_self(profile, build->cpu, node, (uint64_t)pair->value);
    }
    for (size_t i = 0; i < extension->calls.count; i++) {
        const struct raw_call *call = &extension->calls.items[i];
        if (node_find(build, call->id, "a call of a node that is not there", &node) < 0)
            return -1;
        profile_add_call_line(profile, node, call->line, call->ticks);
    }
    for (size_t i = 0; i < extension->addresses.count; i++) {
        const struct address_ticks *address = &extension->addresses.items[i];
        if (node_find(build, extension->address_ids.items[address->node],
                      "an address of a node that is not there", &node) < 0)
            return -1;
        profile_add_address(profile, node, address->module, address->address, address->ticks);
    }
    for (size_t i = 0; i < extension->event_ids.count; i++) {
        if (node_find(build, extension->event_ids.items[i], "an event of a node that is not there",
                      &node) < 0)
            return -1;
        profile->events.items[i].node = node;
    }
    return 0;
}

int raw_profile_build(struct raw_profile *raw)
{
    _cleanup_(build_release) struct build build = {.raw = raw};
    if (!raw->nodes.count)
        return error_set(raw->err, ERROR_FORMAT, "%s: has no nodes", raw->name);
    if (ids_build(&build) < 0 || parents_build(&build) < 0 || order_build(&build) < 0 ||
        nodes_build(&build) < 0 || samples_build(&build) < 0)
        return -1;
    self_build(&build);
    return references_build(&build);
}
