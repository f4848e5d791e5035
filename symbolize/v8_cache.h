/*
 * v8_cache.h - what was learnt of V8's functions and code, and the proof that it still holds.
 *
 * Internal to v8.c. An interpreted function is known by its BytecodeArray, compiled code by the
 * range of its instructions. Each entry remembers some bytes of the process that no other function
 * has in the same place (its header with the addresses of its tables); they are compared again, all
 * entries of a stack in one read, for a sample that is younger than the last comparison: code that
 * is dead may be found for a while yet, until it is swept. So what was seen before a sample and is
 * found after it was there in between. Bounded: a cache that is full is emptied.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_CACHE_H
#define MEMPROF_SYMBOLIZE_V8_CACHE_H

#include "core/alloc.h"
#include "core/hash.h"
#include "symbolize/v8.h"
#include "symbolize/v8_code.h"
#include "symbolize/v8_function.h"

struct v8_entry {
    uint32_t serial;    /* never used twice: what is remembered by it goes stale by itself */
    bool known;         /* false: nothing could be learnt, or it is not true any more */
    uint64_t since_ns;  /* CLOCK_MONOTONIC, when it was first seen */
    uint64_t proven_ns; /* when its identity was last compared, and found */
    uint64_t missed_ns; /* when it was last tried to learn something of it in vain; 0: never */
    uint64_t identity_address;
    uint8_t identity[V8_CODE_IDENTITY];
    uint8_t identity_size;
};

struct v8_bytecodes { /* an interpreted function */
    struct v8_entry entry;
    uint64_t array; /* the BytecodeArray, tagged */
    struct v8_function function;
};

struct v8_compiled {
    struct v8_entry entry;
    struct v8_code code;
    uint64_t renewed_ns;         /* the epoch that code's fields are of; 0: of none */
    struct frame_states *states; /* NULL: not made yet, or not to be had */
    bool states_tried;
};

/* The names of one place in one function. */
struct v8_place {
    uint32_t serial;       /* of the entry; 0: free */
    uint32_t key;          /* offset, tier and whether it is a call */
    uint32_t first, count; /* in v8_cache.names */
};

enum { V8_PLACES = 1 << 13 }; /* a power of two */

/* A function by its SharedFunctionInfo. */
struct v8_known_function {
    uint64_t shared, since_ns; /* of the epoch; shared 0: free */
    struct v8_function function;
};

enum { V8_FUNCTIONS = 1 << 10 }; /* a power of two */

/* What was read of the tables of one entry. */
struct v8_reading {
    uint32_t serial;   /* of the entry; 0: free */
    uint64_t since_ns; /* of the epoch */
    uint64_t used;     /* by a count of uses */
    struct v8_blocks blocks;
};

enum { V8_READINGS = 64 };

struct v8_cache {
    vec(struct v8_bytecodes *) bytecodes; /* owned */
    struct hash_index bytecodes_index;
    vec(struct v8_compiled *) compiled; /* owned, sorted by start, not overlapping */
    struct v8_place places[V8_PLACES];  /* direct-mapped */
    vec(struct v8_named) names;
    uint32_t serials;
    struct v8_known_function functions[V8_FUNCTIONS]; /* direct-mapped */
    struct v8_reading *readings[V8_READINGS];         /* owned; NULL: none yet */
    uint64_t uses;
};

void v8_cache_release(struct v8_cache *cache);
/* NULL if it was not seen. */
struct v8_bytecodes *v8_cache_find_bytecodes(const struct v8_cache *cache, uint64_t array);
/* The entry of a BytecodeArray; a new one is not `known` yet. */
struct v8_bytecodes *v8_cache_bytecodes(struct v8_cache *cache, uint64_t array);
/* The code that was seen at pc; NULL if there is none. */
struct v8_compiled *v8_cache_compiled(const struct v8_cache *cache, uint64_t pc);
/* Adds code in place of what it overlaps. */
struct v8_compiled *v8_cache_add_compiled(struct v8_cache *cache, const struct v8_code *code);
/* Whether it is too early to try again: what fails costs the most, and time is short then. */
static inline bool v8_missed_lately(uint64_t missed_ns, uint64_t now_ns)
{
    enum { RETRY_NS = 5000000 };
    return missed_ns && now_ns - missed_ns < RETRY_NS;
}
/* Once more of use for something else: what hangs on it is forgotten. */
void v8_cache_renew(struct v8_cache *cache, struct v8_entry *entry);
/* Frees entries when there are too many of them. Not while a stack is being named. */
void v8_cache_trim(struct v8_cache *cache);

/* The names of a place, NULL if they are not known; valid until the next v8_cache_add_place. */
const struct v8_named *v8_cache_place(const struct v8_cache *cache, uint32_t serial, uint32_t key,
                                      size_t *ret_count);
void v8_cache_add_place(struct v8_cache *cache, uint32_t serial, uint32_t key,
                        const struct v8_named *names, size_t count);

/*
 * What was read for an entry before in the epoch that began at since_ns, or nothing yet. Valid
 * until the next call. What belongs to an entry is older than the entry, so that its memory has not
 * been taken for something else since: that is not true of memory that was read for another one.
 */
struct v8_blocks *v8_cache_blocks(struct v8_cache *cache, uint32_t serial, uint64_t since_ns);
/* The function of a SharedFunctionInfo, if it was met in that epoch; NULL. */
const struct v8_function *v8_cache_function(const struct v8_cache *cache, uint64_t shared,
                                            uint64_t since_ns);
void v8_cache_add_function(struct v8_cache *cache, uint64_t shared, uint64_t since_ns,
                           const struct v8_function *function);

/*
 * Compares the identity of those of the entries that are known and were last proven before
 * needed_ns. One that has changed is not `known` any more.
 */
void v8_cache_prove(struct remote_memory *memory, struct v8_entry *const *entries, size_t count,
                    uint64_t needed_ns, uint64_t now_ns);

#endif
