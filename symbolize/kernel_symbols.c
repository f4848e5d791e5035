/*
 * The text of kallsyms is kept; a symbol is {address, offset of its name}. Names and modules end
 * in a NUL that is written over the tab, bracket and newline behind them, and "[" in front of a
 * module tells it from the next line. Only text symbols count, one for each address: a global
 * one rather than a local one, then the one with fewer leading underscores.
 */
#include "symbolize/kernel_symbols.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "symbolize/address_sort.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

enum {
    KALLSYMS_BYTES = 256 << 20, /* more than any kernel lists; also keeps offsets in 31 bits */
    READ_BYTES = 1 << 20,
    FUNCTION_BYTES =
        1 << 20, /* no function is longer: beyond it the address is in something else */
};
#define TAG_LOCAL (1u << 31)

struct kernel_symbols {
    char *text;
    vec(struct address_item) items; /* tag: offset of the name */
};

static const char *item_name(const struct kernel_symbols *symbols, const struct address_item *item)
{
    return symbols->text + (item->tag & ~TAG_LOCAL);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "ffffffff81000000 T name\t[module]"; `end` is at the newline, which is overwritten. */
static void parse_line(struct kernel_symbols *symbols, char *line, char *end)
{
    struct address_item item = {0};
    char *at = line;
    for (; at < end && at - line < 16 && hex_digit(*at) >= 0; at++)
        item.address = item.address << 4 | (uint64_t)hex_digit(*at);
    if (at == line || end - at < 4 || at[0] != ' ' || !at[1] || !strchr("tTwW", at[1]) ||
        at[2] != ' ')
        return;
    *end = '\0';
    item.tag = (uint32_t)(at + 3 - symbols->text) | (at[1] == 't' ? TAG_LOCAL : 0);
    char *tab = memchr(at + 3, '\t', (size_t)(end - at - 3));
    if (tab) {
        *tab = '\0';
        if (end[-1] == ']')
            end[-1] = '\0';
    }
    if (item.address && symbols->items.count < LIMIT_SYMBOLS)
        vec_append(&symbols->items, item);
}

static bool item_better(const struct kernel_symbols *symbols, const struct address_item *a,
                        const struct address_item *b)
{
    if ((a->tag ^ b->tag) & TAG_LOCAL)
        return b->tag & TAG_LOCAL;
    return strspn(item_name(symbols, a), "_") < strspn(item_name(symbols, b), "_");
}

static void drop_aliases(struct kernel_symbols *symbols)
{
    struct address_item *items = symbols->items.items;
    size_t kept = 0;
    for (size_t i = 0; i < symbols->items.count; i++) {
        if (!kept || items[kept - 1].address != items[i].address)
            items[kept++] = items[i];
        else if (item_better(symbols, &items[i], &items[kept - 1]))
            items[kept - 1] = items[i];
    }
    symbols->items.count = kept;
}

/* Takes over `text`, which has room for two bytes behind its length. */
static struct kernel_symbols *parse_owned(char *text, size_t length)
{
    struct kernel_symbols *symbols = xcalloc(1, sizeof *symbols);
    symbols->text = text;
    text[length] = text[length + 1] = '\0'; /* the second one: "behind" the last name */
    for (char *line = text, *end, *stop = text + length; line < stop; line = end + 1) {
        end = memchr(line, '\n', (size_t)(stop - line));
        if (!end)
            end = stop;
        parse_line(symbols, line, end);
    }
    address_sort(symbols->items.items, symbols->items.count);
    drop_aliases(symbols);
    if (symbols->items.count)
        return symbols;
    kernel_symbols_free(symbols);
    return NULL;
}

struct kernel_symbols *kernel_symbols_parse(const char *text, size_t length)
{
    if (length > KALLSYMS_BYTES)
        return NULL;
    char *copy = xmalloc(length + 2);
    memcpy(copy, text, length);
    return parse_owned(copy, length);
}

struct kernel_symbols *kernel_symbols_new(void)
{
    _cleanup_close_ int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
    vec(char) text = {0};
    ssize_t got = -1;
    while (fd >= 0 && text.count <= KALLSYMS_BYTES) {
        vec_reserve(&text, text.count + READ_BYTES + 2);
        got = read(fd, text.items + text.count, READ_BYTES);
        if (got <= 0)
            break;
        text.count += (size_t)got;
    }
    if (got == 0 && text.count)
        return parse_owned(text.items, text.count);
    vec_release(&text);
    return NULL;
}

void kernel_symbols_free(struct kernel_symbols *symbols)
{
    if (!symbols)
        return;
    vec_release(&symbols->items);
    free(symbols->text);
    free(symbols);
}

const char *kernel_symbols_find(const struct kernel_symbols *symbols, uint64_t address,
                                const char **ret_module)
{
    size_t low = 0, high = symbols->items.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->items.items[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || address - symbols->items.items[low - 1].address >= FUNCTION_BYTES)
        return NULL;
    const char *name = item_name(symbols, &symbols->items.items[low - 1]);
    const char *behind = name + strlen(name) + 1;
    *ret_module = *behind == '[' ? behind + 1 : NULL;
    return name;
}
