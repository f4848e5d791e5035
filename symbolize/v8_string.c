/*
 * v8_string.c - a walk over the parts with a stack of its own: ropes of text that grew by
 * concatenation are deep on their left.
 */
#include "symbolize/v8_string.h"

#include "core/alloc.h"
#include "core/utf8.h"

#include <string.h>

enum {
    CHUNK_BYTES = 1 << 14,
    PARTS_MAX = 1 << 16, /* of one string: more is no text that names or scripts are made of */
    PARTS_LEAST = 64
};

struct part { /* characters [from, from + count) of a string */
    uint64_t object;
    uint64_t from, count;
};

struct walk {
    struct v8_heap *heap;
    v8_chars_fn *visit;
    void *context;
    vec(struct part) parts; /* still to do, the next one last */
    bool ended;             /* the visitor wants no more */
};

bool v8_type_is_string(const struct v8_layout *layout, uint16_t type)
{
    return type < layout->first_nonstring;
}

bool v8_string_length(struct v8_heap *heap, uint64_t object, uint32_t *ret_length)
{
    uint32_t length;
    if (!v8_type_is_string(&heap->layout, v8_type(heap, object)) ||
        !v8_read(heap, object - V8_HEAP_OBJECT_TAG + heap->layout.string_length, &length,
                 sizeof length) ||
        length > INT32_MAX)
        return false;
    *ret_length = length;
    return true;
}

static bool visit_chars(struct walk *walk, uint64_t address, uint64_t count, bool one_byte)
{
    uint16_t chunk[CHUNK_BYTES / 2];
    unsigned width = one_byte ? 1 : 2;
    while (count && !walk->ended) {
        size_t size = count < CHUNK_BYTES / width ? (size_t)count : CHUNK_BYTES / width;
        if (!v8_read(walk->heap, address, chunk, size * width))
            return false;
        walk->ended = !walk->visit(walk->context, chunk, size, one_byte);
        address += size * width;
        count -= size;
    }
    return true;
}

static void push(struct walk *walk, uint64_t object, uint64_t from, uint64_t count)
{
    if (count)
        vec_append(&walk->parts, ((struct part){object, from, count}));
}

/* The two halves of a rope, as far as they are within the part. */
static bool push_halves(struct walk *walk, const struct part *part)
{
    const struct v8_layout *layout = &walk->heap->layout;
    uint64_t first, second, in_first = 0;
    uint32_t length;
    if (!v8_field(walk->heap, part->object, layout->cons_first, &first) ||
        !v8_field(walk->heap, part->object, layout->cons_second, &second) ||
        !v8_string_length(walk->heap, first, &length))
        return false;
    if (part->from < length)
        in_first = part->count < length - part->from ? part->count : length - part->from;
    push(walk, second, part->from + in_first - length, part->count - in_first);
    push(walk, first, part->from, in_first);
    return true;
}

/*
 * Where the characters of an external string are. Most strings keep the address themselves, behind
 * that of the resource; the others' resource may keep it, behind its table of functions.
 */
static bool external_chars(struct v8_heap *heap, uint64_t object, uint16_t type,
                           uint64_t *ret_address)
{
    enum { UNCACHED = 0x10 }; /* kUncachedExternalStringTag, src/objects/instance-type.h */
    uint64_t resource;
    if (!(type & UNCACHED))
        return v8_field(heap, object, heap->layout.external_resource + 8, ret_address);
    return v8_field(heap, object, heap->layout.external_resource, &resource) &&
           v8_word(heap, resource + heap->layout.resource_data, ret_address);
}

static bool visit_part(struct walk *walk, const struct part *part)
{
    struct v8_heap *heap = walk->heap;
    const struct v8_layout *layout = &heap->layout;
    uint16_t type = v8_type(heap, part->object);
    uint32_t length;
    uint64_t other, offset;
    if (!v8_string_length(heap, part->object, &length) || part->from > length ||
        part->count > length - part->from)
        return false;
    bool one_byte = (type & layout->string_encoding_mask) == layout->one_byte_string;
    uint64_t skipped = part->from * (one_byte ? 1 : 2);
    uint16_t representation = type & layout->string_representation_mask;
    if (representation == layout->seq_string)
        return visit_chars(walk, part->object - V8_HEAP_OBJECT_TAG + layout->string_chars + skipped,
                           part->count, one_byte);
    if (representation == layout->external_string)
        return external_chars(heap, part->object, type, &other) &&
               visit_chars(walk, other + skipped, part->count, one_byte);
    if (representation == layout->cons_string)
        return push_halves(walk, part);
    if (representation == layout->sliced_string) {
        if (!v8_field(heap, part->object, layout->sliced_parent, &other) ||
            !v8_field(heap, part->object, layout->sliced_offset, &offset) || !v8_is_smi(offset) ||
            v8_smi(offset) < 0)
            return false;
        push(walk, other, part->from + (uint64_t)v8_smi(offset), part->count);
        return true;
    }
    if (representation != layout->thin_string ||
        !v8_field(heap, part->object, layout->thin_actual, &other))
        return false;
    push(walk, other, part->from, part->count);
    return true;
}

bool v8_string_walk(struct v8_heap *heap, uint64_t object, uint64_t limit, v8_chars_fn *visit,
                    void *context)
{
    struct walk walk = {.heap = heap, .visit = visit, .context = context};
    uint32_t length;
    /* Of so many characters; a part is a character or more, one of two halves, or a detour. */
    uint64_t parts = limit < PARTS_MAX / 4 ? PARTS_LEAST + 4 * limit : PARTS_MAX;
    bool fine = v8_string_length(heap, object, &length);
    if (fine)
        push(&walk, object, 0, length < limit ? length : limit);
    for (size_t i = 0; fine && walk.parts.count && !walk.ended; i++) {
        struct part part = walk.parts.items[--walk.parts.count];
        fine = i < parts && visit_part(&walk, &part);
    }
    vec_release(&walk.parts);
    return fine;
}

struct text { /* UTF-8 in the making */
    vec(char) bytes;
    uint16_t high; /* a surrogate that waits for its other half; 0: none */
};

static void append_code_point(struct text *text, uint32_t code)
{
    char bytes[4];
    size_t count = utf8_encode(code, bytes);
    for (size_t i = 0; i < count; i++)
        vec_append(&text->bytes, bytes[i]);
}

static void append_unit(struct text *text, uint16_t unit)
{
    enum { REPLACEMENT = 0xfffd };
    bool low = (unit & 0xfc00) == 0xdc00;
    if (text->high && low) {
        append_code_point(text, 0x10000 + ((uint32_t)(text->high & 0x3ff) << 10) + (unit & 0x3ff));
        text->high = 0;
        return;
    }
    if (text->high)
        append_code_point(text, REPLACEMENT);
    text->high = (unit & 0xfc00) == 0xd800 ? unit : 0;
    if (!text->high)
        append_code_point(text, low ? REPLACEMENT : unit);
}

static bool append_chars(void *context, const void *chars, size_t count, bool one_byte)
{
    struct text *text = context;
    for (size_t i = 0; i < count; i++)
        append_unit(text, one_byte ? ((const uint8_t *)chars)[i] : ((const uint16_t *)chars)[i]);
    return true;
}

char *v8_string_text(struct v8_heap *heap, uint64_t object, size_t limit)
{
    struct text text = {0};
    uint32_t length;
    if (!v8_string_length(heap, object, &length) ||
        !v8_string_walk(heap, object, limit, append_chars, &text)) {
        vec_release(&text.bytes);
        return NULL;
    }
    if (text.high)
        append_code_point(&text, 0xfffd);
    for (const char *more = "…"; length > limit && *more; more++)
        vec_append(&text.bytes, *more);
    vec_append(&text.bytes, '\0');
    return text.bytes.items;
}
