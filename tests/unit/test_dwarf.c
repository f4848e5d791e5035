/*
 * test_dwarf.c - source positions and inlined frames against known lines, and against
 * llvm-addr2line and addr2line over the code of programs built here in every flavour of DWARF.
 */
#include "symbolize/dwarf.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>

enum { ADDRESSES = 4000 };

struct subject { /* a program and what is read from it */
    struct elf_file *file, *alt;
    struct dwarf *dwarf;
};

static const char *data_directory(void)
{
    static char path[512];
    const char *root = getenv("SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/data/dwarf", root ? root : ".");
    return path;
}

static bool have(const char *program)
{
    _cleanup_free_ char *command = xasprintf("command -v %s >/dev/null", program);
    if (system(command) == 0)
        return true;
    printf("skipped: no %s here\n", program);
    return false;
}

static struct elf_file *open_elf(const char *path)
{
    struct error err = {0};
    struct elf_file *file = NULL;
    int fd = elf_open_regular(path);
    ck_assert_msg(fd >= 0 && !elf_file_open(fd, path, &file, &err), "%s: %s", path, err.text);
    return file;
}

static struct subject subject_open(const char *path, const char *alt)
{
    struct subject subject = {.file = open_elf(path), .alt = alt ? open_elf(alt) : NULL};
    subject.dwarf = dwarf_new(subject.file, subject.alt, 0);
    ck_assert_ptr_nonnull(subject.dwarf);
    return subject;
}

static void subject_close(struct subject *subject)
{
    dwarf_free(subject->dwarf);
    elf_file_free(subject->alt);
    elf_file_free(subject->file);
}

/* Addresses spread over a program's .text; returns their number. */
static size_t spread(const char *path, uint64_t addresses[ADDRESSES])
{
    struct elf_section text;
    struct elf_file *file = open_elf(path);
    ck_assert(elf_file_section(file, ".text", &text));
    uint64_t step = text.size / ADDRESSES + 1;
    size_t count = 0;
    for (uint64_t offset = 0; offset < text.size; offset += step)
        addresses[count++] = text.vaddr + offset;
    elf_file_free(file);
    return count;
}

/* A path without "/./" and "x/..", as tools differ in them. */
static void normalize(const char *path, char ret_path[LIMIT_PATH_BYTES])
{
    size_t length = 0;
    _cleanup_free_ char *copy = xstrdup(path ? path : "??");
    char *rest = copy;
    for (char *part; (part = strsep(&rest, "/"));) {
        if (!*part || !strcmp(part, "."))
            continue;
        if (!strcmp(part, "..")) {
            while (length && ret_path[--length] != '/')
                ;
            continue;
        }
        length += (size_t)snprintf(ret_path + length, LIMIT_PATH_BYTES - length, "/%s", part);
        ck_assert_uint_lt(length, LIMIT_PATH_BYTES);
    }
    ret_path[length] = 0;
}

struct answer { /* one frame as a tool prints it */
    char function[4096], file[LIMIT_PATH_BYTES];
    uint32_t line;
};

/*
 * Rust's legacy names end in "17h", sixteen digits and "E": a hash that tells instances of one
 * generic function apart. Of instances that came out alike one is left, whose name the tool shows.
 */
static bool same_but_for_rust_hash(const char *a, const char *b)
{
    enum { HASH_LENGTH = 20 };
    const char *hash_a = strstr(a, "17h"), *hash_b = strstr(b, "17h");
    return hash_a && hash_b && hash_a - a == hash_b - b && !strncmp(a, b, (size_t)(hash_a - a)) &&
           strlen(hash_a) >= HASH_LENGTH && strlen(hash_b) >= HASH_LENGTH &&
           hash_a[HASH_LENGTH - 1] == 'E' && hash_b[HASH_LENGTH - 1] == 'E';
}

/*
 * A tool's names are the symbol table's where it has one; ours are DWARF's. They agree if they
 * are equal, or but for a clone's suffix or a constructor's digit, or if DWARF has no linkage name.
 */
static bool same_function(const char *theirs, const struct source_frame *ours)
{
    const char *name = ours->function ? ours->function : "??";
    size_t length = strlen(name);
    if (!strcmp(theirs, name) || (!strncmp(theirs, name, length) && theirs[length] == '.') ||
        (!ours->mangled && !strncmp(theirs, "_Z", 2)))
        return true;
    size_t differences = 0;
    for (size_t i = 0; theirs[i] && name[i]; i++)
        differences += theirs[i] != name[i];
    return ours->mangled && strlen(theirs) >= length && differences == 1;
}

enum verdict { EQUAL, NO_DWARF, DEPTH, FUNCTION, PLACE, VERDICTS };

static const char *const verdict_names[VERDICTS] = {"equal", "no DWARF", "depth", "function",
                                                    "place"};

static enum verdict judge(const struct source_frame *ours, size_t count,
                          const struct answer *theirs, size_t their_count)
{
    if (!count)
        return their_count == 1 && !theirs[0].line ? NO_DWARF : DEPTH;
    if (count != their_count)
        return DEPTH;
    for (size_t i = 0; i < count; i++) {
        char mine[LIMIT_PATH_BYTES], other[LIMIT_PATH_BYTES];
        normalize(ours[i].file, mine);
        normalize(theirs[i].file, other);
        if (ours[i].line != theirs[i].line || strcmp(mine, other))
            return PLACE;
        const char *name = ours[i].function ? ours[i].function : "??";
        /* addr2line puts the symbol's name on the first frame as well. */
        bool end = i == 0 || i == count - 1;
        if (strcmp(theirs[i].function, name) && !same_but_for_rust_hash(theirs[i].function, name) &&
            !(end && (same_function(theirs[i].function, &ours[i]) ||
                      same_function(theirs[i].function, &ours[count - 1]))))
            return FUNCTION;
    }
    return EQUAL;
}

static bool read_line(FILE *from, char *ret_line, size_t size)
{
    if (!fgets(ret_line, (int)size, from))
        return false;
    ret_line[strcspn(ret_line, "\n")] = 0;
    return true;
}

/* Reads "file:line", "file:line (discriminator 3)", "file:line:column", "??:?". */
static void parse_place(char *text, struct answer *ret_answer)
{
    char *note = strstr(text, " (discriminator");
    if (note)
        *note = 0;
    char *colon = strrchr(text, ':');
    ck_assert_ptr_nonnull(colon);
    ret_answer->line = (uint32_t)strtoul(colon + 1, NULL, 10);
    *colon = 0;
    snprintf(ret_answer->file, sizeof ret_answer->file, "%.4095s", text);
}

/* The frames for one address; `line` holds its heading, and then the next one's. */
static size_t read_answers(FILE *from, char *line, size_t size, struct answer *ret_answers)
{
    size_t count = 0;
    while (read_line(from, line, size) && strncmp(line, "0x", 2)) {
        ck_assert_uint_lt(count, LIMIT_INLINE_DEPTH);
        snprintf(ret_answers[count].function, sizeof ret_answers->function, "%.4095s", line);
        ck_assert(read_line(from, line, size));
        parse_place(line, &ret_answers[count++]);
    }
    return count;
}

/* How often each verdict fell, and on how many addresses ours found inlined calls. */
struct tally {
    size_t total, verdicts[VERDICTS], with_frames, with_inlines;
};

static void show_difference(uint64_t address, enum verdict verdict, const struct source_frame *ours,
                            size_t count, const struct answer *theirs, size_t their_count)
{
    printf("  %s at %#lx\n", verdict_names[verdict], (unsigned long)address);
    for (size_t i = 0; i < count; i++)
        printf("    ours   %s %s:%u\n", ours[i].function, ours[i].file, ours[i].line);
    for (size_t i = 0; i < their_count; i++)
        printf("    theirs %s %s:%u\n", theirs[i].function, theirs[i].file, theirs[i].line);
}

static struct tally compare(const char *tool, const char *path, const char *alt)
{
    static uint64_t addresses[ADDRESSES];
    static struct answer answers[LIMIT_INLINE_DEPTH];
    struct tally tally = {.total = spread(path, addresses)};
    FILE *list = fopen("addresses", "we");
    for (size_t i = 0; i < tally.total; i++)
        fprintf(list, "%#lx\n", (unsigned long)addresses[i]);
    fclose(list);
    _cleanup_free_ char *command = xasprintf("%s -a -i -f -e %s <addresses", tool, path);
    FILE *answer = popen(command, "re");
    struct subject subject = subject_open(path, alt);
    char line[8192];
    ck_assert(read_line(answer, line, sizeof line));
    for (size_t i = 0; i < tally.total; i++) {
        struct source_frame frames[LIMIT_INLINE_DEPTH];
        ck_assert_uint_eq(strtoull(line, NULL, 16), addresses[i]);
        size_t their_count = read_answers(answer, line, sizeof line, answers);
        size_t count = dwarf_find(subject.dwarf, addresses[i], frames);
        enum verdict verdict = judge(frames, count, answers, their_count);
        tally.with_frames += count > 0;
        tally.with_inlines += count > 1;
        if (verdict > NO_DWARF && tally.verdicts[verdict] < 2)
            show_difference(addresses[i], verdict, frames, count, answers, their_count);
        tally.verdicts[verdict]++;
    }
    pclose(answer);
    subject_close(&subject);
    return tally;
}

/* At least 99 % equal, over code that mostly has DWARF and often inlined calls. */
static void expect_equal(const char *title, const char *tool, const char *path)
{
    struct tally tally = compare(tool, path, NULL);
    size_t good = tally.verdicts[EQUAL] + tally.verdicts[NO_DWARF];
    printf("%s, %s: %zu of %zu", title, tool, good, tally.total);
    for (int i = 0; i < VERDICTS; i++)
        printf(", %s %zu", verdict_names[i], tally.verdicts[i]);
    printf(", inlined %zu\n", tally.with_inlines);
    ck_assert_uint_ge(good * 100, tally.total * 99);
    ck_assert_uint_ge(tally.with_frames * 10, tally.total * 6);
    ck_assert_uint_ge(tally.with_inlines * 10, tally.total);
}

/* Builds shapes.cc with the flags and compares it. */
static void check_build(const char *compiler, const char *flags, bool also_binutils)
{
    _cleanup_free_ char *title = xasprintf("%s %s", compiler, flags);
    scratch_run("rm -f *.dwo *.o prog; cp %s/shapes.cc . && %s -O2 %s -c shapes.cc -o shapes.o && "
                "%s -O2 %s shapes.o -o prog",
                data_directory(), compiler, flags, compiler, flags);
    if (have("llvm-addr2line"))
        expect_equal(title, "llvm-addr2line", "./prog");
    if (also_binutils)
        expect_equal(title, "addr2line", "./prog");
}

START_TEST(gcc_frames_are_the_tools)
{
    scratch_enter();
    check_build("g++", "-gdwarf-4", true);
    check_build("g++", "-gdwarf-5", false);
    check_build("g++", "-gdwarf-4 -gsplit-dwarf", false);
    check_build("g++", "-gdwarf-5 -gsplit-dwarf", false);
    check_build("g++", "-gdwarf-5 -flto", false);
    scratch_leave();
}
END_TEST

START_TEST(clang_frames_are_the_tools)
{
    if (!have("clang++"))
        return;
    scratch_enter();
    check_build("clang++", "-gdwarf-4", true);
    check_build("clang++", "-gdwarf-5", false);
    check_build("clang++", "-gdwarf-4 -gsplit-dwarf", false);
    check_build("clang++", "-gdwarf-5 -gsplit-dwarf", false);
    if (have("ld.lld"))
        check_build("clang++", "-gdwarf-5 -flto -fuse-ld=lld", false);
    scratch_leave();
}
END_TEST

START_TEST(rust_frames_are_the_tools)
{
    if (!have("rustc") || !have("llvm-addr2line"))
        return;
    scratch_enter();
    scratch_run("rustc -g -O %s/shapes.rs -o prog", data_directory());
    expect_equal("rustc -O", "llvm-addr2line", "./prog");
    scratch_leave();
}
END_TEST

START_TEST(our_own_code_is_as_the_tools_say)
{
    const char *root = getenv("SOURCE_ROOT");
    scratch_enter();
    scratch_run("cd %s && gcc -std=gnu17 -D_GNU_SOURCE -I. -g -O2 -fPIC -shared symbolize/dies.c "
                "symbolize/inlines.c symbolize/lines.c symbolize/line_program.c symbolize/split.c "
                "symbolize/range_map.c symbolize/abbrevs.c core/profile.c -o %s/prog",
                root ? root : ".", scratch_directory);
    if (have("llvm-addr2line"))
        expect_equal("memprof itself", "llvm-addr2line", "./prog");
    scratch_leave();
}
END_TEST

/* Two files give the same frames at all addresses. */
static void expect_same(const char *first, const char *second, const char *second_alt)
{
    static uint64_t addresses[ADDRESSES];
    struct subject a = subject_open(first, NULL), b = subject_open(second, second_alt);
    size_t count = spread(first, addresses), inlined = 0;
    for (size_t i = 0; i < count; i++) {
        struct source_frame one[LIMIT_INLINE_DEPTH], two[LIMIT_INLINE_DEPTH];
        size_t depth = dwarf_find(a.dwarf, addresses[i], one);
        ck_assert_uint_eq(dwarf_find(b.dwarf, addresses[i], two), depth);
        inlined += depth > 1;
        for (size_t k = 0; k < depth; k++) {
            ck_assert_pstr_eq(one[k].function, two[k].function);
            ck_assert_pstr_eq(one[k].file, two[k].file);
            ck_assert_pstr_eq(one[k].declared_file, two[k].declared_file);
            ck_assert_uint_eq(one[k].line, two[k].line);
            ck_assert_uint_eq(one[k].declared_line, two[k].declared_line);
        }
    }
    ck_assert_uint_gt(inlined * 10, count);
    subject_close(&a);
    subject_close(&b);
}

START_TEST(compressed_and_separate_sections_say_the_same)
{
    scratch_enter();
    scratch_run("g++ -O2 -gdwarf-5 %s/shapes.cc -o prog", data_directory());
    scratch_run("objcopy --compress-debug-sections=zlib prog zlib");
    scratch_run("objcopy --compress-debug-sections=zlib-gnu prog gnu");
    scratch_run("objcopy --only-keep-debug prog separate");
    scratch_run("readelf -SW gnu | grep -q zdebug_info");
    expect_same("prog", "zlib", NULL);
    expect_same("prog", "gnu", NULL);
    expect_same("prog", "separate", NULL);
    scratch_leave();
}
END_TEST

START_TEST(dwz_says_the_same)
{
    if (!have("dwz"))
        return;
    scratch_enter();
    scratch_run("g++ -O2 -gdwarf-4 %s/shapes.cc -o prog && g++ -O1 -gdwarf-4 %s/shapes.cc -o other",
                data_directory(), data_directory());
    scratch_run("cp prog single && dwz single && cp prog multi && dwz -m common -M x multi other");
    scratch_run("readelf -SW multi | grep -q gnu_debugaltlink");
    expect_same("prog", "single", NULL);
    expect_same("prog", "multi", "common");
    scratch_leave();
}
END_TEST

START_TEST(packages_replace_dwo_files)
{
    if (!have("clang++") || !have("llvm-dwp") || !have("llvm-addr2line"))
        return;
    scratch_enter();
    for (int version = 4; version <= 5; version++) {
        scratch_run("cp %s/shapes.cc %s/calls.c . && rm -f *.dwo && "
                    "clang++ -O2 -gdwarf-%d -gsplit-dwarf -Dmain=shapes_main -c shapes.cc && "
                    "clang -O2 -gdwarf-%d -gsplit-dwarf -c calls.c && clang++ shapes.o calls.o -o "
                    "prog && llvm-dwp -e prog -o prog.dwp && rm *.dwo",
                    data_directory(), data_directory(), version, version);
        expect_equal("a package", "llvm-addr2line", "./prog");
    }
    scratch_leave();
}
END_TEST

START_TEST(a_dwo_file_of_another_build_is_not_taken)
{
    scratch_enter();
    scratch_run("cp %s/calls.c . && gcc -O2 -g -gsplit-dwarf calls.c -c && gcc calls.o -o prog && "
                "gcc -O2 -g -gsplit-dwarf -DOTHER -Dinnermost=changed calls.c -c",
                data_directory());
    uint64_t addresses[ADDRESSES];
    size_t count = spread("prog", addresses), lines = 0;
    struct subject subject = subject_open("prog", NULL);
    for (size_t i = 0; i < count; i++) {
        struct source_frame frames[LIMIT_INLINE_DEPTH];
        size_t depth = dwarf_find(subject.dwarf, addresses[i], frames);
        ck_assert_uint_le(depth, 1);
        ck_assert(!depth || !frames[0].function);
        lines += depth && frames[0].line;
    }
    ck_assert_uint_gt(lines, 20);
    subject_close(&subject);
    scratch_leave();
}
END_TEST

/* The line of calls.c that holds a marker. */
static uint32_t marked_line(const char *marker)
{
    char text[512];
    _cleanup_free_ char *path = xasprintf("%s/calls.c", data_directory());
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    for (uint32_t line = 1; fgets(text, sizeof text, file); line++)
        if (strstr(text, marker))
            return line;
    ck_abort_msg("no marker %s", marker);
}

static bool is_file(const char *path, const char *name)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash && *path == '/' && !strcmp(slash + 1, name);
}

/* outer calls middle calls innermost, all at one address. */
static bool is_known_stack(const struct source_frame *frames, size_t count)
{
    const char *names[] = {"innermost", "middle", "outer"};
    if (count != 3)
        return false;
    for (int i = 0; i < 3; i++) {
        _cleanup_free_ char *marker = xasprintf("LINE %s ", names[i]);
        ck_assert_str_eq(frames[i].function, names[i]);
        ck_assert(!frames[i].mangled);
        ck_assert_msg(is_file(frames[i].file, "calls.c"), "%s", frames[i].file);
        if (frames[i].line != marked_line(marker))
            return false;
    }
    ck_assert_uint_eq(frames[0].declared_line, marked_line("DECLARED innermost"));
    ck_assert_uint_eq(frames[2].declared_line, marked_line("DECLARED outer"));
    ck_assert(is_file(frames[0].declared_file, "calls.c"));
    return true;
}

static void check_known_lines(const char *compiler, const char *flags)
{
    scratch_run("cp %s/calls.c . && %s -O2 %s calls.c -o prog", data_directory(), compiler, flags);
    uint64_t addresses[ADDRESSES];
    size_t count = spread("prog", addresses), stacks = 0, generated = 0;
    struct subject subject = subject_open("prog", NULL);
    for (size_t i = 0; i < count; i++) {
        struct source_frame frames[LIMIT_INLINE_DEPTH];
        size_t depth = dwarf_find(subject.dwarf, addresses[i], frames);
        stacks += is_known_stack(frames, depth);
        generated += depth == 1 && is_file(frames[0].file, "parser.generated.c") &&
                     frames[0].line == 1500000 && frames[0].function &&
                     !strcmp(frames[0].function, "generated");
    }
    subject_close(&subject);
    ck_assert_msg(stacks && generated, "%s %s: %zu %zu", compiler, flags, stacks, generated);
}

START_TEST(known_lines_are_found)
{
    const char *flags[] = {"-gdwarf-2",
                           "-gdwarf-3",
                           "-gdwarf-4",
                           "-gdwarf-5",
                           "-gdwarf-5 -gdwarf64",
                           "-gdwarf-4 -fno-pie -no-pie",
                           "-gdwarf-5 -ffunction-sections -Wl,--gc-sections"};
    bool clang = have("clang");
    scratch_enter();
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        check_known_lines("gcc", flags[i]);
        if (clang && !strstr(flags[i], "dwarf64"))
            check_known_lines("clang", flags[i]);
    }
    scratch_leave();
}
END_TEST

static void *read_whole(const char *path, size_t *ret_size)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    void *data = xmalloc(*ret_size);
    ck_assert_uint_eq(fread(data, 1, *ret_size, file), *ret_size);
    return data;
}

/* Looks up everything in an image; it must come back, with texts that can be read. */
static size_t look_up_all(struct elf_file *file, const uint64_t *addresses, size_t count)
{
    struct dwarf *dwarf = dwarf_new(file, NULL, 0);
    size_t length = 0;
    for (size_t i = 0; dwarf && i < count; i++) {
        struct source_frame frames[LIMIT_INLINE_DEPTH];
        size_t depth = dwarf_find(dwarf, addresses[i], frames);
        ck_assert_uint_le(depth, LIMIT_INLINE_DEPTH);
        for (size_t k = 0; k < depth; k++)
            length += (frames[k].function ? strlen(frames[k].function) : 0) +
                      (frames[k].file ? strlen(frames[k].file) : 0);
    }
    dwarf_free(dwarf);
    return length;
}

/* Overwrites up to 60 bytes past the ELF header. */
static void damage(unsigned char *image, size_t size)
{
    for (int i = rand() % 60; i >= 0; i--)
        image[64 + (size_t)rand() % (size - 64)] = (unsigned char)rand();
}

START_TEST(damaged_files_do_no_harm)
{
    scratch_enter();
    scratch_run("cp %s/calls.c . && gcc -O2 -gdwarf-5 calls.c -o prog", data_directory());
    uint64_t addresses[ADDRESSES];
    size_t count = spread("prog", addresses), texts = 0;
    srand(7);
    for (int round = 0; round < 400; round++) {
        size_t size;
        _cleanup_free_ unsigned char *image = read_whole("prog", &size);
        struct elf_file *file = NULL;
        damage(image, size);
        if (!elf_file_open_memory(image, size, "prog", &file, NULL))
            texts += look_up_all(file, addresses, count);
        elf_file_free(file);
    }
    ck_assert_uint_gt(texts, 10000);
    scratch_leave();
}
END_TEST

/* Damages `name`, beside which `prog` lies whole. */
static void check_damaged_half(const char *name)
{
    uint64_t addresses[ADDRESSES];
    size_t count = spread("prog", addresses), texts = 0, size;
    _cleanup_free_ unsigned char *whole = read_whole(name, &size);
    srand(8);
    for (int round = 0; round < 300; round++) {
        _cleanup_free_ unsigned char *image = xmalloc(size);
        memcpy(image, whole, size);
        damage(image, size);
        scratch_write(name, image, size);
        struct elf_file *file = open_elf("prog");
        texts += look_up_all(file, addresses, count);
        elf_file_free(file);
    }
    ck_assert_uint_gt(texts, 10000);
}

START_TEST(damaged_split_files_do_no_harm)
{
    scratch_enter();
    for (int version = 4; version <= 5; version++) {
        scratch_run("rm -f prog.dwp && cp %s/calls.c . && "
                    "gcc -O2 -gdwarf-%d -gsplit-dwarf calls.c -c && gcc calls.o -o prog",
                    data_directory(), version);
        check_damaged_half("calls.dwo");
    }
    if (have("clang") && have("llvm-dwp")) {
        scratch_run("clang -O2 -gdwarf-5 -gsplit-dwarf calls.c -c && clang calls.o -o prog && "
                    "llvm-dwp -e prog -o prog.dwp && rm calls.dwo");
        check_damaged_half("prog.dwp");
    }
    scratch_leave();
}
END_TEST

UNIT_MAIN("dwarf", known_lines_are_found, gcc_frames_are_the_tools, clang_frames_are_the_tools,
          rust_frames_are_the_tools, our_own_code_is_as_the_tools_say,
          compressed_and_separate_sections_say_the_same, dwz_says_the_same,
          packages_replace_dwo_files, a_dwo_file_of_another_build_is_not_taken,
          damaged_files_do_no_harm, damaged_split_files_do_no_harm)
