/*
 * annotation_json.c - an annotated function for scripts.
 */
#include "output/annotation.h"

#include "core/limits.h"
#include "output/json.h"

#include <inttypes.h>

static void write_text(struct output_file *file, const struct annotation *annotation,
                       const char *key, string_id id)
{
    output_printf(file, "\"%s\":", key);
    json_write_string(file, annotation_string(annotation, id));
}

static void write_known(struct output_file *file, bool known, uint64_t value)
{
    if (known)
        output_unsigned(file, value);
    else
        output_text(file, "null");
}

/* The inlined calls of an instruction, innermost first. */
static void write_frames(struct output_file *file, const struct annotation *annotation,
                         uint32_t place)
{
    output_text(file, ",\"frames\":[");
    for (int level = 0; place && level < LIMIT_INLINE_DEPTH; level++) {
        const struct annotated_place *at = &annotation->places.items[place];
        output_text(file, level ? ",{" : "{");
        write_text(file, annotation, "function", at->function);
        output_text(file, ",");
        write_text(file, annotation, "file", at->file);
        output_printf(file, ",\"line\":%u}", at->line);
        place = at->caller;
    }
    output_text(file, "]");
}

static void write_instructions(struct output_file *file, const struct annotation *annotation,
                               const struct annotated_code *code)
{
    output_text(file, ",\"instructions\":[");
    for (uint32_t i = 0; i < code->count; i++) {
        const struct annotated_instruction *row = &annotation->instructions.items[code->first + i];
        output_printf(file, "%s{\"address\":%" PRIu64 ",\"size\":%u,\"ticks\":%" PRIu64 ",",
                      i ? ",\n" : "\n", row->address, row->size, row->ticks);
        write_text(file, annotation, "text", row->text);
        write_frames(file, annotation, row->place);
        output_text(file, "}");
    }
    output_text(file, "]");
}

static void write_code(struct output_file *file, const struct annotation *annotation)
{
    output_text(file, ",\n\"code\":[");
    for (size_t i = 0; i < annotation->code.count; i++) {
        const struct annotated_code *code = &annotation->code.items[i];
        output_text(file, i ? ",\n{" : "\n{");
        write_text(file, annotation, "function", code->function);
        output_text(file, ",");
        write_text(file, annotation, "module", code->module);
        output_text(file, ",");
        write_text(file, annotation, "build_id", code->build_id);
        output_printf(file,
                      ",\"inlined\":%s,\"address\":%" PRIu64 ",\"size\":%" PRIu64
                      ",\"ticks\":%" PRIu64 ",\"self\":%" PRIu64,
                      code->inlined ? "true" : "false", code->address, code->size, code->ticks,
                      code->self);
        write_instructions(file, annotation, code);
        output_text(file, "}");
    }
    output_text(file, "]");
}

static void write_lines(struct output_file *file, const struct annotation *annotation)
{
    output_text(file, ",\n\"lines\":[");
    for (size_t i = 0; i < annotation->lines.count; i++) {
        const struct annotated_line *line = &annotation->lines.items[i];
        const struct annotated_file *in = &annotation->files.items[line->file];
        output_text(file, i ? ",\n{" : "\n{");
        write_text(file, annotation, "file", in->path);
        output_printf(file, ",\"line\":%u,\"ticks\":%" PRIu64 ",\"total\":", line->line,
                      line->ticks);
        write_known(file, annotation->has_totals && (line->total || !line->ticks), line->total);
        output_text(file, ",\"source\":");
        if (in->readable)
            json_write_string(file, annotation_string(annotation, line->source));
        else
            output_text(file, "null");
        output_text(file, "}");
    }
    output_text(file, "]");
}

void annotation_json(struct output_file *file, const struct annotation *annotation,
                     const struct annotation_options *options)
{
    output_text(file, "{\"schema\":1,\"file\":");
    json_write_string(file, options->file_name);
    output_text(file, ",");
    write_text(file, annotation, "function", annotation->function);
    output_printf(file,
                  ",\n\"ticks\":%" PRIu64 ",\"self\":%" PRIu64 ",\"total_ticks\":%" PRIu64
                  ",\"with_calls\":",
                  annotation->ticks, annotation->self, annotation->total);
    write_known(file, annotation->has_totals, annotation->with_calls);
    output_text(file, ",\n\"notes\":[");
    for (size_t i = 0; i < annotation->notes.count; i++) {
        output_text(file, i ? "," : "");
        json_write_string(file, annotation_string(annotation, annotation->notes.items[i]));
    }
    output_text(file, "]");
    if (options->view != ANNOTATION_CODE)
        write_lines(file, annotation);
    if (options->view != ANNOTATION_SOURCE)
        write_code(file, annotation);
    output_text(file, "}\n");
}
