#include "core/journal_block.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static const char magic[8] = {'M', 'P', 'J', 'O', 'U', 'R', 'N', 'L'};

_Static_assert(sizeof(struct journal_head) == JOURNAL_HEAD_BYTES, "the head is written as it is");

struct journal_head journal_head_now(void)
{
    struct journal_head head = {.version = JOURNAL_VERSION, .writer = (uint32_t)getpid()};
    memcpy(head.magic, magic, sizeof magic);
    return head;
}

bool journal_head_is(const struct journal_head *head)
{
    return !memcmp(head->magic, magic, sizeof magic);
}

static uint32_t sum_of(const uint8_t *bytes, uint32_t length)
{
    return (uint32_t)crc32_z(0, bytes, BLOCK_HEAD_BYTES + (size_t)length);
}

void block_seal(uint8_t *buffer, enum block_type type, uint32_t length)
{
    memcpy(buffer, &length, sizeof length);
    buffer[sizeof length] = (uint8_t)type;
    uint32_t sum = sum_of(buffer, length);
    memcpy(buffer + BLOCK_HEAD_BYTES + length, &sum, sizeof sum);
}

bool block_is_sound(const uint8_t *bytes, uint32_t length)
{
    uint32_t sum;
    memcpy(&sum, bytes + BLOCK_HEAD_BYTES + length, sizeof sum);
    return sum == sum_of(bytes, length);
}

bool read_at(int fd, uint64_t offset, void *bytes, size_t length)
{
    uint8_t *into = bytes;
    while (length) {
        ssize_t got = pread(fd, into, length, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        into += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return true;
}

bool block_step(int fd, uint64_t *at, uint64_t end, struct block *ret_block)
{
    uint8_t head[BLOCK_HEAD_BYTES];
    struct block block;
    if (end < *at || end - *at < BLOCK_FRAME_BYTES || !read_at(fd, *at, head, sizeof head))
        return false;
    memcpy(&block.length, head, sizeof block.length);
    block.type = head[sizeof block.length];
    if (end - *at - BLOCK_FRAME_BYTES < block.length)
        return false;
    block.at = *at + BLOCK_HEAD_BYTES;
    *at += BLOCK_FRAME_BYTES + (uint64_t)block.length;
    *ret_block = block;
    return true;
}
