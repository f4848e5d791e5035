#include "core/limits.h"
#include "tests/unit/unit.h"
#include "tests/v8_image.h"

/*
 * Code with random places that can be left, written down as each version of V8 does it, and then
 * the functions at each address, found by a plain loop over these places.
 */

enum {
    FUNCTIONS = 6,
    BYTECODES = 40,
    DEPTH = 5,
    CHECKS = 7,
    CALLS = 6,
    POINTS = CHECKS + CALLS,
    BODY = 600 /* bytes of instructions before the exits */
};

struct version {
    int major, minor;
    uint8_t begin, frame, builtin, value, opcodes, repeat; /* opcodes; `value` has one operand */
    unsigned rest; /* operands of a frame after the second */
    bool signed_opcodes, repeats, slots;
};

static const struct version versions[] = {
    {10, 2, 3, 18, 19, 22, 28, 0, 3, true, false, false},
    {11, 3, 2, 24, 25, 29, 36, 35, 1, false, true, false},
    {11, 3, 3, 23, 26, 29, 36, 35, 3, false, true, false},
    {12, 4, 12, 1, 2, 33, 40, 39, 1, false, true, false},
    {13, 6, 14, 1, 2, 38, 45, 44, 2, false, true, true},
    {13, 6, 15, 0, 3, 38, 45, 44, 4, false, true, true},
};

struct place { /* a function in execution: its number, and the bytecode */
    int function, bytecode;
};

struct point {
    uint32_t offset;           /* of the jump, or where the call returns to */
    struct place chain[DEPTH]; /* outermost first */
    int depth;
};

static struct v8_image image;
static struct v8_heap heap;
static uint64_t shared[FUNCTIONS], bytecodes[FUNCTIONS];
static struct point points[POINTS]; /* checks, then calls */
static const struct version *version;

static uint32_t position_of(struct place place)
{
    return (uint32_t)(1000 * place.function + 10 * place.bytecode);
}

static void make_functions(void)
{
    static const uint8_t zeros[BYTECODES];
    for (int f = 0; f < FUNCTIONS; f++) {
        struct packed packed = {.count = 0};
        uint64_t bits = 0;
        for (int b = 0; b < BYTECODES; b++) {
            uint64_t next = position_bits(position_of((struct place){f, b}), 0);
            pack_folded(&packed, 1);
            pack_folded(&packed, (int64_t)(next - bits));
            bits = next;
        }
        bytecodes[f] =
            v8_image_bytecodes(&image, zeros, BYTECODES, v8_image_byte_array(&image, &packed));
        shared[f] = v8_image_shared(&image, bytecodes[f]);
    }
}

static int compare_points(const void *a, const void *b)
{
    const struct point *of_a = a, *of_b = b;
    return of_a->offset < of_b->offset ? -1 : of_a->offset > of_b->offset;
}

/* Places of a tree of inlined functions, so that neighbours often have callers in common. */
static void make_points(void)
{
    uint32_t offset = 4;
    struct point made[POINTS];
    for (int i = 0; i < POINTS; i++) {
        struct point *point = &made[i];
        *point = (struct point){.offset = offset += 7 + (uint32_t)rand() % 30};
        point->depth = 1 + rand() % DEPTH;
        for (int d = 0; d < point->depth; d++)
            point->chain[d] =
                (struct place){d ? 1 + rand() % 2 + 2 * (d % 2) : 0,
                               d + 1 < point->depth ? rand() % 2 : rand() % BYTECODES};
    }
    for (int i = 0; i < POINTS; i++) { /* deal them out to both kinds, in no order */
        int j = rand() % (i + 1);
        points[i] = points[j];
        points[j] = made[i];
    }
    qsort(points + CHECKS, CALLS, sizeof *points, compare_points);
}

struct opcode {
    struct packed packed;
};

static struct opcode opcode_of(uint8_t opcode)
{
    struct opcode made = {.packed = {.count = 0}};
    pack(&made.packed, version->signed_opcodes ? 2u * opcode : opcode);
    return made;
}

static void append(struct packed *packed, const struct packed *more)
{
    for (size_t i = 0; i < more->count; i++)
        pack_bytes(packed, more->bytes[i], 1);
}

/* The opcodes after the first of a point's translation. */
static size_t opcodes_of(const struct point *point, struct opcode ret_opcodes[64])
{
    size_t count = 0;
    for (int d = 0; d < point->depth; d++) {
        ret_opcodes[count] = opcode_of(version->frame);
        pack_signed(&ret_opcodes[count].packed, point->chain[d].bytecode);
        pack_signed(&ret_opcodes[count].packed, 1 + point->chain[d].function);
        for (unsigned i = 0; i < version->rest; i++)
            pack_signed(&ret_opcodes[count].packed, i ? 1 : 2 + point->chain[d].function);
        for (count++; rand() % 3; count++) {
            ret_opcodes[count] = opcode_of(version->value);
            pack_signed(&ret_opcodes[count].packed, rand() % 2 ? 3 : -100);
            if (count > 50)
                break;
        }
        if (d + 1 == point->depth && point->depth % 2) {
            ret_opcodes[count] = opcode_of(version->builtin);
            for (int i = 0; i < 3; i++)
                pack_signed(&ret_opcodes[count].packed, 5);
            count++;
        }
    }
    return count;
}

static void write_opcodes(struct packed *packed, const struct opcode *opcodes, size_t count,
                          const struct opcode *before, size_t before_count)
{
    for (size_t i = 0; i < count;) {
        size_t same = 0;
        while (i + same < count && i + same < before_count &&
               opcodes[i + same].packed.count == before[i + same].packed.count &&
               !memcmp(opcodes[i + same].packed.bytes, before[i + same].packed.bytes,
                       opcodes[i + same].packed.count))
            same++;
        if (!same) {
            append(packed, &opcodes[i++].packed);
            continue;
        }
        if (rand() % 2)
            pack_bytes(packed, version->opcodes + same, 1);
        else {
            pack_bytes(packed, version->repeat, 1);
            pack(packed, same);
        }
        i += same;
    }
}

static uint64_t write_translations(uint32_t ret_starts[POINTS])
{
    static struct opcode basis[64], opcodes[64];
    struct packed packed = {.count = 0};
    size_t basis_count = 0, basis_start = 0;
    for (int p = 0; p < POINTS; p++) {
        const struct point *point = &points[p];
        size_t count = opcodes_of(point, opcodes);
        bool repeat = version->repeats && basis_count && rand() % 4;
        int frames = point->depth + point->depth % 2;
        ret_starts[p] = (uint32_t)packed.count;
        const struct opcode first = opcode_of(version->begin);
        append(&packed, &first.packed);
        if (version->repeats)
            pack(&packed, repeat ? ret_starts[p] - basis_start : 0);
        pack_signed(&packed, frames);
        pack_signed(&packed, frames);
        if (!version->repeats)
            pack_signed(&packed, 0);
        write_opcodes(&packed, opcodes, count, basis, repeat ? basis_count : 0);
        if (!repeat) {
            memcpy(basis, opcodes, sizeof basis);
            basis_count = count;
            basis_start = ret_starts[p];
        }
    }
    return v8_image_byte_array(&image, &packed);
}

static uint64_t smi(uint64_t number)
{
    return number << 32;
}

static uint64_t write_data(uint32_t inlined, uint64_t inlining)
{
    uint64_t literals[FUNCTIONS + 1] = {image.meta}, arrays[FUNCTIONS + 2] = {image.meta};
    uint32_t starts[POINTS];
    for (int f = 0; f < FUNCTIONS; f++) {
        literals[1 + f] = shared[f];
        arrays[2 + f] = bytecodes[f];
    }
    uint64_t wrapper = v8_image_object(&image, 200, 16), items[12 + 3 * POINTS];
    v8_image_set(&image, wrapper, 8, shared[0], 8);
    items[0] = write_translations(starts);
    items[1] = smi(inlined);
    items[2] = v8_image_array(&image, arrays, FUNCTIONS + 2);
    items[3] = v8_image_array(&image, literals, FUNCTIONS + 1);
    items[4] = items[5] = items[6] = 0;
    items[7] = wrapper;
    items[8] = inlining;
    items[9] = smi(BODY);
    items[10] = smi(CHECKS);
    items[11] = smi(CALLS);
    for (int p = 0; p < POINTS; p++) {
        items[12 + 3 * p] = smi(7);
        items[13 + 3 * p] = smi(starts[p]);
        items[14 + 3 * p] = smi(9);
    }
    return v8_image_array(&image, items, sizeof items / sizeof *items);
}

/* Every second call can't be left: it has no point. */
static void write_calls(struct packed *metadata, bool maglev)
{
    if (version->slots)
        pack_bytes(metadata, 9, 4);
    pack_bytes(metadata, CALLS + 1, 4);
    pack_bytes(metadata, 1 | 2 << 1 | 2 << 4 | 1 << 7, 4);
    if (maglev)
        pack_bytes(metadata, 77, 4);
    for (int c = 0; c <= CALLS; c++) {
        bool last = c == CALLS;
        pack_bytes(metadata, last ? BODY - 2 : points[CHECKS + c].offset, 2);
        pack_bytes(metadata, last ? 0 : 1u + CHECKS + (unsigned)c, 1);
        pack_bytes(metadata, last ? 0 : 1u + BODY + 4u * (unsigned)(CHECKS + c), 2);
        pack_bytes(metadata, 0xbeef, 2u + maglev);
    }
}

static uint64_t make_code(unsigned kind, uint32_t inlined, uint64_t inlining, uint64_t positions)
{
    struct packed metadata = {.count = 0};
    write_calls(&metadata, kind == IMAGE_MAGLEV);
    uint64_t start = v8_image_code(&image, kind, BODY + 4 * POINTS, write_data(inlined, inlining),
                                   positions, &metadata);
    for (int p = 0; p < CHECKS; p++) {
        uint8_t jump[6] = {0x0f, (uint8_t)(0x80 + p)};
        uint32_t distance = BODY + 4 * (uint32_t)p - points[p].offset - 6;
        memcpy(jump + 2, &distance, 4);
        memcpy(image.bytes + (start - IMAGE_BASE) + points[p].offset, jump, 6);
    }
    return start;
}

static void begin(const struct version *of, unsigned seed)
{
    srand(seed);
    version = of;
    memset(&image, 0, sizeof image);
    v8_image_heap(&image, &heap);
    heap.layout.major = version->major;
    heap.layout.minor = version->minor;
    make_functions();
    make_points();
}

static void check_sites(const struct v8_site *sites, size_t count, const struct point *point)
{
    ck_assert_uint_eq(count, (size_t)point->depth);
    for (size_t i = 0; i < count; i++) {
        struct place place = point->chain[count - 1 - i];
        ck_assert_uint_eq(sites[i].shared, shared[place.function]);
        ck_assert_uint_eq(sites[i].position, position_of(place));
    }
}

START_TEST(callers_have_the_frames_that_v8_would_build)
{
    for (unsigned round = 0; round < 300; round++) {
        begin(&versions[round % (sizeof versions / sizeof *versions)], round);
        uint64_t start = make_code(round % 2 ? IMAGE_MAGLEV : IMAGE_TURBOFAN, 3, 0, 0);
        struct v8_code code;
        struct v8_site sites[LIMIT_INLINE_DEPTH];
        ck_assert(v8_code_find(&heap, start + BODY, &code));
        for (int p = CHECKS; p < POINTS; p++) {
            uint64_t to = start + points[p].offset, exit = start + BODY + 4 * (uint64_t)p;
            check_sites(sites, v8_code_sites(&heap, &code, to - 1, true, sites), &points[p]);
            check_sites(sites, v8_code_sites(&heap, &code, exit - 1, true, sites), &points[p]);
        }
    }
}
END_TEST

/* What the nearest points before and after have in common, outermost first. */
static void check_between(const struct v8_site *sites, size_t count, uint32_t offset)
{
    const struct point *before = NULL, *after = NULL;
    uint32_t best = 0, next = UINT32_MAX;
    for (int p = 0; p < POINTS; p++) {
        uint32_t at = points[p].offset - (p >= CHECKS);
        if (at <= offset && (!before || at > best)) {
            before = &points[p];
            best = at;
        } else if (at > offset && at < next) {
            after = &points[p];
            next = at;
        }
    }
    int common = 1;
    bool same = before && after && before->depth == after->depth;
    for (; before && after && common < before->depth && common < after->depth; common++)
        if (before->chain[common - 1].bytecode != after->chain[common - 1].bytecode ||
            before->chain[common].function != after->chain[common].function)
            break;
    same = same && common == before->depth;
    ck_assert_uint_eq(count, (size_t)common);
    for (int i = 0; i < common; i++) {
        const struct v8_site *site = &sites[common - 1 - i];
        bool innermost = i + 1 == common;
        struct place place = before ? before->chain[i] : (struct place){0, 0};
        ck_assert_uint_eq(site->shared, shared[place.function]);
        ck_assert_uint_eq(site->position, innermost && !same ? V8_NO_POSITION : position_of(place));
    }
}

START_TEST(leaves_have_what_the_places_around_them_have_in_common)
{
    size_t deep = 0;
    for (unsigned round = 0; round < 60; round++) {
        begin(&versions[round % (sizeof versions / sizeof *versions)], round);
        uint64_t start = make_code(round % 2 ? IMAGE_MAGLEV : IMAGE_TURBOFAN, 3, 0, 0);
        struct v8_code code;
        struct v8_site sites[LIMIT_INLINE_DEPTH];
        ck_assert(v8_code_find(&heap, start, &code));
        for (uint32_t offset = 0; offset < BODY; offset++) {
            size_t count = v8_code_sites(&heap, &code, start + offset, false, sites);
            check_between(sites, count, offset);
            deep += count > 1;
        }
        /* A call that has no point of its own is no better known. */
        check_between(sites, v8_code_sites(&heap, &code, start + BODY - 3, true, sites), BODY - 3);
    }
    ck_assert_uint_gt(deep, 1000);
}
END_TEST

START_TEST(code_without_inlined_functions_has_the_position_before)
{
    struct v8_code code;
    struct v8_site sites[LIMIT_INLINE_DEPTH];
    begin(&versions[4], 1);
    for (int p = 0; p < POINTS; p++)
        points[p].depth = 1;
    uint64_t start = make_code(IMAGE_MAGLEV, 0, 0, 0);
    ck_assert(v8_code_find(&heap, start, &code));
    for (int p = 0; p < POINTS; p++)
        check_sites(sites, v8_code_sites(&heap, &code, start + points[p].offset, false, sites),
                    &points[p]);
}
END_TEST

static void add_entry(struct packed *packed, uint64_t *bits, int32_t step, uint64_t next)
{
    pack_folded(packed, step);
    pack_folded(packed, (int64_t)(next - *bits));
    *bits = next;
}

/* As before, but of a version whose translations are not known: there is only the table. */
START_TEST(position_tables_name_inlined_functions)
{
    struct packed inlining = {.count = 0}, table = {.count = 0};
    struct v8_code code;
    struct v8_site sites[LIMIT_INLINE_DEPTH];
    uint64_t bits = 0;
    begin(&versions[4], 2);
    heap.layout.minor = 7;
    pack_bytes(&inlining, position_bits(77, 0), 8); /* 1: function 3 at 77 */
    pack_bytes(&inlining, 4, 8);
    pack_bytes(&inlining, position_bits(88, 1), 8); /* 2: function 1 at 88 of that */
    pack_bytes(&inlining, 2, 8);
    pack_bytes(&inlining, position_bits(99, 3), 8); /* 3: in itself */
    pack_bytes(&inlining, 2, 8);
    add_entry(&table, &bits, 11, position_bits(5, 0));
    add_entry(&table, &bits, 90, position_bits(55, 2));
    add_entry(&table, &bits, 100, position_bits(56, 2));
    add_entry(&table, &bits, 100, position_bits(57, 1));
    add_entry(&table, &bits, 100, position_bits(58, 3));
    uint64_t start = make_code(IMAGE_TURBOFAN, 3, v8_image_byte_array(&image, &inlining),
                               v8_image_byte_array(&image, &table));
    ck_assert(v8_code_find(&heap, start, &code));
    ck_assert_uint_eq(v8_code_sites(&heap, &code, start + 150, false, sites), 3);
    ck_assert_uint_eq(sites[0].shared, shared[1]);
    ck_assert_uint_eq(sites[0].position, 55);
    ck_assert_uint_eq(sites[1].shared, shared[3]);
    ck_assert_uint_eq(sites[1].position, 88);
    ck_assert_uint_eq(sites[2].shared, shared[0]);
    ck_assert_uint_eq(sites[2].position, 77);
    ck_assert_uint_eq(v8_code_sites(&heap, &code, start + 250, false, sites), 2);
    ck_assert_uint_eq(sites[0].shared, shared[3]);
    ck_assert_uint_eq(sites[0].position, V8_NO_POSITION);
    for (uint64_t offset = 0; offset < BODY; offset += offset == 50 ? 260 : 50) {
        ck_assert_uint_eq(v8_code_sites(&heap, &code, start + offset, false, sites), 1);
        ck_assert_uint_eq(sites[0].shared, shared[0]);
    }
}
END_TEST

START_TEST(data_of_other_code_is_refused)
{
    struct v8_code code;
    struct v8_site sites[LIMIT_INLINE_DEPTH];
    begin(&versions[4], 3);
    for (int p = 0; p < POINTS; p++) /* its outermost function is not the one that was compiled */
        points[p].chain[0].function = 5;
    uint64_t start = make_code(IMAGE_MAGLEV, 3, 0, 0), pc = start + points[CHECKS].offset - 1;
    ck_assert(v8_code_find(&heap, start, &code));
    ck_assert_uint_eq(v8_code_sites(&heap, &code, pc, true, sites), 1);
    ck_assert_uint_eq(sites[0].shared, shared[0]);
    ck_assert_uint_eq(sites[0].position, V8_NO_POSITION);
    v8_image_set(&image, code.deoptimization, 16 + 8 * 10, smi(CHECKS + 1), 8);
    ck_assert_uint_eq(v8_code_sites(&heap, &code, pc, true, sites), 0);
    v8_image_set(&image, code.deoptimization, 0, image.maps[IMAGE_SHARED], 8);
    ck_assert_uint_eq(v8_code_sites(&heap, &code, pc, true, sites), 0);
}
END_TEST

UNIT_MAIN("v8_sites", callers_have_the_frames_that_v8_would_build,
          leaves_have_what_the_places_around_them_have_in_common,
          code_without_inlined_functions_has_the_position_before,
          position_tables_name_inlined_functions, data_of_other_code_is_refused)
