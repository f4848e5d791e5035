/*
 * node_heap.h - how much of V8's heap is committed and used, read from outside.
 *
 * The figures are those of process.memoryUsage(). They stand in V8's own objects, whose layout is
 * known for V8 10.2, 11.3, 12.4 and 13.6 (Node.js 18, 20, 22 and 24; src/heap/{heap,spaces,
 * paged-spaces,new-spaces,large-spaces}.h of each), and are believed only if they fit together.
 * What V8 has mapped is told of any version, from the process's mappings alone.
 */
#ifndef MEMPROF_SYMBOLIZE_NODE_HEAP_H
#define MEMPROF_SYMBOLIZE_NODE_HEAP_H

#include "core/error.h"
#include "core/remote_memory.h"
#include "symbolize/node_symbols.h"

enum { NODE_SPACES = 16 };

struct node_space {
    uint64_t address, vtable;
    enum node_space_kind kind;
    bool old;
};

struct node_heap {
    struct remote_memory *memory;
    const struct node_heap_layout *layout;
    uint64_t isolate, heap;
    uint64_t semi_vtable;
    uint64_t semi[2];   /* the halves of the new space: the one in use first */
    uint64_t allocator; /* of array buffers; 0: unknown */
    uint64_t allocator_vtable;
    struct node_space spaces[NODE_SPACES];
    size_t space_count;
};

struct node_heap_figures { /* bytes */
    uint64_t total;        /* heapTotal */
    uint64_t used;         /* heapUsed */
    uint64_t external;
    uint64_t array_buffers; /* with has_array_buffers */
    bool has_array_buffers;
};

/*
 * The heap of an isolate. ERROR_UNSUPPORTED for a version whose layout is not known ("V8 14.1"),
 * ERROR_FORMAT if what is there is not what the version should have; one line.
 */
int node_heap_open(struct remote_memory *memory, const struct node_symbols *symbols,
                   uint64_t isolate, struct node_heap *ret_heap, struct error *err);
/* In two system calls; false if what was read does not fit together, as in a collection. */
bool node_heap_read(struct node_heap *heap, struct node_heap_figures *ret_figures);

/* Where a Heap counts its mark-compacts (ms_count_, 32 bits), as an offset in it. */
uint32_t node_heap_collections(const struct node_heap *heap);

/*
 * Bytes that V8 has mapped, from the text of /proc/PID/maps: anonymous writable mappings that begin
 * on a border of 256 KiB, below where the kernel puts libraries. Pages that V8 keeps for later
 * count, too. 0: none.
 */
uint64_t node_heap_mapped(const char *maps, size_t length);

#endif
