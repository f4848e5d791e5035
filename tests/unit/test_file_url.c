#include "core/file_url.h"

#include "core/alloc.h"
#include "tests/unit/unit.h"

static void expect(const char *url, const char *path)
{
    _cleanup_free_ char *found = file_url_path(url);
    ck_assert_str_eq(found, path);
}

START_TEST(paths_of_urls)
{
    expect("file:///srv/app.js", "/srv/app.js");
    expect("file:///a%20b/%C3%a4%25.mjs", "/a b/\303\244%.mjs");
    expect("file://", "");
    expect("file:///a%", "/a%");
    expect("file:///a%2", "/a%2");
    expect("file:///a%zz%4", "/a%zz%4");
    expect("/srv/a%20b.js", "/srv/a%20b.js");
    expect("node:fs", "node:fs");
    expect("https://host/file://x", "https://host/file://x");
    expect("", "");
}
END_TEST

UNIT_MAIN("file_url", paths_of_urls)
