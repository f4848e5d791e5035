/*
 * node_symbols.h - what Node.js's executable tells of where its event loop and its heap lie.
 *
 * Knows of libuv's, Node.js's and V8's own names and nothing of what stands in memory there. A
 * stripped executable keeps all of it but libuv's default loop (a local symbol), for which
 * Node.js's platform stands in (node_isolates.h).
 */
#ifndef MEMPROF_SYMBOLIZE_NODE_SYMBOLS_H
#define MEMPROF_SYMBOLIZE_NODE_SYMBOLS_H

#include "symbolize/elf_file.h"

#include <stdbool.h>
#include <stdint.h>

enum node_space_kind {
    NODE_SPACE_NONE,
    NODE_SPACE_NEW,       /* two halves */
    NODE_SPACE_PAGED,     /* old, code, maps, trusted objects */
    NODE_SPACE_LARGE,     /* an object a chunk */
    NODE_SPACE_READ_ONLY, /* shared by all isolates, and no part of any one's heap */
    NODE_SPACE_OTHER      /* of V8's trials: its figures can't be told */
};

enum { NODE_SPACE_CLASSES = 21 };

struct node_space_class {
    uint64_t vtable; /* what an object of the class begins with; 0: this version has none */
    enum node_space_kind kind;
    bool old; /* the old space itself */
};

/* Addresses in the process; 0: there is none. */
struct node_symbols {
    uint64_t default_loop;         /* uv_loop_t default_loop_struct */
    bool loop_counts;              /* libuv 1.45 and later: a loop counts its turns */
    uint64_t platform;             /* node::per_process::v8_platform */
    uint64_t platform_data_vtable; /* of node::PerIsolatePlatformData */
    uint64_t node_platform_vtable; /* of node::NodePlatform */
    uint64_t allocator_vtable;     /* of node::NodeArrayBufferAllocator */
    uint64_t semi_space_vtable;    /* of the halves of the new space */
    uint64_t major, minor;         /* int v8::internal::Version::major_, minor_ */
    uint64_t mark_compact;         /* Heap::MarkCompact() of V8 */
    uint64_t mark_compact_size;
    uint64_t data_start, data_end; /* the executable's own variables */
    struct node_space_class spaces[NODE_SPACE_CLASSES];
};

/*
 * From an executable or library mapped at `bias` above its own addresses, in one pass over its
 * symbols. False if libuv and Node.js are not both in it.
 */
bool node_symbols_read(struct elf_file *file, uint64_t bias, struct node_symbols *ret_symbols);

#endif
