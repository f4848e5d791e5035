/*
 * elf_file.h - one ELF file, opened safely and read by section.
 *
 * The file may belong to a hostile target: only regular files are opened, sections are handed
 * out as checked {data, size} views, and a file that is truncated while it is mapped gives
 * zero bytes instead of SIGBUS. libelf parses the headers and inflates
 * compressed sections. Knows nothing of processes or addresses at run time.
 */
#ifndef MEMPROF_SYMBOLIZE_ELF_FILE_H
#define MEMPROF_SYMBOLIZE_ELF_FILE_H

#include "core/alloc.h"
#include "core/error.h"

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_load { /* a PT_LOAD program header */
    uint64_t offset, vaddr, file_size, memory_size;
    bool executable;
};

struct elf_file {
    int fd;                 /* owned; -1 for an image in memory */
    Elf *elf;               /* owned */
    uint16_t machine, type; /* EM_X86_64, EM_AARCH64, …; ET_EXEC, ET_DYN */
    char build_id[65];      /* hexadecimal, "" when there is none */
    uint64_t size;
    const uint8_t *image; /* the whole file in memory, owned by elf; NULL when there is none */
    size_t image_size;
    void *mapping; /* owned: the mapping of the file; NULL for an image in memory */
    vec(struct elf_load) loads;
};

struct elf_section { /* a view; valid as long as the elf_file */
    const uint8_t *data;
    size_t size;
    uint64_t vaddr;
};

/*
 * Opens a 64-bit little-endian ELF. Takes over `fd` on success only. `name` is for messages.
 * ERROR_FORMAT for anything that is not such a file.
 */
int elf_file_open(int fd, const char *name, struct elf_file **ret_file, struct error *err);
/* The same for an image that lies in memory and outlives the elf_file (the vDSO, a fuzz input). */
int elf_file_open_memory(const void *image, size_t size, const char *name,
                         struct elf_file **ret_file, struct error *err);
void elf_file_free(struct elf_file *file);
/* Gives back the memory that the pages read so far take; they are read again when asked for. */
void elf_file_forget(struct elf_file *file);

/*
 * A section by name, inflated if it is compressed (".zdebug_x" stands for ".debug_x").
 * Returns false if there is none, or if it is SHT_NOBITS or lies outside the file.
 */
bool elf_file_section(struct elf_file *file, const char *name, struct elf_section *ret_section);

/*
 * Code at an ELF virtual address, a view as long as the elf_file; NULL unless one executable
 * PT_LOAD holds all of it.
 */
const uint8_t *elf_file_code(const struct elf_file *file, uint64_t address, size_t size);

/* The same for data as well as code, as it is in the file. */
const uint8_t *elf_file_data(const struct elf_file *file, uint64_t address, size_t size);

/* The ELF virtual address of a file offset, by the PT_LOADs; false when none covers it. */
bool elf_file_vaddr_of_offset(const struct elf_file *file, uint64_t offset, uint64_t *ret_vaddr);

/*
 * A regular file found by O_PATH, opened for reading; -1 and errno. Opening a device can already
 * act on it, so what it is comes first.
 */
int elf_reopen_regular(int found);
/* Opens path O_NONBLOCK|O_CLOEXEC|O_NOCTTY and only if it is a regular file; -1 and errno. */
int elf_open_regular(const char *path);

#endif
