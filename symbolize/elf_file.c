/*
 * elf_file.c - libelf behind a narrow, checked interface.
 *
 * Files are mapped: a recording of node touches a few MB of its 90. The mapping is ours and not
 * libelf's, so that it is known which memory can be given back; it is private and writable,
 * because libelf changes section headers in place. Whoever truncates a file meanwhile gets zeros
 * read (core/bus_guard.h). Not defended: whoever rewrites one while its names are read can make
 * memprof read past the end of a string.
 */
#include "symbolize/elf_file.h"

#include "core/bus_guard.h"
#include "core/limits.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int elf_reopen_regular(int found)
{
    struct stat status;
    char link[32];
    if (fstat(found, &status))
        return -1;
    if (!S_ISREG(status.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", found);
    return open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

int elf_open_regular(const char *path)
{
    _cleanup_close_ int found = open(path, O_PATH | O_CLOEXEC);
    return found < 0 ? -1 : elf_reopen_regular(found);
}

static int read_headers(struct elf_file *file, const char *name, struct error *err)
{
    GElf_Ehdr header;
    size_t count;
    if (elf_kind(file->elf) != ELF_K_ELF || !gelf_getehdr(file->elf, &header))
        return error_set(err, ERROR_FORMAT, "%s: not an ELF file", name);
    if (gelf_getclass(file->elf) != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
        return error_set(err, ERROR_UNSUPPORTED, "%s: not a 64-bit little-endian ELF file", name);
    if (elf_getphdrnum(file->elf, &count) || count > LIMIT_ELF_SECTIONS)
        return error_set(err, ERROR_FORMAT, "%s: malformed program headers", name);
    file->machine = header.e_machine;
    file->type = header.e_type;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr program;
        if (!gelf_getphdr(file->elf, (int)i, &program))
            return error_set(err, ERROR_FORMAT, "%s: malformed program headers", name);
        if (program.p_type == PT_LOAD)
            *vec_push(&file->loads) = (struct elf_load){
                .offset = program.p_offset,
                .vaddr = program.p_vaddr,
                .file_size = program.p_filesz,
                .memory_size = program.p_memsz,
                .executable = program.p_flags & PF_X,
            };
    }
    return 0;
}

/* Notes in the layout of ELF-64: name size, description size, type, both padded to 4. */
static bool build_id_of_notes(const uint8_t *at, size_t size, char ret_id[65])
{
    while (size >= 12) {
        uint32_t words[3];
        memcpy(words, at, sizeof words);
        size_t name_end = 12 + (((size_t)words[0] + 3) & ~(size_t)3);
        size_t end = name_end + (((size_t)words[1] + 3) & ~(size_t)3);
        if (end > size)
            return false;
        if (words[2] == NT_GNU_BUILD_ID && words[0] == 4 && !memcmp(at + 12, "GNU", 4) &&
            words[1] <= 32) {
            for (uint32_t i = 0; i < words[1]; i++)
                snprintf(ret_id + (size_t)2 * i, 3, "%02x", at[name_end + i]);
            return words[1] > 0;
        }
        at += end;
        size -= end;
    }
    return false;
}

/* By PT_NOTE, so that a file without section headers has its id too. */
static void read_build_id(struct elf_file *file)
{
    size_t count;
    if (!file->image || elf_getphdrnum(file->elf, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr program;
        if (gelf_getphdr(file->elf, (int)i, &program) && program.p_type == PT_NOTE &&
            program.p_offset <= file->image_size &&
            program.p_filesz <= file->image_size - program.p_offset &&
            build_id_of_notes(file->image + program.p_offset, program.p_filesz, file->build_id))
            return;
    }
    /* A separate debug file keeps the section, but its PT_NOTE may point at nothing. */
    struct elf_section notes;
    if (elf_file_section(file, ".note.gnu.build-id", &notes))
        build_id_of_notes(notes.data, notes.size, file->build_id);
}

static int open_elf(struct elf_file *file, const char *name, struct elf_file **ret_file,
                    struct error *err)
{
    if (!file->elf)
        return error_set(err, ERROR_FORMAT, "%s: not an ELF file: %s", name, elf_errmsg(-1));
    if (read_headers(file, name, err))
        return -1;
    file->image = (const uint8_t *)elf_rawfile(file->elf, &file->image_size);
    read_build_id(file);
    *ret_file = file;
    return 0;
}

int elf_file_open(int fd, const char *name, struct elf_file **ret_file, struct error *err)
{
    bus_guard_install();
    elf_version(EV_CURRENT);
    struct stat status;
    if (fstat(fd, &status))
        return error_set_errno(err, "%s", name);
    if ((uint64_t)status.st_size > LIMIT_ELF_BYTES)
        return error_set(err, ERROR_LIMIT, "%s: larger than any ELF file read here", name);
    struct elf_file *file = xcalloc(1, sizeof *file);
    file->fd = -1;
    file->size = (uint64_t)status.st_size;
    void *image = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    if (image != MAP_FAILED)
        file->mapping = image;
    file->elf = file->mapping ? elf_memory(file->mapping, (size_t)status.st_size)
                              : elf_begin(fd, ELF_C_READ, NULL);
    if (open_elf(file, name, ret_file, err)) {
        elf_file_free(file);
        return -1;
    }
    file->fd = fd;
    return 0;
}

int elf_file_open_memory(const void *image, size_t size, const char *name,
                         struct elf_file **ret_file, struct error *err)
{
    elf_version(EV_CURRENT);
    struct elf_file *file = xcalloc(1, sizeof *file);
    file->fd = -1;
    file->size = size;
    /* libelf's parameter is not const, but ELF_C_READ never writes through it. */
    file->elf = elf_memory((char *)(uintptr_t)image, size);
    if (open_elf(file, name, ret_file, err)) {
        elf_file_free(file);
        return -1;
    }
    return 0;
}

void elf_file_free(struct elf_file *file)
{
    if (!file)
        return;
    elf_end(file->elf);
    if (file->mapping)
        munmap(file->mapping, file->size);
    if (file->fd >= 0)
        close(file->fd);
    vec_release(&file->loads);
    free(file);
}

static void forget_range(const struct elf_file *file, uint64_t start, uint64_t end)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    start = (start + page - 1) & ~(page - 1);
    end = end < file->size ? end & ~(page - 1) : file->size;
    if (start < end)
        madvise((char *)file->mapping + start, end - start, MADV_DONTNEED);
}

/* libelf notes in the section headers, in our private copy of their pages, what it inflated. */
void elf_file_forget(struct elf_file *file)
{
    GElf_Ehdr header;
    size_t count;
    if (!file->mapping || !gelf_getehdr(file->elf, &header) || elf_getshdrnum(file->elf, &count))
        return;
    uint64_t headers_end = header.e_shoff + count * header.e_shentsize;
    if (header.e_shoff > file->size || headers_end > file->size)
        return;
    forget_range(file, 0, header.e_shoff);
    forget_range(file, headers_end, UINT64_MAX);
}

/* ".debug_x" also matches ".zdebug_x", GNU's older way to compress it. */
static bool name_matches(const char *found, const char *wanted, bool *ret_gnu_compressed)
{
    *ret_gnu_compressed = false;
    if (!strcmp(found, wanted))
        return true;
    *ret_gnu_compressed = true;
    return !strncmp(wanted, ".debug_", 7) && !strncmp(found, ".zdebug_", 8) &&
           !strcmp(found + 8, wanted + 7);
}

/* What a compressed section says it inflates to; a small file can claim any size. */
static bool inflates_within_limit(Elf_Scn *section, const GElf_Shdr *header, bool gnu_compressed)
{
    GElf_Chdr packed;
    if (!gnu_compressed)
        return gelf_getchdr(section, &packed) && packed.ch_size <= LIMIT_INFLATED_BYTES;
    /* "ZLIB" and the size in big-endian order. */
    const Elf_Data *raw = elf_rawdata(section, NULL);
    uint64_t size;
    if (!raw || header->sh_size < 12 || raw->d_size < 12 || memcmp(raw->d_buf, "ZLIB", 4) != 0)
        return true;
    memcpy(&size, (const char *)raw->d_buf + 4, sizeof size);
    return be64toh(size) <= LIMIT_INFLATED_BYTES;
}

static bool section_view(Elf_Scn *section, bool gnu_compressed, struct elf_section *ret_section)
{
    GElf_Shdr header;
    if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
        return false;
    /*
     * libelf checks raw sections against the file. Inflating a second time fails harmlessly: the
     * section is already in its final form.
     */
    bool compressed = gnu_compressed || header.sh_flags & SHF_COMPRESSED;
    if (compressed && !inflates_within_limit(section, &header, gnu_compressed))
        return false;
    if (gnu_compressed)
        elf_compress_gnu(section, 0, 0);
    else if (header.sh_flags & SHF_COMPRESSED && elf_compress(section, 0, 0) < 0)
        return false;
    Elf_Data *data = compressed ? elf_getdata(section, NULL) : elf_rawdata(section, NULL);
    if (!data || !data->d_buf)
        return false;
    *ret_section = (struct elf_section){data->d_buf, data->d_size, header.sh_addr};
    return true;
}

bool elf_file_section(struct elf_file *file, const char *name, struct elf_section *ret_section)
{
    size_t names;
    if (elf_getshdrstrndx(file->elf, &names))
        return false;
    for (Elf_Scn *section = NULL; (section = elf_nextscn(file->elf, section));) {
        GElf_Shdr header;
        bool gnu_compressed;
        const char *found;
        if (gelf_getshdr(section, &header) &&
            (found = elf_strptr(file->elf, names, header.sh_name)) &&
            name_matches(found, name, &gnu_compressed))
            return section_view(section, gnu_compressed, ret_section);
    }
    return false;
}

static const uint8_t *bytes_at(const struct elf_file *file, uint64_t address, size_t size,
                               bool executable)
{
    for (size_t i = 0; file->image && i < file->loads.count; i++) {
        const struct elf_load *load = &file->loads.items[i];
        uint64_t into = address - load->vaddr, at;
        if ((load->executable || !executable) && address >= load->vaddr && into < load->file_size &&
            size <= load->file_size - into && !__builtin_add_overflow(load->offset, into, &at) &&
            at <= file->image_size && size <= file->image_size - at)
            return file->image + at;
    }
    return NULL;
}

const uint8_t *elf_file_code(const struct elf_file *file, uint64_t address, size_t size)
{
    return bytes_at(file, address, size, true);
}

const uint8_t *elf_file_data(const struct elf_file *file, uint64_t address, size_t size)
{
    return bytes_at(file, address, size, false);
}

bool elf_file_vaddr_of_offset(const struct elf_file *file, uint64_t offset, uint64_t *ret_vaddr)
{
    for (size_t i = 0; i < file->loads.count; i++) {
        const struct elf_load *load = &file->loads.items[i];
        /* A mapping starts at a page: up to a page before the segment's own first byte. */
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        uint64_t first = load->offset & ~(page - 1);
        uint64_t end = load->offset + load->file_size;
        if (load->executable && offset >= first && end >= load->offset &&
            offset <= ((end - 1) | (page - 1))) {
            *ret_vaddr = load->vaddr - load->offset + offset;
            return true;
        }
    }
    return false;
}
