/*
 * code_layers.h - which code lies at an address, where new code takes the place of old.
 *
 * What is added hides what was at the same addresses before, and no more of it: a perf map may name
 * a whole region and then functions in it. That is the difference to core/code_map.h, from which
 * an overlapped range is gone. Unlike a range_map it can be asked between any two additions. Values
 * are the caller's; knows nothing of names.
 */
#ifndef MEMPROF_SYMBOLIZE_CODE_LAYERS_H
#define MEMPROF_SYMBOLIZE_CODE_LAYERS_H

#include "core/alloc.h"

#include <stdbool.h>
#include <stdint.h>

#define CODE_LAYERS_NONE UINT32_MAX /* the value of addresses without code */

struct code_layer {
    uint64_t start, end;
    uint32_t value;
};

struct code_layers {               /* zeroed: empty */
    vec(struct code_layer) ranges; /* at most twice as many as were added */
    vec(size_t) runs;              /* where each run of ranges begins, the newest last */
    vec(struct code_layer) merged; /* scratch */
};

/* What reading on in the file of a producer of code came to (perf_map.h, jitdump.h). */
struct code_news {
    bool added;    /* code is known that was not */
    bool replaced; /* at some address there was other code before */
    bool behind;   /* there is more to read, and old answers until then */
};

/* An empty range is passed over. Adding CODE_LAYERS_NONE removes. */
void code_layers_add(struct code_layers *map, uint64_t start, uint64_t end, uint32_t value);
/* The value that was added last for an address; false if there is none or CODE_LAYERS_NONE. */
bool code_layers_find(const struct code_layers *map, uint64_t address, uint32_t *ret_value);
/* True if anything was added for any address in [start, end). */
bool code_layers_overlaps(const struct code_layers *map, uint64_t start, uint64_t end);
void code_layers_release(struct code_layers *map);

#endif
