/*
 * modules.h - the files that a recording's code was mapped from, and each process's mappings.
 *
 * A module is opened when its mapping is first seen, because the file can vanish (upgrade,
 * container teardown, deletion): first /proc/PID/map_files, then /proc/PID/root/…, then the
 * plain path, checked against the inode that the kernel named. Modules are shared between
 * processes; a `space` is the sorted executable mappings of one process.
 *
 * An address *in a module* is an ELF virtual address for files, the offset in the image for
 * the vDSO, and the address itself for anonymous (JIT) memory and the kernel.
 */
#ifndef MEMPROF_SYMBOLIZE_MODULES_H
#define MEMPROF_SYMBOLIZE_MODULES_H

#include "symbolize/elf_file.h"

#include <sys/types.h>

enum module_kind {
    MODULE_FILE,
    MODULE_VDSO,
    MODULE_ANON, /* anonymous executable memory: JIT code */
    MODULE_KERNEL
};

enum module_v8 { MODULE_V8_UNTRIED, MODULE_V8_PRESENT, MODULE_V8_ABSENT };

struct profile;
struct cfi;      /* symbolize/cfi.h */
struct symbolic; /* symbolize/naming.h: symbols, lines and inlines of a module */

struct module {
    char *path; /* as the target sees it; "[vdso]", "[anon]", "[kernel]" */
    enum module_kind kind;
    uint32_t index;         /* in modules.items */
    uint64_t device, inode; /* of MODULE_FILE */
    pid_t pid;              /* the process it was first seen in; MODULE_ANON has no other */
    struct elf_file *elf;   /* NULL when it can't be read; then problem says why */
    char *problem;
    int jitdump_fd;  /* a file named jit-*.dump, of which a mapping tells; -1: it is none */
    struct cfi *cfi; /* unwind tables, made on first use */
    bool cfi_tried;
    enum module_v8 v8;         /* whether V8 is in it, see v8_module */
    struct symbolic *symbolic; /* made when the first address is named */
};

struct segment { /* one executable mapping */
    uint64_t start, end;
    uint64_t bias;        /* address in the module = pc - bias */
    uint64_t file_offset; /* of start */
    struct module *module;
};

struct space {
    pid_t pid;                    /* or a thread of it, once the main thread has ended */
    uint32_t generation;          /* unique over all spaces; changes whenever the mappings do */
    vec(struct segment) segments; /* sorted by start, not overlapping */
};

struct modules {
    vec(struct module *) items; /* [0] is the kernel */
    uint32_t generations;
    bool once; /* names are asked for in one pass: no table is kept for a later one */
};

/* One mapping, as PERF_RECORD_MMAP2 or a line of /proc/PID/maps tells it. */
struct mapping {
    uint64_t start, size, file_offset;
    uint64_t device; /* makedev(major, minor); 0 with inode 0 for anonymous memory */
    uint64_t inode;
    const char *path;
};

struct modules *modules_new(void);
void modules_free(struct modules *modules);
/* Its code was generated at run time: anonymous memory, or a memfd, as for code mapped twice. */
bool module_is_generated(const struct module *module);
/*
 * The modules of a stored profile, at the same positions as in its table (position 0 is the
 * kernel's here), so that symbolize_profile can name its raw frames. Files are opened by their
 * path; one that has another build-id than was recorded is left closed (elf NULL), and `problem`
 * tells both ids. Never fails.
 */
struct modules *modules_open_stored(const struct profile *profile);
/*
 * The same while the process still runs: its own files, also those that were deleted since, or
 * that have another name here, take the place of what was found by path.
 */
void modules_take_running(struct modules *modules, const struct profile *profile, pid_t pid);

void space_init(struct space *space, struct modules *modules, pid_t pid);
/* A forked child starts with its parent's mappings. */
void space_copy(struct space *space, struct modules *modules, const struct space *parent,
                pid_t pid);
void space_release(struct space *space);
/* exec: no mapping is left. */
void space_clear(struct space *space, struct modules *modules);
/* Adds an executable mapping, in place of whatever it overlaps; opens its file if it is new. */
void space_map(struct space *space, struct modules *modules, const struct mapping *mapping);
/* Reads the executable mappings of /proc/PID/maps. */
int space_read(struct space *space, struct modules *modules, struct error *err);
/* Parses the text of a maps file, as space_read does; lines it can't parse are passed over. */
void space_parse(struct space *space, struct modules *modules, const char *text, size_t length);
/* The segment that holds pc, or NULL. */
const struct segment *space_find(const struct space *space, uint64_t pc);

#endif
