/*
 * mini_debug.h - MiniDebugInfo: the small ELF file that distributions pack into .gnu_debugdata.
 *
 * It holds a .symtab of the functions that .dynsym does not name, compressed by xz. The result
 * is bounded (LIMIT_DEBUGDATA_BYTES) whatever the stream claims.
 */
#ifndef MEMPROF_SYMBOLIZE_MINI_DEBUG_H
#define MEMPROF_SYMBOLIZE_MINI_DEBUG_H

#include "symbolize/elf_file.h"

/*
 * The file within `file`, or NULL if there is none or it is damaged. *ret_image holds its bytes;
 * the caller frees the file first, then the image.
 */
struct elf_file *mini_debug_open(struct elf_file *file, uint8_t **ret_image);

#endif
