/*
 * One pass over the lines, which are in order of time: code comes and goes between the ticks, and
 * a tick's addresses mean what the code before it says. (V8's log.cc writes them, its
 * tools/tickprocessor.mjs is the reader that this one must agree with.)
 *
 *   shared-library,PATH,BASE,END,SLIDE       BASE: start of the mapping less its file offset
 *   code-creation,TYPE,KIND,µs,START,SIZE,NAME[,FUNCTION,TIER]
 *   code-move,FROM,TO    code-delete,START    new,CodeRange,START,SIZE
 *   tick,PC,µs,EXTERNAL,TOS or callback,STATE[,CALLER…]
 *
 * The stack of a tick holds JavaScript frames only, so of native code the innermost function is
 * known, and the function that JavaScript called: while EXTERNAL is 1 its entry stands in the
 * fourth field. Else that field is the top of the stack, and if it lies in JavaScript, it is a
 * caller whose frame was not yet built.
 */
#include "output/v8log.h"

#include "core/limits.h"
#include "output/digits.h"
#include "core/utf8.h"
#include "output/v8log_code.h"

#include <inttypes.h>
#include <string.h>

/* V8's StateTag (include/v8-unwinder.h). */
enum { STATE_GC = 1, STATE_ATOMICS_WAIT = 7, STATE_IDLE = 8 };

enum { V8_STACK_FRAMES = 255 }; /* TickSample::kMaxFramesCount: longer stacks are cut */

struct reader {
    struct profile *profile;
    struct v8log_code *code;
    metric_id cpu;
    thread_id thread;
    frame_id gc, idle, unknown;
    uint64_t malformed;
    vec(char) text; /* the last unescaped field */
};

struct fields { /* the rest of a line; at is NULL behind the last field */
    const char *at, *end;
};

/* --- fields --- */

static bool field_next(struct fields *fields, const char **ret_text, size_t *ret_length)
{
    if (!fields->at)
        return false;
    size_t left = (size_t)(fields->end - fields->at);
    const char *comma = memchr(fields->at, ',', left);
    *ret_text = fields->at;
    *ret_length = comma ? (size_t)(comma - fields->at) : left;
    fields->at = comma ? comma + 1 : NULL;
    return true;
}

static bool text_is(const char *text, size_t length, const char *wanted)
{
    return length == strlen(wanted) && !memcmp(text, wanted, length);
}

/* "123" or "0x7f00"; the whole text. */
static bool number_parse(const char *text, size_t length, uint64_t *ret_value)
{
    bool hexadecimal = length > 2 && text[0] == '0' && (text[1] | 0x20) == 'x';
    size_t prefix = hexadecimal ? 2 : 0;
    return number_read(text + prefix, length - prefix, hexadecimal ? 16 : 10, ret_value);
}

static bool field_number(struct fields *fields, uint64_t *ret_value)
{
    const char *text;
    size_t length;
    return field_next(fields, &text, &length) && number_parse(text, length, ret_value);
}

/* The UTF-16 unit of "\xNN" or "\uNNNN" at a backslash, -1 if it is no such escape. */
static int32_t escaped_unit(const char *at, const char *end)
{
    size_t digits = end - at < 2 ? 0 : at[1] == 'x' ? 2 : at[1] == 'u' ? 4 : 0;
    if (!digits || (size_t)(end - at) < digits + 2)
        return -1;
    uint64_t unit;
    return number_read(at + 2, digits, 16, &unit) ? (int32_t)unit : -1;
}

/* Decodes the escape at *at, a backslash, and moves behind it. */
static uint32_t escape_decode(const char **at, const char *end)
{
    const char *escape = *at;
    int32_t unit = escaped_unit(escape, end);
    if (unit < 0) {
        bool known = end - escape >= 2 && (escape[1] == 'n' || escape[1] == '\\');
        *at += known ? 2 : 1;
        return known && escape[1] == 'n' ? '\n' : '\\';
    }
    *at += escape[1] == 'x' ? 4 : 6;
    if (unit < 0xd800 || unit > 0xdfff)
        return (uint32_t)unit;
    int32_t low = unit < 0xdc00 && *at < end && **at == '\\' ? escaped_unit(*at, end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    *at += 6;
    return 0x10000 + ((uint32_t)unit - 0xd800) * 0x400 + ((uint32_t)low - 0xdc00);
}

static void text_begin(struct reader *reader)
{
    vec_reserve(&reader->text, 1);
    reader->text.count = 0;
    *reader->text.items = '\0';
}

static void text_append(struct reader *reader, const char *text, size_t length)
{
    vec_reserve(&reader->text, reader->text.count + length + 1);
    memcpy(reader->text.items + reader->text.count, text, length);
    reader->text.count += length;
    reader->text.items[reader->text.count] = '\0';
}

/* Appends a field to reader->text, its escapes decoded; an escape is longer than its character. */
static void text_append_field(struct reader *reader, const char *text, size_t length)
{
    const char *end = text + length;
    while (text < end) {
        const char *escape = memchr(text, '\\', (size_t)(end - text));
        text_append(reader, text, (size_t)((escape ? escape : end) - text));
        if (!escape)
            return;
        char character[4];
        text = escape;
        size_t encoded = utf8_encode(escape_decode(&text, end), character);
        text_append(reader, character, encoded);
    }
}

/* --- lines --- */

static bool read_version(struct reader *reader, struct fields fields)
{
    const char *part;
    size_t length;
    text_begin(reader);
    text_append(reader, "V8 ", 3);
    for (unsigned i = 0; i < 5 && field_next(&fields, &part, &length); i++) {
        if (i && i < 4)
            text_append(reader, ".", 1);
        text_append_field(reader, part, length);
    }
    reader->profile->meta.tool = strings_intern(&reader->profile->strings, reader->text.items);
    return true;
}

static bool read_profiler(struct reader *reader, struct fields fields)
{
    const char *action;
    size_t length;
    uint64_t period;
    if (!field_next(&fields, &action, &length))
        return false;
    if (!text_is(action, length, "begin"))
        return true;
    if (!field_number(&fields, &period) || period > UINT32_MAX)
        return false;
    reader->profile->meta.period_us = period;
    return true;
}

static bool read_shared_library(struct reader *reader, struct fields fields)
{
    const char *path;
    size_t length;
    uint64_t base, end;
    if (!field_next(&fields, &path, &length) || !length || length > LIMIT_PATH_BYTES ||
        !field_number(&fields, &base) || !field_number(&fields, &end))
        return false;
    text_begin(reader);
    text_append_field(reader, path, length);
    struct profile *profile = reader->profile;
    /* The executable is mapped first. */
    if (!profile->meta.command && *reader->text.items == '/')
        profile->meta.command = strings_intern(&profile->strings, reader->text.items);
    return v8log_code_map_file(reader->code, reader->text.items, base, end);
}

/* new,CodeRange,START,SIZE: other kinds of memory are of no interest. */
static bool read_new(struct reader *reader, struct fields fields)
{
    const char *kind;
    size_t length;
    uint64_t start;
    if (!field_next(&fields, &kind, &length) || !field_number(&fields, &start))
        return false;
    return !text_is(kind, length, "CodeRange") || v8log_code_add_heap(reader->code, start);
}

static bool read_code_creation(struct reader *reader, struct fields fields)
{
    const char *type, *skipped, *name, *function, *tier = "";
    size_t type_length, name_length, length, tier_length = 0;
    uint64_t start, size;
    if (!field_next(&fields, &type, &type_length) || type_length > 64 ||
        !field_next(&fields, &skipped, &length) || !field_next(&fields, &skipped, &length) ||
        !field_number(&fields, &start) || !field_number(&fields, &size) ||
        !field_next(&fields, &name, &name_length) || name_length > LIMIT_STRING_BYTES)
        return false;
    enum v8log_kind kind = text_is(type, type_length, "BytecodeHandler") ? V8LOG_HANDLER
                           : text_is(type, type_length, "Builtin")       ? V8LOG_BUILTIN
                                                                         : V8LOG_RUNTIME;
    bool javascript = !text_is(type, type_length, "RegExp") &&
                      field_next(&fields, &function, &length) &&
                      field_next(&fields, &tier, &tier_length);
    text_begin(reader);
    if (javascript) {
        text_append(reader, tier, tier_length < 1 ? tier_length : 1);
    } else {
        text_append_field(reader, type, type_length);
        text_append(reader, ": ", 2);
    }
    text_append_field(reader, name, name_length);
    return v8log_code_add(reader->code, javascript ? V8LOG_JAVASCRIPT : kind, reader->text.items,
                          reader->text.count, start, size);
}

static bool read_code_move(struct reader *reader, struct fields fields)
{
    uint64_t from, to;
    if (!field_number(&fields, &from) || !field_number(&fields, &to))
        return false;
    v8log_code_move(reader->code, from, to);
    return true;
}

static bool read_code_delete(struct reader *reader, struct fields fields)
{
    uint64_t start;
    if (!field_number(&fields, &start))
        return false;
    v8log_code_delete(reader->code, start);
    return true;
}

/* --- ticks --- */

struct stack {
    frame_id frames[LIMIT_STACK_FRAMES];
    size_t count;
};

static void stack_push(struct stack *stack, frame_id frame)
{
    if (stack->count < LIMIT_STACK_FRAMES)
        stack->frames[stack->count++] = frame;
}

/*
 * The callers' addresses. An unknown one is left out, and so is the handler of a bytecode, which
 * its function stands for.
 */
static bool read_callers(struct reader *reader, struct fields *fields, uint64_t pc,
                         struct stack *stack)
{
    const char *text;
    size_t length, callers = 0;
    uint64_t relative = pc;
    while (field_next(fields, &text, &length)) {
        uint64_t address = 0;
        bool sign = length && (*text == '+' || *text == '-');
        if (text_is(text, length, "overflow")) {
            reader->profile->quality.lost++;
            continue;
        }
        if (!number_parse(text + sign, length - sign, &address))
            return false;
        if (sign)
            address = relative += *text == '-' ? 0 - address : address;
        struct v8log_place place = v8log_code_find(reader->code, address);
        if (place.kind != V8LOG_NOTHING && place.kind != V8LOG_HANDLER)
            stack_push(stack, place.frame);
        callers++;
    }
    reader->profile->quality.truncated += callers >= V8_STACK_FRAMES;
    return true;
}

/* Adds a tick; its stack may end early, where its line is malformed. */
static void add_tick(struct reader *reader, uint64_t time_us, const struct stack *stack)
{
    struct profile *profile = reader->profile;
    node_id node = profile_add_stack(profile, 0, stack->frames, stack->count);
    struct sample sample = {time_us, reader->thread, node};
    sequence_append(&profile->samples, &sample);
    profile_add_self(profile, reader->cpu, node, 1);
    profile->quality.samples++;
    if (time_us > profile->meta.end_us)
        profile->meta.end_us = time_us;
}

static bool read_tick(struct reader *reader, struct fields fields)
{
    uint64_t pc, time_us, external, top, state;
    struct stack stack;
    if (!field_number(&fields, &pc) || !field_number(&fields, &time_us) || time_us > INT64_MAX ||
        !field_number(&fields, &external) || !field_number(&fields, &top) ||
        !field_number(&fields, &state))
        return false;
    stack.count = 0;
    if (state == STATE_IDLE || state == STATE_ATOMICS_WAIT) {
        stack_push(&stack, reader->idle);
        add_tick(reader, time_us, &stack);
        return true;
    }
    struct v8log_place at = v8log_code_find(reader->code, pc);
    if (state == STATE_GC)
        stack_push(&stack, reader->gc);
    else if (at.kind == V8LOG_NOTHING)
        stack_push(&stack, reader->unknown);
    else if (at.kind != V8LOG_HANDLER)
        stack_push(&stack, at.frame);
    struct v8log_place above = {V8LOG_NOTHING, 0};
    if (top)
        above = v8log_code_find(reader->code, top);
    if (external ? above.kind != V8LOG_NOTHING : above.kind == V8LOG_JAVASCRIPT)
        stack_push(&stack, above.frame);
    bool whole = read_callers(reader, &fields, external ? top : pc, &stack);
    if (!stack.count)
        stack_push(&stack, at.frame);
    reader->profile->quality.broken += !whole;
    add_tick(reader, time_us, &stack);
    return whole;
}

/* --- the log --- */

static const struct {
    const char *name;
    bool (*read)(struct reader *reader, struct fields fields);
} events[] = {
    {"tick", read_tick},
    {"code-creation", read_code_creation},
    {"code-move", read_code_move},
    {"code-delete", read_code_delete},
    {"shared-library", read_shared_library},
    {"new", read_new},
    {"profiler", read_profiler},
    {"v8-version", read_version},
};

static void read_line(struct reader *reader, const char *line, size_t length)
{
    struct fields fields = {line, line + length};
    const char *name;
    size_t name_length;
    if (!field_next(&fields, &name, &name_length))
        return;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (text_is(name, name_length, events[i].name)) {
            reader->malformed += !events[i].read(reader, fields);
            return;
        }
}

bool v8log_matches(const char *head, size_t length)
{
    static const char *const starts[] = {"v8-version,",    "v8-platform,", "shared-library,",
                                         "code-creation,", "profiler,",    "tick,"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (length >= strlen(starts[i]) && !memcmp(head, starts[i], strlen(starts[i])))
            return true;
    return false;
}

/* isolate-0x55d0-4242-v8.log: Node puts the process into the name of the file. */
static uint32_t pid_of_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    uint32_t pid;
    int end = 0;
    if (sscanf(slash ? slash + 1 : name, "isolate-0x%*x-%9" SCNu32 "-v8.log%n", &pid, &end) == 1 &&
        end)
        return pid;
    return 0;
}

static frame_id named_frame(struct profile *profile, enum frame_kind kind, const char *name)
{
    return profile_add_frame(
        profile,
        &(struct frame){.kind = kind, .function = strings_intern(&profile->strings, name)});
}

static void finish(struct reader *reader)
{
    struct profile *profile = reader->profile;
    profile->threads.items[reader->thread].ticks = profile_sum(profile, reader->cpu);
    if (!reader->malformed)
        return;
    _cleanup_free_ char *note =
        xasprintf("%" PRIu64 " malformed lines of the log were passed over", reader->malformed);
    profile->quality.note = strings_intern(&profile->strings, note);
}

static void reader_release(struct reader *reader)
{
    v8log_code_free(reader->code);
    vec_release(&reader->text);
}

int v8log_read(struct text_lines *lines, struct profile **ret_profile, struct error *err)
{
    _cleanup_profile_ struct profile *profile = profile_new();
    _cleanup_(reader_release) struct reader reader = {
        .profile = profile,
        .code = v8log_code_new(profile),
        .cpu = profile_add_metric(profile, "cpu", "ticks"),
        .gc = named_frame(profile, FRAME_GC, "(garbage collector)"),
        .idle = named_frame(profile, FRAME_IDLE, "(idle)"),
        .unknown = named_frame(profile, FRAME_UNKNOWN, ""),
    };
    profile->quality.present = true;
    profile->quality.sampler = strings_intern(&profile->strings, "V8's --prof");
    profile->meta.pid = pid_of_name(lines->name);
    reader.thread = profile_add_thread(profile, profile->meta.pid, 0, "");
    const char *line;
    size_t length;
    int more;
    while ((more = text_lines_next(lines, &line, &length, err)) > 0) {
        if (lines->whole)
            read_line(&reader, line, length);
        else
            reader.malformed++;
    }
    if (more < 0)
        return -1;
    finish(&reader);
    *ret_profile = steal(&profile);
    return 0;
}
