#include "core/alloc.h"
#include "symbolize/demangle.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <time.h>

static void expect(const char *mangled, const char *plain)
{
    _cleanup_free_ char *name = demangle(mangled);
    ck_assert_str_eq(name, plain);
}

START_TEST(cplusplus_names)
{
    expect("_Z3fooi", "foo(int)");
    expect("_ZN4node9inspector5AgentC2EPNS_11EnvironmentE",
           "node::inspector::Agent::Agent(node::Environment*)");
    expect("_ZNSt6vectorIiSaIiEE9push_backERKi",
           "std::vector<int>::push_back(int const&)");
    expect("_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()() const");
    expect("_ZN3FooD1Ev.cold", "Foo::~Foo() [clone .cold]");
    expect("_GLOBAL__I_main", "global constructors keyed to main");
}
END_TEST

START_TEST(rust_names)
{
    expect("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt");
    expect("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h"
           "930b740aa94f1d3aE",
           "<Test + 'static as foo::Bar<Test>>::bar");
    expect("_RNvC6_123foo3bar", "123foo::bar");
    expect("_RINvNtC3std3mem8align_ofNtNtC3std3mem12DiscriminantE",
           "std::mem::align_of::<std::mem::Discriminant>");
    expect("_RNvNtCs1234_7mycrate3foo3bar.llvm.1234567890", "mycrate::foo::bar");
    expect("_ZN4core3fmt5write17h0123456789abcdefE.llvm.42", "core::fmt::write");
}
END_TEST

START_TEST(other_names_stay)
{
    expect("", "");
    expect("main", "main");
    expect("@", "@");
    expect("runtime.mallocgc", "runtime.mallocgc");
    expect("_start", "_start");
    expect("_Z", "_Z");
    expect("_ZN", "_ZN");
    expect("_R", "_R");
    expect("_Reallocate", "_Reallocate");
    expect("foo.constprop.0", "foo.constprop.0");
}
END_TEST

START_TEST(suffixes)
{
    expect("malloc@plt", "malloc@plt");
    expect("_Znwm@plt", "operator new(unsigned long)@plt");
    expect("memcpy@@GLIBC_2.14", "memcpy");
    expect("_ZNSt8ios_base4InitC1Ev@GLIBCXX_3.4", "std::ios_base::Init::Init()");
}
END_TEST

/* _Z1f, `count` times `piece`, `end`. */
static char *repeat(const char *start, const char *piece, size_t count, const char *end)
{
    size_t size = strlen(piece);
    char *name = xmalloc(strlen(start) + size * count + strlen(end) + 1), *at = stpcpy(name, start);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, piece);
    strcpy(at, end);
    return name;
}

START_TEST(long_names_are_demangled)
{
    _cleanup_free_ char *name = repeat("_ZN", "10namespace_", 300, "3fooEi");
    _cleanup_free_ char *plain = repeat("", "namespace_::", 300, "foo(int)");
    expect(name, plain);
}
END_TEST

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Whatever comes back: it comes soon and is bounded. */
static void survive(const char *mangled)
{
    double start = seconds();
    _cleanup_free_ char *name = demangle(mangled);
    ck_assert_uint_le(strlen(name), 1 << 20);
    ck_assert_msg(seconds() - start < 5, "%.40s… took %.1f s", mangled, seconds() - start);
}

START_TEST(hostile_names_are_survived)
{
    static const char *const nests[][3] = {
        {"_Z1f", "P", "i"},         {"_Z1f", "FvP", "i"},   {"_Z1fI", "X", "E"},
        {"_Z1f", "N", "i"},         {"_Z1fv", "I1aI", ""},  {"_Z1f", "U1a", "i"},
        {"_RNv", "Nv", "C1a1b"},    {"_RI", "I", "C1aE"},   {"_RMC1a", "R", "e"},
        {"_RMC1a", "TR", "e"},      {"_Z1f", "DTcl", "E"},  {"_ZN", "1a", "E"},
        {"_Z1fIJ", "Li1E", "EEvv"}, {"_Z1fI", "LZ1f", "E"}, {"_Z1f", "M1a", "i"},
    };
    static const size_t counts[] = {100, 400, 900, 4000, 8000, 100000};
    for (size_t i = 0; i < sizeof nests / sizeof *nests; i++)
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            _cleanup_free_ char *name = repeat(nests[i][0], nests[i][1], counts[j], nests[i][2]);
            survive(name);
        }
    /* Each pair doubles what the one before it prints. */
    _cleanup_free_ char *doubling = xstrdup("_Z1fSt4pairIiiE");
    for (int i = 0; i < 40; i++) {
        char *longer =
            xasprintf("%sS%c_", doubling, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i % 36]);
        free(doubling);
        doubling = longer;
    }
    survive(doubling);
    char exponential[1024] = "_Z1f1AI1BE", *at = exponential + strlen(exponential);
    for (int i = 0; i < 30; i++)
        at += sprintf(at, "S_IS%d_S%d_E", i % 10, i % 10);
    survive(exponential);
    /* Rust's back-references: a tuple of twice the tuple before. */
    survive(
        "_RMC0TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTpB1_EB0_EB_EBz_EBy_EBx_EBw_EBv_EBu_EBt_EBs_EBr_EBq_E"
        "Bp_EBo_EBn_EBm_EBl_EBk_EBj_EBi_EBh_EBg_EBf_EBe_EBd_EBc_EBb_EBa_EB9_EB8_EB7_EB6_E");
}
END_TEST

UNIT_MAIN("demangle", cplusplus_names, rust_names, other_names_stay, suffixes,
          long_names_are_demangled, hostile_names_are_survived)
