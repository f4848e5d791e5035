/*
 * v8_layout.c - constants by name, and a row for each version of what has no name.
 *
 * Names are compared up to the type suffix ("v8dbg_class_JSFunction__shared__" and whatever
 * follows). All symbols are walked once; the few hundred of V8's are compared with the table one by
 * one, which costs less than hashing all the others would.
 */
#include "symbolize/v8_layout.h"

#include "symbolize/symbols.h"

#include <string.h>

enum constant_size { BYTE = 1, SHORT = 2 };

struct constant {
    uint16_t offset; /* in struct v8_layout */
    uint8_t size;    /* of the field there */
    bool optional;
    const char *names[3]; /* beginnings of the symbol's name behind "v8dbg_", by preference */
};

#define FIELD(field) \
    (uint16_t) offsetof(struct v8_layout, field), sizeof(((struct v8_layout *)0)->field)

static const struct constant constants[] = {
    {FIELD(js_function.first), false, {"FirstJSFunctionType", "type_JSFunction__JS_FUNCTION_TYPE"}},
    {FIELD(js_function.last), true, {"LastJSFunctionType"}},
    {FIELD(shared_function_info), false, {"type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE"}},
    {FIELD(scope_info), false, {"type_ScopeInfo__SCOPE_INFO_TYPE"}},
    {FIELD(code), false, {"type_Code__CODE_TYPE"}},
    {FIELD(instruction_stream), true, {"type_InstructionStream__INSTRUCTION_STREAM_TYPE"}},
    {FIELD(bytecode_array), false, {"type_BytecodeArray__BYTECODE_ARRAY_TYPE"}},
    {FIELD(script), false, {"type_Script__SCRIPT_TYPE"}},
    {FIELD(debug_info), true, {"type_DebugInfo__DEBUG_INFO_TYPE"}},
    {FIELD(fixed_array), false, {"type_FixedArray__FIXED_ARRAY_TYPE"}},
    {FIELD(trusted_fixed_array), true, {"type_TrustedFixedArray__TRUSTED_FIXED_ARRAY_TYPE"}},
    {FIELD(protected_fixed_array), true, {"type_ProtectedFixedArray__PROTECTED_FIXED_ARRAY_TYPE"}},
    {FIELD(weak_fixed_array), false, {"type_WeakFixedArray__WEAK_FIXED_ARRAY_TYPE"}},
    {FIELD(trusted_weak_fixed_array),
     true,
     {"type_TrustedWeakFixedArray__TRUSTED_WEAK_FIXED_ARRAY_TYPE"}},
    {FIELD(byte_array), false, {"type_ByteArray__BYTE_ARRAY_TYPE"}},
    {FIELD(trusted_byte_array), true, {"type_TrustedByteArray__TRUSTED_BYTE_ARRAY_TYPE"}},
    {FIELD(first_nonstring), false, {"FirstNonstringType"}},
    {FIELD(string_encoding_mask), false, {"StringEncodingMask"}},
    {FIELD(one_byte_string), false, {"OneByteStringTag"}},
    {FIELD(string_representation_mask), false, {"StringRepresentationMask"}},
    {FIELD(seq_string), true, {"SeqStringTag"}},
    {FIELD(cons_string), false, {"ConsStringTag"}},
    {FIELD(external_string), false, {"ExternalStringTag"}},
    {FIELD(sliced_string), false, {"SlicedStringTag"}},
    {FIELD(thin_string), false, {"ThinStringTag"}},
    {FIELD(map_instance_type), false, {"class_Map__instance_type__"}},
    {FIELD(function_shared), false, {"class_JSFunction__shared__"}},
    {FIELD(shared_name), false, {"class_SharedFunctionInfo__name_or_scope_info__"}},
    {FIELD(shared_script),
     false,
     {"class_SharedFunctionInfo__script__", "class_SharedFunctionInfo__raw_script__",
      "class_SharedFunctionInfo__script_or_debug_info__"}},
    {FIELD(shared_data), true, {"class_SharedFunctionInfo__function_data__"}},
    {FIELD(bytecode_data), false, {"class_BytecodeArray__data__"}},
    {FIELD(code_flags), true, {"class_Code__flags__"}},
    {FIELD(code_size), true, {"class_Code__instruction_size__"}},
    {FIELD(code_start), true, {"class_Code__instruction_start__"}},
    {FIELD(fixed_array_length), false, {"class_FixedArrayBase__length__"}},
    {FIELD(fixed_array_data), false, {"class_FixedArray__data__"}},
    {FIELD(string_length), false, {"class_String__length__"}},
    {FIELD(string_chars), false, {"class_SeqOneByteString__chars__"}},
    {FIELD(cons_first), false, {"class_ConsString__first__"}},
    {FIELD(cons_second), false, {"class_ConsString__second__"}},
    {FIELD(sliced_parent), false, {"class_SlicedString__parent__"}},
    {FIELD(sliced_offset), false, {"class_SlicedString__offset__"}},
    {FIELD(thin_actual), false, {"class_ThinString__actual__"}},
    {FIELD(external_resource), false, {"class_ExternalString__resource__"}},
    {FIELD(script_source), false, {"class_Script__source__"}},
    {FIELD(script_name), false, {"class_Script__name__"}},
    {FIELD(script_line_ends), false, {"class_Script__line_ends__"}},
    {FIELD(scope_first_vars), true, {"scopeinfo_idx_first_vars"}},
    {FIELD(scope_locals_slot), true, {"scopeinfo_idx_ncontextlocals"}},
    {FIELD(frame_context), false, {"off_fp_context"}},
    {FIELD(frame_function), false, {"off_fp_function"}},
    {FIELD(frame_bytecode_array), false, {"off_fp_bytecode_array"}},
    {FIELD(frame_bytecode_offset), false, {"off_fp_bytecode_offset"}},
};

enum { CONSTANTS = sizeof constants / sizeof *constants, NAMES = 3 };

/* What has no name, by V8's version; the sources are those of the Node.js that has it. */
struct rule {
    int major, minor; /* from this version on */
    struct v8_layout layout;
};

/* The same in all of them. */
#define COMMON                                                                                 \
    .resource_data = 8, .script_line_offset = 24, .script_column_offset = 32, .script_id = 64, \
    .scope_info_data = 8, .scope_locals_slot = 2, .code_kind_mask = 15, .builtin_kind = 2,     \
    .regexp_kind = 3, .wasm_kind = 4, .frame_argc = -24

static const struct rule rules[] = {
    {13,
     6, /* Node.js 24 */
     {COMMON, .script_source_url = 112, .shared_data = 8, .bytecode_length = 8,
      .bytecode_positions = 24, .code_deoptimization = 8, .code_positions = 16, .code_start = 40,
      .code_flags = 52, .code_size = 56, .baseline_kind = 10, .scope_first_vars = 5,
      .scope_positions_slot = 3, .scope_flags_raw = true, .members_kind = 24, .deopt_count = 1, .deopt_literals = 3,
      .deopt_shared = 7, .deopt_inlining = 8, .deopt_shared_wrapped = true}},
    {12,
     4, /* 22 */
     {COMMON, .script_source_url = 112, .function_code = 24, .shared_data = 8, .bytecode_length = 8,
      .bytecode_positions = 24, .code_deoptimization = 8, .code_positions = 16, .code_start = 40,
      .code_flags = 48, .code_size = 52, .baseline_kind = 10, .scope_first_vars = 3,
      .scope_positions_slot = -1, .members_kind = 24, .deopt_count = 1, .deopt_literals = 2, .deopt_shared = 6,
      .deopt_inlining = 7}},
    {11,
     3, /* 20 */
     {COMMON, .script_source_url = 112, .debug_info_script = 24, .function_code = 48,
      .shared_data = 8, .bytecode_length = 8, .bytecode_positions = 32, .code_deoptimization = 16,
      .code_positions = 24, .code_start = 40, .code_flags = 48, .code_size = 56,
      .baseline_kind = 11, .scope_first_vars = 3, .scope_positions_slot = -1, .deopt_count = 1, .deopt_literals = 2,
      .deopt_shared = 6, .deopt_inlining = 7}},
    {10,
     2, /* 18 */
     {COMMON, .script_source_url = 104, .debug_info_script = 24, .function_code = 48,
      .shared_data = 8, .bytecode_length = 8, .bytecode_positions = 32, .code_deoptimization = 16,
      .code_positions = 24, .code_inline = true, .code_start = 128, .code_flags = 48,
      .code_size = 40, .baseline_kind = 11, .scope_first_vars = 3, .scope_positions_slot = -1,

      .deopt_count = 1, .deopt_literals = 2, .deopt_shared = 6, .deopt_inlining = 7}},
};

/* While the symbols are walked. */
struct search {
    struct elf_file *executable;
    struct v8_layout layout;  /* of what has a name */
    uint8_t found[CONSTANTS]; /* 1 + position of the name that was found; 0: none */
    int version[4];
    bool versions[4];
    uint64_t blob_start, blob_size;
};

static bool read_int(const struct elf_file *executable, uint64_t address, int32_t *ret_value)
{
    const uint8_t *data = elf_file_data(executable, address, sizeof *ret_value);
    if (data)
        memcpy(ret_value, data, sizeof *ret_value);
    return data != NULL;
}

static void set_field(struct v8_layout *layout, const struct constant *constant, int32_t value)
{
    uint8_t *field = (uint8_t *)layout + constant->offset;
    if (constant->size == BYTE)
        *field = (uint8_t)value;
    else
        memcpy(field, &(uint16_t){(uint16_t)value}, SHORT);
}

static void take_constant(struct search *search, const char *name, uint64_t address)
{
    for (size_t i = 0; i < CONSTANTS; i++) {
        for (size_t j = 0; j < NAMES && constants[i].names[j]; j++) {
            const char *wanted = constants[i].names[j];
            size_t length = strlen(wanted);
            int32_t value;
            /* Those without a type behind them are whole names. */
            if (strncmp(name, wanted, length) != 0 || (wanted[length - 1] != '_' && name[length]) ||
                (search->found[i] && search->found[i] <= j + 1) ||
                !read_int(search->executable, address, &value) || value < INT16_MIN ||
                value > UINT16_MAX)
                continue;
            set_field(&search->layout, &constants[i], value);
            search->found[i] = (uint8_t)(j + 1);
        }
    }
}

/* Of the builtins for all isolates (src/snapshot/embedded/platform-embedded-file-writer-base.cc).
 */
static void take_blob(struct search *search, const char *name, const struct symbol *symbol)
{
    int32_t size;
    if (!strcmp(name, "size_") && read_int(search->executable, symbol->address, &size) && size > 0)
        search->blob_size = (uint64_t)size;
    else if (!strcmp(name, "data_"))
        search->blob_start = symbol->address;
    else if (!*name && !search->blob_start)
        search->blob_start = symbol->address;
}

static bool take_symbol(void *context, const struct symbol *symbol)
{
    static const char v8dbg[] = "v8dbg_", blob[] = "v8_Default_embedded_blob_code_",
                      version[] = "_ZN2v88internal7Version",
                      sizes[] = "_ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE";
    static const char *const parts[] = {"6major_E", "6minor_E", "6build_E", "6patch_E"};
    struct search *search = context;
    const char *name = symbol->name;
    if (!strncmp(name, v8dbg, sizeof v8dbg - 1)) {
        take_constant(search, name + sizeof v8dbg - 1, symbol->address);
    } else if (!strncmp(name, blob, sizeof blob - 1)) {
        take_blob(search, name + sizeof blob - 1, symbol);
    } else if (!strcmp(name, sizes)) {
        search->layout.bytecode_sizes = symbol->address;
        search->layout.bytecode_count = (uint32_t)(symbol->size / 3);
    } else if (!strncmp(name, version, sizeof version - 1)) {
        for (size_t i = 0; i < 4; i++)
            if (!strcmp(name + sizeof version - 1, parts[i]))
                search->versions[i] =
                    read_int(search->executable, symbol->address, &search->version[i]);
    }
    return true;
}

static const struct rule *rule_for(int major, int minor)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (major > rules[i].major || (major == rules[i].major && minor >= rules[i].minor))
            return &rules[i];
    return NULL;
}

/* The rule's fields, and over them what the executable tells itself. */
static void combine(const struct search *search, const struct rule *rule,
                    struct v8_layout *ret_layout)
{
    *ret_layout = rule->layout;
    for (size_t i = 0; i < CONSTANTS; i++)
        if (search->found[i])
            memcpy((uint8_t *)ret_layout + constants[i].offset,
                   (const uint8_t *)&search->layout + constants[i].offset, constants[i].size);
    if (!ret_layout->js_function.last)
        ret_layout->js_function.last = ret_layout->js_function.first + 16;
    ret_layout->bytecode_sizes = search->layout.bytecode_sizes;
    ret_layout->bytecode_count = search->layout.bytecode_count;
    ret_layout->blob_start = search->blob_start;
    ret_layout->blob_size = search->blob_size;
    ret_layout->major = search->version[0];
    ret_layout->minor = search->version[1];
    ret_layout->build = search->version[2];
    ret_layout->patch = search->version[3];
}

int v8_layout_read(struct elf_file *executable, struct v8_layout *ret_layout, struct error *err)
{
    struct search search = {.executable = executable};
    symbols_file_walk(executable, take_symbol, &search);
    for (size_t i = 0; i < 4; i++)
        if (!search.versions[i])
            return error_set(err, ERROR_UNSUPPORTED, "no version of V8 in it");
    const int *version = search.version;
    const struct rule *rule = rule_for(version[0], version[1]);
    if (!rule)
        return error_set(err, ERROR_UNSUPPORTED, "V8 %d.%d is older than 10.2", version[0],
                         version[1]);
    for (size_t i = 0; i < CONSTANTS; i++)
        if (!constants[i].optional && !search.found[i])
            return error_set(err, ERROR_UNSUPPORTED, "V8 %d.%d: no v8dbg_%s", version[0],
                             version[1], constants[i].names[0]);
    if (!search.blob_start || !search.blob_size)
        return error_set(err, ERROR_UNSUPPORTED, "V8 %d.%d: its builtins are not to be found",
                         version[0], version[1]);
    combine(&search, rule, ret_layout);
    return 0;
}
