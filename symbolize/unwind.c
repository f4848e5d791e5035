/*
 * unwind.c - the walk: look the pc up, step by its rule, check what comes out.
 *
 * Nearly all frames step by RULE_REGISTER, which is a handful of loads: hence the rule per pc
 * instead of running call-frame instructions each time. Code without CFI (JIT code, V8's
 * builtins) is walked by its frame pointer.
 *
 * Invariants: every frame has its pc in an executable mapping, except the leaf and a call to
 * NULL that a signal interrupted; sp grows from frame to frame, except where a signal was taken
 * on another stack; all reads lie within the copy. After a step only callee-saved
 * registers are known, and a rule that needs another one ends the walk. So a walk ends within
 * LIMIT_STACK_FRAMES whatever the stack holds.
 *
 * A slot below the copy has been popped by the epilogue that the leaf is in: the register has
 * its value already and keeps it. The caller's address is looked up one byte before the return
 * address, which may be the first byte of another function.
 */
#include "symbolize/unwind.h"

#include "symbolize/pc_cache.h"
#include "symbolize/stitch.h"

#include <string.h>

enum step {
    STEP_CALLER,
    STEP_END,        /* this was the outermost frame */
    STEP_COPY_ENDED, /* what is needed lies outside the copy */
    STEP_BROKEN
};

struct unwinder {
    const struct arch *arch;
    uint64_t kept; /* registers that survive a call, as a mask */
    struct stitcher stitcher;
    struct pc_cache cache;
    leaf_frame_fn *leaf_frame; /* NULL: not asked */
    void *leaf_context;
};

struct walk {
    const struct unwinder *unwinder;
    const struct stack_copy *stack;
    uint64_t base;      /* address of stack->data[0] */
    uint64_t limit;     /* offsets below it hold a whole word */
    uint64_t caller_sp; /* where the caller's frame begins, if a failed step knew; else 0 */
    bool beyond;        /* read_stack was asked for an address above the copy */
    bool sp_guessed;    /* sp is fp + 16 on arm64, where a record may lie lower in its frame */
    bool switched;      /* a signal was taken on another stack than the copied one */
    struct registers registers;
};

struct unwinder *unwinder_new(const struct arch *arch)
{
    struct unwinder *unwinder = xcalloc(1, sizeof *unwinder);
    unwinder->arch = arch;
    pc_cache_init(&unwinder->cache, arch);
    unwinder->kept = (uint64_t)1 << arch->sp;
    for (size_t i = 1; i < arch->slots; i++)
        unwinder->kept |= (uint64_t)1 << arch->slot_register[i];
    return unwinder;
}

void unwinder_free(struct unwinder *unwinder)
{
    if (!unwinder)
        return;
    pc_cache_release(&unwinder->cache);
    stitcher_release(&unwinder->stitcher);
    free(unwinder);
}

void unwinder_ask(struct unwinder *unwinder, leaf_frame_fn *leaf_frame, void *context)
{
    unwinder->leaf_frame = leaf_frame;
    unwinder->leaf_context = context;
}

void unwinder_forget(struct unwinder *unwinder, uint32_t tid)
{
    stitcher_forget(&unwinder->stitcher, tid);
}

static uint64_t load(const struct walk *walk, uint64_t offset)
{
    uint64_t value;
    memcpy(&value, walk->stack->data + offset, sizeof value);
    return value;
}

/* cfi_read_fn over the copy. */
static bool read_stack(void *context, uint64_t address, uint64_t *ret_value)
{
    struct walk *walk = context;
    uint64_t offset = address - walk->base;
    if (offset >= walk->limit) {
        walk->beyond |= address >= walk->base;
        return false;
    }
    *ret_value = load(walk, offset);
    return true;
}

static bool is_known(const struct walk *walk, uint8_t number)
{
    return walk->registers.known >> number & 1;
}

/* The callee-saved registers but ra; free of branches, as rules alternate without pattern. */
static void restore_slots(struct walk *walk, const struct rule *rule, uint64_t cfa)
{
    const struct arch *arch = walk->unwinder->arch;
    struct registers *registers = &walk->registers;
    uint64_t known = registers->known, into = cfa - walk->base;
    for (size_t i = 1; i < arch->slots; i++) {
        int64_t slot = rule->slot[i];
        uint8_t number = arch->slot_register[i];
        uint64_t offset = into + (uint64_t)(slot * 8), bit = (uint64_t)1 << number;
        bool saved = slot > SLOT_UNDEFINED, inside = saved & (offset < walk->limit);
        bool lost = (slot == SLOT_UNDEFINED) | (saved & ((int64_t)offset >= (int64_t)walk->limit));
        const void *from = inside ? (const void *)(walk->stack->data + offset)
                                  : (const void *)&registers->value[number];
        uint64_t value;
        memcpy(&value, from, sizeof value);
        registers->value[number] = value;
        known = (known | (inside ? bit : 0)) & ~(lost ? bit : 0);
    }
    registers->known = known & walk->unwinder->kept;
}

/* A guessed sp is believed if it puts the frame record of this rule where fp points. */
static bool confirms_sp(struct walk *walk, const struct rule *rule, uint64_t cfa)
{
    const struct arch *arch = walk->unwinder->arch;
    if (rule->cfa_register != arch->fp &&
        (rule->slot[1] <= SLOT_UNDEFINED || rule->slot[0] != rule->slot[1] + 1 ||
         cfa + (uint64_t)((int64_t)rule->slot[1] * 8) != walk->registers.value[arch->fp]))
        return false;
    walk->sp_guessed = false;
    return true;
}

static enum step step_register(struct walk *walk, const struct rule *rule)
{
    const struct arch *arch = walk->unwinder->arch;
    struct registers *registers = &walk->registers;
    if (!is_known(walk, rule->cfa_register))
        return STEP_BROKEN;
    uint64_t sp = registers->value[arch->sp], return_address;
    uint64_t cfa = registers->value[rule->cfa_register] + (uint64_t)(int64_t)rule->cfa_offset;
    if (walk->sp_guessed && !confirms_sp(walk, rule, cfa))
        return STEP_BROKEN;
    if (rule->slot[0] == SLOT_SAME) {
        if (!is_known(walk, arch->ra) || cfa < sp)
            return STEP_BROKEN;
        return_address = registers->value[arch->ra];
    } else {
        uint64_t address = cfa + (uint64_t)((int64_t)rule->slot[0] * 8);
        if (cfa <= sp || address < sp)
            return STEP_BROKEN;
        if (address - walk->base >= walk->limit) {
            walk->caller_sp = cfa;
            return STEP_COPY_ENDED;
        }
        return_address = load(walk, address - walk->base);
    }
    restore_slots(walk, rule, cfa);
    registers->known |= (uint64_t)1 << arch->sp;
    registers->value[arch->sp] = cfa;
    registers->pc = return_address & arch->address_mask;
    return STEP_CALLER;
}

/*
 * By the frame record {caller's fp, return address} that fp points to. Above it begins the
 * caller's frame on x86-64, where the record is pushed first. So it does in V8's code on
 * arm64, but compilers put the record at the frame's low end there: sp is a guess then.
 */
static enum step step_frame_pointer(struct walk *walk)
{
    const struct arch *arch = walk->unwinder->arch;
    struct registers *registers = &walk->registers;
    uint64_t fp = registers->value[arch->fp], sp = registers->value[arch->sp];
    if (!is_known(walk, arch->fp))
        return STEP_BROKEN;
    if (!fp)
        return STEP_END;
    if (fp % 8 || fp < sp)
        return STEP_BROKEN;
    uint64_t offset = fp - walk->base;
    if (offset >= walk->limit || offset + 8 >= walk->limit)
        return STEP_COPY_ENDED;
    registers->value[arch->fp] = load(walk, offset);
    registers->value[arch->sp] = fp + 16;
    registers->pc = load(walk, offset + 8) & arch->address_mask;
    registers->known = (uint64_t)1 << arch->fp | (uint64_t)1 << arch->sp;
    walk->sp_guessed = arch->ra_in_register;
    return STEP_CALLER;
}

/* Of code that has pushed no frame yet, or popped it again: fp is the caller's. */
static enum step step_leaf(struct walk *walk, enum leaf_frame leaf, uint32_t where)
{
    const struct arch *arch = walk->unwinder->arch;
    struct registers *registers = &walk->registers;
    uint64_t return_address;
    if (leaf == LEAF_HELD) {
        if (where >= arch->registers || !is_known(walk, (uint8_t)where))
            return STEP_BROKEN;
        return_address = registers->value[where];
    } else {
        if (!read_stack(walk, registers->value[arch->sp] + where, &return_address))
            return STEP_COPY_ENDED;
        registers->value[arch->sp] += where + 8;
    }
    registers->known &= walk->unwinder->kept;
    registers->pc = return_address & arch->address_mask;
    return STEP_CALLER;
}

static enum step step_expression(struct walk *walk, const struct rule *rule,
                                 const struct segment *segment)
{
    uint8_t sp_number = walk->unwinder->arch->sp;
    uint64_t sp = walk->registers.value[sp_number];
    walk->beyond = false;
    if (walk->sp_guessed)
        return STEP_BROKEN;
    if (!cfi_step_expression(segment->module->cfi, rule, &walk->registers, read_stack, walk))
        return walk->beyond ? STEP_COPY_ENDED : STEP_BROKEN;
    return rule->signal || walk->registers.value[sp_number] > sp ? STEP_CALLER : STEP_BROKEN;
}

static enum step step_sigcontext(struct walk *walk)
{
    const struct arch *arch = walk->unwinder->arch;
    struct registers *registers = &walk->registers;
    uint64_t offset = registers->value[arch->sp] - walk->base + arch->sigcontext_offset;
    uint64_t size = (uint64_t)8 * arch->sigcontext_count;
    if (walk->sp_guessed)
        return STEP_BROKEN;
    if (offset >= walk->limit || walk->limit - offset < size - 7)
        return STEP_COPY_ENDED;
    for (size_t i = 0; i < arch->sigcontext_count; i++) {
        uint8_t number = arch->sigcontext_register[i];
        uint64_t value = load(walk, offset + 8 * i);
        if (number == ARCH_PC) {
            registers->pc = value & arch->address_mask;
        } else {
            registers->value[number] = value;
            registers->known |= (uint64_t)1 << number;
        }
    }
    return STEP_CALLER;
}

/* A call through a null pointer: nothing ran but the call itself. */
static enum step step_null_call(struct walk *walk)
{
    const struct arch *arch = walk->unwinder->arch;
    struct registers *registers = &walk->registers;
    uint64_t return_address = registers->value[arch->ra];
    if (!arch->ra_in_register) {
        if (!read_stack(walk, registers->value[arch->sp], &return_address))
            return STEP_COPY_ENDED;
        registers->value[arch->sp] += 8;
    }
    registers->known &= walk->unwinder->kept;
    registers->pc = return_address & arch->address_mask;
    return STEP_CALLER;
}

static enum leaf_frame leaf_of(const struct unwinder *unwinder, const struct unwound_frame *frame,
                               uint32_t *ret_where)
{
    if (!unwinder->leaf_frame || !frame->segment)
        return LEAF_UNKNOWN;
    return unwinder->leaf_frame(unwinder->leaf_context, frame->segment, frame->pc, ret_where);
}

static enum step step_by(struct walk *walk, const struct rule *rule, const struct segment *segment)
{
    if (__builtin_expect(rule->kind == RULE_REGISTER, 1))
        return step_register(walk, rule);
    switch ((enum rule_kind)rule->kind) {
    case RULE_REGISTER:
        break;
    case RULE_NONE:
        return step_frame_pointer(walk);
    case RULE_END:
        return STEP_END;
    case RULE_EXPRESSION:
        return step_expression(walk, rule, segment);
    case RULE_SIGCONTEXT:
        return step_sigcontext(walk);
    case RULE_INVALID:
        break;
    }
    return step_null_call(walk);
}

/* A frame pointer may be any number in code that does not keep one: the code has to agree. */
static bool is_plausible_caller(const struct segment *segment, uint64_t return_address)
{
    const struct cfi *cfi = segment->module->cfi;
    return !cfi || cfi_follows_call(cfi, return_address - segment->bias);
}

/*
 * Whether nothing at all was called from before a return address: it was put there for code that
 * takes over the frame. Then it is no call's and stands for itself.
 */
static bool is_resumed(struct unwinder *unwinder, const struct space *space, uint64_t pc)
{
    const struct pc_entry *entry = pc_cache_find(&unwinder->cache, space, pc);
    uint32_t where;
    return unwinder->leaf_frame && entry->segment &&
           unwinder->leaf_frame(unwinder->leaf_context, entry->segment, pc, &where) == LEAF_RESUMED;
}

static size_t walk_frames(struct unwinder *unwinder, const struct space *space, struct walk *walk,
                          struct unwound_frame frames[LIMIT_STACK_FRAMES], enum step *ret_step)
{
    uint8_t sp_number = unwinder->arch->sp, fp_number = unwinder->arch->fp;
    bool exact = true, by_frame_pointer = false;
    enum step step = STEP_CALLER;
    size_t count = 0;
    while (step == STEP_CALLER && count < LIMIT_STACK_FRAMES) {
        uint64_t pc = walk->registers.pc, sp = walk->registers.value[sp_number];
        if (!pc && !exact) {
            step = STEP_END;
            break;
        }
        const struct pc_entry *entry = pc_cache_find(&unwinder->cache, space, exact ? pc : pc - 1);
        bool called =
            !by_frame_pointer || !entry->segment || is_plausible_caller(entry->segment, pc);
        if (!called && is_resumed(unwinder, space, pc)) {
            entry = pc_cache_find(&unwinder->cache, space, pc);
            called = exact = true;
        }
        const struct rule *rule = &unwinder->cache.rules.items[entry->rule];
        if ((!entry->segment && !(exact && !pc)) || !called) {
            if (!count)
                frames[count++] = (struct unwound_frame){.pc = pc, .sp = sp};
            step = STEP_BROKEN;
            break;
        }
        struct unwound_frame *frame = &frames[count++];
        *frame = (struct unwound_frame){
            exact || rule->signal ? pc : pc - 1, sp,
            is_known(walk, fp_number) ? walk->registers.value[fp_number] : 0, entry->segment};
        uint32_t where;
        enum leaf_frame leaf =
            rule->kind == RULE_NONE && exact ? leaf_of(unwinder, frame, &where) : LEAF_UNKNOWN;
        if (leaf == LEAF_BARE || leaf == LEAF_HELD) {
            frame->fp = 0;
            step = step_leaf(walk, leaf, where);
        } else {
            step = step_by(walk, rule, entry->segment);
        }
        exact = rule->signal;
        by_frame_pointer = rule->kind == RULE_NONE;
        walk->switched |= exact && walk->registers.value[sp_number] - walk->base >= walk->limit;
    }
    *ret_step = step;
    return count;
}

/* Appends the rest from the thread's last whole stack; false if it does not fit to it. */
static bool stitch(struct unwinder *unwinder, const struct space *space, uint32_t tid,
                   const struct walk *walk, struct unwound_frame frames[LIMIT_STACK_FRAMES],
                   size_t *count)
{
    size_t more;
    const struct unwound_frame *tail =
        stitcher_tail(&unwinder->stitcher, tid, &frames[*count - 1], walk->caller_sp, &more);
    if (!tail || more > LIMIT_STACK_FRAMES - *count)
        return false;
    for (size_t i = 0; i < more; i++) {
        const struct segment *segment = pc_cache_find(&unwinder->cache, space, tail[i].pc)->segment;
        if (!segment)
            return false;
        frames[*count + i] = (struct unwound_frame){tail[i].pc, tail[i].sp, tail[i].fp, segment};
    }
    *count += more;
    return true;
}

/*
 * Each load of a walk depends on the one before, and the copy was written by another CPU. So
 * what the walk will read if the stack is like the thread's last one is asked for at once: a
 * third less time where nothing is cached (measured), 10 ns more where all is.
 */
static void prefetch(struct unwinder *unwinder, const struct space *space, uint32_t tid,
                     const struct walk *walk)
{
    size_t count;
    const struct unwound_frame *last = stitcher_last(&unwinder->stitcher, tid, &count);
    __builtin_prefetch(pc_cache_front(&unwinder->cache, space, walk->registers.pc));
    for (size_t i = 1; i < count; i++) {
        uint64_t offset = last[i].sp - 8 - walk->base;
        __builtin_prefetch(pc_cache_front(&unwinder->cache, space, last[i].pc));
        if (offset < walk->limit)
            __builtin_prefetch(walk->stack->data + offset);
    }
}

enum unwind_end unwinder_run(struct unwinder *unwinder, const struct space *space, uint32_t tid,
                             const struct registers *registers, const struct stack_copy *stack,
                             struct unwound_frame frames[LIMIT_STACK_FRAMES], size_t *ret_count)
{
    struct walk walk; /* not zeroed as a whole: the registers are most of it */
    walk.unwinder = unwinder;
    walk.stack = stack;
    walk.base = registers->value[unwinder->arch->sp];
    walk.limit = stack->size < 8 ? 0 : stack->size - 7;
    walk.caller_sp = 0;
    walk.beyond = walk.switched = walk.sp_guessed = false;
    walk.registers.known = registers->known;
    walk.registers.pc = registers->pc;
    for (size_t i = 0; i < unwinder->arch->registers; i++)
        walk.registers.value[i] = registers->value[i];
    enum step step;
    enum unwind_end end = UNWIND_BROKEN;
    prefetch(unwinder, space, tid, &walk);
    size_t count = walk_frames(unwinder, space, &walk, frames, &step);
    if (step == STEP_END)
        end = UNWIND_COMPLETE;
    else if (step == STEP_CALLER)
        end = UNWIND_TRUNCATED;
    else if (step == STEP_COPY_ENDED && stitch(unwinder, space, tid, &walk, frames, &count))
        end = UNWIND_STITCHED;
    else if (step == STEP_COPY_ENDED && (stack->cut || walk.switched))
        end = UNWIND_TRUNCATED;
    if (tid && (end == UNWIND_COMPLETE || end == UNWIND_STITCHED))
        stitcher_remember(&unwinder->stitcher, tid, frames, count);
    *ret_count = count;
    return end;
}
