/*
 * split.h - the other half of a unit compiled with -gsplit-dwarf: its .dwo file, or its part of
 * a .dwp package.
 */
#ifndef MEMPROF_SYMBOLIZE_SPLIT_H
#define MEMPROF_SYMBOLIZE_SPLIT_H

#include "symbolize/dwarf_image.h"

#include <sys/types.h>

struct split_image;

/* The .dwo files that one file's skeletons named. Zeroed and with `main` set it is ready. */
struct split_files {
    struct elf_file *main;
    pid_t pid; /* whose root the paths count from; 0: ours */
    struct elf_file *package;
    bool package_tried;
    vec(struct split_image *) images;
    struct hash_index by_path;
};

/* The unit that holds the DIEs: the split one of a skeleton where it is found, else itself. */
struct dwarf_unit *split_unit(struct split_files *files, struct dwarf_unit *unit);
void split_release(struct split_files *files);

#endif
