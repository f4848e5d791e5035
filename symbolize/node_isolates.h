/*
 * node_isolates.h - the JavaScript threads of a Node.js process: each one's isolate and event loop.
 *
 * Node.js's platform knows them all, the main thread's and each Worker's. Found through its own
 * table, in the layout that Node.js 18 to 24 share (src/node_platform.h, libstdc++'s
 * std::unordered_map); each is believed only if the object behind it is of the platform's class.
 */
#ifndef MEMPROF_SYMBOLIZE_NODE_ISOLATES_H
#define MEMPROF_SYMBOLIZE_NODE_ISOLATES_H

#include "core/limits.h"
#include "core/remote_memory.h"
#include "symbolize/node_symbols.h"

struct node_isolate {
    uint64_t isolate; /* v8::internal::Isolate */
    uint64_t loop;    /* uv_loop_t */
    bool main;
};

/* At most LIMIT_ISOLATES; how many. 0 too while the process has not set them up yet. */
size_t node_isolates_find(struct remote_memory *memory, const struct node_symbols *symbols,
                          struct node_isolate ret_isolates[LIMIT_ISOLATES]);

#endif
