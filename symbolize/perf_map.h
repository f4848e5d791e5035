/*
 * perf_map.h - the names of generated code from a runtime's /tmp/perf-PID.map.
 *
 * A line is "START SIZE NAME", numbers in hexadecimal (perf's jit-interface.txt). The file grows
 * while it is read, or is written anew; a later line stands for what replaced the code of an
 * earlier one at the same addresses. Knows nothing of where the file lies or whose it is.
 */
#ifndef MEMPROF_SYMBOLIZE_PERF_MAP_H
#define MEMPROF_SYMBOLIZE_PERF_MAP_H

#include "symbolize/code_layers.h"

#include <stddef.h>

struct perf_map;

/* Takes over `fd`, a regular file opened for reading. Reads nothing yet. */
struct perf_map *perf_map_new(int fd);
void perf_map_free(struct perf_map *map);
/* Reads what was added, or all again if the file was written anew; some 500 KB at a time. */
void perf_map_update(struct perf_map *map, struct code_news *ret_news);
/*
 * The name of the code at pc, valid until the next call; NULL if the map has none. Names longer
 * than LIMIT_SYMBOL_BYTES are cut.
 */
const char *perf_map_find(struct perf_map *map, uint64_t pc);

#endif
