/*
 * v8_heap.h - objects on V8's heap, read from outside and checked.
 *
 * Everything here may be garbage: the process runs on, and its collector moves objects while they
 * are read. So an object is believed only if its map is one, which the map of maps proves, its type
 * is the one expected, and what it holds lies within bounds.
 */
#ifndef MEMPROF_SYMBOLIZE_V8_HEAP_H
#define MEMPROF_SYMBOLIZE_V8_HEAP_H

#include "core/remote_memory.h"
#include "symbolize/v8_layout.h"

enum { V8_NO_TYPE = 0xffff }; /* no instance type */

enum { V8_BLOCK_BYTES = 512, V8_BLOCKS = 64 }; /* a block lies within a page */

/* Memory that was read a moment ago. A zeroed one is empty. */
struct v8_blocks {
    uint64_t addresses[V8_BLOCKS]; /* 0: none */
    size_t next;                   /* to be replaced */
    uint8_t bytes[V8_BLOCKS][V8_BLOCK_BYTES];
};

enum { V8_TYPES = 256 }; /* a power of two */

/* Types of maps that were read a moment ago. A zeroed one is empty. */
struct v8_types {
    uint64_t maps[V8_TYPES]; /* direct-mapped; 0: none */
    uint16_t types[V8_TYPES];
};

struct v8_heap {
    struct v8_layout layout;
    struct remote_memory memory;
    struct v8_blocks *blocks; /* if not NULL, of what is read each block is read once; owned by who
                                 set it, for as long as old memory is as good as new */
    struct v8_types *types;   /* the same for maps */
    const uint8_t *bytecode_sizes; /* layout.bytecode_count each for 1, 2 and 4 bytes; owned by
                                      the executable's elf_file; NULL: unknown */
};

static inline bool v8_is_smi(uint64_t word)
{
    return !(word & 0xffffffff);
}

static inline int32_t v8_smi(uint64_t word)
{
    return (int32_t)(word >> V8_SMI_SHIFT);
}

/* A tagged pointer to where user memory can be. */
static inline bool v8_is_object(uint64_t word)
{
    return (word & V8_TAG_MASK) == V8_HEAP_OBJECT_TAG && word < (uint64_t)1 << 47 && word > 4096;
}

static inline void v8_blocks_clear(struct v8_blocks *blocks)
{
    for (size_t i = 0; i < V8_BLOCKS; i++)
        blocks->addresses[i] = 0;
    blocks->next = 0;
}

/* Bytes at an address, by blocks where they are few; false if they can't be read. */
bool v8_read(struct v8_heap *heap, uint64_t address, void *into, size_t size);
/* One word at an address; false if it can't be read. */
bool v8_word(struct v8_heap *heap, uint64_t address, uint64_t *ret_word);
/* One field of an object given by its tagged pointer; false if that is none. */
bool v8_field(struct v8_heap *heap, uint64_t object, unsigned offset, uint64_t *ret_word);
/* The instance type of the object that a tagged pointer leads to; V8_NO_TYPE if it is none. */
uint16_t v8_type(struct v8_heap *heap, uint64_t object);
/* The same for a map (tagged) that objects would have. */
uint16_t v8_type_of_map(struct v8_heap *heap, uint64_t map);
/*
 * The length of a FixedArray (or a trusted or a weak one) and one of its elements; false if it is
 * none.
 */
bool v8_array_length(struct v8_heap *heap, uint64_t array, uint32_t *ret_length);
bool v8_array_item(struct v8_heap *heap, uint64_t array, uint32_t index, uint64_t *ret_word);

#endif
