#include "symbolize/v8_heap.h"

bool v8_word(struct v8_heap *heap, uint64_t address, uint64_t *ret_word)
{
    return remote_read(&heap->memory, address, ret_word, sizeof *ret_word);
}

bool v8_field(struct v8_heap *heap, uint64_t object, unsigned offset, uint64_t *ret_word)
{
    return v8_is_object(object) && v8_word(heap, object - V8_HEAP_OBJECT_TAG + offset, ret_word);
}

/*
 * A map is an object whose own map is the map of maps, which is the map of itself. There is one for
 * each isolate or context, so its address is not a constant.
 */
uint16_t v8_type_of_map(struct v8_heap *heap, uint64_t map)
{
    uint64_t map_of_map, of_that;
    uint16_t type;
    if (!v8_is_object(map))
        return V8_NO_TYPE;
    uint64_t at = map - V8_HEAP_OBJECT_TAG;
    struct memory_read reads[] = {
        {.address = at, .into = &map_of_map, .size = sizeof map_of_map},
        {.address = at + heap->layout.map_instance_type, .into = &type, .size = sizeof type},
    };
    if (remote_read_all(&heap->memory, reads, 2) < 2 || !v8_field(heap, map_of_map, 0, &of_that) ||
        of_that != map_of_map)
        return V8_NO_TYPE;
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
