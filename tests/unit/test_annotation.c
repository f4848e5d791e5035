#include "output/annotation.h"

#include "output/json.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"
#include "tests/unit/written.h"

#include <string.h>

static string_id intern(struct annotation *a, const char *text)
{
    return strings_intern(&a->strings, text);
}

/* hot(int), with size() inlined into its second line: 100 ticks, 30 of its own. */
static struct annotation *example(void)
{
    struct annotation *a = annotation_new();
    a->function = intern(a, "hot(int)");
    a->ticks = 100;
    a->self = 30;
    a->total = 400;
    string_id file = intern(a, "/src/hot.cc");
    *vec_push(&a->files) = (struct annotated_file){file, 10, 100, true};
    *vec_push(&a->lines) = (struct annotated_line){0, 10, 0, 0, intern(a, "int hot(int x)")};
    *vec_push(&a->lines) = (struct annotated_line){0, 11, 99, 0,
                                                   intern(a, "\tadd(\x1b"
                                                             "x);")};
    *vec_push(&a->lines) = (struct annotated_line){0, 12, 1, 0, intern(a, "}")};
    *vec_push(&a->places) = (struct annotated_place){0, a->function, file, 11};
    *vec_push(&a->places) =
        (struct annotated_place){1, intern(a, "box::size() const"), intern(a, "/inc/box.h"), 7};
    *vec_push(&a->places) = (struct annotated_place){0, a->function, file, 12};
    static const struct {
        const char *text;
        uint64_t ticks;
        uint32_t place, line;
    } rows[] = {
        {"push %rbp", 0, 1, 1},
        {"mov %rax, %rbx", 0, 1, 1},
        {"mov %rsp, %rbp", 0, 1, 1},
        {"add $1, %rax", 29, 1, 1},
        {"mov (%rax), %rax", 70, 2, 1},
        {"nop", 0, 1, 1},
        {"nopl", 0, 1, 1},
        {"ret", 1, 3, 2},
    };
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++)
        *vec_push(&a->instructions) =
            (struct annotated_instruction){.address = 0x1000 + 4 * (uint64_t)i,
                                           .ticks = rows[i].ticks,
                                           .text = intern(a, rows[i].text),
                                           .place = rows[i].place,
                                           .line = rows[i].line,
                                           .size = 4};
    *vec_push(&a->code) = (struct annotated_code){.module = intern(a, "/lib/libhot.so"),
                                                  .build_id = intern(a, "abcd"),
                                                  .function = a->function,
                                                  .address = 0x1000,
                                                  .size = 32,
                                                  .ticks = 100,
                                                  .self = 30,
                                                  .count = 8};
    vec_append(&a->notes, intern(a, "something is missing"));
    return a;
}

static char *printed(const struct annotation *annotation, struct annotation_options options,
                     bool json)
{
    scratch_enter();
    struct output_file file = written_open();
    options.file_name = "a.cpuprofile";
    if (json)
        annotation_json(&file, annotation, &options);
    else
        annotation_text(&file, annotation, &options);
    char *text = written_text(&file);
    scratch_leave();
    return text;
}

static void expect_text(enum annotation_view view, const char *expected)
{
    static const char header[] =
        "hot(int): 100 ticks, 25.0% of the 400 in a.cpuprofile; 30 of its own, the rest of what "
        "is inlined into it.\n"
        "In /lib/libhot.so, build-id abcd.\n"
        "Note: something is missing.\n";
    _cleanup_annotation_ struct annotation *annotation = example();
    _cleanup_free_ char *text =
        printed(annotation, (struct annotation_options){.view = view}, false);
    _cleanup_free_ char *whole = xasprintf("%s%s", header, expected);
    ck_assert_str_eq(text, whole);
}

START_TEST(source_with_hot_instructions)
{
    expect_text(ANNOTATION_MIXED, "\n [/src/hot.cc]:\n"
                                  "   ticks  share    line  source\n"
                                  "                     10  int hot(int x)\n"
                                  "     99   99.0%      11          add(\\x1bx);\n"
                                  "                       1004:  mov %rax, %rbx\n"
                                  "                       1008:  mov %rsp, %rbp\n"
                                  "     29   29.0%        100c:  add $1, %rax\n"
                                  "     70   70.0%        1010:  mov (%rax), %rax"
                                  "                            ; box::size box.h:7\n"
                                  "                       1014:  nop\n"
                                  "      1    1.0%      12  }\n"
                                  "      1    1.0%        101c:  ret\n");
}
END_TEST

START_TEST(source_alone)
{
    expect_text(ANNOTATION_SOURCE, "\n [/src/hot.cc]:\n"
                                   "   ticks  share    line  source\n"
                                   "                     10  int hot(int x)\n"
                                   "     99   99.0%      11          add(\\x1bx);\n"
                                   "      1    1.0%      12  }\n");
}
END_TEST

START_TEST(instructions_with_what_they_are_from)
{
    expect_text(ANNOTATION_CODE, "\n [hot(int) in libhot.so]: 100 ticks\n"
                                 "   ticks  share     address  instruction\n"
                                 "                 hot.cc:11\n"
                                 "                       1000:  push %rbp\n"
                                 "                       1004:  mov %rax, %rbx\n"
                                 "                       1008:  mov %rsp, %rbp\n"
                                 "     29   29.0%        100c:  add $1, %rax\n"
                                 "                   box::size box.h:7\n"
                                 "     70   70.0%        1010:  mov (%rax), %rax\n"
                                 "                 hot.cc:11\n"
                                 "                       1014:  nop\n"
                                 "                       1018:  nopl\n"
                                 "                 hot.cc:12\n"
                                 "      1    1.0%        101c:  ret\n");
}
END_TEST

START_TEST(without_source_it_is_instructions)
{
    _cleanup_annotation_ struct annotation *annotation = example();
    annotation->files.items[0].readable = false;
    _cleanup_free_ char *mixed = printed(annotation, (struct annotation_options){0}, false);
    _cleanup_free_ char *code =
        printed(annotation, (struct annotation_options){.view = ANNOTATION_CODE}, false);
    ck_assert_str_eq(mixed, code);
    /* JavaScript has none: then lines without their text. */
    annotation->code.count = 0;
    _cleanup_free_ char *lines = printed(annotation, (struct annotation_options){0}, false);
    ck_assert_ptr_nonnull(strstr(lines, "     99   99.0%      11  "));
}
END_TEST

START_TEST(an_inlined_copy)
{
    _cleanup_annotation_ struct annotation *annotation = example();
    struct annotated_code *code = &annotation->code.items[0];
    code->inlined = true;
    code->function = intern(annotation, "outer(\x1b)");
    annotation->instructions.items[1].address = 0x2000;
    _cleanup_free_ char *text =
        printed(annotation, (struct annotation_options){.view = ANNOTATION_CODE}, false);
    ck_assert_ptr_nonnull(strstr(text, " [inlined into outer(\\x1b) in libhot.so]: 100 ticks\n"));
    ck_assert_ptr_nonnull(strstr(text, "push %rbp\n                        ...\n"));
}
END_TEST

START_TEST(colours_by_heat)
{
    _cleanup_annotation_ struct annotation *annotation = example();
    _cleanup_free_ char *text =
        printed(annotation, (struct annotation_options){.color = true}, false);
    ck_assert_ptr_nonnull(strstr(text, "  \033[31m   70   70.0%\033[0m  "));
    ck_assert_ptr_nonnull(strstr(text, "  \033[32m    1    1.0%\033[0m  "));
}
END_TEST

START_TEST(json)
{
    _cleanup_annotation_ struct annotation *annotation = example();
    annotation->instructions.count = annotation->code.items[0].count = 1;
    _cleanup_free_ char *text = printed(annotation, (struct annotation_options){0}, true);
    ck_assert_str_eq(
        text,
        "{\"schema\":1,\"file\":\"a.cpuprofile\",\"function\":\"hot(int)\",\n"
        "\"ticks\":100,\"self\":30,\"total_ticks\":400,\"with_calls\":null,\n"
        "\"notes\":[\"something is missing\"],\n"
        "\"lines\":[\n"
        "{\"file\":\"/src/hot.cc\",\"line\":10,\"ticks\":0,\"total\":null,\"source\":\"int hot(int x)\"},\n"
        "{\"file\":\"/src/hot.cc\",\"line\":11,\"ticks\":99,\"total\":null,\"source\":\"\\u0009add(\\u001bx);\"},\n"
        "{\"file\":\"/src/hot.cc\",\"line\":12,\"ticks\":1,\"total\":null,\"source\":\"}\"}],\n"
        "\"code\":[\n"
        "{\"function\":\"hot(int)\",\"module\":\"/lib/libhot.so\",\"build_id\":\"abcd\","
        "\"inlined\":false,\"address\":4096,\"size\":32,\"ticks\":100,\"self\":30,"
        "\"instructions\":[\n"
        "{\"address\":4096,\"size\":4,\"ticks\":0,\"text\":\"push %rbp\",\"frames\":["
        "{\"function\":\"hot(int)\",\"file\":\"/src/hot.cc\",\"line\":11}]}]}]}\n");
    _cleanup_free_ char *source =
        printed(annotation, (struct annotation_options){.view = ANNOTATION_SOURCE}, true);
    ck_assert_ptr_null(strstr(source, "\"code\""));
    _cleanup_free_ char *code =
        printed(annotation, (struct annotation_options){.view = ANNOTATION_CODE}, true);
    ck_assert_ptr_null(strstr(code, "\"lines\""));
}
END_TEST

/* JavaScript whose calls are known: what each line did itself, and with what it called. */
START_TEST(totals_beside_own_ticks)
{
    _cleanup_annotation_ struct annotation *annotation = annotation_new();
    annotation->function = intern(annotation, "handle");
    annotation->ticks = annotation->self = 10;
    annotation->total = 400;
    annotation->with_calls = 100;
    annotation->has_totals = true;
    *vec_push(&annotation->files) =
        (struct annotated_file){intern(annotation, "file:///a.js"), 2, 10, true};
    *vec_push(&annotation->lines) =
        (struct annotated_line){0, 2, 0, 0, intern(annotation, "function handle() {")};
    *vec_push(&annotation->lines) =
        (struct annotated_line){0, 3, 0, 95, intern(annotation, "  parse();")};
    *vec_push(&annotation->lines) =
        (struct annotated_line){0, 4, 10, 12, intern(annotation, "  return i++;")};
    _cleanup_free_ char *text =
        printed(annotation, (struct annotation_options){.view = ANNOTATION_SOURCE}, false);
    ck_assert_str_eq(text, "handle: 10 ticks, 2.5% of the 400 in a.cpuprofile; 100 with what it "
                           "calls.\n\n [file:///a.js]:\n"
                           "    self  share   total    line  source\n"
                           "                              2  function handle() {\n"
                           "                     95       3    parse();\n"
                           "     10  100.0%      12       4    return i++;\n");
    _cleanup_free_ char *json =
        printed(annotation, (struct annotation_options){.view = ANNOTATION_SOURCE}, true);
    ck_assert_ptr_nonnull(strstr(json, "\"total_ticks\":400,\"with_calls\":100,"));
    ck_assert_ptr_nonnull(strstr(json, "\"line\":2,\"ticks\":0,\"total\":0,"));
    ck_assert_ptr_nonnull(strstr(json, "\"line\":3,\"ticks\":0,\"total\":95,"));
}
END_TEST

UNIT_MAIN("annotation", source_with_hot_instructions, source_alone,
          instructions_with_what_they_are_from, without_source_it_is_instructions, an_inlined_copy,
          colours_by_heat, json, totals_beside_own_ticks)
