/*
 * A sample is its head, the frames of its stack from the innermost outwards, and a blank line;
 * without call chains it is one line with the frame behind the head. Other lines (comments,
 * PERF_RECORD_… of --show-mmap-events, source lines of -F srcline) are passed over.
 *
 * Whether code is the kernel's is told by its library ("[kernel.kallsyms]", "[nf_tables]",
 * x.ko); the addresses of modules are relative and tell nothing.
 */
#include "output/perf_script.h"

#include "core/limits.h"
#include "core/v8_name.h"
#include "output/perf_script_line.h"

#include <inttypes.h>
#include <string.h>

struct reader {
    struct profile *profile;
    metric_id cpu;
    frame_id idle, unknown;
    string_id event; /* that is read; 0: not yet known */
    uint64_t other_events;
    bool times;

    /* The sample at hand. */
    bool open;    /* frames may follow */
    bool counted; /* its event is the one that is read */
    struct sample sample;
    bool is_idle;
    size_t count;
    size_t inlined; /* of the last frames: their module is the next one's, if the address is */
    uint64_t inlined_at;
    bool truncated;
    struct frame frames[LIMIT_STACK_FRAMES];
};

static string_id intern(struct reader *reader, struct span span)
{
    return span.length ? strings_intern_length(&reader->profile->strings, span.text, span.length)
                       : 0;
}

/* --- frames --- */

static bool ends_with(struct span span, const char *text)
{
    size_t length = strlen(text);
    return span.length >= length && !memcmp(span.text + span.length - length, text, length);
}

static bool is_kernel(const struct perf_frame *frame)
{
    static const char *const user[] = {"[vdso]", "[vsyscall]", "[heap]", "[stack]",
                                       "[anon",  "[uprobes]",  "[JIT]"};
    struct span module = frame->module;
    if (!module.length)
        return frame->address >> 63;
    if (*module.text != '[')
        return ends_with(module, ".ko") || ends_with(module, ".ko.xz") ||
               ends_with(module, ".ko.zst") || ends_with(module, ".ko.gz") ||
               ends_with(module, "/vmlinux");
    for (size_t i = 0; i < sizeof user / sizeof *user; i++)
        if (span_starts(module, user[i]))
            return false;
    return true;
}

/* Code of Node.js with --perf-basic-prof: "JS:*fib /srv/app.js:3:13" in /tmp/perf-4242.map. */
static bool name_javascript(struct reader *reader, const struct perf_frame *frame,
                            struct frame *ret_frame)
{
    static const char *const types[] = {"JS:", "LazyCompile:", "Function:", "Eval:", "Script:"};
    if (!ends_with(frame->module, ".map"))
        return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t length = strlen(types[i]);
        if (!span_starts(frame->function, types[i]))
            continue;
        *ret_frame = v8_name_frame(&reader->profile->strings, frame->function.text + length,
                                   frame->function.length - length);
        return true;
    }
    return false;
}

static struct frame frame_of(struct reader *reader, const struct perf_frame *line)
{
    struct frame frame = {.kind = FRAME_NATIVE};
    if (name_javascript(reader, line, &frame))
        return frame;
    struct profile *profile = reader->profile;
    frame.function = intern(reader, line->function);
    if (is_kernel(line)) {
        frame.kind = FRAME_KERNEL;
        profile->meta.kernel = true;
    } else if (!frame.function && !line->module.length) {
        frame.kind = FRAME_UNKNOWN;
    }
    if (profile->modules.count < LIMIT_MODULES && line->module.length <= LIMIT_PATH_BYTES) {
        bool whole_kernel =
            span_starts(line->module, "[kernel") || ends_with(line->module, "/vmlinux");
        string_id path = whole_kernel ? strings_intern(&profile->strings, "[kernel]")
                                      : intern(reader, line->module);
        frame.module = profile_add_module(profile, profile_string(profile, path), "");
    }
    return frame;
}

static void add_frame(struct reader *reader, const struct perf_frame *line)
{
    if (reader->count == LIMIT_STACK_FRAMES) {
        reader->truncated = true;
        return;
    }
    if (line->address != reader->inlined_at)
        reader->inlined = 0;
    struct frame frame = frame_of(reader, line);
    reader->frames[reader->count++] = frame;
    if (line->inlined) {
        reader->inlined_at = line->address;
        reader->inlined++;
        return;
    }
    for (size_t i = reader->count - 1 - reader->inlined; i + 1 < reader->count; i++) {
        reader->frames[i].module = frame.module;
        reader->frames[i].kind = frame.kind;
    }
    reader->inlined = 0;
}

/* --- samples --- */

static void sample_end(struct reader *reader)
{
    struct profile *profile = reader->profile;
    if (!reader->open)
        return;
    reader->open = false;
    if (!reader->counted)
        return;
    frame_id ids[LIMIT_STACK_FRAMES];
    size_t count = 0;
    if (reader->is_idle) {
        ids[count++] = reader->idle;
    } else {
        for (; count < reader->count; count++)
            ids[count] = profile_add_frame(profile, &reader->frames[count]);
        if (!count)
            ids[count++] = reader->unknown;
    }
    reader->sample.node = profile_add_stack(profile, 0, ids, count);
    sequence_append(&profile->samples, &reader->sample);
    profile_add_self(profile, reader->cpu, reader->sample.node, 1);
    if (!reader->is_idle)
        profile->threads.items[reader->sample.thread].ticks++;
    profile->quality.samples++;
    profile->quality.truncated += reader->truncated;
}

static thread_id thread_of(struct reader *reader, const struct perf_head *head)
{
    struct profile *profile = reader->profile;
    size_t known = profile->threads.count;
    struct span comm = head->comm;
    char name[64];
    size_t length = comm.length < sizeof name ? comm.length : sizeof name - 1;
    memcpy(name, length ? comm.text : "", length);
    name[length] = '\0';
    return known < LIMIT_THREADS ? profile_add_thread(profile, head->pid, head->tid, name) : 0;
}

/* perf's software clocks count nanoseconds: their period is that of the ticks. */
static void take_event(struct reader *reader, const struct perf_head *head)
{
    struct profile *profile = reader->profile;
    bool clock = span_starts(head->event, "cpu-clock") || span_starts(head->event, "task-clock");
    if (clock && head->period <= UINT32_MAX)
        profile->meta.period_us = head->period / 1000;
    size_t length = head->event.length < 256 ? head->event.length : 256;
    _cleanup_free_ char *sampler =
        xasprintf("perf%s%.*s", length ? " " : "", (int)length, length ? head->event.text : "");
    profile->quality.sampler = strings_intern(&profile->strings, sampler);
    reader->event = intern(reader, head->event);
}

static void sample_begin(struct reader *reader, const struct perf_head *head)
{
    struct profile_meta *meta = &reader->profile->meta;
    if (!reader->profile->threads.count)
        take_event(reader, head);
    reader->open = true;
    reader->counted = intern(reader, head->event) == reader->event;
    reader->other_events += !reader->counted;
    reader->count = reader->inlined = 0;
    reader->truncated = false;
    reader->is_idle = head->has_task && !head->tid && span_starts(head->comm, "swapper");
    reader->sample = (struct sample){head->time_us, thread_of(reader, head), 0};
    if (!head->has_time)
        return;
    if (!reader->times || head->time_us < meta->start_us)
        meta->start_us = head->time_us;
    if (head->time_us > meta->end_us)
        meta->end_us = head->time_us;
    reader->times = true;
}

/* A line that begins with white space and an address is a frame, unless a time is in it. */
static bool read_as_frame(struct reader *reader, struct span line)
{
    struct perf_frame frame;
    struct perf_head head;
    bool indented = *line.text == ' ' || *line.text == '\t';
    if (!reader->open || !indented || !perf_frame_parse(line, &frame) ||
        (perf_head_parse(line, &head) && head.has_time))
        return false;
    add_frame(reader, &frame);
    return true;
}

static void read_line(struct reader *reader, struct span line)
{
    struct perf_head head;
    struct perf_frame frame;
    if (!span_trim(line).length) {
        sample_end(reader);
        return;
    }
    if (*line.text == '#' || read_as_frame(reader, line) || !perf_head_parse(line, &head) ||
        span_starts(head.event, "PERF_RECORD_") || span_starts(head.rest, "PERF_RECORD_"))
        return;
    sample_end(reader);
    sample_begin(reader, &head);
    if (head.rest.length && perf_frame_parse(head.rest, &frame))
        add_frame(reader, &frame);
}

/* --- the text --- */

static bool next_line(struct span *text, struct span *ret_line)
{
    const char *newline = memchr(text->text, '\n', text->length);
    if (!newline)
        return false;
    *ret_line = (struct span){text->text, (size_t)(newline - text->text)};
    text->length -= ret_line->length + 1;
    text->text = newline + 1;
    return true;
}

/* The first line that is no comment is the head of a sample, by its time or by a frame below. */
bool perf_script_matches(const char *head, size_t length)
{
    struct span text = {head, length}, line;
    struct perf_head first;
    struct perf_frame frame;
    if (span_starts(text, "# ========\n# captured on"))
        return true;
    do
        if (!next_line(&text, &line))
            return false;
    while (!span_trim(line).length || *line.text == '#');
    if (!perf_head_parse(line, &first))
        return false;
    return first.has_time || perf_frame_parse(first.rest, &frame) ||
           (next_line(&text, &line) && line.length && *line.text == '\t' &&
            perf_frame_parse(line, &frame));
}

static void finish(struct reader *reader)
{
    struct profile *profile = reader->profile;
    sample_end(reader);
    for (size_t i = 1; i < profile->frames.count; i++) {
        const struct frame *frame = &profile->frames.items[i];
        profile->quality.unknown_frames += !frame->function && frame->kind != FRAME_JAVASCRIPT;
    }
    if (!reader->other_events)
        return;
    _cleanup_free_ char *note =
        xasprintf("%" PRIu64 " samples of other events than %s left out", reader->other_events,
                  profile_string(profile, reader->event));
    profile->quality.note = strings_intern(&profile->strings, note);
}

int perf_script_read(struct text_lines *lines, struct profile **ret_profile, struct error *err)
{
    _cleanup_profile_ struct profile *profile = profile_new();
    _cleanup_free_ struct reader *reader = xcalloc(1, sizeof *reader);
    reader->profile = profile;
    reader->cpu = profile_add_metric(profile, "cpu", "ticks");
    reader->unknown = profile_add_frame(profile, &(struct frame){.kind = FRAME_UNKNOWN});
    reader->idle = profile_add_frame(
        profile, &(struct frame){.kind = FRAME_IDLE,
                                 .function = strings_intern(&profile->strings, "(idle)")});
    profile->quality.present = true;
    profile->meta.tool = strings_intern(&profile->strings, "perf script");
    struct span line;
    int more;
    while ((more = text_lines_next(lines, &line.text, &line.length, err)) > 0)
        read_line(reader, line);
    if (more < 0)
        return -1;
    finish(reader);
    if (!profile->samples.count)
        return error_set(err, ERROR_FORMAT,
                         "%s: has no samples that memprof can read; see "
                         "memprof-report(1) for the fields of perf script",
                         lines->name);
    *ret_profile = steal(&profile);
    return 0;
}
