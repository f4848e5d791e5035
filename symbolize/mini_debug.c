/*
 * One pass of liblzma's stream decoder into a buffer that doubles up to the bound. The size
 * that the xz index gives is not asked first: it is as little to be trusted as the rest.
 */
#include "symbolize/mini_debug.h"

#include "core/limits.h"

#include <lzma.h>

enum { DECODER_MEMORY = 128 << 20, FIRST_BUFFER = 256 << 10 };

/* Runs the decoder to the end of its input; returns the bytes written, or 0 if it failed. */
static size_t inflate_all(lzma_stream *stream, uint8_t **buffer)
{
    size_t capacity = FIRST_BUFFER, used = 0;
    for (;;) {
        *buffer = xrealloc(*buffer, capacity);
        stream->next_out = *buffer + used;
        stream->avail_out = capacity - used;
        lzma_ret status = lzma_code(stream, LZMA_FINISH);
        used = capacity - stream->avail_out;
        if (status == LZMA_STREAM_END)
            return used;
        if (status != LZMA_OK || stream->avail_out || capacity >= LIMIT_DEBUGDATA_BYTES)
            return 0;
        capacity *= 2;
    }
}

struct elf_file *mini_debug_open(struct elf_file *file, uint8_t **ret_image)
{
    struct elf_section packed;
    _cleanup_free_ uint8_t *image = NULL;
    lzma_stream stream = LZMA_STREAM_INIT;
    if (!elf_file_section(file, ".gnu_debugdata", &packed) || !packed.size)
        return NULL;
    if (lzma_stream_decoder(&stream, DECODER_MEMORY, 0) != LZMA_OK)
        return NULL;
    stream.next_in = packed.data;
    stream.avail_in = packed.size;
    size_t size = inflate_all(&stream, &image);
    lzma_end(&stream);

    struct elf_file *inner;
    if (!size || elf_file_open_memory(image, size, ".gnu_debugdata", &inner, NULL))
        return NULL;
    *ret_image = steal(&image);
    return inner;
}
