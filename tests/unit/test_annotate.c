#include "symbolize/annotate.h"

#include "symbolize/symbolize.h"
#include "symbolize/symbols.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <string.h>

/* Each mark is a symbol in the code; inner is inlined into middle, and that twice into outer. */
static const char library_source[] =
    "#define MARK(name, value) __asm__ volatile(\".globl \" #name \"\\n\" #name \": nop\\nnop\" : "
    "\"+r\"(value))\n"
    "static inline __attribute__((always_inline)) int inner(int x)\n"  /* 2 */
    "{\n"                                                              /* 3 */
    "    __asm__ volatile(\"nop\" : \"+r\"(x));\n"                     /* 4 */
    "    return x * 3;\n"                                              /* 5 */
    "}\n"                                                              /* 6 */
    "static inline __attribute__((always_inline)) int middle(int x)\n" /* 7 */
    "{\n"                                                              /* 8 */
    "\tMARK(mark_middle, x);\n"                                        /* 9 */
    "    return inner(x) + 1;\n"                                       /* 10 */
    "}\n"                                                              /* 11 */
    "__attribute__((noinline)) int outer(int x)\n"                     /* 12 */
    "{\n"                                                              /* 13 */
    "    int y = middle(x);\n"                                         /* 14 */
    "    MARK(mark_outer, y);\n"                                       /* 15 */
    "    return y ^ x;\n"                                              /* 16 */
    "}\n"                                                              /* 17 */
    "int caller(int x);\n"                                             /* 18 */
    "int caller(int x)\n"                                              /* 19 */
    "{\n"                                                              /* 20 */
    "    return outer(x) + 2;\n"                                       /* 21 */
    "}\n";

struct fixture {
    struct profile *raw, *named;
    struct modules *modules;
    metric_id cpu;
};

static void library_build(const char *compiler, const char *flags)
{
    static const char hidden[] = "{ local: *; };\n";
    scratch_write("app.c", library_source, sizeof library_source - 1);
    scratch_write("hidden", hidden, sizeof hidden - 1);
    scratch_run("%s -O2 -fPIC -shared -nostdlib -fno-inline-small-functions -Wl,--build-id=sha1 "
                "-o libapp.so \"$PWD\"/app.c %s",
                compiler, flags);
}

static struct fixture fixture_start(const char *compiler, const char *flags)
{
    struct fixture fixture = {.raw = profile_new()};
    scratch_enter();
    library_build(compiler, flags);
    _cleanup_free_ char *path = scratch_path("libapp.so");
    profile_add_module(fixture.raw, path, "");
    profile_add_module(fixture.raw, "[anon]", "");
    fixture.modules = modules_open_stored(fixture.raw);
    ck_assert_ptr_nonnull(fixture.modules->items.items[1]->elf);
    fixture.cpu = profile_add_metric(fixture.raw, "cpu", "ticks");
    return fixture;
}

static void fixture_end(struct fixture *fixture)
{
    profile_free(fixture->raw);
    profile_free(fixture->named);
    modules_free(fixture->modules);
    scratch_leave();
}

static uint64_t address_of(const struct fixture *fixture, const char *name)
{
    struct symbols *symbols = symbols_new(&fixture->modules->items.items[1]->elf, 1);
    struct symbol symbol;
    ck_assert_msg(symbols_find_name(symbols, name, &symbol), "no symbol %s", name);
    symbols_free(symbols);
    return symbol.address;
}

static void add_ticks(struct fixture *fixture, struct frame frame, uint64_t ticks)
{
    node_id node = profile_add_node(fixture->raw, 0, profile_add_frame(fixture->raw, &frame));
    profile_add_self(fixture->raw, fixture->cpu, node, ticks);
}

static void add_code(struct fixture *fixture, uint64_t address, uint64_t ticks)
{
    add_ticks(fixture, (struct frame){.module = 1, .address = address, .kind = FRAME_NATIVE},
              ticks);
}

/* Names what was added; the modules are opened again, as by who reads the profile from a file. */
static void fixture_name(struct fixture *fixture)
{
    fixture->named = symbolize_profile(fixture->raw, fixture->modules);
    modules_free(fixture->modules);
    fixture->modules = modules_open_stored(fixture->named);
}

/* The usual ticks: 5 in outer itself, 7 in middle, 11 in inner, 13 in caller. */
static struct fixture fixture_usual(const char *compiler, const char *flags)
{
    struct fixture fixture = fixture_start(compiler, flags);
    uint64_t middle = address_of(&fixture, "mark_middle");
    unsigned nop = fixture.modules->items.items[1]->elf->machine == 183 /* EM_AARCH64 */ ? 4 : 1;
    add_code(&fixture, address_of(&fixture, "mark_outer"), 5);
    add_code(&fixture, middle, 7);
    add_code(&fixture, middle + 2 * (uint64_t)nop, 11);
    add_code(&fixture, address_of(&fixture, "caller"), 13);
    fixture_name(&fixture);
    return fixture;
}

static struct annotation *annotated(const struct fixture *fixture, const char *function)
{
    struct annotation *annotation = NULL;
    struct error err;
    struct annotate_options options = {.function =
                                           strings_intern(&fixture->named->strings, function)};
    ck_assert_msg(!annotate(fixture->named, fixture->modules, &options, &annotation, &err), "%s",
                  err.text);
    return annotation;
}

static void expect_failure(const struct fixture *fixture, const char *function, const char *text)
{
    struct annotation *annotation = NULL;
    struct error err;
    struct annotate_options options = {.function =
                                           strings_intern(&fixture->named->strings, function)};
    ck_assert_int_eq(annotate(fixture->named, fixture->modules, &options, &annotation, &err), -1);
    ck_assert_msg(strstr(err.text, text) != NULL, "\"%s\" is not in: %s", text, err.text);
    ck_assert_ptr_null(annotation);
}

static const struct annotated_instruction *with_ticks(const struct annotation *annotation,
                                                      uint64_t ticks)
{
    const struct annotated_instruction *found = NULL;
    for (size_t i = 0; i < annotation->instructions.count; i++)
        if (annotation->instructions.items[i].ticks == ticks) {
            ck_assert_ptr_null(found);
            found = &annotation->instructions.items[i];
        }
    ck_assert_msg(found != NULL, "no instruction with %lu ticks", (long)ticks);
    return found;
}

static uint64_t instruction_ticks(const struct annotation *annotation)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < annotation->instructions.count; i++)
        sum += annotation->instructions.items[i].ticks;
    return sum;
}

static uint64_t line_ticks(const struct annotation *annotation, uint32_t line)
{
    for (size_t i = 0; i < annotation->lines.count; i++)
        if (annotation->lines.items[i].line == line)
            return annotation->lines.items[i].ticks;
    return 0;
}

static uint32_t expect_place(const struct annotation *annotation, uint32_t place,
                             const char *function, uint32_t line)
{
    const struct annotated_place *at = &annotation->places.items[place];
    ck_assert_uint_ne(place, 0);
    ck_assert_str_eq(annotation_string(annotation, at->function), function);
    ck_assert_uint_eq(at->line, line);
    ck_assert_uint_lt(at->caller, place);
    return at->caller;
}

static void check_outer(const struct fixture *fixture)
{
    _cleanup_annotation_ struct annotation *annotation = annotated(fixture, "outer");
    ck_assert_uint_eq(annotation->ticks, 23);
    ck_assert_uint_eq(annotation->self, 5);
    ck_assert_uint_eq(annotation->total, 36);
    ck_assert_uint_eq(instruction_ticks(annotation), 23);
    ck_assert_uint_eq(annotation->notes.count, 0);
    ck_assert_uint_eq(annotation->code.count, 1);
    const struct annotated_code *code = &annotation->code.items[0];
    ck_assert(!code->inlined);
    ck_assert_uint_eq(code->address, address_of(fixture, "outer"));
    ck_assert_uint_eq(strlen(annotation_string(annotation, code->build_id)), 40);
    /* All of the symbol's code, in order and without a hole. */
    uint64_t next = code->address;
    for (uint32_t i = 0; i < code->count; i++) {
        ck_assert_uint_eq(annotation->instructions.items[code->first + i].address, next);
        next += annotation->instructions.items[code->first + i].size;
    }
    ck_assert_uint_eq(next, code->address + code->size);

    const struct annotated_instruction *in_inner = with_ticks(annotation, 11);
    uint32_t place = expect_place(annotation, in_inner->place, "inner", 4);
    place = expect_place(annotation, place, "middle", 10);
    ck_assert_uint_eq(expect_place(annotation, place, "outer", 14), 0);
    ck_assert_uint_eq(annotation->lines.items[in_inner->line].line, 14);
    ck_assert_str_eq(annotation_string(annotation, in_inner->text), "nop");
    ck_assert_uint_eq(line_ticks(annotation, 14), 18);
    ck_assert_uint_eq(line_ticks(annotation, 15), 5);
}

static void expect_source(const struct annotation *annotation, size_t index, uint32_t line,
                          const char *source)
{
    ck_assert_uint_lt(index, annotation->lines.count);
    ck_assert_uint_eq(annotation->lines.items[index].line, line);
    ck_assert_str_eq(annotation_string(annotation, annotation->lines.items[index].source), source);
}

START_TEST(a_function_with_what_is_inlined_into_it)
{
    struct fixture fixture = fixture_usual("${CC:-cc}", "-g");
    check_outer(&fixture);
    _cleanup_annotation_ struct annotation *annotation = annotated(&fixture, "outer");
    expect_source(annotation, 0, 12, "__attribute__((noinline)) int outer(int x)");
    expect_source(annotation, 1, 13, "{");
    expect_source(annotation, 2, 14, "    int y = middle(x);");
    ck_assert(annotation->files.items[0].readable);
    fixture_end(&fixture);
}
END_TEST

/* The same of a library for another machine. */
START_TEST(arm64_code)
{
    if (system("command -v aarch64-linux-gnu-gcc >/dev/null") != 0) {
        puts("no aarch64-linux-gnu-gcc here: not tested");
        return;
    }
    struct fixture fixture = fixture_usual("aarch64-linux-gnu-gcc", "-g");
    check_outer(&fixture);
    fixture_end(&fixture);
}
END_TEST

START_TEST(inlined_copies_of_a_function)
{
    struct fixture fixture = fixture_usual("${CC:-cc}", "-g");
    _cleanup_annotation_ struct annotation *inner = annotated(&fixture, "inner");
    ck_assert_uint_eq(inner->ticks, 11);
    ck_assert_uint_eq(inner->self, 11);
    ck_assert_uint_eq(inner->code.count, 1);
    ck_assert(inner->code.items[0].inlined);
    ck_assert_str_eq(annotation_string(inner, inner->code.items[0].function), "outer");
    ck_assert_uint_eq(line_ticks(inner, 4), 11);
    /* Only its own instructions, not the marks of the others. */
    for (size_t i = 0; i < inner->instructions.count; i++)
        expect_place(inner, inner->instructions.items[i].place, "inner",
                     inner->places.items[inner->instructions.items[i].place].line);
    _cleanup_annotation_ struct annotation *middle = annotated(&fixture, "middle");
    ck_assert_uint_eq(middle->ticks, 18);
    ck_assert_uint_eq(middle->self, 7);
    ck_assert_uint_eq(line_ticks(middle, 9), 7);
    ck_assert_uint_eq(line_ticks(middle, 10), 11);
    ck_assert_uint_lt(middle->instructions.count, inner->instructions.count + 8);
    fixture_end(&fixture);
}
END_TEST

START_TEST(without_debug_information)
{
    struct fixture fixture = fixture_usual("${CC:-cc}", "-g0");
    /* The marks are symbols without a size, and outer's covers them. */
    _cleanup_annotation_ struct annotation *annotation = annotated(&fixture, "outer");
    ck_assert_uint_eq(annotation->ticks, 23);
    ck_assert_uint_eq(annotation->self, 23);
    ck_assert_uint_eq(annotation->lines.count, 0);
    ck_assert_uint_eq(with_ticks(annotation, 11)->line, ANNOTATION_NO_LINE);
    ck_assert_uint_eq(instruction_ticks(annotation), 23);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_separate_debug_file)
{
    struct fixture fixture =
        fixture_usual("${CC:-cc}", "-g && objcopy --only-keep-debug libapp.so libapp.so.debug && "
                                   "objcopy --strip-unneeded libapp.so && "
                                   "objcopy --add-gnu-debuglink=libapp.so.debug libapp.so");
    check_outer(&fixture);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_tick_within_an_instruction)
{
    struct fixture fixture = fixture_start("${CC:-cc}", "-g");
    uint64_t start = address_of(&fixture, "outer");
    /* Every byte of the function once: no tick gets lost, wherever instructions begin. */
    for (uint64_t i = 0; i < 16; i++)
        add_code(&fixture, start + i, 1);
    fixture_name(&fixture);
    _cleanup_annotation_ struct annotation *annotation = annotated(&fixture, "outer");
    ck_assert_uint_eq(annotation->ticks, 16);
    ck_assert_uint_eq(instruction_ticks(annotation), 16);
    for (size_t i = 0; i < annotation->instructions.count; i++) {
        const struct annotated_instruction *row = &annotation->instructions.items[i];
        uint64_t end = row->address + row->size - start;
        uint64_t expected = end <= 16                   ? row->size
                            : row->address - start < 16 ? 16 - (row->address - start)
                                                        : 0;
        ck_assert_uint_eq(row->ticks, expected);
    }
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_file_that_changed_is_refused_with_both_ids)
{
    struct fixture fixture = fixture_usual("${CC:-cc}", "-g");
    char recorded[65];
    strcpy(recorded, fixture.modules->items.items[1]->elf->build_id);
    library_build("${CC:-cc}", "-g -DCHANGED -falign-functions=64");
    modules_free(fixture.modules);
    fixture.modules = modules_open_stored(fixture.named);
    expect_failure(&fixture, "outer", recorded);
    expect_failure(&fixture, "outer", "changed since");
    expect_failure(&fixture, "inner", recorded);
    ck_assert_int_eq(remove("libapp.so"), 0);
    modules_free(fixture.modules);
    fixture.modules = modules_open_stored(fixture.named);
    expect_failure(&fixture, "outer", "No such file");
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_file_without_a_build_id)
{
    struct fixture fixture = fixture_usual("${CC:-cc}", "-g -Wl,--build-id=none");
    _cleanup_annotation_ struct annotation *annotation = annotated(&fixture, "outer");
    ck_assert_uint_eq(annotation->ticks, 23);
    ck_assert_uint_eq(annotation->notes.count, 1);
    ck_assert_ptr_nonnull(
        strstr(annotation_string(annotation, annotation->notes.items[0]), "had no build-id"));
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_file_that_was_stripped)
{
    struct fixture fixture = fixture_usual("${CC:-cc}", "-g -Wl,--version-script=hidden");
    scratch_run("objcopy --strip-all libapp.so stripped.so && mv stripped.so libapp.so");
    modules_free(fixture.modules);
    fixture.modules = modules_open_stored(fixture.named);
    expect_failure(&fixture, "outer", "stripped");
    fixture_end(&fixture);
}
END_TEST

START_TEST(sources_that_are_gone_or_elsewhere)
{
    struct fixture fixture = fixture_usual("${CC:-cc}", "-g");
    ck_assert_int_eq(remove("app.c"), 0);
    struct annotation *annotation = annotated(&fixture, "outer");
    ck_assert(!annotation->files.items[0].readable);
    ck_assert_uint_eq(annotation->notes.count, 1);
    ck_assert_ptr_nonnull(
        strstr(annotation_string(annotation, annotation->notes.items[0]), "app.c"));
    ck_assert_uint_eq(line_ticks(annotation, 14), 18);
    annotation_free(annotation);

    /* Below a root, in lines that are too long or have a carriage return. */
    _cleanup_free_ char *root = scratch_path("root");
    scratch_run("mkdir -p root/$PWD");
    _cleanup_free_ char *path = xasprintf("root/%s/app.c", scratch_directory);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    for (int i = 1; i <= 14; i++)
        fprintf(file, "line %d%s\n", i, i == 13 ? "\r" : "");
    for (int i = 0; i < 4000; i++)
        fputs("x", file);
    ck_assert_int_eq(fclose(file), 0);
    struct error err;
    struct annotate_options options = {.function = strings_intern(&fixture.named->strings, "outer"),
                                       .source_root = root};
    ck_assert(!annotate(fixture.named, fixture.modules, &options, &annotation, &err));
    ck_assert_uint_eq(annotation->notes.count, 0);
    expect_source(annotation, 1, 13, "line 13");
    expect_source(annotation, 2, 14, "line 14");
    const char *cut = annotation_string(annotation, annotation->lines.items[3].source);
    ck_assert_uint_lt(strlen(cut), 1100);
    ck_assert_ptr_nonnull(strstr(cut, "x …"));
    /* The file ends before the function does. */
    expect_source(annotation, 4, 16, "");
    annotation_free(annotation);
    fixture_end(&fixture);
}
END_TEST

START_TEST(what_has_no_code)
{
    struct fixture fixture = fixture_start("${CC:-cc}", "-g");
    struct strings *strings = &fixture.raw->strings;
    add_ticks(
        &fixture,
        (struct frame){.function = strings_intern(strings, "in_kernel"), .kind = FRAME_KERNEL}, 3);
    add_ticks(&fixture,
              (struct frame){
                  .function = strings_intern(strings, "jit"), .module = 2, .kind = FRAME_NATIVE},
              3);
    add_code(&fixture, address_of(&fixture, "mark_outer"), 1);
    fixture_name(&fixture);
    expect_failure(&fixture, "in_kernel", "kernel code");
    expect_failure(&fixture, "jit", "no ticks in the code");
    expect_failure(&fixture, "caller", "no ticks in the code");
    node_id node = 0;
    for (node_id i = 1; i < fixture.named->nodes.count; i++)
        if (!strcmp("jit",
                    profile_string(fixture.named, profile_frame_of(fixture.named, i)->function)))
            node = i;
    profile_add_address(fixture.named, node, profile_frame_of(fixture.named, node)->module, 0x1234,
                        3);
    expect_failure(&fixture, "jit", "made at run time");
    fixture.named->addresses.count = 0;
    expect_failure(&fixture, "outer", "no addresses");
    fixture_end(&fixture);
}
END_TEST

START_TEST(lines_of_javascript)
{
    struct profile *profile = profile_new();
    scratch_enter();
    scratch_write("a.js", "one\ntwo\nthree\nfour\n", 19);
    _cleanup_free_ char *url = xasprintf("file://%s/a.js", scratch_directory);
    struct frame frame = {.function = strings_intern(&profile->strings, "handle"),
                          .file = strings_intern(&profile->strings, url),
                          .line = 2,
                          .column = 1,
                          .script = 9,
                          .kind = FRAME_JAVASCRIPT};
    node_id node = profile_add_node(profile, 0, profile_add_frame(profile, &frame));
    profile_add_self(profile, profile_add_metric(profile, "cpu", "ticks"), node, 10);
    struct fixture fixture = {.named = profile, .modules = modules_open_stored(profile)};
    expect_failure(&fixture, "handle", "no lines");
    profile_add_line(profile, node, 4, 8);
    _cleanup_annotation_ struct annotation *annotation = annotated(&fixture, "handle");
    ck_assert_uint_eq(annotation->ticks, 10);
    ck_assert_uint_eq(annotation->code.count, 0);
    ck_assert_uint_eq(annotation->lines.count, 3);
    expect_source(annotation, 0, 2, "two");
    expect_source(annotation, 2, 4, "four");
    ck_assert_uint_eq(line_ticks(annotation, 4), 8);
    ck_assert_ptr_nonnull(
        strstr(annotation_string(annotation, annotation->notes.items[0]), "2 ticks have no line"));
    fixture_end(&fixture);
}
END_TEST

static node_id add_script(struct profile *profile, node_id parent, const char *name, string_id file,
                          enum code_tier tier)
{
    struct frame frame = {.function = strings_intern(&profile->strings, name),
                          .file = file,
                          .line = 2,
                          .kind = FRAME_JAVASCRIPT,
                          .tier = tier};
    return profile_add_node(profile, parent, profile_add_frame(profile, &frame));
}

static void expect_total(const struct annotation *annotation, uint32_t line, uint64_t self,
                         uint64_t total)
{
    ck_assert_uint_eq(line_ticks(annotation, line), self);
    for (size_t i = 0; i < annotation->lines.count; i++)
        if (annotation->lines.items[i].line == line)
            ck_assert_msg(annotation->lines.items[i].total == total, "line %u: %lu, not %lu", line,
                          (long)annotation->lines.items[i].total, (long)total);
}

/* One stack: nodes of walk and leaf, each with the line that it stood in. */
struct walk_frame {
    const char *name;
    uint32_t line;
};

static void add_walk(struct profile *profile, const struct walk_frame *frames, size_t count,
                     uint64_t ticks, bool *lines_of_walk)
{
    string_id file = strings_intern(&profile->strings, "/none/w.js");
    node_id node = 0;
    for (size_t i = 0; i < count; i++) {
        enum code_tier tier = (enum code_tier)(frames[i].line % CODE_TIERS);
        node = add_script(profile, node, frames[i].name, file, tier);
        if (i)
            profile_add_call_line(profile, node, frames[i - 1].line, ticks);
        if (*frames[i].name == 'w')
            lines_of_walk[frames[i].line] = true;
    }
    profile_add_line(profile, node, frames[count - 1].line, ticks);
    profile_add_self(profile, 0, node, ticks);
}

/*
 * Random stacks of a recursive function in several tiers. Here the tier tells the line, so that no
 * call is seen in two lines, and the totals must be exact: those of counting each stack by hand.
 */
START_TEST(totals_of_javascript_lines)
{
    enum { LINES = CODE_TIERS };
    static const char *const names[] = {"walk", "other", "walk"};
    uint32_t random = 5;
    for (int round = 0; round < 30; round++) {
        struct profile *profile = profile_new();
        profile_add_metric(profile, "cpu", "ticks");
        uint64_t totals[LINES + 1] = {0}, selves[LINES + 1] = {0}, with_calls = 0, self = 0;
        for (int stack = 0; stack < 40; stack++) {
            struct walk_frame frames[6];
            bool seen[LINES + 1] = {false}, any = false;
            random = random * 1664525 + 1013904223;
            size_t count = 1 + (random >> 8) % 6;
            uint64_t ticks = 1 + (random >> 16) % 9;
            for (size_t i = 0; i < count; i++) {
                random = random * 1664525 + 1013904223;
                frames[i] =
                    (struct walk_frame){names[(random >> 8) % 3], 1 + (random >> 16) % LINES};
            }
            add_walk(profile, frames, count, ticks, seen);
            for (uint32_t line = 1; line <= LINES; line++) {
                totals[line] += seen[line] ? ticks : 0;
                any |= seen[line];
            }
            with_calls += any ? ticks : 0;
            if (*frames[count - 1].name == 'w') {
                selves[frames[count - 1].line] += ticks;
                self += ticks;
            }
        }
        struct fixture fixture = {.named = profile, .modules = modules_open_stored(profile)};
        _cleanup_annotation_ struct annotation *annotation = annotated(&fixture, "walk");
        ck_assert(annotation->has_totals);
        for (size_t i = 0; i < annotation->notes.count; i++)
            ck_assert_ptr_null(
                strstr(annotation_string(annotation, annotation->notes.items[i]), "several lines"));
        ck_assert_uint_eq(annotation->with_calls, with_calls);
        ck_assert_uint_eq(annotation->self, self);
        for (uint32_t line = 1; line <= LINES; line++)
            expect_total(annotation, line, selves[line], totals[line]);
        modules_free(fixture.modules);
        profile_free(profile);
    }
}
END_TEST

/* Which line an outer call had is not known of the single stack. */
START_TEST(recursion_from_several_lines)
{
    struct profile *profile = profile_new();
    string_id file = strings_intern(&profile->strings, "/none/w.js");
    node_id outer = add_script(profile, 0, "walk", file, TIER_OPTIMIZED);
    node_id inner = add_script(profile, outer, "walk", file, TIER_OPTIMIZED);
    profile_add_self(profile, profile_add_metric(profile, "cpu", "ticks"), inner, 10);
    profile_add_line(profile, inner, 5, 10);
    profile_add_call_line(profile, inner, 5, 4);
    profile_add_call_line(profile, inner, 6, 6);
    struct fixture fixture = {.named = profile, .modules = modules_open_stored(profile)};
    _cleanup_annotation_ struct annotation *annotation = annotated(&fixture, "walk");
    expect_total(annotation, 5, 10, 10);
    expect_total(annotation, 6, 0, 6);
    ck_assert_uint_eq(annotation->with_calls, 10);
    ck_assert_ptr_nonnull(
        strstr(annotation_string(annotation, annotation->notes.items[0]), "several lines"));
    modules_free(fixture.modules);
    profile_free(profile);
}
END_TEST

/* A function may do nothing but call. */
START_TEST(javascript_that_only_calls)
{
    struct profile *profile = profile_new();
    scratch_enter();
    scratch_write("a b.js", "one\ntwo\nthree\nfour\n", 19);
    _cleanup_free_ char *url = xasprintf("file://%s/a%%20b.js", scratch_directory);
    string_id file = strings_intern(&profile->strings, url);
    node_id outer = add_script(profile, 0, "outer", file, TIER_BASELINE);
    node_id inner = add_script(profile, outer, "inner", file, TIER_OPTIMIZED);
    node_id again = add_script(profile, outer, "inner", file, TIER_INTERPRETED);
    profile_add_self(profile, profile_add_metric(profile, "cpu", "ticks"), inner, 10);
    profile_add_self(profile, 0, again, 5);
    profile_add_call_line(profile, inner, 3, 6);
    profile_add_call_line(profile, inner, 4, 4);
    profile_add_call_line(profile, again, 3, 5);
    profile_add_line(profile, inner, 3, 10);
    profile_add_line(profile, again, 3, 5);
    struct fixture fixture = {.named = profile, .modules = modules_open_stored(profile)};
    _cleanup_annotation_ struct annotation *of_outer = annotated(&fixture, "outer");
    ck_assert_uint_eq(of_outer->ticks, 0);
    ck_assert_uint_eq(of_outer->with_calls, 15);
    expect_total(of_outer, 3, 0, 11);
    expect_total(of_outer, 4, 0, 4);
    expect_source(of_outer, 1, 3, "three");
    _cleanup_annotation_ struct annotation *of_inner = annotated(&fixture, "inner");
    ck_assert_uint_eq(of_inner->ticks, 15);
    expect_total(of_inner, 3, 15, 15);
    fixture_end(&fixture);
}
END_TEST

UNIT_MAIN("annotate", a_function_with_what_is_inlined_into_it, arm64_code,
          inlined_copies_of_a_function, without_debug_information, a_separate_debug_file,
          a_tick_within_an_instruction, a_file_that_changed_is_refused_with_both_ids,
          a_file_without_a_build_id, a_file_that_was_stripped, sources_that_are_gone_or_elsewhere,
          what_has_no_code, lines_of_javascript, totals_of_javascript_lines,
          recursion_from_several_lines, javascript_that_only_calls)
