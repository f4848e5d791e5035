#include "symbolize/symbolize.h"
#include "symbolize/v8_collector.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

START_TEST(names_are_told_apart)
{
    static const struct {
        const char *name;
        enum v8_collector collector;
    } names[] = {
        {"v8::internal::Heap::CollectGarbage(v8::internal::AllocationSpace, "
         "v8::internal::GarbageCollectionReason, v8::GCCallbackFlags)",
         V8_COLLECTOR_PAUSE},
        {"v8::internal::Heap::CollectGarbage(v8::internal::AllocationSpace)::{lambda()#1}::"
         "operator()() const",
         V8_COLLECTOR_PAUSE},
        {"v8::internal::Heap::CollectGarbage", V8_COLLECTOR_PAUSE},
        {"v8::internal::Heap::CollectGarbage [clone .cold]", V8_COLLECTOR_PAUSE},
        {"v8::internal::ScavengerCollector::CollectGarbage()", V8_COLLECTOR_SCAVENGE},
        {"v8::internal::MarkCompactCollector::CollectGarbage()", V8_COLLECTOR_MARK_COMPACT},
        {"v8::internal::IncrementalMarking::Step(double, v8::internal::StepOrigin)",
         V8_COLLECTOR_STEP},
        {"v8::internal::IncrementalMarking::AdvanceOnAllocation()", V8_COLLECTOR_STEP},
        {"v8::internal::ScavengerCollector::JobTask::Run(v8::JobDelegate*)", V8_COLLECTOR_WORK},
        {"v8::internal::ConcurrentMarking::JobTaskMajor::Run(v8::JobDelegate*)", V8_COLLECTOR_WORK},
        {"v8::internal::Sweeper::SweeperJob::Run(v8::JobDelegate*)", V8_COLLECTOR_WORK},
        {"v8::internal::ArrayBufferSweeper::SweepingState::SweepingJob::Run(v8::JobDelegate*)",
         V8_COLLECTOR_WORK},
        {"v8::internal::PageEvacuationJob::Run(v8::JobDelegate*)", V8_COLLECTOR_WORK},
        {"v8::internal::(anonymous namespace)::ParallelWeakHandlesProcessor<v8::internal::"
         "(anonymous namespace)::ClearWeaknessProcessor>::Job::Run(v8::JobDelegate*)",
         V8_COLLECTOR_WORK},
        {"v8::internal::MemoryAllocator::Unmapper::UnmapFreeMemoryJob::Run(v8::JobDelegate*)",
         V8_COLLECTOR_WORK},
        {"cppgc::internal::(anonymous namespace)::ConcurrentMarkingTask::Run(v8::JobDelegate*)",
         V8_COLLECTOR_WORK},
        /* The program's own work. */
        {"v8::internal::Heap::CollectGarbageFromAnyThread(v8::internal::LocalHeap*)",
         V8_COLLECTOR_NONE},
        {"v8::internal::HeapAllocator::AllocateRawWithLightRetrySlowPath(int)", V8_COLLECTOR_NONE},
        {"v8::internal::Factory::AllocateRaw(int, v8::internal::AllocationType)",
         V8_COLLECTOR_NONE},
        {"v8::internal::MarkingBarrier::Write(v8::internal::HeapObject)", V8_COLLECTOR_NONE},
        {"v8::internal::ArrayBufferSweeper::Append(v8::internal::JSArrayBuffer)",
         V8_COLLECTOR_NONE},
        {"v8::internal::IncrementalMarking::Stop()", V8_COLLECTOR_NONE},
        {"v8::internal::ScavengerCollectorX::Run()", V8_COLLECTOR_NONE},
        {"app::v8::internal::Heap::CollectGarbage()", V8_COLLECTOR_NONE},
        {"Scavenger::Process()", V8_COLLECTOR_NONE},
        {"v8::internal::", V8_COLLECTOR_NONE},
        {"", V8_COLLECTOR_NONE},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(v8_collector_of(names[i].name) == names[i].collector, "%s: %d", names[i].name,
                      v8_collector_of(names[i].name));
}
END_TEST

static const char library_source[] =
    "#define FUNCTION(name, symbol) int name(void) __asm__(symbol); int name(void)\n"
    "FUNCTION(outer, \"outer\") { return 1; }\n"
    "FUNCTION(collect, \"_ZN2v88internal4Heap14CollectGarbageEv\") { return 2; }\n"
    "FUNCTION(scavenge, \"_ZN2v88internal18ScavengerCollector14CollectGarbageEv\") { return 3; }\n"
    "FUNCTION(inside, \"_ZN2v88internal9Scavenger7ProcessEv\") { return 4; }\n"
    "FUNCTION(step, \"_ZN2v88internal18IncrementalMarking4StepEv\") { return 5; }\n"
    "FUNCTION(sweep, \"_ZN2v88internal7Sweeper10SweeperJob3RunEv\") { return 6; }\n";

#define COLLECT "_ZN2v88internal4Heap14CollectGarbageEv"
#define SCAVENGE "_ZN2v88internal18ScavengerCollector14CollectGarbageEv"
#define INSIDE "_ZN2v88internal9Scavenger7ProcessEv"
#define STEP "_ZN2v88internal18IncrementalMarking4StepEv"
#define SWEEP "_ZN2v88internal7Sweeper10SweeperJob3RunEv"

struct recording {
    struct modules *modules;
    struct space space;
    struct profile *raw, *named;
    void *library;
    metric_id cpu;
    thread_id thread, other;
};

static struct recording start(void)
{
    struct recording r = {.modules = modules_new(), .raw = profile_new()};
    struct error err;
    scratch_enter();
    scratch_write("v8.c", library_source, sizeof library_source - 1);
    scratch_run("${CC:-cc} -O2 -shared -fPIC -nostdlib -o v8.so v8.c");
    _cleanup_free_ char *path = scratch_path("v8.so");
    r.library = dlopen(path, RTLD_NOW);
    ck_assert_msg(r.library, "%s", dlerror());
    space_init(&r.space, r.modules, getpid());
    ck_assert(!space_read(&r.space, r.modules, &err));
    r.cpu = profile_add_metric(r.raw, "cpu", "ticks");
    r.thread = profile_add_thread(r.raw, 10, 10, "main");
    r.other = profile_add_thread(r.raw, 10, 11, "worker");
    r.raw->meta.period_us = 1000;
    return r;
}

static void finish(struct recording *r)
{
    profile_free(r->named);
    profile_free(r->raw);
    space_release(&r->space);
    modules_free(r->modules);
    dlclose(r->library);
    scratch_leave();
}

static node_id native(struct recording *r, node_id parent, const char *symbol)
{
    uint64_t pc = (uint64_t)(uintptr_t)dlsym(r->library, symbol);
    const struct segment *segment = space_find(&r->space, pc);
    ck_assert_ptr_nonnull(segment);
    frame_id frame = profile_add_frame(r->raw, &(struct frame){.module = segment->module->index,
                                                               .address = pc - segment->bias,
                                                               .kind = FRAME_NATIVE});
    return profile_add_node(r->raw, parent, frame);
}

static node_id special(struct recording *r, node_id parent, const char *name, enum frame_kind kind)
{
    frame_id frame = profile_add_frame(
        r->raw, &(struct frame){.function = strings_intern(&r->raw->strings, name), .kind = kind});
    return profile_add_node(r->raw, parent, frame);
}

static void sample(struct recording *r, thread_id thread, uint64_t time_us, node_id node)
{
    sequence_append(&r->raw->samples, &(struct sample){time_us, thread, node});
    profile_add_self(r->raw, r->cpu, node, 1);
}

/* "outer/(garbage collector)=3 ": the nodes with ticks, in order. */
static void check_ticks(const struct recording *r, const char *expected)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    for (node_id i = 1; i < r->named->nodes.count; i++) {
        uint64_t ticks = profile_self(r->named, r->cpu, i);
        if (!ticks)
            continue;
        node_id chain[16];
        size_t count = 0;
        for (node_id at = i; at && count < 16; at = r->named->nodes.items[at].parent)
            chain[count++] = at;
        while (count-- > 0)
            fprintf(out, "%s%s",
                    profile_string(r->named, profile_frame_of(r->named, chain[count])->function),
                    count ? "/" : "");
        fprintf(out, "=%d ", (int)ticks);
    }
    fclose(out);
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(stacks_end_in_the_collector)
{
    struct recording r = start();
    node_id js = special(&r, 0, "app", FRAME_JAVASCRIPT);
    node_id collect = native(&r, native(&r, js, "outer"), COLLECT);
    node_id inside = native(&r, native(&r, collect, SCAVENGE), INSIDE);
    node_id again = native(&r, native(&r, 0, "outer"), SWEEP);
    sample(&r, r.thread, 1, native(&r, js, "outer"));
    sample(&r, r.thread, 2, collect);
    sample(&r, r.thread, 3, inside);
    sample(&r, r.thread, 4, native(&r, inside, "outer"));
    sample(&r, r.thread, 5, special(&r, inside, "callback", FRAME_JAVASCRIPT));
    sample(&r, r.thread, 6, special(&r, inside, "(off-CPU)", FRAME_WAITING));
    sample(&r, r.other, 7, again);
    r.named = symbolize_profile(r.raw, r.modules);
    check_ticks(&r, "app/outer=1 app/outer/(garbage collector)=3 outer/(garbage collector)=1 "
                    "app/outer/(garbage collector)/callback=1 "
                    "app/outer/(garbage collector)/(off-CPU)=1 ");
    for (node_id i = 1; i < r.named->nodes.count; i++) {
        const struct frame *frame = profile_frame_of(r.named, i);
        if (!strcmp(profile_string(r.named, frame->function), "(garbage collector)"))
            ck_assert_int_eq(frame->kind, FRAME_GC);
    }
    finish(&r);
}
END_TEST

static void check_event(const struct recording *r, size_t index, uint64_t time_us,
                        uint64_t duration_us, const char *what, uint32_t tid)
{
    const struct profile_event *event = &r->named->events.items[index];
    ck_assert_uint_eq(event->time_us, time_us);
    ck_assert_uint_eq(event->duration_us, duration_us);
    ck_assert_str_eq(profile_string(r->named, event->what), what);
    ck_assert_uint_eq(event->tid, tid);
    ck_assert(event->estimated);
}

START_TEST(pauses_are_estimated_from_runs)
{
    struct recording r = start();
    node_id js = special(&r, 0, "app", FRAME_JAVASCRIPT);
    node_id collect = native(&r, js, COLLECT), scavenge = native(&r, collect, SCAVENGE);
    node_id work = native(&r, 0, SWEEP), step = native(&r, js, STEP);
    sample(&r, r.thread, 1000, js);
    sample(&r, r.thread, 2000, collect);
    sample(&r, r.other, 2100, work); /* another thread's, and no pause */
    sample(&r, r.thread, 3000, scavenge);
    sample(&r, r.thread, 9000, scavenge); /* it has waited */
    sample(&r, r.thread, 10000, js);
    sample(&r, r.thread, 11000, step);
    sample(&r, r.thread, 12000, collect);
    sample(&r, r.other, 12500, scavenge);
    sample(&r, r.thread, 40000, collect); /* too long after */
    r.named = symbolize_profile(r.raw, r.modules);
    ck_assert_uint_eq(r.named->events.count, 5);
    check_event(&r, 0, 2000, 8000, "scavenge", 10);
    check_event(&r, 1, 11000, 1000, "incremental step", 10);
    check_event(&r, 2, 12000, 1000, "", 10);
    check_event(&r, 3, 12500, 1000, "scavenge", 11);
    check_event(&r, 4, 40000, 1000, "", 10);
    const struct frame *set_off = profile_frame_of(r.named, r.named->events.items[0].node);
    ck_assert_str_eq(profile_string(r.named, set_off->function), "app");
    finish(&r);
}
END_TEST

START_TEST(what_was_told_is_not_estimated)
{
    struct recording r = start();
    node_id js = special(&r, 0, "app", FRAME_JAVASCRIPT);
    node_id collect = native(&r, js, COLLECT);
    thread_id child = profile_add_thread(r.raw, 20, 20, "child");
    sample(&r, r.other, 1000, collect);
    sample(&r, child, 2000, collect);
    *vec_push(&r.raw->events) =
        (struct profile_event){.time_us = 900,
                               .duration_us = 300,
                               .kind = strings_intern(&r.raw->strings, EVENT_GC),
                               .reason = strings_intern(&r.raw->strings, "task"),
                               .node = collect,
                               .tid = 10};
    r.named = symbolize_profile(r.raw, r.modules);
    /* Of the same process nothing is guessed, of the other one it is. */
    ck_assert_uint_eq(r.named->events.count, 2);
    const struct profile_event *event = &r.named->events.items[0];
    ck_assert(!event->estimated);
    ck_assert_str_eq(profile_string(r.named, event->reason), "task");
    ck_assert_str_eq(profile_string(r.named, profile_frame_of(r.named, event->node)->function),
                     "app");
    check_event(&r, 1, 2000, 1000, "", 20);
    finish(&r);
}
END_TEST

UNIT_MAIN("v8_collector", names_are_told_apart, stacks_end_in_the_collector,
          pauses_are_estimated_from_runs, what_was_told_is_not_estimated)
