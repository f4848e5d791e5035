/*
 * v8_layout.c - constants by name, and a row for each version of what has no name.
 *
 * Names are compared up to the type suffix ("v8dbg_class_JSFunction__shared__" and whatever
 * follows), in one walk over the symbols.
 *
 * A rule is chosen by version but believed by its constants: what the executable tells has to agree
 * with what the rule says of the same. So a version that has no rule of its own is read by an
 * earlier one's as long as nothing is seen to have moved, but for the lines of calls, and a build
 * of another kind is refused.
 */
#include "symbolize/v8_layout.h"

#include "symbolize/symbol_search.h"

#include <string.h>

enum constant_size { BYTE = 1, SHORT = 2 };

struct constant {
    uint16_t offset; /* in struct v8_layout */
    uint8_t size;    /* of the field there */
    bool optional;
    const char *names[3]; /* of the symbol, by preference; what ends in '_' only begins so */
};

#define FIELD(field) \
    (uint16_t) offsetof(struct v8_layout, field), sizeof(((struct v8_layout *)0)->field)

static const struct constant constants[] = {
    {FIELD(js_function.first),
     false,
     {"v8dbg_FirstJSFunctionType", "v8dbg_type_JSFunction__JS_FUNCTION_TYPE"}},
    {FIELD(js_function.last), true, {"v8dbg_LastJSFunctionType"}},
    {FIELD(shared_function_info),
     false,
     {"v8dbg_type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE"}},
    {FIELD(scope_info), false, {"v8dbg_type_ScopeInfo__SCOPE_INFO_TYPE"}},
    {FIELD(code), false, {"v8dbg_type_Code__CODE_TYPE"}},
    {FIELD(instruction_stream), true, {"v8dbg_type_InstructionStream__INSTRUCTION_STREAM_TYPE"}},
    {FIELD(bytecode_array), false, {"v8dbg_type_BytecodeArray__BYTECODE_ARRAY_TYPE"}},
    {FIELD(script), false, {"v8dbg_type_Script__SCRIPT_TYPE"}},
    {FIELD(debug_info), true, {"v8dbg_type_DebugInfo__DEBUG_INFO_TYPE"}},
    {FIELD(fixed_array), false, {"v8dbg_type_FixedArray__FIXED_ARRAY_TYPE"}},
    {FIELD(trusted_fixed_array), true, {"v8dbg_type_TrustedFixedArray__TRUSTED_FIXED_ARRAY_TYPE"}},
    {FIELD(protected_fixed_array),
     true,
     {"v8dbg_type_ProtectedFixedArray__PROTECTED_FIXED_ARRAY_TYPE"}},
    {FIELD(weak_fixed_array), false, {"v8dbg_type_WeakFixedArray__WEAK_FIXED_ARRAY_TYPE"}},
    {FIELD(trusted_weak_fixed_array),
     true,
     {"v8dbg_type_TrustedWeakFixedArray__TRUSTED_WEAK_FIXED_ARRAY_TYPE"}},
    {FIELD(byte_array), false, {"v8dbg_type_ByteArray__BYTE_ARRAY_TYPE"}},
    {FIELD(trusted_byte_array), true, {"v8dbg_type_TrustedByteArray__TRUSTED_BYTE_ARRAY_TYPE"}},
    {FIELD(first_nonstring), false, {"v8dbg_FirstNonstringType"}},
    {FIELD(string_encoding_mask), false, {"v8dbg_StringEncodingMask"}},
    {FIELD(one_byte_string), false, {"v8dbg_OneByteStringTag"}},
    {FIELD(string_representation_mask), false, {"v8dbg_StringRepresentationMask"}},
    {FIELD(seq_string), true, {"v8dbg_SeqStringTag"}},
    {FIELD(cons_string), false, {"v8dbg_ConsStringTag"}},
    {FIELD(external_string), false, {"v8dbg_ExternalStringTag"}},
    {FIELD(sliced_string), false, {"v8dbg_SlicedStringTag"}},
    {FIELD(thin_string), false, {"v8dbg_ThinStringTag"}},
    {FIELD(map_instance_type), false, {"v8dbg_class_Map__instance_type__"}},
    {FIELD(function_shared), false, {"v8dbg_class_JSFunction__shared__"}},
    {FIELD(shared_name), false, {"v8dbg_class_SharedFunctionInfo__name_or_scope_info__"}},
    {FIELD(shared_script),
     false,
     {"v8dbg_class_SharedFunctionInfo__script__", "v8dbg_class_SharedFunctionInfo__raw_script__",
      "v8dbg_class_SharedFunctionInfo__script_or_debug_info__"}},
    {FIELD(shared_data), true, {"v8dbg_class_SharedFunctionInfo__function_data__"}},
    {FIELD(bytecode_data), false, {"v8dbg_class_BytecodeArray__data__"}},
    {FIELD(code_flags), true, {"v8dbg_class_Code__flags__"}},
    {FIELD(code_size), true, {"v8dbg_class_Code__instruction_size__"}},
    {FIELD(code_start), true, {"v8dbg_class_Code__instruction_start__"}},
    {FIELD(fixed_array_length), false, {"v8dbg_class_FixedArrayBase__length__"}},
    {FIELD(fixed_array_data), false, {"v8dbg_class_FixedArray__data__"}},
    {FIELD(string_length), false, {"v8dbg_class_String__length__"}},
    {FIELD(string_chars), false, {"v8dbg_class_SeqOneByteString__chars__"}},
    {FIELD(cons_first), false, {"v8dbg_class_ConsString__first__"}},
    {FIELD(cons_second), false, {"v8dbg_class_ConsString__second__"}},
    {FIELD(sliced_parent), false, {"v8dbg_class_SlicedString__parent__"}},
    {FIELD(sliced_offset), false, {"v8dbg_class_SlicedString__offset__"}},
    {FIELD(thin_actual), false, {"v8dbg_class_ThinString__actual__"}},
    {FIELD(external_resource), false, {"v8dbg_class_ExternalString__resource__"}},
    {FIELD(script_source), false, {"v8dbg_class_Script__source__"}},
    {FIELD(script_name), false, {"v8dbg_class_Script__name__"}},
    {FIELD(script_line_ends), false, {"v8dbg_class_Script__line_ends__"}},
    {FIELD(scope_first_vars), true, {"v8dbg_scopeinfo_idx_first_vars"}},
    {FIELD(scope_locals_slot), true, {"v8dbg_scopeinfo_idx_ncontextlocals"}},
    {FIELD(frame_context), false, {"v8dbg_off_fp_context"}},
    {FIELD(frame_function), false, {"v8dbg_off_fp_function"}},
    {FIELD(frame_bytecode_array), false, {"v8dbg_off_fp_bytecode_array"}},
    {FIELD(frame_bytecode_offset), false, {"v8dbg_off_fp_bytecode_offset"}},
};

enum { CONSTANTS = sizeof constants / sizeof *constants, NAMES = 3 };

/* What has no name, by V8's version; the sources are those of the Node.js that has it. */
struct rule {
    int major, minor; /* from this version on */
    struct v8_layout layout;
};

/* The same in all of them. */
#define COMMON                                                                                     \
    .map_instance_type = 12, .fixed_array_length = 8, .fixed_array_data = 16, .string_length = 12, \
    .string_chars = 16, .resource_data = 8, .script_source = 8, .script_name = 16,                 \
    .script_line_offset = 24, .script_column_offset = 32, .script_line_ends = 56, .script_id = 64, \
    .script_functions = 88, .shared_data = 8, .bytecode_length = 8, .scope_info_data = 8,          \
    .scope_locals_slot = 2, .code_kind_mask = 15, .builtin_kind = 2, .regexp_kind = 3,             \
    .wasm_kind = 4, .deopt_count = 1, .frame_context = -8, .frame_function = -16,                  \
    .frame_bytecode_array = -32, .frame_bytecode_offset = -40

/*
 * With what has no name stand some constants that have one: if these are not as they were, neither
 * are their neighbours.
 */
static const struct rule rules[] = {
    /* Node.js 25 */
    {14,
     1,
     {COMMON,
      .function_shared = 32,
      .shared_name = 24,
      .shared_script = 40,
      .script_source_url = 112,
      .bytecode_positions = 24,
      .position_flags = 2,
      .bytecode_data = 64,
      .code_deoptimization = 8,
      .code_positions = 16,
      .code_start = 40,
      .code_flags = 52,
      .code_size = 56,
      .baseline_kind = 10,
      .scope_first_vars = 5,
      .scope_positions_slot = 3,
      .scope_flags_raw = true,
      .members_kind = 24,
      .deopt_literals = 3,
      .deopt_shared = 7,
      .deopt_inlining = 8,
      .deopt_shared_wrapped = true}},
    /* Node.js 24 */
    {13,
     6,
     {COMMON,
      .function_shared = 32,
      .shared_name = 24,
      .shared_script = 40,
      .script_source_url = 112,
      .bytecode_positions = 24,
      .bytecode_data = 64,
      .code_deoptimization = 8,
      .code_positions = 16,
      .code_start = 40,
      .code_flags = 52,
      .code_size = 56,
      .baseline_kind = 10,
      .scope_first_vars = 5,
      .scope_positions_slot = 3,
      .scope_flags_raw = true,
      .members_kind = 24,
      .deopt_literals = 3,
      .deopt_shared = 7,
      .deopt_inlining = 8,
      .deopt_shared_wrapped = true}},
    /* Node.js 22 */
    {12,
     4,
     {COMMON, .function_shared = 32, .shared_name = 16, .shared_script = 32,
      .script_source_url = 112, .bytecode_positions = 24, .bytecode_data = 64,
      .code_deoptimization = 8, .code_positions = 16, .code_start = 40, .code_flags = 48,
      .code_size = 52, .baseline_kind = 10, .scope_first_vars = 3, .scope_positions_slot = -1,
      .members_kind = 24, .deopt_literals = 2, .deopt_shared = 6, .deopt_inlining = 7}},
    /* Node.js 20 */
    {11,
     3,
     {COMMON, .function_shared = 24, .shared_name = 16, .shared_script = 32,
      .debug_info_script = 24, .script_source_url = 112, .bytecode_positions = 32,
      .bytecode_data = 54, .code_deoptimization = 16, .code_positions = 24, .code_start = 40,
      .code_flags = 48, .code_size = 56, .baseline_kind = 11, .scope_first_vars = 3,
      .scope_positions_slot = -1, .deopt_literals = 2, .deopt_shared = 6, .deopt_inlining = 7}},
    /* Node.js 18 */
    {10,
     2,
     {COMMON,
      .function_shared = 24,
      .shared_name = 16,
      .shared_script = 32,
      .debug_info_script = 24,
      .script_source_url = 104,
      .bytecode_positions = 32,
      .bytecode_data = 56,
      .code_deoptimization = 16,
      .code_positions = 24,
      .code_inline = true,
      .code_start = 128,
      .code_flags = 48,
      .code_size = 40,
      .baseline_kind = 11,
      .scope_first_vars = 3,
      .scope_positions_slot = -1,
      .deopt_literals = 2,
      .deopt_shared = 6,
      .deopt_inlining = 7}},
};

/* Symbols that are no constants. */
enum fixed {
    VERSION_MAJOR,
    VERSION_MINOR,
    VERSION_BUILD,
    VERSION_PATCH,
    BLOB_CODE,      /* the builtins for all isolates, but in 10.2 a pointer to them */
    BLOB_CODE_DATA, /* there the builtins */
    BLOB_SIZE,
    BYTECODE_SIZES,
    FIXED
};

/* src/utils/version.h, src/snapshot/embedded/platform-embedded-file-writer-base.cc */
static const char *const fixed_names[FIXED] = {
    [VERSION_MAJOR] = "_ZN2v88internal7Version6major_E",
    [VERSION_MINOR] = "_ZN2v88internal7Version6minor_E",
    [VERSION_BUILD] = "_ZN2v88internal7Version6build_E",
    [VERSION_PATCH] = "_ZN2v88internal7Version6patch_E",
    [BLOB_CODE] = "v8_Default_embedded_blob_code_",
    [BLOB_CODE_DATA] = "v8_Default_embedded_blob_code_data_",
    [BLOB_SIZE] = "v8_Default_embedded_blob_code_size_",
    [BYTECODE_SIZES] = "_ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE",
};

enum { WANTED_MAX = FIXED + CONSTANTS * NAMES };

struct search {
    const struct elf_file *executable;
    struct symbol_wanted wanted[WANTED_MAX]; /* fixed ones, then those of the constants */
    uint8_t constant[WANTED_MAX], name[WANTED_MAX];
    struct v8_layout layout;  /* of what has a name */
    uint8_t found[CONSTANTS]; /* 1 + position of the name that was found; 0: none */
    struct symbol fixed[FIXED];
};

static bool read_int(const struct elf_file *executable, uint64_t address, int32_t *ret_value)
{
    const uint8_t *data = elf_file_data(executable, address, sizeof *ret_value);
    if (data)
        memcpy(ret_value, data, sizeof *ret_value);
    return data != NULL;
}

static void take_constant(struct search *search, size_t constant, uint8_t name, uint64_t address)
{
    uint8_t *found = &search->found[constant];
    int32_t value;
    if ((*found && *found <= name + 1) || !read_int(search->executable, address, &value) ||
        value < INT16_MIN || value > UINT16_MAX)
        return;
    *found = name + 1;
    uint8_t *field = (uint8_t *)&search->layout + constants[constant].offset;
    if (constants[constant].size == BYTE)
        *field = (uint8_t)value;
    else
        memcpy(field, &(uint16_t){(uint16_t)value}, SHORT);
}

static void take_symbol(void *context, size_t wanted, const struct symbol *symbol)
{
    struct search *search = context;
    if (wanted < FIXED)
        search->fixed[wanted] = *symbol;
    else
        take_constant(search, search->constant[wanted], search->name[wanted], symbol->address);
}

static void search_symbols(struct search *search, struct elf_file *executable)
{
    size_t count = 0;
    search->executable = executable;
    for (; count < FIXED; count++)
        search->wanted[count].name = fixed_names[count];
    for (size_t i = 0; i < CONSTANTS; i++) {
        for (size_t j = 0; j < NAMES && constants[i].names[j]; j++, count++) {
            const char *name = constants[i].names[j];
            search->wanted[count] = (struct symbol_wanted){name, name[strlen(name) - 1] == '_'};
            search->constant[count] = (uint8_t)i;
            search->name[count] = (uint8_t)j;
        }
    }
    /* Numbers, the table of bytecodes' sizes, and labels of the builtins. */
    static const struct symbol_filter filters[] = {
        {.types = SYMBOL_DATA, .smallest = 4, .largest = 4},
        {.types = SYMBOL_DATA, .smallest = 3 * 100, .largest = 3 * 256},
        {.types = SYMBOL_UNTYPED},
    };
    const struct symbol_query query = {filters, sizeof filters / sizeof *filters, search->wanted,
                                       count};
    symbol_search(executable, &query, take_symbol, search);
}

static bool fixed_int(const struct search *search, enum fixed which, int32_t *ret_value)
{
    return search->fixed[which].name &&
           read_int(search->executable, search->fixed[which].address, ret_value) && *ret_value >= 0;
}

static const struct rule *rule_for(int major, int minor)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (major > rules[i].major || (major == rules[i].major && minor >= rules[i].minor))
            return &rules[i];
    return NULL;
}

/* The rule's fields, and over them what the executable tells itself. */
static void combine(const struct search *search, const struct rule *rule, bool is_known,
                    struct v8_layout *ret_layout)
{
    *ret_layout = rule->layout;
    for (size_t i = 0; i < CONSTANTS; i++)
        if (search->found[i])
            memcpy((uint8_t *)ret_layout + constants[i].offset,
                   (const uint8_t *)&search->layout + constants[i].offset, constants[i].size);
    /* How positions are packed shows in no constant: V8 14.1 packs them unlike 13.6. */
    if (!is_known)
        ret_layout->bytecode_positions = ret_layout->code_positions = 0;
    if (!ret_layout->js_function.last)
        ret_layout->js_function.last = ret_layout->js_function.first + 16;
}

static int field_of(const struct v8_layout *layout, const struct constant *constant)
{
    const uint8_t *field = (const uint8_t *)layout + constant->offset;
    int16_t value;
    if (constant->size == BYTE)
        return *field;
    memcpy(&value, field, sizeof value);
    return value;
}

/*
 * What the executable tells must be what the rule says of the same: else the rule is not for this
 * V8, or this is a build with compressed pointers, and what has no name stands elsewhere, too.
 */
static int check_constants(const struct search *search, const struct rule *rule,
                           const struct v8_layout *version, struct error *err)
{
    for (size_t i = 0; i < CONSTANTS; i++) {
        const struct constant *constant = &constants[i];
        int told = field_of(&search->layout, constant);
        int expected = field_of(&rule->layout, constant);
        if (!constant->optional && !search->found[i])
            return error_set(err, ERROR_UNSUPPORTED, "V8 %d.%d: no %s", version->major,
                             version->minor, constant->names[0]);
        if (search->found[i] && expected && told != expected)
            return error_set(err, ERROR_UNSUPPORTED, "V8 %d.%d: %s is %d, not %d", version->major,
                             version->minor, constant->names[search->found[i] - 1], told, expected);
    }
    return 0;
}

static bool find_blob(const struct search *search, struct v8_layout *layout)
{
    const struct symbol *inline_code = &search->fixed[BLOB_CODE_DATA];
    const struct symbol *code = inline_code->name ? inline_code : &search->fixed[BLOB_CODE];
    int32_t size;
    if (!code->name || !fixed_int(search, BLOB_SIZE, &size) || !size)
        return false;
    layout->blob_start = code->address;
    layout->blob_size = (uint64_t)size;
    return true;
}

int v8_layout_read(struct elf_file *executable, struct v8_layout *ret_layout, struct error *err)
{
    struct search search = {0};
    struct v8_layout layout = {0}, version = {0};
    search_symbols(&search, executable);
    if (!fixed_int(&search, VERSION_MAJOR, &version.major) ||
        !fixed_int(&search, VERSION_MINOR, &version.minor) ||
        !fixed_int(&search, VERSION_BUILD, &version.build) ||
        !fixed_int(&search, VERSION_PATCH, &version.patch))
        return error_set(err, ERROR_UNSUPPORTED, "no version of V8 in it");
    const struct rule *rule = rule_for(version.major, version.minor);
    if (!rule)
        return error_set(err, ERROR_UNSUPPORTED, "V8 %d.%d is older than 10.2", version.major,
                         version.minor);
    if (check_constants(&search, rule, &version, err))
        return -1;
    bool is_known = version.major == rule->major && version.minor == rule->minor;
    combine(&search, rule, is_known, &layout);
    if (!find_blob(&search, &layout))
        return error_set(err, ERROR_UNSUPPORTED, "V8 %d.%d: its builtins are not to be found",
                         version.major, version.minor);
    layout.major = version.major;
    layout.minor = version.minor;
    layout.build = version.build;
    layout.patch = version.patch;
    layout.bytecode_sizes = search.fixed[BYTECODE_SIZES].address;
    layout.bytecode_count = (uint32_t)(search.fixed[BYTECODE_SIZES].size / 3);
    *ret_layout = layout;
    return 0;
}
