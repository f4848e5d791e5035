/*
 * cpuprofile_raw.h - a .cpuprofile as it stands in its file, between parsing and building.
 *
 * Shared by the three halves of the reader: cpuprofile_read.c (the standard part),
 * cpuprofile_extension.c (our own key) and cpuprofile_build.c (making a profile of both). The
 * keys of the file may come in any order, and nodes refer to later nodes, so nothing can be
 * built before all is parsed. Node ids are the file's own; "index" is a node's place in
 * `nodes`.
 */
#ifndef MEMPROF_OUTPUT_CPUPROFILE_RAW_H
#define MEMPROF_OUTPUT_CPUPROFILE_RAW_H

#include "core/profile.h"
#include "output/json.h"

#define RAW_NO_ID INT64_MIN

struct raw_node {
    int64_t id;
    int64_t parent_id; /* RAW_NO_ID: told by the parent's children */
    uint64_t offset;   /* in the text, for messages */
    uint64_t hits;
    string_id function, url;
    uint32_t line, column, script;
    uint32_t children_end; /* its ids in `children` end here, where the next node's begin */
};

struct raw_line {
    uint32_t index;
    uint32_t line;
    uint64_t ticks;
};

/* What nodes of the same kind of code share; see the extension's "classes". */
struct raw_class {
    enum frame_kind kind;
    enum code_tier tier;
    module_id module;
    bool unnamed;
};

struct raw_thread {
    thread_id thread;
    int64_t frame_id; /* of the node that stands for the thread, or RAW_NO_ID */
};

struct raw_pair {
    int64_t id;
    int64_t value;
};

struct raw_call {
    int64_t id;
    uint32_t line;
    uint64_t ticks;
};

/* Arrays that are read side by side once everything else is known. `at` NULL: not there. */
struct raw_samples {
    struct json ids, deltas, threads;
};

struct raw_extension {
    bool present;
    vec(module_id) modules;
    vec(struct raw_class) classes;
    vec(uint32_t) node_classes; /* by index */
    vec(struct raw_thread) threads;
    vec(struct raw_pair) raw_addresses; /* of raw frames, by node id */
    vec(struct raw_pair) files;         /* node id, string id */
    vec(struct raw_pair) self;          /* node id, ticks beside those of the samples */
    vec(struct raw_call) calls;
    vec(struct address_ticks) addresses; /* .node is an index into address_ids */
    vec(int64_t) address_ids;
    vec(int64_t) event_ids; /* by event of the profile */
    struct raw_samples others;
    struct json sample_threads;
    int64_t idle_id;
    int64_t rest_id; /* of the frame of all threads without one of their own */
};

struct raw_profile {
    const char *name; /* of the file */
    struct error *err;
    struct profile *profile; /* under construction; its strings are used from the start */
    vec(struct raw_node) nodes;
    vec(int64_t) children;
    vec(struct raw_line) lines;
    struct raw_samples samples;
    bool has_hits;
    struct raw_extension extension;
};

string_id raw_string(struct raw_profile *raw, const struct json_string *string);
/* Reads a string value and interns it; 0 on an error. */
string_id raw_string_read(struct raw_profile *raw, struct json *json);
/* An integer that must lie in [0, limit]. */
bool raw_unsigned(struct json *json, uint64_t limit, uint64_t *ret_value);

bool raw_extension_read(struct raw_profile *raw, struct json *json);
void raw_extension_release(struct raw_extension *extension);
/* Makes nodes, samples and all that refers to them. */
int raw_profile_build(struct raw_profile *raw);

#endif
