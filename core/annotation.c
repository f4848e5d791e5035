#include "core/annotation.h"

struct annotation *annotation_new(void)
{
    struct annotation *annotation = xcalloc(1, sizeof *annotation);
    strings_intern(&annotation->strings, "");
    vec_push(&annotation->places);
    return annotation;
}

void annotation_free(struct annotation *annotation)
{
    if (!annotation)
        return;
    strings_release(&annotation->strings);
    vec_release(&annotation->places);
    vec_release(&annotation->instructions);
    vec_release(&annotation->code);
    vec_release(&annotation->lines);
    vec_release(&annotation->files);
    vec_release(&annotation->notes);
    free(annotation);
}
