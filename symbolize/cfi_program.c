/*
 * cfi_program.c - entries of .eh_frame and .debug_frame, and their call-frame instructions.
 *
 * Entries are as in DWARF 5 §6.4.1 and LSB 5's "Exception Frames"; instructions as in §6.4.2
 * with GNU's and Arm's additions. The program is interpreted from the CIE's first instruction
 * at every miss of the unwinder's cache: FDEs are short (a few dozen bytes), so tables made in
 * advance would cost more than they save. Registers past ARCH_REGISTERS (vectors) are decoded
 * and dropped.
 */
#include "symbolize/cfi_program.h"

#include "core/limits.h"

#include <dwarf.h>

enum {
    AARCH64_NEGATE_RA_STATE_WITH_PC = 0x2c, /* newer than this elfutils' dwarf.h */
    POINTER_FORMAT = 0x0f,
    POINTER_BASE = 0x70
};

uint64_t cfi_read_unsigned(struct cfi_reader *reader, size_t bytes)
{
    uint64_t value = 0;
    const uint8_t *at = cfi_read_bytes(reader, bytes);
    if (at)
        memcpy(&value, at, bytes);
    return value;
}

static int64_t read_signed(struct cfi_reader *reader, size_t bytes)
{
    unsigned shift = 64 - 8 * (unsigned)bytes;
    return (int64_t)(cfi_read_unsigned(reader, bytes) << shift) >> shift;
}

uint64_t cfi_read_uleb(struct cfi_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; reader->at < reader->size; shift += 7) {
        uint8_t byte = reader->data[reader->at++];
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    reader->failed = true;
    return 0;
}

int64_t cfi_read_sleb(struct cfi_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; reader->at < reader->size;) {
        uint8_t byte = reader->data[reader->at++];
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (!(byte & 0x80)) {
            if (byte & 0x40 && shift < 64)
                value |= UINT64_MAX << shift;
            return (int64_t)value;
        }
    }
    reader->failed = true;
    return 0;
}

const uint8_t *cfi_read_bytes(struct cfi_reader *reader, uint64_t count)
{
    if (reader->failed || count > reader->size - reader->at) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->data + reader->at;
    reader->at += (size_t)count;
    return at;
}

uint64_t cfi_read_pointer(struct cfi_reader *reader, uint8_t encoding, uint64_t vaddr)
{
    uint64_t base = 0, value;
    switch (encoding & POINTER_BASE) {
    case DW_EH_PE_absptr:
        break;
    case DW_EH_PE_pcrel:
        base = vaddr + reader->at;
        break;
    default: /* textrel, datarel and funcrel do not occur in FDEs of ELF files */
        reader->failed = true;
        return 0;
    }
    switch (encoding & POINTER_FORMAT) {
    case DW_EH_PE_absptr:
    case DW_EH_PE_udata8:
    case DW_EH_PE_sdata8:
        value = cfi_read_unsigned(reader, 8);
        break;
    case DW_EH_PE_uleb128:
        value = cfi_read_uleb(reader);
        break;
    case DW_EH_PE_udata2:
        value = cfi_read_unsigned(reader, 2);
        break;
    case DW_EH_PE_udata4:
        value = cfi_read_unsigned(reader, 4);
        break;
    case DW_EH_PE_sleb128:
        value = (uint64_t)cfi_read_sleb(reader);
        break;
    case DW_EH_PE_sdata2:
        value = (uint64_t)read_signed(reader, 2);
        break;
    case DW_EH_PE_sdata4:
        value = (uint64_t)read_signed(reader, 4);
        break;
    default:
        reader->failed = true;
        return 0;
    }
    /* An indirect pointer would have to be read from the process. */
    if (encoding & DW_EH_PE_indirect)
        reader->failed = true;
    return value + base;
}

struct entry {
    size_t offset, end;
    size_t id_at; /* where the CIE id or pointer stands */
    uint64_t id;
    bool is_64;
};

/* False at the terminator and when the entry does not fit into the section. */
static bool entry_head(const struct cfi_section *section, size_t offset, struct entry *ret)
{
    struct cfi_reader reader = {section->data, section->size, offset, offset > section->size};
    uint64_t length = cfi_read_unsigned(&reader, 4);
    ret->is_64 = length == 0xffffffff;
    if (ret->is_64)
        length = cfi_read_unsigned(&reader, 8);
    size_t id_bytes = ret->is_64 && section->is_debug_frame ? 8 : 4;
    if (reader.failed || length < id_bytes || length > reader.size - reader.at)
        return false;
    ret->offset = offset;
    ret->end = reader.at + (size_t)length;
    ret->id_at = reader.at;
    ret->id = cfi_read_unsigned(&reader, id_bytes);
    return true;
}

static bool entry_is_cie(const struct cfi_section *section, const struct entry *entry)
{
    if (!section->is_debug_frame)
        return entry->id == 0;
    return entry->id == (entry->is_64 ? UINT64_MAX : 0xffffffff);
}

static bool cie_augmentation(struct cfi_reader *reader, const char *letters, uint64_t vaddr,
                             struct cfi_cie *cie)
{
    if (letters[0] != 'z')
        return letters[0] == '\0';
    cie->has_augmentation = true;
    uint64_t length = cfi_read_uleb(reader);
    if (reader->failed || length > reader->size - reader->at)
        return false;
    size_t end = reader->at + (size_t)length;
    /* What follows an unknown letter can't be told apart, but its length is known. */
    for (const char *letter = letters + 1; *letter && strchr("RLPSBG", *letter); letter++) {
        if (*letter == 'R')
            cie->encoding = (uint8_t)cfi_read_unsigned(reader, 1);
        else if (*letter == 'L')
            cfi_read_unsigned(reader, 1);
        else if (*letter == 'P')
            cfi_read_pointer(
                reader, (uint8_t)cfi_read_unsigned(reader, 1) & (uint8_t)~DW_EH_PE_indirect, vaddr);
        else if (*letter == 'S')
            cie->signal = true;
    }
    reader->at = end;
    return !reader->failed;
}

static bool cie_read(const struct cfi_section *section, size_t offset, struct cfi_cie *ret)
{
    struct entry entry;
    if (!entry_head(section, offset, &entry) || !entry_is_cie(section, &entry))
        return false;
    struct cfi_reader reader = {section->data, entry.end, entry.id_at, false};
    cfi_read_bytes(&reader, entry.is_64 && section->is_debug_frame ? 8 : 4);
    struct cfi_cie cie = {.offset = offset, .encoding = DW_EH_PE_absptr};
    uint64_t version = cfi_read_unsigned(&reader, 1);
    const char *letters = (const char *)reader.data + reader.at;
    size_t left = reader.size - reader.at;
    const uint8_t *nul =
        memchr(letters, 0, left < LIMIT_AUGMENTATION_BYTES ? left : LIMIT_AUGMENTATION_BYTES);
    if (reader.failed || (version != 1 && version != 3 && version != 4) || !nul)
        return false;
    reader.at = (size_t)(nul + 1 - reader.data);
    if (version == 4 && (cfi_read_unsigned(&reader, 1) != 8 || cfi_read_unsigned(&reader, 1) != 0))
        return false; /* address size and segment selector size */
    cie.code_alignment = cfi_read_uleb(&reader);
    cie.data_alignment = cfi_read_sleb(&reader);
    uint64_t column = version == 1 ? cfi_read_unsigned(&reader, 1) : cfi_read_uleb(&reader);
    if (reader.failed || column >= ARCH_REGISTERS ||
        !cie_augmentation(&reader, letters, section->vaddr, &cie))
        return false;
    cie.return_column = (uint8_t)column;
    cie.instructions = reader.data + reader.at;
    cie.instruction_bytes = reader.size - reader.at;
    *ret = cie;
    return true;
}

enum cfi_entry cfi_entry_read(const struct cfi_section *section, size_t *offset,
                              struct cfi_fde *ret)
{
    struct entry entry;
    if (!entry_head(section, *offset, &entry))
        return CFI_ENTRY_END;
    *offset = entry.end;
    if (entry_is_cie(section, &entry))
        return CFI_ENTRY_CIE;
    if (!section->is_debug_frame && entry.id > entry.id_at)
        return CFI_ENTRY_BAD;
    uint64_t cie = section->is_debug_frame ? entry.id : entry.id_at - entry.id;
    if (cie > section->size)
        return CFI_ENTRY_BAD;
    if ((!ret->cie.instructions || ret->cie.offset != cie) &&
        !cie_read(section, (size_t)cie, &ret->cie))
        return CFI_ENTRY_BAD;
    struct cfi_reader reader = {section->data, entry.end, entry.id_at, false};
    cfi_read_bytes(&reader, entry.is_64 && section->is_debug_frame ? 8 : 4);
    ret->start = cfi_read_pointer(&reader, ret->cie.encoding, section->vaddr);
    uint64_t size = cfi_read_pointer(&reader, ret->cie.encoding & POINTER_FORMAT, 0);
    if (ret->cie.has_augmentation)
        cfi_read_bytes(&reader, cfi_read_uleb(&reader));
    if (reader.failed || __builtin_add_overflow(ret->start, size, &ret->end))
        return CFI_ENTRY_BAD;
    ret->instructions = reader.data + reader.at;
    ret->instruction_bytes = reader.size - reader.at;
    return CFI_ENTRY_FDE;
}

/* The state of a program: one row, the CIE's row to restore from, and the saved rows. */
struct machine {
    const struct cfi_cie *cie;
    const struct arch *arch;
    uint64_t section_vaddr;
    const uint8_t *section_data;
    uint64_t location, target;
    uint32_t steps;
    uint32_t depth;
    struct cfi_row row, initial;
    struct cfi_row saved[LIMIT_CFI_STATES];
};

static void set_place(struct machine *machine, uint64_t number, enum cfi_place place,
                      int64_t offset)
{
    if (number < machine->arch->registers)
        machine->row.registers[number] = (struct cfi_value){.place = place, .offset = offset};
}

static void set_expression(struct machine *machine, uint64_t number, enum cfi_place place,
                           struct cfi_reader *reader)
{
    uint64_t length = cfi_read_uleb(reader);
    const uint8_t *expression = cfi_read_bytes(reader, length);
    if (expression && length <= UINT32_MAX && number < machine->arch->registers)
        machine->row.registers[number] = (struct cfi_value){
            .place = place, .length = (uint32_t)length, .expression = expression};
}

static void restore(struct machine *machine, uint64_t number)
{
    if (number < machine->arch->registers)
        machine->row.registers[number] = machine->initial.registers[number];
}

/* Factored offsets: a product that overflows is malformed. */
static int64_t factored(struct machine *machine, struct cfi_reader *reader, int64_t value)
{
    int64_t product;
    if (__builtin_mul_overflow(value, machine->cie->data_alignment, &product)) {
        reader->failed = true;
        return 0;
    }
    return product;
}

/* False once the row at the target is reached. */
static bool advance(struct machine *machine, uint64_t delta)
{
    uint64_t moved;
    if (__builtin_mul_overflow(delta, machine->cie->code_alignment, &moved) ||
        __builtin_add_overflow(machine->location, moved, &moved) || moved > machine->target)
        return false;
    machine->location = moved;
    return true;
}

static void set_cfa(struct machine *machine, struct cfi_reader *reader, uint64_t number,
                    int64_t offset)
{
    if (number >= machine->arch->registers) {
        reader->failed = true;
        return;
    }
    machine->row.cfa_is_expression = false;
    machine->row.cfa_register = (uint8_t)number;
    machine->row.cfa = (struct cfi_value){.place = PLACE_VALUE_OFFSET, .offset = offset};
}

static void set_cfa_expression(struct machine *machine, struct cfi_reader *reader)
{
    uint64_t length = cfi_read_uleb(reader);
    const uint8_t *expression = cfi_read_bytes(reader, length);
    if (!expression || length > UINT32_MAX)
        return;
    machine->row.cfa_is_expression = true;
    machine->row.cfa_register = 0;
    machine->row.cfa = (struct cfi_value){
        .place = PLACE_VALUE_EXPRESSION, .length = (uint32_t)length, .expression = expression};
}

static void run_cfa(struct machine *machine, struct cfi_reader *reader, uint8_t opcode)
{
    uint64_t number;
    switch (opcode) {
    case DW_CFA_def_cfa:
        number = cfi_read_uleb(reader);
        set_cfa(machine, reader, number, (int64_t)cfi_read_uleb(reader));
        return;
    case DW_CFA_def_cfa_sf:
        number = cfi_read_uleb(reader);
        set_cfa(machine, reader, number, factored(machine, reader, cfi_read_sleb(reader)));
        return;
    case DW_CFA_def_cfa_expression:
        set_cfa_expression(machine, reader);
        return;
    default:
        break;
    }
    /* The rest changes one half of a register rule. */
    if (machine->row.cfa_is_expression)
        reader->failed = true;
    else if (opcode == DW_CFA_def_cfa_register)
        set_cfa(machine, reader, cfi_read_uleb(reader), machine->row.cfa.offset);
    else if (opcode == DW_CFA_def_cfa_offset)
        machine->row.cfa.offset = (int64_t)cfi_read_uleb(reader);
    else
        machine->row.cfa.offset = factored(machine, reader, cfi_read_sleb(reader));
}

static void run_register(struct machine *machine, struct cfi_reader *reader, uint8_t opcode)
{
    uint64_t number = cfi_read_uleb(reader);
    switch (opcode) {
    case DW_CFA_offset_extended:
        set_place(machine, number, PLACE_OFFSET,
                  factored(machine, reader, (int64_t)cfi_read_uleb(reader)));
        break;
    case DW_CFA_offset_extended_sf:
        set_place(machine, number, PLACE_OFFSET, factored(machine, reader, cfi_read_sleb(reader)));
        break;
    case DW_CFA_GNU_negative_offset_extended:
        /* Unsigned negation: the smallest value stays what it is instead of overflowing. */
        set_place(machine, number, PLACE_OFFSET,
                  factored(machine, reader, (int64_t)-cfi_read_uleb(reader)));
        break;
    case DW_CFA_val_offset:
        set_place(machine, number, PLACE_VALUE_OFFSET,
                  factored(machine, reader, (int64_t)cfi_read_uleb(reader)));
        break;
    case DW_CFA_val_offset_sf:
        set_place(machine, number, PLACE_VALUE_OFFSET,
                  factored(machine, reader, cfi_read_sleb(reader)));
        break;
    case DW_CFA_register:
        set_place(machine, number, PLACE_REGISTER, (int64_t)cfi_read_uleb(reader));
        break;
    case DW_CFA_undefined:
        set_place(machine, number, PLACE_UNDEFINED, 0);
        break;
    case DW_CFA_same_value:
        set_place(machine, number, PLACE_SAME, 0);
        break;
    case DW_CFA_restore_extended:
        restore(machine, number);
        break;
    case DW_CFA_expression:
        set_expression(machine, number, PLACE_EXPRESSION, reader);
        break;
    case DW_CFA_val_expression:
        set_expression(machine, number, PLACE_VALUE_EXPRESSION, reader);
        break;
    default:
        reader->failed = true;
    }
}

static void run_state(struct machine *machine, struct cfi_reader *reader, uint8_t opcode)
{
    if (opcode == DW_CFA_remember_state) {
        if (machine->depth == LIMIT_CFI_STATES)
            reader->failed = true;
        else
            machine->saved[machine->depth++] = machine->row;
    } else if (!machine->depth) {
        reader->failed = true;
    } else {
        machine->row = machine->saved[--machine->depth];
    }
}

/* One instruction. False once the row is reached. */
static bool run_one(struct machine *machine, struct cfi_reader *reader)
{
    uint8_t opcode = (uint8_t)cfi_read_unsigned(reader, 1), low = opcode & 0x3f;
    switch (opcode & 0xc0) {
    case DW_CFA_advance_loc:
        return advance(machine, low);
    case DW_CFA_offset:
        set_place(machine, low, PLACE_OFFSET,
                  factored(machine, reader, (int64_t)cfi_read_uleb(reader)));
        return true;
    case DW_CFA_restore:
        restore(machine, low);
        return true;
    default:
        break;
    }
    switch (opcode) {
    case DW_CFA_nop:
    case AARCH64_NEGATE_RA_STATE_WITH_PC:
        return true;
    case DW_CFA_set_loc: {
        struct cfi_reader whole = {
            machine->section_data, (size_t)(reader->data - machine->section_data) + reader->size,
            (size_t)(reader->data - machine->section_data) + reader->at, false};
        machine->location =
            cfi_read_pointer(&whole, machine->cie->encoding, machine->section_vaddr);
        reader->failed |= whole.failed;
        reader->at = whole.at - (size_t)(reader->data - machine->section_data);
        return machine->location <= machine->target;
    }
    case DW_CFA_advance_loc1:
        return advance(machine, cfi_read_unsigned(reader, 1));
    case DW_CFA_advance_loc2:
        return advance(machine, cfi_read_unsigned(reader, 2));
    case DW_CFA_advance_loc4:
        return advance(machine, cfi_read_unsigned(reader, 4));
    case DW_CFA_remember_state:
    case DW_CFA_restore_state:
        run_state(machine, reader, opcode);
        return true;
    case DW_CFA_def_cfa:
    case DW_CFA_def_cfa_sf:
    case DW_CFA_def_cfa_register:
    case DW_CFA_def_cfa_offset:
    case DW_CFA_def_cfa_offset_sf:
    case DW_CFA_def_cfa_expression:
        run_cfa(machine, reader, opcode);
        return true;
    case DW_CFA_GNU_window_save:
        /* On arm64 the same number says that the return address is signed from here on;
           addresses are masked always, so there is nothing to remember. */
        reader->failed |= !machine->arch->ra_in_register;
        return true;
    case DW_CFA_GNU_args_size:
        cfi_read_uleb(reader);
        return true;
    default:
        run_register(machine, reader, opcode);
        return true;
    }
}

static bool run(struct machine *machine, const uint8_t *code, size_t bytes)
{
    struct cfi_reader reader = {code, bytes, 0, false};
    while (reader.at < reader.size) {
        if (machine->steps++ == LIMIT_CFI_INSTRUCTIONS || !run_one(machine, &reader))
            break;
        if (reader.failed)
            return false;
    }
    return !reader.failed && machine->steps <= LIMIT_CFI_INSTRUCTIONS;
}

bool cfi_program_run(const struct cfi_fde *fde, const struct cfi_section *section,
                     const struct arch *arch, uint64_t address, struct cfi_row *ret)
{
    struct machine machine;
    /* saved[] is large and written before it is read. */
    memset(&machine, 0, offsetof(struct machine, saved));
    machine.cie = &fde->cie;
    machine.arch = arch;
    machine.section_vaddr = section->vaddr;
    machine.section_data = section->data;
    machine.location = fde->start;
    machine.target = address;
    machine.row.signal = fde->cie.signal;
    machine.row.return_column = fde->cie.return_column;
    if (!run(&machine, fde->cie.instructions, fde->cie.instruction_bytes))
        return false;
    machine.initial = machine.row;
    if (!run(&machine, fde->instructions, fde->instruction_bytes))
        return false;
    *ret = machine.row;
    return machine.row.cfa.place != PLACE_DEFAULT;
}
