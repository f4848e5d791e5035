/*
 * cfi_image.h - an ELF file in memory with given unwind sections, for tests and fuzzing.
 *
 * .eh_frame lies at CFI_EH_FRAME, .eh_frame_hdr at CFI_HDR; code, of which there may be none, at
 * CFI_TEXT.
 */
#ifndef MEMPROF_TESTS_CFI_IMAGE_H
#define MEMPROF_TESTS_CFI_IMAGE_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CFI_TEXT 0x10000
#define CFI_EH_FRAME 0x400000
#define CFI_HDR 0x800000

struct cfi_bytes {
    const uint8_t *data;
    size_t size;
};

/* The caller frees the image. Empty sections are left out. */
static inline uint8_t *cfi_image(uint16_t machine, struct cfi_bytes eh_frame, struct cfi_bytes hdr,
                                 struct cfi_bytes debug_frame, struct cfi_bytes text,
                                 size_t *ret_size)
{
    static const char names[] = "\0.eh_frame\0.eh_frame_hdr\0.debug_frame\0.shstrtab";
    const struct {
        uint32_t name;
        uint32_t type;
        uint64_t vaddr;
        struct cfi_bytes bytes;
    } sections[] = {
        {0, SHT_NULL, 0, {NULL, 0}},
        {1, SHT_PROGBITS, CFI_EH_FRAME, eh_frame},
        {11, SHT_PROGBITS, CFI_HDR, hdr},
        {25, SHT_PROGBITS, 0, debug_frame},
        {38, SHT_STRTAB, 0, {(const uint8_t *)names, sizeof names}},
    };
    enum { COUNT = sizeof sections / sizeof *sections };
    size_t at = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr) + COUNT * sizeof(Elf64_Shdr);
    size_t size = at + text.size;
    for (size_t i = 0; i < COUNT; i++)
        size += sections[i].bytes.size;
    uint8_t *image = calloc(1, size);
    Elf64_Ehdr head = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_DYN,
        .e_machine = machine,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof head,
        .e_shoff = sizeof head + sizeof(Elf64_Phdr),
        .e_ehsize = sizeof head,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = COUNT,
        .e_shstrndx = COUNT - 1,
    };
    Elf64_Phdr load = {
        .p_type = PT_LOAD,
        .p_flags = PF_R | PF_X,
        .p_offset = size - text.size,
        .p_vaddr = CFI_TEXT,
        .p_filesz = text.size,
        .p_memsz = 0x10000,
    };
    memcpy(image, &head, sizeof head);
    memcpy(image + sizeof head, &load, sizeof load);
    if (text.size)
        memcpy(image + load.p_offset, text.data, text.size);
    for (size_t i = 0; i < COUNT; i++) {
        bool present = i == COUNT - 1 || sections[i].bytes.size;
        Elf64_Shdr section = {
            .sh_name = present ? sections[i].name : 0,
            .sh_type = present ? sections[i].type : SHT_NULL,
            .sh_addr = sections[i].vaddr,
            .sh_offset = at,
            .sh_size = sections[i].bytes.size,
            .sh_addralign = 1,
        };
        memcpy(image + head.e_shoff + i * sizeof section, &section, sizeof section);
        if (sections[i].bytes.size)
            memcpy(image + at, sections[i].bytes.data, sections[i].bytes.size);
        at += sections[i].bytes.size;
    }
    *ret_size = size;
    return image;
}

#endif
