#include "symbolize/v8_builtins.h"

#include "symbolize/symbol_search.h"

#include <string.h>

struct v8_builtins {
    struct elf_file *executable;
    uint64_t start, size;
    vec(struct v8_builtin) items; /* sorted by start */
};

static const char prefix[] = "Builtins_";

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

static bool begins_with(const char *text, const char *beginning)
{
    return !strncmp(text, beginning, strlen(beginning));
}

static void take_symbol(void *context, size_t wanted, const struct symbol *symbol)
{
    struct v8_builtins *builtins = context;
    (void)wanted;
    /* src/interpreter/interpreter-generator.cc, src/builtins/x64/builtins-x64.cc */
    const char *name = symbol->name + sizeof prefix - 1;
    bool handler = ends_with(name, "Handler");
    bool enters = begins_with(name, "InterpreterEnterAt") ||
                  begins_with(name, "BaselineOrInterpreterEnterAt");
    bool interpreter = handler || enters || !strcmp(name, "InterpreterEntryTrampoline");
    vec_append(&builtins->items,
               ((struct v8_builtin){.start = symbol->address,
                                    .size = symbol->size,
                                    .name = symbol->name,
                                    .is_handler = handler,
                                    .is_resumed = enters || begins_with(name, "ContinueTo"),
                                    .is_interpreter = interpreter}));
}

static int compare(const void *left, const void *right)
{
    const struct v8_builtin *a = left, *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

struct v8_builtins *v8_builtins_new(struct elf_file *executable, uint64_t start, uint64_t size)
{
    struct v8_builtins *builtins = xcalloc(1, sizeof *builtins);
    builtins->executable = executable;
    builtins->start = start;
    builtins->size = size;
    const struct symbol_filter filter = {.types = SYMBOL_FUNCTIONS,
                                         .smallest = 1,
                                         .largest = size,
                                         .start = start,
                                         .end = start + size};
    const struct symbol_wanted wanted = {.name = prefix, .beginning = true};
    symbol_search(executable, &(struct symbol_query){&filter, 1, &wanted, 1}, take_symbol,
                  builtins);
    if (builtins->items.count)
        qsort(builtins->items.items, builtins->items.count, sizeof *builtins->items.items, compare);
    return builtins;
}

void v8_builtins_free(struct v8_builtins *builtins)
{
    if (!builtins)
        return;
    for (size_t i = 0; i < builtins->items.count; i++)
        frame_states_free(builtins->items.items[i].states);
    vec_release(&builtins->items);
    free(builtins);
}

struct v8_builtin *v8_builtins_find(const struct v8_builtins *builtins, uint64_t address)
{
    size_t low = 0, high = builtins->items.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (builtins->items.items[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low ||
        address - builtins->items.items[low - 1].start >= builtins->items.items[low - 1].size)
        return NULL;
    return &builtins->items.items[low - 1];
}

enum leaf_frame v8_builtin_leaf(const struct v8_builtins *builtins, struct v8_builtin *builtin,
                                uint64_t address, uint32_t *ret_where)
{
    if (builtin->is_handler)
        return LEAF_FRAMED;
    if (builtin->is_resumed && address == builtin->start)
        return LEAF_RESUMED;
    if (!builtin->states_tried) {
        const uint8_t *code =
            elf_file_code(builtins->executable, builtin->start, (size_t)builtin->size);
        if (code)
            builtin->states = frame_states_new(builtins->executable->machine, code,
                                               (size_t)builtin->size, builtin->start);
        builtin->states_tried = true;
    }
    return builtin->states ? frame_states_find(builtin->states, address, ret_where) : LEAF_UNKNOWN;
}
