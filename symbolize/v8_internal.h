/*
 * v8_internal.h - what the parts of the naming of V8's frames share.
 *
 * Internal to v8.c, v8_learn.c and v8_places.c.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_INTERNAL_H
#define MEMPROF_SYMBOLIZE_V8_INTERNAL_H

#include "symbolize/v8.h"
#include "symbolize/v8_builtins.h"
#include "symbolize/v8_cache.h"
#include "symbolize/v8_epoch.h"

#include <time.h>

enum {
    V8_RECENT_SCRIPTS = 8,
    V8_MISSING_CACHED = 64 /* a power of two */
};

struct v8_recent_script { /* of which a function was learnt */
    uint64_t script;
    uint64_t searched_ns; /* CLOCK_MONOTONIC, when something was looked for in vain */
};

struct v8_missing_code { /* a pc whose code was not found */
    uint64_t pc, missed_ns;
};

struct v8 {
    struct profile *profile;
    struct module *module;
    char version[48];
    struct v8_heap heap;
    struct v8_scripts *scripts;
    struct v8_cache cache;
    struct v8_builtins *builtins;
    frame_id nameless_builtin;
    struct v8_recent_script recent[V8_RECENT_SCRIPTS]; /* a ring */
    uint32_t last_recent;
    struct v8_missing_code missing[V8_MISSING_CACHED];
    frame_id unknown;
    struct v8_epoch epoch;
    struct v8_types types;
    uint64_t types_ns;           /* the epoch that they are of */
    uint64_t sampled_ns, now_ns; /* of the sample at hand: when it was taken and came here */
    bool fresh;                  /* it is young */
    bool holds;                  /* what it saw is where it was, but for young objects */
    struct v8_names names;
};

/*
 * Whether what is at an address now is what the sample saw there. Otherwise it may have taken the
 * place of what is gone: the frame has to confirm it.
 */
static inline bool v8_was_there(const struct v8 *v8, const struct v8_entry *entry)
{
    return entry->since_ns <= v8->sampled_ns || v8->holds;
}

/* The stack that is being named. */
struct v8_view {
    struct v8 *v8;
    const struct unwound_frame *frames;
    size_t count;
    const struct stack_copy *stack;
    uint64_t base; /* address of stack->data[0] */
};

static inline uint64_t v8_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * A word of the frame of frames[index], at an offset from its fp: from the copy or, beyond it, from
 * the process. False if it can't be had.
 */
bool v8_frame_word(struct v8_view *view, size_t index, int offset, uint64_t *ret_word);
/* The function (JSFunction) of frames[index] is still where it was, and has this
 * SharedFunctionInfo. */
bool v8_frame_shared(struct v8_view *view, size_t index, uint64_t *ret_shared);
/*
 * The function of a BytecodeArray (tagged) that frames[index] runs, learnt if need be; NULL if it
 * can't be told. Valid until the next stack.
 */
struct v8_bytecodes *v8_learn_bytecodes(struct v8_view *view, size_t index, uint64_t array);
/* The BytecodeArray (tagged) of baseline code; 0 if it can't be told. */
uint64_t v8_baseline_bytecodes(struct v8_heap *heap, const struct v8_code *code);
/*
 * The functions at an offset in a BytecodeArray (-1: unknown) or at frames[index].pc in compiled
 * code, innermost first. NULL if they can't be told. Owned by the cache: valid until the next call.
 */
const struct v8_named *v8_place_of_bytecodes(struct v8 *v8, const struct v8_bytecodes *bytecodes,
                                             int32_t offset, size_t *ret_count);
const struct v8_named *v8_place_of_code(struct v8_view *view, size_t index,
                                        struct v8_compiled *compiled, size_t *ret_count);

#endif
