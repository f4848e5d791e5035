/*
 * annotation_text.c - source lines and instructions with their ticks.
 *
 * Every row begins with ticks and share, as the report's do; the share is of the function's
 * ticks. An instruction belongs below the function's own line that it was made of, or that calls
 * what is inlined there; which inlined function that is stands behind it, or in the listing of
 * code above the first of its instructions.
 */
#include "output/annotation.h"

#include "core/bare_name.h"
#include "core/limits.h"
#include "output/escape.h"
#include "output/text.h"

#include <inttypes.h>
#include <string.h>

enum {
    TAB_COLUMNS = 8,
    /* Instructions shown around one with ticks: it may have waited for one before it. */
    CONTEXT_BEFORE = 2,
    CONTEXT_AFTER = 1,
    TEXT_COLUMNS = 44 /* of an instruction, before what is inlined there */
};

struct printing {
    struct output_file *file;
    const struct annotation *annotation;
    const struct annotation_options *options;
    const char *hot, *warm, *faint, *bold, *off;
};

static struct printing printing_start(struct output_file *file, const struct annotation *annotation,
                                      const struct annotation_options *options)
{
    struct printing printing = {file, annotation, options, "", "", "", "", ""};
    if (options->color) {
        printing.hot = "\033[31m";
        printing.warm = "\033[32m";
        printing.faint = "\033[2m";
        printing.bold = "\033[1m";
        printing.off = "\033[0m";
    }
    return printing;
}

static const char *text_of(const struct printing *p, string_id id)
{
    return annotation_string(p->annotation, id);
}

/* "  %5d  %5.1f%%  ", blank without ticks. */
static void write_counts(const struct printing *p, uint64_t ticks)
{
    double share = percent(ticks, p->annotation->ticks);
    const char *color = share >= 5 ? p->hot : share >= 0.5 ? p->warm : "";
    if (ticks)
        output_printf(p->file, "  %s%5" PRIu64 "  %5.1f%%%s  ", color, ticks, share,
                      *color ? p->off : "");
    else
        output_text(p->file, "                 ");
}

/* A line of source: its tabs become spaces, whatever else could steer a terminal is escaped. */
static void write_source(const struct printing *p, const char *source)
{
    vec(char) text = {0};
    for (size_t column = 0; *source; source++) {
        size_t width = *source == '\t' ? TAB_COLUMNS - column % TAB_COLUMNS : 1;
        vec_reserve(&text, text.count + width + 1);
        memset(text.items + text.count, *source == '\t' ? ' ' : *source, width);
        text.count += width;
        /* The continuation of a character takes no column. */
        column += (*source & 0xc0) == 0x80 ? 0 : width;
    }
    vec_append(&text, '\0');
    output_escaped(p->file, text.items);
    vec_release(&text);
}

static void write_position(const struct printing *p, string_id file, uint32_t line)
{
    if (!file)
        return;
    output_text(p->file, " ");
    output_escaped(p->file, base_name(text_of(p, file)));
    if (line)
        output_printf(p->file, ":%u", line);
}

static void write_place(const struct printing *p, const struct annotated_place *place)
{
    const char *name = text_of(p, place->function);
    _cleanup_free_ char *bare = xstrndup(name, bare_name_length(name));
    output_escaped(p->file, *bare ? bare : "(unknown)");
    write_position(p, place->file, place->line);
}

static void write_heading(const struct printing *p, const char *name)
{
    output_printf(p->file, "\n %s[", p->bold);
    output_escaped(p->file, name);
    output_printf(p->file, "]:%s\n", p->off);
}

/* --- the function --- */

/* Each file that the function's code is in. */
static void write_modules(const struct printing *p)
{
    const struct annotation *annotation = p->annotation;
    for (size_t i = 0; i < annotation->code.count; i++) {
        const struct annotated_code *code = &annotation->code.items[i];
        bool told = false;
        for (size_t j = 0; j < i; j++)
            told |= annotation->code.items[j].module == code->module &&
                    annotation->code.items[j].build_id == code->build_id;
        if (told)
            continue;
        output_text(p->file, "In ");
        output_escaped(p->file, text_of(p, code->module));
        if (code->build_id) {
            output_text(p->file, ", build-id ");
            output_escaped(p->file, text_of(p, code->build_id));
        }
        output_text(p->file, ".\n");
    }
}

static void write_header(const struct printing *p)
{
    const struct annotation *annotation = p->annotation;
    output_text(p->file, p->bold);
    output_escaped(p->file, text_of(p, annotation->function));
    output_text(p->file, p->off);
    output_printf(p->file, ": %" PRIu64 " ticks, %.1f%% of the %" PRIu64 " in ", annotation->ticks,
                  percent(annotation->ticks, annotation->total), annotation->total);
    output_escaped(p->file, p->options->file_name);
    if (annotation->self != annotation->ticks)
        output_printf(p->file, "; %" PRIu64 " of its own, the rest of what is inlined into it",
                      annotation->self);
    if (annotation->has_totals)
        output_printf(p->file, "; %" PRIu64 " with what it calls", annotation->with_calls);
    output_text(p->file, ".\n");
    write_modules(p);
    for (size_t i = 0; i < annotation->notes.count; i++) {
        output_text(p->file, "Note: ");
        output_escaped(p->file, text_of(p, annotation->notes.items[i]));
        output_text(p->file, ".\n");
    }
}

/* "[f in libx.so]: 12 ticks", of an inlined copy "[inlined into f in libx.so]: 12 ticks". */
static void write_code_heading(const struct printing *p, const struct annotated_code *code)
{
    output_printf(p->file, "\n %s[", p->bold);
    output_text(p->file, code->inlined ? "inlined into " : "");
    output_escaped(p->file, text_of(p, code->function));
    output_text(p->file, " in ");
    output_escaped(p->file, base_name(text_of(p, code->module)));
    output_printf(p->file, "]:%s %" PRIu64 " ticks\n", p->off, code->ticks);
}

/* --- instructions --- */

static void write_instruction(const struct printing *p, const struct annotated_instruction *row)
{
    write_counts(p, row->ticks);
    output_printf(p->file, "%10" PRIx64 ":  ", row->address);
    output_escaped(p->file, text_of(p, row->text));
}

/*
 * The places of an instruction that differ from those of the one before it, outermost first and
 * each deeper by one step.
 */
static void write_places(const struct printing *p, uint32_t place, uint32_t previous)
{
    const struct annotated_place *places = p->annotation->places.items;
    uint32_t levels[LIMIT_INLINE_DEPTH], before[LIMIT_INLINE_DEPTH];
    int count = 0, count_before = 0, same = 0;
    for (; place && count < LIMIT_INLINE_DEPTH; place = places[place].caller)
        levels[count++] = place;
    for (; previous && count_before < LIMIT_INLINE_DEPTH; previous = places[previous].caller)
        before[count_before++] = previous;
    while (same < count && same < count_before &&
           levels[count - 1 - same] == before[count_before - 1 - same])
        same++;
    /* Back in a caller: its line is told again. */
    if (same == count && same)
        same--;
    for (; same < count; same++) {
        const struct annotated_place *at = &places[levels[count - 1 - same]];
        if (!same && !at->file)
            continue;
        output_printf(p->file, "                %*s%s", same * 2, "", p->faint);
        /* The outermost one is the function that the heading names. */
        if (same)
            output_text(p->file, " ");
        if (same)
            write_place(p, at);
        else
            write_position(p, at->file, at->line);
        output_printf(p->file, "%s\n", p->off);
    }
}

static void write_code(const struct printing *p)
{
    const struct annotation *annotation = p->annotation;
    for (size_t i = 0; i < annotation->code.count; i++) {
        const struct annotated_code *code = &annotation->code.items[i];
        const struct annotated_instruction *rows = annotation->instructions.items + code->first;
        write_code_heading(p, code);
        output_text(p->file, "   ticks  share     address  instruction\n");
        for (uint32_t at = 0; at < code->count; at++) {
            bool gap = at && rows[at].address != rows[at - 1].address + rows[at - 1].size;
            if (gap)
                output_text(p->file, "                        ...\n");
            if (!at || gap || rows[at].place != rows[at - 1].place)
                write_places(p, rows[at].place, at && !gap ? rows[at - 1].place : 0);
            write_instruction(p, &rows[at]);
            output_text(p->file, "\n");
        }
    }
}

/* --- source lines --- */

/* The instructions of one line, by address, code by code. */
struct line_code {
    uint32_t *first; /* by line, one more than there are: into rows */
    uint32_t *rows;  /* instructions, grouped by line */
};

static void line_code_release(struct line_code *code)
{
    free(code->first);
    free(code->rows);
}

/* A counting sort by line. */
static struct line_code line_code_gather(const struct annotation *annotation)
{
    size_t lines = annotation->lines.count, count = annotation->instructions.count;
    const struct annotated_instruction *rows = annotation->instructions.items;
    struct line_code code = {.first = xcalloc(lines + 2, sizeof *code.first),
                             .rows = xcalloc(count + 1, sizeof *code.rows)};
    for (size_t i = 0; i < count; i++)
        if (rows[i].line != ANNOTATION_NO_LINE)
            code.first[rows[i].line + 2]++;
    for (size_t i = 2; i < lines + 2; i++)
        code.first[i] += code.first[i - 1];
    for (size_t i = 0; i < count; i++)
        if (rows[i].line != ANNOTATION_NO_LINE)
            code.rows[code.first[rows[i].line + 1]++] = (uint32_t)i;
    return code;
}

/* Whether the instruction at a position is near one with ticks. */
static bool is_near_ticks(const struct annotated_instruction *rows, const uint32_t *positions,
                          uint32_t count, uint32_t at)
{
    uint32_t first = at < CONTEXT_AFTER ? 0 : at - CONTEXT_AFTER;
    for (uint32_t i = first; i < count && i <= at + CONTEXT_BEFORE; i++)
        if (rows[positions[i]].ticks)
            return true;
    return false;
}

static void write_inlined(const struct printing *p, const struct annotated_instruction *row)
{
    const struct annotated_place *place = &p->annotation->places.items[row->place];
    if (!row->place || place->function == p->annotation->function)
        return;
    int length = (int)strlen(text_of(p, row->text));
    output_printf(p->file, "%*s%s; ", length < TEXT_COLUMNS ? TEXT_COLUMNS - length : 2, "",
                  p->faint);
    write_place(p, place);
    output_text(p->file, p->off);
}

static void write_line_code(const struct printing *p, const uint32_t *positions, uint32_t count)
{
    const struct annotated_instruction *rows = p->annotation->instructions.items;
    const struct annotated_instruction *previous = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct annotated_instruction *row = &rows[positions[i]];
        if (!is_near_ticks(rows, positions, count, i))
            continue;
        if (previous && row->address != previous->address + previous->size)
            output_text(p->file, "                        ...\n");
        write_instruction(p, row);
        write_inlined(p, row);
        output_text(p->file, "\n");
        previous = row;
    }
}

static void write_line(const struct printing *p, const struct annotated_line *line)
{
    write_counts(p, line->ticks);
    if (p->annotation->has_totals && line->total)
        output_printf(p->file, "%6" PRIu64 "  ", line->total);
    else if (p->annotation->has_totals)
        output_text(p->file, "        ");
    if (line->line)
        output_printf(p->file, "%6u  ", line->line);
    else
        output_text(p->file, "     -  ");
    if (!line->line)
        output_text(p->file, "(code without a line)");
    write_source(p, text_of(p, line->source));
    output_text(p->file, "\n");
}

static void write_lines(const struct printing *p, bool with_code)
{
    const struct annotation *annotation = p->annotation;
    _cleanup_(line_code_release) struct line_code code = line_code_gather(annotation);
    for (size_t i = 0; i < annotation->lines.count; i++) {
        const struct annotated_line *line = &annotation->lines.items[i];
        if (!i || line->file != line[-1].file) {
            write_heading(p, text_of(p, annotation->files.items[line->file].path));
            output_text(p->file, annotation->has_totals
                                     ? "    self  share   total    line  source\n"
                                     : "   ticks  share    line  source\n");
        }
        write_line(p, line);
        if (with_code && line->ticks)
            write_line_code(p, code.rows + code.first[i], code.first[i + 1] - code.first[i]);
    }
}

void annotation_text(struct output_file *file, const struct annotation *annotation,
                     const struct annotation_options *options)
{
    const struct printing p = printing_start(file, annotation, options);
    bool readable = false;
    for (size_t i = 0; i < annotation->files.count; i++)
        readable |= annotation->files.items[i].readable;
    bool code = options->view == ANNOTATION_CODE ||
                (options->view == ANNOTATION_MIXED && !readable && annotation->code.count);
    write_header(&p);
    if (code)
        write_code(&p);
    else
        write_lines(&p, options->view == ANNOTATION_MIXED);
}
