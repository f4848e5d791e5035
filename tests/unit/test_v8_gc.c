#include "symbolize/v8_gc.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <string.h>

enum { TRACER = 0x7000, OTHER_TRACER = 0x9000 };

static bool tell(struct v8_gc_thread *thread, enum v8_gc_role role, uint64_t time_ns,
                 uint64_t second, uint64_t third, struct v8_gc_pause *ret_pause)
{
    struct v8_gc_hooks hooks = {0};
    struct v8_gc_hit hit = {.role = role, .time_ns = time_ns, .arguments = {TRACER, second, third}};
    return v8_gc_feed(thread, &hooks, &hit, ret_pause);
}

START_TEST(a_pause_has_kind_and_reason)
{
    struct v8_gc_thread thread = {0};
    struct v8_gc_pause pause;
    ck_assert(!tell(&thread, V8_GC_BEGIN, 100, 5, 12, &pause));
    ck_assert(tell(&thread, V8_GC_END, 150, 1, 0, &pause));
    ck_assert_uint_eq(pause.begin_ns, 100);
    ck_assert_uint_eq(pause.end_ns, 150);
    ck_assert_uint_eq(pause.tracer, TRACER);
    ck_assert_uint_eq(pause.before_bytes, 0);
    ck_assert_str_eq(pause.what, "mark-compact");
    ck_assert_str_eq(pause.reason, "task");
    /* Numbers that no version has. */
    ck_assert(!tell(&thread, V8_GC_BEGIN, 200, 5, 1000, &pause));
    ck_assert(tell(&thread, V8_GC_END, 250, 3, 0, &pause));
    ck_assert_ptr_null(pause.what);
    ck_assert_ptr_null(pause.reason);
}
END_TEST

START_TEST(v8_tells_when_it_ends)
{
    enum { US = 1000 };
    struct v8_gc_thread thread = {0};
    struct v8_gc_hooks hooks = {.end_tells_time = true};
    struct v8_gc_pause pause;
    struct v8_gc_hit begin = {.role = V8_GC_BEGIN, .time_ns = 5000 * US};
    struct v8_gc_hit end = {
        .role = V8_GC_END, .time_ns = 9000 * US, .arguments = {TRACER, 0, 8900}};
    ck_assert(!v8_gc_feed(&thread, &hooks, &begin, &pause));
    ck_assert(v8_gc_feed(&thread, &hooks, &end, &pause));
    ck_assert_uint_eq(pause.begin_ns, 5000 * US);
    ck_assert_uint_eq(pause.end_ns, 8900 * US);
    /* Not in the future, nor in another age. */
    static const uint64_t wrong[] = {9001, 5, UINT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin.time_ns += 2000000 * (uint64_t)US;
        end.time_ns += 2000000 * (uint64_t)US;
        end.arguments[2] = i ? wrong[i] : end.time_ns / US + 1;
        ck_assert(!v8_gc_feed(&thread, &hooks, &begin, &pause));
        ck_assert(v8_gc_feed(&thread, &hooks, &end, &pause));
        ck_assert_uint_eq(pause.end_ns, end.time_ns);
    }
}
END_TEST

START_TEST(half_a_pause_is_none)
{
    struct v8_gc_thread thread = {0};
    struct v8_gc_pause pause;
    /* memprof came in the middle. */
    ck_assert(!tell(&thread, V8_GC_END, 50, 0, 0, &pause));
    /* The end was missed, then the one between was. */
    ck_assert(!tell(&thread, V8_GC_BEGIN, 100, 0, 1, &pause));
    ck_assert(!tell(&thread, V8_GC_BEGIN, 200, 0, 1, &pause));
    ck_assert(tell(&thread, V8_GC_END, 210, 0, 0, &pause));
    ck_assert_uint_eq(pause.begin_ns, 200);
    ck_assert(!tell(&thread, V8_GC_END, 220, 0, 0, &pause));
    /* One that goes back in time. */
    ck_assert(!tell(&thread, V8_GC_BEGIN, 400, 0, 1, &pause));
    ck_assert(!tell(&thread, V8_GC_END, 390, 0, 0, &pause));
    /* What came after a loss belongs to nothing before it. */
    ck_assert(!tell(&thread, V8_GC_BEGIN, 500, 0, 1, &pause));
    v8_gc_lose(&thread);
    ck_assert(!tell(&thread, V8_GC_END, 510, 0, 0, &pause));
}
END_TEST

START_TEST(steps_are_between_pauses)
{
    struct v8_gc_thread thread = {0};
    struct v8_gc_pause pause;
    ck_assert(!tell(&thread, V8_GC_STEP_END, 90, 0, 0, &pause));
    ck_assert(!tell(&thread, V8_GC_STEP_BEGIN, 100, 0, 0, &pause));
    ck_assert(tell(&thread, V8_GC_STEP_END, 110, 0, 0, &pause));
    ck_assert_str_eq(pause.what, "incremental step");
    ck_assert_ptr_null(pause.reason);
    ck_assert_uint_eq(pause.begin_ns, 100);
    ck_assert_uint_eq(pause.end_ns, 110);
    ck_assert_uint_eq(pause.tracer, 0);
    ck_assert(!tell(&thread, V8_GC_STEP_END, 120, 0, 0, &pause));
    /* One that had nothing to do has told of no end. */
    ck_assert(!tell(&thread, V8_GC_STEP_BEGIN, 130, 0, 0, &pause));
    ck_assert(!tell(&thread, V8_GC_STEP_BEGIN, 140, 0, 0, &pause));
    ck_assert(tell(&thread, V8_GC_STEP_END, 150, 0, 0, &pause));
    ck_assert_uint_eq(pause.begin_ns, 140);
    /* In a pause they are part of it. */
    ck_assert(!tell(&thread, V8_GC_STEP_BEGIN, 190, 0, 0, &pause));
    ck_assert(!tell(&thread, V8_GC_BEGIN, 200, 0, 1, &pause));
    ck_assert(!tell(&thread, V8_GC_STEP_BEGIN, 210, 0, 0, &pause));
    ck_assert(!tell(&thread, V8_GC_STEP_END, 220, 0, 0, &pause));
    ck_assert(tell(&thread, V8_GC_END, 230, 1, 0, &pause));
    ck_assert_uint_eq(pause.end_ns - pause.begin_ns, 30);
    ck_assert(!tell(&thread, V8_GC_STEP_END, 240, 0, 0, &pause));
}
END_TEST

/* A tracer in memory: words before the record are something else. */
struct image {
    uint64_t words[4096];
    size_t bytes_read;
};

static bool read_image(const void *context, uint64_t address, void *into, size_t size)
{
    struct image *image = (struct image *)context;
    if (address < TRACER || address - TRACER > sizeof image->words ||
        size > sizeof image->words - (address - TRACER))
        return false;
    memcpy(into, (const uint8_t *)image->words + (address - TRACER), size);
    image->bytes_read += size;
    return true;
}

static void put_record(uint64_t *words, const struct v8_gc_pause *pause, bool milliseconds)
{
    /* V8 had the CPU taken away between the hook and its own look at the clock. */
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

static const struct v8_gc_pause recorded = {
    .begin_ns = 123456789000, .end_ns = 123466789000, .tracer = TRACER};

static bool read_record(struct image *image, struct v8_gc_places *places, struct v8_gc_pause *pause)
{
    struct remote_memory memory = {.image = read_image, .image_context = image};
    image->bytes_read = 0;
    return v8_gc_read_record(&memory, places, pause);
}

START_TEST(the_tracer_tells_the_sizes)
{
    for (int milliseconds = 0; milliseconds < 2; milliseconds++) {
        _cleanup_free_ struct image *image = xcalloc(1, sizeof *image);
        struct v8_gc_places places = {0}, nowhere = {0};
        struct v8_gc_pause pause = recorded;
        memset(image->words, 0x5a, sizeof image->words);
        ck_assert(!read_record(image, &nowhere, &pause));
        put_record(image->words + 17, &pause, milliseconds);
        ck_assert(read_record(image, &places, &pause));
        ck_assert_uint_eq(pause.before_bytes, 30000000);
        ck_assert_uint_eq(pause.after_bytes, 20000000);
        ck_assert_int_le(llabs((long long)(pause.begin_ns - recorded.begin_ns - 3000000)), 1000);
        ck_assert_int_le(llabs((long long)(recorded.end_ns - pause.end_ns - 3000)), 1000);
        /* The next collection has overwritten it. */
        struct v8_gc_pause later = recorded;
        later.begin_ns += 20000000;
        later.end_ns += 20000000;
        ck_assert(!read_record(image, &places, &later));
        ck_assert_uint_eq(later.before_bytes, 0);
        /* A size that can't be. */
        image->words[17 + 4] = UINT64_MAX;
        struct v8_gc_pause again = recorded;
        ck_assert(!read_record(image, &places, &again));
        struct v8_gc_pause elsewhere = recorded;
        elsewhere.tracer = UINT64_MAX - 7;
        ck_assert(!read_record(image, &places, &elsewhere));
        elsewhere.tracer = TRACER + 1;
        ck_assert(!read_record(image, &places, &elsewhere));
    }
}
END_TEST

START_TEST(the_tracer_is_searched_now_and_then)
{
    enum { RECORD_BYTES = 40, MANY = 1000, MS = 1000000 };
    _cleanup_free_ struct image *image = xcalloc(1, sizeof *image);
    struct v8_gc_places places = {0};
    struct v8_gc_pause pause = recorded, before = recorded, gone = recorded;
    put_record(image->words + 17, &pause, false);
    ck_assert(read_record(image, &places, &pause));
    ck_assert_uint_gt(image->bytes_read, RECORD_BYTES);
    pause = recorded;
    ck_assert(read_record(image, &places, &pause));
    ck_assert_uint_eq(image->bytes_read, RECORD_BYTES);
    /* Nothing is searched for all the time, */
    size_t searches = 0;
    for (size_t i = 0; i < MANY; i++) {
        gone.begin_ns += 20 * MS;
        gone.end_ns += 20 * MS;
        ck_assert(!read_record(image, &places, &gone));
        searches += image->bytes_read > RECORD_BYTES;
    }
    ck_assert_uint_ge(searches, MANY / 5);
    ck_assert_uint_le(searches, MANY / 4);
    /* but the one before has a place of its own. */
    before.begin_ns = gone.begin_ns + 200 * MS;
    before.end_ns = gone.end_ns + 200 * MS;
    put_record(image->words + 300, &before, false);
    struct v8_gc_pause again = before;
    ck_assert(read_record(image, &places, &again));
    ck_assert_uint_gt(image->bytes_read, 2 * RECORD_BYTES);
    again = before;
    ck_assert(read_record(image, &places, &again));
    ck_assert_uint_eq(image->bytes_read, 2 * RECORD_BYTES);
    /* There are two. */
    gone.begin_ns += 1000 * (uint64_t)MS;
    gone.end_ns += 1000 * (uint64_t)MS;
    ck_assert(!read_record(image, &places, &gone));
    ck_assert_uint_eq(image->bytes_read, 2 * RECORD_BYTES);
}
END_TEST

/* As 12.4 has them. */
static const char collector_source[] =
    "#define AT(name) __asm__(name)\n"
    "int begin(void) AT(\"_ZN2v88internal4Heap14CollectGarbageENS0_15AllocationSpaceENS0_"
    "23GarbageCollectionReasonENS_15GCCallbackFlagsE\");\n"
    "int begin(void) { return 1; }\n"
    "int cold(void) AT(\"_ZN2v88internal8GCTracer16UpdateStatisticsENS0_16GarbageCollectorE."
    "cold\");\n"
    "int cold(void) { return 7; }\n"
    "int stop(void) AT(\"_ZN2v88internal8GCTracer19StopObservablePauseE\" STOP_ARGUMENTS);\n"
    "int stop(void) { return 2; }\n"
    "int statistics(void) AT(\"_ZN2v88internal8GCTracer16UpdateStatisticsENS0_"
    "16GarbageCollectorE\");\n"
    "int statistics(void) { return 3; }\n"
    "int step(void) AT(\"_ZN2v88internal18IncrementalMarking4StepENS_4base9TimeDeltaEm\");\n"
    "int step(void) { return 4; }\n"
    "#ifdef WITH_STEPS\n"
    "int add(void) AT(\"_ZN2v88internal8GCTracer25AddIncrementalMarkingStepEdm\");\n"
    "int add(void) { return 5; }\n"
    "#endif\n";

#define BEGIN_SYMBOL                                                  \
    "_ZN2v88internal4Heap14CollectGarbageENS0_15AllocationSpaceENS0_" \
    "23GarbageCollectionReasonENS_15GCCallbackFlagsE"
#define STOP_SYMBOL \
    "_ZN2v88internal8GCTracer19StopObservablePauseENS0_16GarbageCollectorENS_4base9TimeTicksE"
#define STATISTICS_SYMBOL "_ZN2v88internal8GCTracer16UpdateStatisticsENS0_16GarbageCollectorE"
#define STEP_SYMBOL "_ZN2v88internal18IncrementalMarking4StepENS_4base9TimeDeltaEm"
#define ADD_SYMBOL "_ZN2v88internal8GCTracer25AddIncrementalMarkingStepEdm"

static struct elf_file *compile(const char *stop_arguments, const char *flags)
{
    struct elf_file *file;
    struct error err;
    scratch_write("v8.c", collector_source, sizeof collector_source - 1);
    scratch_run("${CC:-cc} -O2 -shared -fPIC -nostdlib '-DSTOP_ARGUMENTS=\"%s\"' %s -o v8.so v8.c",
                stop_arguments, flags);
    int fd = elf_open_regular("v8.so");
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(!elf_file_open(fd, "v8.so", &file, &err), "%s", err.text);
    return file;
}

static void check_hook(const struct v8_gc_hook *hook, enum v8_gc_role role, void *library,
                       const char *symbol)
{
    Dl_info info;
    const uint8_t *address = dlsym(library, symbol);
    ck_assert_int_eq(hook->role, role);
    ck_assert_ptr_nonnull(address);
    ck_assert_int_ne(dladdr(address, &info), 0);
    ck_assert_uint_eq(hook->address, (uint64_t)(address - (const uint8_t *)info.dli_fbase));
}

START_TEST(hooks_are_found_by_symbol)
{
    scratch_enter();
    struct v8_gc_hooks hooks;
    struct elf_file *file = compile("NS0_16GarbageCollectorENS_4base9TimeTicksE", "-DWITH_STEPS");
    _cleanup_free_ char *path = scratch_path("v8.so");
    void *library = dlopen(path, RTLD_NOW);
    ck_assert_ptr_nonnull(library);
    ck_assert(v8_gc_find(file, &hooks));
    ck_assert(hooks.end_tells_time);
    ck_assert_uint_eq(hooks.count, 4);
    check_hook(&hooks.items[0], V8_GC_BEGIN, library, BEGIN_SYMBOL);
    check_hook(&hooks.items[1], V8_GC_END, library, STOP_SYMBOL);
    check_hook(&hooks.items[2], V8_GC_STEP_BEGIN, library, STEP_SYMBOL);
    check_hook(&hooks.items[3], V8_GC_STEP_END, library, ADD_SYMBOL);
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

START_TEST(older_versions_end_elsewhere)
{
    scratch_enter();
    struct v8_gc_hooks hooks;
    struct elf_file *file = compile("v", "-s"); /* .dynsym alone */
    _cleanup_free_ char *path = scratch_path("v8.so");
    void *library = dlopen(path, RTLD_NOW);
    ck_assert_ptr_nonnull(library);
    ck_assert(v8_gc_find(file, &hooks));
    ck_assert(!hooks.end_tells_time);
    ck_assert_uint_eq(hooks.count, 2); /* a step without an end is none */
    check_hook(&hooks.items[0], V8_GC_BEGIN, library, BEGIN_SYMBOL);
    check_hook(&hooks.items[1], V8_GC_END, library, STATISTICS_SYMBOL);
    dlclose(library);
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

UNIT_MAIN("v8_gc", a_pause_has_kind_and_reason, v8_tells_when_it_ends, half_a_pause_is_none,
          steps_are_between_pauses, the_tracer_tells_the_sizes, the_tracer_is_searched_now_and_then,
          hooks_are_found_by_symbol, older_versions_end_elsewhere, other_programs_have_none)
