/*
 * To learn what an object is takes its map and the map of that; what is read of a function lies in
 * a dozen objects, most of them asked for several times. Blocks make of a hundred system calls some
 * ten, and never fail where a smaller read would not: they are within one page.
 */
#include "symbolize/v8_heap.h"

#include "core/hash.h"

#include <string.h>

/* The block at an address that is a multiple of its size; NULL if it can't be read. */
static const uint8_t *block_at(struct v8_heap *heap, uint64_t address)
{
    struct v8_blocks *blocks = heap->blocks;
    if (!address) /* as a free slot has it */
        return NULL;
    for (size_t i = 0; i < V8_BLOCKS; i++)
        if (blocks->addresses[i] == address)
            return blocks->bytes[i];
    size_t slot = blocks->next;
    blocks->addresses[slot] = 0;
    if (!remote_read(&heap->memory, address, blocks->bytes[slot], V8_BLOCK_BYTES))
        return NULL;
    blocks->addresses[slot] = address;
    blocks->next = (slot + 1) % V8_BLOCKS;
    return blocks->bytes[slot];
}

bool v8_read(struct v8_heap *heap, uint64_t address, void *into, size_t size)
{
    uint64_t offset = address % V8_BLOCK_BYTES;
    const uint8_t *block = NULL;
    if (heap->blocks && size <= V8_BLOCK_BYTES - offset)
        block = block_at(heap, address - offset);
    if (!block)
        return remote_read(&heap->memory, address, into, size);
    memcpy(into, block + offset, size);
    return true;
}

bool v8_word(struct v8_heap *heap, uint64_t address, uint64_t *ret_word)
{
    return v8_read(heap, address, ret_word, sizeof *ret_word);
}

bool v8_field(struct v8_heap *heap, uint64_t object, unsigned offset, uint64_t *ret_word)
{
    return v8_is_object(object) && v8_word(heap, object - V8_HEAP_OBJECT_TAG + offset, ret_word);
}

/*
 * A map is an object whose own map is the map of maps, which is the map of itself. There is one for
 * each isolate or context, so its address is not a constant.
 */
static uint16_t read_type(struct v8_heap *heap, uint64_t map)
{
    enum { TYPE_END = 16 };
    uint8_t head[TYPE_END];
    uint64_t map_of_map, of_that;
    uint16_t type;
    if (!v8_is_object(map) || heap->layout.map_instance_type > TYPE_END - sizeof type ||
        !v8_read(heap, map - V8_HEAP_OBJECT_TAG, head, sizeof head))
        return V8_NO_TYPE;
    memcpy(&map_of_map, head, sizeof map_of_map);
    memcpy(&type, head + heap->layout.map_instance_type, sizeof type);
    return v8_field(heap, map_of_map, 0, &of_that) && of_that == map_of_map ? type : V8_NO_TYPE;
}

uint16_t v8_type_of_map(struct v8_heap *heap, uint64_t map)
{
    struct v8_types *types = heap->types;
    size_t slot = hash_mix(map) & (V8_TYPES - 1);
    if (types && map && types->maps[slot] == map)
        return types->types[slot];
    uint16_t type = read_type(heap, map);
    if (types && type != V8_NO_TYPE) {
        types->maps[slot] = map;
        types->types[slot] = type;
    }
    return type;
}

uint16_t v8_type(struct v8_heap *heap, uint64_t object)
{
    uint64_t map;
    return v8_field(heap, object, 0, &map) ? v8_type_of_map(heap, map) : V8_NO_TYPE;
}

static bool is_array(const struct v8_layout *layout, uint16_t type)
{
    return type != V8_NO_TYPE && type &&
           (type == layout->fixed_array || type == layout->trusted_fixed_array ||
            type == layout->protected_fixed_array || type == layout->weak_fixed_array ||
            type == layout->trusted_weak_fixed_array);
}

bool v8_array_length(struct v8_heap *heap, uint64_t array, uint32_t *ret_length)
{
    uint64_t length;
    if (!is_array(&heap->layout, v8_type(heap, array)) ||
        !v8_field(heap, array, heap->layout.fixed_array_length, &length) || !v8_is_smi(length) ||
        v8_smi(length) < 0)
        return false;
    *ret_length = (uint32_t)v8_smi(length);
    return true;
}

bool v8_array_item(struct v8_heap *heap, uint64_t array, uint32_t index, uint64_t *ret_word)
{
    uint32_t length;
    return v8_array_length(heap, array, &length) && index < length &&
           v8_word(heap,
                   array - V8_HEAP_OBJECT_TAG + heap->layout.fixed_array_data + (uint64_t)index * 8,
                   ret_word);
}
