/*
 * The stubs are decoded, not counted: linkers order .plt.sec, .plt.got and .rela.plt as they
 * like, but the slot that a stub jumps through is written in its instructions. A sequence that
 * merely looks like a stub names a slot without a relocation, and is dropped.
 */
#include "symbolize/plt.h"

#include "core/limits.h"

#include <string.h>

struct slot {
    uint64_t address; /* of the GOT entry */
    uint32_t symbol;  /* in .dynsym */
};

typedef vec(struct slot) slot_vec;

struct stub {
    uint64_t start, slot;
    uint32_t size;
};

static int slot_compare(const void *left, const void *right)
{
    const struct slot *a = left, *b = right;
    return (a->address > b->address) - (a->address < b->address);
}

static void read_slots(struct elf_file *file, const char *section_name, slot_vec *slots)
{
    struct elf_section section;
    if (!elf_file_section(file, section_name, &section))
        return;
    for (size_t at = 0; section.size - at >= sizeof(Elf64_Rela); at += sizeof(Elf64_Rela)) {
        Elf64_Rela relocation;
        memcpy(&relocation, section.data + at, sizeof relocation);
        uint32_t type = (uint32_t)ELF64_R_TYPE(relocation.r_info);
        bool wanted = file->machine == EM_X86_64
                          ? type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT
                          : type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT;
        if (wanted && slots->count < LIMIT_SYMBOLS)
            *vec_push(slots) = (struct slot){.address = relocation.r_offset,
                                             .symbol = (uint32_t)ELF64_R_SYM(relocation.r_info)};
    }
}

static uint32_t read_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

/* [endbr64] [bnd] jmp *slot(%rip) */
static bool decode_x86_64(const struct elf_section *section, size_t at, struct stub *ret_stub)
{
    static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
    const uint8_t *code = section->data + at;
    size_t left = section->size - at, used = 0;
    if (left >= sizeof endbr && !memcmp(code, endbr, sizeof endbr))
        used = sizeof endbr;
    if (left > used && code[used] == 0xf2)
        used++;
    if (left < used + 6 || code[used] != 0xff || code[used + 1] != 0x25)
        return false;
    uint64_t start = section->vaddr + at;
    int32_t displacement = (int32_t)read_u32(code + used + 2);
    /* A short stub is jmp and a two-byte nop; a long one goes on with endbr's nop or a push. */
    bool is_short = left < 16 || (!used && code[6] == 0x66 && code[7] == 0x90);
    *ret_stub = (struct stub){.start = start,
                              .slot = start + used + 6 + (uint64_t)(int64_t)displacement,
                              .size = is_short ? 8 : 16};
    return true;
}

/* [bti c]; adrp x16, page; ldr x17, [x16, #offset]; add; br x17 */
static bool decode_arm64(const struct elf_section *section, size_t at, struct stub *ret_stub)
{
    const uint8_t *code = section->data + at;
    size_t left = section->size - at;
    if (left < 16)
        return false;
    uint32_t adrp = read_u32(code), ldr = read_u32(code + 4);
    if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211)
        return false;
    uint64_t pages = (uint64_t)(adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3);
    if (pages >> 20)
        pages |= ~(uint64_t)0x1fffff;
    uint64_t pc = section->vaddr + at;
    bool bti = at >= 4 && read_u32(code - 4) == 0xd503245f;
    *ret_stub = (struct stub){.start = pc - (bti ? 4 : 0),
                              .slot = (pc & ~(uint64_t)0xfff) + (pages << 12) +
                                      (uint64_t)(ldr >> 10 & 0xfff) * 8,
                              .size = bti ? 24 : 16};
    return true;
}

static void add_stub(struct plt_symbols *plt, const struct stub *stub, const char *name)
{
    static const char suffix[] = "@plt";
    size_t length = strlen(name), offset = plt->names.count;
    if (length > LIMIT_STRING_BYTES || offset > UINT32_MAX / 2)
        return;
    vec_reserve(&plt->names, offset + length + sizeof suffix);
    memcpy(plt->names.items + offset, name, length);
    memcpy(plt->names.items + offset + length, suffix, sizeof suffix);
    plt->names.count = offset + length + sizeof suffix;
    *vec_push(&plt->symbols) = (Elf64_Sym){
        .st_name = (uint32_t)offset,
        .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
        .st_shndx = SHN_ABS,
        .st_value = stub->start,
        .st_size = stub->size,
    };
}

/* The name of a .dynsym entry, or NULL. The strings end in a NUL. */
static const char *dynamic_name(const struct elf_section *symbols, const struct elf_section *names,
                                uint32_t index)
{
    Elf64_Sym symbol;
    if (index >= symbols->size / sizeof symbol)
        return NULL;
    memcpy(&symbol, symbols->data + (size_t)index * sizeof symbol, sizeof symbol);
    if (!symbol.st_name || symbol.st_name >= names->size)
        return NULL;
    return (const char *)names->data + symbol.st_name;
}

void plt_symbols_read(struct plt_symbols *plt, struct elf_file *file)
{
    static const char *const sections[] = {".plt", ".plt.sec", ".plt.got"};
    struct elf_section symbols, names, code;
    slot_vec slots = {0};
    bool arm64 = file->machine == EM_AARCH64;
    if ((!arm64 && file->machine != EM_X86_64) || !elf_file_section(file, ".dynsym", &symbols) ||
        !elf_file_section(file, ".dynstr", &names) || !names.size || names.data[names.size - 1])
        return;
    read_slots(file, ".rela.plt", &slots);
    if (elf_file_section(file, ".plt.got", &code))
        read_slots(file, ".rela.dyn", &slots);
    if (slots.count)
        qsort(slots.items, slots.count, sizeof *slots.items, slot_compare);
    if (!plt->names.count)
        vec_append(&plt->names, '\0');
    for (size_t i = 0; slots.count && i < sizeof sections / sizeof *sections; i++) {
        if (!elf_file_section(file, sections[i], &code))
            continue;
        for (size_t at = 0; at < code.size; at += arm64 ? 4 : 8) {
            struct stub stub;
            if (!(arm64 ? decode_arm64 : decode_x86_64)(&code, at, &stub))
                continue;
            const struct slot key = {.address = stub.slot};
            const struct slot *slot =
                bsearch(&key, slots.items, slots.count, sizeof key, slot_compare);
            const char *name = slot ? dynamic_name(&symbols, &names, slot->symbol) : NULL;
            if (name)
                add_stub(plt, &stub, name);
        }
    }
    vec_release(&slots);
}

void plt_symbols_release(struct plt_symbols *plt)
{
    vec_release(&plt->symbols);
    vec_release(&plt->names);
}
