/*
 * cfi.c - finding the entry for an address, and making its row a rule.
 *
 * .eh_frame_hdr is searched in place: node's has 92,000 entries and a recording asks for a few
 * hundred. Where it is missing, of another shape or empty, one scan of .eh_frame builds the
 * same table; .debug_frame, which has none, is scanned when .eh_frame does not cover an
 * address (Go keeps its frames only there). An entry is believed by its own range, never by
 * the table that led to it, so that a wrong table can only lose rules.
 *
 * An address at most PAST_END bytes behind an entry takes its last row: glibc closes the entry
 * of clone3 before the system call because the child's stack is another. Unless the entry is
 * followed by padding: then the address is in the next function, which has no CFI of its own
 * (the dynamic linker's _start).
 */
#include "symbolize/cfi.h"

#include "core/hash.h"
#include "core/limits.h"
#include "symbolize/cfi_program.h"

#include <dwarf.h>
#include <gelf.h>

enum {
    PAST_END = 15,
    FUNCTION_ALIGNMENT = 16,
    /* Version, three encodings, eh_frame_ptr and fde_count of 4 bytes each. */
    HDR_BYTES = 12,
    HDR_ENTRY_BYTES = 8,
    HDR_POINTER_SDATA4 = DW_EH_PE_datarel | DW_EH_PE_sdata4
};

struct index_entry {
    uint64_t start;
    size_t offset; /* of the FDE in its section */
};

struct table {
    struct cfi_section section;
    bool scanned;
    vec(struct index_entry) index; /* sorted by start */
};

struct cfi {
    struct elf_file *file;
    const struct arch *arch;
    struct table eh_frame, debug_frame;
    const uint8_t *hdr; /* the binary search table; NULL: use eh_frame.index */
    uint64_t hdr_vaddr;
    size_t hdr_count;
    vec(struct cfi_row) rows; /* of RULE_EXPRESSION, each once */
    struct hash_index rows_by_content;
};

static int32_t hdr_start(const struct cfi *cfi, size_t i)
{
    int32_t value;
    memcpy(&value, cfi->hdr + i * HDR_ENTRY_BYTES, sizeof value);
    return value;
}

/* .eh_frame_hdr and .eh_frame of a file without section headers. */
static bool sections_by_program_header(struct elf_file *file, struct elf_section *ret_hdr,
                                       struct elf_section *ret_frames)
{
    size_t count, image_size = file->image_size;
    const uint8_t *image = file->image;
    if (!image || elf_getphdrnum(file->elf, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr program;
        if (!gelf_getphdr(file->elf, (int)i, &program) || program.p_type != PT_GNU_EH_FRAME)
            continue;
        if (program.p_offset > image_size || program.p_filesz > image_size - program.p_offset ||
            program.p_filesz < HDR_BYTES)
            return false;
        *ret_hdr =
            (struct elf_section){image + program.p_offset, program.p_filesz, program.p_vaddr};
        int32_t distance;
        memcpy(&distance, ret_hdr->data + 4, sizeof distance);
        if (ret_hdr->data[1] != (DW_EH_PE_pcrel | DW_EH_PE_sdata4))
            return false;
        uint64_t vaddr = program.p_vaddr + 4 + (uint64_t)(int64_t)distance;
        /* Its size is not told: it ends at its terminator, at the latest with its segment. */
        for (size_t j = 0; j < file->loads.count; j++) {
            const struct elf_load *load = &file->loads.items[j];
            uint64_t into = vaddr - load->vaddr;
            if (vaddr >= load->vaddr && into < load->file_size && load->offset <= image_size &&
                load->file_size <= image_size - load->offset) {
                *ret_frames = (struct elf_section){image + load->offset + into,
                                                   load->file_size - into, vaddr};
                return true;
            }
        }
        return false;
    }
    return false;
}

static void hdr_use(struct cfi *cfi, const struct elf_section *hdr)
{
    uint32_t count;
    if (hdr->size < HDR_BYTES || hdr->data[0] != 1 || (hdr->data[1] & 0x0f) != DW_EH_PE_sdata4 ||
        hdr->data[2] != DW_EH_PE_udata4 || hdr->data[3] != HDR_POINTER_SDATA4)
        return;
    memcpy(&count, hdr->data + 8, sizeof count);
    if (!count || count > (hdr->size - HDR_BYTES) / HDR_ENTRY_BYTES)
        return;
    cfi->hdr = hdr->data + HDR_BYTES;
    cfi->hdr_vaddr = hdr->vaddr;
    cfi->hdr_count = count;
}

struct cfi *cfi_new(struct elf_file *file, const struct arch *arch)
{
    struct cfi *cfi = xcalloc(1, sizeof *cfi);
    struct elf_section frames, hdr = {0};
    cfi->file = file;
    cfi->arch = arch;
    bool found = elf_file_section(file, ".eh_frame", &frames);
    if (found)
        elf_file_section(file, ".eh_frame_hdr", &hdr);
    else
        found = sections_by_program_header(file, &hdr, &frames);
    if (found)
        cfi->eh_frame.section = (struct cfi_section){frames.data, frames.size, frames.vaddr, false};
    if (hdr.data)
        hdr_use(cfi, &hdr);
    return cfi;
}

void cfi_free(struct cfi *cfi)
{
    if (!cfi)
        return;
    vec_release(&cfi->eh_frame.index);
    vec_release(&cfi->debug_frame.index);
    vec_release(&cfi->rows);
    hash_release(&cfi->rows_by_content);
    free(cfi);
}

static int compare_index(const void *a, const void *b)
{
    const struct index_entry *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void table_scan(struct table *table)
{
    struct cfi_fde fde = {0};
    size_t offset = 0, at = 0;
    enum cfi_entry entry;
    table->scanned = true;
    while ((entry = cfi_entry_read(&table->section, &offset, &fde)) != CFI_ENTRY_END) {
        /* The linker leaves functions that it discarded at address 0. */
        if (entry == CFI_ENTRY_FDE && fde.start && fde.end > fde.start)
            vec_append(&table->index, ((struct index_entry){fde.start, at}));
        at = offset;
    }
    if (table->index.count)
        qsort(table->index.items, table->index.count, sizeof *table->index.items, compare_index);
}

/* The entry with the greatest start that is not above the address. */
static bool index_find(const struct table *table, uint64_t address, size_t *ret_offset)
{
    size_t low = 0, high = table->index.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->index.items[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return false;
    *ret_offset = table->index.items[low - 1].offset;
    return true;
}

static bool hdr_find(const struct cfi *cfi, uint64_t address, size_t *ret_offset)
{
    /* Table entries are relative to the header, sorted as signed numbers. */
    int64_t wanted = (int64_t)(address - cfi->hdr_vaddr);
    size_t low = 0, high = cfi->hdr_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (hdr_start(cfi, middle) <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return false;
    int32_t distance;
    memcpy(&distance, cfi->hdr + (low - 1) * HDR_ENTRY_BYTES + 4, sizeof distance);
    uint64_t vaddr = cfi->hdr_vaddr + (uint64_t)(int64_t)distance;
    if (vaddr - cfi->eh_frame.section.vaddr >= cfi->eh_frame.section.size)
        return false;
    *ret_offset = (size_t)(vaddr - cfi->eh_frame.section.vaddr);
    return true;
}

static bool fde_covers(const struct cfi_fde *fde, uint64_t address)
{
    return fde->end > fde->start && address >= fde->start &&
           (address < fde->end || address - fde->end <= PAST_END);
}

static bool eh_frame_find(struct cfi *cfi, uint64_t address, struct cfi_fde *ret)
{
    size_t offset;
    if (!cfi->eh_frame.section.size)
        return false;
    if (cfi->hdr) {
        if (!hdr_find(cfi, address, &offset))
            return false;
    } else {
        if (!cfi->eh_frame.scanned)
            table_scan(&cfi->eh_frame);
        if (!index_find(&cfi->eh_frame, address, &offset))
            return false;
    }
    return cfi_entry_read(&cfi->eh_frame.section, &offset, ret) == CFI_ENTRY_FDE &&
           fde_covers(ret, address);
}

static bool debug_frame_find(struct cfi *cfi, uint64_t address, struct cfi_fde *ret)
{
    struct table *table = &cfi->debug_frame;
    size_t offset;
    if (!table->scanned) {
        struct elf_section section;
        if (elf_file_section(cfi->file, ".debug_frame", &section))
            table->section = (struct cfi_section){section.data, section.size, section.vaddr, true};
        table_scan(table);
    }
    return index_find(table, address, &offset) &&
           cfi_entry_read(&table->section, &offset, ret) == CFI_ENTRY_FDE &&
           fde_covers(ret, address);
}

/* False if the register's place does not fit into a slot. */
static bool slot_of_value(const struct cfi_value *value, int16_t *ret)
{
    switch ((enum cfi_place)value->place) {
    case PLACE_DEFAULT:
    case PLACE_SAME:
        *ret = SLOT_SAME;
        return true;
    case PLACE_UNDEFINED:
        *ret = SLOT_UNDEFINED;
        return true;
    case PLACE_OFFSET:
        *ret = (int16_t)(value->offset / 8);
        return value->offset % 8 == 0 && value->offset / 8 > SLOT_UNDEFINED &&
               value->offset / 8 <= INT16_MAX;
    default:
        return false;
    }
}

static bool is_default(const struct cfi_value *value)
{
    return value->place == PLACE_DEFAULT || value->place == PLACE_SAME ||
           value->place == PLACE_UNDEFINED;
}

/* The short form of a row, if it has one. */
static bool rule_of_row(const struct cfi_row *row, const struct arch *arch, struct rule *ret)
{
    struct rule rule = {.kind = RULE_REGISTER, .signal = row->signal};
    if (row->return_column < arch->registers &&
        row->registers[row->return_column].place == PLACE_UNDEFINED) {
        *ret = (struct rule){.kind = RULE_END};
        return true;
    }
    if (row->signal && arch->sigcontext_always) {
        *ret = (struct rule){.kind = RULE_SIGCONTEXT, .signal = true};
        return true;
    }
    if (row->return_column != arch->ra || row->cfa_is_expression || row->cfa.offset < INT32_MIN ||
        row->cfa.offset > INT32_MAX)
        return false;
    rule.cfa_register = row->cfa_register;
    rule.cfa_offset = (int32_t)row->cfa.offset;
    uint64_t tracked = (uint64_t)1 << arch->sp;
    for (size_t i = 0; i < arch->slots; i++) {
        tracked |= (uint64_t)1 << arch->slot_register[i];
        if (!slot_of_value(&row->registers[arch->slot_register[i]], &rule.slot[i]))
            return false;
    }
    for (size_t i = arch->slots; i < ARCH_SLOTS; i++)
        rule.slot[i] = SLOT_SAME;
    /* Other registers are the caller's to save: where they lie is of no use once they are lost,
       except behind a signal frame, which restores them all. */
    for (uint8_t i = 0; i < arch->registers; i++)
        if (!(tracked >> i & 1) && row->signal && !is_default(&row->registers[i]))
            return false;
    const struct cfi_value *sp = &row->registers[arch->sp];
    if (sp->place != PLACE_DEFAULT && (sp->place != PLACE_VALUE_OFFSET || sp->offset))
        return false;
    *ret = rule;
    return true;
}

static uint64_t row_hash(const void *context, uint32_t id)
{
    const struct cfi *cfi = context;
    return hash_bytes(&cfi->rows.items[id], sizeof cfi->rows.items[id]);
}

static uint32_t row_intern(struct cfi *cfi, const struct cfi_row *row)
{
    uint64_t hash = hash_bytes(row, sizeof *row);
    struct hash_probe probe = hash_first(hash);
    for (uint32_t id; hash_next(&cfi->rows_by_content, &probe, &id);)
        if (!memcmp(&cfi->rows.items[id], row, sizeof *row))
            return id;
    uint32_t id = (uint32_t)cfi->rows.count;
    vec_append(&cfi->rows, *row);
    hash_insert(&cfi->rows_by_content, hash, id, row_hash, cfi);
    return id;
}

bool cfi_follows_call(const struct cfi *cfi, uint64_t address)
{
    const uint8_t *before = elf_file_code(cfi->file, address - ARCH_CALL_BYTES, ARCH_CALL_BYTES);
    return !before || arch_is_call(cfi->arch, before);
}

/*
 * A caller's address lies one byte before the restorer that it returns to; a tick within
 * rt_sigreturn stands behind its system call.
 */
static bool is_restorer(const struct cfi *cfi, uint64_t address)
{
    const struct arch *arch = cfi->arch;
    const uint8_t *code = elf_file_code(cfi->file, address + 1, arch->sigreturn_size);
    if (code && !memcmp(code, arch->sigreturn_code, arch->sigreturn_size))
        return true;
    code = elf_file_code(cfi->file, address - arch->sigreturn_size, arch->sigreturn_size);
    return code && !memcmp(code, arch->sigreturn_code, arch->sigreturn_size);
}

static struct rule rule_of_fde(struct cfi *cfi, const struct cfi_fde *fde,
                               const struct cfi_section *section, uint64_t address)
{
    struct rule rule = {.kind = RULE_NONE};
    struct cfi_row row;
    uint64_t at = address < fde->end ? address : fde->end - 1;
    if (!cfi_program_run(fde, section, cfi->arch, at, &row) || rule_of_row(&row, cfi->arch, &rule))
        return rule;
    if (cfi->rows.count >= LIMIT_CFI_ROWS)
        return rule;
    return (struct rule){
        .kind = RULE_EXPRESSION,
        .signal = row.signal,
        .cfa_offset = (int32_t)row_intern(cfi, &row),
    };
}

/* Padding fills the room from an entry's end to the function that holds the address. */
static bool is_next_function(const struct cfi *cfi, uint64_t end, uint64_t address)
{
    uint64_t boundary = (end + FUNCTION_ALIGNMENT - 1) & ~(uint64_t)(FUNCTION_ALIGNMENT - 1);
    const uint8_t *code = elf_file_code(cfi->file, end, 4);
    return code && boundary <= address && arch_is_padding(cfi->arch, code);
}

struct rule cfi_find(struct cfi *cfi, uint64_t address)
{
    struct cfi_fde fde = {0}, debug_fde = {0};
    bool found = eh_frame_find(cfi, address, &fde);
    if (found && address >= fde.end && is_next_function(cfi, fde.end, address))
        found = false;
    if (found && address < fde.end)
        return rule_of_fde(cfi, &fde, &cfi->eh_frame.section, address);
    /* musl's restorer has no CFI, and that which Go's has is an ordinary function's. */
    if (is_restorer(cfi, address))
        return (struct rule){.kind = RULE_SIGCONTEXT, .signal = true};
    if (debug_frame_find(cfi, address, &debug_fde) && (!found || address < debug_fde.end))
        return rule_of_fde(cfi, &debug_fde, &cfi->debug_frame.section, address);
    if (found)
        return rule_of_fde(cfi, &fde, &cfi->eh_frame.section, address);
    return (struct rule){.kind = RULE_NONE};
}

bool cfi_step_expression(const struct cfi *cfi, const struct rule *rule,
                         struct registers *registers, cfi_read_fn read, void *context)
{
    if (rule->kind != RULE_EXPRESSION || (uint32_t)rule->cfa_offset >= cfi->rows.count)
        return false;
    return cfi_row_step(&cfi->rows.items[rule->cfa_offset], cfi->arch, registers, read, context);
}
