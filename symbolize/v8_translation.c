/*
 * From 11.3 on a translation may say "the same as the one before, for so many opcodes": then they
 * are read from an earlier translation, which itself says no such thing, at the opcode of the same
 * number. So there are two readers, and the earlier one keeps in step.
 */
#include "symbolize/v8_translation.h"

enum {
    OPERANDS_MAX = 6,
    OPCODES_READ_MAX = 1 << 14 /* of one translation */
};

struct v8_translations {
    int major, minor;
    uint8_t opcodes;         /* their number; a greater byte b repeats b - opcodes of before */
    uint8_t begin[2];        /* frames, JavaScript frames; with `repeats` the distance first */
    uint8_t interpreted[2];  /* bytecode offset, literal, … */
    uint8_t continuation[2]; /* of a builtin of JavaScript: such frames are left out */
    uint8_t repeat;          /* so many opcodes of the translation before */
    bool repeats;
    bool signs_opcodes;      /* they are written like operands, with a sign below */
    bool names_bytecodes;    /* the third operand of `interpreted` */
    bool has_slots;          /* before the number of calls stands that of stack slots */
    const uint8_t *operands; /* their number, by opcode */
};

static const uint8_t operands_10_2[] = {2, 1, 0, 3, 1, 1, 3, 1, 3, 1, 1, 1, 1, 1,
                                        1, 1, 1, 1, 5, 3, 3, 4, 1, 1, 1, 1, 1, 2};
static const uint8_t operands_11_3[] = {1, 0, 3, 3, 1, 1, 3, 1, 3, 1, 1, 1, 1, 1, 2, 1, 1, 1,
                                        1, 1, 1, 1, 1, 5, 3, 3, 3, 4, 0, 1, 1, 1, 1, 1, 2, 1};
static const uint8_t operands_12_4[] = {5, 3, 3, 3, 2, 1, 3, 4, 3, 2, 1, 0, 3, 3, 1, 1, 1, 1, 1, 1,
                                        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 2, 1};
static const uint8_t operands_13_6[] = {6, 4, 3, 3, 2, 1, 3, 4, 3, 3, 3, 1, 0, 0, 3,
                                        3, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                        1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 2, 1};

static const struct v8_translations versions[] = {
    {.major = 10,
     .minor = 2,
     .opcodes = sizeof operands_10_2,
     .begin = {3, 3},
     .interpreted = {18, 18},
     .continuation = {19, 20},
     .signs_opcodes = true,
     .operands = operands_10_2},
    {.major = 11,
     .minor = 3,
     .opcodes = sizeof operands_11_3,
     .begin = {2, 3},
     .interpreted = {23, 24},
     .continuation = {25, 26},
     .repeat = 35,
     .repeats = true,
     .operands = operands_11_3},
    {.major = 12,
     .minor = 4,
     .opcodes = sizeof operands_12_4,
     .begin = {12, 13},
     .interpreted = {0, 1},
     .continuation = {2, 3},
     .repeat = 39,
     .repeats = true,
     .operands = operands_12_4},
    {.major = 13,
     .minor = 6,
     .opcodes = sizeof operands_13_6,
     .begin = {14, 15},
     .interpreted = {0, 1},
     .continuation = {2, 3},
     .repeat = 44,
     .repeats = true,
     .names_bytecodes = true,
     .has_slots = true,
     .operands = operands_13_6},
};

const struct v8_translations *v8_translations_of(const struct v8_layout *layout)
{
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (versions[i].major == layout->major && versions[i].minor == layout->minor)
            return &versions[i];
    return NULL;
}

bool v8_translation_names_bytecodes(const struct v8_translations *rules)
{
    return rules->names_bytecodes;
}

bool v8_translation_has_slots(const struct v8_translations *rules)
{
    return rules->has_slots;
}

struct reader {
    const struct v8_translations *rules;
    struct v8_bytes now, before;
    uint32_t behind;    /* opcodes that `before` has to be moved on by to be in step */
    uint32_t repeating; /* opcodes to read from `before` */
};

static bool is_one_of(const uint8_t opcodes[2], uint8_t opcode)
{
    return opcode == opcodes[0] || opcode == opcodes[1];
}

static uint8_t read_opcode(const struct v8_translations *rules, struct v8_bytes *bytes)
{
    return v8_bytes_next(bytes) >> rules->signs_opcodes;
}

/* Reads the operands of an opcode as they stand; false if there is no such opcode. */
static bool read_operands(const struct v8_translations *rules, struct v8_bytes *bytes,
                          uint8_t opcode, uint32_t operands[OPERANDS_MAX])
{
    if (opcode >= rules->opcodes)
        return false;
    for (uint8_t i = 0; i < rules->operands[opcode]; i++) {
        uint64_t operand = v8_bytes_packed(bytes);
        if (operand > UINT32_MAX)
            return false;
        operands[i] = (uint32_t)operand;
    }
    return !bytes->broken;
}

/* The lowest bit is the sign. */
static int32_t signed_operand(uint32_t operand)
{
    int32_t magnitude = (int32_t)(operand >> 1);
    return operand & 1 ? -magnitude : magnitude;
}

static bool start_repeating(struct reader *reader, uint8_t opcode)
{
    const struct v8_translations *rules = reader->rules;
    uint32_t operands[OPERANDS_MAX];
    uint64_t count =
        opcode == rules->repeat ? v8_bytes_packed(&reader->now) : (uint64_t)opcode - rules->opcodes;
    if (!count || count > OPCODES_READ_MAX || reader->behind > OPCODES_READ_MAX)
        return false;
    for (; reader->behind; reader->behind--)
        if (!read_operands(rules, &reader->before, read_opcode(rules, &reader->before), operands))
            return false;
    reader->repeating = (uint32_t)count;
    return true;
}

/* One opcode with its operands, from where it stands; false at the end. */
static bool next_opcode(struct reader *reader, uint8_t *ret_opcode,
                        uint32_t ret_operands[OPERANDS_MAX])
{
    const struct v8_translations *rules = reader->rules;
    struct v8_bytes *bytes = &reader->before;
    uint8_t opcode;
    if (!reader->repeating) {
        opcode = read_opcode(rules, &reader->now);
        bool repeats = rules->repeats && (opcode == rules->repeat || opcode >= rules->opcodes);
        if (repeats && !start_repeating(reader, opcode))
            return false;
        if (!repeats) {
            reader->behind++;
            bytes = &reader->now;
        }
    }
    if (reader->repeating) {
        reader->repeating--;
        opcode = read_opcode(rules, &reader->before);
        /* What is repeated was written in full. */
        if (rules->repeats && opcode == rules->repeat)
            return false;
    }
    *ret_opcode = opcode;
    return read_operands(rules, bytes, opcode, ret_operands);
}

/* The first opcode: how many JavaScript frames follow, and which translation may be repeated. */
static bool read_begin(struct reader *reader, uint32_t *ret_frames)
{
    const struct v8_translations *rules = reader->rules;
    uint32_t operands[OPERANDS_MAX], start = reader->now.at;
    uint8_t opcode = read_opcode(rules, &reader->now);
    if (!is_one_of(rules->begin, opcode) || !read_operands(rules, &reader->now, opcode, operands))
        return false;
    if (rules->repeats) {
        if (operands[0] > start)
            return false;
        reader->before.at = start - operands[0];
        reader->behind = 1;
    }
    int32_t frames = signed_operand(operands[rules->repeats ? 2 : 1]);
    if (frames <= 0 || frames > LIMIT_INLINE_DEPTH)
        return false;
    *ret_frames = (uint32_t)frames;
    return true;
}

static size_t read_frames(struct reader *reader, uint32_t wanted,
                          struct v8_translated_frame ret_frames[LIMIT_INLINE_DEPTH])
{
    const struct v8_translations *rules = reader->rules;
    uint32_t operands[OPERANDS_MAX], met = 0;
    size_t count = 0;
    for (uint32_t read = 0; met < wanted; read++) {
        uint8_t opcode;
        if (read == OPCODES_READ_MAX || !next_opcode(reader, &opcode, operands) ||
            is_one_of(rules->begin, opcode))
            return 0;
        if (is_one_of(rules->continuation, opcode))
            met++;
        if (!is_one_of(rules->interpreted, opcode))
            continue;
        met++;
        ret_frames[count++] = (struct v8_translated_frame){
            .bytecode_offset = signed_operand(operands[0]),
            .literal = (uint32_t)signed_operand(operands[1]),
            .bytecodes = rules->names_bytecodes ? (uint32_t)signed_operand(operands[2]) : 0};
    }
    return count;
}

size_t v8_translation_read(struct v8_heap *heap, const struct v8_translations *rules,
                           uint64_t array, uint32_t start,
                           struct v8_translated_frame ret_frames[LIMIT_INLINE_DEPTH])
{
    struct reader reader = {.rules = rules};
    uint32_t frames;
    if (!v8_bytes_open(&reader.now, heap, array) || start >= reader.now.size)
        return 0;
    v8_bytes_init(&reader.before, heap, reader.now.address, reader.now.size);
    reader.now.at = start;
    return read_begin(&reader, &frames) ? read_frames(&reader, frames, ret_frames) : 0;
}
