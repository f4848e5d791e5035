/*
 * dwarf.h - source position and inlined frames of an address, from DWARF.
 *
 * Function-lazy (facts of the design): an address index over the units, then only the touched
 * unit's line program and only the touched function's DIEs. DWARF 2 to 5, split (.dwo, .dwp),
 * compressed and dwz-shared sections. Everything is read here, libdw is the tests' oracle only:
 * it would open the .dwo files that a hostile DIE names, of whatever kind, and reads no .dwp.
 */
#ifndef MEMPROF_SYMBOLIZE_DWARF_H
#define MEMPROF_SYMBOLIZE_DWARF_H

#include "core/limits.h"
#include "symbolize/elf_file.h"

#include <sys/types.h>

struct source_frame {
    const char *function;   /* linkage name if there is one, else the plain name; NULL: unknown */
    bool mangled;           /* function is a linkage name: demangle it */
    const char *file;       /* with its directory; NULL: unknown */
    uint32_t line;          /* of the address (innermost) or of the call into the next inner one */
    uint32_t declared_line; /* of the function's own declaration, 0 unknown */
    const char *declared_file; /* where; NULL: unknown */
};

struct dwarf;

/*
 * `debug` is the file that holds .debug_info (the module itself or its separate debug file);
 * `alt` the dwz file that it shares with others, or NULL; both outlive the result.
 * The .dwo files that it names are looked for in the root of `pid`, then in ours (0: in ours).
 * Returns NULL if there is no DWARF in it.
 */
struct dwarf *dwarf_new(struct elf_file *debug, struct elf_file *alt, pid_t pid);
void dwarf_free(struct dwarf *dwarf);
/*
 * The frames at an address in the module: [0] is the innermost inlined function, the last one
 * the function that was really called. Returns their number, 0 if DWARF has nothing on it.
 * Texts live as long as the dwarf.
 */
size_t dwarf_find(struct dwarf *dwarf, uint64_t address,
                  struct source_frame frames[LIMIT_INLINE_DEPTH]);

#endif
