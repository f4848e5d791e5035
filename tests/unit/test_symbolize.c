#include "symbolize/file_offsets.h"
#include "symbolize/kernel_symbols.h"
#include "symbolize/naming.h"
#include "symbolize/symbolize.h"
#include "symbolize/symbols.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

/* Each mark is a symbol at a known place in the code; the comments are its truth. */
static const char library_source[] =
    "#define MARK(name, value) __asm__ volatile(\".globl \" #name \"\\n\" #name \": nop\\nnop\" : "
    "\"+r\"(value))\n"
    "namespace app {\n"                                                /* 2 */
    "static inline __attribute__((always_inline)) int inner(int x)\n"  /* 3 */
    "{\n"                                                              /* 4 */
    "    MARK(mark_inner, x);\n"                                       /* 5 */
    "    return x * 3;\n"                                              /* 6 */
    "}\n"                                                              /* 7 */
    "static inline __attribute__((always_inline)) int middle(int x)\n" /* 8 */
    "{\n"                                                              /* 9 */
    "    return inner(x) + 1;\n"                                       /* 10 */
    "}\n"                                                              /* 11 */
    "__attribute__((noinline)) int outer(int x)\n"                     /* 12 */
    "{\n"                                                              /* 13 */
    "    int y = middle(x);\n"                                         /* 14 */
    "    MARK(mark_outer, y);\n"                                       /* 15 */
    "    return y ^ x;\n"                                              /* 16 */
    "}\n"                                                              /* 17 */
    "}\n"                                                              /* 18 */
    "extern \"C\" int plain_c(int x);\n"                               /* 19 */
    "extern \"C\" int plain_c(int x)\n"                                /* 20 */
    "{\n"                                                              /* 21 */
    "    MARK(mark_plain, x);\n"                                       /* 22 */
    "    return app::outer(x) + 2;\n"                                  /* 23 */
    "}\n";

struct recording {
    struct modules *modules;
    struct space space;
    struct profile *raw;
    void *library;
    metric_id cpu;
};

static struct recording recording_start(const char *flags)
{
    struct recording recording = {.modules = modules_new(), .raw = profile_new()};
    struct error err;
    scratch_enter();
    scratch_write("app.cc", library_source, sizeof library_source - 1);
    scratch_run("${CC:-cc} -x c++ -O2 -shared -fPIC -nostdlib -Wl,--build-id=sha1 -o libapp.so "
                "app.cc %s",
                flags);
    _cleanup_free_ char *path = scratch_path("libapp.so");
    recording.library = dlopen(path, RTLD_NOW);
    ck_assert_msg(recording.library, "%s", dlerror());
    space_init(&recording.space, recording.modules, getpid());
    ck_assert_msg(!space_read(&recording.space, recording.modules, &err), "%s", err.text);
    recording.cpu = profile_add_metric(recording.raw, "cpu", "ticks");
    return recording;
}

static void recording_end(struct recording *recording)
{
    profile_free(recording->raw);
    space_release(&recording->space);
    modules_free(recording->modules);
    dlclose(recording->library);
    scratch_leave();
}

static uint32_t module_position(const struct recording *recording, const struct module *module)
{
    for (uint32_t i = 0; i < recording->modules->items.count; i++)
        if (recording->modules->items.items[i] == module)
            return i;
    ck_abort_msg("a segment's module is not in the list");
}

static frame_id raw_frame(const struct recording *recording, uint64_t pc)
{
    const struct segment *segment = space_find(&recording->space, pc);
    ck_assert_msg(segment, "%lx is not mapped", (long)pc);
    return profile_add_frame(
        recording->raw,
        &(struct frame){
            .module = module_position(recording, segment->module),
            .address = pc - segment->bias,
            .kind = segment->module->kind == MODULE_ANON ? FRAME_UNKNOWN : FRAME_NATIVE,
        });
}

static uint64_t mark(const struct recording *recording, const char *name)
{
    void *address = dlsym(recording->library, name);
    ck_assert_msg(address, "no symbol %s", name);
    return (uint64_t)(uintptr_t)address;
}

static node_id add_ticks(struct recording *recording, node_id parent, frame_id frame,
                         uint64_t ticks)
{
    node_id node = profile_add_node(recording->raw, parent, frame);
    profile_add_self(recording->raw, recording->cpu, node, ticks);
    return node;
}

/* Compilers leave the linkage name of a static function out once it is inlined everywhere. */
static bool name_is(const char *name, const char *function)
{
    return !strcmp(name, function) || (!strncmp(function, "app::", 5) && strchr(function, '(') &&
                                       strlen(name) == strcspn(function + 5, "(") &&
                                       !strncmp(name, function + 5, strlen(name)) && *name);
}

/* The child of `parent` with that function. */
static node_id child(const struct profile *profile, node_id parent, const char *function)
{
    node_id found = 0;
    for (node_id i = 1; i < profile->nodes.count; i++) {
        const struct frame *frame = profile_frame_of(profile, i);
        if (profile->nodes.items[i].parent == parent &&
            name_is(profile_string(profile, frame->function), function)) {
            ck_assert_msg(!found, "%s stands twice under one caller", function);
            found = i;
        }
    }
    ck_assert_msg(found, "no %s under node %u", function, parent);
    return found;
}

static const char *module_path(const struct profile *profile, node_id node)
{
    return profile_string(profile,
                          profile->modules.items[profile_frame_of(profile, node)->module].path);
}

static uint64_t address_ticks(const struct profile *profile)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < profile->addresses.count; i++)
        sum += profile->addresses.items[i].ticks;
    return sum;
}

static uint64_t line_ticks(const struct profile *profile, node_id node, uint32_t line)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < profile->lines.count; i++)
        if (profile->lines.items[i].node == node && profile->lines.items[i].line == line)
            sum += profile->lines.items[i].ticks;
    return sum;
}

static void expect_definition(const struct profile *profile, node_id node, uint32_t line)
{
    const struct frame *frame = profile_frame_of(profile, node);
    const char *file = profile_string(profile, frame->file);
    const char *slash = strrchr(file, '/');
    ck_assert_str_eq(slash ? slash + 1 : file, "app.cc");
    ck_assert_uint_eq(frame->line, line);
    ck_assert_uint_eq(frame->address, 0);
    ck_assert_int_eq(frame->kind, FRAME_NATIVE);
}

START_TEST(inlined_frames_expand)
{
    struct recording recording = recording_start("-g");
    frame_id outermost = raw_frame(&recording, mark(&recording, "mark_plain"));
    frame_id in_outer = raw_frame(&recording, mark(&recording, "mark_outer"));
    frame_id in_inner = raw_frame(&recording, mark(&recording, "mark_inner"));
    node_id base = add_ticks(&recording, 0, outermost, 5);
    add_ticks(&recording, base, in_outer, 7);
    add_ticks(&recording, base, in_inner, 11);
    add_ticks(&recording, 0, raw_frame(&recording, mark(&recording, "mark_plain") + 1), 13);

    struct profile *named = symbolize_profile(recording.raw, recording.modules);
    node_id plain = child(named, 0, "plain_c");
    node_id outer = child(named, plain, "app::outer(int)");
    ck_assert_str_eq(profile_string(named, profile_frame_of(named, outer)->function),
                     "app::outer(int)");
    node_id middle = child(named, outer, "app::middle(int)");
    node_id inner = child(named, middle, "app::inner(int)");
    ck_assert_uint_eq(profile_self(named, 0, plain), 18);
    ck_assert_uint_eq(profile_self(named, 0, outer), 7);
    ck_assert_uint_eq(profile_self(named, 0, middle), 0);
    ck_assert_uint_eq(profile_self(named, 0, inner), 11);
    expect_definition(named, plain, 20);
    expect_definition(named, outer, 12);
    expect_definition(named, middle, 8);
    expect_definition(named, inner, 3);
    ck_assert_uint_eq(line_ticks(named, outer, 15), 7);
    ck_assert_uint_eq(line_ticks(named, inner, 5), 11);
    ck_assert_uint_eq(address_ticks(named), profile_sum(recording.raw, 0));
    ck_assert_uint_eq(named->quality.unknown_frames, 0);
    profile_free(named);
    recording_end(&recording);
}
END_TEST

/* What is looked up once and dropped has the same names, and gives away its samples. */
START_TEST(names_in_one_pass)
{
    struct recording recording = recording_start("-g");
    for (uint64_t i = 0; i < 200; i++) {
        node_id node = add_ticks(&recording, 0,
                                 raw_frame(&recording, mark(&recording, "mark_inner") + i % 64), 1);
        sequence_append(&recording.raw->samples, &(struct sample){i * 1000, 0, node});
    }
    add_ticks(&recording, 0, raw_frame(&recording, mark(&recording, "mark_outer")), 4);
    struct profile *kept = symbolize_profile(recording.raw, recording.modules);
    ck_assert_uint_eq(recording.raw->samples.count, 200);
    recording.modules->once = true;
    for (size_t i = 0; i < recording.modules->items.count; i++) {
        symbolic_free(recording.modules->items.items[i]->symbolic);
        recording.modules->items.items[i]->symbolic = NULL;
    }
    struct profile *named = symbolize_profile(recording.raw, recording.modules);
    ck_assert_uint_eq(recording.raw->samples.count, 0);
    ck_assert_uint_eq(named->samples.count, 200);
    ck_assert_uint_eq(named->nodes.count, kept->nodes.count);
    for (node_id i = 0; i < named->nodes.count; i++) {
        const struct frame *a = profile_frame_of(named, i), *b = profile_frame_of(kept, i);
        ck_assert_str_eq(profile_string(named, a->function), profile_string(kept, b->function));
        ck_assert_uint_eq(a->line, b->line);
        ck_assert_uint_eq(profile_self(named, 0, i), profile_self(kept, 0, i));
    }
    profile_free(kept);
    profile_free(named);
    recording_end(&recording);
}
END_TEST

/* Stripped of DWARF, and with the DWARF in a separate file. */
START_TEST(symbols_alone_name_functions)
{
    struct recording recording = recording_start("-g0");
    add_ticks(&recording, 0, raw_frame(&recording, mark(&recording, "mark_inner")), 3);
    add_ticks(&recording, 0, raw_frame(&recording, mark(&recording, "mark_outer")), 4);
    struct profile *named = symbolize_profile(recording.raw, recording.modules);
    node_id outer = child(named, 0, "app::outer(int)");
    ck_assert_uint_eq(profile_self(named, 0, outer), 7);
    ck_assert_uint_eq(profile_frame_of(named, outer)->line, 0);
    const struct profile_module *module =
        &named->modules.items[profile_frame_of(named, outer)->module];
    ck_assert_uint_eq(strlen(profile_string(named, module->build_id)), 40);
    ck_assert_ptr_nonnull(strstr(profile_string(named, module->path), "/libapp.so"));
    ck_assert_uint_eq(address_ticks(named), 7);
    profile_free(named);
    recording_end(&recording);
}
END_TEST

START_TEST(a_separate_debug_file_is_used)
{
    struct recording recording =
        recording_start("-g && objcopy --only-keep-debug libapp.so libapp.so.debug && "
                        "strip -g libapp.so && "
                        "objcopy --add-gnu-debuglink=libapp.so.debug libapp.so");
    add_ticks(&recording, 0, raw_frame(&recording, mark(&recording, "mark_inner")), 3);
    struct profile *named = symbolize_profile(recording.raw, recording.modules);
    node_id outer = child(named, 0, "app::outer(int)");
    node_id inner = child(named, child(named, outer, "app::middle(int)"), "app::inner(int)");
    expect_definition(named, inner, 3);
    ck_assert_uint_eq(profile_self(named, 0, inner), 3);
    profile_free(named);
    recording_end(&recording);
}
END_TEST

static uint64_t vdso_function(const struct recording *recording, struct symbol *ret_symbol)
{
    uint64_t image = getauxval(AT_SYSINFO_EHDR);
    const struct segment *segment = image ? space_find(&recording->space, image) : NULL;
    if (!segment || !segment->module->elf)
        return 0;
    struct symbols *symbols = symbols_new(&segment->module->elf, 1);
    bool found = symbols_find_name(symbols, "__vdso_clock_gettime", ret_symbol) ||
                 symbols_find_name(symbols, "__kernel_clock_gettime", ret_symbol);
    symbols_free(symbols);
    return found ? ret_symbol->address + segment->bias : 0;
}

START_TEST(libraries_vdso_and_anonymous_memory)
{
    void *jit = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(jit, MAP_FAILED);
    struct recording recording = recording_start("-g0");
    frame_id libc = raw_frame(&recording, (uint64_t)(uintptr_t)&gnu_get_libc_version + 2);
    node_id top = add_ticks(&recording, 0, libc, 1);
    add_ticks(&recording, top, raw_frame(&recording, (uint64_t)(uintptr_t)jit + 16), 2);
    add_ticks(&recording, top, raw_frame(&recording, (uint64_t)(uintptr_t)jit + 32), 3);
    frame_id nowhere = profile_add_frame(recording.raw, &(struct frame){.kind = FRAME_UNKNOWN});
    add_ticks(&recording, 0, nowhere, 4);
    struct symbol symbol;
    uint64_t in_vdso = vdso_function(&recording, &symbol);
    if (in_vdso)
        add_ticks(&recording, top, raw_frame(&recording, in_vdso), 6);
    else
        puts("no vDSO here: that part is not tested");

    struct profile *named = symbolize_profile(recording.raw, recording.modules);
    node_id version = child(named, 0, "gnu_get_libc_version");
    ck_assert_ptr_nonnull(strstr(module_path(named, version), "libc"));
    node_id anon = child(named, version, "");
    ck_assert_str_eq(module_path(named, anon), "[anon]");
    ck_assert_int_eq(profile_frame_of(named, anon)->kind, FRAME_UNKNOWN);
    ck_assert_uint_eq(profile_self(named, 0, anon), 5);
    node_id unknown = child(named, 0, "");
    ck_assert_str_eq(module_path(named, unknown), "");
    ck_assert_uint_eq(profile_self(named, 0, unknown), 4);
    ck_assert_uint_eq(named->quality.unknown_frames, 3);
    if (in_vdso) {
        bool found = false;
        for (node_id i = 1; i < named->nodes.count; i++)
            found |= !strcmp(module_path(named, i), "[vdso]") &&
                     strstr(profile_string(named, profile_frame_of(named, i)->function),
                            "clock_gettime") &&
                     profile_self(named, 0, i) == 6;
        ck_assert(found);
    }
    ck_assert_uint_eq(address_ticks(named), profile_sum(recording.raw, 0));
    profile_free(named);
    recording_end(&recording);
    munmap(jit, 4096);
}
END_TEST

START_TEST(kernel_functions)
{
    struct recording recording = recording_start("-g0");
    struct kernel_symbols *symbols = kernel_symbols_new();
    const uint64_t address = 0xffffffff81234567;
    const char *module = NULL;
    const char *truth = symbols ? kernel_symbols_find(symbols, address, &module) : NULL;
    add_ticks(
        &recording, 0,
        profile_add_frame(recording.raw, &(struct frame){.address = address, .kind = FRAME_KERNEL}),
        9);
    struct profile *named = symbolize_profile(recording.raw, recording.modules);
    node_id node = child(named, 0, truth ? truth : "");
    ck_assert_int_eq(profile_frame_of(named, node)->kind, FRAME_KERNEL);
    ck_assert_uint_eq(profile_self(named, 0, node), 9);
    if (!module)
        ck_assert_str_eq(module_path(named, node), "[kernel]");
    ck_assert_uint_eq(named->quality.unknown_frames, !truth);
    if (!truth)
        puts("no kernel symbols here: only the unnamed case is tested");
    profile_free(named);
    kernel_symbols_free(symbols);
    recording_end(&recording);
}
END_TEST

/* Everything else of the recording is in the result. */
static void fill_recording(struct recording *recording, node_id node, node_id idle)
{
    struct profile *raw = recording->raw;
    raw->meta = (struct profile_meta){
        .command = strings_intern(&raw->strings, "prog --flag"),
        .host = strings_intern(&raw->strings, "host"),
        .tool = strings_intern(&raw->strings, "memprof"),
        .pid = 42,
        .start_us = 100,
        .end_us = 900,
        .period_us = 1001,
    };
    raw->quality.present = true;
    raw->quality.samples = 3;
    raw->quality.truncated = 1;
    raw->quality.sampler = strings_intern(&raw->strings, "perf cpu-clock");
    thread_id main_thread = profile_add_thread(raw, 42, 42, "main"),
              other = profile_add_thread(raw, 42, 43, "worker");
    raw->threads.items[other].ticks = 8;
    sequence_append(&raw->samples, &(struct sample){100, main_thread, node});
    sequence_append(&raw->samples, &(struct sample){200, other, idle});
    sequence_append(&raw->samples, &(struct sample){150, other, node});
    series_id rss = profile_add_series(raw, "rss", "bytes");
    profile_add_point(raw, rss, 100, 4096);
    profile_add_point(raw, rss, 900, 8192);
    *vec_push(&raw->events) = (struct profile_event){.time_us = 300,
                                                     .duration_us = 5,
                                                     .kind = strings_intern(&raw->strings, "gc"),
                                                     .node = node};
    metric_id bytes = profile_add_metric(raw, "alloc", "bytes");
    profile_add_self(raw, bytes, node, 1234);
    profile_add_line(raw, idle, 77, 2);
}

START_TEST(everything_else_is_carried_over)
{
    struct recording recording = recording_start("-g");
    frame_id script = profile_add_frame(
        recording.raw,
        &(struct frame){.function = strings_intern(&recording.raw->strings, "handler"),
                        .file = strings_intern(&recording.raw->strings, "/srv/a.js"),
                        .line = 10,
                        .column = 3,
                        .script = 6,
                        .kind = FRAME_JAVASCRIPT,
                        .tier = TIER_MAGLEV});
    node_id idle = add_ticks(&recording, 0, script, 2);
    node_id node =
        add_ticks(&recording, idle, raw_frame(&recording, mark(&recording, "mark_inner")), 8);
    fill_recording(&recording, node, idle);
    profile_add_call_line(recording.raw, node, 12, 8);
    profile_add_call_line(recording.raw, idle, 1, 3);
    recording.raw->quality.js_frames = 10;
    recording.raw->quality.js_named = 9;
    recording.raw->quality.v8 = strings_intern(&recording.raw->strings, "11.3.244.8");

    struct profile *named = symbolize_profile(recording.raw, recording.modules);
    node_id new_idle = child(named, 0, "handler");
    node_id leaf = child(named, new_idle, "app::outer(int)");
    /* JavaScript called the outermost of the functions at that address. */
    ck_assert_uint_eq(named->calls.count, 2);
    ck_assert_uint_eq(profile_call_ticks(named, leaf, 12), 8);
    ck_assert_uint_eq(profile_call_ticks(named, new_idle, 1), 3);
    leaf = child(named, child(named, leaf, "app::middle(int)"), "app::inner(int)");
    const struct frame *frame = profile_frame_of(named, new_idle);
    ck_assert_int_eq(frame->kind, FRAME_JAVASCRIPT);
    ck_assert_int_eq(frame->tier, TIER_MAGLEV);
    ck_assert_uint_eq(named->quality.js_frames, 10);
    ck_assert_uint_eq(named->quality.js_named, 9);
    ck_assert_str_eq(profile_string(named, named->quality.v8), "11.3.244.8");
    ck_assert_uint_eq(frame->line, 10);
    ck_assert_uint_eq(frame->column, 3);
    ck_assert_uint_eq(frame->script, 6);
    ck_assert_uint_eq(frame->module, 0);
    ck_assert_str_eq(profile_string(named, frame->file), "/srv/a.js");
    ck_assert_str_eq(profile_string(named, named->meta.command), "prog --flag");
    ck_assert_str_eq(profile_string(named, named->meta.host), "host");
    ck_assert_str_eq(profile_string(named, named->meta.tool), "memprof");
    ck_assert_str_eq(profile_string(named, named->quality.sampler), "perf cpu-clock");
    ck_assert_uint_eq(named->meta.end_us, 900);
    ck_assert_uint_eq(named->quality.truncated, 1);
    ck_assert_uint_eq(named->threads.items[1].ticks, 8);
    ck_assert_str_eq(profile_string(named, named->threads.items[1].name), "worker");
    static const struct sample times[] = {{100, 0, 0}, {200, 1, 1}, {150, 1, 0}};
    struct sequence_cursor cursor = sequence_begin(&named->samples);
    struct sample sample;
    for (int i = 0; i < 3; i++) {
        ck_assert(sequence_next(&cursor, &sample));
        ck_assert_uint_eq(sample.time_us, times[i].time_us);
        ck_assert_uint_eq(sample.thread, times[i].thread);
        ck_assert_uint_eq(sample.node, times[i].node ? new_idle : leaf);
    }
    ck_assert(!sequence_next(&cursor, &sample));
    ck_assert_uint_eq(named->series.items[0].points.count, 2);
    ck_assert_double_eq(named->series.items[0].points.items[1].value, 8192);
    ck_assert_uint_eq(named->events.items[0].node, leaf);
    ck_assert_str_eq(profile_string(named, named->events.items[0].kind), "gc");
    ck_assert_uint_eq(profile_self(named, (metric_id)profile_find_metric(named, "alloc"), leaf),
                      1234);
    ck_assert_uint_eq(line_ticks(named, new_idle, 77), 2);
    ck_assert_uint_eq(profile_sum(named, 0), profile_sum(recording.raw, 0));
    /* A second pass, with the tables kept, gives the same. */
    struct profile *again = symbolize_profile(recording.raw, recording.modules);
    ck_assert_uint_eq(again->nodes.count, named->nodes.count);
    ck_assert_uint_eq(again->frames.count, named->frames.count);
    profile_free(again);
    profile_free(named);
    recording_end(&recording);
}
END_TEST

START_TEST(modules_are_asked_for_symbols)
{
    struct recording recording = recording_start("-g0");
    const struct segment *segment = space_find(&recording.space, mark(&recording, "mark_plain"));
    ck_assert(module_has_symbol(segment->module, "_ZN3app5outerEi"));
    ck_assert(!module_has_symbol(segment->module, "nothing"));
    ck_assert(!module_has_symbol(recording.modules->items.items[0], "nothing"));
    recording_end(&recording);
}
END_TEST

/* A profile with this program in its table, as a file of a recording would give it. */
static struct profile *stored_profile(const char *build_id)
{
    struct profile *profile = profile_new();
    char path[PATH_MAX] = "";
    ck_assert_int_gt(readlink("/proc/self/exe", path, sizeof path - 1), 0);
    profile_add_module(profile, path, build_id);
    profile_add_module(profile, "/no/such/file", "0123456789abcdef");
    profile_add_module(profile, "[anon]", "");
    profile_add_module(profile, "[vdso]", "");
    return profile;
}

START_TEST(modules_of_a_stored_profile)
{
    struct profile *profile = stored_profile("");
    struct modules *modules = modules_open_stored(profile);
    ck_assert_uint_eq(modules->items.count, profile->modules.count);
    ck_assert_int_eq(modules->items.items[0]->kind, MODULE_KERNEL);
    ck_assert_ptr_nonnull(modules->items.items[1]->elf);
    ck_assert_ptr_null(modules->items.items[2]->elf);
    ck_assert_ptr_nonnull(modules->items.items[2]->problem);
    ck_assert_int_eq(modules->items.items[3]->kind, MODULE_ANON);
    ck_assert_int_eq(modules->items.items[4]->kind, MODULE_VDSO);
    ck_assert_ptr_nonnull(modules->items.items[4]->elf);
    modules_free(modules);
    profile_free(profile);
}
END_TEST

START_TEST(a_file_that_changed_is_not_taken_for_the_recorded_one)
{
    static const char other[] = "00112233445566778899aabbccddeeff00112233";
    struct profile *profile = stored_profile(other);
    struct modules *modules = modules_open_stored(profile);
    ck_assert_ptr_null(modules->items.items[1]->elf);
    ck_assert_ptr_nonnull(strstr(modules->items.items[1]->problem, other));
    modules_free(modules);
    profile_free(profile);
}
END_TEST

/* lld places segments so that an offset in the file is no address. */
START_TEST(names_by_offsets_in_files)
{
    struct recording recording = recording_start("-g0 -fuse-ld=lld");
    uint64_t pc = mark(&recording, "mark_inner");
    const struct segment *segment = space_find(&recording.space, pc);
    uint64_t offset = pc - segment->start + segment->file_offset;
    ck_assert_uint_ne(offset, pc - segment->bias);
    struct profile *raw = profile_new();
    metric_id cpu = profile_add_metric(raw, "cpu", "ticks");
    module_id module = profile_add_module(raw, segment->module->path, "");
    struct frame frame = {.kind = FRAME_NATIVE, .module = module, .address = offset};
    node_id known = profile_add_node(raw, 0, profile_add_frame(raw, &frame));
    frame.address = 1 << 30;
    node_id outside = profile_add_node(raw, 0, profile_add_frame(raw, &frame));
    profile_add_self(raw, cpu, known, 3);
    profile_add_self(raw, cpu, outside, 2);
    sequence_append(&raw->samples, &(struct sample){1000, 0, known});
    struct profile *named = symbolize_file_offsets(raw);
    ck_assert_uint_eq(profile_self(named, 0, child(named, 0, "app::outer(int)")), 3);
    ck_assert_uint_eq(profile_self(named, 0, child(named, 0, "")), 2);
    ck_assert_uint_eq(named->samples.count, 1);
    profile_free(named);
    profile_free(raw);
    recording_end(&recording);
}
END_TEST

START_TEST(an_empty_recording)
{
    struct modules *modules = modules_new();
    struct profile *raw = profile_new(), *named = symbolize_profile(raw, modules);
    ck_assert_uint_eq(named->nodes.count, 1);
    ck_assert_uint_eq(named->frames.count, 1);
    profile_free(raw);
    profile_free(named);
    modules_free(modules);
}
END_TEST

UNIT_MAIN("symbolize", inlined_frames_expand, names_in_one_pass, symbols_alone_name_functions,
          a_separate_debug_file_is_used, libraries_vdso_and_anonymous_memory, kernel_functions,
          everything_else_is_carried_over, modules_are_asked_for_symbols,
          modules_of_a_stored_profile, a_file_that_changed_is_not_taken_for_the_recorded_one,
          names_by_offsets_in_files, an_empty_recording)
