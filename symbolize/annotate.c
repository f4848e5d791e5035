/*
 * annotate.c - the ticks of one function, the code that they fell on, and where that is from.
 *
 * The profile has ticks by address, each at the node of the innermost function there. So an
 * address whose node is the function is its own; one whose node lies a few nodes below it in the
 * same module may be code that is inlined into it, and the debug information decides. Addresses
 * are grouped by the symbol that covers them: either the function itself or one that it was
 * inlined into. Each symbol's code is disassembled from its beginning, because x86 instructions
 * can't be found from the middle, and each instruction is named as the recording's addresses
 * were (naming.h).
 *
 * Invariant: every tick of the function stands at one instruction, or a note tells of it.
 */
#include "symbolize/annotate.h"

#include "core/bare_name.h"
#include "core/limits.h"
#include "symbolize/annotate_internal.h"
#include "symbolize/disasm.h"
#include "symbolize/naming.h"

#include <inttypes.h>
#include <string.h>

struct tick { /* the ticks of one address that may be the function's */
    uint64_t address, ticks;
    uint32_t module; /* in modules */
    uint32_t block;  /* that it lies in */
    bool own;        /* of the function itself, not of one that is inlined there */
};

struct block { /* a symbol that has such ticks */
    struct module *module;
    struct symbol symbol;
    uint32_t id; /* of tick.block */
    uint64_t ticks, self;
};

struct annotating {
    const struct profile *profile;
    struct modules *modules;
    const struct annotate_options *options;
    struct annotation *annotation;
    struct naming naming;
    string_id function; /* in annotation->strings */
    struct line_collector lines;
    vec(struct tick) ticks;
    vec(struct block) blocks;
    struct hash_index places;
    const struct module *problem;       /* a module with such ticks that can't be read */
    uint64_t jit_ticks, nameless_ticks; /* in code made at run time, or without a symbol */
};

static bool is_function(const struct annotating *a, const struct frame *frame)
{
    return frame->function == a->options->function;
}

/*
 * How many nodes above a leaf the function stands, if the leaf may be inlined into it: all
 * between them are then of one module. -1 if not.
 */
static int level_of(const struct annotating *a, node_id node)
{
    const struct frame *leaf = profile_frame_of(a->profile, node);
    if (leaf->kind == FRAME_KERNEL)
        return -1;
    for (int level = 0; node && level < LIMIT_INLINE_DEPTH; level++) {
        const struct frame *frame = profile_frame_of(a->profile, node);
        if (frame->module != leaf->module)
            return -1;
        if (is_function(a, frame))
            return level;
        node = a->profile->nodes.items[node].parent;
    }
    return -1;
}

/* The level of the function in the inlined calls at an address, the innermost; -1: none. */
static int level_in(const struct annotating *a, const struct named_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (frames[i].function == a->function)
            return (int)i;
    return -1;
}

static int tick_compare(const void *left, const void *right)
{
    const struct tick *a = left, *b = right;
    if (a->module != b->module)
        return a->module < b->module ? -1 : 1;
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    return a->own - b->own;
}

/* One entry for each address, in order. */
static void collect_ticks(struct annotating *a)
{
    for (size_t i = 0; i < a->profile->addresses.count; i++) {
        const struct address_ticks *at = &a->profile->addresses.items[i];
        int level = level_of(a, at->node);
        if (level >= 0 && at->ticks && at->module)
            *vec_push(&a->ticks) = (struct tick){.address = at->address,
                                                 .ticks = at->ticks,
                                                 .module = at->module,
                                                 .own = level == 0};
    }
    if (!a->ticks.count)
        return;
    qsort(a->ticks.items, a->ticks.count, sizeof *a->ticks.items, tick_compare);
    size_t last = 0;
    for (size_t i = 1; i < a->ticks.count; i++) {
        if (tick_compare(&a->ticks.items[i], &a->ticks.items[last]))
            a->ticks.items[++last] = a->ticks.items[i];
        else
            a->ticks.items[last].ticks += a->ticks.items[i].ticks;
    }
    a->ticks.count = last + 1;
}

/* Symbols may nest, so an address need not be in the last one that was met. */
static uint32_t block_of(struct annotating *a, struct module *module, const struct symbol *symbol)
{
    for (size_t i = a->blocks.count; i-- && a->blocks.items[i].module == module;)
        if (a->blocks.items[i].symbol.address == symbol->address)
            return (uint32_t)i;
    uint32_t id = (uint32_t)a->blocks.count;
    *vec_push(&a->blocks) = (struct block){.module = module, .symbol = *symbol, .id = id};
    return id;
}

/* Finds the block of an address; false if its ticks are not the function's or can't be shown. */
static bool place_tick(struct annotating *a, struct tick *tick)
{
    struct module *module = a->modules->items.items[tick->module];
    struct named_frame frames[LIMIT_INLINE_DEPTH];
    struct symbol symbol;
    if (!module->elf) {
        if (module->problem) {
            a->problem = module;
            annotation_note(a->annotation, "left out: %s: %s", module->path, module->problem);
        } else if (tick->own) {
            a->jit_ticks += tick->ticks;
        }
        return false;
    }
    if (!tick->own &&
        level_in(a, frames, naming_find(&a->naming, module, tick->address, frames)) < 0)
        return false;
    if (!module_symbol(module, tick->address, &symbol)) {
        a->nameless_ticks += tick->ticks;
        return false;
    }
    tick->block = block_of(a, module, &symbol);
    struct block *block = &a->blocks.items[tick->block];
    block->ticks += tick->ticks;
    block->self += tick->own ? tick->ticks : 0;
    return true;
}

static int block_compare(const void *left, const void *right)
{
    const struct block *a = left, *b = right;
    if (a->ticks != b->ticks)
        return a->ticks > b->ticks ? -1 : 1;
    return (a->symbol.address > b->symbol.address) - (a->symbol.address < b->symbol.address);
}

static void place_ticks(struct annotating *a)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->ticks.count; i++)
        if (place_tick(a, &a->ticks.items[i]))
            a->ticks.items[kept++] = a->ticks.items[i];
    a->ticks.count = kept;
    if (a->nameless_ticks)
        annotation_note(a->annotation, "%" PRIu64 " ticks fell on code that no symbol covers",
                        a->nameless_ticks);
}

static uint64_t place_hash(const struct annotated_place *place)
{
    return hash_combine((uint64_t)place->caller << 32 | place->function,
                        (uint64_t)place->file << 32 | place->line);
}

static uint64_t place_hash_of(const void *context, uint32_t id)
{
    return place_hash(&((const struct annotation *)context)->places.items[id]);
}

static uint32_t add_place(struct annotating *a, const struct annotated_place *place)
{
    struct annotation *annotation = a->annotation;
    uint64_t hash = place_hash(place);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&a->places, &probe, &id);) {
        const struct annotated_place *old = &annotation->places.items[id];
        if (old->caller == place->caller && old->function == place->function &&
            old->file == place->file && old->line == place->line)
            return id;
    }
    uint32_t id = (uint32_t)annotation->places.count;
    *vec_push(&annotation->places) = *place;
    hash_insert(&a->places, hash, id, place_hash_of, annotation);
    return id;
}

static string_id file_of(struct annotating *a, const struct named_frame *frame)
{
    return frame->at_file ? naming_file(&a->annotation->strings, frame->at_file) : 0;
}

/* The place of the innermost of some frames. */
static uint32_t place_of(struct annotating *a, const struct named_frame *frames, size_t count)
{
    uint32_t place = 0;
    while (count--)
        place = add_place(a, &(struct annotated_place){.caller = place,
                                                       .function = frames[count].function,
                                                       .file = file_of(a, &frames[count]),
                                                       .line = frames[count].at_line});
    return place;
}

/* The function's own line, which is charged with the ticks. */
static uint32_t line_of(struct annotating *a, const struct named_frame *frame, uint64_t ticks)
{
    string_id file = file_of(a, frame);
    if (!file)
        return ANNOTATION_NO_LINE;
    return collect_line(&a->lines, file, frame->at_line, frame->file == file ? frame->line : 0,
                        ticks);
}

/* The instruction, and behind it where it goes to if that is another function. */
static string_id text_of(struct annotating *a, const struct block *block,
                         const struct instruction *instruction)
{
    struct strings *strings = &a->annotation->strings;
    struct symbol symbol;
    uint64_t target = instruction->target;
    if (!instruction->has_target || target - block->symbol.address < block->symbol.size ||
        !module_symbol(block->module, target, &symbol))
        return strings_intern(strings, instruction->text);
    const char *name = strings_get(strings, naming_demangle(&a->naming, symbol.name));
    uint64_t into = target - symbol.address;
    _cleanup_free_ char *behind = into ? xasprintf("+0x%" PRIx64, into) : NULL;
    size_t length = bare_name_length(name);
    /* "@plt" or "[clone .cold]" behind the arguments: not the function itself. */
    const char *arguments_end = strrchr(name + length, ')');
    const char *mark = arguments_end ? strpbrk(arguments_end, "@[") : NULL;
    _cleanup_free_ char *text = xasprintf("%s <%.*s%s%s>", instruction->text, (int)length, name,
                                          mark ? mark : "", behind ? behind : "");
    return strings_intern(strings, text);
}

/* The first tick of a block at or above an address. */
static size_t first_tick(const struct annotating *a, const struct block *block)
{
    size_t low = 0, high = a->ticks.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct tick *tick = &a->ticks.items[middle];
        if (tick->module < block->module->index ||
            (tick->module == block->module->index && tick->address < block->symbol.address))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The ticks of a block below an address; *at goes on behind them. */
static uint64_t ticks_below(const struct annotating *a, const struct block *block, size_t *at,
                            uint64_t address)
{
    uint64_t sum = 0;
    for (; *at < a->ticks.count && a->ticks.items[*at].module == block->module->index &&
           a->ticks.items[*at].address < address;
         ++*at)
        sum += a->ticks.items[*at].block == block->id ? a->ticks.items[*at].ticks : 0;
    return sum;
}

/* One instruction, if it is the function's; true if the function is inlined there. */
static bool add_instruction(struct annotating *a, const struct block *block,
                            const struct instruction *instruction, uint64_t ticks)
{
    struct named_frame frames[LIMIT_INLINE_DEPTH];
    size_t count = naming_find(&a->naming, block->module, instruction->address, frames);
    int level = level_in(a, frames, count);
    if (level < 0 && !ticks)
        return false;
    struct annotated_instruction row = {
        .address = instruction->address,
        .size = instruction->size,
        .ticks = ticks,
        .text = text_of(a, block, instruction),
        .place = place_of(a, frames, count),
        .line = line_of(a, &frames[level < 0 ? 0 : level], ticks),
    };
    vec_append(&a->annotation->instructions, row);
    return level >= 0 && frames[count - 1].function != a->function;
}

static int disassemble(struct annotating *a, const struct block *block, struct annotated_code *code,
                       struct error *err)
{
    const struct symbol *symbol = &block->symbol;
    const uint8_t *bytes = elf_file_code(block->module->elf, symbol->address, symbol->size);
    struct disasm *disasm;
    if (!bytes)
        return error_set(err, ERROR_FORMAT, "the file does not hold its code");
    if (symbol->size > LIMIT_CODE_BYTES || a->annotation->instructions.count > LIMIT_INSTRUCTIONS)
        return error_set(err, ERROR_LIMIT, "there are too many");
    if (disasm_new(block->module->elf->machine, a->options->intel, &disasm, err))
        return -1;
    size_t at = first_tick(a, block);
    for (size_t offset = 0; offset < symbol->size;) {
        struct instruction instruction =
            disasm_next(disasm, bytes + offset, symbol->size - offset, symbol->address + offset);
        offset += instruction.size;
        uint64_t ticks = ticks_below(a, block, &at, symbol->address + offset);
        code->inlined |= add_instruction(a, block, &instruction, ticks);
    }
    disasm_free(disasm);
    return 0;
}

static void add_code(struct annotating *a, const struct block *block)
{
    struct annotation *annotation = a->annotation;
    struct annotated_code code = {
        .module = strings_intern(&annotation->strings, block->module->path),
        .build_id = strings_intern(&annotation->strings, block->module->elf->build_id),
        .function = naming_demangle(&a->naming, block->symbol.name),
        .address = block->symbol.address,
        .size = block->symbol.size,
        .ticks = block->ticks,
        .self = block->self,
        .first = (uint32_t)annotation->instructions.count,
    };
    struct error err;
    if (!a->profile->modules.items[block->module->index].build_id)
        annotation_note(annotation, "%s had no build-id: it may be another file by now",
                        block->module->path);
    annotation->ticks += block->ticks;
    annotation->self += block->self;
    if (disassemble(a, block, &code, &err))
        annotation_note(annotation, "%" PRIu64 " ticks of %s in %s have no instructions: %s",
                        block->ticks, annotation_string(annotation, code.function),
                        block->module->path, err.text);
    code.count = (uint32_t)annotation->instructions.count - code.first;
    vec_append(&annotation->code, code);
}

/* Why there is nothing to show. */
static int nothing(const struct annotating *a, struct error *err)
{
    bool kinds[FRAME_KINDS] = {false};
    const char *name = profile_string(a->profile, a->options->function);
    for (size_t i = 1; i < a->profile->frames.count; i++)
        if (is_function(a, &a->profile->frames.items[i]))
            kinds[a->profile->frames.items[i].kind] = true;
    if (a->problem)
        return error_set(err, ERROR_GONE, "%s: %s", a->problem->path, a->problem->problem);
    if (kinds[FRAME_KERNEL])
        return error_set(err, ERROR_UNSUPPORTED,
                         "%.200s is kernel code: it is in no file that could be annotated", name);
    if (a->jit_ticks)
        return error_set(
            err, ERROR_UNSUPPORTED,
            "%.200s is code that was made at run time: its instructions are not stored", name);
    if (a->nameless_ticks)
        return error_set(
            err, ERROR_GONE,
            "the symbol of %.200s is not there any more: its file was stripped, or the "
            "debug file is gone",
            name);
    if (kinds[FRAME_JAVASCRIPT])
        return error_set(err, ERROR_UNSUPPORTED,
                         "the recording has no lines of the JavaScript function %.200s, and "
                         "stores no instructions of JavaScript",
                         name);
    if (!a->profile->addresses.count)
        return error_set(err, ERROR_UNSUPPORTED,
                         "there are no addresses of instructions in the file: only `memprof "
                         "record` stores them");
    return error_set(err, ERROR_USAGE, "no ticks in the code of %.200s, only in what it calls",
                     name);
}

static void gather(struct annotating *a)
{
    collect_ticks(a);
    place_ticks(a);
    if (a->blocks.count)
        qsort(a->blocks.items, a->blocks.count, sizeof *a->blocks.items, block_compare);
    for (size_t i = 0; i < a->blocks.count; i++)
        add_code(a, &a->blocks.items[i]);
    collect_javascript(a->profile, a->options->function, &a->lines);
}

int annotate(const struct profile *profile, struct modules *modules,
             const struct annotate_options *options, struct annotation **ret_annotation,
             struct error *err)
{
    _cleanup_annotation_ struct annotation *annotation = annotation_new();
    const char *name = profile_string(profile, options->function);
    struct annotating a = {
        .profile = profile,
        .modules = modules,
        .options = options,
        .annotation = annotation,
        .function = strings_intern(&annotation->strings, name),
        .lines = {.annotation = annotation},
    };
    int64_t cpu = profile_find_metric(profile, "cpu");
    annotation->function = a.function;
    annotation->total = cpu >= 0 ? profile_sum(profile, (metric_id)cpu) : 0;
    naming_init(&a.naming, &annotation->strings);
    gather(&a);
    int status = annotation->ticks || annotation->has_totals ? 0 : nothing(&a, err);
    if (!status) {
        finish_lines(&a.lines, options->source_root, profile->meta.wall_start_us);
        *ret_annotation = steal(&annotation);
    }
    naming_release(&a.naming);
    line_collector_release(&a.lines);
    hash_release(&a.places);
    vec_release(&a.ticks);
    vec_release(&a.blocks);
    return status;
}
