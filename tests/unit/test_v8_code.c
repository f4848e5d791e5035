#include "core/limits.h"
#include "symbolize/v8_positions.h"
#include "tests/unit/unit.h"
#include "tests/v8_image.h"

static struct v8_image image;
static struct v8_heap heap;

static void begin(void)
{
    memset(&image, 0, sizeof image);
    v8_image_heap(&image, &heap);
}

struct entry {
    int32_t offset;
    uint32_t position, inlining;
};

static uint64_t table_of(const struct entry *entries, size_t count)
{
    struct packed packed = {.count = 0};
    int64_t offset = -1;
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t next = position_bits(entries[i].position, entries[i].inlining);
        int64_t step = entries[i].offset - offset;
        pack_folded(&packed, rand() % 2 ? step : -step - 1); /* statement or expression */
        pack_folded(&packed, (int64_t)(next - bits));
        offset = entries[i].offset;
        bits = next;
    }
    return v8_image_byte_array(&image, &packed);
}

static void check_table(const struct entry *entries, size_t count, int32_t end)
{
    uint64_t table = table_of(entries, count);
    for (int32_t offset = -1; offset < end; offset++) {
        struct v8_position at, next;
        size_t after = 0;
        while (after < count && entries[after].offset <= offset)
            after++;
        ck_assert(v8_positions_around(&heap, table, offset, &at, &next));
        ck_assert_int_eq(at.offset, after ? entries[after - 1].offset : INT32_MIN);
        ck_assert_int_eq(next.offset, after < count ? entries[after].offset : INT32_MAX);
        ck_assert_uint_eq(at.position, after ? entries[after - 1].position : V8_NO_POSITION);
        ck_assert_uint_eq(at.inlining, after ? entries[after - 1].inlining : 0);
        if (after < count) {
            ck_assert_uint_eq(next.position, entries[after].position);
            ck_assert_uint_eq(next.inlining, entries[after].inlining);
        }
    }
}

START_TEST(positions_are_found_as_a_plain_loop_finds_them)
{
    srand(4);
    for (int round = 0; round < 300; round++) {
        struct entry entries[40];
        size_t count = (size_t)(rand() % 40);
        int32_t offset = -1;
        begin();
        for (size_t i = 0; i < count; i++) {
            offset += rand() % (rand() % 8 ? 20 : 500) + !!i;
            entries[i] = (struct entry){offset, (uint32_t)rand() % (1 << (1 + rand() % 29)),
                                        rand() % 3 ? 0 : (uint32_t)rand() % 65536};
        }
        check_table(entries, count, offset + 20);
    }
}
END_TEST

START_TEST(a_table_that_is_cut_or_no_table_is_refused)
{
    struct v8_position at, next;
    struct packed packed = {.count = 0};
    begin();
    pack_folded(&packed, 3);
    pack_bytes(&packed, 0x80, 1);
    uint64_t table = v8_image_byte_array(&image, &packed);
    ck_assert(!v8_positions_around(&heap, table, 100, &at, &next));
    ck_assert(!v8_positions_around(&heap, 0, 100, &at, &next));
    ck_assert(!v8_positions_around(&heap, v8_image_array(&image, NULL, 0), 1, &at, &next));
    v8_image_set(&image, table, 8, (uint64_t)1 << 62, 8);
    ck_assert(!v8_positions_around(&heap, table, 100, &at, &next));
    memset(&packed, 0xff, sizeof packed);
    packed.count = 40;
    table = v8_image_byte_array(&image, &packed);
    ck_assert(!v8_positions_around(&heap, table, 100, &at, &next));
}
END_TEST

enum { OPCODES = 12 };
static const uint8_t sizes[3][OPCODES] = {{1, 1, 1, 1, 1, 2, 3, 4, 1, 2, 5, 3},
                                          {1, 1, 1, 1, 1, 3, 5, 7, 1, 3, 9, 5},
                                          {1, 1, 1, 1, 1, 5, 9, 13, 1, 5, 17, 9}};

START_TEST(baseline_code_leads_to_its_bytecode)
{
    srand(5);
    for (int round = 0; round < 100; round++) {
        uint8_t bytes[2048] = {0};
        uint32_t starts[100], ends[100], at = 0, end = (uint32_t)(rand() % 300);
        struct packed packed = {.count = 0}, none = {.count = 0};
        begin();
        heap.bytecode_sizes = &sizes[0][0];
        heap.layout.bytecode_count = OPCODES;
        pack(&packed, end);
        uint32_t first = end;
        for (int i = 0; i < 100; i++) {
            uint8_t prefix = (uint8_t)(rand() % 8), opcode = (uint8_t)(4 + rand() % (OPCODES - 4));
            uint32_t size = (uint32_t)(rand() % (rand() % 9 ? 40 : 300));
            starts[i] = at;
            if (prefix < 4)
                bytes[at++] = prefix;
            bytes[at] = opcode;
            at += prefix < 4 ? sizes[1 + prefix % 2][opcode] : sizes[0][opcode];
            pack(&packed, size);
            ends[i] = end += size;
        }
        uint64_t array = v8_image_bytecodes(&image, bytes, at, 0);
        uint64_t table = v8_image_byte_array(&image, &packed);
        struct v8_code code;
        uint64_t start = v8_image_code(&image, IMAGE_BASELINE, end + 8, array, table, &none);
        ck_assert(v8_code_find(&heap, start + end, &code));
        ck_assert_int_eq(code.kind, V8_CODE_BASELINE);
        for (uint32_t offset = 0, i = 0; offset < end; offset++) {
            while (offset >= first && ends[i] <= offset)
                i++;
            ck_assert_int_eq(v8_baseline_offset(&heap, &code, array, start + offset),
                             offset < first ? 0 : (int32_t)starts[i]);
        }
        ck_assert_int_eq(v8_baseline_offset(&heap, &code, array, start + end), -1);
    }
}
END_TEST

/* Whether pc is found to be in the code at `start`; start 0: in none. */
static void check_found(uint64_t pc, uint64_t start)
{
    struct v8_code code;
    ck_assert_int_eq(v8_code_find(&heap, pc, &code), start != 0);
    if (!start)
        return;
    ck_assert_uint_eq(code.start, start);
    ck_assert_uint_eq(code.identity_address, start - IMAGE_HEAD);
    ck_assert(!memcmp(code.identity, image.bytes + (code.identity_address - IMAGE_BASE),
                      code.identity_size));
}

START_TEST(code_is_found_by_any_address_in_it)
{
    const struct packed none = {.count = 0};
    begin();
    image.used = 100; /* what lies before the first object is no head */
    uint64_t first = v8_image_code(&image, IMAGE_TURBOFAN, 100, 0, 0, &none);
    uint64_t big = v8_image_code(&image, IMAGE_MAGLEV, 20000, 0, 0, &none);
    uint64_t stub = v8_image_code(&image, 0, 40, 0, 0, &none);
    /* The head's map and the Code's address in the instructions, as constants. */
    memcpy(image.bytes + (big - IMAGE_BASE) + 5000, image.bytes + (first - IMAGE_HEAD - IMAGE_BASE),
           16);
    for (uint64_t i = 0; i < 100; i++)
        check_found(first + i, first);
    for (uint64_t i = 0; i < 20000; i += 7)
        check_found(big + i, big);
    check_found(stub + 39, stub);
    check_found(stub + 40, 0);
    check_found(first - 1, 0);
    check_found(first + 100, 0);
    check_found(0, 0);
    check_found(UINT64_MAX, 0);
    struct v8_code code;
    ck_assert(v8_code_find(&heap, stub, &code) && code.kind == V8_CODE_OTHER);
    ck_assert(v8_code_find(&heap, big, &code) && code.kind == V8_CODE_MAGLEV);
}
END_TEST

START_TEST(code_is_found_where_its_mapping_begins_amid_a_chunk)
{
    const struct packed none = {.count = 0};
    begin();
    image.used = 5 * 4096;
    image.missing = 5 * 4096;
    uint64_t start = v8_image_code(&image, IMAGE_TURBOFAN, 9000, 0, 0, &none);
    check_found(start + 8999, start);
    image.missing = start - IMAGE_BASE;
    check_found(start + 8999, 0);
}
END_TEST

/* V8 10.2: the Code is the head itself. */
START_TEST(code_is_found_where_it_is_its_own_head)
{
    struct v8_code code;
    begin();
    heap.layout.code_inline = true;
    heap.layout.code_start = 128;
    uint64_t data = v8_image_array(&image, NULL, 0), map = v8_image_map(&image, IMAGE_CODE);
    uint64_t object = v8_image_room(&image, 128 + 400, 64), start = object - 1 + 128;
    v8_image_set(&image, object, 0, map, 8);
    v8_image_set(&image, object, 8, data, 8);
    v8_image_set(&image, object, 16, data, 8);
    v8_image_set(&image, object, 52, IMAGE_TURBOFAN, 4);
    v8_image_set(&image, object, 56, 400, 4);
    v8_image_set(&image, object, 128 + 80, map, 8); /* a constant */
    for (uint64_t i = 0; i < 400; i++) {
        ck_assert(v8_code_find(&heap, start + i, &code));
        ck_assert_uint_eq(code.start, start);
        ck_assert_uint_eq(code.identity_address, object - 1);
    }
    ck_assert(!v8_code_find(&heap, start + 400, &code));
    ck_assert(!v8_code_find(&heap, start - 1, &code));
}
END_TEST

START_TEST(code_that_changed_is_not_renewed)
{
    const struct packed none = {.count = 0};
    struct v8_code code;
    begin();
    uint64_t start = v8_image_code(&image, IMAGE_TURBOFAN, 100, 0, 0, &none);
    ck_assert(v8_code_find(&heap, start, &code));
    v8_image_set(&image, code.object, 8, 0x1234, 8);
    ck_assert(v8_code_renew(&heap, &code));
    ck_assert_uint_eq(code.deoptimization, 0x1234);
    v8_image_set(&image, code.object, 56, 104, 4);
    ck_assert(!v8_code_renew(&heap, &code));
    v8_image_set(&image, code.object, 0, 0x1235, 8);
    ck_assert(!v8_code_renew(&heap, &code));
}
END_TEST

UNIT_MAIN("v8_code", positions_are_found_as_a_plain_loop_finds_them,
          a_table_that_is_cut_or_no_table_is_refused, baseline_code_leads_to_its_bytecode,
          code_is_found_by_any_address_in_it, code_is_found_where_its_mapping_begins_amid_a_chunk,
          code_is_found_where_it_is_its_own_head, code_that_changed_is_not_renewed)
