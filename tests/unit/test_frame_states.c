#include "symbolize/frame_states.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "tests/unit/unit.h"

#include <elf.h>
#include <string.h>

enum { BASE = 0x1000, RCX = 2, RAX = 0 };

struct expected {
    uint32_t offset;
    enum leaf_frame leaf;
    uint32_t where;
};

static void check_states(const uint8_t *code, size_t size, const struct expected *expected,
                         size_t count)
{
    struct frame_states *states = frame_states_new(EM_X86_64, code, size, BASE);
    ck_assert_ptr_nonnull(states);
    for (size_t i = 0; i < count; i++) {
        uint32_t where = 99;
        enum leaf_frame leaf = frame_states_find(states, BASE + expected[i].offset, &where);
        ck_assert_msg(leaf == expected[i].leaf && where == expected[i].where,
                      "at %u: %d %u and not %d %u", expected[i].offset, leaf, where,
                      expected[i].leaf, expected[i].where);
    }
    frame_states_free(states);
}

#define CHECK(code, ...)                                                                \
    do {                                                                                \
        static const struct expected expected[] = {__VA_ARGS__};                        \
        check_states(code, sizeof(code), expected, sizeof expected / sizeof *expected); \
    } while (0)

START_TEST(a_frame_with_its_edges)
{
    static const uint8_t code[] = {
        0x55,                         /*  0 push rbp */
        0x48, 0x89, 0xe5,             /*  1 mov rbp, rsp */
        0x6a, 0x12,                   /*  4 push 0x12 */
        0x48, 0x83, 0xec, 0x18,       /*  6 sub rsp, 24 */
        0xe8, 0x00, 0x01, 0x00, 0x00, /* 10 call far behind */
        0x48, 0x89, 0xec,             /* 15 mov rsp, rbp */
        0x5d,                         /* 18 pop rbp */
        0xc3,                         /* 19 ret */
        0xc9,                         /* 20 leave: no path leads here */
    };
    CHECK(code, {0, LEAF_BARE, 0}, {1, LEAF_BARE, 8}, {4, LEAF_FRAMED, 0}, {6, LEAF_FRAMED, 0},
          {10, LEAF_FRAMED, 0}, {15, LEAF_FRAMED, 0}, {18, LEAF_FRAMED, 0}, {19, LEAF_BARE, 0},
          {20, LEAF_UNKNOWN, 0}, {21, LEAF_UNKNOWN, 0}, {1 << 20, LEAF_UNKNOWN, 0});
}
END_TEST

/* V8's optimised code: a check ahead of the frame, a block behind the epilogue. */
START_TEST(blocks_out_of_order)
{
    static const uint8_t code[] = {
        0xf6, 0x43, 0x0f, 0x01,             /*  0 test byte [rbx + 15], 1 */
        0x0f, 0x85, 0x00, 0x10, 0x00, 0x00, /*  4 jne out of the function */
        0x55,                               /* 10 push rbp */
        0x48, 0x8b, 0xec,                   /* 11 mov rbp, rsp, the other encoding */
        0x85, 0xc0,                         /* 14 test eax, eax */
        0x74, 0x02,                         /* 16 je 20 */
        0xc9,                               /* 18 leave */
        0xc3,                               /* 19 ret */
        0x41, 0xff, 0xd2,                   /* 20 call r10 */
        0xeb, 0xf9,                         /* 23 jmp 18 */
    };
    CHECK(code, {4, LEAF_BARE, 0}, {10, LEAF_BARE, 0}, {11, LEAF_BARE, 8}, {14, LEAF_FRAMED, 0},
          {19, LEAF_BARE, 0}, {20, LEAF_FRAMED, 0}, {23, LEAF_FRAMED, 0});
}
END_TEST

START_TEST(a_function_without_a_frame)
{
    static const uint8_t code[] = {
        0x53,                                     /*  0 push rbx */
        0x41, 0x54,                               /*  1 push r12 */
        0x48, 0x8d, 0x64, 0x24, 0xf0,             /*  3 lea rsp, [rsp - 16] */
        0x48, 0x89, 0x44, 0x24, 0x08,             /*  8 mov [rsp + 8], rax */
        0x48, 0x81, 0xc4, 0x10, 0x00, 0x00, 0x00, /* 13 add rsp, 16 */
        0x41, 0x5c,                               /* 20 pop r12 */
        0x5b,                                     /* 22 pop rbx */
        0xe9, 0x00, 0x10, 0x00, 0x00,             /* 23 jmp out of the function */
    };
    CHECK(code, {1, LEAF_BARE, 8}, {3, LEAF_BARE, 16}, {8, LEAF_BARE, 32}, {13, LEAF_BARE, 32},
          {20, LEAF_BARE, 16}, {22, LEAF_BARE, 8}, {23, LEAF_BARE, 0});
}
END_TEST

/* How JavaScript functions of V8 drop their arguments. */
START_TEST(the_return_address_in_a_register)
{
    static const uint8_t code[] = {
        0x59,                         /* 0 pop rcx */
        0x48, 0x8d, 0x64, 0xc4, 0x08, /* 1 lea rsp, [rsp + rax * 8 + 8] */
        0x51,                         /* 6 push rcx */
        0xc3,                         /* 7 ret */
    };
    CHECK(code, {0, LEAF_BARE, 0}, {1, LEAF_HELD, RCX}, {6, LEAF_HELD, RCX}, {7, LEAF_BARE, 0});
    static const uint8_t overwritten[] = {
        0x58,       /* 0 pop rax */
        0x31, 0xc0, /* 1 xor eax, eax */
        0x50,       /* 3 push rax */
        0xc3,       /* 4 ret */
    };
    CHECK(overwritten, {1, LEAF_HELD, RAX}, {3, LEAF_BURIED, 0}, {4, LEAF_BURIED, 0});
    /* As V8's exit frames are left. */
    static const uint8_t loaded[] = {
        0x55,                   /*  0 push rbp */
        0x48, 0x89, 0xe5,       /*  1 mov rbp, rsp */
        0xff, 0xd3,             /*  4 call rbx */
        0x48, 0x8b, 0x4d, 0x08, /*  6 mov rcx, [rbp + 8] */
        0x48, 0x8b, 0x6d, 0x00, /* 10 mov rbp, [rbp] */
        0x49, 0x8d, 0x67, 0x08, /* 14 lea rsp, [r15 + 8] */
        0x51,                   /* 18 push rcx */
        0xc3,                   /* 19 ret */
    };
    CHECK(loaded, {6, LEAF_FRAMED, 0}, {10, LEAF_FRAMED, 0}, {14, LEAF_HELD, RCX},
          {18, LEAF_HELD, RCX}, {19, LEAF_BARE, 0});
}
END_TEST

/* The callee may have taken arguments off the stack. */
START_TEST(a_call_without_a_frame)
{
    static const uint8_t code[] = {
        0x53,       /* 0 push rbx */
        0xff, 0xd0, /* 1 call rax */
        0x90,       /* 3 nop */
        0xf4,       /* 4 hlt */
    };
    CHECK(code, {1, LEAF_BARE, 8}, {3, LEAF_UNKNOWN, 0});
}
END_TEST

START_TEST(paths_that_disagree)
{
    static const uint8_t code[] = {
        0x74, 0x01, /* 0 je 3 */
        0x53,       /* 2 push rbx */
        0x90,       /* 3 nop: 0 or 8 bytes */
        0xf4,       /* 4 hlt */
    };
    CHECK(code, {2, LEAF_BARE, 0}, {3, LEAF_BURIED, 0});
    static const uint8_t framed_or_not[] = {
        0x55,             /*  0 push rbp */
        0x74, 0x03,       /*  1 je 6 */
        0x48, 0x89, 0xe5, /*  3 mov rbp, rsp */
        0x5d,             /*  6 pop rbp: of a frame or not */
        0xc3,             /*  7 ret */
    };
    CHECK(framed_or_not, {3, LEAF_BARE, 8}, {6, LEAF_UNKNOWN, 0}, {7, LEAF_UNKNOWN, 0});
    static const uint8_t loop[] = {
        0x53,       /* 0 push rbx: 8 bytes deeper each time */
        0x75, 0xfd, /* 1 jne 0 */
        0xf4,       /* 3 hlt */
    };
    CHECK(loop, {0, LEAF_BURIED, 0}, {1, LEAF_BURIED, 0}, {3, LEAF_BURIED, 0});
}
END_TEST

START_TEST(what_takes_the_return_address_away)
{
    static const uint8_t replaced[] = {
        0x90,                   /* 0 nop */
        0x48, 0x89, 0x04, 0x24, /* 1 mov [rsp], rax */
        0xc3,                   /* 5 ret, as a jump */
    };
    CHECK(replaced, {1, LEAF_BARE, 0}, {5, LEAF_UNKNOWN, 0});
    static const uint8_t scattered[] = {
        0x48, 0x89, 0x04, 0xcc, /* 0 mov [rsp + rcx * 8], rax */
        0xc3,                   /* 4 ret */
    };
    CHECK(scattered, {0, LEAF_BARE, 0}, {4, LEAF_UNKNOWN, 0});
    static const uint8_t fp_used[] = {
        0xbd, 0x01, 0x00, 0x00, 0x00, /* 0 mov ebp, 1 */
        0xc3,                         /* 5 ret */
    };
    CHECK(fp_used, {0, LEAF_BARE, 0}, {5, LEAF_UNKNOWN, 0});
    static const uint8_t thrown[] = {
        0x55,                   /* 0 push rbp */
        0x48, 0x89, 0xe5,       /* 1 mov rbp, rsp */
        0x49, 0x8b, 0x65, 0x10, /* 4 mov rsp, [r13 + 16] */
        0x49, 0x8b, 0x6d, 0x18, /* 8 mov rbp, [r13 + 24] */
        0xf4,                   /* 12 hlt */
    };
    CHECK(thrown, {4, LEAF_FRAMED, 0}, {8, LEAF_UNKNOWN, 0}, {12, LEAF_UNKNOWN, 0});
}
END_TEST

/* V8's BaselineLeaveFrame is jumped to, and takes down the frame of who jumped. */
START_TEST(code_in_the_frame_of_another)
{
    static const uint8_t code[] = {
        0x48, 0x8b, 0x5d, 0xe8, /* 0 mov rbx, [rbp - 24] */
        0xc9,                   /* 4 leave */
        0x59,                   /* 5 pop rcx */
        0x51,                   /* 6 push rcx */
        0xc3,                   /* 7 ret */
    };
    CHECK(code, {0, LEAF_FRAMED, 0}, {4, LEAF_FRAMED, 0}, {5, LEAF_BARE, 0}, {6, LEAF_HELD, RCX},
          {7, LEAF_BARE, 0});
    /* V8 10's baseline code calls what makes its frame. */
    static const uint8_t made_by_a_call[] = {
        0xe8, 0x00, 0x10, 0x00, 0x00, /* 0 call */
        0x50,                         /* 5 push rax */
        0xc9,                         /* 6 leave */
        0xc3,                         /* 7 ret */
    };
    CHECK(made_by_a_call, {0, LEAF_BARE, 0}, {5, LEAF_UNKNOWN, 0}, {6, LEAF_UNKNOWN, 0},
          {7, LEAF_UNKNOWN, 0});
}
END_TEST

START_TEST(data_in_code)
{
    static const uint8_t code[] = {
        0x55,                         /*  0 push rbp */
        0x48, 0x89, 0xe5,             /*  1 mov rbp, rsp */
        0xff, 0xe0,                   /*  4 jmp rax */
        0x06, 0x07,                   /*  6 no instructions */
        0x55, 0x48, 0x89, 0xe5, 0xc3, /*  8 not reached */
    };
    CHECK(code, {4, LEAF_FRAMED, 0}, {6, LEAF_UNKNOWN, 0}, {8, LEAF_UNKNOWN, 0},
          {12, LEAF_UNKNOWN, 0});
    static const uint8_t cut_off[] = {0x55, 0x48, 0x89};
    CHECK(cut_off, {0, LEAF_BARE, 0}, {1, LEAF_UNKNOWN, 0});
}
END_TEST

START_TEST(nothing_sensible)
{
    static const uint8_t ret[] = {0xc3};
    static const uint8_t no_code[] = {0x06};
    ck_assert_ptr_null(frame_states_new(EM_X86_64, ret, 0, BASE));
    ck_assert_ptr_null(frame_states_new(EM_X86_64, no_code, sizeof no_code, BASE));
    ck_assert_ptr_null(frame_states_new(EM_AARCH64, ret, sizeof ret, BASE));
    size_t size = LIMIT_FRAME_CODE_BYTES + 1;
    _cleanup_free_ uint8_t *code = xmalloc(size);
    memset(code, 0x90, size);
    ck_assert_ptr_null(frame_states_new(EM_X86_64, code, size, BASE));
    /* One state from end to end takes no memory, and one per instruction little. */
    struct frame_states *states = frame_states_new(EM_X86_64, code, size - 1, BASE);
    ck_assert_uint_le(frame_states_bytes(states), 128);
    frame_states_free(states);
    memset(code, 0x53, size);
    states = frame_states_new(EM_X86_64, code, size - 1, UINT64_MAX - 100); /* wraps */
    ck_assert_uint_le(frame_states_bytes(states), 12 * size + 128);
    uint32_t where;
    ck_assert_int_eq(frame_states_find(states, 1, &where), LEAF_BARE);
    ck_assert_uint_eq(where, 8 * 102);
    frame_states_free(states);
    frame_states_free(NULL);
}
END_TEST

UNIT_MAIN("frame_states", a_frame_with_its_edges, blocks_out_of_order, a_function_without_a_frame,
          the_return_address_in_a_register, a_call_without_a_frame, paths_that_disagree,
          what_takes_the_return_address_away, code_in_the_frame_of_another, data_in_code,
          nothing_sensible)
