/*
 * frame_states.c - a forward data-flow analysis over the instructions that are reached from the
 * entry.
 *
 * A state says whose fp is, how far sp is below the slot of the return address, whether the
 * caller's fp is saved in the slot below that one, and which register holds a copy of the return
 * address. Where paths meet, only what they agree on stays: each part of a state can be lost once,
 * so an instruction is looked at six times at most. Positions on the stack count from the slot of
 * the return address, which is 0; the saved fp is at -8.
 *
 * Invariants: SCOPE_OTHER is "nothing is known", and is never left again. In SCOPE_OWN the saved
 * fp is in its slot. A `depth` of -1 is unknown, and else both slots that the state vouches for
 * are at or above sp.
 *
 * A callee of V8's takes its arguments off the stack, and how many is not to be seen here: a call
 * makes the depth unknown. Frames do not care. A store through another register than sp and fp is
 * believed to leave the return address alone; the few instructions of V8 that do change it in a
 * bare function do it by sp.
 *
 * Code that takes down fp's frame without having made it was jumped to by the code that did make
 * it (V8's BaselineLeaveFrame): then fp is its own from the entry on.
 *
 * Patterns of bytes in place of an analysis (push rbp; mov rbp, rsp; ret) are right at the edges of
 * a frame, but know nothing of a frameless function that has pushed something, of checks ahead of
 * the prologue, and of blocks behind an epilogue.
 */
#include "symbolize/frame_states.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "symbolize/stack_op.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

enum { DEEPEST = 1 << 20, UNKNOWN_DEPTH = -1, SLOT = 8 };

enum scope { SCOPE_OTHER, SCOPE_CALLER, SCOPE_OWN }; /* whose fp is */

struct state {
    uint8_t scope;
    bool saved;
    bool called;  /* something, on all paths to here, in SCOPE_CALLER */
    uint8_t held; /* STACK_OP_NO_REGISTER: none */
    int32_t depth;
};

struct step { /* an instruction that is reached */
    struct stack_op op;
    uint32_t offset;
    bool pending;
    struct state before;
};

struct run {
    uint32_t start; /* offset of its first byte */
    uint32_t where;
    uint8_t leaf;
};

struct frame_states {
    uint64_t address;
    size_t size;
    vec(struct run) runs; /* ascending, from offset 0 on; neighbours differ */
};

struct analysis {
    struct stack_decoder *decoder;
    const uint8_t *code;
    size_t size;
    uint64_t address;
    uint32_t *step_at; /* by offset: index + 1 in steps, 0: not reached */
    vec(struct step) steps;
    vec(uint32_t) pending;
    bool contradicted; /* a frame was taken down that the entry has not */
};

static const struct state nothing = {
    .scope = SCOPE_OTHER, .held = STACK_OP_NO_REGISTER, .depth = UNKNOWN_DEPTH};

static void set_depth(struct state *state, int64_t depth)
{
    if (state->scope == SCOPE_OWN && depth < SLOT) /* its frame is below sp */
        *state = nothing;
    else
        state->depth = depth < 0 || depth > DEEPEST ? UNKNOWN_DEPTH : (int32_t)depth;
    if (state->scope == SCOPE_CALLER && state->depth < SLOT)
        state->saved = false;
}

static void lose_depth(struct state *state)
{
    state->depth = UNKNOWN_DEPTH;
    if (state->scope == SCOPE_CALLER)
        state->saved = false;
}

/* Registers get values that are not followed. */
static void overwrite(struct state *state, unsigned writes)
{
    if (writes >> STACK_OP_FP & 1)
        *state = nothing;
    if (writes >> STACK_OP_SP & 1)
        lose_depth(state);
    if (state->held != STACK_OP_NO_REGISTER && writes >> state->held & 1)
        state->held = STACK_OP_NO_REGISTER;
}

/* The frame is gone, fp is the caller's again. */
static struct state after_frame(uint8_t held, int32_t depth)
{
    return (struct state){
        .scope = SCOPE_CALLER, .saved = depth >= SLOT, .held = held, .depth = depth};
}

static void push(struct state *state, uint8_t reg)
{
    if (state->depth != UNKNOWN_DEPTH) {
        set_depth(state, (int64_t)state->depth + SLOT);
        if (state->scope == SCOPE_CALLER && state->depth == SLOT)
            state->saved = reg == STACK_OP_FP;
    } else if (state->scope == SCOPE_CALLER && reg != STACK_OP_NO_REGISTER && reg == state->held) {
        state->depth = 0;
    }
}

static void pop(struct state *state, uint8_t reg)
{
    bool restores = state->depth == SLOT && (state->scope == SCOPE_OWN || state->saved);
    if (reg == STACK_OP_FP) {
        *state = restores ? after_frame(state->held, 0) : nothing;
        return;
    }
    if (reg != STACK_OP_NO_REGISTER)
        overwrite(state, 1U << reg);
    if (state->depth == UNKNOWN_DEPTH)
        return;
    if (!state->depth)
        state->held = reg;
    set_depth(state, (int64_t)state->depth - SLOT);
}

/* Where base + offset is; false if that is not known. */
static bool find_position(const struct state *state, const struct stack_op *op,
                          int64_t *ret_position)
{
    if (op->base == STACK_OP_SP) {
        *ret_position = (int64_t)op->offset - state->depth;
        return state->depth != UNKNOWN_DEPTH;
    }
    *ret_position = (int64_t)op->offset - SLOT;
    return state->scope == SCOPE_OWN;
}

/*
 * True if taking down fp's frame says that the entry was misjudged. Behind a call by a bare
 * function it need not: V8 10's baseline code has its frame made by one.
 */
static bool is_contradiction(const struct state *state)
{
    return state->scope == SCOPE_CALLER && !state->called;
}

/* Returns false if sp is set to a frame that is not this function's. */
static bool set_address(struct state *state, const struct stack_op *op)
{
    int64_t position;
    bool known = find_position(state, op, &position);
    if (op->reg == STACK_OP_FP) {
        if (known && position == -SLOT && (state->scope == SCOPE_OWN || state->saved))
            state->scope = SCOPE_OWN;
        else
            *state = nothing;
    } else if (known) {
        set_depth(state, -position);
    } else if (op->base == STACK_OP_FP) {
        bool consistent = !is_contradiction(state);
        *state = nothing;
        return consistent;
    }
    return true;
}

static void load(struct state *state, const struct stack_op *op)
{
    int64_t position;
    bool known = find_position(state, op, &position);
    if (op->reg == STACK_OP_FP) {
        bool restores = known && position == -SLOT && (state->scope == SCOPE_OWN || state->saved);
        *state = restores ? after_frame(state->held, state->depth) : nothing;
        return;
    }
    overwrite(state, 1U << op->reg);
    if (known && !position)
        state->held = op->reg;
}

static void store(struct state *state, const struct stack_op *op)
{
    int64_t position;
    if (!find_position(state, op, &position) || position >= SLOT)
        return;
    int64_t end = position + op->stored;
    if (end > 0) { /* the return address changes */
        state->held = STACK_OP_NO_REGISTER;
        if (state->scope == SCOPE_CALLER)
            *state = nothing;
    }
    if (position < 0 && end > -SLOT) { /* the saved fp changes */
        state->saved = false;
        if (state->scope == SCOPE_OWN)
            *state = nothing;
    }
}

/* The state behind an instruction; false if it contradicts the one before. */
static bool apply(struct state *state, const struct stack_op *op)
{
    bool consistent = true;
    if (state->scope == SCOPE_OTHER)
        return true;
    switch ((enum stack_op_kind)op->kind) {
    case STACK_OP_PUSH:
        push(state, op->reg);
        break;
    case STACK_OP_POP:
        pop(state, op->reg);
        break;
    case STACK_OP_ADDRESS:
        consistent = set_address(state, op);
        break;
    case STACK_OP_LOAD:
        load(state, op);
        break;
    case STACK_OP_STORE:
        store(state, op);
        break;
    case STACK_OP_SCATTER:
        if (state->scope == SCOPE_CALLER && op->base == STACK_OP_SP &&
            state->depth != UNKNOWN_DEPTH)
            *state = nothing;
        break;
    case STACK_OP_SWITCH: /* perhaps to an outer frame that catches an exception */
        if (state->scope == SCOPE_OWN)
            *state = nothing;
        break;
    case STACK_OP_LEAVE:
        consistent = !is_contradiction(state);
        *state = state->scope == SCOPE_OWN ? after_frame(state->held, 0) : nothing;
        break;
    case STACK_OP_CALL:
        lose_depth(state);
        state->held = STACK_OP_NO_REGISTER;
        state->called = state->scope == SCOPE_CALLER;
        break;
    case STACK_OP_OTHER:
    case STACK_OP_JUMP:
    case STACK_OP_BRANCH:
    case STACK_OP_END:
        break;
    }
    overwrite(state, op->writes);
    return consistent;
}

/* What both agree on; true if `into` lost something. */
static bool meet(struct state *into, const struct state *other)
{
    struct state before = *into;
    if (into->scope != other->scope)
        *into = nothing;
    if (into->scope == SCOPE_OTHER)
        return before.scope != SCOPE_OTHER;
    if (into->depth != other->depth)
        into->depth = UNKNOWN_DEPTH;
    if (into->held != other->held)
        into->held = STACK_OP_NO_REGISTER;
    into->saved &= other->saved && (into->scope == SCOPE_OWN || into->depth != UNKNOWN_DEPTH);
    into->called &= other->called;
    return into->depth != before.depth || into->held != before.held ||
           into->saved != before.saved || into->called != before.called;
}

/* Control reaches `offset` in a state. */
static void reach(struct analysis *analysis, uint64_t offset, const struct state *state)
{
    if (offset >= analysis->size)
        return;
    struct step *step;
    if (!analysis->step_at[offset]) {
        struct stack_op op;
        if (!stack_decoder_next(analysis->decoder, analysis->code + offset, analysis->size - offset,
                                analysis->address + offset, &op))
            return;
        step = vec_push(&analysis->steps);
        *step = (struct step){.op = op, .offset = (uint32_t)offset, .before = *state};
        analysis->step_at[offset] = (uint32_t)analysis->steps.count;
    } else {
        step = &analysis->steps.items[analysis->step_at[offset] - 1];
        if (!meet(&step->before, state))
            return;
    }
    if (!step->pending)
        vec_append(&analysis->pending, analysis->step_at[offset] - 1);
    step->pending = true;
}

static void follow(struct analysis *analysis, struct state entry)
{
    reach(analysis, 0, &entry);
    while (analysis->pending.count) {
        struct step *step =
            &analysis->steps.items[analysis->pending.items[--analysis->pending.count]];
        struct stack_op op = step->op;
        uint32_t next = step->offset + op.size;
        struct state state = step->before;
        step->pending = false;
        analysis->contradicted |= !apply(&state, &op);
        if (op.kind == STACK_OP_JUMP || op.kind == STACK_OP_BRANCH)
            reach(analysis, op.target - analysis->address, &state);
        if (op.kind != STACK_OP_JUMP && op.kind != STACK_OP_END)
            reach(analysis, next, &state);
    }
}

static struct run describe(uint32_t start, const struct state *state)
{
    struct run run = {.start = start, .leaf = LEAF_UNKNOWN};
    if (state->scope == SCOPE_OWN) {
        run.leaf = LEAF_FRAMED;
    } else if (state->scope == SCOPE_CALLER && state->depth != UNKNOWN_DEPTH) {
        run.leaf = LEAF_BARE;
        run.where = (uint32_t)state->depth;
    } else if (state->scope == SCOPE_CALLER && state->held != STACK_OP_NO_REGISTER) {
        run.leaf = LEAF_HELD;
        run.where = state->held;
    } else if (state->scope == SCOPE_CALLER && !state->called) {
        run.leaf = LEAF_BURIED;
    }
    return run;
}

static void add_run(struct frame_states *states, struct run run)
{
    const struct run *last =
        states->runs.count ? &states->runs.items[states->runs.count - 1] : NULL;
    if (!last || last->leaf != run.leaf || last->where != run.where)
        vec_append(&states->runs, run);
}

/* NULL if nothing is known anywhere. */
static struct frame_states *collect(const struct analysis *analysis)
{
    struct frame_states *states = xcalloc(1, sizeof *states);
    size_t end = 0;
    bool known = false;
    states->address = analysis->address;
    states->size = analysis->size;
    for (size_t offset = 0; offset < analysis->size; offset++) {
        if (analysis->step_at[offset]) {
            const struct step *step = &analysis->steps.items[analysis->step_at[offset] - 1];
            struct run run = describe(step->offset, &step->before);
            known |= run.leaf != LEAF_UNKNOWN;
            add_run(states, run);
            end = offset + step->op.size;
        } else if (offset == end) {
            add_run(states, describe((uint32_t)offset, &nothing));
        }
    }
    if (!known) {
        frame_states_free(states);
        return NULL;
    }
    states->runs.items = xreallocarray(states->runs.items, states->runs.count, sizeof(struct run));
    states->runs.capacity = states->runs.count;
    return states;
}

struct frame_states *frame_states_new(uint16_t machine, const uint8_t *code, size_t size,
                                      uint64_t address)
{
    static const struct state called = {.scope = SCOPE_CALLER, .held = STACK_OP_NO_REGISTER};
    static const struct state jumped_to = {
        .scope = SCOPE_OWN, .saved = true, .held = STACK_OP_NO_REGISTER, .depth = UNKNOWN_DEPTH};
    if (machine != EM_X86_64 || !size || size > LIMIT_FRAME_CODE_BYTES)
        return NULL;
    struct analysis analysis = {.code = code, .size = size, .address = address};
    analysis.decoder = stack_decoder_new();
    if (!analysis.decoder)
        return NULL;
    analysis.step_at = xcalloc(size, sizeof *analysis.step_at);
    follow(&analysis, called);
    if (analysis.contradicted) {
        memset(analysis.step_at, 0, size * sizeof *analysis.step_at);
        analysis.steps.count = 0;
        analysis.contradicted = false;
        follow(&analysis, jumped_to);
    }
    struct frame_states *states = analysis.contradicted ? NULL : collect(&analysis);
    stack_decoder_free(analysis.decoder);
    free(analysis.step_at);
    vec_release(&analysis.steps);
    vec_release(&analysis.pending);
    return states;
}

void frame_states_free(struct frame_states *states)
{
    if (!states)
        return;
    vec_release(&states->runs);
    free(states);
}

enum leaf_frame frame_states_find(const struct frame_states *states, uint64_t address,
                                  uint32_t *ret_where)
{
    uint64_t offset = address - states->address;
    *ret_where = 0;
    if (offset >= states->size)
        return LEAF_UNKNOWN;
    size_t low = 0, high = states->runs.count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (states->runs.items[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    *ret_where = states->runs.items[low].where;
    return (enum leaf_frame)states->runs.items[low].leaf;
}

size_t frame_states_bytes(const struct frame_states *states)
{
    return sizeof *states + states->runs.count * sizeof *states->runs.items;
}
