#include "core/alloc.h"
#include "symbolize/v8_function.h"
#include "symbolize/v8_string.h"
#include "tests/unit/unit.h"
#include "tests/v8_text_image.h"

static struct v8_image image;
static struct v8_heap heap;
static struct v8_scripts *scripts;
static struct strings strings;
static bool later; /* as V8 13.6 has it, else as 10.2 */

static void begin(bool is_later)
{
    memset(&image, 0, sizeof image);
    later = is_later;
    v8_image_heap(&image, &heap);
    v8_text_layout(&heap.layout, later);
    scripts = v8_scripts_new();
    strings = (struct strings){0};
}

static void end(void)
{
    v8_scripts_free(scripts);
    strings_release(&strings);
}

static void check_text(uint64_t string, size_t limit, const char *expected)
{
    _cleanup_free_ char *text = v8_string_text(&heap, string, limit);
    if (!expected) {
        ck_assert_msg(!text, "'%s' was read", text);
        return;
    }
    ck_assert_msg(text, "no text, not '%s'", expected);
    ck_assert_str_eq(text, expected);
}

START_TEST(test_flat_strings)
{
    static const uint16_t units[] = {'a',    0xe9,   0x6570, 0xd83d, 0xde00,
                                     0xdc00, 0xd800, 'z',    0xdbff};
    begin(true);
    check_text(v8_image_latin(&image, ""), 10, "");
    check_text(v8_image_latin(&image, "run"), 10, "run");
    check_text(v8_image_latin(&image, "r\xe9sum\xe9"), 10, "résumé");
    check_text(v8_image_latin(&image, "0123456789a"), 10, "0123456789…");
    check_text(v8_image_wide(&image, units, 9), 20, "aé数😀\ufffd\ufffdz\ufffd");
    check_text(v8_image_wide(&image, units, 9), 4, "aé数\ufffd…");
    end();
}
END_TEST

/* Characters outside of the heap: their address stands in the string, or in its resource. */
START_TEST(test_external_strings)
{
    begin(true);
    uint64_t chars = v8_image_room(&image, 64, 8), resource = v8_image_room(&image, 16, 8);
    memcpy(image.bytes + (chars - 1 - IMAGE_BASE), "node:fs", 7);
    v8_image_set(&image, resource, 8, chars - 1, 8);
    uint64_t cached = v8_image_made_of(&image, IMAGE_EXTERNAL | IMAGE_ONE_BYTE, 7, 0, chars - 1);
    uint64_t uncached = v8_image_made_of(&image, IMAGE_EXTERNAL | IMAGE_ONE_BYTE | IMAGE_UNCACHED,
                                         7, resource - 1, 0);
    check_text(cached, 10, "node:fs");
    check_text(uncached, 10, "node:fs");
    v8_image_set(&image, cached, 24, IMAGE_BASE + IMAGE_BYTES - 3, 8);
    check_text(cached, 10, NULL);
    v8_image_set(&image, cached, 12, INT32_MAX, 4);
    v8_image_set(&image, cached, 24, chars - 1, 8);
    check_text(cached, 7, "node:fs…");
    check_text(cached, SIZE_MAX, NULL);
    end();
}
END_TEST

START_TEST(test_made_strings)
{
    static const uint16_t high = 0xd83d, low = 0xde00;
    begin(true);
    uint64_t hello = v8_image_latin(&image, "hello "), world = v8_image_latin(&image, "world");
    uint64_t rope = v8_image_made_of(&image, IMAGE_CONS, 11, hello, world);
    uint64_t slice = v8_image_made_of(&image, IMAGE_SLICED, 6, rope, smi(3));
    check_text(rope, 100, "hello world");
    check_text(rope, 8, "hello wo…");
    check_text(slice, 100, "lo wor");
    check_text(v8_image_made_of(&image, IMAGE_THIN, 6, slice, 0), 100, "lo wor");
    check_text(v8_image_made_of(&image, IMAGE_CONS, 2, v8_image_wide(&image, &high, 1),
                                v8_image_wide(&image, &low, 1)),
               100, "😀");
    v8_image_set(&image, slice, 24, smi(6), 8);
    check_text(slice, 100, NULL);
    v8_image_set(&image, slice, 24, smi(-1), 8);
    check_text(slice, 100, NULL);
    v8_image_set(&image, rope, 24, image.meta, 8);
    check_text(rope, 100, NULL);
    end();
}
END_TEST

/* Text that grew by a character at a time leans to the left, or to the right. */
START_TEST(test_ropes)
{
    enum { DEPTH = 900 };
    for (int right = 0; right < 2; right++) {
        begin(true);
        uint64_t letter = v8_image_latin(&image, "x"), rope = letter;
        char expected[DEPTH + 1] = "";
        for (uint32_t i = 1; i < DEPTH; i++)
            rope = v8_image_made_of(&image, IMAGE_CONS, i + 1, right ? letter : rope,
                                    right ? rope : letter);
        memset(expected, 'x', DEPTH);
        check_text(rope, 5000, expected);
        end();
    }
}
END_TEST

/* What stands for itself has no text; the walk ends. */
START_TEST(test_circles)
{
    begin(true);
    uint64_t thin = v8_image_made_of(&image, IMAGE_THIN, 4, 0, 0);
    v8_image_set(&image, thin, 16, thin, 8);
    check_text(thin, 100, NULL);
    uint64_t rope = v8_image_made_of(&image, IMAGE_CONS, 4, 0, 0);
    v8_image_set(&image, rope, 16, rope, 8);
    v8_image_set(&image, rope, 24, rope, 8);
    check_text(rope, 100, NULL);
    end();
}
END_TEST

START_TEST(test_no_strings)
{
    begin(true);
    uint64_t text = v8_image_latin(&image, "run"), map = v8_image_map(&image, IMAGE_ONE_BYTE);
    check_text(0, 10, NULL);
    check_text(smi(5), 10, NULL);
    check_text(text - 1, 10, NULL);
    check_text(text | 3, 10, NULL);
    check_text(IMAGE_BASE + IMAGE_BYTES + 1, 10, NULL);
    check_text(v8_image_object(&image, 128, 32), 10, NULL);
    v8_image_set(&image, map, 0, map, 8); /* a map of another kind than that of all others */
    check_text(text, 10, "run");
    v8_image_set(&image, map, 0, text, 8);
    check_text(text, 10, NULL);
    end();
}
END_TEST

static void check_position(uint64_t script, uint32_t position, uint32_t line, uint32_t column)
{
    uint32_t found_line = 0, found_column = 0;
    ck_assert_msg(v8_script_position(&heap, scripts, script, position, &found_line, &found_column),
                  "no line for %u", position);
    ck_assert_msg(found_line == line && found_column == column, "%u is at %u:%u, not %u:%u",
                  position, found_line, found_column, line, column);
}

/* Lines end as in ECMA-262, 12.3; a column counts from the line's first unit. */
START_TEST(test_lines)
{
    static const uint16_t source[] = {'a',    '\n', '\n', 'b',    '\r', '\n',   0xe9,
                                      'c',    '\r', 'd',  0x2028, 'e',  0x2029, 0xd83d,
                                      0xde00, 'f',  '\r', '\r',   '\n', 'g'};
    static const struct {
        uint32_t position, line, column;
    } places[] = {{0, 1, 1}, {1, 1, 2}, {2, 2, 1},  {3, 3, 1},  {4, 3, 2},  {5, 3, 3},  {6, 4, 1},
                  {7, 4, 2}, {9, 5, 1}, {11, 6, 1}, {13, 7, 1}, {15, 7, 3}, {19, 9, 1}, {20, 9, 2}};
    static const uint32_t ends[] = {1, 2, 5, 8, 10, 12, 16, 18, 20};
    uint32_t line, column;
    for (int table = 0; table < 2; table++) {
        begin(true);
        uint64_t items[9];
        for (size_t i = 0; i < 9; i++)
            items[i] = smi((int32_t)ends[i]);
        uint64_t script = v8_image_script(&image, 0, v8_image_wide(&image, source, 20),
                                          table ? v8_image_array(&image, items, 9) : 0, 0, true);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            check_position(script, places[i].position, places[i].line, places[i].column);
        ck_assert(!v8_script_position(&heap, scripts, script, 21, &line, &column));
        v8_image_set(&image, script, 24, smi(10), 8);
        v8_image_set(&image, script, 32, smi(5), 8);
        v8_image_set(&image, script, 64, smi(78), 8); /* another script */
        check_position(script, 0, 11, 6);
        check_position(script, 3, 13, 1);
        end();
    }
}
END_TEST

/* A table that makes no sense is not believed; the source is. */
START_TEST(test_bad_tables)
{
    static const uint64_t tables[][2] = {{9, 3}, {3, 2}, {0xffffffff00000000, 9}, {3, 5}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        begin(true);
        uint64_t items[2] = {tables[i][0] < 100 ? smi((int32_t)tables[i][0]) : tables[i][0],
                             smi((int32_t)tables[i][1])};
        if (i == 3)
            items[1] |= 1;
        uint64_t script = v8_image_script(&image, 0, v8_image_latin(&image, "a\nb\nc"),
                                          v8_image_array(&image, items, 2), 0, true);
        check_position(script, 4, 3, 1);
        end();
    }
}
END_TEST

START_TEST(test_no_lines)
{
    uint32_t line, column;
    begin(true);
    uint64_t source = v8_image_latin(&image, "a\nb");
    uint64_t script = v8_image_script(&image, 0, source, 0, 0, true);
    ck_assert(!v8_script_position(&heap, scripts, source, 0, &line, &column));
    ck_assert(!v8_script_position(&heap, scripts, 0, 0, &line, &column));
    check_position(script, 2, 2, 1);
    v8_image_set(&image, script, 24, smi(-5), 8);
    v8_image_set(&image, script, 64, smi(78), 8);
    ck_assert(!v8_script_position(&heap, scripts, script, 2, &line, &column));
    v8_image_set(&image, script, 8, script, 8);
    ck_assert(!v8_script_position(&heap, scripts, script, 2, &line, &column));
    end();
}
END_TEST

static void check_function(uint64_t shared, const char *name, const char *file, uint32_t line,
                           uint32_t column)
{
    struct v8_function function;
    ck_assert_msg(v8_function_read(&heap, scripts, &strings, shared, &function), "'%s' of %s", name,
                  file);
    ck_assert_str_eq(strings_get(&strings, function.name), name);
    ck_assert_str_eq(strings_get(&strings, function.file), file);
    ck_assert_uint_eq(function.line, line);
    ck_assert_uint_eq(function.column, column);
    ck_assert_uint_eq(function.script_id, 77);
}

static void check_no_function(uint64_t shared)
{
    struct v8_function function = {.line = 4711};
    ck_assert(!v8_function_read(&heap, scripts, &strings, shared, &function));
    ck_assert_uint_eq(function.line, 4711);
}

static uint64_t plain_script(void)
{
    return v8_image_script(&image, v8_image_latin(&image, "/srv/app.js"),
                           v8_image_latin(&image, "\nfunction f() {}\n"), 0, 0, later);
}

static uint64_t function_of(const struct scope_parts *parts)
{
    uint64_t script = plain_script();
    return v8_image_function(&image, v8_image_scope(&image, parts, later), script, later);
}

static void check_scope(const struct scope_parts *pattern, int name, int inferred)
{
    static const char *const names[] = {"", "", "", "itsName"}, *const inferreds[] = {"", "",
                                                                                      "in.f"};
    struct scope_parts parts = *pattern;
    begin(later);
    uint64_t undefined = v8_image_object(&image, IMAGE_UNDEFINED, 32);
    parts.has_name = name > 0;
    parts.name = name == 1 ? 0 : v8_image_latin(&image, names[name]);
    parts.has_inferred = inferred > 0;
    parts.inferred = inferred == 1 ? undefined : v8_image_latin(&image, inferreds[inferred]);
    check_function(function_of(&parts), name == 3 ? names[name] : inferreds[inferred],
                   "/srv/app.js", 2, 11);
    end();
}

/* All that a ScopeInfo may have in front of what is read. */
START_TEST(test_scopes)
{
    static const uint32_t locals[] = {0, 1, 74, 75, 76, 300};
    for (int i = 0; i < 2 * 6 * 4 * 4 * 3; i++) {
        int name = i / 3 % 4;
        struct scope_parts parts = {.locals = locals[i / 48 % 6],
                                    .module = i / 12 % 2,
                                    .class_variable = i / 24 % 2,
                                    .start = 11,
                                    .end = 16};
        later = i >= 6 * 4 * 4 * 3;
        check_scope(&parts, name, i % 3);
    }
}
END_TEST

/* The functions that set up a class's fields; before V8 12 they have these names themselves. */
START_TEST(test_given_names)
{
    struct scope_parts parts = {.kind = 24, .start = 11, .end = 16};
    begin(true);
    parts.has_name = true;
    parts.name = v8_image_latin(&image, "Base");
    check_function(function_of(&parts), "<instance_members_initializer>", "/srv/app.js", 2, 11);
    parts.kind = 25;
    check_function(function_of(&parts), "<static_initializer>", "/srv/app.js", 2, 11);
    parts.kind = 23;
    check_function(function_of(&parts), "Base", "/srv/app.js", 2, 11);
    end();
}
END_TEST

START_TEST(test_files)
{
    struct scope_parts parts = {.start = 0, .end = 1};
    for (int i = 0; i < 2; i++) {
        begin(i);
        uint64_t undefined = v8_image_object(&image, IMAGE_UNDEFINED, 32);
        uint64_t scope = v8_image_scope(&image, &parts, later);
        uint64_t source = v8_image_latin(&image, "x"), url = v8_image_latin(&image, "there.js");
        uint64_t script = v8_image_script(&image, undefined, source, 0, undefined, later);
        uint64_t shared = v8_image_function(&image, scope, script, later);
        check_function(shared, "", "", 1, 1);
        v8_image_set(&image, script, later ? 112 : 104, url, 8);
        check_function(shared, "", "there.js", 1, 1);
        v8_image_set(&image, script, 16, v8_image_latin(&image, "own.js"), 8);
        check_function(shared, "", "own.js", 1, 1);
        end();
    }
}
END_TEST

/* With a debugger at work, up to V8 11.3. */
START_TEST(test_debug_info)
{
    struct scope_parts parts = {.start = 11, .end = 16};
    for (int i = 0; i < 2; i++) {
        begin(i);
        uint64_t script = plain_script(), debug = v8_image_object(&image, IMAGE_DEBUG, 80);
        v8_image_set(&image, debug, 24, script, 8);
        uint64_t shared =
            v8_image_function(&image, v8_image_scope(&image, &parts, later), debug, later);
        if (later)
            check_no_function(shared);
        else
            check_function(shared, "", "/srv/app.js", 2, 11);
        v8_image_set(&image, debug, 24, debug, 8);
        check_no_function(shared);
        end();
    }
}
END_TEST

/* What was not compiled yet has a name and no position. */
START_TEST(test_not_compiled)
{
    begin(true);
    uint64_t name = v8_image_latin(&image, "lazy"), script = plain_script();
    check_function(v8_image_function(&image, name, script, later), "lazy", "/srv/app.js", 0, 0);
    end();
}
END_TEST

START_TEST(test_no_functions)
{
    static const struct scope_parts bad[] = {
        {.start = -1, .end = 5},
        {.start = 6, .end = 5},
        {.start = 18, .end = 30},
        {.start = 1 << 30, .end = 1 << 30},
        {.locals = 1 << 17},
        {.has_name = true, .name = 9},
        {.has_inferred = true, .inferred = 0},
    };
    for (int i = 0; i < 2; i++) {
        begin(i);
        struct scope_parts good = {.start = 11, .end = 16};
        uint64_t shared = function_of(&good), script = plain_script();
        check_function(shared, "", "/srv/app.js", 2, 11);
        check_no_function(0);
        check_no_function(script);
        check_no_function(shared + 8);
        v8_image_set(&image, shared, later ? 40 : 32, shared, 8);
        check_no_function(shared);
        v8_image_set(&image, shared, later ? 40 : 32, script, 8);
        v8_image_set(&image, shared, later ? 24 : 16, script, 8);
        check_no_function(shared);
        end();
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {
            begin(i);
            struct scope_parts parts = bad[j];
            if (parts.locals) { /* as many as there are not */
                parts.locals = 0;
                uint64_t scope = v8_image_scope(&image, &parts, later);
                v8_image_set(&image, scope, 24, smi((int32_t)bad[j].locals), 8);
                shared = v8_image_function(&image, scope, plain_script(), later);
            } else {
                shared = function_of(&parts);
            }
            check_no_function(shared);
            end();
        }
    }
}
END_TEST

/* Reads the image, and moves a name's string after so many reads. */
static struct moving {
    int left;
    uint64_t string;
} moving;

static bool read_moving(const void *context, uint64_t address, void *into, size_t size)
{
    if (moving.left-- == 0)
        image.bytes[moving.string - 1 - IMAGE_BASE + 16] = 'X';
    return v8_image_read(context, address, into, size);
}

/* A name that is overwritten while it is read is what it was, what it is, or refused. */
START_TEST(test_moving)
{
    int seen[3] = {0};
    for (int after = 0; after < 200; after++) {
        begin(true);
        struct scope_parts parts = {.has_name = true, .start = 11, .end = 16};
        struct v8_function function;
        parts.name = moving.string = v8_image_latin(&image, "name");
        uint64_t shared = function_of(&parts);
        moving.left = after;
        heap.memory.image = read_moving;
        if (v8_function_read(&heap, scripts, &strings, shared, &function)) {
            const char *name = strings_get(&strings, function.name);
            ck_assert(!strcmp(name, "name") || !strcmp(name, "Xame"));
            seen[name[0] == 'X']++;
        } else {
            seen[2]++;
        }
        end();
    }
    ck_assert_int_gt(seen[0], 0);
    ck_assert_int_gt(seen[1], 0);
    ck_assert_int_gt(seen[2], 0);
}
END_TEST

UNIT_MAIN("v8_function", test_flat_strings, test_external_strings, test_made_strings, test_ropes,
          test_circles, test_no_strings, test_lines, test_bad_tables, test_no_lines, test_scopes,
          test_given_names, test_files, test_debug_info, test_not_compiled, test_no_functions,
          test_moving)
