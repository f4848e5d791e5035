/*
 * Raw frames are distinct (module, address) pairs already, so "once per address" is once per raw
 * frame: each is expanded to a run of new frames, innermost first, and the nodes are rebuilt over
 * the runs from the root downwards. Frames are looked up module by module in order of address:
 * symbol tables, line tables and DIEs are then walked forwards instead of at random, and a
 * module that never occurs is never opened.
 *
 * A native frame is named after its function and carries the position of the definition, not of
 * the instruction, so that all addresses of a function are one frame; the instruction's line and
 * address are kept for leaves, in profile.lines and profile.addresses.
 *
 * A stack that enters V8's garbage collector ends there, in "(garbage collector)" below who came
 * in, as V8's own tools show it: how its collector is made is of no use to who profiles a program.
 * What the collector calls back (JavaScript) and what it waits for stands below it.
 */
#include "symbolize/symbolize.h"

#include "core/limits.h"
#include "symbolize/address_sort.h"
#include "symbolize/naming.h"
#include "symbolize/symbols.h"
#include "symbolize/v8_collector.h"
#include "symbolize/v8_estimate.h"

struct run { /* the new frames that stand for one raw frame: pass.frames[first, first + count) */
    uint32_t first;
    uint16_t count;
    uint8_t collector; /* enum v8_collector */
    uint32_t line;     /* of the address, for leaves */
};

struct pass {
    struct profile *raw;
    struct profile *named;
    struct modules *modules;
    struct run *runs;      /* by raw frame */
    module_id *module_ids; /* by position in modules, 0: not yet added */
    vec(frame_id) frames;
    struct naming naming;
    node_id *nodes;       /* by raw node */
    uint8_t *collecting;  /* by raw node: the part of V8's collector that it is in */
    thread_id *threads;   /* by raw thread */
    vec(uint64_t) wanted; /* with modules->once: the addresses of the module at hand */
};

/* With modules->once, after so many look-ups the pages of the files are given back. */
enum { FORGET_AFTER = 32 };

bool module_has_symbol(struct module *module, const char *name)
{
    return module->elf && symbols_file_has(module->elf, name);
}

/* Named while recording. JavaScript has functions without a name. */
static bool is_named(const struct frame *frame)
{
    return frame->function || frame->kind == FRAME_JAVASCRIPT;
}

static string_id carry(struct pass *pass, string_id id)
{
    return strings_intern(&pass->named->strings, strings_get(&pass->raw->strings, id));
}

/* The module of the new profile for a position in modules; 0 for one that does not exist. */
static module_id named_module(struct pass *pass, uint32_t position)
{
    if (position >= pass->modules->items.count)
        return 0;
    if (!pass->module_ids[position]) {
        const struct module *module = pass->modules->items.items[position];
        pass->module_ids[position] =
            profile_add_module(pass->named, module->path, module->elf ? module->elf->build_id : "");
    }
    return pass->module_ids[position];
}

static void push_frame(struct pass *pass, struct run *run, const struct frame *frame)
{
    vec_append(&pass->frames, profile_add_frame(pass->named, frame));
    run->count++;
}

/* Generated code, (idle), and the like. Module 0 is the kernel's only there. */
static void take_named(struct pass *pass, struct run *run, const struct frame *raw)
{
    struct frame frame = *raw;
    frame.function = carry(pass, raw->function);
    frame.file = carry(pass, raw->file);
    frame.module = raw->module || raw->kind == FRAME_KERNEL ? named_module(pass, raw->module) : 0;
    frame.address = 0;
    push_frame(pass, run, &frame);
}

static void name_kernel(struct pass *pass, struct run *run, struct module *kernel, uint64_t address)
{
    const char *module = NULL;
    struct frame frame = {
        .function = naming_find_kernel(&pass->naming, kernel, address, &module),
        .kind = FRAME_KERNEL,
        .module = named_module(pass, 0),
    };
    if (module) {
        _cleanup_free_ char *path = xasprintf("[%s]", module);
        frame.module = profile_add_module(pass->named, path, "");
    }
    push_frame(pass, run, &frame);
}

static void name_native(struct pass *pass, struct run *run, struct module *module, module_id id,
                        uint64_t address)
{
    struct named_frame found[LIMIT_INLINE_DEPTH];
    size_t count = naming_find(&pass->naming, module, address, found);
    run->line = found[0].at_line;
    for (size_t i = 0; i < count; i++) {
        push_frame(pass, run,
                   &(struct frame){.function = found[i].function,
                                   .file = found[i].file,
                                   .line = found[i].line,
                                   .module = id,
                                   .kind = FRAME_NATIVE});
        enum v8_collector collector =
            v8_collector_of(strings_get(&pass->named->strings, found[i].function));
        if (collector > run->collector)
            run->collector = (uint8_t)collector;
    }
}

/* Looks one raw frame up. */
static void expand_frame(struct pass *pass, uint32_t id)
{
    const struct frame *raw = &pass->raw->frames.items[id];
    struct run *run = &pass->runs[id];
    run->first = (uint32_t)pass->frames.count;
    if (is_named(raw)) {
        take_named(pass, run, raw);
        return;
    }
    bool in_module =
        (raw->module || raw->kind == FRAME_KERNEL) && raw->module < pass->modules->items.count;
    struct module *module = in_module ? pass->modules->items.items[raw->module] : NULL;
    if (module && module->kind == MODULE_KERNEL)
        name_kernel(pass, run, module, raw->address);
    else if (module && module->kind != MODULE_ANON)
        name_native(pass, run, module, named_module(pass, raw->module), raw->address);
    else
        push_frame(pass, run,
                   &(struct frame){.kind = FRAME_UNKNOWN,
                                   .module = module ? named_module(pass, raw->module) : 0});
    if (!is_named(&pass->named->frames.items[pass->frames.items[run->first]]))
        pass->named->quality.unknown_frames++;
}

/* By module, which stands in `size`, then by address. */
static int module_compare(const void *left, const void *right)
{
    const struct address_item *a = left, *b = right;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return (a->address > b->address) - (a->address < b->address);
}

static struct module *module_at(const struct pass *pass, uint64_t position)
{
    return position < pass->modules->items.count ? pass->modules->items.items[position] : NULL;
}

/* Makes the tables of the first module in `order`, for its addresses alone. */
static void prepare(struct pass *pass, const struct address_item *order, size_t count)
{
    struct module *module = module_at(pass, order->size);
    pass->wanted.count = 0;
    for (size_t i = 0; i < count && order[i].size == order->size; i++)
        vec_append(&pass->wanted, order[i].address);
    if (module)
        module_prepare(module, pass->wanted.items, pass->wanted.count);
}

/* Gives back what the look-ups in a module took; all of it after the last one. */
static void forget(struct pass *pass, uint32_t position, bool last)
{
    struct module *module = module_at(pass, position);
    if (module)
        module_forget(module, last);
}

static void expand_frames(struct pass *pass)
{
    const struct profile *raw = pass->raw;
    _cleanup_free_ struct address_item *order =
        xreallocarray(NULL, raw->frames.count, sizeof *order);
    for (uint32_t i = 0; i < raw->frames.count; i++)
        order[i] =
            (struct address_item){raw->frames.items[i].address, raw->frames.items[i].module, i};
    qsort(order, raw->frames.count, sizeof *order, module_compare);
    pass->runs = xcalloc(raw->frames.count, sizeof *pass->runs);
    pass->module_ids = xcalloc(pass->modules->items.count, sizeof *pass->module_ids);
    pass->named->quality.unknown_frames = 0;
    for (size_t i = 0; i < raw->frames.count; i++) {
        bool first = !i || order[i].size != order[i - 1].size;
        if (first && pass->modules->once)
            prepare(pass, order + i, raw->frames.count - i);
        if (order[i].tag)
            expand_frame(pass, order[i].tag);
        bool last = i + 1 == raw->frames.count || order[i].size != order[i + 1].size;
        if (pass->modules->once && (last || i % FORGET_AFTER == 0))
            forget(pass, order[i].size, last);
    }
}

/* The metric whose values are ticks of the leaf's line and address. */
static int64_t tick_metric(const struct profile *raw)
{
    int64_t found = profile_find_metric(raw, "cpu");
    return found >= 0 || !raw->metrics.count ? found : 0;
}

/* What the collector calls back, or waits for, is not the collector. */
static bool leaves_collector(const struct frame *frame)
{
    return frame->kind == FRAME_JAVASCRIPT || frame->kind == FRAME_WAITING ||
           frame->kind == FRAME_RUNNABLE;
}

/* The new node for a raw one whose parent has one; true if it is in the collector. */
static bool rebuild_node(struct pass *pass, uint32_t id)
{
    const struct node *node = &pass->raw->nodes.items[id];
    const struct run *run = &pass->runs[node->frame];
    node_id parent = pass->nodes[node->parent];
    uint8_t outer = leaves_collector(&pass->raw->frames.items[node->frame])
                        ? V8_COLLECTOR_NONE
                        : pass->collecting[node->parent];
    pass->collecting[id] = outer > run->collector ? outer : run->collector;
    if (!pass->collecting[id]) {
        pass->nodes[id] =
            profile_add_stack(pass->named, parent, pass->frames.items + run->first, run->count);
        return false;
    }
    struct frame collector = {
        .function = strings_intern(&pass->named->strings, "(garbage collector)"),
        .kind = FRAME_GC,
    };
    pass->nodes[id] =
        outer ? parent
              : profile_add_node(pass->named, parent, profile_add_frame(pass->named, &collector));
    return true;
}

static void rebuild_nodes(struct pass *pass)
{
    const struct profile *raw = pass->raw;
    int64_t ticks_in = tick_metric(raw);
    pass->nodes = xcalloc(raw->nodes.count, sizeof *pass->nodes);
    pass->collecting = xcalloc(raw->nodes.count, sizeof *pass->collecting);
    for (uint32_t i = 1; i < raw->nodes.count; i++) {
        const struct node *node = &raw->nodes.items[i];
        const struct run *run = &pass->runs[node->frame];
        bool collects = rebuild_node(pass, i);
        uint64_t ticks = ticks_in >= 0 ? profile_self(raw, (metric_id)ticks_in, i) : 0;
        const struct frame *frame = &raw->frames.items[node->frame];
        if (!ticks || collects || is_named(frame))
            continue;
        module_id module =
            frame->module || frame->kind == FRAME_KERNEL ? named_module(pass, frame->module) : 0;
        profile_add_address(pass->named, pass->nodes[i], module, frame->address, ticks);
        if (run->line)
            profile_add_line(pass->named, pass->nodes[i], run->line, ticks);
    }
}

/*
 * The node of the function that was called: of the functions that a raw frame became, the
 * outermost, for its caller is the one whose line is told.
 */
static node_id called_node(struct pass *pass, node_id raw_node)
{
    const struct node *node = &pass->raw->nodes.items[raw_node];
    const struct run *run = &pass->runs[node->frame];
    if (!run->count)
        return pass->nodes[raw_node];
    return profile_add_node(pass->named, pass->nodes[node->parent],
                            pass->frames.items[run->first + run->count - 1]);
}

static void carry_values(struct pass *pass)
{
    const struct profile *raw = pass->raw;
    for (size_t i = 0; i < raw->metrics.count; i++) {
        const struct metric *metric = &raw->metrics.items[i];
        metric_id id = profile_add_metric(pass->named, strings_get(&raw->strings, metric->name),
                                          strings_get(&raw->strings, metric->unit));
        for (size_t node = 0; node < metric->self.count; node++)
            if (metric->self.items[node])
                profile_add_self(pass->named, id, pass->nodes[node], metric->self.items[node]);
    }
    for (size_t i = 0; i < raw->lines.count; i++) {
        const struct line_ticks *line = &raw->lines.items[i];
        profile_add_line(pass->named, pass->nodes[line->node], line->line, line->ticks);
    }
    for (size_t i = 0; i < raw->calls.count; i++) {
        const struct line_ticks *call = &raw->calls.items[i];
        profile_add_call_line(pass->named, called_node(pass, call->node), call->line, call->ticks);
    }
    for (size_t i = 0; i < raw->addresses.count; i++) {
        const struct address_ticks *at = &raw->addresses.items[i];
        profile_add_address(pass->named, pass->nodes[at->node], named_module(pass, at->module),
                            at->address, at->ticks);
    }
}

static void carry_threads(struct pass *pass)
{
    const struct profile *raw = pass->raw;
    pass->threads = xcalloc(raw->threads.count + 1, sizeof *pass->threads);
    for (size_t i = 0; i < raw->threads.count; i++) {
        const struct thread *thread = &raw->threads.items[i];
        pass->threads[i] = profile_add_thread(pass->named, thread->pid, thread->tid,
                                              strings_get(&raw->strings, thread->name));
        struct thread *named = &pass->named->threads.items[pass->threads[i]];
        named->ticks += thread->ticks;
        named->waiting += thread->waiting;
        named->runnable += thread->runnable;
    }
}

/* A long recording's are too much to copy: they are looked at through both tables of ids. */
static void carry_samples(struct pass *pass)
{
    struct sequence *samples = &pass->named->samples;
    struct sequence_map nodes = {steal(&pass->nodes), pass->raw->nodes.count};
    struct sequence_map threads = {steal(&pass->threads), pass->raw->threads.count};
    if (pass->modules->once)
        sequence_move(samples, &pass->raw->samples, nodes, threads);
    else
        sequence_view(samples, &pass->raw->samples, nodes, threads);
}

static void carry_series(struct pass *pass)
{
    const struct profile *raw = pass->raw;
    for (size_t i = 0; i < raw->series.count; i++) {
        const struct series *series = &raw->series.items[i];
        series_id id = profile_add_series(pass->named, strings_get(&raw->strings, series->name),
                                          strings_get(&raw->strings, series->unit));
        for (size_t j = 0; j < series->points.count; j++)
            profile_add_point(pass->named, id, series->points.items[j].time_us,
                              series->points.items[j].value);
    }
}

/* A collection is told of whoever set it off, whose stack goes on into the collector. */
static node_id outside_collector(const struct profile *named, node_id node)
{
    while (node && profile_frame_of(named, node)->kind == FRAME_GC)
        node = named->nodes.items[node].parent;
    return node;
}

static void carry_events(struct pass *pass)
{
    const struct profile *raw = pass->raw;
    for (size_t i = 0; i < raw->events.count; i++) {
        struct profile_event event = raw->events.items[i];
        event.kind = carry(pass, event.kind);
        event.what = carry(pass, event.what);
        event.reason = carry(pass, event.reason);
        event.node = outside_collector(pass->named, pass->nodes[event.node]);
        vec_append(&pass->named->events, event);
    }
    size_t told = pass->named->events.count;
    v8_estimate_pauses(raw, pass->collecting, pass->nodes, pass->named);
    for (size_t i = told; i < pass->named->events.count; i++) {
        struct profile_event *event = &pass->named->events.items[i];
        event->node = outside_collector(pass->named, event->node);
    }
}

static void carry_meta(struct pass *pass)
{
    struct profile *named = pass->named;
    named->meta = pass->raw->meta;
    named->meta.command = carry(pass, named->meta.command);
    named->meta.host = carry(pass, named->meta.host);
    named->meta.tool = carry(pass, named->meta.tool);
    uint64_t unknown = named->quality.unknown_frames;
    named->quality = pass->raw->quality;
    named->quality.unknown_frames = unknown;
    named->quality.v8 = carry(pass, named->quality.v8);
    named->quality.sampler = carry(pass, named->quality.sampler);
    named->quality.note = carry(pass, named->quality.note);
}

struct profile *symbolize_profile(struct profile *raw, struct modules *modules)
{
    struct pass pass = {.raw = raw, .named = profile_new(), .modules = modules};
    naming_init(&pass.naming, &pass.named->strings);
    expand_frames(&pass);
    rebuild_nodes(&pass);
    carry_values(&pass);
    carry_threads(&pass);
    carry_series(&pass);
    carry_meta(&pass);
    carry_events(&pass);
    carry_samples(&pass);
    free(pass.runs);
    free(pass.module_ids);
    free(pass.nodes);
    free(pass.threads);
    free(pass.collecting);
    vec_release(&pass.frames);
    naming_release(&pass.naming);
    vec_release(&pass.wanted);
    return pass.named;
}
