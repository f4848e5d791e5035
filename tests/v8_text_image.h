/*
 * v8_text_image.h - strings, scripts and functions for v8_image.h, as V8 10.2 or 13.6 has them.
 */
#ifndef MEMPROF_TESTS_V8_TEXT_IMAGE_H
#define MEMPROF_TESTS_V8_TEXT_IMAGE_H

#include "tests/v8_image.h"

enum {
    IMAGE_SCOPE = 280, /* instance types */
    IMAGE_SCRIPT = 167,
    IMAGE_DEBUG = 154,
    IMAGE_UNDEFINED = 131,
    IMAGE_ONE_BYTE = 8, /* of a string's type: its encoding, and its representation */
    IMAGE_TWO_BYTE = 0,
    IMAGE_SEQ = 0,
    IMAGE_CONS = 1,
    IMAGE_EXTERNAL = 2,
    IMAGE_SLICED = 3,
    IMAGE_THIN = 5,
    IMAGE_UNCACHED = 16
};

static inline void v8_text_layout(struct v8_layout *layout, bool later)
{
    layout->script = IMAGE_SCRIPT;
    layout->scope_info = IMAGE_SCOPE;
    layout->debug_info = IMAGE_DEBUG;
    layout->first_nonstring = 128;
    layout->string_encoding_mask = layout->one_byte_string = 8;
    layout->string_representation_mask = 7;
    layout->cons_string = IMAGE_CONS;
    layout->external_string = IMAGE_EXTERNAL;
    layout->sliced_string = IMAGE_SLICED;
    layout->thin_string = IMAGE_THIN;
    layout->string_length = 12;
    layout->string_chars = layout->cons_first = layout->sliced_parent = layout->thin_actual =
        layout->external_resource = 16;
    layout->cons_second = layout->sliced_offset = 24;
    layout->resource_data = 8;
    layout->shared_name = later ? 24 : 16;
    layout->shared_script = later ? 40 : 32;
    layout->debug_info_script = later ? 0 : 24;
    layout->script_source = 8;
    layout->script_name = 16;
    layout->script_line_offset = 24;
    layout->script_column_offset = 32;
    layout->script_line_ends = 56;
    layout->script_id = 64;
    layout->script_source_url = later ? 112 : 104;
    layout->scope_info_data = 8;
    layout->scope_locals_slot = 2;
    layout->scope_first_vars = later ? 5 : 3;
    layout->scope_positions_slot = later ? 3 : -1;
    layout->scope_flags_raw = later;
    layout->members_kind = later ? 24 : 0;
}

static inline uint64_t smi(int32_t number)
{
    return (uint64_t)(uint32_t)number << 32;
}

/* A string of `size` bytes with this length, zeroed. */
static inline uint64_t v8_image_string(struct v8_image *image, unsigned type, uint32_t length,
                                       size_t size)
{
    uint64_t string = v8_image_object(image, type, size);
    v8_image_set(image, string, 12, length, 4);
    return string;
}

static inline uint64_t v8_image_latin(struct v8_image *image, const char *text)
{
    size_t length = strlen(text);
    uint64_t string = v8_image_string(image, IMAGE_ONE_BYTE, (uint32_t)length, 16 + length);
    memcpy(image->bytes + (string - 1 - IMAGE_BASE) + 16, text, length);
    return string;
}

static inline uint64_t v8_image_wide(struct v8_image *image, const uint16_t *units, uint32_t count)
{
    uint64_t string = v8_image_string(image, IMAGE_TWO_BYTE, count, 16 + 2 * (size_t)count);
    memcpy(image->bytes + (string - 1 - IMAGE_BASE) + 16, units, 2 * (size_t)count);
    return string;
}

/* Of two words: a rope's halves, a slice's parent and offset, or what another stands for. */
static inline uint64_t v8_image_made_of(struct v8_image *image, unsigned type, uint32_t length,
                                        uint64_t first, uint64_t second)
{
    uint64_t string = v8_image_string(image, type, length, 32);
    v8_image_set(image, string, 16, first, 8);
    v8_image_set(image, string, 24, second, 8);
    return string;
}

static inline uint64_t v8_image_script(struct v8_image *image, uint64_t name, uint64_t source,
                                       uint64_t line_ends, uint64_t url, bool later)
{
    uint64_t script = v8_image_object(image, IMAGE_SCRIPT, 128);
    v8_image_set(image, script, 8, source, 8);
    v8_image_set(image, script, 16, name, 8);
    v8_image_set(image, script, 56, line_ends, 8);
    v8_image_set(image, script, 64, smi(77), 8);
    v8_image_set(image, script, later ? 112 : 104, url, 8);
    return script;
}

struct scope_parts {
    uint32_t locals;
    bool module, class_variable;
    bool has_name, has_inferred;
    uint64_t name, inferred;
    uint32_t kind; /* FunctionKind */
    int32_t start, end;
};

/* In the order of V8's src/objects/scope-info.tq. */
static inline uint64_t v8_image_scope(struct v8_image *image, const struct scope_parts *parts,
                                      bool later)
{
    uint64_t words[1024];
    uint32_t flags = (parts->module ? (later ? 5 : 3) : 2) |
                     (parts->class_variable ? 1u << 10 : 0) | (parts->has_name ? 1u << 12 : 0) |
                     (parts->has_inferred ? 1u << 14 : 0) | parts->kind << 17;
    size_t count = 0;
    words[count++] = later ? flags : smi((int32_t)flags);
    words[count++] = smi(2);
    words[count++] = smi((int32_t)parts->locals);
    if (later) {
        words[count++] = smi(parts->start);
        words[count++] = smi(parts->end);
    }
    if (parts->module)
        words[count++] = smi(1);
    for (uint32_t i = 0; i < (parts->locals < 75 ? parts->locals : 1); i++)
        words[count++] = v8_image_latin(image, "local");
    for (uint32_t i = 0; i < parts->locals; i++)
        words[count++] = smi((int32_t)i);
    if (parts->class_variable)
        words[count++] = smi(3);
    if (parts->has_name) {
        words[count++] = parts->name;
        words[count++] = smi(4);
    }
    if (parts->has_inferred)
        words[count++] = parts->inferred;
    if (!later) {
        words[count++] = smi(parts->start);
        words[count++] = smi(parts->end);
    }
    words[count++] = image->meta; /* the outer scope's, or what else may follow */
    uint64_t scope = v8_image_object(image, IMAGE_SCOPE, 8 + 8 * count);
    for (size_t i = 0; i < count; i++)
        v8_image_set(image, scope, (unsigned)(8 + 8 * i), words[i], 8);
    return scope;
}

static inline uint64_t v8_image_function(struct v8_image *image, uint64_t name_or_scope,
                                         uint64_t script, bool later)
{
    uint64_t shared = v8_image_shared(image, 0);
    v8_image_set(image, shared, later ? 24 : 16, name_or_scope, 8);
    v8_image_set(image, shared, later ? 40 : 32, script, 8);
    return shared;
}

#endif
