/*
 * v8_lines.c - ends of lines as in V8's String::CalculateLineEnds (src/objects/string.cc): at \n,
 * \r, \r\n, U+2028 and U+2029.
 *
 * A script is the same one as long as its id and source stand where they stood: the collector moves
 * scripts seldom, and then they are read again.
 */
#include "symbolize/v8_lines.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "symbolize/v8_string.h"

#include <string.h>

enum { SCRIPTS_MAX = 4096 };

struct script {
    uint64_t script, source, id;      /* words, as they were read */
    uint64_t used;                    /* by a count of look-ups */
    int32_t first_line, first_column; /* where it stands in its file, 0-based */
    vec(uint32_t) ends;               /* positions of the ends of lines, ascending */
};

struct v8_scripts {
    vec(struct script *) items; /* owned */
    uint64_t lookups;
    size_t lines; /* of all of them */
};

struct v8_scripts *v8_scripts_new(void)
{
    return xcalloc(1, sizeof(struct v8_scripts));
}

static void script_free(struct script *script)
{
    vec_release(&script->ends);
    free(script);
}

void v8_scripts_free(struct v8_scripts *scripts)
{
    if (!scripts)
        return;
    for (size_t i = 0; i < scripts->items.count; i++)
        script_free(scripts->items.items[i]);
    vec_release(&scripts->items);
    free(scripts);
}

static void forget(struct v8_scripts *scripts, size_t position)
{
    struct script *script = scripts->items.items[position];
    scripts->lines -= script->ends.count;
    script_free(script);
    scripts->items.items[position] = scripts->items.items[--scripts->items.count];
}

static void make_room(struct v8_scripts *scripts)
{
    while (scripts->items.count &&
           (scripts->items.count >= SCRIPTS_MAX || scripts->lines > LIMIT_SCRIPT_LINES)) {
        size_t oldest = 0;
        for (size_t i = 1; i < scripts->items.count; i++)
            if (scripts->items.items[i]->used < scripts->items.items[oldest]->used)
                oldest = i;
        forget(scripts, oldest);
    }
}

/* From V8's own table: a FixedArray of Smis. False if there is none. */
static bool read_table(struct v8_heap *heap, uint64_t array, struct script *script)
{
    enum { CHUNK = 1 << 12 };
    uint64_t words[CHUNK];
    uint32_t count, last = 0;
    if (!v8_array_length(heap, array, &count) || !count || count > LIMIT_SCRIPT_LINES)
        return false;
    uint64_t at = array - V8_HEAP_OBJECT_TAG + heap->layout.fixed_array_data;
    for (uint32_t first = 0; first < count; first += CHUNK) {
        uint32_t size = count - first < CHUNK ? count - first : CHUNK;
        if (!remote_read(&heap->memory, at + (uint64_t)first * 8, words, (size_t)size * 8))
            return false;
        for (uint32_t i = 0; i < size; i++) {
            uint32_t end = (uint32_t)v8_smi(words[i]);
            if (!v8_is_smi(words[i]) || v8_smi(words[i]) < 0 || end < last)
                return false;
            vec_append(&script->ends, last = end);
        }
    }
    return true;
}

struct reading { /* of a source */
    struct script *script;
    uint32_t position;
    bool after_return; /* the last character was \r */
};

static bool take_unit(struct reading *reading, uint16_t unit)
{
    bool feed = unit == '\n', after_return = reading->after_return;
    reading->after_return = unit == '\r';
    if (after_return && feed) /* \r\n ends the line at its \n */
        reading->script->ends.items[reading->script->ends.count - 1] = reading->position;
    else if (feed || unit == '\r' || unit == 0x2028 || unit == 0x2029)
        vec_append(&reading->script->ends, reading->position);
    reading->position++;
    return reading->script->ends.count < LIMIT_SCRIPT_LINES;
}

static bool take_chars(void *context, const void *chars, size_t count, bool one_byte)
{
    bool more = true;
    for (size_t i = 0; i < count && more; i++)
        more = take_unit(context,
                         one_byte ? ((const uint8_t *)chars)[i] : ((const uint16_t *)chars)[i]);
    return more;
}

static bool read_source(struct v8_heap *heap, uint64_t source, struct script *script)
{
    struct reading reading = {.script = script};
    script->ends.count = 0;
    if (!v8_string_walk(heap, source, LIMIT_SCRIPT_CHARACTERS, take_chars, &reading) ||
        script->ends.count >= LIMIT_SCRIPT_LINES)
        return false;
    vec_append(&script->ends, reading.position);
    return true;
}

static struct script *read_script(struct v8_heap *heap, struct v8_scripts *scripts,
                                  const struct script *same)
{
    const struct v8_layout *layout = &heap->layout;
    uint64_t line, column, table;
    struct script *script = xcalloc(1, sizeof *script);
    *script = *same;
    if (!v8_field(heap, script->script, layout->script_line_offset, &line) || !v8_is_smi(line) ||
        !v8_field(heap, script->script, layout->script_column_offset, &column) ||
        !v8_is_smi(column) || !v8_field(heap, script->script, layout->script_line_ends, &table) ||
        !(read_table(heap, table, script) || read_source(heap, script->source, script))) {
        script_free(script);
        return NULL;
    }
    script->first_line = v8_smi(line);
    script->first_column = v8_smi(column);
    make_room(scripts);
    scripts->lines += script->ends.count;
    vec_append(&scripts->items, script);
    return script;
}

/* The script as it is now, from memory if it still is the one that was read before. */
static struct script *script_at(struct v8_heap *heap, struct v8_scripts *scripts, uint64_t script)
{
    const struct v8_layout *layout = &heap->layout;
    struct script now = {.script = script, .used = ++scripts->lookups};
    if (v8_type(heap, script) != layout->script ||
        !v8_field(heap, script, layout->script_source, &now.source) ||
        !v8_field(heap, script, layout->script_id, &now.id) || !v8_is_smi(now.id))
        return NULL;
    for (size_t i = 0; i < scripts->items.count; i++) {
        struct script *known = scripts->items.items[i];
        if (known->script != script)
            continue;
        known->used = now.used;
        if (known->source == now.source && known->id == now.id)
            return known;
        forget(scripts, i);
        break;
    }
    return read_script(heap, scripts, &now);
}

bool v8_script_position(struct v8_heap *heap, struct v8_scripts *scripts, uint64_t script,
                        uint32_t position, uint32_t *ret_line, uint32_t *ret_column)
{
    struct v8_blocks *before = heap->blocks;
    heap->blocks = NULL; /* a script leads to young strings, and these move */
    const struct script *known = script_at(heap, scripts, script);
    heap->blocks = before;
    if (!known)
        return false;
    size_t low = 0, high = known->ends.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (known->ends.items[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == known->ends.count)
        return false;
    int64_t line = (int64_t)low + known->first_line + 1;
    int64_t column = (int64_t)position + 1 - (low ? known->ends.items[low - 1] + 1 : 0) +
                     (low ? 0 : known->first_column);
    if (line < 1 || line > INT32_MAX || column < 1 || column > INT32_MAX)
        return false;
    *ret_line = (uint32_t)line;
    *ret_column = (uint32_t)column;
    return true;
}
