/*
 * Where the files are found and whose they are, and frames that get their names late; the process
 * is the test's own, with its own /tmp/perf-PID.map.
 */
#include "symbolize/jit_names.h"

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECOND_NS = 1000000000 };

struct fixture {
    struct profile *profile;
    struct modules *modules;
    struct space space;
    frame_lines lines;
    struct jit_names *names;
    char path[64];
};

static struct fixture fixture_new(void)
{
    struct fixture fixture = {.profile = profile_new(), .modules = modules_new()};
    snprintf(fixture.path, sizeof fixture.path, "/tmp/perf-%d.map", getpid());
    unlink(fixture.path);
    space_init(&fixture.space, fixture.modules, getpid());
    space_map(&fixture.space, fixture.modules,
              &(struct mapping){.start = 0x1000, .size = 0x100000, .path = "//anon"});
    return fixture;
}

/* The files are looked for from now on. */
static void begin(struct fixture *fixture)
{
    fixture->names = jit_names_new(fixture->profile, &fixture->lines, getpid());
}

static void fixture_free(struct fixture *fixture)
{
    unlink(fixture->path);
    jit_names_free(fixture->names);
    space_release(&fixture->space);
    modules_free(fixture->modules);
    profile_free(fixture->profile);
    vec_release(&fixture->lines);
}

static void add(const struct fixture *fixture, const char *text)
{
    FILE *file = fopen(fixture->path, "ae");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static frame_id frame_at(struct fixture *fixture, uint64_t pc, uint64_t time_ns)
{
    struct frame raw = {.module = 1, .address = pc};
    return jit_names_frame(fixture->names, &fixture->space, pc, &raw, time_ns);
}

static void check_name(const struct fixture *fixture, frame_id id, const char *name)
{
    const struct frame *frame = &fixture->profile->frames.items[id];
    ck_assert_str_eq(profile_string(fixture->profile, frame->function), name);
    ck_assert_uint_eq(frame->module, *name ? 0 : 1);
}

START_TEST(a_function_has_its_name_place_and_kind)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "1000 100 JS:*fib /srv/app.js:3:13\n1100 100 _ZN3app4mainEv\n");
    begin(&fixture);
    frame_id id = frame_at(&fixture, 0x1040, SECOND_NS);
    const struct frame *frame = &fixture.profile->frames.items[id];
    check_name(&fixture, id, "fib");
    ck_assert_str_eq(profile_string(fixture.profile, frame->file), "/srv/app.js");
    ck_assert_uint_eq(frame->line, 3);
    ck_assert_uint_eq(frame->column, 13);
    ck_assert_int_eq(frame->kind, FRAME_JAVASCRIPT);
    ck_assert_int_eq(frame->tier, TIER_OPTIMIZED);
    ck_assert_uint_eq(frame->address, 0x1040);
    id = frame_at(&fixture, 0x1140, SECOND_NS);
    check_name(&fixture, id, "app::main()");
    ck_assert_int_eq(fixture.profile->frames.items[id].kind, FRAME_NATIVE);
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_name_that_comes_later_is_given_to_the_frame)
{
    struct fixture fixture = fixture_new();
    begin(&fixture);
    frame_id waiting = frame_at(&fixture, 0x1040, SECOND_NS);
    frame_id never = frame_at(&fixture, 0x5000, SECOND_NS);
    check_name(&fixture, waiting, "");
    ck_assert_uint_eq(frame_at(&fixture, 0x1040, SECOND_NS), waiting);
    add(&fixture, "1000 100 late\n");
    jit_names_poll(fixture.names, &fixture.space, SECOND_NS + 1); /* too early to look again */
    check_name(&fixture, waiting, "");
    jit_names_poll(fixture.names, &fixture.space, (uint64_t)3 * SECOND_NS);
    check_name(&fixture, waiting, "late");
    check_name(&fixture, never, "");
    add(&fixture, "5000 100 at the end\n");
    jit_names_finish(fixture.names, &fixture.space);
    check_name(&fixture, never, "at the end");
    check_name(&fixture, waiting, "late");
    fixture_free(&fixture);
}
END_TEST

START_TEST(an_address_that_is_used_again_is_asked_for_again)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "1000 100 old\n");
    begin(&fixture);
    frame_id old = frame_at(&fixture, 0x1040, SECOND_NS);
    uint32_t generation = jit_names_generation(fixture.names);
    add(&fixture, "2000 100 elsewhere\n");
    jit_names_poll(fixture.names, &fixture.space, (uint64_t)2 * SECOND_NS);
    ck_assert_uint_eq(jit_names_generation(fixture.names), generation);
    add(&fixture, "1000 80 new\n");
    jit_names_poll(fixture.names, &fixture.space, (uint64_t)3 * SECOND_NS);
    ck_assert_uint_ne(jit_names_generation(fixture.names), generation);
    frame_id new = frame_at(&fixture, 0x1040, (uint64_t)3 * SECOND_NS);
    check_name(&fixture, new, "new");
    check_name(&fixture, old, "old");
    fixture_free(&fixture);
}
END_TEST

START_TEST(another_file_of_that_name_is_read_instead)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "1000 100 old\n");
    begin(&fixture);
    check_name(&fixture, frame_at(&fixture, 0x1040, SECOND_NS), "old");
    char kept[80];
    snprintf(kept, sizeof kept, "%s.kept", fixture.path); /* so that the inode is another */
    ck_assert_int_eq(rename(fixture.path, kept), 0);
    jit_names_poll(fixture.names, &fixture.space, (uint64_t)2 * SECOND_NS);
    check_name(&fixture, frame_at(&fixture, 0x1041, (uint64_t)2 * SECOND_NS), "old");
    add(&fixture, "1000 100 new\n");
    jit_names_poll(fixture.names, &fixture.space, (uint64_t)3 * SECOND_NS);
    check_name(&fixture, frame_at(&fixture, 0x1042, (uint64_t)3 * SECOND_NS), "new");
    unlink(kept);
    fixture_free(&fixture);
}
END_TEST

static void check_refused(struct fixture *fixture)
{
    begin(fixture);
    check_name(fixture, frame_at(fixture, 0x1040, SECOND_NS), "");
    jit_names_finish(fixture->names, &fixture->space);
    check_name(fixture, frame_at(fixture, 0x1041, (uint64_t)2 * SECOND_NS), "");
}

START_TEST(a_symbolic_link_is_refused)
{
    struct fixture fixture = fixture_new();
    char real[80];
    snprintf(real, sizeof real, "%s.real", fixture.path);
    add(&fixture, "1000 100 evil\n");
    ck_assert_int_eq(rename(fixture.path, real), 0);
    ck_assert_int_eq(symlink(real, fixture.path), 0);
    check_refused(&fixture);
    unlink(real);
    fixture_free(&fixture);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused)
{
    struct fixture fixture = fixture_new();
    ck_assert_int_eq(mkfifo(fixture.path, 0666), 0); /* opening it would wait for ever */
    check_refused(&fixture);
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_map_of_another_user_is_refused)
{
    struct fixture fixture = fixture_new();
    if (geteuid()) {
        puts("skipped: only root can give a file to another user");
        fixture_free(&fixture);
        return;
    }
    add(&fixture, "1000 100 evil\n");
    ck_assert_int_eq(chown(fixture.path, 65534, 65534), 0);
    check_refused(&fixture);
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_map_of_root_is_taken_if_the_process_could_read_it)
{
    struct fixture fixture = fixture_new();
    if (geteuid()) {
        puts("skipped: only root can become another user");
        fixture_free(&fixture);
        return;
    }
    add(&fixture, "1000 100 rooted\n");
    ck_assert_int_eq(chmod(fixture.path, 0600), 0);
    /* The process's effective user is another one; the file system's stays root. */
    ck_assert_int_eq(seteuid(65534), 0);
    begin(&fixture);
    ck_assert_int_eq(seteuid(0), 0);
    check_name(&fixture, frame_at(&fixture, 0x1040, SECOND_NS), "");
    ck_assert_int_eq(chmod(fixture.path, 0644), 0);
    check_name(&fixture, frame_at(&fixture, 0x1041, (uint64_t)2 * SECOND_NS), "rooted");
    fixture_free(&fixture);
}
END_TEST

START_TEST(a_map_older_than_the_process_is_another_ones)
{
    struct fixture fixture = fixture_new();
    add(&fixture, "1000 100 stale\n");
    struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    ck_assert_int_eq(utimensat(AT_FDCWD, fixture.path, old, 0), 0);
    check_refused(&fixture);
    fixture_free(&fixture);
}
END_TEST

START_TEST(ticks_by_line_are_those_of_leaves)
{
    struct profile *profile = profile_new();
    metric_id ticks = profile_add_metric(profile, "cpu", "ticks");
    frame_id frames[2];
    for (uint64_t i = 0; i < 2; i++)
        frames[i] = profile_add_frame(profile, &(struct frame){.function = 1, .address = i + 1});
    node_id leaf = profile_add_stack(profile, 0, frames, 2);
    profile_add_self(profile, ticks, leaf, 5);
    frame_lines lines = {0};
    frame_lines_apply(&lines, profile, ticks);
    ck_assert_uint_eq(profile->lines.count, 0);
    for (uint32_t i = 0; i < 2; i++)
        vec_append(&lines, ((struct frame_line){frames[i], 10 + i}));
    frame_lines_apply(&lines, profile, ticks);
    ck_assert_uint_eq(profile->lines.count, 1);
    ck_assert_uint_eq(profile->lines.items[0].node, leaf);
    ck_assert_uint_eq(profile->lines.items[0].line, 10);
    ck_assert_uint_eq(profile->lines.items[0].ticks, 5);
    vec_release(&lines);
    profile_free(profile);
}
END_TEST

UNIT_MAIN("jit_names", a_function_has_its_name_place_and_kind,
          a_name_that_comes_later_is_given_to_the_frame,
          an_address_that_is_used_again_is_asked_for_again,
          another_file_of_that_name_is_read_instead, a_symbolic_link_is_refused,
          what_is_no_regular_file_is_refused, a_map_of_another_user_is_refused,
          a_map_of_root_is_taken_if_the_process_could_read_it,
          a_map_older_than_the_process_is_another_ones, ticks_by_line_are_those_of_leaves)
