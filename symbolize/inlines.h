/*
 * inlines.h - the function at an address of a unit, and the calls inlined there.
 *
 * Function-lazy: a unit's functions are found by stepping over everything else, and only a
 * function that is asked for has its DIEs read. Knows nothing of line tables.
 */
#ifndef MEMPROF_SYMBOLIZE_INLINES_H
#define MEMPROF_SYMBOLIZE_INLINES_H

#include "core/limits.h"
#include "symbolize/dwarf_image.h"

/* One level of the stack at an address, by its DIE. */
struct inline_frame {
    struct dwarf_unit *unit; /* of `die`, which names the function; NULL: it can't be read */
    uint64_t die;
    uint64_t call_file, call_line; /* where it was inlined to; 0, 0 for the outermost one */
};

/* What DIEs say of a function. */
struct function_name {
    const char *name; /* NULL: nothing */
    bool mangled;
    uint32_t declared_line;
    uint64_t declared_file;         /* number, in the line table of: */
    struct dwarf_unit *declared_in; /* NULL: unknown */
};

/*
 * The frames at an address, innermost first; 0 if the unit has no function there. Of more than
 * LIMIT_INLINE_DEPTH the innermost ones and the last are kept.
 */
size_t inlines_find(struct dwarf_unit *unit, uint64_t address,
                    struct inline_frame ret_frames[LIMIT_INLINE_DEPTH]);
/* Frees what look-ups hung on the units of an image. */
void inlines_release(struct dwarf_image *image);

/* Follows abstract origins and specifications to the name of a function. */
struct function_name function_name_read(struct dwarf_unit *unit, uint64_t die);

#endif
