#include "symbolize/stacks.h"

#include "symbolize/jit_names.h"
#include "symbolize/unwind.h"
#include "symbolize/v8.h"

enum { FRAME_CACHE = 1 << 13 }; /* entries, a power of two */

struct cached_frame {
    uint64_t pc;
    uint32_t generation; /* of the space; 0: free */
    uint32_t names;      /* generation of the names of generated code; 0: it is other code */
    frame_id frame;
};

struct stacks {
    struct profile *profile;
    struct processes *processes;
    const struct arch *arch;
    struct unwinder *unwinder;
    struct cached_frame *cache;
    frame_lines lines; /* of generated code */
    struct unwound_frame unwound[LIMIT_STACK_FRAMES];
    /* The stack at hand, innermost first. */
    size_t count;
    struct v8_named frames[LIMIT_GATHERED_FRAMES];
    frame_id ids[LIMIT_GATHERED_FRAMES];
};

struct stacks *stacks_new(struct profile *profile, struct processes *processes,
                          const struct arch *arch)
{
    struct stacks *stacks = xcalloc(1, sizeof *stacks);
    stacks->profile = profile;
    stacks->processes = processes;
    stacks->arch = arch;
    stacks->unwinder = unwinder_new(arch);
    stacks->cache = xcalloc(FRAME_CACHE, sizeof *stacks->cache);
    return stacks;
}

void stacks_free(struct stacks *stacks)
{
    if (!stacks)
        return;
    unwinder_free(stacks->unwinder);
    free(stacks->cache);
    vec_release(&stacks->lines);
    free(stacks);
}

void stacks_forget_thread(struct stacks *stacks, uint32_t tid)
{
    unwinder_forget(stacks->unwinder, tid);
}

void stacks_finish_lines(struct stacks *stacks, metric_id metric)
{
    frame_lines_apply(&stacks->lines, stacks->profile, metric);
}

static frame_id frame_of_kernel(struct stacks *stacks, uint64_t address)
{
    return profile_add_frame(stacks->profile,
                             &(struct frame){.address = address, .kind = FRAME_KERNEL});
}

static frame_id frame_of_user(struct stacks *stacks, struct process *process,
                              const struct unwound_frame *unwound, uint64_t time_ns)
{
    uint64_t pc = unwound->pc;
    struct cached_frame *cached = &stacks->cache[hash_mix(pc) & (FRAME_CACHE - 1)];
    if (cached->pc == pc && cached->generation == process->space.generation &&
        (!cached->names || (process->jit && cached->names == jit_names_generation(process->jit))))
        return cached->frame;
    struct frame frame = {.kind = FRAME_UNKNOWN};
    const struct module *module = unwound->segment ? unwound->segment->module : NULL;
    if (module) {
        frame.module = module->index;
        frame.address = pc - unwound->segment->bias;
        frame.kind = module_is_generated(module) ? FRAME_UNKNOWN : FRAME_NATIVE;
    }
    *cached = (struct cached_frame){.pc = pc, .generation = process->space.generation};
    if (module && module_is_generated(module)) {
        if (!process->jit)
            process->jit = jit_names_new(stacks->profile, &stacks->lines, process->space.pid);
        cached->frame = jit_names_frame(process->jit, &process->space, pc, &frame, time_ns);
        cached->names = jit_names_generation(process->jit);
    } else {
        cached->frame = profile_add_frame(stacks->profile, &frame);
    }
    return cached->frame;
}

static enum unwind_end unwind(struct stacks *stacks, struct process *process,
                              const struct record *record, const struct stack_copy *copy,
                              size_t *ret_count)
{
    struct registers registers;
    arch_registers_from_perf(stacks->arch, record->sample.registers, &registers);
    for (bool again = stacks->processes->mappings_on_demand;; again = false) {
        enum unwind_end end = unwinder_run(stacks->unwinder, &process->space, record->tid,
                                           &registers, copy, stacks->unwound, ret_count);
        bool astray = end == UNWIND_BROKEN || !*ret_count || !stacks->unwound[0].segment;
        if (!again || !astray || !process_read_on_demand(stacks->processes, process))
            return end;
    }
}

static void push(struct stacks *stacks, frame_id frame, uint32_t line)
{
    if (stacks->count < LIMIT_GATHERED_FRAMES)
        stacks->frames[stacks->count++] = (struct v8_named){frame, line};
}

static void push_user_frames(struct stacks *stacks, struct process *process,
                             const struct record *record)
{
    struct quality *quality = &stacks->profile->quality;
    struct stack_copy copy = {record->sample.stack, record->sample.stack_bytes,
                              record->sample.stack_cut};
    struct v8 *v8 = process_v8(process, stacks->profile);
    size_t unwound = 0;
    if (v8)
        v8_begin(v8, record->time_ns);
    unwinder_ask(stacks->unwinder, v8 ? v8_leaf_frame : NULL, v8);
    enum unwind_end end = unwind(stacks, process, record, &copy, &unwound);
    quality->truncated += end == UNWIND_TRUNCATED;
    quality->stitched += end == UNWIND_STITCHED;
    quality->broken += end == UNWIND_BROKEN;
    const struct v8_names *names = v8 ? v8_name_stack(v8, stacks->unwound, unwound, &copy) : NULL;
    for (size_t i = 0; i < unwound; i++) {
        const struct v8_run *run = names ? &names->runs[i] : NULL;
        for (size_t j = 0; run && j < run->count; j++) {
            const struct v8_named *named = &names->items.items[run->first + j];
            push(stacks, named->frame, named->line);
        }
        if (!run || !run->count)
            push(stacks, frame_of_user(stacks, process, &stacks->unwound[i], record->time_ns), 0);
    }
}

node_id stacks_add(struct stacks *stacks, struct process *process, const struct record *record,
                   uint64_t ticks)
{
    struct profile *profile = stacks->profile;
    stacks->count = 0;
    for (size_t i = 0; i < record->sample.kernel_count && i < LIMIT_KERNEL_FRAMES; i++)
        push(stacks, frame_of_kernel(stacks, record->sample.kernel_stack[i] - (i > 0)), 0);
    if (record->sample.registers)
        push_user_frames(stacks, process, record);
    for (size_t i = 0; i < stacks->count; i++)
        stacks->ids[i] = stacks->frames[i].frame;
    node_id innermost = profile_add_stack(profile, 0, stacks->ids, stacks->count);
    node_id callee = innermost;
    for (size_t i = 0; i < stacks->count && ticks; i++) {
        uint32_t line = stacks->frames[i].line;
        if (line && !i)
            profile_add_line(profile, innermost, line, ticks);
        else if (line)
            profile_add_call_line(profile, callee, line, ticks);
        if (i)
            callee = profile->nodes.items[callee].parent;
    }
    return innermost;
}
