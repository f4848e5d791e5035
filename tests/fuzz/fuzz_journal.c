/*
 * fuzz_journal.c - a journal: whatever it says, what is read of it is a profile whose ids are all
 * in their tables, and whose samples can be walked.
 *
 * No mutation survives a checksum, so each block's is made right first, and the rest of the input
 * that is no whole block stays as it is. One input in sixteen is left alone: what is read of it is
 * no more than what the checksums allow.
 */
#include "core/alloc.h"
#include "core/journal.h"
#include "core/journal_block.h"

#include <string.h>
#include <sys/mman.h>

static void seal_blocks(uint8_t *data, size_t size)
{
    struct journal_head head = journal_head_now();
    if (size < sizeof head)
        return;
    memcpy(data, &head, sizeof head);
    for (size_t at = sizeof head; size - at >= BLOCK_FRAME_BYTES;) {
        uint32_t length;
        memcpy(&length, data + at, sizeof length);
        if (length > size - at - BLOCK_FRAME_BYTES)
            return;
        block_seal(data + at, data[at + BLOCK_HEAD_BYTES - 1], length);
        at += BLOCK_FRAME_BYTES + (size_t)length;
    }
}

static void must(bool holds)
{
    if (!holds)
        __builtin_trap();
}

static void check_tables(const struct profile *profile)
{
    for (size_t i = 0; i < profile->frames.count; i++) {
        const struct frame *frame = &profile->frames.items[i];
        must(frame->module < profile->modules.count && frame->kind < FRAME_KINDS &&
             frame->tier < CODE_TIERS);
        must(frame->function < profile->strings.count && frame->file < profile->strings.count);
    }
    for (size_t i = 1; i < profile->nodes.count; i++)
        must(profile->nodes.items[i].parent < i &&
             profile->nodes.items[i].frame < profile->frames.count);
    for (size_t i = 0; i < profile->metrics.count; i++)
        must(profile->metrics.items[i].self.count <= profile->nodes.count);
    for (size_t i = 0; i < profile->events.count; i++)
        must(profile->events.items[i].node < profile->nodes.count);
    for (size_t i = 0; i < profile->lines.count; i++)
        must(profile->lines.items[i].node < profile->nodes.count);
    for (size_t i = 0; i < profile->calls.count; i++)
        must(profile->calls.items[i].node < profile->nodes.count);
    must(profile->quality.v8 < profile->strings.count);
    for (size_t i = 1; i < profile->modules.count; i++)
        must(profile->modules.items[i].path < profile->strings.count &&
             profile->modules.items[i].build_id < profile->strings.count);
}

/* Through tables, as the symbolizer does: there an id out of its table is out of an array. */
static void walk_samples(const struct profile *profile)
{
    struct sequence view;
    struct sequence_map nodes = {xcalloc(profile->nodes.count, sizeof(uint32_t)),
                                 profile->nodes.count},
                        threads = {xcalloc(profile->threads.count + 1, sizeof(uint32_t)),
                                   profile->threads.count};
    sequence_view(&view, &profile->samples, nodes, threads);
    struct sequence_cursor cursor = sequence_begin(&view);
    uint64_t count = 0;
    for (struct sample sample; sequence_next(&cursor, &sample); count++)
        must(sample.node == 0 && sample.thread == 0);
    must(count <= profile->samples.count);
    sequence_release(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct profile *profile;
    struct journal_found found;
    struct error err;
    if (fd < 0)
        fd = memfd_create("journal", MFD_CLOEXEC);
    _cleanup_free_ uint8_t *copy = xmalloc(size + 1);
    if (size)
        memcpy(copy, data, size);
    if (size && data[size - 1] % 16)
        seal_blocks(copy, size);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, copy, size, 0) != (ssize_t)size ||
        journal_read(fd, "fuzz.part", &profile, &found, &err))
        return 0;
    must(found.read <= found.bytes && found.bytes == size);
    check_tables(profile);
    walk_samples(profile);
    profile_free(profile);
    return 0;
}
