/*
 * units.h - which compilation unit an address belongs to.
 */
#ifndef MEMPROF_SYMBOLIZE_UNITS_H
#define MEMPROF_SYMBOLIZE_UNITS_H

#include "symbolize/dwarf_image.h"

/* Fills *map with the code of all units of the image; values are positions in image->units. */
void units_index(struct dwarf_image *image, struct range_map *map);

#endif
