#include "symbolize/kernel_symbols.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static const char text[] = "0000000000000000 A fixed_percpu_data\n"
                           "ffffffff81000000 T _text\n"
                           "ffffffff81000000 T startup_64\n"
                           "ffffffff81000100 t local_name\n"
                           "ffffffff81000100 T global_name\n"
                           "ffffffff81000180 D some_data\n"
                           "ffffffff81000200 W weak_function\n"
                           "malformed line\n"
                           "ffffffff81000300 T \n"
                           "ffffffffc0100000 t ext4_read\t[ext4]\n"
                           "ffffffffc0000000 t nft_do_chain\t[nf_tables]\n"
                           "ffffffff81000280 T before_modules\n"
                           "ffffffffc0200000 t last_one\t[bpf]";

static void expect(const struct kernel_symbols *symbols, uint64_t address, const char *name,
                   const char *module)
{
    const char *found_module = "untouched";
    const char *found = kernel_symbols_find(symbols, address, &found_module);
    if (!name) {
        ck_assert_msg(!found, "%lx: %s", (long)address, found);
        return;
    }
    ck_assert_msg(found, "%lx: none", (long)address);
    ck_assert_str_eq(found, name);
    ck_assert_pstr_eq(found_module, module);
}

START_TEST(text_symbols_are_found)
{
    struct kernel_symbols *symbols = kernel_symbols_parse(text, sizeof text - 1);
    ck_assert_ptr_nonnull(symbols);
    expect(symbols, 0, NULL, NULL);
    expect(symbols, 0xffffffff80ffffff, NULL, NULL);
    expect(symbols, 0xffffffff81000000, "startup_64", NULL);
    expect(symbols, 0xffffffff810000ff, "startup_64", NULL);
    expect(symbols, 0xffffffff81000100, "global_name", NULL);
    expect(symbols, 0xffffffff81000190, "global_name", NULL);
    expect(symbols, 0xffffffff81000210, "weak_function", NULL);
    expect(symbols, 0xffffffff81000290, "before_modules", NULL);
    expect(symbols, 0xffffffff91000000, NULL, NULL);
    expect(symbols, 0xffffffffc0000010, "nft_do_chain", "nf_tables");
    expect(symbols, 0xffffffffc0100010, "ext4_read", "ext4");
    expect(symbols, 0xffffffffc0200000, "last_one", "bpf");
    expect(symbols, UINT64_MAX, NULL, NULL);
    kernel_symbols_free(symbols);
}
END_TEST

START_TEST(hidden_addresses_give_no_names)
{
    static const char hidden[] = "0000000000000000 T _text\n0000000000000000 T do_sys_open\n";
    ck_assert_ptr_null(kernel_symbols_parse(hidden, sizeof hidden - 1));
    ck_assert_ptr_null(kernel_symbols_parse("", 0));
    ck_assert_ptr_null(kernel_symbols_parse("ffffffff81000000 T", 18));
    kernel_symbols_free(NULL);
}
END_TEST

/* Any prefix of the text is read within its bounds (the sanitizers watch). */
START_TEST(cut_text_is_read)
{
    int named = 0;
    for (size_t length = 0; length < sizeof text; length++) {
        struct kernel_symbols *symbols = kernel_symbols_parse(text, length);
        const char *module;
        for (uint64_t address = 0xffffffff81000000; symbols && address < 0xffffffff81000300;
             address += 64)
            named += kernel_symbols_find(symbols, address, &module) != NULL;
        kernel_symbols_free(symbols);
    }
    ck_assert_int_gt(named, 1000);
}
END_TEST

/* Each global text symbol of this kernel is found at its address, by itself or an alias. */
START_TEST(this_kernel_is_read)
{
    struct kernel_symbols *symbols = kernel_symbols_new();
    FILE *file = fopen("/proc/kallsyms", "re");
    char line[1024], name[512], type;
    unsigned long address;
    long named = 0, same = 0;
    if (!symbols) {
        puts("skipped: /proc/kallsyms can't be read or hides its addresses");
        if (file)
            fclose(file);
        return;
    }
    while (fgets(line, sizeof line, file)) {
        const char *module;
        if (sscanf(line, "%lx %c %511s", &address, &type, name) != 3 || !strchr("tTwW", type))
            continue;
        const char *found = kernel_symbols_find(symbols, address, &module);
        ck_assert_msg(found, "%s is not found", name);
        named++;
        same += !strcmp(found, name);
    }
    fclose(file);
    printf("%ld kernel symbols, %ld by the same name\n", named, same);
    ck_assert_int_gt(named, 10000);
    ck_assert_int_gt(same, named * 9 / 10);
    kernel_symbols_free(symbols);
}
END_TEST

UNIT_MAIN("kernel_symbols", text_symbols_are_found, hidden_addresses_give_no_names,
          cut_text_is_read, this_kernel_is_read)
