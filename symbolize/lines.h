/*
 * lines.h - line tables: from an address to file and line, and from a file's number to its path.
 *
 * One table for each offset of .debug_line that a unit names. The header is read when the
 * table is made, the program is run on the first look-up of an address. DWARF 2 to 5.
 */
#ifndef MEMPROF_SYMBOLIZE_LINES_H
#define MEMPROF_SYMBOLIZE_LINES_H

#include "symbolize/dwarf_image.h"

/* The table of a unit (of its skeleton, if it is split), or NULL. It belongs to the image. */
struct line_table *lines_get(struct dwarf_unit *unit);
/* Frees the tables of an image. */
void lines_release(struct dwarf_image *image);

/* The path of a file by its number in DIEs and rows; NULL if there is none. */
const char *lines_file(struct line_table *table, uint64_t number);
/* The position of an address; false if no row covers it. */
bool lines_find(struct line_table *table, uint64_t address, const char **ret_file,
                uint32_t *ret_line);

#endif
