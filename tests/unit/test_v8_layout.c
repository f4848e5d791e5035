/*
 * The program is its own executable of V8: it has symbols as V8's own, which are read from its
 * file. Variants of it are copies of the file in memory, with a constant changed.
 */
#include "core/alloc.h"
#include "symbolize/symbol_search.h"
#include "symbolize/v8_layout.h"
#include "tests/unit/unit.h"

#include <string.h>

#define CONSTANT(name, value) \
    extern const int name;    \
    const int __attribute__((used)) name = value
#define VERSION(part, length, value)                      \
    extern int _ZN2v88internal7Version##length##part##_E; \
    int __attribute__((used)) _ZN2v88internal7Version##length##part##_E = value

/* As in Node.js 24.9.0, with the suffixes that the types have there. */
CONSTANT(v8dbg_FirstJSFunctionType, 2065);
CONSTANT(v8dbg_LastJSFunctionType, 2081);
CONSTANT(v8dbg_type_JSFunction__JS_FUNCTION_TYPE, 2067);
CONSTANT(v8dbg_type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE, 282);
CONSTANT(v8dbg_type_ScopeInfo__SCOPE_INFO_TYPE, 280);
CONSTANT(v8dbg_type_Code__CODE_TYPE, 187);
CONSTANT(v8dbg_type_BytecodeArray__BYTECODE_ARRAY_TYPE, 186);
CONSTANT(v8dbg_type_Script__SCRIPT_TYPE, 167);
CONSTANT(v8dbg_type_FixedArray__FIXED_ARRAY_TYPE, 205);
CONSTANT(v8dbg_type_WeakFixedArray__WEAK_FIXED_ARRAY_TYPE, 271);
CONSTANT(v8dbg_type_ByteArray__BYTE_ARRAY_TYPE, 201);
CONSTANT(v8dbg_FirstNonstringType, 128);
CONSTANT(v8dbg_StringEncodingMask, 8);
CONSTANT(v8dbg_OneByteStringTag, 8);
CONSTANT(v8dbg_StringRepresentationMask, 7);
CONSTANT(v8dbg_ConsStringTag, 1);
CONSTANT(v8dbg_ExternalStringTag, 2);
CONSTANT(v8dbg_SlicedStringTag, 3);
CONSTANT(v8dbg_ThinStringTag, 5);
CONSTANT(v8dbg_class_Map__instance_type__uint16_t, 12);
CONSTANT(v8dbg_class_JSFunction__shared__Tagged_SharedFunctionInfo_, 32);
CONSTANT(v8dbg_class_SharedFunctionInfo__name_or_scope_info__Tagged_NameOrScopeInfoT_, 24);
CONSTANT(v8dbg_class_SharedFunctionInfo__raw_script__Tagged_Object_, 999); /* the second choice */
CONSTANT(v8dbg_class_SharedFunctionInfo__script__Tagged_HeapObject_, 40);
CONSTANT(v8dbg_class_BytecodeArray__data__uintptr_t, 64);
CONSTANT(v8dbg_class_FixedArrayBase__length__SMI, 8);
CONSTANT(v8dbg_class_FixedArray__data__uintptr_t, 16);
CONSTANT(v8dbg_class_String__length__int32_t, 12);
CONSTANT(v8dbg_class_SeqOneByteString__chars__char, 16);
CONSTANT(v8dbg_class_ConsString__first__String, 16);
CONSTANT(v8dbg_class_ConsString__second__String, 24);
CONSTANT(v8dbg_class_SlicedString__parent__String, 16);
CONSTANT(v8dbg_class_SlicedString__offset__SMI, 24);
CONSTANT(v8dbg_class_ThinString__actual__String, 16);
CONSTANT(v8dbg_class_ExternalString__resource__Object, 16);
CONSTANT(v8dbg_class_Script__source__Object, 8);
CONSTANT(v8dbg_class_Script__name__Object, 16);
CONSTANT(v8dbg_class_Script__line_ends__Object, 56);
CONSTANT(v8dbg_off_fp_context, -8);
CONSTANT(v8dbg_off_fp_context_or_frame_type, 77); /* another constant with a longer name */
CONSTANT(v8dbg_off_fp_function, -16);
CONSTANT(v8dbg_off_fp_bytecode_array, -32);
CONSTANT(v8dbg_off_fp_bytecode_offset, -40);
VERSION(major, 6, 13);
VERSION(minor, 6, 6);
VERSION(build, 6, 233);
VERSION(patch, 6, 10);
extern const unsigned char _ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE[3 * 208];
const unsigned char __attribute__((used))
_ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE[3 * 208] = {1};
__asm__(".section .rodata\n.balign 8\nv8_Default_embedded_blob_code_: .zero 64\n"
        "v8_Default_embedded_blob_code_size_: .long 64\n.text\n");

static uint8_t *image; /* of this program's file; owned by the test that runs */
static size_t image_size;

static void read_image(void)
{
    FILE *file = fopen("/proc/self/exe", "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    image_size = (size_t)ftell(file);
    image = xmalloc(image_size);
    rewind(file);
    ck_assert_uint_eq(fread(image, 1, image_size, file), image_size);
    fclose(file);
}

static struct elf_file *open_image(void)
{
    struct elf_file *file;
    struct error err;
    ck_assert_msg(!elf_file_open_memory(image, image_size, "image", &file, &err), "%s", err.text);
    return file;
}

struct found {
    size_t count, wanted;
    struct symbol last;
};

static void take(void *context, size_t wanted, const struct symbol *symbol)
{
    struct found *found = context;
    found->count++;
    found->wanted = wanted;
    found->last = *symbol;
}

static struct found search(struct elf_file *file, struct symbol_filter filter, const char *name,
                           bool beginning)
{
    struct symbol_wanted wanted[] = {{"no_such_symbol", false}, {name, beginning}};
    struct found found = {0};
    symbol_search(file, &(struct symbol_query){&filter, 1, wanted, 2}, take, &found);
    return found;
}

/* Changes a number in the image. */
static void change(const char *name, int value)
{
    struct elf_file *file = open_image();
    struct found found = search(file, (struct symbol_filter){.types = SYMBOL_DATA}, name, false);
    ck_assert_uint_eq(found.count, 1);
    const uint8_t *at = elf_file_data(file, found.last.address, 4);
    ck_assert_ptr_nonnull(at);
    memcpy(image + (at - file->image), &value, sizeof value);
    elf_file_free(file);
}

static int read_layout(struct v8_layout *ret_layout, struct error *err)
{
    struct elf_file *file = open_image();
    int result = v8_layout_read(file, ret_layout, err);
    elf_file_free(file);
    return result;
}

static void check_refused(const char *name, int value, const char *why)
{
    struct v8_layout layout = {.major = 4711};
    struct error err;
    read_image();
    change(name, value);
    ck_assert_int_eq(read_layout(&layout, &err), -1);
    ck_assert_int_eq(err.code, ERROR_UNSUPPORTED);
    ck_assert_str_eq(err.text, why);
    ck_assert_int_eq(layout.major, 4711);
    free(image);
}

START_TEST(test_layout)
{
    struct v8_layout layout;
    struct error err;
    read_image();
    ck_assert_msg(!read_layout(&layout, &err), "%s", err.text);
    ck_assert(layout.major == 13 && layout.minor == 6 && layout.build == 233 && layout.patch == 10);
    ck_assert_uint_eq(layout.js_function.first, 2065);
    ck_assert_uint_eq(layout.js_function.last, 2081);
    ck_assert_uint_eq(layout.shared_script, 40);
    ck_assert_uint_eq(layout.shared_data, 8);
    ck_assert_uint_eq(layout.instruction_stream, 0);
    ck_assert_int_eq(layout.frame_context, -8);
    ck_assert_uint_eq(layout.code_flags, 52);
    ck_assert_uint_eq(layout.blob_size, 64);
    ck_assert_uint_eq(layout.bytecode_count, 208);
    ck_assert_uint_eq(layout.bytecode_sizes != 0 && layout.blob_start != 0, true);
    free(image);
}
END_TEST

/* A later one is read as the latest that is known, but for the lines of calls. */
START_TEST(test_versions)
{
    struct v8_layout layout;
    struct error err;
    read_image();
    change("_ZN2v88internal7Version6major_E", 14);
    change("_ZN2v88internal7Version6minor_E", 1);
    ck_assert_msg(!read_layout(&layout, &err), "%s", err.text);
    ck_assert_uint_eq(layout.code_flags, 52);
    ck_assert_uint_eq(layout.bytecode_positions, 24);
    change("_ZN2v88internal7Version6minor_E", 2);
    ck_assert_msg(!read_layout(&layout, &err), "%s", err.text);
    ck_assert_uint_eq(layout.code_flags, 52);
    ck_assert_uint_eq(layout.bytecode_positions, 0);
    free(image);
    check_refused("_ZN2v88internal7Version6major_E", 9, "V8 9.6 is older than 10.2");
    check_refused("_ZN2v88internal7Version6minor_E", -1, "no version of V8 in it");
}
END_TEST

START_TEST(test_moved_constants)
{
    check_refused("v8dbg_class_Map__instance_type__uint16_t", 8,
                  "V8 13.6: v8dbg_class_Map__instance_type__ is 8, not 12");
    check_refused("v8dbg_off_fp_bytecode_offset", -48,
                  "V8 13.6: v8dbg_off_fp_bytecode_offset is -48, not -40");
    check_refused("v8dbg_class_FixedArray__data__uintptr_t", 1 << 20,
                  "V8 13.6: no v8dbg_class_FixedArray__data__");
    check_refused("_ZN2v88internal7Version6major_E", 12,
                  "V8 12.6: v8dbg_class_SharedFunctionInfo__name_or_scope_info__ is 24, not 16");
}
END_TEST

/* A file without any of it. */
START_TEST(test_no_v8)
{
    struct v8_layout layout;
    struct error err;
    struct elf_file *file;
    int fd = elf_open_regular("/bin/sh");
    ck_assert_int_ge(fd, 0);
    ck_assert(!elf_file_open(fd, "/bin/sh", &file, &err));
    ck_assert_int_eq(v8_layout_read(file, &layout, &err), -1);
    ck_assert_str_eq(err.text, "no version of V8 in it");
    elf_file_free(file);
}
END_TEST

START_TEST(test_search)
{
    static const char map[] = "v8dbg_class_Map__";
    const struct symbol_filter any = {.types = SYMBOL_DATA | SYMBOL_FUNCTIONS | SYMBOL_UNTYPED};
    read_image();
    struct elf_file *file = open_image();
    struct found found = search(file, any, map, true);
    ck_assert_uint_eq(found.count, 1);
    ck_assert_uint_eq(found.wanted, 1);
    ck_assert_str_eq(found.last.name, "v8dbg_class_Map__instance_type__uint16_t");
    ck_assert_uint_eq(found.last.size, 4);
    uint64_t address = found.last.address;
    ck_assert_uint_eq(search(file, any, map, false).count, 0);
    ck_assert_uint_eq(search(file, any, "v8dbg_class_Script__", true).count, 3);
    ck_assert_uint_eq(search(file, any, "v8dbg_off_fp_context", false).count, 1);
    ck_assert_uint_eq(search(file, any, "main", false).count, 1);
    ck_assert_uint_eq(search(file, any, "mai", false).count, 0);
    struct symbol_filter filter = {.types = SYMBOL_FUNCTIONS};
    ck_assert_uint_eq(search(file, filter, map, true).count, 0);
    ck_assert_uint_eq(search(file, filter, "main", false).count, 1);
    filter = (struct symbol_filter){.types = SYMBOL_DATA, .smallest = 4, .largest = 4};
    ck_assert_uint_eq(search(file, filter, map, true).count, 1);
    filter.smallest = filter.largest = 5;
    ck_assert_uint_eq(search(file, filter, map, true).count, 0);
    filter = (struct symbol_filter){.types = SYMBOL_DATA, .start = address, .end = address + 1};
    ck_assert_uint_eq(search(file, filter, map, true).count, 1);
    filter.end = address;
    ck_assert_uint_eq(search(file, filter, map, true).count, 0);
    filter.start = address + 1;
    filter.end = 0;
    ck_assert_uint_eq(search(file, filter, map, true).count, 0);
    elf_file_free(file);
    free(image);
}
END_TEST

UNIT_MAIN("v8_layout", test_layout, test_versions, test_moved_constants, test_no_v8, test_search)
