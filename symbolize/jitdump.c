/*
 * jitdump.c - the records' places in the file are kept, their names and line tables are read when
 * they are asked for. The bytes of the code itself, most of the file, are never read.
 *
 * A line table comes before the code it belongs to. V8's (src/diagnostics/perf-jit.cc there) have
 * three peculiarities: addresses are 64 bytes too high, the size of the ELF header that perf puts
 * before the code; those of baseline code are offsets of bytecodes, and of no use; and in Node 20
 * the file's name is often overwritten in part, with NULs in it, so that only its length
 * tells where the next entry begins.
 */
#include "symbolize/jitdump.h"

#include "core/hash.h"
#include "core/limits.h"
#include "symbolize/code_name.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    UPDATE_RECORDS = 1 << 11, /* read by one update: some 4 ms of work */
    V8_LINES_BIAS = 64,
    HEADER_BYTES_MAX = 4096,
    DUMP_VERSION = 1,
    DUMP_ARCH_TIMESTAMP = 1 /* flag: times are the CPU's, not CLOCK_MONOTONIC */
};
#define DUMP_MAGIC 0x4a695444u
#define DUMP_MAGIC_SWAPPED 0x4454694au

enum record_id { CODE_LOAD, CODE_MOVE, CODE_DEBUG_INFO };

struct file_header {
    uint32_t magic, version, size, machine, pad, pid;
    uint64_t time, flags;
};

struct record_header {
    uint32_t id, size;
    uint64_t time_ns;
};

struct load_record {
    struct record_header header;
    uint32_t pid, tid;
    uint64_t vma, address, size, index;
    /* the name, NUL-terminated, and the code follow */
};

struct move_record {
    struct record_header header;
    uint32_t pid, tid;
    uint64_t vma, old_address, new_address, size, index;
};

struct debug_record {
    struct record_header header;
    uint64_t address, count;
    /* struct debug_entry, with its file's name, NUL-terminated, behind each */
};

struct debug_entry {
    uint64_t address;
    uint32_t line, discriminator;
};

struct loaded {
    uint64_t load, lines; /* places of the records; lines 0: none */
    uint64_t address;     /* where the code begins */
};

struct code_number {
    uint64_t number;
    uint32_t last; /* position in loaded */
};

struct jitdump {
    int fd;
    bool timed;              /* times are CLOCK_MONOTONIC */
    bool broken;             /* a record has an impossible size: nothing behind it can be read */
    struct code_layers code; /* of positions in loaded */
    vec(struct loaded) loaded;
    vec(struct code_number) numbers;
    struct hash_index by_number;
    uint64_t offset;                      /* up to which records were taken */
    uint64_t lines_offset, lines_address; /* of the last CODE_DEBUG_INFO, until its code comes */
    char *name;                           /* these are for jitdump_find */
    vec(char) lines;
    vec(char) file;
};

static size_t read_at(const struct jitdump *dump, void *buffer, size_t size, uint64_t offset)
{
    ssize_t got = pread(dump->fd, buffer, size, (off_t)offset);
    return got > 0 ? (size_t)got : 0;
}

int jitdump_new(int fd, struct jitdump **ret_dump, struct error *err)
{
    struct file_header header;
    if (pread(fd, &header, sizeof header, 0) != sizeof header ||
        (header.magic != DUMP_MAGIC && header.magic != DUMP_MAGIC_SWAPPED))
        return error_set(err, ERROR_FORMAT, "not a jitdump");
    if (header.magic == DUMP_MAGIC_SWAPPED)
        return error_set(err, ERROR_UNSUPPORTED, "a jitdump of another byte order");
    if (header.version != DUMP_VERSION)
        return error_set(err, ERROR_UNSUPPORTED, "a jitdump of version %u, not %d", header.version,
                         DUMP_VERSION);
    if (header.size < sizeof header || header.size > HEADER_BYTES_MAX)
        return error_set(err, ERROR_FORMAT, "a jitdump with a malformed header");
    struct jitdump *dump = xcalloc(1, sizeof *dump);
    dump->fd = fd;
    dump->timed = !(header.flags & DUMP_ARCH_TIMESTAMP);
    dump->offset = header.size;
    *ret_dump = dump;
    return 0;
}

void jitdump_free(struct jitdump *dump)
{
    if (!dump)
        return;
    code_layers_release(&dump->code);
    vec_release(&dump->loaded);
    vec_release(&dump->numbers);
    hash_release(&dump->by_number);
    close(dump->fd);
    free(dump->name);
    vec_release(&dump->lines);
    vec_release(&dump->file);
    free(dump);
}

static uint64_t number_hash(const void *context, uint32_t id)
{
    return hash_mix(((const struct jitdump *)context)->numbers.items[id].number);
}

/* What is known of the runtime's own number for a piece of code; NULL: nothing. */
static struct code_number *number_find(const struct jitdump *dump, uint64_t number)
{
    struct hash_probe probe = hash_first(hash_mix(number));
    for (uint32_t id; hash_next(&dump->by_number, &probe, &id);)
        if (dump->numbers.items[id].number == number)
            return &dump->numbers.items[id];
    return NULL;
}

/* Some runtimes number all code alike: then the last one has the number. */
static void number_set(struct jitdump *dump, uint64_t number, uint32_t last)
{
    struct code_number *known = number_find(dump, number);
    if (known) {
        known->last = last;
        return;
    }
    vec_append(&dump->numbers, ((struct code_number){number, last}));
    hash_insert(&dump->by_number, hash_mix(number), (uint32_t)dump->numbers.count - 1, number_hash,
                dump);
}

/* New code, in place of what was there. */
static void add_code(struct jitdump *dump, const struct loaded *loaded, uint64_t size,
                     uint64_t number, struct code_news *news)
{
    uint64_t end;
    if (!size || size > LIMIT_GENERATED_BYTES ||
        __builtin_add_overflow(loaded->address, size, &end) ||
        dump->code.ranges.count >= LIMIT_CODE_RANGES || dump->loaded.count >= LIMIT_CODE_RANGES)
        return;
    uint32_t id = (uint32_t)dump->loaded.count;
    vec_append(&dump->loaded, *loaded);
    number_set(dump, number, id);
    news->added = true;
    news->replaced = news->replaced || code_layers_overlaps(&dump->code, loaded->address, end);
    code_layers_add(&dump->code, loaded->address, end, id);
}

static void take_load(struct jitdump *dump, const struct load_record *record,
                      struct code_news *news)
{
    struct loaded loaded = {.load = dump->offset, .address = record->address};
    if (dump->lines_offset && dump->lines_address == record->address)
        loaded.lines = dump->lines_offset;
    dump->lines_offset = 0;
    add_code(dump, &loaded, record->size, record->index, news);
}

static void take_move(struct jitdump *dump, const struct move_record *record,
                      struct code_news *news)
{
    uint64_t end;
    const struct code_number *known = number_find(dump, record->index);
    if (!known)
        return;
    struct loaded loaded = dump->loaded.items[known->last];
    if (record->size <= LIMIT_GENERATED_BYTES && dump->code.ranges.count < LIMIT_CODE_RANGES &&
        !__builtin_add_overflow(loaded.address, record->size, &end))
        code_layers_add(&dump->code, loaded.address, end, CODE_LAYERS_NONE);
    loaded.address = record->new_address;
    news->replaced = true;
    add_code(dump, &loaded, record->size, record->index, news);
}

union any_record {
    struct record_header header;
    struct load_record load;
    struct move_record move;
    struct debug_record debug;
};

/* One record of which `got` bytes were read; those that are too short for their kind are none. */
static void take_record(struct jitdump *dump, const union any_record *record, size_t got,
                        struct code_news *news)
{
    size_t size = record->header.size < got ? record->header.size : got;
    switch (record->header.id) {
    case CODE_LOAD:
        if (size >= sizeof record->load)
            take_load(dump, &record->load, news);
        break;
    case CODE_MOVE:
        if (size >= sizeof record->move)
            take_move(dump, &record->move, news);
        break;
    case CODE_DEBUG_INFO:
        if (size >= sizeof record->debug) {
            dump->lines_offset = dump->offset;
            dump->lines_address = record->debug.address;
        }
        break;
    default: /* CODE_CLOSE, CODE_UNWINDING_INFO, and what later versions may add */
        break;
    }
}

void jitdump_update(struct jitdump *dump, void (*before)(void *context, uint64_t time_ns),
                    void *context, struct code_news *ret_news)
{
    struct code_news news = {0};
    struct stat status;
    uint64_t size = fstat(dump->fd, &status) ? 0 : (uint64_t)status.st_size;
    if (size > LIMIT_CODE_FILE_BYTES)
        size = LIMIT_CODE_FILE_BYTES;
    for (size_t i = 0; !dump->broken && dump->offset < size; i++) {
        union any_record record;
        if (i == UPDATE_RECORDS) {
            news.behind = true;
            break;
        }
        size_t got = read_at(dump, &record, sizeof record, dump->offset);
        if (got < sizeof record.header)
            break;
        dump->broken = record.header.size < sizeof record.header;
        if (dump->broken || record.header.size > size - dump->offset)
            break; /* the rest of it will come */
        if (before && dump->timed)
            before(context, record.header.time_ns);
        take_record(dump, &record, got, &news);
        dump->offset += record.header.size;
    }
    *ret_news = news;
}

struct line_table {
    const char *at, *end;
    uint64_t count;
    const struct code_name *own; /* each entry is for this file; NULL: for the one it names */
};

/* Takes an entry off; false if there is none, or none that fits. *ret_file may lack its NUL. */
static bool table_next(struct line_table *table, struct debug_entry *ret_entry,
                       const char **ret_file, size_t *ret_length)
{
    size_t size = (size_t)(table->end - table->at);
    if (!table->count || size <= sizeof *ret_entry)
        return false;
    size -= sizeof *ret_entry;
    memcpy(ret_entry, table->at, sizeof *ret_entry);
    const char *name = table->at + sizeof *ret_entry;
    size_t length = table->own ? table->own->file_length : strnlen(name, size);
    if (length >= size)
        return false;
    *ret_file = table->own ? table->own->file : name;
    *ret_length = length;
    table->at = name + length + 1;
    table->count--;
    return true;
}

static bool table_is_whole(struct line_table table)
{
    struct debug_entry entry;
    const char *file;
    size_t length;
    while (table_next(&table, &entry, &file, &length))
        continue;
    return !table.count && table.at == table.end;
}

/* The line table of the code; false if it has none that can be read. */
static bool read_lines(struct jitdump *dump, const struct loaded *loaded,
                       const struct code_name *name, struct line_table *ret_table)
{
    struct debug_record record;
    if (!loaded->lines || (name->v8 && name->tier != TIER_OPTIMIZED && name->tier != TIER_MAGLEV) ||
        read_at(dump, &record, sizeof record, loaded->lines) != sizeof record ||
        record.header.id != CODE_DEBUG_INFO || record.header.size < sizeof record ||
        record.header.size > LIMIT_CODE_LINES_BYTES)
        return false;
    size_t size = record.header.size - sizeof record;
    vec_reserve(&dump->lines, size + 1);
    size = read_at(dump, dump->lines.items, size, loaded->lines + sizeof record);
    struct line_table table = {dump->lines.items, dump->lines.items + size, record.count, NULL};
    if (!table_is_whole(table) && name->v8)
        table.own = name;
    if (!table_is_whole(table))
        return false;
    *ret_table = table;
    return true;
}

/* Finds the first entry's file and line, and the line of the last entry at or below `at`. */
static void find_line(struct jitdump *dump, struct line_table table, uint64_t at,
                      struct jitdump_code *code)
{
    static const char same_file[] = "\xff"; /* as in the entry before */
    struct debug_entry entry;
    const char *name;
    size_t length;
    uint64_t closest = 0;
    bool own = true;
    while (table_next(&table, &entry, &name, &length)) {
        if (!code->file) {
            vec_reserve(&dump->file, length + 1);
            memcpy(dump->file.items, name, length);
            dump->file.items[length] = '\0';
            code->file = dump->file.items;
            code->first_line = entry.line;
        }
        if (length != 1 || *name != *same_file)
            own = length == strlen(code->file) && !memcmp(name, code->file, length);
        if (entry.address <= at && entry.address >= closest) {
            closest = entry.address;
            code->line = own ? entry.line : 0;
        }
    }
}

bool jitdump_find(struct jitdump *dump, uint64_t pc, struct jitdump_code *ret_code)
{
    struct load_record record;
    struct code_name parts;
    uint32_t id;
    if (!code_layers_find(&dump->code, pc, &id))
        return false;
    const struct loaded *loaded = &dump->loaded.items[id];
    if (read_at(dump, &record, sizeof record, loaded->load) != sizeof record ||
        record.header.id != CODE_LOAD || record.header.size < sizeof record)
        return false;
    if (!dump->name)
        dump->name = xmalloc(LIMIT_SYMBOL_BYTES + 1);
    size_t size = record.header.size - sizeof record;
    size = read_at(dump, dump->name, size < LIMIT_SYMBOL_BYTES ? size : LIMIT_SYMBOL_BYTES,
                   loaded->load + sizeof record);
    dump->name[size] = '\0';
    struct jitdump_code code = {.name = dump->name};
    struct line_table table;
    code_name_parse(code.name, &parts);
    if (read_lines(dump, loaded, &parts, &table))
        find_line(dump, table,
                  pc - loaded->address + record.address + (parts.v8 ? V8_LINES_BIAS : 0), &code);
    *ret_code = code;
    return true;
}
