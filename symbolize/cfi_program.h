/*
 * cfi_program.h - one frame description entry, and its call-frame instructions run into a row.
 *
 * Shared by cfi.c (which finds entries), cfi_program.c (which runs them) and cfi_expression.c
 * (which steps by rows that are too rich for a struct rule). Knows nothing of how an entry is
 * found.
 */
#ifndef MEMPROF_SYMBOLIZE_CFI_PROGRAM_H
#define MEMPROF_SYMBOLIZE_CFI_PROGRAM_H

#include "symbolize/arch.h"
#include "symbolize/cfi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Reads a section front to back. After a read past the end everything reads as 0. */
struct cfi_reader {
    const uint8_t *data;
    size_t size, at;
    bool failed;
};

uint64_t cfi_read_unsigned(struct cfi_reader *reader, size_t bytes);
uint64_t cfi_read_uleb(struct cfi_reader *reader);
int64_t cfi_read_sleb(struct cfi_reader *reader);
/* A run of bytes; NULL if there are not that many. */
const uint8_t *cfi_read_bytes(struct cfi_reader *reader, uint64_t count);
/* A pointer in one of LSB's encodings; `vaddr` is the address of data[0]. */
uint64_t cfi_read_pointer(struct cfi_reader *reader, uint8_t encoding, uint64_t vaddr);

/* .eh_frame or .debug_frame: they differ in their CIE pointers. */
struct cfi_section {
    const uint8_t *data;
    size_t size;
    uint64_t vaddr;
    bool is_debug_frame;
};

struct cfi_cie {
    size_t offset; /* of the CIE in the section */
    uint64_t code_alignment;
    int64_t data_alignment;
    uint8_t return_column;
    uint8_t encoding; /* of pointers in the FDE */
    bool has_augmentation;
    bool signal;
    const uint8_t *instructions;
    size_t instruction_bytes;
};

struct cfi_fde {
    uint64_t start, end; /* addresses in the module */
    const uint8_t *instructions;
    size_t instruction_bytes;
    struct cfi_cie cie;
};

enum cfi_entry { CFI_ENTRY_END, CFI_ENTRY_CIE, CFI_ENTRY_FDE, CFI_ENTRY_BAD };

/*
 * Reads the entry at *offset and moves *offset behind it. Of a CIE only the position is noted.
 * ret->cie may hold the CIE of an earlier entry: it is read again only if it is another one.
 */
enum cfi_entry cfi_entry_read(const struct cfi_section *section, size_t *offset,
                              struct cfi_fde *ret);

enum cfi_place {
    PLACE_DEFAULT, /* no instruction named it */
    PLACE_UNDEFINED,
    PLACE_SAME,
    PLACE_OFFSET,       /* saved at CFA + offset */
    PLACE_VALUE_OFFSET, /* is CFA + offset */
    PLACE_REGISTER,     /* is in another register */
    PLACE_EXPRESSION,   /* saved at the expression's address */
    PLACE_VALUE_EXPRESSION
};

struct cfi_value {
    uint32_t place;  /* enum cfi_place */
    uint32_t length; /* of the expression */
    union {
        int64_t offset;
        uint64_t number;
        const uint8_t *expression;
    };
};

/* Zeroed before it is filled, so that equal rows are equal bytes. */
struct cfi_row {
    bool cfa_is_expression;
    bool signal;
    uint8_t return_column;
    uint8_t cfa_register;
    uint32_t unused;
    struct cfi_value cfa; /* offset or expression */
    struct cfi_value registers[ARCH_REGISTERS];
};

/* Runs an FDE up to an address, which lies in [start, end). False: malformed. */
bool cfi_program_run(const struct cfi_fde *fde, const struct cfi_section *section,
                     const struct arch *arch, uint64_t address, struct cfi_row *ret);

/* Steps one frame by a row, as cfi_step_expression does. */
bool cfi_row_step(const struct cfi_row *row, const struct arch *arch, struct registers *registers,
                  cfi_read_fn read, void *context);

#endif
