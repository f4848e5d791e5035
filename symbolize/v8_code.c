/*
 * V8 lays the instructions of a function behind a head that begins with the map of its type, so
 * that head is looked for backwards from pc, word by word. What looks like one is believed only if
 * its map is the map of instructions, and the Code that belongs to it says itself that its
 * instructions begin behind this head: a constant amid the code does not pass. The first head that
 * is met tells: one that is left of code that is gone has not been written over since, so nothing
 * that begins before it reaches past it.
 *
 * Not by the function in the frame: its code changes while old code runs on, and in V8 13.6 it
 * holds only an index of a table. Not by V8's own list of pages: that is another layout to know.
 */
#include "symbolize/v8_code.h"

#include "core/hash.h"
#include "core/limits.h"

#include <string.h>

enum {
    PAGE = 1 << 12, /* is there or not as a whole; most functions are smaller */
    CHUNK = 1 << 14,
    HEAD_MAX = 128,    /* from the map to the instructions: at most 128 bytes, seen in 10.2 */
    HEAD_POINTERS = 3, /* the Code is one of the first fields */
    FIELDS_MAX = 128,  /* bytes of a Code */
    OTHERS = 64,
    LOOKED_MAX = 1 << 10 /* words that look like a pointer; some dozens were seen */
};

struct search {
    struct v8_heap *heap;
    uint16_t wanted;         /* the type whose map a head has */
    unsigned looked;         /* words that were looked at as a map */
    uint64_t others[OTHERS]; /* by hash: those that were none; code names the same objects often */
};

static uint64_t word_at(const uint8_t *bytes, unsigned offset)
{
    uint64_t word;
    memcpy(&word, bytes + offset, sizeof word);
    return word;
}

static uint32_t half_at(const uint8_t *bytes, unsigned offset)
{
    uint32_t half;
    memcpy(&half, bytes + offset, sizeof half);
    return half;
}

static enum v8_code_kind kind_of_flags(const struct v8_layout *layout, uint32_t flags)
{
    uint8_t kind = flags & layout->code_kind_mask;
    if (kind == layout->baseline_kind)
        return V8_CODE_BASELINE;
    if (kind > layout->baseline_kind)
        return kind == layout->baseline_kind + 1   ? V8_CODE_MAGLEV
               : kind == layout->baseline_kind + 2 ? V8_CODE_TURBOFAN
                                                   : V8_CODE_OTHER;
    if (kind == layout->builtin_kind)
        return V8_CODE_BUILTIN;
    if (kind == layout->regexp_kind)
        return V8_CODE_REGEXP;
    return kind == layout->wasm_kind ? V8_CODE_WASM : V8_CODE_OTHER;
}

/* How many bytes of a Code hold what is wanted of it; more may not be there. */
static unsigned span_of_fields(const struct v8_layout *layout)
{
    const unsigned ends[] = {layout->code_inline ? 0 : layout->code_start + 8u,
                             layout->code_deoptimization + 8u, layout->code_positions + 8u,
                             layout->code_flags + 4u, layout->code_size + 4u};
    unsigned span = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        span = ends[i] > span ? ends[i] : span;
    return span;
}

/* Reads a Code (tagged); false if it is none. */
static bool read_code(struct v8_heap *heap, uint64_t object, struct v8_code *ret_code)
{
    const struct v8_layout *layout = &heap->layout;
    uint8_t fields[FIELDS_MAX];
    unsigned span = span_of_fields(layout);
    if (!v8_is_object(object) || v8_type(heap, object) != layout->code || span > sizeof fields ||
        !v8_read(heap, object - V8_HEAP_OBJECT_TAG, fields, span))
        return false;
    ret_code->object = object;
    ret_code->start = layout->code_inline ? object - V8_HEAP_OBJECT_TAG + layout->code_start
                                          : word_at(fields, layout->code_start);
    ret_code->size = half_at(fields, layout->code_size);
    ret_code->kind = kind_of_flags(layout, half_at(fields, layout->code_flags));
    ret_code->deoptimization = word_at(fields, layout->code_deoptimization);
    ret_code->positions = word_at(fields, layout->code_positions);
    return ret_code->size && ret_code->size <= LIMIT_V8_CODE_BYTES &&
           ret_code->start < (uint64_t)1 << 47;
}

bool v8_code_renew(struct v8_heap *heap, struct v8_code *code)
{
    struct v8_code now = *code;
    if (!read_code(heap, code->object, &now) || now.start != code->start ||
        now.size != code->size || now.kind != code->kind)
        return false;
    *code = now;
    return true;
}

/* Where head and Code are one, no pointer from one to the other proves it, but its fields may. */
static bool is_whole(struct v8_heap *heap, uint64_t object, struct v8_code *ret_code)
{
    return read_code(heap, object, ret_code) &&
           v8_type(heap, ret_code->deoptimization) != V8_NO_TYPE &&
           v8_type(heap, ret_code->positions) != V8_NO_TYPE;
}

/* Whether the Code (tagged) says that its instructions stand behind `head`. */
static bool belongs(struct v8_heap *heap, uint64_t object, uint64_t head, struct v8_code *ret_code)
{
    return read_code(heap, object, ret_code) && ret_code->start > head &&
           ret_code->start - head <= HEAD_MAX;
}

/* Whether a head with this map stands at `head`. */
static bool read_head(struct v8_heap *heap, uint64_t head, uint64_t map, struct v8_code *ret_code)
{
    uint64_t words[HEAD_POINTERS];
    struct v8_code code;
    bool found = false;
    if (heap->layout.code_inline)
        found = is_whole(heap, head + V8_HEAP_OBJECT_TAG, &code);
    else if (remote_read(&heap->memory, head + sizeof map, words, sizeof words))
        for (int i = 0; i < HEAD_POINTERS && !found; i++)
            found = belongs(heap, words[i], head, &code);
    if (!found || !remote_read(&heap->memory, head, code.identity, sizeof code.identity) ||
        word_at(code.identity, 0) != map)
        return false;
    code.identity_address = head;
    code.identity_size = sizeof code.identity;
    *ret_code = code;
    return true;
}

/* Whether it is worth a look whether this is the map of a head. */
static bool may_be_map(struct search *search, uint64_t word)
{
    uint64_t *last = &search->others[hash_mix(word) % OTHERS];
    if (!v8_is_object(word) || *last == word || search->looked == LOOKED_MAX)
        return false;
    search->looked++;
    if (v8_type_of_map(search->heap, word) == search->wanted)
        return true;
    *last = word;
    return false;
}

/* Looks for a head in the words of [bottom, top), the last one first. */
static bool search_words(struct search *search, const uint8_t *bytes, uint64_t bottom, uint64_t top,
                         struct v8_code *ret_code)
{
    for (uint64_t at = top; at > bottom; at -= 8) {
        uint64_t word = word_at(bytes, (unsigned)(at - 8 - bottom));
        if (may_be_map(search, word) && read_head(search->heap, at - 8, word, ret_code))
            return true;
    }
    return false;
}

bool v8_code_find(struct v8_heap *heap, uint64_t pc, struct v8_code *ret_code)
{
    const struct v8_layout *layout = &heap->layout;
    struct search search = {
        .heap = heap, .wanted = layout->code_inline ? layout->code : layout->instruction_stream};
    struct v8_code code;
    uint8_t chunk[CHUNK];
    uint64_t top = (pc | 7) + 1, size = PAGE;
    if (pc >= (uint64_t)1 << 47)
        return false;
    uint64_t lowest = top > LIMIT_V8_SCAN_BYTES ? top - LIMIT_V8_SCAN_BYTES : PAGE;
    while (top > lowest && search.looked < LOOKED_MAX) {
        uint64_t bottom = (top - 1) & ~(size - 1);
        if (remote_read(&heap->memory, bottom, chunk, top - bottom)) {
            if (search_words(&search, chunk, bottom, top, &code)) {
                bool within = pc >= code.start && pc - code.start < code.size;
                if (within)
                    *ret_code = code;
                return within;
            }
            top = bottom;
            size = CHUNK;
        } else if (size == PAGE) {
            return false;
        } else {
            size = PAGE; /* the mapping begins within the chunk */
        }
    }
    return false;
}
