#include "symbolize/node_isolates.h"

enum {
    PLATFORM_NODE = 40, /* node::V8Platform: its NodePlatform */
    /* node::NodePlatform: its vtable, a mutex of 40 bytes, the table. */
    TABLE_BUCKETS = 56, /* how many */
    TABLE_FIRST = 64,
    TABLE_COUNT = 72,
    PLATFORM_BYTES = 80,
    BUCKETS_MAX = 1 << 16,
    /* A node of the table: next, isolate, the embedder's own delegate, Node.js's data. */
    NODE_ISOLATE = 1,
    NODE_DATA = 3,
    NODE_WORDS = 5,
    /* node::PerIsolatePlatformData: its queues, then the isolate and the loop. */
    DATA_WORDS = 24,
    DATA_FIRST = 4
};

static bool is_pointer(uint64_t address)
{
    return address > 4096 && address < (uint64_t)1 << 47 && !(address & 7);
}

/* The loop stands behind the isolate; where both stand differs by version. */
static uint64_t loop_behind(const uint64_t data[DATA_WORDS], uint64_t isolate)
{
    for (size_t i = DATA_FIRST; i + 1 < DATA_WORDS; i++)
        if (data[i] == isolate)
            return is_pointer(data[i + 1]) ? data[i + 1] : 0;
    return 0;
}

static bool is_main(const struct node_symbols *symbols, uint64_t loop)
{
    if (symbols->default_loop)
        return loop == symbols->default_loop;
    return loop >= symbols->data_start && loop < symbols->data_end;
}

size_t node_isolates_find(struct remote_memory *memory, const struct node_symbols *symbols,
                          struct node_isolate ret_isolates[LIMIT_ISOLATES])
{
    uint64_t platform, words[PLATFORM_BYTES / 8];
    size_t found = 0;
    if (!remote_read(memory, symbols->platform + PLATFORM_NODE, &platform, sizeof platform) ||
        !is_pointer(platform) || !remote_read(memory, platform, words, sizeof words) ||
        words[0] != symbols->node_platform_vtable || !words[0])
        return 0;
    uint64_t left = words[TABLE_COUNT / 8], at = words[TABLE_FIRST / 8];
    if (!words[TABLE_BUCKETS / 8] || words[TABLE_BUCKETS / 8] > BUCKETS_MAX)
        return 0;
    for (; left && found < LIMIT_ISOLATES && is_pointer(at); left--) {
        uint64_t node[NODE_WORDS], data[DATA_WORDS];
        if (!remote_read(memory, at, node, sizeof node))
            break;
        at = node[0];
        if (!is_pointer(node[NODE_ISOLATE]) || !is_pointer(node[NODE_DATA]) ||
            !remote_read(memory, node[NODE_DATA], data, sizeof data) ||
            data[0] != symbols->platform_data_vtable)
            continue;
        uint64_t loop = loop_behind(data, node[NODE_ISOLATE]);
        if (loop)
            ret_isolates[found++] =
                (struct node_isolate){node[NODE_ISOLATE], loop, is_main(symbols, loop)};
    }
    return found;
}
