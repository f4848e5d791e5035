/*
 * The fields of a head have no marks of their own, and a command name may hold spaces and
 * numbers. What can't be mistaken is the time ("709.570895:"), so the line is read from there: the
 * task stands before it, the event behind. Without a time the task is the first number that an
 * event, a CPU or an address follows.
 *
 * A function's name may hold spaces and parentheses as well, and so may a library's path, so a
 * frame is read from both ends: the address in front, the last balanced parentheses behind.
 */
#include "output/perf_script_line.h"

#include "output/digits.h"

#include <string.h>

enum { TOKENS = 32, FIELDS_BEFORE_TIME = 4 };

bool span_is(struct span span, const char *text)
{
    return span.length == strlen(text) && !memcmp(span.text, text, span.length);
}

bool span_starts(struct span span, const char *text)
{
    return span.length >= strlen(text) && !memcmp(span.text, text, strlen(text));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

struct span span_trim(struct span span)
{
    while (span.length && is_space(*span.text)) {
        span.text++;
        span.length--;
    }
    while (span.length && is_space(span.text[span.length - 1]))
        span.length--;
    return span;
}

static struct span span_after(struct span span, struct span part)
{
    const char *end = part.text + part.length;
    return span_trim((struct span){end, (size_t)(span.text + span.length - end)});
}

static struct span first_token(struct span span)
{
    span = span_trim(span);
    size_t length = 0;
    while (length < span.length && !is_space(span.text[length]))
        length++;
    return (struct span){span.text, length};
}

static bool span_number(struct span span, unsigned base, uint64_t *ret_value)
{
    return number_read(span.text, span.length, base, ret_value);
}

/* "709.570895:" or, with --ns, "709.570895123:". */
static bool time_read(struct span token, uint64_t *ret_us)
{
    const char *point = memchr(token.text, '.', token.length);
    uint64_t seconds, fraction;
    if (!point || token.text[token.length - 1] != ':')
        return false;
    struct span behind = {point + 1, (size_t)(token.text + token.length - 1 - (point + 1))};
    if (!span_number((struct span){token.text, (size_t)(point - token.text)}, 10, &seconds) ||
        seconds > UINT32_MAX || !span_number(behind, 10, &fraction) || behind.length > 9)
        return false;
    for (size_t digits = behind.length; digits < 6; digits++)
        fraction *= 10;
    for (size_t digits = behind.length; digits > 6; digits--)
        fraction /= 10;
    *ret_us = seconds * 1000000 + fraction;
    return true;
}

/* "4243" or "4242/4243"; a thread that is gone is -1. */
static bool task_read(struct span token, uint32_t *ret_pid, uint32_t *ret_tid)
{
    const char *slash = memchr(token.text, '/', token.length);
    size_t first = slash ? (size_t)(slash - token.text) : token.length;
    struct span parts[2] = {{token.text, first}, {token.text, first}};
    uint64_t ids[2] = {0, 0};
    if (slash)
        parts[1] = (struct span){slash + 1, token.length - first - 1};
    for (size_t i = 0; i < 2; i++)
        if (!span_is(parts[i], "-1") && (!span_number(parts[i], 10, &ids[i]) || ids[i] > INT32_MAX))
            return false;
    *ret_pid = slash ? (uint32_t)ids[0] : 0;
    *ret_tid = (uint32_t)ids[1];
    return true;
}

static bool is_cpu(struct span token)
{
    uint64_t number;
    return token.length > 2 && token.text[0] == '[' && token.text[token.length - 1] == ']' &&
           span_number((struct span){token.text + 1, token.length - 2}, 10, &number);
}

static bool is_event(struct span token)
{
    return token.length > 1 && token.text[token.length - 1] == ':';
}

static bool is_address(struct span token)
{
    uint64_t address;
    return token.length >= 4 && span_number(token, 16, &address);
}

/* What comes behind time or task: [period] [event:] [frame]. */
static void read_tail(struct span tail, struct perf_head *head)
{
    struct span token = first_token(tail);
    uint64_t period;
    if (span_number(token, 10, &period)) {
        struct span behind = span_after(tail, token);
        /* An address can look like a period; an event tells them apart. */
        if (!behind.length || is_event(first_token(behind))) {
            head->period = period;
            tail = behind;
            token = first_token(tail);
        }
    }
    if (is_event(token)) {
        head->event = (struct span){token.text, token.length - 1};
        tail = span_after(tail, token);
    }
    head->rest = tail;
}

static bool is_task_without_time(const struct span *tokens, size_t count, size_t at,
                                 struct perf_head *head)
{
    if (!task_read(tokens[at], &head->pid, &head->tid))
        return false;
    if (at + 1 < count && is_cpu(tokens[at + 1]))
        return true;
    if (at + 1 == count || is_event(tokens[at + 1]) || is_address(tokens[at + 1]))
        return true;
    uint64_t period;
    return at + 2 < count && span_number(tokens[at + 1], 10, &period) && is_event(tokens[at + 2]);
}

/* The task before token `time`, if there is one; *ret_at is its place. */
static bool find_task(const struct span *tokens, size_t count, size_t time, struct perf_head *head,
                      size_t *ret_at)
{
    if (head->has_time) {
        for (size_t i = time; i-- > 0 && time - i <= FIELDS_BEFORE_TIME;)
            if (task_read(tokens[i], &head->pid, &head->tid)) {
                *ret_at = i;
                return true;
            }
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (is_task_without_time(tokens, count, i, head)) {
            *ret_at = i;
            return true;
        }
    return false;
}

bool perf_head_parse(struct span line, struct perf_head *ret_head)
{
    struct span tokens[TOKENS], left = span_trim(line);
    struct perf_head head = {.pid = 0};
    size_t count = 0, time = 0, task = 0;
    for (; left.length && count < TOKENS && !head.has_time; count++) {
        tokens[count] = first_token(left);
        left = span_after(left, tokens[count]);
        head.has_time = time_read(tokens[count], &head.time_us);
        time = count;
    }
    if (!count)
        return false;
    head.has_task = find_task(tokens, count, time, &head, &task);
    if (!head.has_time && !head.has_task)
        return false;
    size_t comm_end = head.has_task ? task : time;
    if (comm_end)
        head.comm =
            (struct span){tokens[0].text, (size_t)(tokens[comm_end - 1].text +
                                                   tokens[comm_end - 1].length - tokens[0].text)};
    size_t last = head.has_time ? time : task;
    if (!head.has_time && task + 1 < count && is_cpu(tokens[task + 1]))
        last++;
    read_tail(span_after(line, tokens[last]), &head);
    *ret_head = head;
    return true;
}

/* Cuts " (…)" off the end, with balanced parentheses. */
static struct span cut_module(struct span *text)
{
    size_t depth = 0;
    for (size_t i = text->length; i-- > 0;) {
        depth += text->text[i] == ')';
        if (!depth)
            break;
        if (text->text[i] != '(' || --depth)
            continue;
        struct span module = {text->text + i + 1, text->length - i - 2};
        if (i && !is_space(text->text[i - 1]))
            break;
        text->length = i;
        *text = span_trim(*text);
        return module;
    }
    return (struct span){"", 0};
}

/* "name+0x3f" → "name" */
static struct span without_offset(struct span name)
{
    size_t at = name.length;
    uint64_t offset;
    while (at && name.text[at - 1] != '+')
        at--;
    struct span behind = {name.text + at, name.length - at};
    if (at && span_starts(behind, "0x") &&
        span_number((struct span){behind.text + 2, behind.length - 2}, 16, &offset))
        name.length = at - 1;
    return name;
}

bool perf_frame_parse(struct span line, struct perf_frame *ret_frame)
{
    struct perf_frame frame = {.address = 0};
    struct span token = first_token(line);
    if (!span_number(token, 16, &frame.address))
        return false;
    struct span text = span_after(line, token);
    frame.module = cut_module(&text);
    frame.inlined = span_is(frame.module, "inlined");
    frame.function = without_offset(text);
    if (span_is(frame.function, "[unknown]"))
        frame.function.length = 0;
    if (frame.inlined || span_is(frame.module, "[unknown]"))
        frame.module.length = 0;
    *ret_frame = frame;
    return true;
}
