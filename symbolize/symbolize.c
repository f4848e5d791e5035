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
 */
#include "symbolize/symbolize.h"

#include "symbolize/address_sort.h"
#include "core/limits.h"
#include "symbolize/debug_file.h"
#include "symbolize/demangle.h"
#include "symbolize/dwarf.h"
#include "symbolize/kernel_symbols.h"
#include "symbolize/symbols.h"

#include <string.h>

struct symbolic {
    struct elf_file *debug, *alt; /* separate files, or NULL */
    struct symbols *symbols;
    struct dwarf *dwarf;
    struct kernel_symbols *kernel;
};

struct run { /* the new frames that stand for one raw frame: pass.frames[first, first + count) */
    uint32_t first;
    uint16_t count;
    uint32_t line; /* of the address, for leaves */
};

struct pass {
    const struct profile *raw;
    struct profile *named;
    struct modules *modules;
    struct run *runs;      /* by raw frame */
    module_id *module_ids; /* by position in modules, 0: not yet added */
    vec(frame_id) frames;
    struct strings mangled;  /* names that were demangled … */
    vec(string_id) readable; /* … and, by their id, what they became */
    node_id *nodes;          /* by raw node */
};

static bool has_section(struct elf_file *file, const char *name)
{
    struct elf_section section;
    return elf_file_section(file, name, &section);
}

static struct symbolic *symbolic_new(const struct module *module)
{
    struct symbolic *symbolic = xcalloc(1, sizeof *symbolic);
    if (module->kind == MODULE_KERNEL)
        symbolic->kernel = kernel_symbols_new();
    if (!module->elf)
        return symbolic;
    bool own_dwarf = has_section(module->elf, ".debug_info");
    if (!own_dwarf || !has_section(module->elf, ".symtab"))
        symbolic->debug = debug_file_find(module);
    struct elf_file *files[] = {module->elf, symbolic->debug};
    symbolic->symbols = symbols_new(files, symbolic->debug ? 2 : 1);
    struct elf_file *described = own_dwarf ? module->elf : symbolic->debug;
    if (described) {
        symbolic->alt = debug_file_find_alt(described, module);
        symbolic->dwarf = dwarf_new(described, symbolic->alt, module->pid);
    }
    return symbolic;
}

void symbolic_free(struct symbolic *symbolic)
{
    if (!symbolic)
        return;
    dwarf_free(symbolic->dwarf);
    symbols_free(symbolic->symbols);
    kernel_symbols_free(symbolic->kernel);
    elf_file_free(symbolic->alt);
    elf_file_free(symbolic->debug);
    free(symbolic);
}

bool module_has_symbol(struct module *module, const char *name)
{
    return module->elf && symbols_file_has(module->elf, name);
}

static string_id carry(struct pass *pass, string_id id)
{
    return strings_intern(&pass->named->strings, strings_get(&pass->raw->strings, id));
}

/* A mangled name, demangled once. */
static string_id readable_name(struct pass *pass, const char *mangled)
{
    size_t known = pass->mangled.count;
    _cleanup_free_ char *bounded = xstrndup(mangled, strnlen(mangled, LIMIT_SYMBOL_BYTES));
    string_id id = strings_intern(&pass->mangled, bounded);
    if (id < known)
        return pass->readable.items[id];
    while (pass->readable.count <= id)
        vec_append(&pass->readable, 0);
    _cleanup_free_ char *name = demangle(bounded);
    pass->readable.items[id] = strings_intern(&pass->named->strings, name);
    return pass->readable.items[id];
}

/*
 * Compilers write a path as they were called: "../src/./a.c" below "/build/x". Read lexically, as
 * debuggers do; the sources need not be here.
 */
static string_id source_file(struct strings *strings, const char *path)
{
    char clean[LIMIT_PATH_BYTES];
    size_t used = 0, length = strlen(path);
    if (length >= sizeof clean)
        return strings_intern_length(strings, path, length);
    for (const char *at = path; *at;) {
        size_t part = strcspn(at, "/"), next = part + (at[part] == '/');
        if (part == 1 && *at == '.' && at[1]) {
            at += next;
            continue;
        }
        size_t parent = used;
        while (parent && clean[parent - 1] == '/')
            parent--;
        size_t start = parent;
        while (start && clean[start - 1] != '/')
            start--;
        bool climbs = parent - start == 2 && !strncmp(clean + start, "..", 2);
        if (part == 2 && !strncmp(at, "..", 2) && parent > start && !climbs) {
            used = start;
        } else {
            memcpy(clean + used, at, next);
            used += next;
        }
        at += next;
    }
    return strings_intern_length(strings, clean, used);
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

/* Named while recording: JavaScript, (idle), and the like. Module 0 is the kernel's only there. */
static void take_named(struct pass *pass, struct run *run, const struct frame *raw)
{
    struct frame frame = *raw;
    frame.function = carry(pass, raw->function);
    frame.file = carry(pass, raw->file);
    frame.module = raw->module || raw->kind == FRAME_KERNEL ? named_module(pass, raw->module) : 0;
    frame.address = 0;
    push_frame(pass, run, &frame);
}

static void name_kernel(struct pass *pass, struct run *run, const struct symbolic *symbolic,
                        uint64_t address)
{
    const char *module = NULL;
    const char *name =
        symbolic->kernel ? kernel_symbols_find(symbolic->kernel, address, &module) : NULL;
    struct frame frame = {.kind = FRAME_KERNEL, .module = named_module(pass, 0)};
    if (name)
        frame.function = readable_name(pass, name);
    if (module) {
        _cleanup_free_ char *path = xasprintf("[%s]", module);
        frame.module = profile_add_module(pass->named, path, "");
    }
    push_frame(pass, run, &frame);
}

/* "name.part.0", "name.cold": the compiler's pieces of the function `plain`. */
static bool is_piece_of(const char *symbol, const char *plain)
{
    size_t length = strlen(plain);
    return !strncmp(symbol, plain, length) && symbol[length] == '.';
}

/*
 * The name of a frame that DWARF describes. `symbol` is given for the outermost one, the function
 * that was really called: it knows more than a plain name (a C++ function's class), but less
 * than a linkage name (identical functions are folded, and one symbol is left for all).
 */
static string_id described_name(struct pass *pass, const struct source_frame *source,
                                const struct symbol *symbol)
{
    static const char internal[] = "__GI_"; /* glibc's mark of an alias for its own calls */
    const char *name = source->function;
    if (name && source->mangled)
        return readable_name(pass, strncmp(name, internal, sizeof internal - 1) != 0
                                       ? name
                                       : name + sizeof internal - 1);
    if (symbol && !(name && is_piece_of(symbol->name, name)))
        return readable_name(pass, symbol->name);
    return name ? strings_intern(&pass->named->strings, name) : 0;
}

static void name_native(struct pass *pass, struct run *run, const struct symbolic *symbolic,
                        module_id module, uint64_t address)
{
    struct source_frame sources[LIMIT_INLINE_DEPTH];
    struct symbol symbol;
    bool has_symbol = symbolic->symbols && symbols_find(symbolic->symbols, address, &symbol);
    size_t count = symbolic->dwarf ? dwarf_find(symbolic->dwarf, address, sources) : 0;
    struct frame frame = {.kind = FRAME_NATIVE, .module = module};
    if (!count) {
        frame.function = has_symbol ? readable_name(pass, symbol.name) : 0;
        push_frame(pass, run, &frame);
        return;
    }
    run->line = sources[0].line;
    for (size_t i = 0; i < count; i++) {
        bool outermost = i + 1 == count;
        const struct source_frame *source = &sources[i];
        const char *file = source->declared_file ? source->declared_file : source->file;
        frame.function = described_name(pass, source, outermost && has_symbol ? &symbol : NULL);
        frame.file = file ? source_file(&pass->named->strings, file) : 0;
        frame.line = source->declared_line;
        push_frame(pass, run, &frame);
    }
}

/* Looks one raw frame up. */
static void expand_frame(struct pass *pass, uint32_t id)
{
    const struct frame *raw = &pass->raw->frames.items[id];
    struct run *run = &pass->runs[id];
    run->first = (uint32_t)pass->frames.count;
    if (raw->function) {
        take_named(pass, run, raw);
        return;
    }
    bool in_module =
        (raw->module || raw->kind == FRAME_KERNEL) && raw->module < pass->modules->items.count;
    struct module *module = in_module ? pass->modules->items.items[raw->module] : NULL;
    if (module && !module->symbolic)
        module->symbolic = symbolic_new(module);
    if (module && module->kind == MODULE_KERNEL)
        name_kernel(pass, run, module->symbolic, raw->address);
    else if (module && module->kind != MODULE_ANON)
        name_native(pass, run, module->symbolic, named_module(pass, raw->module), raw->address);
    else
        push_frame(pass, run,
                   &(struct frame){.kind = FRAME_UNKNOWN,
                                   .module = module ? named_module(pass, raw->module) : 0});
    if (!pass->named->frames.items[pass->frames.items[run->first]].function)
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
    for (size_t i = 0; i < raw->frames.count; i++)
        if (order[i].tag)
            expand_frame(pass, order[i].tag);
}

/* The metric whose values are ticks of the leaf's line and address. */
static int64_t tick_metric(const struct profile *raw)
{
    int64_t found = profile_find_metric(raw, "cpu");
    return found >= 0 || !raw->metrics.count ? found : 0;
}

static void rebuild_nodes(struct pass *pass)
{
    const struct profile *raw = pass->raw;
    int64_t ticks_in = tick_metric(raw);
    pass->nodes = xcalloc(raw->nodes.count, sizeof *pass->nodes);
    for (uint32_t i = 1; i < raw->nodes.count; i++) {
        const struct node *node = &raw->nodes.items[i];
        const struct run *run = &pass->runs[node->frame];
        pass->nodes[i] = profile_add_stack(pass->named, pass->nodes[node->parent],
                                           pass->frames.items + run->first, run->count);
        uint64_t ticks = ticks_in >= 0 ? profile_self(raw, (metric_id)ticks_in, i) : 0;
        const struct frame *frame = &raw->frames.items[node->frame];
        if (!ticks || frame->function)
            continue;
        module_id module =
            frame->module || frame->kind == FRAME_KERNEL ? named_module(pass, frame->module) : 0;
        profile_add_address(pass->named, pass->nodes[i], module, frame->address, ticks);
        if (run->line)
            profile_add_line(pass->named, pass->nodes[i], run->line, ticks);
    }
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
    for (size_t i = 0; i < raw->addresses.count; i++) {
        const struct address_ticks *at = &raw->addresses.items[i];
        profile_add_address(pass->named, pass->nodes[at->node], named_module(pass, at->module),
                            at->address, at->ticks);
    }
}

static void carry_samples(struct pass *pass)
{
    const struct profile *raw = pass->raw;
    _cleanup_free_ thread_id *threads = xcalloc(raw->threads.count, sizeof *threads);
    for (size_t i = 0; i < raw->threads.count; i++) {
        const struct thread *thread = &raw->threads.items[i];
        threads[i] = profile_add_thread(pass->named, thread->pid, thread->tid,
                                        strings_get(&raw->strings, thread->name));
        pass->named->threads.items[threads[i]].ticks += thread->ticks;
    }
    struct sequence_cursor cursor = sequence_begin(&raw->samples);
    for (struct sample sample; sequence_next(&cursor, &sample);) {
        sample.node = pass->nodes[sample.node];
        if (sample.thread < raw->threads.count)
            sample.thread = threads[sample.thread];
        sequence_append(&pass->named->samples, &sample);
    }
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
    for (size_t i = 0; i < raw->events.count; i++) {
        struct profile_event event = raw->events.items[i];
        event.kind = carry(pass, event.kind);
        event.node = pass->nodes[event.node];
        vec_append(&pass->named->events, event);
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
    named->quality.sampler = carry(pass, named->quality.sampler);
    named->quality.note = carry(pass, named->quality.note);
}

struct profile *symbolize_profile(const struct profile *raw, struct modules *modules)
{
    struct pass pass = {.raw = raw, .named = profile_new(), .modules = modules};
    expand_frames(&pass);
    rebuild_nodes(&pass);
    carry_values(&pass);
    carry_samples(&pass);
    carry_series(&pass);
    carry_meta(&pass);
    free(pass.runs);
    free(pass.module_ids);
    free(pass.nodes);
    vec_release(&pass.frames);
    vec_release(&pass.readable);
    strings_release(&pass.mangled);
    return pass.named;
}
