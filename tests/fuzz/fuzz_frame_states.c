/*
 * fuzz_frame_states.c - code that a hostile target says V8 has compiled. The first byte moves the
 * address, so that jumps wrap around the end of the address space, too.
 */
#include "core/limits.h"
#include "symbolize/frame_states.h"

#include <elf.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    uint64_t address = (*data & 1 ? UINT64_MAX - 0x200 : 0x400000) + *data;
    struct frame_states *states = frame_states_new(EM_X86_64, data + 1, size - 1, address);
    if (!states)
        return 0;
    /* A depth is bounded, and a register exists; outside the code nothing is known. */
    for (size_t offset = 0; offset <= size; offset++) {
        uint32_t where;
        enum leaf_frame leaf = frame_states_find(states, address + offset, &where);
        if (leaf > LEAF_BURIED || (leaf == LEAF_HELD && where > 15) || where > 1 << 20 ||
            (leaf != LEAF_BARE && leaf != LEAF_HELD && where) ||
            (offset + 1 >= size && leaf != LEAF_UNKNOWN))
            __builtin_trap();
    }
    frame_states_free(states);
    return 0;
}
