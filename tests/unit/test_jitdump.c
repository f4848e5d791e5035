/*
 * Jitdumps made by hand, record by record, in a memfd.
 */
#include "symbolize/jitdump.h"

#include "core/limits.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <sys/mman.h>

enum { LOAD, MOVE, DEBUG_INFO, CLOSE, UNWINDING_INFO };

struct fixture {
    int fd; /* for writing; the dump has its own */
    struct jitdump *dump;
    struct code_news news;
};

struct header {
    uint32_t magic, version, size, machine, pad, pid;
    uint64_t time, flags;
};

static const struct header plain_header = {0x4a695444, 1, 40, 62, 0, 42, 1, 0};

static int make_file(const struct header *header)
{
    int fd = memfd_create("jit.dump", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, header, sizeof *header), sizeof *header);
    return fd;
}

static struct fixture fixture_new(const struct header *header)
{
    struct fixture fixture = {.fd = make_file(header)};
    struct error err;
    ck_assert_int_eq(jitdump_new(dup(fixture.fd), &fixture.dump, &err), 0);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    jitdump_free(fixture->dump);
    close(fixture->fd);
}

static void put(struct fixture *fixture, const void *data, size_t size)
{
    lseek(fixture->fd, 0, SEEK_END);
    ck_assert_int_eq(write(fixture->fd, data, size), (ssize_t)size);
}

static void put_prefix(struct fixture *fixture, uint32_t id, size_t payload, uint64_t time_ns)
{
    struct {
        uint32_t id, size;
        uint64_t time_ns;
    } prefix = {id, (uint32_t)(sizeof prefix + payload), time_ns};
    put(fixture, &prefix, sizeof prefix);
}

static void put_load(struct fixture *fixture, uint64_t time_ns, uint64_t address, uint64_t size,
                     uint64_t index, const char *name)
{
    struct {
        uint32_t pid, tid;
        uint64_t vma, address, size, index;
    } load = {42, 42, address, address, size, index};
    char code[64] = {0};
    put_prefix(fixture, LOAD, sizeof load + strlen(name) + 1 + sizeof code, time_ns);
    put(fixture, &load, sizeof load);
    put(fixture, name, strlen(name) + 1);
    put(fixture, code, sizeof code);
}

static void put_move(struct fixture *fixture, uint64_t time_ns, uint64_t from, uint64_t to,
                     uint64_t size, uint64_t index)
{
    struct {
        uint32_t pid, tid;
        uint64_t vma, from, to, size, index;
    } move = {42, 42, to, from, to, size, index};
    put_prefix(fixture, MOVE, sizeof move, time_ns);
    put(fixture, &move, sizeof move);
}

struct line {
    uint64_t address;
    uint32_t line;
    const char *file;
};

static void put_lines(struct fixture *fixture, uint64_t address, const struct line *lines,
                      size_t count)
{
    size_t payload = 16;
    for (size_t i = 0; i < count; i++)
        payload += 16 + strlen(lines[i].file) + 1;
    put_prefix(fixture, DEBUG_INFO, payload, 1);
    put(fixture, &(uint64_t[]){address, count}, 16);
    for (size_t i = 0; i < count; i++) {
        put(fixture, &lines[i].address, 8);
        put(fixture, &(uint32_t[]){lines[i].line, 0}, 8);
        put(fixture, lines[i].file, strlen(lines[i].file) + 1);
    }
}

static void update(struct fixture *fixture)
{
    jitdump_update(fixture->dump, NULL, NULL, &fixture->news);
}

static void check(struct fixture *fixture, uint64_t pc, const char *name)
{
    struct jitdump_code code;
    ck_assert_int_eq(jitdump_find(fixture->dump, pc, &code), name != NULL);
    if (name)
        ck_assert_str_eq(code.name, name);
}

START_TEST(loaded_code_has_its_name)
{
    struct fixture fixture = fixture_new(&plain_header);
    put_load(&fixture, 1, 0x1000, 0x100, 0, "first");
    put_load(&fixture, 2, 0x2000, 0x100, 1, "second");
    update(&fixture);
    ck_assert(fixture.news.added && !fixture.news.replaced && !fixture.news.behind);
    check(&fixture, 0x1000, "first");
    check(&fixture, 0x10ff, "first");
    check(&fixture, 0x1100, NULL);
    check(&fixture, 0x2000, "second");
    put_load(&fixture, 3, 0x1000, 0x100, 2, "third");
    update(&fixture);
    ck_assert(fixture.news.replaced);
    check(&fixture, 0x1000, "third");
    fixture_free(&fixture);
}
END_TEST

START_TEST(only_dumps_of_this_machine_are_taken)
{
    static const struct {
        struct header header;
        enum error_code code;
    } cases[] = {
        {{0x4454694a, 0x01000000, 0x28000000, 0, 0, 0, 0, 0}, ERROR_UNSUPPORTED}, /* big-endian */
        {{0x4a695445, 1, 40, 62, 0, 0, 0, 0}, ERROR_FORMAT},
        {{0x4a695444, 2, 40, 62, 0, 0, 0, 0}, ERROR_UNSUPPORTED},
        {{0x4a695444, 1, 39, 62, 0, 0, 0, 0}, ERROR_FORMAT},
        {{0x4a695444, 1, UINT32_MAX, 62, 0, 0, 0, 0}, ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jitdump *dump = NULL;
        struct error err;
        int fd = make_file(&cases[i].header);
        ck_assert_int_eq(jitdump_new(fd, &dump, &err), -1);
        ck_assert_int_eq(err.code, cases[i].code);
        ck_assert_ptr_null(dump);
        close(fd);
    }
    int empty = memfd_create("empty", MFD_CLOEXEC);
    struct jitdump *dump = NULL;
    ck_assert_int_eq(jitdump_new(empty, &dump, NULL), -1); /* the header is still to come */
    close(empty);
}
END_TEST

START_TEST(a_dump_grows_by_parts_of_records)
{
    struct fixture whole = fixture_new(&plain_header), parts = fixture_new(&plain_header);
    static char bytes[4096];
    put_load(&whole, 1, 0x1000, 0x100, 0, "first");
    put_lines(&whole, 0x2000, &(struct line){0x2000, 7, "/srv/a.c"}, 1);
    put_load(&whole, 2, 0x2000, 0x100, 1, "second");
    ssize_t size = pread(whole.fd, bytes, sizeof bytes, sizeof plain_header);
    size_t seen = 0;
    for (ssize_t i = 0; i < size; i++) {
        put(&parts, bytes + i, 1);
        update(&parts);
        seen += parts.news.added;
    }
    ck_assert_uint_eq(seen, 2);
    check(&parts, 0x1000, "first");
    check(&parts, 0x2000, "second");
    fixture_free(&whole);
    fixture_free(&parts);
}
END_TEST

START_TEST(moved_code_keeps_its_name_and_leaves_its_place)
{
    struct fixture fixture = fixture_new(&plain_header);
    put_lines(&fixture, 0x1000, &(struct line){0x1010, 7, "/srv/a.c"}, 1);
    put_load(&fixture, 1, 0x1000, 0x100, 5, "moving");
    put_load(&fixture, 1, 0x1100, 0x100, 6, "staying");
    put_move(&fixture, 2, 0x1000, 0x9000, 0x100, 5);
    put_move(&fixture, 3, 0x9000, 0xa000, 0x100, 5);
    put_move(&fixture, 3, 0x1100, 0xb000, 0x100, 77); /* never loaded */
    update(&fixture);
    ck_assert(fixture.news.replaced);
    check(&fixture, 0x1000, NULL);
    check(&fixture, 0x9000, NULL);
    check(&fixture, 0xa010, "moving");
    check(&fixture, 0x1100, "staying");
    check(&fixture, 0xb000, NULL);
    struct jitdump_code code;
    ck_assert(jitdump_find(fixture.dump, 0xa010, &code));
    ck_assert_uint_eq(code.line, 7);
    fixture_free(&fixture);
}
END_TEST

START_TEST(lines_are_those_at_or_below_the_address)
{
    struct fixture fixture = fixture_new(&plain_header);
    static const struct line lines[] = {
        {0x1000, 10, "/srv/a.c"}, {0x1010, 12, "\xff"}, {0x1020, 99, "/srv/inlined.h"},
        {0x1030, 14, "/srv/a.c"}, {0x1040, 15, "\xff"},
    };
    put_lines(&fixture, 0x1000, lines, 5);
    put_load(&fixture, 1, 0x1000, 0x100, 0, "described");
    put_load(&fixture, 1, 0x3000, 0x100, 0, "without lines");
    put_lines(&fixture, 0x5000, lines, 5); /* of other code than the next */
    put_load(&fixture, 1, 0x4000, 0x100, 0, "without lines, too");
    update(&fixture);
    static const struct {
        uint64_t pc;
        uint32_t line;
    } cases[] = {{0x1000, 10}, {0x100f, 10}, {0x1010, 12}, {0x1020, 0}, {0x103f, 14}, {0x10ff, 15}};
    struct jitdump_code code;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert(jitdump_find(fixture.dump, cases[i].pc, &code));
        ck_assert_str_eq(code.file, "/srv/a.c");
        ck_assert_uint_eq(code.first_line, 10);
        ck_assert_uint_eq(code.line, cases[i].line);
    }
    ck_assert(jitdump_find(fixture.dump, 0x3000, &code));
    ck_assert_ptr_null(code.file);
    ck_assert_uint_eq(code.line, 0);
    ck_assert(jitdump_find(fixture.dump, 0x4000, &code));
    ck_assert_ptr_null(code.file);
    fixture_free(&fixture);
}
END_TEST

START_TEST(v8s_lines_are_64_bytes_too_high)
{
    struct fixture fixture = fixture_new(&plain_header);
    static const struct line lines[] = {{0x1040, 3, "/srv/a.js"}, {0x1050, 4, "/srv/a.js"}};
    put_lines(&fixture, 0x1000, lines, 2);
    put_load(&fixture, 1, 0x1000, 0x100, 0, "JS:*fib /srv/a.js:3:13");
    update(&fixture);
    struct jitdump_code code;
    ck_assert(jitdump_find(fixture.dump, 0x100f, &code));
    ck_assert_uint_eq(code.line, 3);
    ck_assert(jitdump_find(fixture.dump, 0x1010, &code));
    ck_assert_uint_eq(code.line, 4);
    /* Baseline code has the table of its bytecodes. */
    put_lines(&fixture, 0x1000, lines, 2);
    put_load(&fixture, 1, 0x1000, 0x100, 0, "JS:^fib /srv/a.js:3:13");
    update(&fixture);
    ck_assert(jitdump_find(fixture.dump, 0x1010, &code));
    ck_assert_str_eq(code.name, "JS:^fib /srv/a.js:3:13");
    ck_assert_ptr_null(code.file);
    ck_assert_uint_eq(code.line, 0);
    fixture_free(&fixture);
}
END_TEST

/* As Node 20 writes it: the name is as long as it was, but its first bytes are others. */
START_TEST(v8s_lines_are_read_past_a_spoiled_file_name)
{
    static const char spoiled[10] = "\xe8\x8b\0\0\0\0.js";
    struct fixture fixture = fixture_new(&plain_header);
    struct jitdump_code code;
    for (int good = 0; good < 2; good++) {
        put_prefix(&fixture, DEBUG_INFO, 16 + 2 * (16 + sizeof spoiled), 1);
        put(&fixture, &(uint64_t[]){0x1000, 2}, 16);
        for (uint32_t i = 0; i < 2; i++) {
            put(&fixture, &(uint64_t){0x1040 + 0x10 * i}, 8);
            put(&fixture, &(uint32_t[]){3 + i, 0}, 8);
            put(&fixture, spoiled, sizeof spoiled);
        }
        put_load(&fixture, 1, 0x1000, 0x100, 0,
                 good ? "JS:*fib /srv/a.js:3:13" : "JS:*fib /srv/longer.js:3:13");
        update(&fixture);
        ck_assert(jitdump_find(fixture.dump, 0x1010, &code));
        ck_assert_uint_eq(code.line, good ? 4 : 0);
        if (good)
            ck_assert_str_eq(code.file, "/srv/a.js");
        else
            ck_assert_ptr_null(code.file);
    }
    fixture_free(&fixture);
}
END_TEST

struct replay {
    struct fixture *fixture;
    char names[4][8]; /* at 0x1000, before each record */
    size_t count;
};

static void before_record(void *context, uint64_t time_ns)
{
    struct replay *replay = context;
    struct jitdump_code code;
    ck_assert_uint_eq(time_ns, 10 * (replay->count + 1));
    if (jitdump_find(replay->fixture->dump, 0x1000, &code))
        snprintf(replay->names[replay->count], sizeof replay->names[0], "%s", code.name);
    replay->count++;
}

START_TEST(what_lay_where_can_be_asked_before_each_record)
{
    struct fixture fixture = fixture_new(&plain_header);
    struct replay replay = {.fixture = &fixture};
    put_load(&fixture, 10, 0x1000, 0x100, 0, "first");
    put_load(&fixture, 20, 0x1000, 0x100, 1, "second");
    put_move(&fixture, 30, 0x1000, 0x9000, 0x100, 1);
    put_load(&fixture, 40, 0x1000, 0x100, 2, "fourth");
    jitdump_update(fixture.dump, before_record, &replay, &fixture.news);
    ck_assert_uint_eq(replay.count, 4);
    ck_assert_str_eq(replay.names[0], "");
    ck_assert_str_eq(replay.names[1], "first");
    ck_assert_str_eq(replay.names[2], "second");
    ck_assert_str_eq(replay.names[3], "");
    check(&fixture, 0x1000, "fourth");
    fixture_free(&fixture);
    /* Times of another clock say nothing. */
    struct header header = plain_header;
    header.flags = 1;
    fixture = fixture_new(&header);
    put_load(&fixture, 77, 0x1000, 0x100, 0, "first");
    jitdump_update(fixture.dump, before_record, &replay, &fixture.news);
    ck_assert_uint_eq(replay.count, 4);
    check(&fixture, 0x1000, "first");
    fixture_free(&fixture);
}
END_TEST

START_TEST(malformed_records_are_passed_over)
{
    struct fixture fixture = fixture_new(&plain_header);
    put_prefix(&fixture, LOAD, 8, 1); /* too short for its kind */
    put(&fixture, "12345678", 8);
    put_prefix(&fixture, MOVE, 0, 1);
    put_prefix(&fixture, DEBUG_INFO, 0, 1);
    put_prefix(&fixture, CLOSE, 0, 1);
    put_prefix(&fixture, UNWINDING_INFO, 3, 1);
    put(&fixture, "123", 3);
    put_prefix(&fixture, 999, 0, 1);
    put_load(&fixture, 1, 0x1000, 0, 0, "empty");
    put_load(&fixture, 1, UINT64_MAX - 1, 0x100, 0, "around the end");
    put_load(&fixture, 1, 0x1000, UINT64_MAX, 0, "everything");
    put_load(&fixture, 1, 0x2000, 0x100, 0, "good");
    update(&fixture);
    check(&fixture, 0x1000, NULL);
    check(&fixture, 0, NULL);
    check(&fixture, UINT64_MAX - 1, NULL);
    check(&fixture, 0x2000, "good");
    /* Behind a size that can't be there is no next record to be found. */
    put(&fixture, &(uint32_t[]){LOAD, 15, 0, 0}, 16);
    put_load(&fixture, 1, 0x3000, 0x100, 0, "lost");
    update(&fixture);
    check(&fixture, 0x3000, NULL);
    check(&fixture, 0x2000, "good");
    fixture_free(&fixture);
}
END_TEST

START_TEST(names_and_tables_end_where_the_record_does)
{
    struct fixture fixture = fixture_new(&plain_header);
    struct {
        uint32_t pid, tid;
        uint64_t vma, address, size, index;
    } load = {42, 42, 0x1000, 0x1000, 0x100, 0};
    struct jitdump_code code;
    put_prefix(&fixture, DEBUG_INFO, 16 + 16 + 3, 1);
    put(&fixture, &(uint64_t[]){0x1000, UINT64_MAX}, 16);
    put(&fixture, &(uint64_t[]){0x1000, 9}, 16);
    put(&fixture, "abc", 3); /* no NUL */
    put_prefix(&fixture, LOAD, sizeof load + 3, 1);
    put(&fixture, &load, sizeof load);
    put(&fixture, "xyz", 3);
    put_load(&fixture, 1, 0x2000, 0x100, 0, "next");
    update(&fixture);
    ck_assert(jitdump_find(fixture.dump, 0x1000, &code));
    ck_assert_str_eq(code.name, "xyz");
    ck_assert_ptr_null(code.file);
    check(&fixture, 0x2000, "next");
    fixture_free(&fixture);
}
END_TEST

UNIT_MAIN("jitdump", loaded_code_has_its_name, only_dumps_of_this_machine_are_taken,
          a_dump_grows_by_parts_of_records, moved_code_keeps_its_name_and_leaves_its_place,
          lines_are_those_at_or_below_the_address, v8s_lines_are_64_bytes_too_high,
          v8s_lines_are_read_past_a_spoiled_file_name,
          what_lay_where_can_be_asked_before_each_record, malformed_records_are_passed_over,
          names_and_tables_end_where_the_record_does)
