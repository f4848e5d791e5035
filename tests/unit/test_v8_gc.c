#include "symbolize/v8_gc.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <string.h>

enum { TRACER = 0x7000, OTHER_TRACER = 0x9000 };

static bool tell(struct v8_gc_thread *thread, bool end_tells_kind, enum v8_gc_role role,
                 uint64_t time_ns, uint64_t first, uint64_t second, struct v8_gc_pause *ret_pause)
{
    struct v8_gc_hooks hooks = {.end_tells_kind = end_tells_kind};
    struct v8_gc_hit hit = {
        .role = role, .time_ns = time_ns, .arguments = {first, second, 12}, .sp = 64};
    return v8_gc_feed(thread, &hooks, &hit, (uint32_t)time_ns, ret_pause);
}

START_TEST(a_pause_has_kind_and_reason)
{
    struct v8_gc_thread thread = {0};
    struct v8_gc_pause pause;
    ck_assert(!tell(&thread, false, V8_GC_REASON, 90, 5, 0, &pause));
    ck_assert(!tell(&thread, false, V8_GC_BEGIN, 100, TRACER, 0, &pause));
    ck_assert(!tell(&thread, false, V8_GC_KIND, 140, 5, 1, &pause));
    ck_assert(tell(&thread, false, V8_GC_END, 150, TRACER, 0, &pause));
    ck_assert_uint_eq(pause.begin_ns, 100);
    ck_assert_uint_eq(pause.end_ns, 150);
    ck_assert_uint_eq(pause.stack, 100);
    ck_assert_str_eq(pause.what, "mark-compact");
    ck_assert_str_eq(pause.reason, "task");
    /* Neither is the next one's. */
    ck_assert(!tell(&thread, false, V8_GC_BEGIN, 200, TRACER, 0, &pause));
    ck_assert(tell(&thread, false, V8_GC_END, 250, TRACER, 0, &pause));
    ck_assert_ptr_null(pause.what);
    ck_assert_ptr_null(pause.reason);
}
END_TEST

START_TEST(the_end_can_tell_the_kind)
{
    static const char *const names[] = {"scavenge", "mark-compact", "minor mark-compact", NULL};
    for (uint64_t i = 0; i < 4; i++) {
        struct v8_gc_thread thread = {0};
        struct v8_gc_pause pause;
        ck_assert(!tell(&thread, true, V8_GC_BEGIN, 100, TRACER, 0, &pause));
        ck_assert(tell(&thread, true, V8_GC_END, 150, TRACER, i, &pause));
        ck_assert_pstr_eq(pause.what, names[i]);
    }
}
END_TEST

START_TEST(v8_tells_its_own_times)
{
    enum { US = 1000 };
    struct v8_gc_thread thread = {0};
    struct v8_gc_hooks hooks = {.end_tells_kind = true, .begin_tells_time = true};
    struct v8_gc_pause pause;
    struct v8_gc_hit begin = {
        .role = V8_GC_BEGIN, .time_ns = 5000 * US, .arguments = {TRACER, 1900}};
    struct v8_gc_hit end = {
        .role = V8_GC_END, .time_ns = 9000 * US, .arguments = {TRACER, 0, 8900}};
    ck_assert(!v8_gc_feed(&thread, &hooks, &begin, 0, &pause));
    ck_assert(v8_gc_feed(&thread, &hooks, &end, 0, &pause));
    ck_assert_uint_eq(pause.begin_ns, 1900 * US);
    ck_assert_uint_eq(pause.end_ns, 8900 * US);
    /* Not in the future, nor in another age. */
    begin.arguments[1] = 5001;
    end.arguments[2] = UINT64_MAX;
    ck_assert(!v8_gc_feed(&thread, &hooks, &begin, 0, &pause));
    ck_assert(v8_gc_feed(&thread, &hooks, &end, 0, &pause));
    ck_assert_uint_eq(pause.begin_ns, 5000 * US);
    ck_assert_uint_eq(pause.end_ns, 9000 * US);
}
END_TEST

START_TEST(half_a_pause_is_none)
{
    struct v8_gc_thread thread = {0};
    struct v8_gc_pause pause;
    /* memprof came in the middle. */
    ck_assert(!tell(&thread, true, V8_GC_END, 50, TRACER, 0, &pause));
    /* The end was missed, then the one between was. */
    ck_assert(!tell(&thread, true, V8_GC_BEGIN, 100, TRACER, 0, &pause));
    ck_assert(!tell(&thread, true, V8_GC_BEGIN, 200, TRACER, 0, &pause));
    ck_assert(tell(&thread, true, V8_GC_END, 210, TRACER, 0, &pause));
    ck_assert_uint_eq(pause.begin_ns, 200);
    ck_assert(!tell(&thread, true, V8_GC_END, 220, TRACER, 0, &pause));
    /* Another isolate's, and one that goes back in time. */
    ck_assert(!tell(&thread, true, V8_GC_BEGIN, 300, TRACER, 0, &pause));
    ck_assert(!tell(&thread, true, V8_GC_END, 310, OTHER_TRACER, 0, &pause));
    ck_assert(!tell(&thread, true, V8_GC_BEGIN, 400, TRACER, 0, &pause));
    ck_assert(!tell(&thread, true, V8_GC_END, 390, TRACER, 0, &pause));
    /* What came after a loss belongs to nothing before it. */
    ck_assert(!tell(&thread, true, V8_GC_BEGIN, 500, TRACER, 0, &pause));
    v8_gc_lose(&thread);
    ck_assert(!tell(&thread, true, V8_GC_END, 510, TRACER, 0, &pause));
}
END_TEST

START_TEST(steps_end_where_they_began)
{
    struct v8_gc_thread thread = {0};
    struct v8_gc_pause pause;
    struct v8_gc_hooks hooks = {0};
    struct v8_gc_hit inner = {.role = V8_GC_STEP_END, .time_ns = 105, .sp = 32};
    ck_assert(!tell(&thread, true, V8_GC_STEP_END, 90, 0, 0, &pause));
    ck_assert(!tell(&thread, true, V8_GC_STEP_BEGIN, 100, 0, 0, &pause));
    ck_assert(!v8_gc_feed(&thread, &hooks, &inner, 0, &pause));
    ck_assert(tell(&thread, true, V8_GC_STEP_END, 110, 0, 0, &pause));
    ck_assert_str_eq(pause.what, "incremental step");
    ck_assert_uint_eq(pause.end_ns - pause.begin_ns, 10);
    ck_assert_uint_eq(pause.tracer, 0);
    /* In a pause they are part of it. */
    ck_assert(!tell(&thread, true, V8_GC_BEGIN, 200, TRACER, 0, &pause));
    ck_assert(!tell(&thread, true, V8_GC_STEP_BEGIN, 210, 0, 0, &pause));
    ck_assert(!tell(&thread, true, V8_GC_STEP_END, 220, 0, 0, &pause));
    ck_assert(tell(&thread, true, V8_GC_END, 230, TRACER, 1, &pause));
    ck_assert_uint_eq(pause.end_ns - pause.begin_ns, 30);
}
END_TEST

/* A tracer in memory: words before the record are something else. */
struct image {
    uint64_t words[4096];
};

static bool read_image(const void *context, uint64_t address, void *into, size_t size)
{
    const struct image *image = context;
    if (address < TRACER || address - TRACER > sizeof image->words ||
        size > sizeof image->words - (address - TRACER))
        return false;
    memcpy(into, (const uint8_t *)image->words + (address - TRACER), size);
    return true;
}

static void put_record(uint64_t *words, const struct v8_gc_pause *pause, bool milliseconds)
{
    /* V8 had the CPU taken away between its begin and the hook's. */
    uint64_t times[] = {pause->begin_ns + 3000000, pause->end_ns - 3000};
    for (int i = 0; i < 2; i++) {
        double value = (double)times[i] / 1e6;
        if (milliseconds)
            memcpy(&words[i], &value, sizeof value);
        else
            words[i] = times[i] / 1000;
    }
    words[2] = 0xdead0001;
    words[3] = 30000000;
    words[4] = 20000000;
}

START_TEST(the_tracer_tells_the_sizes)
{
    struct v8_gc_pause pause = {.begin_ns = 123456789000, .end_ns = 123466789000, .tracer = TRACER};
    for (int milliseconds = 0; milliseconds < 2; milliseconds++) {
        struct image *image = xcalloc(1, sizeof *image);
        struct remote_memory memory = {.image = read_image, .image_context = image};
        uint64_t before = 1, after = 2;
        memset(image->words, 0x5a, sizeof image->words);
        ck_assert(!v8_gc_read_record(&memory, &pause, &before, &after));
        put_record(image->words + 17, &pause, milliseconds);
        struct v8_gc_pause read = pause;
        ck_assert(v8_gc_read_record(&memory, &read, &before, &after));
        ck_assert_uint_eq(before, 30000000);
        ck_assert_uint_eq(after, 20000000);
        ck_assert_int_le(llabs((long long)(read.begin_ns - pause.begin_ns - 3000000)), 1000);
        ck_assert_int_le(llabs((long long)(pause.end_ns - read.end_ns - 3000)), 1000);
        /* The next collection has overwritten it. */
        struct v8_gc_pause later = pause;
        later.begin_ns += 20000000;
        later.end_ns += 20000000;
        ck_assert(!v8_gc_read_record(&memory, &later, &before, &after));
        /* A size that can't be. */
        image->words[17 + 4] = UINT64_MAX;
        ck_assert(!v8_gc_read_record(&memory, &pause, &before, &after));
        struct v8_gc_pause elsewhere = pause;
        elsewhere.tracer = UINT64_MAX - 7;
        ck_assert(!v8_gc_read_record(&memory, &elsewhere, &before, &after));
        elsewhere.tracer = TRACER + 1;
        ck_assert(!v8_gc_read_record(&memory, &elsewhere, &before, &after));
        free(image);
    }
}
END_TEST

/* As 12.4 has them; the step returns in two places. */
static const char collector_source[] =
    "#define AT(name) __asm__(name)\n"
    "int begin(void) AT(\"_ZN2v88internal8GCTracer20StartObservablePauseENS_4base9TimeTicksE\");\n"
    "int begin(void) { return 1; }\n"
    "int cold(void) AT(\"_ZN2v88internal8GCTracer19StopObservablePauseENS0_16GarbageCollectorE."
    "cold\");\n"
    "int cold(void) { return 7; }\n"
    "int end(void) AT(\"_ZN2v88internal8GCTracer19StopObservablePauseE\" "
    "END_ARGUMENTS);\n"
    "int end(void) { return 2; }\n"
    "int kind(void) AT(\"_ZN2v88internal4Heap25GarbageCollectionEpilogueENS0_"
    "16GarbageCollectorE\");\n"
    "int kind(void) { return 3; }\n"
    "int reason(void) AT(\"_ZN2v88internal4Heap14CollectGarbageENS0_15AllocationSpaceENS0_"
    "23GarbageCollectionReasonENS_15GCCallbackFlagsE\");\n"
    "int reason(void) { return 4; }\n"
    "__asm__(\".text\\n.globl _ZN2v88internal18IncrementalMarking4StepEv\\n\"\n"
    "    \".type _ZN2v88internal18IncrementalMarking4StepEv, %function\\n\"\n"
    "    \"_ZN2v88internal18IncrementalMarking4StepEv:\\n nop\\n ret\\n nop\\n ret\\n\"\n"
    "    \".size _ZN2v88internal18IncrementalMarking4StepEv, . - "
    "_ZN2v88internal18IncrementalMarking4StepEv\\n\");\n";

static struct elf_file *compile(const char *end_arguments, const char *flags)
{
    struct elf_file *file;
    struct error err;
    scratch_write("v8.c", collector_source, sizeof collector_source - 1);
    scratch_run("${CC:-cc} -O2 -shared -fPIC -nostdlib '-DEND_ARGUMENTS=\"%s\"' %s -o v8.so v8.c",
                end_arguments, flags);
    int fd = elf_open_regular("v8.so");
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(!elf_file_open(fd, "v8.so", &file, &err), "%s", err.text);
    return file;
}

static void check_hook(const struct v8_gc_hook *hook, enum v8_gc_role role, void *library,
                       const char *symbol, uint64_t behind)
{
    Dl_info info;
    const uint8_t *address = symbol ? dlsym(library, symbol) : NULL;
    ck_assert_int_eq(hook->role, role);
    if (!symbol)
        return;
    ck_assert_ptr_nonnull(address);
    ck_assert_int_ne(dladdr(address, &info), 0);
    ck_assert_uint_eq(hook->address,
                      (uint64_t)(address - (const uint8_t *)info.dli_fbase) + behind);
}

START_TEST(hooks_are_found_by_symbol)
{
    scratch_enter();
    struct v8_gc_hooks hooks;
    struct elf_file *file = compile("NS0_16GarbageCollectorENS_4base9TimeTicksE", "");
    _cleanup_free_ char *path = scratch_path("v8.so");
    void *library = dlopen(path, RTLD_NOW);
    ck_assert_ptr_nonnull(library);
    ck_assert(v8_gc_find(file, &hooks));
    ck_assert(hooks.end_tells_kind);
    ck_assert(hooks.begin_tells_time);
    ck_assert_uint_eq(hooks.count, 6);
    const char *step = "_ZN2v88internal18IncrementalMarking4StepEv";
    check_hook(&hooks.items[0], V8_GC_BEGIN, library,
               "_ZN2v88internal8GCTracer20StartObservablePauseENS_4base9TimeTicksE", 0);
    check_hook(&hooks.items[1], V8_GC_END, library,
               "_ZN2v88internal8GCTracer19StopObservablePauseENS0_16GarbageCollectorENS_"
               "4base9TimeTicksE",
               0);
    check_hook(&hooks.items[2], V8_GC_REASON, library, NULL, 0);
    check_hook(&hooks.items[3], V8_GC_STEP_BEGIN, library, step, 0);
#if defined __x86_64__
    check_hook(&hooks.items[4], V8_GC_STEP_END, library, step, 1);
    check_hook(&hooks.items[5], V8_GC_STEP_END, library, step, 3);
#endif
    for (size_t i = 0; i < hooks.count; i++) {
        uint64_t vaddr;
        ck_assert(elf_file_vaddr_of_offset(file, hooks.items[i].file_offset, &vaddr));
        ck_assert_uint_eq(vaddr, hooks.items[i].address);
    }
    dlclose(library);
    elf_file_free(file);
    scratch_leave();
}
END_TEST

START_TEST(older_versions_tell_the_kind_apart)
{
    scratch_enter();
    struct v8_gc_hooks hooks;
    struct elf_file *file = compile("v", "-s"); /* .dynsym alone */
    ck_assert(v8_gc_find(file, &hooks));
    ck_assert(!hooks.end_tells_kind);
    static const enum v8_gc_role roles[] = {V8_GC_BEGIN,   V8_GC_END,        V8_GC_KIND,
                                            V8_GC_REASON,  V8_GC_STEP_BEGIN, V8_GC_STEP_END,
                                            V8_GC_STEP_END};
    ck_assert_uint_eq(hooks.count, sizeof roles / sizeof *roles);
    for (size_t i = 0; i < hooks.count; i++)
        ck_assert_int_eq(hooks.items[i].role, roles[i]);
    elf_file_free(file);
    scratch_leave();
}
END_TEST

START_TEST(other_programs_have_none)
{
    struct elf_file *file;
    struct error err;
    struct v8_gc_hooks hooks;
    int fd = elf_open_regular("/proc/self/exe");
    ck_assert_int_ge(fd, 0);
    ck_assert(!elf_file_open(fd, "self", &file, &err));
    ck_assert(!v8_gc_find(file, &hooks));
    elf_file_free(file);
}
END_TEST

UNIT_MAIN("v8_gc", a_pause_has_kind_and_reason, the_end_can_tell_the_kind, v8_tells_its_own_times,
          half_a_pause_is_none, steps_end_where_they_began, the_tracer_tells_the_sizes,
          hooks_are_found_by_symbol, older_versions_tell_the_kind_apart, other_programs_have_none)
