#include "core/privileges.h"

#include "core/alloc.h"
#include "tests/unit/unit.h"

#include <linux/capability.h>
#include <string.h>

static const int two[] = {CAP_PERFMON, CAP_SYS_PTRACE, -1};
static const int one[] = {CAP_PERFMON, -1};

static void check(const struct privileges *privileges, const int *capabilities, const char *sysctl,
                  const char *expected)
{
    _cleanup_free_ char *text = remedy_for_capabilities(privileges, capabilities, sysctl);
    ck_assert_str_eq(text, expected);
}

START_TEST(users_are_told_of_setcap)
{
    struct privileges user = {.uid = 1000};
    _cleanup_free_ char *text = remedy_for_capabilities(&user, two, "kernel.x=1");
    ck_assert_msg(!strncmp(text, "run as root, or `setcap cap_perfmon,cap_sys_ptrace+ep /", 55),
                  "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "test_privileges`, or `sysctl kernel.x=1`"));
    user.no_new_privs = true;
    check(&user, one, NULL,
          "run as root, from a shell without no_new_privs, which turns off sudo and setcap");
}
END_TEST

START_TEST(containers_are_told_of_their_options)
{
    struct privileges inside = {.container = "docker"};
    check(&inside, two, NULL, "`docker run --cap-add PERFMON --cap-add SYS_PTRACE`");
    check(&inside, one, "kernel.x=1",
          "`docker run --cap-add PERFMON`, or `sysctl kernel.x=1` on the host");
    inside.uid = 1000;
    check(&inside, one, NULL, "`docker run --user 0 --cap-add PERFMON`");
    strcpy(inside.container, "podman");
    check(&inside, one, NULL, "`podman run --user 0 --cap-add PERFMON`");
    strcpy(inside.container, "kubernetes");
    check(&inside, two, NULL,
          "in the pod's securityContext: capabilities.add [\"PERFMON\", \"SYS_PTRACE\"] and "
          "runAsUser 0");
    inside.user_namespace = true;
    check(&inside, one, NULL,
          "run outside of this user namespace, where capabilities of the machine can be had");
}
END_TEST

START_TEST(a_filter_has_remedies_of_its_own)
{
    static const struct {
        const char *container, *told;
    } cases[] = {{"", "`docker run --cap-add PERFMON` (Docker 23 or later), or `docker run "},
                 {"docker", "`docker run --cap-add PERFMON` (Docker 23 or later), or `docker run "},
                 {"podman", "`podman run --cap-add PERFMON --security-opt seccomp=unconfined`"},
                 {"kubernetes", "seccompProfile.type Unconfined"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct privileges filtered = {.seccomp = true};
        strcpy(filtered.container, cases[i].container);
        _cleanup_free_ char *text = remedy_for_call(&filtered, CALL_PERF_EVENT_OPEN);
        ck_assert_msg(strstr(text, cases[i].told) != NULL, "%s: %s", cases[i].container, text);
        ck_assert_int_eq(!*cases[i].container, strstr(text, "SystemCallFilter=") != NULL);
    }
    struct privileges free = {0};
    _cleanup_free_ char *text = remedy_for_call(&free, CALL_PTRACE);
    ck_assert_str_eq(text, "run a kernel that has ptrace");
}
END_TEST

START_TEST(old_kernels_have_sys_admin_for_perfmon)
{
    struct privileges old = {.last_capability = CAP_AUDIT_READ}, new = {.last_capability = CAP_BPF};
    ck_assert_int_eq(privileges_known(&old, CAP_PERFMON), CAP_SYS_ADMIN);
    ck_assert_int_eq(privileges_known(&new, CAP_PERFMON), CAP_PERFMON);
    ck_assert_int_eq(privileges_known(&new, CAP_CHECKPOINT_RESTORE), CAP_SYS_ADMIN);
    ck_assert_str_eq(capability_name(CAP_PERFMON), "CAP_PERFMON");
}
END_TEST

START_TEST(capabilities_of_a_user_namespace_do_not_count)
{
    struct privileges root = {.capabilities = 1ull << CAP_PERFMON};
    ck_assert(privileges_have(&root, CAP_PERFMON));
    ck_assert(!privileges_have(&root, CAP_SYS_PTRACE));
    root.user_namespace = true;
    ck_assert(!privileges_have(&root, CAP_PERFMON));
}
END_TEST

START_TEST(this_process)
{
    struct privileges privileges;
    privileges_read(&privileges);
    ck_assert_uint_eq(privileges.uid, geteuid());
    ck_assert_int_ge(privileges.last_capability, CAP_AUDIT_READ);
}
END_TEST

UNIT_MAIN("privileges", users_are_told_of_setcap, containers_are_told_of_their_options,
          a_filter_has_remedies_of_its_own, old_kernels_have_sys_admin_for_perfmon,
          capabilities_of_a_user_namespace_do_not_count, this_process)
