/*
 * v8_collector.h - which functions of V8 are its garbage collector, by name.
 *
 * The one list, for V8 10.2 to 13.6 (Node.js 18, 20, 22 and 24), src/heap. It names the functions
 * through which a thread enters the collector, not all that run inside: allocation that has found
 * room, write barriers and the counting of external memory are the program's own work.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_COLLECTOR_H
#define MEMPROF_SYMBOLIZE_V8_COLLECTOR_H

/* What a function is part of. Greater ones tell more. */
enum v8_collector {
    V8_COLLECTOR_NONE,
    V8_COLLECTOR_WORK,  /* marking, copying, sweeping: beside the program, or a little at a time */
    V8_COLLECTOR_STEP,  /* a step of incremental marking, which the program waits for */
    V8_COLLECTOR_PAUSE, /* a collection that the program waits for */
    V8_COLLECTOR_SCAVENGE,
    V8_COLLECTOR_MARK_COMPACT
};

/*
 * By a function's demangled name, arguments and all. The name is proof enough that its module has
 * V8: no other code is in V8's namespaces.
 */
enum v8_collector v8_collector_of(const char *function);
/* "scavenge"; NULL for work and for a pause of a kind that is not known. */
const char *v8_collector_name(enum v8_collector collector);

#endif
