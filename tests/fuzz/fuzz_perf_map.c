/*
 * fuzz_perf_map.c - a perf map that grows once: each address has the name of the last whole line
 * that covers it, as a plain loop over the lines finds it; and the names are parsed.
 */
#include "symbolize/perf_map.h"

#include "core/limits.h"
#include "symbolize/code_name.h"

#include <ctype.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { INPUT_MAX = 1 << 12 }; /* the plain loop is quadratic */

static bool take_number(const char **at, const char *end, uint64_t *ret_number)
{
    const char *next = *at;
    if (end - next > 2 && next[0] == '0' && tolower(next[1]) == 'x')
        next += 2;
    char digits[17];
    size_t count = 0;
    for (; next < end && isxdigit((unsigned char)*next) && count < 17; next++)
        if (count++ < 16)
            digits[count - 1] = *next;
    if (!count || count > 16 || next == end || *next != ' ')
        return false;
    digits[count] = '\0';
    *ret_number = strtoull(digits, NULL, 16);
    *at = next + 1;
    return true;
}

/* The name of the last line that covers pc. */
static const char *find_plainly(const char *text, size_t length, uint64_t pc, size_t *ret_length)
{
    const char *found = NULL, *end = text + length, *newline;
    for (; (newline = memchr(text, '\n', (size_t)(end - text))); text = newline + 1) {
        uint64_t start, size;
        const char *at = text;
        if (take_number(&at, newline, &start) && take_number(&at, newline, &size) && at < newline &&
            size <= LIMIT_GENERATED_BYTES && start + size >= start && pc >= start && pc - start < size) {
            found = at;
            *ret_length = strnlen(at, (size_t)(newline - at));
        }
        if (newline + 1 == end)
            break;
    }
    return found;
}

static void check_address(struct perf_map *map, const char *text, size_t length, uint64_t pc)
{
    struct code_name parts;
    size_t expected_length = 0;
    const char *expected = find_plainly(text, length, pc, &expected_length);
    const char *found = perf_map_find(map, pc);
    if (!found != !expected ||
        (found && (strlen(found) != expected_length || memcmp(found, expected, expected_length))))
        __builtin_trap();
    if (!found)
        return;
    code_name_parse(found, &parts);
    if (parts.function < found ||
        parts.function + parts.function_length > found + expected_length ||
        (parts.file_length && parts.file + parts.file_length > found + expected_length))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct code_news news;
    if (size > INPUT_MAX)
        return 0;
    const char *text = (const char *)data, *end = text + size;
    int fd = memfd_create("perf.map", MFD_CLOEXEC);
    struct perf_map *map = perf_map_new(dup(fd));
    if (write(fd, data, size / 2) != (ssize_t)(size / 2))
        __builtin_trap();
    perf_map_update(map, &news);
    if (write(fd, data + size / 2, size - size / 2) != (ssize_t)(size - size / 2))
        __builtin_trap();
    perf_map_update(map, &news);
    for (const char *line = text; line < end;) {
        uint64_t start, length;
        const char *at = line;
        if (take_number(&at, end, &start)) {
            check_address(map, text, size, start);
            check_address(map, text, size, start - 1);
            if (take_number(&at, end, &length)) {
                check_address(map, text, size, start + length / 2);
                check_address(map, text, size, start + length - 1);
                check_address(map, text, size, start + length);
            }
        }
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        line = newline ? newline + 1 : end;
    }
    perf_map_free(map);
    close(fd);
    return 0;
}
