/*
 * abridge.c - one pass from left to right over the demangled text, copying what stays.
 *
 * An argument is dropped only with the comma before it, so never the first one, and only with
 * its angle brackets balanced; `operator<` and its kin inside an argument make the brackets
 * look unbalanced and the argument then stays as it is.
 */
#include "symbolize/abridge.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool starts_with(const char *text, const char *start, size_t *ret_length)
{
    size_t length = strlen(start);
    if (strncmp(text, start, length) != 0)
        return false;
    *ret_length = length;
    return true;
}

/* Length of a balanced "<…>" at the start of text, 0 if there is none within LONGEST. */
static size_t balanced(const char *text)
{
    enum { LONGEST = 4096 };
    int depth = 0;
    for (size_t i = 0; i < LONGEST && text[i]; i++) {
        depth += text[i] == '<';
        depth -= text[i] == '>';
        if (!depth)
            return text[i] == '>' ? i + 1 : 0;
    }
    return 0;
}

/* Length of a default argument with the comma before it, 0 if none is here. */
static size_t default_argument(const char *text)
{
    static const char *const names[] = {", std::allocator", ", std::char_traits",
                                        ", std::default_delete"};
    size_t length;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!starts_with(text, names[i], &length))
            continue;
        size_t arguments = balanced(text + length);
        const char *behind = text + length + arguments;
        if (arguments && (*behind == '>' || *behind == ',' || !strncmp(behind, " >", 2)))
            return length + arguments;
    }
    return 0;
}

/* Length of what is left out wherever it stands. */
static size_t noise(const char *text)
{
    static const char *const words[] = {"__cxx11::", "[abi:cxx11]", "__1::"};
    size_t length;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (starts_with(text, words[i], &length))
            return length;
    return default_argument(text);
}

/*
 * Copies one character down, without the space that kept two closing brackets apart when the
 * first of them has gone.
 */
static void copy_one(char *name, size_t *from, size_t *to)
{
    if (name[*from] == ' ' && name[*from + 1] == '>' && *to && name[*to - 1] != '>')
        (*from)++;
    name[(*to)++] = name[(*from)++];
}

/* "std::basic_string<char>" to "std::string", and the same for its views and streams. */
static void shorten_char_templates(char *name, size_t length)
{
    static const char prefix[] = "std::basic_", arguments[] = "<char>";
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        size_t word = 0;
        if (!strncmp(name + i, prefix, sizeof prefix - 1)) {
            word = strspn(name + i + sizeof prefix - 1, "abcdefghijklmnopqrstuvwxyz_");
            const char *behind = name + i + sizeof prefix - 1 + word;
            if (!word || strncmp(behind, arguments, sizeof arguments - 1) != 0)
                word = 0;
        }
        if (!word) {
            copy_one(name, &i, &used);
            continue;
        }
        memmove(name + used, "std::", 5);
        memmove(name + used + 5, name + i + sizeof prefix - 1, word);
        used += 5 + word;
        i += sizeof prefix - 1 + word + sizeof arguments - 1;
    }
    name[used] = '\0';
}

void name_abridge(char *name)
{
    size_t used = 0;
    for (size_t i = 0; name[i];) {
        size_t skip = noise(name + i);
        if (skip)
            i += skip;
        else
            copy_one(name, &i, &used);
    }
    name[used] = '\0';
    shorten_char_templates(name, used);
}
