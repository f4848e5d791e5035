#include "core/cgroup.h"

#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static const struct cgroup *parse(const char *groups, const char *mounts)
{
    static struct cgroup cgroup;
    char group_text[8192], mount_text[8192];
    snprintf(group_text, sizeof group_text, "%s", groups);
    snprintf(mount_text, sizeof mount_text, "%s", mounts);
    cgroup_parse(group_text, mount_text, &cgroup);
    return &cgroup;
}

static void check(const struct cgroup *cgroup, int version, const char *path, const char *top,
                  const char *directory)
{
    ck_assert_int_eq(cgroup->version, version);
    ck_assert_str_eq(cgroup->path, path);
    ck_assert_str_eq(cgroup->top, top);
    ck_assert_str_eq(cgroup->directory, directory);
}

#define UNIFIED_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
#define MEMORY_MOUNT "34 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

START_TEST(version_2)
{
    check(parse("0::/user.slice/a.scope\n", "21 26 0:20 / /proc rw - proc proc rw\n" UNIFIED_MOUNT),
          2, "/user.slice/a.scope", "/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/a.scope");
}
END_TEST

START_TEST(version_1_when_it_has_the_memory_controller)
{
    static const char mounts[] =
        "33 30 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" MEMORY_MOUNT
            UNIFIED_MOUNT;
    check(parse("0::/other\n5:cpu,cpuacct:/c\n4:hugetlb,memory:/m\n", mounts), 1, "/m",
          "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/m");
    check(parse("4:memory:/m\n0::/other\n", mounts), 1, "/m", "/sys/fs/cgroup/memory",
          "/sys/fs/cgroup/memory/m");
    /* "memoryless" is not it. */
    check(parse("4:memoryless:/m\n0::/other\n", mounts), 2, "/other", "/sys/fs/cgroup",
          "/sys/fs/cgroup/other");
}
END_TEST

START_TEST(containers)
{
    /* With a namespace of its own the container's group is the root of both. */
    check(parse("0::/\n", UNIFIED_MOUNT), 2, "/", "/sys/fs/cgroup", "/sys/fs/cgroup");
    check(parse("0::/../sibling\n", UNIFIED_MOUNT), 2, "/../sibling", "/sys/fs/cgroup",
          "/sys/fs/cgroup");
    /* Without, the mount begins at the group. */
    check(
        parse("4:memory:/docker/77\n",
              "34 30 0:31 /docker/77 /sys/fs/cgroup/memory ro master:1 - cgroup cgroup rw,memory"),
        1, "/docker/77", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory");
    check(parse("4:memory:/docker/77/a\n",
                "34 30 0:31 /docker/77 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"),
          1, "/docker/77/a", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/a");
    check(parse("4:memory:/docker/777\n",
                "34 30 0:31 /docker/77 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"),
          1, "/docker/777", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory");
}
END_TEST

START_TEST(escapes_are_undone)
{
    check(parse("0::/a b\n", "30 23 0:26 / /my\\040groups\\134\\011 rw - cgroup2 none rw\n"), 2,
          "/a b", "/my groups\\\t", "/my groups\\\t/a b");
    check(parse("0::/\n", "30 23 0:26 / /odd\\04 rw - cgroup2 none rw\n"), 2, "/", "/odd\\04",
          "/odd\\04");
}
END_TEST

START_TEST(nothing_and_nonsense_are_no_group)
{
    static const char *const texts[] = {"", "\n", "0", "0:", "0::", "::", "4:cpu:/x\n", "x:y/z"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check(parse(texts[i], UNIFIED_MOUNT), 0, "", "", "");
    static const char *const mounts[] = {"",
                                         "\n",
                                         " - ",
                                         "1 2 3 - cgroup2 none rw",
                                         "30 23 0:26 / /x rw cgroup2 cgroup2 rw\n",
                                         "30 23 0:26 / /x rw - cgroup2\n",
                                         "30 23 0:26 / /x rw - tmpfs cgroup2 rw\n"};
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++)
        check(parse("0::/a\n", mounts[i]), 2, "/a", "", "");
}
END_TEST

START_TEST(too_long_a_path_is_not_mounted)
{
    char groups[5000] = "0::/", mounts[5000];
    memset(groups + 4, 'g', 4090);
    snprintf(mounts, sizeof mounts, "%s", UNIFIED_MOUNT);
    const struct cgroup *cgroup = parse(groups, mounts);
    ck_assert_int_eq(cgroup->version, 2);
    ck_assert_str_eq(cgroup->directory, "");
    ck_assert_uint_eq(cgroup_memory_limit(cgroup), CGROUP_NO_LIMIT);
}
END_TEST

START_TEST(the_smallest_limit_counts)
{
    struct cgroup cgroup = {.version = 2};
    scratch_enter();
    scratch_run("mkdir -p top/a/b");
    snprintf(cgroup.top, sizeof cgroup.top, "%s/top", scratch_directory);
    snprintf(cgroup.directory, sizeof cgroup.directory, "%s/top/a/b", scratch_directory);
    ck_assert_uint_eq(cgroup_memory_limit(&cgroup), CGROUP_NO_LIMIT);
    scratch_run("echo max >top/a/b/memory.max; echo 7000 >memory.max");
    ck_assert_uint_eq(cgroup_memory_limit(&cgroup), CGROUP_NO_LIMIT);
    scratch_run("echo 5000 >top/a/memory.max; echo 6000 >top/memory.max");
    ck_assert_uint_eq(cgroup_memory_limit(&cgroup), 5000);
    scratch_run("echo 9223372036854771712 >top/a/b/memory.limit_in_bytes");
    cgroup.version = 1;
    ck_assert_uint_eq(cgroup_memory_limit(&cgroup), CGROUP_NO_LIMIT);
    scratch_run("echo 4096 >top/memory.limit_in_bytes");
    ck_assert_uint_eq(cgroup_memory_limit(&cgroup), 4096);
    scratch_leave();
}
END_TEST

UNIT_MAIN("cgroup", version_2, version_1_when_it_has_the_memory_controller, containers,
          escapes_are_undone, nothing_and_nonsense_are_no_group, too_long_a_path_is_not_mounted,
          the_smallest_limit_counts)
