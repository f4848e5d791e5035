#include "cmd/function_name.h"

#include "core/bare_name.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct profile *profile_with(const char *const *names, size_t count)
{
    struct profile *profile = profile_new();
    metric_id cpu = profile_add_metric(profile, "cpu", "ticks");
    for (size_t i = 0; i < count; i++) {
        struct frame frame = {.function = strings_intern(&profile->strings, names[i]),
                              .kind = FRAME_NATIVE};
        node_id node = profile_add_node(profile, 0, profile_add_frame(profile, &frame));
        profile_add_self(profile, cpu, node, i + 1);
    }
    return profile;
}

static const char *const names[] = {
    "app::Queue::push(int)",
    "app::Queue::push_all(std::vector<int> const&) const",
    "app::Stack::push(int) [clone .cold]",
    "void app::each<int>(int*)",
    "app::Less::operator()(int, int) const",
    "(anonymous namespace)::helper",
    "main",
    "main_loop",
    "(anonymous)",
};

enum { NAMES = sizeof names / sizeof *names };

static void expect_found(const char *typed, const char *name)
{
    struct profile *profile = profile_with(names, NAMES);
    struct error err;
    string_id found = 0;
    ck_assert_msg(!function_name_find(profile, typed, "a.cpuprofile", &found, &err), "%s: %s",
                  typed, err.text);
    ck_assert_str_eq(profile_string(profile, found), name);
    profile_free(profile);
}

/* All of `parts`, which ends in NULL, stand in the error. */
static void expect_error(const char *typed, const char *const *parts)
{
    struct profile *profile = profile_with(names, NAMES);
    struct error err;
    string_id found = 77;
    ck_assert_int_eq(function_name_find(profile, typed, "a.cpuprofile", &found, &err), -1);
    ck_assert_uint_eq(found, 77);
    for (; *parts; parts++)
        ck_assert_msg(strstr(err.text, *parts) != NULL, "\"%s\" is not in: %s", *parts, err.text);
    profile_free(profile);
}

START_TEST(what_is_found)
{
    for (size_t i = 0; i < NAMES; i++)
        expect_found(names[i], names[i]);
    expect_found("app::Queue::push", names[0]);
    expect_found("Queue::push", names[0]);
    expect_found("Stack::push", names[2]);
    expect_found("push_all", names[1]);
    expect_found("push_", names[1]);
    expect_found("app::each<int>", names[3]);
    expect_found("each", names[3]);
    expect_found("app::Less::operator()", names[4]);
    expect_found("helper", names[5]);
    expect_found("_loop", names[7]);
    /* As reports show JavaScript. */
    _cleanup_free_ char *marked = xasprintf("*%s", names[7]);
    expect_found(marked, names[7]);
}
END_TEST

START_TEST(what_is_not)
{
    static const char *const ambiguous[] = {"'push' fits 2 functions", "app::Queue::push(int)",
                                            "app::Stack::push(int)", NULL};
    expect_error("push", ambiguous);
    /* The one with the most ticks comes first. */
    static const char *const by_ticks[] = {"fits 5 functions, write more of the name: app::Less",
                                           NULL};
    expect_error("app::", by_ticks);
    static const char *const nearest[] = {"a.cpuprofile has no function 'puhs_all'",
                                          "did you mean 'push_all'", NULL};
    expect_error("puhs_all", nearest);
    static const char *const unknown[] = {"no function 'nothing_like_it'", "memprof report", NULL};
    expect_error("nothing_like_it", unknown);
    static const char *const empty[] = {"no function ''", NULL};
    expect_error("", empty);
}
END_TEST

START_TEST(bare_names)
{
    static const struct {
        const char *name, *bare;
    } cases[] = {
        {"f", "f"},
        {"", ""},
        {"f(int)", "f"},
        {"a::f(void (*)(int), b<c(d)>) const", "a::f"},
        {"f(int) [clone .part.0]", "f"},
        {"operator()", "operator()"},
        {"a::operator()(int)", "a::operator()"},
        {"(anonymous namespace)::f", "(anonymous namespace)::f"},
        {"(anonymous namespace)::f(a::b)", "(anonymous namespace)::f"},
        {"(anonymous)", "(anonymous)"},
        {"a::{lambda(int)#1}::operator()(int) const", "a::{lambda(int)#1}::operator()"},
        {"unbalanced)", "unbalanced)"},
        {"f(unbalanced", "f(unbalanced"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_uint_eq(bare_name_length(cases[i].name), strlen(cases[i].bare));
}
END_TEST

UNIT_MAIN("function_name", what_is_found, what_is_not, bare_names)
