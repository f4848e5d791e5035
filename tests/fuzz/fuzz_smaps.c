/*
 * fuzz_smaps.c - the parser of /proc/PID/smaps: whole and in pieces it must say the same.
 */
#include "core/memory.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct memory_breakdown whole = {0}, pieces = {0};
    int result = memory_breakdown_parse(text, size, &whole, NULL);

    struct memory_parser parser = {0};
    size_t piece = size ? 1 + data[0] % 61u : 1;
    int fed = 0;
    for (size_t at = 0; at < size && !fed; at += piece)
        fed = memory_parser_feed(&parser, text + at, size - at < piece ? size - at : piece, NULL);
    if (!fed)
        fed = memory_parser_finish(&parser, &pieces, NULL);
    if (fed != result || whole.heap != pieces.heap || whole.stacks != pieces.stacks ||
        whole.anonymous != pieces.anonymous || whole.shared != pieces.shared ||
        whole.swap != pieces.swap || whole.files.count != pieces.files.count)
        __builtin_trap();
    memory_parser_release(&parser);
    memory_breakdown_release(&whole);
    memory_breakdown_release(&pieces);
    return 0;
}
