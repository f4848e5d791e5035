/*
 * symbolize.h - the pass from a raw profile to one with names.
 *
 * Each distinct address is looked up once; an address in inlined code becomes several frames;
 * nodes that turn out to be the same function under the same caller become one. Leaf addresses
 * and lines are kept (profile.addresses, profile.lines).
 */
#ifndef MEMPROF_SYMBOLIZE_SYMBOLIZE_H
#define MEMPROF_SYMBOLIZE_SYMBOLIZE_H

#include "core/profile.h"
#include "symbolize/modules.h"

/*
 * `raw` was recorded over `modules`: the module ids of its frames are positions in
 * modules->items. Returns a new profile (the caller frees it) with everything of `raw`; raw is
 * left as it is, and the new profile's samples are a view of its: raw outlives the result. Modules
 * keep their tables for later calls. With modules->once neither holds: the samples of `raw` are
 * moved, and the memory for tables and files is given back on the way.
 */
struct profile *symbolize_profile(struct profile *raw, struct modules *modules);

/* The module's own symbols contain `name`. */
bool module_has_symbol(struct module *module, const char *name);

#endif
