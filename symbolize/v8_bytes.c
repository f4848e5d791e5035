#include "symbolize/v8_bytes.h"

#include "core/limits.h"


void v8_bytes_init(struct v8_bytes *bytes, struct v8_heap *heap, uint64_t address, uint32_t size)
{
    bytes->heap = heap;
    bytes->address = address;
    bytes->size = size;
    bytes->at = bytes->first = bytes->held = 0;
    bytes->broken = false;
}

bool v8_bytes_open(struct v8_bytes *bytes, struct v8_heap *heap, uint64_t array)
{
    uint64_t length;
    uint16_t type = v8_is_object(array) ? v8_type(heap, array) : V8_NO_TYPE;
    if ((type != heap->layout.byte_array && type != heap->layout.trusted_byte_array) || !type ||
        !v8_field(heap, array, heap->layout.fixed_array_length, &length) || !v8_is_smi(length) ||
        v8_smi(length) < 0 || v8_smi(length) > LIMIT_V8_TABLE_BYTES)
        return false;
    v8_bytes_init(bytes, heap, array - V8_HEAP_OBJECT_TAG + heap->layout.fixed_array_data,
                  (uint32_t)v8_smi(length));
    return true;
}

uint8_t v8_bytes_next(struct v8_bytes *bytes)
{
    if (v8_bytes_end(bytes)) {
        bytes->broken = true;
        return 0;
    }
    if (bytes->at < bytes->first || bytes->at - bytes->first >= bytes->held) {
        /* Within a block: of a table of unknown length the next page may not be there. */
        uint32_t left = bytes->size - bytes->at;
        uint64_t address = bytes->address + bytes->at;
        bytes->first = bytes->at;
        bytes->held = sizeof bytes->buffer - (uint32_t)(address % sizeof bytes->buffer);
        if (bytes->held > left)
            bytes->held = left;
        if (!v8_read(bytes->heap, address, bytes->buffer, bytes->held)) {
            bytes->held = 0;
            bytes->broken = true;
            return 0;
        }
    }
    return bytes->buffer[bytes->at++ - bytes->first];
}

uint64_t v8_bytes_fixed(struct v8_bytes *bytes, unsigned count)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < count; i++)
        number |= (uint64_t)v8_bytes_next(bytes) << 8 * i;
    return number;
}

uint64_t v8_bytes_packed(struct v8_bytes *bytes)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = v8_bytes_next(bytes);
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return number;
    }
    bytes->broken = true;
    return 0;
}
