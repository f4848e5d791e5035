/*
 * naming.h - the names of an address in a module: its symbol, and DWARF's function, source
 * position and inlined calls, joined and made readable.
 *
 * Each module's tables are made on the first look-up and live as long as the module. Knows
 * nothing of profiles.
 */
#ifndef MEMPROF_SYMBOLIZE_NAMING_H
#define MEMPROF_SYMBOLIZE_NAMING_H

#include "core/limits.h"
#include "core/strings.h"
#include "symbolize/modules.h"
#include "symbolize/symbols.h"

/* Where names go, and which mangled ones were met already. */
struct naming {
    struct strings *names;   /* the caller's */
    struct strings mangled;  /* names that were demangled … */
    vec(string_id) readable; /* … and, by their id, what they became */
};

/* One function of those that an address belongs to. */
struct named_frame {
    string_id function; /* demangled; 0: no name */
    string_id file;     /* where it is defined, cleaned by naming_file; 0: unknown */
    uint32_t line;      /* of the definition, 0: unknown */
    /*
     * The source position of the address (innermost) or of the call into the next inner one, as
     * DWARF writes it; valid as long as the module. NULL, 0: unknown.
     */
    const char *at_file;
    uint32_t at_line;
};

void naming_init(struct naming *naming, struct strings *names);
void naming_release(struct naming *naming);

/*
 * The functions at an address of a module that is a file or the vDSO: [0] is the innermost
 * inlined one, the last one was really called. Returns their number, which is at least 1.
 */
size_t naming_find(struct naming *naming, struct module *module, uint64_t address,
                   struct named_frame ret_frames[LIMIT_INLINE_DEPTH]);
/*
 * The kernel's function at an address, 0 if unknown, and the kernel module that it is in, or NULL;
 * it lives as long as `kernel`.
 */
string_id naming_find_kernel(struct naming *naming, struct module *kernel, uint64_t address,
                             const char **ret_module);
/* The readable form of a linkage name. */
string_id naming_demangle(struct naming *naming, const char *mangled);
/* A path as DWARF writes it, without "." and "..". */
string_id naming_file(struct strings *names, const char *path);

/* The symbol that covers an address in a module; false when none does. */
bool module_symbol(struct module *module, uint64_t address, struct symbol *ret_symbol);
/*
 * For a caller that asks for some addresses of a module once, and in little memory: makes its
 * tables for these addresses alone, without lines and inlined calls of separate debug files, which
 * inflate to many times the memory of all the rest. Nothing is done if it has tables already.
 */
void module_prepare(struct module *module, const uint64_t *wanted, size_t count);
/* Gives back the pages of its files that were read, and with `last` its tables, too. */
void module_forget(struct module *module, bool last);
/* Frees a module's tables; called by modules_free. */
void symbolic_free(struct symbolic *symbolic);

#endif
