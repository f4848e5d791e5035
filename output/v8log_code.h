/*
 * v8log_code.h - what lies at an address while a V8 log (v8log.h) is read: the code that V8 has
 * compiled so far, and the mapped files.
 *
 * Knows nothing of the log's lines. The frames that it gives belong to the profile; a frame is
 * added when its code is first asked for, for most code is never sampled.
 */
#ifndef MEMPROF_OUTPUT_V8LOG_CODE_H
#define MEMPROF_OUTPUT_V8LOG_CODE_H

#include "core/code_map.h"
#include "core/profile.h"

enum v8log_kind {
    V8LOG_NOTHING, /* nothing is known at the address */
    V8LOG_LIBRARY, /* a mapped file: the frame is raw, its address an offset in the file */
    V8LOG_JAVASCRIPT,
    V8LOG_BUILTIN,
    V8LOG_RUNTIME, /* compiled regular expressions, stubs */
    V8LOG_HANDLER  /* a builtin, the interpreter's code for one bytecode: runs for its caller */
};

struct v8log_place {
    enum v8log_kind kind;
    frame_id frame; /* 0 for V8LOG_NOTHING */
};

struct v8log_item { /* one name of code, at however many addresses */
    string_id name; /* in names */
    struct v8log_place place;
};

struct v8log_library {
    uint64_t base, end; /* base: where the file's first byte would be mapped */
    module_id module;
};

enum { V8LOG_CACHE = 8192, V8LOG_HEAPS = 64 };

struct v8log_code {
    struct profile *profile;
    struct code_map map; /* of positions in items */
    vec(struct v8log_item) items;
    struct hash_index item_index;
    struct strings names;
    vec(struct v8log_library) libraries; /* by end */
    uint64_t builtins_start, builtins_end;
    uint64_t heaps[V8LOG_HEAPS]; /* where each isolate's region for code starts */
    size_t heap_count;
    uint32_t generation; /* changes with the map */
    struct v8log_cached {
        uint64_t address;
        uint32_t generation;
        struct v8log_place place;
    } cache[V8LOG_CACHE];
};

/* On the heap: the cache is large. */
struct v8log_code *v8log_code_new(struct profile *profile);
void v8log_code_free(struct v8log_code *code);

/*
 * `base` is where the file's first byte would lie if all of it were mapped, `end` the end of an
 * executable mapping of it. False past LIMIT_SEGMENTS or LIMIT_MODULES.
 */
bool v8log_code_map_file(struct v8log_code *code, const char *path, uint64_t base, uint64_t end);
/* Where an isolate's region for code starts. False past V8LOG_HEAPS. */
bool v8log_code_add_heap(struct v8log_code *code, uint64_t start);
/*
 * Places code. `name` is V8's name of a function with its tier's mark (v8_name.h) for
 * V8LOG_JAVASCRIPT, else what to call the code. False past LIMIT_CODE_RANGES.
 */
bool v8log_code_add(struct v8log_code *code, enum v8log_kind kind, const char *name, size_t length,
                    uint64_t start, uint64_t size);
void v8log_code_move(struct v8log_code *code, uint64_t from, uint64_t to);
void v8log_code_delete(struct v8log_code *code, uint64_t start);

struct v8log_place v8log_code_find(struct v8log_code *code, uint64_t address);

#endif
