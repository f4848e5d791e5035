#include "symbolize/abridge.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct {
    const char *given, *expected;
} cases[] = {
    {"main", "main"},
    {"", ""},
    {"std::vector<int, std::allocator<int> >::push_back(int&&)",
     "std::vector<int>::push_back(int&&)"},
    {"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >::size() const",
     "std::string::size() const"},
    {"std::vector<std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >, "
     "std::allocator<std::__cxx11::basic_string<char, std::char_traits<char>, "
     "std::allocator<char> > > >::~vector()",
     "std::vector<std::string>::~vector()"},
    {"std::unique_ptr<Writer, std::default_delete<Writer> >::get() const",
     "std::unique_ptr<Writer>::get() const"},
    {"std::basic_ostream<char, std::char_traits<char> >& operator<< <std::char_traits<char> >"
     "(std::basic_ostream<char, std::char_traits<char> >&, char const*)",
     "std::ostream& operator<< <std::char_traits<char> >(std::ostream&, char const*)"},
    {"std::map<int, std::vector<int, std::allocator<int> >, std::less<int>, "
     "std::allocator<std::pair<int const, std::vector<int, std::allocator<int> > > > >::find(int)",
     "std::map<int, std::vector<int>, std::less<int> >::find(int)"},
    {"make_text[abi:cxx11](int)", "make_text(int)"},
    /* The first argument is never dropped, nor one that something else follows. */
    {"f<std::allocator<int> >()", "f<std::allocator<int> >()"},
    {"g(int, std::allocator<int> const&)", "g(int, std::allocator<int> const&)"},
    {"h<int, std::allocator<int>::rebind>()", "h<int, std::allocator<int>::rebind>()"},
    {"broken<int, std::allocator<int", "broken<int, std::allocator<int"},
    {"std::basic_string<wchar_t>", "std::basic_string<wchar_t>"},
    {"std::basic_", "std::basic_"},
};

START_TEST(names_read_as_they_were_written)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[1024];
        snprintf(name, sizeof name, "%s", cases[i].given);
        name_abridge(name);
        ck_assert_str_eq(name, cases[i].expected);
    }
}
END_TEST

UNIT_MAIN("abridge", names_read_as_they_were_written)
