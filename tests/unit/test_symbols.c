#include "symbolize/symbols.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <elfutils/libdwfl.h>
#include <glob.h>
#include <gnu/libc-version.h>
#include <string.h>

static struct elf_file *open_file(const char *path)
{
    struct elf_file *file;
    struct error err;
    int fd = elf_open_regular(path);
    ck_assert_msg(fd >= 0, "cannot open %s", path);
    ck_assert_msg(!elf_file_open(fd, path, &file, &err), "%s", err.text);
    return file;
}

/* libdwfl on one file, without any search for debug files. */
static char *no_debug_path = (char *)":/nowhere";
static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .debuginfo_path = &no_debug_path,
};

static Dwfl_Module *oracle_open(Dwfl *dwfl, const char *path)
{
    dwfl_report_begin(dwfl);
    Dwfl_Module *module = dwfl_report_elf(dwfl, path, path, -1, 0, true);
    dwfl_report_end(dwfl, NULL, NULL);
    ck_assert_msg(module, "libdwfl can't read %s", path);
    return module;
}

struct agreement {
    int named, alias, data;
};

/*
 * One address: the same name, or another name of the same address. libdwfl also names data that
 * lies in code, and that is no function.
 */
static void compare_at(Dwfl_Module *module, GElf_Addr bias, const struct symbols *symbols,
                       uint64_t address, struct agreement *sum)
{
    GElf_Off offset = 0;
    GElf_Sym theirs;
    struct symbol ours = {.name = NULL};
    const char *expected =
        dwfl_module_addrinfo(module, address + bias, &offset, &theirs, NULL, NULL, NULL);
    bool found = symbols_find(symbols, address, &ours);
    if (expected && !found && GELF_ST_TYPE(theirs.st_info) == STT_OBJECT) {
        sum->data++;
        return;
    }
    ck_assert_msg(found == (expected != NULL), "%lx: libdwfl %s, ours %s", (long)address,
                  expected ? expected : "none", found ? ours.name : "none");
    if (!found)
        return;
    sum->named++;
    if (!strcmp(expected, ours.name))
        return;
    ck_assert_msg(address - offset == ours.address, "%lx: libdwfl %s+%lx, ours %s+%lx",
                  (long)address, expected, (long)offset, ours.name, (long)(address - ours.address));
    sum->alias++;
}

static bool is_plt(const struct symbols *symbols, uint64_t address)
{
    struct symbol symbol;
    return symbols_find(symbols, address, &symbol) && strstr(symbol.name, "@plt");
}

/* Random addresses of .text; returns how many had names. */
static int compare_with_libdwfl(const char *path, int addresses)
{
    struct elf_file *file = open_file(path);
    struct symbols *symbols = symbols_new(&file, 1);
    Dwfl *dwfl = dwfl_begin(&callbacks);
    Dwfl_Module *module = oracle_open(dwfl, path);
    struct elf_section text;
    GElf_Addr bias;
    struct agreement sum = {0};
    ck_assert(elf_file_section(file, ".text", &text));
    ck_assert_ptr_nonnull(dwfl_module_getelf(module, &bias));
    srandom(7);
    for (int i = 0; i < addresses; i++) {
        uint64_t address = text.vaddr + ((uint64_t)random() << 16 ^ (uint64_t)random()) % text.size;
        if (!is_plt(symbols, address))
            compare_at(module, bias, symbols, address, &sum);
    }
    printf("%s: %d addresses, %d named, of these %d by another name of the same address; "
           "%d in data\n",
           path, addresses, sum.named, sum.alias, sum.data);
    dwfl_end(dwfl);
    symbols_free(symbols);
    elf_file_free(file);
    return sum.named;
}

static int address_compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* A table for few addresses says of them what the whole one says. */
static void compare_wanted(const char *path, size_t count)
{
    struct elf_file *file = open_file(path);
    struct symbols *whole = symbols_new(&file, 1);
    struct elf_section text;
    ck_assert(elf_file_section(file, ".text", &text));
    uint64_t *wanted = xcalloc(count, sizeof *wanted);
    srandom(11);
    for (size_t i = 0; i < count; i++)
        wanted[i] = text.vaddr + ((uint64_t)random() << 16 ^ (uint64_t)random()) % text.size;
    qsort(wanted, count, sizeof *wanted, address_compare);
    struct symbols *few = symbols_new_for(&file, 1, wanted, count);
    int named = 0;
    for (size_t i = 0; i < count; i++) {
        struct symbol expected = {.name = NULL}, found = {.name = NULL};
        ck_assert_int_eq(symbols_find(whole, wanted[i], &expected),
                         symbols_find(few, wanted[i], &found));
        ck_assert_pstr_eq(found.name, expected.name);
        ck_assert_uint_eq(found.address, expected.address);
        ck_assert_uint_ge(found.size, expected.size);
        named += found.name != NULL;
    }
    ck_assert_int_gt(named, (int)count / 2);
    free(wanted);
    symbols_free(few);
    symbols_free(whole);
    elf_file_free(file);
}

START_TEST(a_table_for_few_addresses)
{
    compare_wanted("/proc/self/exe", 1);
    compare_wanted("/proc/self/exe", 500);
}
END_TEST

START_TEST(this_program_agrees_with_libdwfl)
{
    ck_assert_int_gt(compare_with_libdwfl("/proc/self/exe", 3000), 2000);
}
END_TEST

START_TEST(libc_agrees_with_libdwfl)
{
    Dwfl *dwfl = dwfl_begin(&callbacks);
    ck_assert_int_eq(dwfl_linux_proc_report(dwfl, getpid()), 0);
    dwfl_report_end(dwfl, NULL, NULL);
    const char *path = NULL;
    Dwfl_Module *module = dwfl_addrmodule(dwfl, (Dwarf_Addr)(uintptr_t)&gnu_get_libc_version);
    dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, &path, NULL);
    if (!path)
        path = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    ck_assert_int_gt(compare_with_libdwfl(path, 3000), 500);
    dwfl_end(dwfl);
}
END_TEST

START_TEST(a_large_executable_agrees_with_libdwfl)
{
    /* Debian's node is a few functions around a library. */
    glob_t found = {0};
    const char *path =
        glob("/usr/lib/*/libnode.so.*", 0, NULL, &found) ? "/usr/bin/node" : found.gl_pathv[0];
    if (access(path, R_OK))
        puts("skipped: no /usr/bin/node, a program of 100,000 symbols");
    else
        ck_assert_int_gt(compare_with_libdwfl(path, 1000), 10);
    globfree(&found);
}
END_TEST

/* Every function that nm lists is found at its start. */
START_TEST(each_function_of_nm_is_found)
{
    struct elf_file *file = open_file("/proc/self/exe");
    struct symbols *symbols = symbols_new(&file, 1);
    _cleanup_free_ char *command = xasprintf("nm --defined-only /proc/%d/exe", getpid());
    FILE *nm = popen(command, "re");
    char line[4096], name[4096], type;
    unsigned long address;
    int functions = 0;
    while (fgets(line, sizeof line, nm)) {
        struct symbol symbol;
        if (sscanf(line, "%lx %c %4095s", &address, &type, name) != 3 || !strchr("tT", type))
            continue;
        ck_assert_msg(symbols_find(symbols, address, &symbol) || !strcmp(name, "_etext"),
                      "%s is not found at %lx", name, address);
        ck_assert_msg(symbols_find_name(symbols, name, &symbol), "no symbol %s", name);
        functions++;
    }
    ck_assert_int_eq(pclose(nm), 0);
    ck_assert_int_gt(functions, 30);
    ck_assert(symbols_file_has(file, "main"));
    ck_assert(!symbols_file_has(file, "no_such_function"));
    symbols_free(symbols);
    elf_file_free(file);
}
END_TEST

static const char assembly[] = ".text\n"
                               ".globl outer\n"
                               ".type outer,%function\n"
                               "outer: .skip 16\n"
                               ".type inner,%function\n"
                               "inner: .skip 8\n"
                               ".size inner,8\n"
                               "label_in_outer: .skip 8\n"
                               ".size outer,32\n"
                               "bare: .skip 12\n"
                               "$x: .skip 4\n"
                               ".type first_name,%function\n"
                               ".globl __first_name\n"
                               ".type __first_name,%function\n"
                               ".globl second_name\n"
                               ".type second_name,%function\n"
                               ".weak weak_name\n"
                               ".type weak_name,%function\n"
                               "first_name: __first_name: second_name: weak_name: .skip 16\n"
                               ".size first_name,16\n"
                               ".size __first_name,16\n"
                               ".size second_name,16\n"
                               ".size weak_name,24\n"
                               ".skip 16\n"
                               ".type data_in_text,%object\n"
                               "data_in_text: .skip 16\n"
                               ".size data_in_text,16\n"
                               "last: .skip 8\n"
                               ".section .rodata\n"
                               ".globl constant\n"
                               "constant: .skip 64\n";

static void expect(const struct symbols *symbols, uint64_t address, const char *name)
{
    struct symbol symbol;
    bool found = symbols_find(symbols, address, &symbol);
    ck_assert_msg(found == (name != NULL), "%lx: %s", (long)address, found ? symbol.name : "none");
    if (found)
        ck_assert_str_eq(symbol.name, name);
}

START_TEST(overlaps_are_resolved)
{
    scratch_enter();
    scratch_write("a.s", assembly, sizeof assembly - 1);
    scratch_run("${CC:-cc} -nostdlib -shared -Wl,--build-id=none -o a.so a.s");
    struct elf_file *file = open_file("a.so");
    struct symbols *symbols = symbols_new(&file, 1);
    struct elf_section text;
    ck_assert(elf_file_section(file, ".text", &text));
    static const struct {
        int offset;
        const char *name;
    } truth[] = {
        {-1, NULL},        {0, "outer"},        {15, "outer"},       {16, "inner"},
        {23, "inner"},     {24, "outer"},       {31, "outer"},       {32, "bare"},
        {45, "bare"},      {48, "second_name"}, {63, "second_name"}, {64, "weak_name"},
        {71, "weak_name"}, {72, NULL},          {80, NULL},          {95, NULL},
        {96, "last"},      {103, "last"},       {104, NULL},
    };
    for (size_t i = 0; i < sizeof truth / sizeof *truth; i++)
        expect(symbols, text.vaddr + (uint64_t)(int64_t)truth[i].offset, truth[i].name);
    struct symbol symbol;
    ck_assert(symbols_find_name(symbols, "constant", &symbol));
    expect(symbols, symbol.address, NULL);
    symbols_free(symbols);
    elf_file_free(file);
    scratch_leave();
}
END_TEST

static const char caller_source[] = "int puts(const char *); double sin(double);\n"
                                    "static __attribute__((noinline)) int hidden(double x)\n"
                                    "{ return (int)sin(x); }\n"
                                    "int main(int c, char **v)\n"
                                    "{ puts(v[0]); return hidden(c); }\n";

/* Each stub that objdump names has the same name here. */
static int compare_stubs(const char *objdump, const char *path)
{
    struct elf_file *file = open_file(path);
    struct symbols *symbols = symbols_new(&file, 1);
    _cleanup_free_ char *command = xasprintf("%s -d %s", objdump, path);
    FILE *text = popen(command, "re");
    char line[4096], name[4096];
    unsigned long address;
    int stubs = 0;
    while (fgets(line, sizeof line, text)) {
        char *at;
        if (sscanf(line, "%lx <%4095[^>]>:", &address, name) != 2 || !(at = strstr(name, "@plt")) ||
            at[4])
            continue;
        expect(symbols, address, name);
        expect(symbols, address + 7, name);
        stubs++;
    }
    ck_assert_int_eq(pclose(text), 0);
    symbols_free(symbols);
    elf_file_free(file);
    return stubs;
}

START_TEST(stubs_have_names)
{
    scratch_enter();
    scratch_write("c.c", caller_source, sizeof caller_source - 1);
    scratch_run("${CC:-cc} -O1 -o now c.c -lm");
    ck_assert_int_ge(compare_stubs("objdump", "now"), 2);
    scratch_run("${CC:-cc} -O1 -no-pie -Wl,-z,lazy -o lazy c.c -lm");
    ck_assert_int_ge(compare_stubs("objdump", "lazy"), 2);
    if (system("${CC:-cc} -O1 -fcf-protection -Wl,-z,lazy,-z,ibtplt -o ibt c.c -lm 2>/dev/null"))
        puts("skipped: this linker makes no IBT stubs");
    else
        ck_assert_int_ge(compare_stubs("objdump", "ibt"), 2);
    if (system("aarch64-linux-gnu-gcc -O1 -nostdlib -shared -fPIC -Wl,-z,lazy -o a64 c.c "
               "2>/dev/null"))
        puts("skipped: no compiler for arm64");
    else
        ck_assert_int_ge(compare_stubs("aarch64-linux-gnu-objdump", "a64"), 2);
    scratch_leave();
}
END_TEST

static bool has_hidden(const char *path, uint64_t address)
{
    struct elf_file *file = open_file(path);
    struct symbols *symbols = symbols_new(&file, 1);
    struct symbol symbol;
    bool found = symbols_find(symbols, address, &symbol) && !strcmp(symbol.name, "hidden");
    symbols_free(symbols);
    elf_file_free(file);
    return found;
}

START_TEST(mini_debug_info_is_read)
{
    scratch_enter();
    scratch_write("c.c", caller_source, sizeof caller_source - 1);
    scratch_run("${CC:-cc} -O1 -g -o full c.c -lm");
    struct elf_file *file = open_file("full");
    struct symbols *symbols = symbols_new(&file, 1);
    struct symbol hidden;
    ck_assert(symbols_find_name(symbols, "hidden", &hidden));
    symbols_free(symbols);
    elf_file_free(file);

    scratch_run("objcopy --only-keep-debug full debug && echo hidden > keep &&"
                "objcopy -S --keep-symbols=keep debug mini && xz -k mini &&"
                "strip -o bare full && objcopy --add-section .gnu_debugdata=mini.xz bare packed");
    ck_assert(!has_hidden("bare", hidden.address));
    ck_assert(has_hidden("packed", hidden.address));

    /* Cut, damaged, and far too large when inflated. */
    scratch_run("head -c 200 mini.xz > cut.xz && objcopy --add-section .gnu_debugdata=cut.xz "
                "bare cut && tr '\\000-\\177' '\\001-\\200' < mini.xz > damaged.xz &&"
                "objcopy --add-section .gnu_debugdata=damaged.xz bare damaged &&"
                "head -c 300M /dev/zero | xz -0 > bomb.xz &&"
                "objcopy --add-section .gnu_debugdata=bomb.xz bare bomb");
    ck_assert(!has_hidden("cut", hidden.address));
    ck_assert(!has_hidden("damaged", hidden.address));
    ck_assert(!has_hidden("bomb", hidden.address));
    scratch_leave();
}
END_TEST

/* Symbols come from a separate debug file at the addresses of the module itself. */
START_TEST(a_debug_file_adds_its_symbols)
{
    scratch_enter();
    scratch_write("c.c", caller_source, sizeof caller_source - 1);
    scratch_run("${CC:-cc} -O1 -g -o full c.c -lm && objcopy --only-keep-debug full debug &&"
                "strip -o bare full");
    struct elf_file *full = open_file("full");
    struct elf_file *files[] = {open_file("bare"), open_file("debug")};
    struct symbols *whole = symbols_new(&full, 1), *pair = symbols_new(files, 2);
    struct symbol symbol;
    ck_assert(symbols_find_name(whole, "hidden", &symbol));
    expect(pair, symbol.address, "hidden");
    expect(pair, symbol.address + symbol.size - 1, "hidden");
    ck_assert(symbols_find_name(whole, "main", &symbol));
    expect(pair, symbol.address + 3, "main");
    symbols_free(whole);
    symbols_free(pair);
    elf_file_free(full);
    elf_file_free(files[0]);
    elf_file_free(files[1]);
    scratch_leave();
}
END_TEST

UNIT_MAIN("symbols", a_table_for_few_addresses, overlaps_are_resolved,
          this_program_agrees_with_libdwfl, libc_agrees_with_libdwfl,
          a_large_executable_agrees_with_libdwfl, each_function_of_nm_is_found, stubs_have_names,
          mini_debug_info_is_read, a_debug_file_adds_its_symbols)
