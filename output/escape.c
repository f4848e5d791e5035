#include "output/escape.h"

#include "core/utf8.h"

static bool is_harmless(uint32_t character)
{
    if (character < 0x20 || (character >= 0x7f && character < 0xa0))
        return false;
    /* Separators, and marks that reorder what stands around them. */
    return !(character >= 0x2028 && character <= 0x202e) &&
           !(character >= 0x2066 && character <= 0x2069) && character != 0x200e &&
           character != 0x200f && character != 0x061c && character != 0xfeff;
}

void output_escaped(struct output_file *file, const char *text)
{
    const char *clean = text;
    for (const char *at = text; *at;) {
        uint32_t character = 0;
        size_t length = utf8_decode(at, &character);
        if (length && is_harmless(character)) {
            at += length;
            continue;
        }
        output_write(file, clean, (size_t)(at - clean));
        if (!length)
            output_printf(file, "\\x%02x", (unsigned char)*at);
        else if (character == '\n' || character == '\t')
            output_text(file, character == '\n' ? "\\n" : "\\t");
        else
            output_printf(file, character < 0x100 ? "\\x%02x" : "\\u{%x}", character);
        at += length ? length : 1;
        clean = at;
    }
    output_text(file, clean);
}
