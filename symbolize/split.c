/*
 * split.c - finds split units.
 *
 * First in FILE.dwp beside the file, then as the .dwo file that the skeleton names: below its
 * compilation directory, or beside the file. Only regular files are opened, and a unit is taken
 * only if its id is the skeleton's. A package's unit becomes an image of its own whose sections
 * are the parts that the index (DWARF 5 §7.3.5) gives to it, so that what reads units needs to
 * know nothing of packages.
 */
#include "symbolize/split.h"

#include "symbolize/debug_file.h"

#include "core/limits.h"
#include "symbolize/inlines.h"
#include "symbolize/lines.h"

#include <dwarf.h>

struct split_image {
    struct dwarf_image image;
    char *path; /* NULL: a part of the package */
};

/* The path of an open file, or NULL. */
static char *path_of_file(const struct elf_file *file)
{
    if (file->fd < 0)
        return NULL;
    char link[32], path[LIMIT_PATH_BYTES];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file->fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length > 0 && length < (ssize_t)sizeof path ? xstrndup(path, (size_t)length) : NULL;
}

/* A relative path says nothing without the directory that the compiler ran in. */
static struct elf_file *open_elf(const struct split_files *files, const char *path)
{
    struct elf_file *file;
    int fd = *path == '/' ? debug_file_open(files->pid, path) : -1;
    if (fd < 0)
        return NULL;
    if (elf_file_open(fd, path, &file, NULL)) {
        close(fd);
        return NULL;
    }
    /* There may be thousands, and what is mapped needs no descriptor. */
    if (!elf_cntl(file->elf, ELF_C_FDREAD)) {
        close(file->fd);
        file->fd = -1;
    }
    return file;
}

static uint64_t path_hash(const void *context, uint32_t id)
{
    const char *path = ((const struct split_files *)context)->images.items[id]->path;
    return path ? hash_bytes(path, strlen(path)) : 0;
}

static struct split_image *add_image(struct split_files *files, struct elf_file *file, char *path)
{
    struct split_image *split = xcalloc(1, sizeof *split);
    image_init(&split->image, file, true);
    split->path = path;
    if (path)
        hash_insert(&files->by_path, hash_bytes(path, strlen(path)), (uint32_t)files->images.count,
                    path_hash, files);
    vec_append(&files->images, split);
    return split;
}

/* The image of a .dwo file; one without units if it can't be opened. */
static struct dwarf_image *image_of_path(struct split_files *files, const char *path)
{
    uint32_t id;
    struct hash_probe probe = hash_first(hash_bytes(path, strlen(path)));
    while (hash_next(&files->by_path, &probe, &id))
        if (!strcmp(files->images.items[id]->path, path))
            return &files->images.items[id]->image;
    if (files->images.count >= LIMIT_DWO_FILES)
        return NULL;
    return &add_image(files, open_elf(files, path), xstrdup(path))->image;
}

static bool load_split(struct dwarf_unit *unit, struct dwarf_unit *skeleton)
{
    unit->skeleton = skeleton;
    unit->loaded = false;
    return unit_load(unit, NULL);
}

/* The unit of an image with the skeleton's id. */
static struct dwarf_unit *match_unit(struct dwarf_image *image, struct dwarf_unit *skeleton)
{
    if (!image)
        return NULL;
    image_scan(image);
    for (size_t i = 0; i < image->units.count; i++) {
        struct dwarf_unit *unit = &image->units.items[i];
        /* GNU's split DWARF 4 has the id among the root DIE's attributes. */
        if (unit->sizes.version < 5)
            unit_load(unit, NULL);
        else if (unit->type != DW_UT_split_compile)
            continue;
        if (unit->dwo_id == skeleton->dwo_id && !unit->skeleton)
            return load_split(unit, skeleton) ? unit : NULL;
    }
    return NULL;
}

static struct dwarf_unit *find_in_dwo(struct split_files *files, struct dwarf_unit *skeleton,
                                      const char *name)
{
    const char *directory = value_string(skeleton, &skeleton->comp_dir);
    if (*name == '/' || !directory)
        directory = "";
    if (strlen(directory) + strlen(name) + 2 > LIMIT_PATH_BYTES)
        return NULL;
    _cleanup_free_ char *path = *directory ? xasprintf("%s/%s", directory, name) : xstrdup(name);
    struct dwarf_unit *found = match_unit(image_of_path(files, path), skeleton);
    if (found)
        return found;
    _cleanup_free_ char *beside = path_of_file(files->main);
    char *slash = beside ? strrchr(beside, '/') : NULL;
    if (!slash)
        return NULL;
    const char *last = strrchr(name, '/');
    _cleanup_free_ char *second =
        xasprintf("%.*s/%s", (int)(slash - beside), beside, last ? last + 1 : name);
    return match_unit(image_of_path(files, second), skeleton);
}

static struct elf_file *open_package(struct split_files *files)
{
    if (!files->package_tried) {
        files->package_tried = true;
        _cleanup_free_ char *path = path_of_file(files->main);
        _cleanup_free_ char *package = path ? xasprintf("%s.dwp", path) : NULL;
        if (package)
            files->package = open_elf(files, package);
    }
    return files->package;
}

/* .debug_cu_index: hash table, then one row of offsets and one of sizes for each unit. */
struct package_index {
    struct elf_section section;
    uint64_t columns, units, slots;
};

static bool open_index(struct elf_file *package, struct package_index *ret_index)
{
    struct package_index index;
    if (!elf_file_section(package, ".debug_cu_index", &index.section))
        return false;
    struct reader reader = reader_open(&index.section, 0, index.section.size);
    uint64_t version = reader_fixed(&reader, 4);
    index.columns = reader_fixed(&reader, 4);
    index.units = reader_fixed(&reader, 4);
    index.slots = reader_fixed(&reader, 4);
    if (reader.failed || (version != 2 && version != 5) || !index.slots ||
        index.slots & (index.slots - 1))
        return false;
    *ret_index = index;
    return true;
}

static uint64_t index_word(const struct package_index *index, uint64_t offset, unsigned size)
{
    uint64_t end;
    if (__builtin_add_overflow(offset, size, &end))
        return 0;
    struct reader reader = reader_open(&index->section, offset, end);
    return reader_fixed(&reader, size);
}

/* The unit's row, counted from 1; 0: not in the package. */
static uint64_t index_row(const struct package_index *index, uint64_t id)
{
    uint64_t mask = index->slots - 1;
    uint64_t step = ((id >> 32) & mask) | 1;
    /* The table lies within the section, or reads give 0 and the loop ends there. */
    for (uint64_t slot = id & mask, tries = 0; tries < index->slots; tries++) {
        uint64_t row = index_word(index, 16 + index->slots * 8 + slot * 4, 4);
        if (!row)
            return 0;
        if (index_word(index, 16 + slot * 8, 8) == id)
            return row <= index->units ? row : 0;
        slot = (slot + step) & mask;
    }
    return 0;
}

static enum image_section section_of_column(uint64_t column)
{
    switch (column) {
    case DW_SECT_INFO:
        return SECTION_INFO;
    case DW_SECT_ABBREV:
        return SECTION_ABBREV;
    case DW_SECT_STR_OFFSETS:
        return SECTION_STR_OFFSETS;
    case DW_SECT_RNGLISTS:
        return SECTION_RNGLISTS;
    default:
        return SECTION_COUNT;
    }
}

/* Narrows the sections of `image` to a unit's part of the package. */
static void narrow_sections(struct dwarf_image *image, const struct package_index *index,
                            uint64_t row)
{
    for (int i = 0; i < SECTION_COUNT; i++)
        image_section(image, (enum image_section)i);
    image->file = NULL;
    uint64_t columns = 16 + index->slots * 12;
    uint64_t offsets = columns + index->columns * 4;
    uint64_t sizes = offsets + index->units * index->columns * 4;
    for (uint64_t i = 0; i < index->columns && i < 64; i++) {
        enum image_section kind = section_of_column(index_word(index, columns + i * 4, 4));
        if (kind == SECTION_COUNT)
            continue;
        uint64_t cell = ((row - 1) * index->columns + i) * 4;
        uint64_t offset = index_word(index, offsets + cell, 4);
        uint64_t size = index_word(index, sizes + cell, 4);
        struct elf_section *section = &image->sections[kind];
        if (offset > section->size || size > section->size - offset)
            *section = (struct elf_section){0};
        else if (section->data)
            *section = (struct elf_section){section->data + offset, size, 0};
    }
}

static struct dwarf_unit *find_in_package(struct split_files *files, struct dwarf_unit *skeleton)
{
    struct package_index index;
    struct elf_file *package = open_package(files);
    if (!package || !open_index(package, &index))
        return NULL;
    uint64_t row = index_row(&index, skeleton->dwo_id);
    if (!row || files->images.count >= LIMIT_DWARF_UNITS)
        return NULL;
    struct split_image *split = add_image(files, package, NULL);
    narrow_sections(&split->image, &index, row);
    return match_unit(&split->image, skeleton);
}

struct dwarf_unit *split_unit(struct split_files *files, struct dwarf_unit *unit)
{
    if (unit->split)
        return unit->split;
    if (unit->split_tried || !unit_load(unit, NULL) || !unit->dwo_name.form)
        return unit;
    unit->split_tried = true;
    const char *name = value_string(unit, &unit->dwo_name);
    unit->split = find_in_package(files, unit);
    if (!unit->split && name && *name)
        unit->split = find_in_dwo(files, unit, name);
    return unit->split ? unit->split : unit;
}

void split_release(struct split_files *files)
{
    for (size_t i = 0; i < files->images.count; i++) {
        struct split_image *split = files->images.items[i];
        struct elf_file *file = split->image.file;
        inlines_release(&split->image);
        lines_release(&split->image);
        image_release(&split->image);
        elf_file_free(file);
        free(split->path);
        free(split);
    }
    vec_release(&files->images);
    hash_release(&files->by_path);
    elf_file_free(files->package);
}
