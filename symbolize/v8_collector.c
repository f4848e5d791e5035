/*
 * A name is matched by what stands behind its namespace. "Heap::CollectGarbage" matches a function
 * of that name only; what ends in "::" matches all functions of a class, and what ends in "*" all
 * that begin so. Whole classes stand here where all they do is collect: what the compiler inlines
 * differs from version to version, and then a caller or a callee in the same class is met instead.
 */
#include "symbolize/v8_collector.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct entry {
    const char *name;
    enum v8_collector collector;
};

static const struct entry of_v8[] = {
    {"Heap::CollectGarbage", V8_COLLECTOR_PAUSE},
    {"Heap::CollectGarbageShared", V8_COLLECTOR_PAUSE},
    {"Heap::CollectGarbageForBackground", V8_COLLECTOR_PAUSE},
    {"Heap::CollectGarbageOnMemoryPressure", V8_COLLECTOR_PAUSE},
    {"Heap::CollectAllGarbage", V8_COLLECTOR_PAUSE},
    {"Heap::CollectAllAvailableGarbage", V8_COLLECTOR_PAUSE},
    {"Heap::PreciseCollectAllGarbage", V8_COLLECTOR_PAUSE},
    {"Heap::PerformGarbageCollection", V8_COLLECTOR_PAUSE},
    {"Heap::PerformSharedGarbageCollection", V8_COLLECTOR_PAUSE},
    {"Heap::MinorMarkCompact", V8_COLLECTOR_PAUSE},
    {"Heap::MinorMarkSweep", V8_COLLECTOR_PAUSE},
    {"Heap::Scavenge", V8_COLLECTOR_SCAVENGE},
    {"Heap::MarkCompact", V8_COLLECTOR_MARK_COMPACT},
    {"ScavengerCollector::CollectGarbage", V8_COLLECTOR_SCAVENGE},
    {"MarkCompactCollector::CollectGarbage", V8_COLLECTOR_MARK_COMPACT},
    {"MinorMarkCompactCollector::CollectGarbage", V8_COLLECTOR_PAUSE},
    {"MinorMarkSweepCollector::CollectGarbage", V8_COLLECTOR_PAUSE},
    {"IncrementalMarking::Step", V8_COLLECTOR_STEP},
    {"IncrementalMarking::EmbedderStep", V8_COLLECTOR_STEP},
    {"IncrementalMarking::CppHeapStep", V8_COLLECTOR_STEP},
    {"IncrementalMarking::Advance*", V8_COLLECTOR_STEP},
    {"IncrementalMarking::Finalize*", V8_COLLECTOR_STEP},
    {"IncrementalMarking::Start", V8_COLLECTOR_STEP},
    {"IncrementalMarking::StartMarking*", V8_COLLECTOR_STEP},
    {"IncrementalMarking::MarkRoots*", V8_COLLECTOR_STEP},
    {"IncrementalMarkingJob::Task::", V8_COLLECTOR_STEP},
    {"Scavenger::", V8_COLLECTOR_WORK},
    {"ScavengerCollector::", V8_COLLECTOR_WORK},
    {"MarkCompactCollector::", V8_COLLECTOR_WORK},
    {"MinorMarkCompactCollector::", V8_COLLECTOR_WORK},
    {"MinorMarkSweepCollector::", V8_COLLECTOR_WORK},
    {"ConcurrentMarking::", V8_COLLECTOR_WORK},
    {"YoungGenerationMarkingJob::", V8_COLLECTOR_WORK},
    {"YoungGenerationMarkingTask::", V8_COLLECTOR_WORK},
    {"PageEvacuationJob::", V8_COLLECTOR_WORK},
    {"PointersUpdatingJob::", V8_COLLECTOR_WORK},
    {"Evacuator::", V8_COLLECTOR_WORK},
    {"FullEvacuator::", V8_COLLECTOR_WORK},
    {"YoungGenerationEvacuator::", V8_COLLECTOR_WORK},
    {"(anonymous namespace)::ClearStringTableJobItem::", V8_COLLECTOR_WORK},
    {"(anonymous namespace)::ClearSharedStructTypeRegistryJobItem::", V8_COLLECTOR_WORK},
    {"(anonymous namespace)::ParallelClearingJob::", V8_COLLECTOR_WORK},
    {"(anonymous namespace)::ParallelWeakHandlesProcessor*", V8_COLLECTOR_WORK},
    {"Sweeper::", V8_COLLECTOR_WORK},
    {"ArrayBufferSweeper::SweepingJob::", V8_COLLECTOR_WORK},
    {"ArrayBufferSweeper::SweepingState::", V8_COLLECTOR_WORK},
    {"ArrayBufferSweeper::DoSweep", V8_COLLECTOR_WORK},
    {"ArrayBufferSweeper::RequestSweep", V8_COLLECTOR_WORK},
    {"MemoryAllocator::Unmapper::", V8_COLLECTOR_WORK},
    {"ReleasePooledChunksTask::", V8_COLLECTOR_WORK},
    {"CppHeap::CollectGarbage", V8_COLLECTOR_WORK},
    {"CppHeap::AdvanceTracing", V8_COLLECTOR_WORK},
    {"CppHeap::AdvanceMarking", V8_COLLECTOR_WORK},
};

/* The collector of C++ objects, src/heap/cppgc. */
static const struct entry of_cppgc[] = {
    {"Heap::CollectGarbage", V8_COLLECTOR_WORK},
    {"MarkerBase::Advance*", V8_COLLECTOR_WORK},
    {"MarkerBase::FinishMarking", V8_COLLECTOR_WORK},
    {"MarkerBase::StartMarking", V8_COLLECTOR_WORK},
    {"MarkerBase::IncrementalMarkingTask::", V8_COLLECTOR_WORK},
    {"(anonymous namespace)::ConcurrentMarkingTask::", V8_COLLECTOR_WORK},
    {"(anonymous namespace)::ConcurrentSweepTask::", V8_COLLECTOR_WORK},
    {"Sweeper::SweeperImpl::", V8_COLLECTOR_WORK},
    {"Compactor::", V8_COLLECTOR_WORK},
};

static const struct {
    const char *prefix;
    const struct entry *entries;
    size_t count;
} namespaces[] = {
    {"v8::internal::", of_v8, sizeof of_v8 / sizeof *of_v8},
    {"cppgc::internal::", of_cppgc, sizeof of_cppgc / sizeof *of_cppgc},
};

static bool matches(const char *name, const char *pattern)
{
    size_t length = strlen(pattern);
    if (pattern[length - 1] == '*')
        return !strncmp(name, pattern, length - 1);
    if (strncmp(name, pattern, length) != 0)
        return false;
    /* Its arguments, template arguments, a lambda in it or "[clone .cold]" may follow. */
    return pattern[length - 1] == ':' || !name[length] || strchr("(<: ", name[length]);
}

enum v8_collector v8_collector_of(const char *function)
{
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
        size_t length = strlen(namespaces[i].prefix);
        if (strncmp(function, namespaces[i].prefix, length) != 0)
            continue;
        for (size_t j = 0; j < namespaces[i].count; j++)
            if (matches(function + length, namespaces[i].entries[j].name))
                return namespaces[i].entries[j].collector;
    }
    return V8_COLLECTOR_NONE;
}

const char *v8_collector_name(enum v8_collector collector)
{
    switch (collector) {
    case V8_COLLECTOR_STEP:
        return "incremental step";
    case V8_COLLECTOR_SCAVENGE:
        return "scavenge";
    case V8_COLLECTOR_MARK_COMPACT:
        return "mark-compact";
    default:
        return NULL;
    }
}
