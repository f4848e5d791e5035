#include "core/journal.h"
#include "core/journal_block.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { FLUSHES = 12, SAMPLES_A_FLUSH = 300 };

struct recording {
    frame_id generated; /* the last frame of generated code, without a name yet */
    struct profile *profile;
    struct journal *journal;
    struct error err;
    uint64_t time_us;
    uint32_t random;
    uint32_t nodes[SAMPLES_A_FLUSH * FLUSHES]; /* of the samples, in order */
    size_t count;
};

static uint32_t next_random(struct recording *recording, uint32_t bound)
{
    recording->random = recording->random * 1664525u + 1013904223u;
    return (recording->random >> 8) % bound;
}

static const struct journal_module modules[] = {
    {"[kernel]", ""}, {"/usr/bin/a", "00ff"}, {"/usr/bin/a", "00ff"}, {"[anon]", ""}};

static void begin(struct recording *recording, const char *path)
{
    *recording = (struct recording){.profile = profile_new(), .random = 7};
    struct profile *profile = recording->profile;
    profile->meta.pid = 4242;
    profile->meta.command = strings_intern(&profile->strings, "the command");
    profile->meta.start_us = recording->time_us = 1000000;
    profile->meta.period_us = 1001;
    profile_add_metric(profile, "cpu", "ticks");
    struct journal_origin origin = {.process_start = 99, .boot_id = "boot", .show_tid = 3};
    ck_assert_msg(!journal_create(path, &recording->journal, &recording->err), "%s",
                  recording->err.text);
    ck_assert(!journal_begin(recording->journal, profile, &origin, &recording->err));
}

/* Half a second of a program: new stacks, threads, readings, names. */
static void record_some(struct recording *recording)
{
    struct profile *profile = recording->profile;
    char name[32];
    for (size_t i = 0; i < SAMPLES_A_FLUSH; i++) {
        recording->time_us += next_random(recording, 3000);
        node_id node = 0;
        for (uint32_t depth = next_random(recording, 12) + 1; depth; depth--)
            node = profile_add_node(
                profile, node,
                profile_add_frame(profile, &(struct frame){.module = next_random(recording, 4),
                                                           .address = next_random(recording, 40),
                                                           .kind = FRAME_NATIVE}));
        thread_id thread =
            profile_add_thread(profile, 4242, 4242 + next_random(recording, 5), "thread");
        sequence_append(&profile->samples, &(struct sample){recording->time_us, thread, node});
        profile_add_self(profile, 0, node, 1);
        profile->threads.items[thread].ticks++;
        profile->quality.samples++;
        recording->nodes[recording->count++] = node;
        if (i % 3)
            profile_add_line(profile, node, next_random(recording, 20), 1);
        profile_add_call_line(profile, node, next_random(recording, 20), 1);
    }
    /* JavaScript, in one tier after the other. */
    profile_add_frame(profile, &(struct frame){.line = next_random(recording, 9),
                                               .kind = FRAME_JAVASCRIPT,
                                               .tier = next_random(recording, CODE_TIERS)});
    profile->quality.js_frames += 100;
    profile->quality.js_named += 98;
    profile->quality.v8 = strings_intern(&profile->strings, "11.3.244.8");
    /* Generated code that was written before gets its name, and new code comes without one. */
    if (recording->generated)
        profile->frames.items[recording->generated].function =
            strings_intern(&profile->strings, "named late");
    recording->generated =
        profile_add_frame(profile, &(struct frame){.address = 0x1000, .kind = FRAME_UNKNOWN});
    snprintf(name, sizeof name, "renamed-%zu", recording->count);
    profile_add_thread(profile, 4242, 4243, name);
    /* Ticks that no sample stands for, and a second metric. */
    profile_add_self(profile, 0, 1, 5);
    profile->threads.items[0].ticks += 5;
    profile->threads.items[0].waiting += 7;
    metric_id bytes = profile_add_metric(profile, "alloc", "bytes");
    profile_add_self(profile, bytes, recording->nodes[recording->count - 1], 4096);
    profile_add_point(profile, profile_add_series(profile, "rss", "bytes"), recording->time_us,
                      (double)recording->count * 1.5);
    vec_append(&profile->events,
               ((struct profile_event){.time_us = recording->time_us,
                                       .duration_us = 7,
                                       .kind = strings_intern(&profile->strings, "gc"),
                                       .node = 1,
                                       .what = strings_intern(&profile->strings, "scavenge"),
                                       .reason = strings_intern(&profile->strings, "task"),
                                       .before_bytes = (uint64_t)5 << 32,
                                       .after_bytes = 77,
                                       .tid = 4242}));
    profile->quality.present = true;
    profile->meta.end_us = recording->time_us;
}

static void record_all(struct recording *recording, const char *path)
{
    begin(recording, path);
    for (int i = 0; i < FLUSHES; i++) {
        record_some(recording);
        int failed = i + 1 < FLUSHES ? journal_flush(recording->journal, recording->profile,
                                                     modules, 4, &recording->err)
                                     : journal_finish(recording->journal, recording->profile,
                                                      modules, 4, &recording->err);
        ck_assert_msg(!failed, "%s", recording->err.text);
    }
}

static void recording_free(struct recording *recording, bool keep)
{
    journal_close(recording->journal, keep);
    profile_free(recording->profile);
}

static struct profile *read_journal(int fd, struct journal_found *ret_found)
{
    struct profile *profile = NULL;
    struct error err = {0};
    if (!journal_read(fd, "test.part", &profile, ret_found, &err))
        return profile;
    ck_assert_ptr_nonnull(strstr(err.text, "test.part"));
    return NULL;
}

/* Every id is one of its table; the values are those of the samples and what VALUES added. */
static void check_consistent(const struct recording *recording, const struct profile *profile)
{
    struct sequence_cursor cursor = sequence_begin(&profile->samples);
    struct sample sample;
    uint64_t count = 0, thread_ticks = 0;
    uint64_t wrong = 0; /* an assertion for each of millions would take minutes */
    for (; sequence_next(&cursor, &sample); count++)
        wrong += sample.thread >= profile->threads.count || sample.node != recording->nodes[count];
    for (size_t i = 1; i < profile->nodes.count; i++)
        wrong += profile->nodes.items[i].parent >= i;
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(count, profile->samples.count);
    for (size_t i = 0; i < profile->threads.count; i++)
        thread_ticks += profile->threads.items[i].ticks;
    if (profile->metrics.count)
        ck_assert_uint_eq(profile_sum(profile, 0), thread_ticks);
    ck_assert_uint_eq(profile->quality.samples, count);
}

static void check_lines(const struct line_ticks *items, size_t count,
                        const struct line_ticks *expected, size_t expected_count)
{
    ck_assert_uint_gt(count, 0);
    ck_assert_uint_eq(count, expected_count);
    for (size_t i = 0; i < count; i++)
        ck_assert(items[i].node == expected[i].node && items[i].line == expected[i].line &&
                  items[i].ticks == expected[i].ticks);
}

START_TEST(reads_back_what_was_recorded)
{
    struct recording *recording = xcalloc(1, sizeof *recording);
    struct journal_found found;
    scratch_enter();
    record_all(recording, "whole.part");
    const struct profile *written = recording->profile;
    int fd = open("whole.part", O_RDONLY | O_CLOEXEC);
    struct profile *profile = read_journal(fd, &found);
    ck_assert_ptr_nonnull(profile);
    ck_assert(found.finished);
    ck_assert_uint_eq(found.read, found.bytes);
    ck_assert_uint_eq(found.bytes, journal_bytes(recording->journal));
    ck_assert_uint_eq(found.origin.process_start, 99);
    ck_assert_str_eq(found.origin.boot_id, "boot");
    ck_assert_uint_eq(found.origin.show_tid, 3);
    ck_assert_uint_eq(profile->samples.count, recording->count);
    ck_assert_uint_eq(profile->samples.last_time_us, recording->time_us);
    check_consistent(recording, profile);
    ck_assert_uint_eq(profile->nodes.count, written->nodes.count);
    ck_assert_uint_eq(profile->frames.count, written->frames.count);
    for (size_t i = 0; i < written->frames.count; i++) {
        ck_assert_str_eq(profile_string(profile, profile->frames.items[i].function),
                         profile_string(written, written->frames.items[i].function));
        ck_assert_int_eq(profile->frames.items[i].tier, written->frames.items[i].tier);
    }
    check_lines(profile->lines.items, profile->lines.count, written->lines.items,
                written->lines.count);
    check_lines(profile->calls.items, profile->calls.count, written->calls.items,
                written->calls.count);
    ck_assert_uint_eq(profile->quality.js_frames, 100 * FLUSHES);
    ck_assert_uint_eq(profile->quality.js_named, 98 * FLUSHES);
    ck_assert_str_eq(profile_string(profile, profile->quality.v8), "11.3.244.8");
    ck_assert_uint_eq(profile->modules.count, 4);
    ck_assert_str_eq(profile_string(profile, profile->modules.items[2].path), "/usr/bin/a");
    ck_assert_uint_eq(profile->meta.end_us, written->meta.end_us);
    ck_assert_str_eq(profile_string(profile, profile->meta.command), "the command");
    ck_assert_uint_eq(profile->metrics.count, 2);
    for (metric_id metric = 0; metric < 2; metric++)
        for (node_id node = 0; node < written->nodes.count; node++)
            ck_assert(profile_self(profile, metric, node) == profile_self(written, metric, node));
    for (size_t i = 0; i < written->threads.count; i++) {
        const struct thread *thread = &profile->threads.items[i];
        ck_assert_uint_eq(thread->ticks, written->threads.items[i].ticks);
        ck_assert_uint_eq(thread->waiting, written->threads.items[i].waiting);
        ck_assert_str_eq(profile_string(profile, thread->name),
                         profile_string(written, written->threads.items[i].name));
    }
    ck_assert_uint_eq(profile->series.items[0].points.count, FLUSHES);
    ck_assert(!memcmp(profile->series.items[0].points.items, written->series.items[0].points.items,
                      FLUSHES * sizeof(struct series_point)));
    ck_assert_uint_eq(profile->events.count, FLUSHES);
    const struct profile_event *event = &profile->events.items[FLUSHES - 1];
    ck_assert_uint_eq(event->time_us, written->events.items[FLUSHES - 1].time_us);
    ck_assert_str_eq(profile_string(profile, event->kind), "gc");
    ck_assert_str_eq(profile_string(profile, event->what), "scavenge");
    ck_assert_str_eq(profile_string(profile, event->reason), "task");
    ck_assert_uint_eq(event->before_bytes, (uint64_t)5 << 32);
    ck_assert_uint_eq(event->after_bytes, 77);
    ck_assert_uint_eq(event->tid, 4242);
    profile_free(profile);
    close(fd);
    recording_free(recording, false);
    ck_assert_int_ne(access("whole.part", F_OK), 0);
    free(recording);
    scratch_leave();
}
END_TEST

/* Every 1,000th byte, and each of the first and last 500. */
static uint64_t next_cut(uint64_t length, uint64_t size)
{
    uint64_t thousandth = length - length % 1000 + 1000;
    if (length < 500 || length + 500 > size)
        return length + 1;
    return thousandth + 500 > size ? size - 499 : thousandth;
}

START_TEST(a_torn_journal_is_read_up_to_there)
{
    struct recording *recording = xcalloc(1, sizeof *recording);
    struct journal_found found;
    scratch_enter();
    record_all(recording, "torn.part");
    uint64_t size = journal_bytes(recording->journal), before = 0, partial = 0;
    recording_free(recording, true);
    int fd = open("torn.part", O_RDONLY | O_CLOEXEC), torn = memfd_create("torn", MFD_CLOEXEC);
    uint8_t *bytes = xmalloc(size);
    ck_assert(read_at(fd, 0, bytes, size));
    for (uint64_t length = 1; length <= size; length = next_cut(length, size)) {
        ck_assert_int_eq(ftruncate(torn, 0), 0);
        ck_assert_int_eq(pwrite(torn, bytes, length, 0), (ssize_t)length);
        struct profile *profile = read_journal(torn, &found);
        ck_assert(profile || length < 500);
        if (!profile)
            continue;
        ck_assert_uint_le(found.read, length);
        ck_assert_int_eq(found.finished, length == size);
        /* What one byte more holds is never less. */
        ck_assert_uint_ge(profile->samples.count, before);
        before = profile->samples.count;
        partial += before && before < recording->count;
        check_consistent(recording, profile);
        profile_free(profile);
    }
    ck_assert_uint_eq(before, recording->count);
    ck_assert_uint_gt(partial, size / 1000 / 2);
    free(bytes);
    close(fd);
    close(torn);
    free(recording);
    scratch_leave();
}
END_TEST

START_TEST(a_flipped_bit_ends_the_reading_before_it)
{
    struct recording *recording = xcalloc(1, sizeof *recording);
    struct journal_found found;
    scratch_enter();
    record_all(recording, "flip.part");
    uint64_t size = journal_bytes(recording->journal);
    recording_free(recording, true);
    int fd = open("flip.part", O_RDWR | O_CLOEXEC);
    for (uint64_t at = JOURNAL_HEAD_BYTES; at < size; at += 499) {
        uint8_t byte, flipped;
        ck_assert(read_at(fd, at, &byte, 1));
        flipped = byte ^ (uint8_t)(1u << at % 8);
        ck_assert_int_eq(pwrite(fd, &flipped, 1, (off_t)at), 1);
        struct profile *profile = read_journal(fd, &found);
        if (profile) {
            ck_assert_uint_le(found.read, at);
            ck_assert(!found.finished);
            check_consistent(recording, profile);
        } else {
            ck_assert_uint_lt(at, 300); /* before the end of META */
        }
        profile_free(profile);
        ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
    close(fd);
    free(recording);
    scratch_leave();
}
END_TEST

static void refused(const char *text, const char *why)
{
    struct journal_found found;
    struct profile *profile = NULL;
    struct error err = {0};
    scratch_write("bad.part", text, strlen(text));
    int fd = open("bad.part", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(journal_read(fd, "bad.part", &profile, &found, &err), -1);
    ck_assert_msg(strstr(err.text, why), "%s", err.text);
    close(fd);
}

START_TEST(what_is_no_journal_is_refused)
{
    scratch_enter();
    refused("", "empty");
    refused("{\"nodes\":[]}", "no journal");
    refused("MPJOURNL\x07\x01\x01\x01....", "version 16843015");
    refused("MPJOURNL", "no journal");
    scratch_leave();
}
END_TEST

START_TEST(a_journal_is_not_overwritten)
{
    struct recording *recording = xcalloc(1, sizeof *recording);
    struct journal *second = NULL;
    struct error err = {0};
    int fd = -1;
    scratch_enter();
    begin(recording, "own.part");
    /* flock is of the open file: a second one is another process's to it. */
    ck_assert_int_eq(journal_create("own.part", &second, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "being written by another memprof"));
    ck_assert_int_eq(journal_open("own.part", &fd, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "in use"));
    recording_free(recording, true);
    ck_assert_int_eq(journal_create("own.part", &second, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "memprof recover own.part"));
    ck_assert_int_eq(symlink("own.part", "link.part"), 0);
    ck_assert_int_eq(journal_create("link.part", &second, &err), -1);
    free(recording);
    scratch_leave();
}
END_TEST

/* Samples that were flushed are in the file alone, and read the same as from memory. */
START_TEST(a_long_recording_takes_no_memory)
{
    enum { LONG = 3000000, A_FLUSH = 100000 };
    struct recording *recording = xcalloc(1, sizeof *recording);
    struct sequence in_memory = {0};
    scratch_enter();
    begin(recording, "long.part");
    struct profile *profile = recording->profile;
    for (node_id node = 1; node < 1000; node++)
        profile_add_node(profile, node / 2,
                         profile_add_frame(profile, &(struct frame){.address = node}));
    profile_add_thread(profile, 1, 1, "");
    for (uint32_t i = 0; i < LONG; i++) {
        struct sample sample = {1000 * (uint64_t)i, 0, next_random(recording, 1000)};
        sequence_append(&profile->samples, &sample);
        sequence_append(&in_memory, &sample);
        if (i % A_FLUSH == A_FLUSH / 2) {
            ck_assert(!journal_flush(recording->journal, profile, modules, 4, &recording->err));
            ck_assert_ptr_eq(profile->samples.first, profile->samples.last);
        }
    }
    struct sequence_cursor spilled = sequence_begin(&profile->samples);
    struct sequence_cursor kept = sequence_begin(&in_memory);
    struct sample a, b;
    uint64_t equal = 0;
    while (sequence_next(&spilled, &a) && sequence_next(&kept, &b))
        equal += a.time_us == b.time_us && a.thread == b.thread && a.node == b.node;
    ck_assert_uint_eq(equal, LONG);
    ck_assert(!sequence_next(&kept, &b));
    /* Two bytes of time, one of thread, one or two of node. */
    ck_assert_uint_lt(journal_bytes(recording->journal), 5 * (uint64_t)LONG);
    sequence_release(&in_memory);
    recording_free(recording, false);
    free(recording);
    scratch_leave();
}
END_TEST

START_TEST(a_view_has_other_ids)
{
    struct recording *recording = xcalloc(1, sizeof *recording);
    scratch_enter();
    record_all(recording, "view.part");
    struct profile *profile = recording->profile;
    struct sequence_map nodes = {xcalloc(profile->nodes.count, sizeof(uint32_t)),
                                 profile->nodes.count},
                        threads = {xcalloc(2, sizeof(uint32_t)), 2};
    for (uint32_t i = 0; i < profile->nodes.count; i++)
        nodes.ids[i] = i + 7;
    threads.ids[0] = threads.ids[1] = 33;
    struct sequence view;
    sequence_view(&view, &profile->samples, nodes, threads);
    struct sequence_cursor cursor = sequence_begin(&view), raw = sequence_begin(&profile->samples);
    struct sample sample, original;
    uint64_t count = 0;
    /* Until a thread that the view does not know. */
    for (; sequence_next(&cursor, &sample); count++) {
        ck_assert(sequence_next(&raw, &original));
        ck_assert_uint_eq(sample.node, original.node + 7);
        ck_assert_uint_eq(sample.thread, 33);
    }
    ck_assert(sequence_next(&raw, &original));
    ck_assert_uint_ge(original.thread, 2);
    sequence_release(&view);
    sequence_cut(&profile->samples, 2);
    raw = sequence_begin(&profile->samples);
    ck_assert(sequence_next(&raw, &original) && sequence_next(&raw, &original));
    ck_assert(!sequence_next(&raw, &original));
    recording_free(recording, false);
    free(recording);
    scratch_leave();
}
END_TEST

START_TEST(a_full_disk_loses_nothing_that_is_in_memory)
{
    struct recording *recording = xcalloc(1, sizeof *recording);
    struct journal_found found;
    scratch_enter();
    signal(SIGXFSZ, SIG_IGN);
    begin(recording, "full.part");
    record_some(recording);
    ck_assert(!journal_flush(recording->journal, recording->profile, modules, 4, &recording->err));
    uint64_t whole = journal_bytes(recording->journal);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){whole + 1500, RLIM_INFINITY});
    record_some(recording);
    ck_assert(journal_flush(recording->journal, recording->profile, modules, 4, &recording->err));
    ck_assert_ptr_nonnull(strstr(recording->err.text, "cannot write full.part: File too large"));
    check_consistent(recording, recording->profile);
    int fd = open("full.part", O_RDONLY | O_CLOEXEC);
    struct profile *profile = read_journal(fd, &found);
    ck_assert_uint_ge(found.read, whole);
    ck_assert_uint_ge(profile->samples.count, SAMPLES_A_FLUSH);
    check_consistent(recording, profile);
    profile_free(profile);
    close(fd);
    recording_free(recording, false);
    free(recording);
    scratch_leave();
}
END_TEST

UNIT_MAIN("journal", reads_back_what_was_recorded, a_torn_journal_is_read_up_to_there,
          a_flipped_bit_ends_the_reading_before_it, what_is_no_journal_is_refused,
          a_journal_is_not_overwritten, a_long_recording_takes_no_memory, a_view_has_other_ids,
          a_full_disk_loses_nothing_that_is_in_memory)
