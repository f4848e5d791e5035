/*
 * Which functions run at an address of optimised code.
 *
 * For a caller V8 knows it exactly: the frames that it would build there if the call came back to
 * code that is no longer valid. For the leaf there is no such record of each instruction, and the
 * position table of a process that nobody profiles has entries for calls only: what stands between
 * them has the position of the call before, though that may have been in an inlined function. So a
 * leaf is taken for what the places before and after it have in common, counted from the outermost
 * function inwards; where they differ, the rest is left out. Then time in an inlined function may
 * be charged to the one that it is inlined in, but never to one that does not run.
 */
#include "symbolize/v8_code.h"

#include "symbolize/v8_bytes.h"
#include "symbolize/v8_deopt.h"
#include "symbolize/v8_positions.h"

enum { INLINING_BYTES = 16, INLINING_FUNCTION = 8 }; /* of one of the InliningPositions */

struct chain { /* innermost first */
    struct v8_site sites[LIMIT_INLINE_DEPTH];
    size_t count;
};

/* One of the InliningPositions: where the call stood, and what was inlined there. */
static bool read_inlining(const struct v8_deopt *deopt, uint32_t inlining, uint64_t *ret_position,
                          uint32_t *ret_literal)
{
    struct v8_bytes bytes;
    if (!v8_bytes_open(&bytes, deopt->heap, deopt->inlining))
        return false;
    bytes.at = (inlining - 1) * INLINING_BYTES;
    *ret_position = v8_bytes_fixed(&bytes, INLINING_FUNCTION);
    *ret_literal = (uint32_t)v8_bytes_fixed(&bytes, 4);
    return !bytes.broken;
}

/* The chain of an entry of the code's position table; an empty one if it can't be told. */
static void chain_of_position(const struct v8_deopt *deopt, struct v8_position position,
                              struct chain *ret_chain)
{
    uint64_t outer;
    uint32_t literal;
    ret_chain->count = 0;
    struct v8_site *sites = ret_chain->sites;
    size_t count = 0;
    while (position.inlining) {
        uint32_t inlining = position.inlining;
        if (count == LIMIT_INLINE_DEPTH - 1 || !read_inlining(deopt, inlining, &outer, &literal) ||
            !v8_deopt_function(deopt, literal, &sites[count].shared))
            return;
        sites[count++].position = position.position;
        v8_position_unpack(outer, &position);
        /* A function is inlined after the one that it is inlined in. */
        if (position.inlining >= inlining)
            return;
    }
    sites[count++] = (struct v8_site){deopt->function, position.position};
    ret_chain->count = count;
}

static void chain_of_point(const struct v8_deopt *deopt, int32_t index, struct chain *ret_chain)
{
    ret_chain->count = index < 0 ? 0 : v8_deopt_sites(deopt, (uint32_t)index, ret_chain->sites);
}

/* How many functions two chains have in common, from the outermost one inwards. */
static size_t count_common(const struct chain *a, const struct chain *b)
{
    size_t common = 0;
    while (common < a->count && common < b->count) {
        const struct v8_site *of_a = &a->sites[a->count - 1 - common];
        const struct v8_site *of_b = &b->sites[b->count - 1 - common];
        if (of_a->shared != of_b->shared)
            break;
        common++;
        if (of_a->position != of_b->position || of_a->position == V8_NO_POSITION)
            break;
    }
    return common;
}

/* The outermost `count` of a chain. */
static void keep_outermost(struct chain *chain, size_t count)
{
    for (size_t i = 0; i < count; i++)
        chain->sites[i] = chain->sites[chain->count - count + i];
    chain->count = count;
}

static void outermost_alone(const struct v8_deopt *deopt, struct chain *ret_chain)
{
    ret_chain->sites[0] = (struct v8_site){deopt->function, V8_NO_POSITION};
    ret_chain->count = 1;
}

/* The chains of the nearest places before and after an offset of which something is known. */
static void chains_around(const struct v8_deopt *deopt, uint32_t offset, struct chain *ret_before,
                          struct chain *ret_after)
{
    struct v8_position at, next;
    struct v8_deopt_point before, after;
    if (!v8_positions_around(deopt->heap, deopt->code.positions, (int32_t)offset, &at, &next)) {
        at.offset = INT32_MIN;
        next.offset = INT32_MAX;
    }
    v8_deopt_around(deopt, offset, &before, &after);
    if (at.offset >= 0 && (before.index < 0 || (uint32_t)at.offset > before.offset))
        chain_of_position(deopt, at, ret_before);
    else
        chain_of_point(deopt, before.index, ret_before);
    if (next.offset < INT32_MAX && (after.index < 0 || (uint32_t)next.offset < after.offset))
        chain_of_position(deopt, next, ret_after);
    else
        chain_of_point(deopt, after.index, ret_after);
}

static void chain_between(const struct v8_deopt *deopt, uint32_t offset, struct chain *ret_chain)
{
    struct chain after;
    chains_around(deopt, offset, ret_chain, &after);
    if (!deopt->inlined && ret_chain->count == 1)
        return;
    size_t common = count_common(ret_chain, &after);
    bool whole = common && common == ret_chain->count && common == after.count;
    if (!common) {
        outermost_alone(deopt, ret_chain);
    } else {
        keep_outermost(ret_chain, common);
        if (!whole)
            ret_chain->sites[0].position = V8_NO_POSITION;
    }
}

/* Bytecodes may have no positions yet, where the code that was made of them has. */
static void complete_positions(const struct v8_deopt *deopt, uint32_t offset, struct chain *chain)
{
    struct v8_position at, next;
    struct chain other;
    if (!v8_positions_around(deopt->heap, deopt->code.positions, (int32_t)offset, &at, &next) ||
        at.offset < 0)
        return;
    chain_of_position(deopt, at, &other);
    if (other.count != chain->count)
        return;
    for (size_t i = 0; i < chain->count; i++)
        if (chain->sites[i].shared != other.sites[i].shared)
            return;
    for (size_t i = 0; i < chain->count; i++)
        if (chain->sites[i].position == V8_NO_POSITION)
            chain->sites[i].position = other.sites[i].position;
}

bool v8_code_function(struct v8_heap *heap, const struct v8_code *code, uint64_t *ret_shared)
{
    struct v8_deopt deopt;
    if (!v8_deopt_open(heap, code, &deopt))
        return false;
    *ret_shared = deopt.function;
    return true;
}

size_t v8_code_sites(struct v8_heap *heap, const struct v8_code *code, uint64_t pc, bool call,
                     struct v8_site *ret_sites)
{
    struct v8_deopt deopt;
    struct chain chain = {.count = 0};
    if ((code->kind != V8_CODE_MAGLEV && code->kind != V8_CODE_TURBOFAN) ||
        pc - code->start >= code->size || !v8_deopt_open(heap, code, &deopt))
        return 0;
    uint32_t offset = (uint32_t)(pc - code->start);
    if (call)
        chain_of_point(&deopt, v8_deopt_call(&deopt, offset + 1), &chain);
    if (chain.count)
        complete_positions(&deopt, offset, &chain);
    else
        chain_between(&deopt, offset, &chain);
    for (size_t i = 0; i < chain.count; i++)
        ret_sites[i] = chain.sites[i];
    return chain.count;
}
