#include "core/small_file.h"

#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <errno.h>

START_TEST(a_file_is_read_as_far_as_there_is_room)
{
    char text[8];
    scratch_enter();
    scratch_run("printf abc >short; printf 0123456789 >long; : >empty");
    ck_assert_int_eq(small_file_read("short", text, sizeof text), 3);
    ck_assert_str_eq(text, "abc");
    ck_assert_int_eq(small_file_read("long", text, sizeof text), 7);
    ck_assert_str_eq(text, "0123456");
    ck_assert_int_eq(small_file_read("empty", text, sizeof text), 0);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(small_file_read("none", text, sizeof text), -1);
    ck_assert_int_eq(errno, ENOENT);
    scratch_leave();
}
END_TEST

START_TEST(numbers)
{
    scratch_enter();
    scratch_run("echo -1 >negative; echo 9223372036854775807 >large; echo 99999999999999999999 "
                ">larger; echo max >word; echo '12 7' >two");
    ck_assert_int_eq(small_file_number("negative", 5), -1);
    ck_assert_int_eq(small_file_number("large", 5), INT64_MAX);
    ck_assert_int_eq(small_file_number("larger", 5), 5);
    ck_assert_int_eq(small_file_number("word", 5), 5);
    ck_assert_int_eq(small_file_number("two", 5), 12);
    ck_assert_int_eq(small_file_number("none", 5), 5);
    scratch_leave();
}
END_TEST

UNIT_MAIN("small_file", a_file_is_read_as_far_as_there_is_room, numbers)
