#include "symbolize/debug_file.h"
#include "symbolize/symbols.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <string.h>

/*
 * /usr/lib/debug is not the tests' to write. The build-id tree is tried in a root of its own: a
 * child process chroots there (in a user namespace if need be) and stands for the target.
 */
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

static const char source[] = "static __attribute__((noinline)) int hidden(int x)\n"
                             "{ return x * 3; }\n"
                             "int main(int c, char **v)\n"
                             "{ (void)v; return hidden(c); }\n";

/* full: with DWARF; bare: stripped; full.debug: what was stripped; other.debug: of another build.
 */
static void build_files(const char *flags)
{
    scratch_enter();
    scratch_write("a.c", source, sizeof source - 1);
    scratch_run("${CC:-cc} -O1 -g %s -o full a.c && objcopy --only-keep-debug full full.debug &&"
                "strip -o bare full",
                flags);
    scratch_run("${CC:-cc} -O0 -g %s -o other a.c &&"
                "objcopy --only-keep-debug other other.debug",
                flags);
}

static struct module open_module(const char *path, pid_t pid)
{
    struct module module = {.kind = MODULE_FILE, .pid = pid, .path = xstrdup(path)};
    struct error err;
    int fd = elf_open_regular(path);
    ck_assert_msg(fd >= 0, "cannot open %s", path);
    ck_assert_msg(!elf_file_open(fd, path, &module.elf, &err), "%s", err.text);
    return module;
}

static void close_module(struct module *module)
{
    elf_file_free(module->elf);
    free(module->path);
}

/* Whether a debug file is found for the file in the scratch directory, and is the right one. */
static bool finds_debug_file(const char *name)
{
    _cleanup_free_ char *path = scratch_path(name);
    struct module module = open_module(path, getpid());
    struct elf_file *debug = debug_file_find(&module);
    bool found = debug != NULL;
    if (debug) {
        struct elf_section info;
        ck_assert(elf_file_section(debug, ".debug_info", &info));
        ck_assert(symbols_file_has(debug, "hidden"));
        ck_assert_str_eq(debug->build_id, module.elf->build_id);
    }
    elf_file_free(debug);
    close_module(&module);
    return found;
}

START_TEST(a_link_is_followed)
{
    build_files("-Wl,--build-id=sha1");
    scratch_run("objcopy --add-gnu-debuglink=full.debug bare linked");
    ck_assert(!finds_debug_file("bare"));
    ck_assert(finds_debug_file("linked"));
    scratch_run("mkdir .debug && mv full.debug .debug/");
    ck_assert(finds_debug_file("linked"));
    scratch_run("rm -r .debug");
    ck_assert(!finds_debug_file("linked"));
    scratch_leave();
}
END_TEST

START_TEST(a_file_of_another_build_is_refused)
{
    build_files("-Wl,--build-id=sha1");
    scratch_run("objcopy --add-gnu-debuglink=full.debug bare linked && mv other.debug full.debug");
    ck_assert(!finds_debug_file("linked"));
    scratch_leave();
}
END_TEST

START_TEST(without_build_id_the_crc_decides)
{
    build_files("-Wl,--build-id=none");
    scratch_run("objcopy --add-gnu-debuglink=full.debug bare linked");
    ck_assert(finds_debug_file("linked"));
    scratch_run("mv other.debug full.debug");
    ck_assert(!finds_debug_file("linked"));
    scratch_leave();
}
END_TEST

/* The file that holds the link is never its own debug file, nor is what is no regular file. */
START_TEST(senseless_links_are_refused)
{
    build_files("-Wl,--build-id=sha1");
    scratch_run("cp full.debug linked.tmp && objcopy --add-gnu-debuglink=full.debug bare linked");
    scratch_run("cp linked full.debug.new && rm full.debug && ln linked full.debug");
    ck_assert(!finds_debug_file("linked"));
    scratch_run("rm full.debug && mkfifo full.debug");
    ck_assert(!finds_debug_file("linked"));
    scratch_run("rm full.debug && mkdir full.debug");
    ck_assert(!finds_debug_file("linked"));
    scratch_run("rmdir full.debug && head -c 100 linked.tmp > full.debug");
    ck_assert(!finds_debug_file("linked"));

    /* A link without an end, without a CRC, and one that leads out of the directory. */
    static const char *const links[] = {"no end of this name", "x",
                                        "../../etc/passwd\\000\\000abcd"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        scratch_run("printf '%s' > link && objcopy --add-section .gnu_debuglink=link bare odd",
                    links[i]);
        ck_assert(!finds_debug_file("odd"));
    }
    scratch_leave();
}
END_TEST

/* A process whose root is the scratch directory; 0 if this can't be had here. */
static pid_t start_in_root(void)
{
    int ready[2];
    char done;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (!pid) {
        if (geteuid() && unshare(CLONE_NEWUSER))
            _exit(1);
        if (chroot(scratch_directory) || chdir("/") || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    bool started = read(ready[0], &done, 1) == 1;
    close(ready[0]);
    if (started)
        return pid;
    waitpid(pid, NULL, 0);
    return 0;
}

static void install_by_build_id(const char *name, const char *build_id)
{
    scratch_run(
        "mkdir -p usr/lib/debug/.build-id/%.2s && cp %s usr/lib/debug/.build-id/%.2s/%s.debug",
        build_id, name, build_id, build_id + 2);
}

START_TEST(the_build_id_tree_of_the_targets_root_is_used)
{
    build_files("-Wl,--build-id=sha1");
    pid_t pid = start_in_root();
    if (!pid) {
        puts("skipped: this user may neither chroot nor make user namespaces");
        scratch_leave();
        return;
    }
    struct module module = open_module("bare", pid);
    ck_assert_ptr_null(debug_file_find(&module));
    install_by_build_id("other.debug", module.elf->build_id);
    ck_assert_ptr_null(debug_file_find(&module));
    install_by_build_id("full.debug", module.elf->build_id);
    struct elf_file *debug = debug_file_find(&module);
    ck_assert_ptr_nonnull(debug);
    ck_assert_str_eq(debug->build_id, module.elf->build_id);
    elf_file_free(debug);

    /* An absolute link stays within that root. */
    scratch_run("mkdir store && mv usr/lib/debug/.build-id/*/*.debug store/it &&"
                "ln -s /store/it usr/lib/debug/.build-id/%.2s/%s.debug",
                module.elf->build_id, module.elf->build_id + 2);
    debug = debug_file_find(&module);
    ck_assert_ptr_nonnull(debug);
    elf_file_free(debug);
    close_module(&module);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    scratch_leave();
}
END_TEST

/* .gnu_debugaltlink as dwz writes it: path, NUL, build-id; made by hand, dwz need not be there. */
static void write_alt_link(const char *path, const char *build_id)
{
    uint8_t bytes[512];
    size_t size = strlen(path) + 1;
    memcpy(bytes, path, size);
    for (size_t i = 0; build_id[i]; i += 2) {
        unsigned byte;
        ck_assert_int_eq(sscanf(build_id + i, "%2x", &byte), 1);
        bytes[size++] = (uint8_t)byte;
    }
    scratch_write("altlink", bytes, size);
    scratch_run("objcopy --add-section .gnu_debugaltlink=altlink full.debug alt.debug");
}

static bool finds_alt(const struct module *module)
{
    struct module debug = open_module("alt.debug", getpid());
    struct elf_file *alt = debug_file_find_alt(debug.elf, module);
    bool found = alt != NULL;
    elf_file_free(alt);
    close_module(&debug);
    return found;
}

START_TEST(the_supplement_of_dwz_is_found)
{
    build_files("-Wl,--build-id=sha1");
    struct module other = open_module("other.debug", getpid());
    struct module bare = open_module("bare", getpid());
    scratch_run("mkdir shared && cp other.debug shared/common");
    ck_assert_ptr_null(debug_file_find_alt(bare.elf, &bare));
    write_alt_link("shared/common", other.elf->build_id);
    ck_assert(finds_alt(&bare));
    _cleanup_free_ char *absolute = scratch_path("shared/common");
    write_alt_link(absolute, other.elf->build_id);
    ck_assert(finds_alt(&bare));
    write_alt_link(absolute, bare.elf->build_id);
    ck_assert(!finds_alt(&bare));
    write_alt_link(absolute, "");
    ck_assert(!finds_alt(&bare));
    write_alt_link("shared/nothing", other.elf->build_id);
    ck_assert(!finds_alt(&bare));
    close_module(&other);
    close_module(&bare);
    scratch_leave();
}
END_TEST

UNIT_MAIN("debug_file", a_link_is_followed, a_file_of_another_build_is_refused,
          without_build_id_the_crc_decides, senseless_links_are_refused,
          the_build_id_tree_of_the_targets_root_is_used, the_supplement_of_dwz_is_found)
