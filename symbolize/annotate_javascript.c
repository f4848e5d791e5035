/*
 * annotate_javascript.c - the lines of a JavaScript function: where it was itself, and from where
 * it called.
 *
 * Its frames are its own, in whatever tier, and the profile has their ticks by line already. A
 * line's total is of the stacks in which the function stood in it, each counted once: the ticks of
 * the line and of its calls, but not those below an outer call of the same function from the same
 * line. That is exact but where one outer call was seen in several lines: which of them a stack
 * below had is not stored, and then the total is the least that it can be.
 */
#include "core/limits.h"
#include "symbolize/annotate_internal.h"

#include <inttypes.h>

struct script {
    const struct profile *profile;
    string_id function; /* of profile */
    struct line_collector *lines;
    node_id *callees; /* by node: what the next outer node of the function called; 0: none */
    uint64_t *calls;  /* by node: its ticks in profile.calls, of all lines */
    bool doubtful;    /* an outer call was seen in several lines */
};

static bool is_function(const struct script *script, node_id node)
{
    const struct frame *frame = profile_frame_of(script->profile, node);
    return node && frame->kind == FRAME_JAVASCRIPT && frame->function == script->function;
}

static void find_callees(struct script *script)
{
    const struct profile *profile = script->profile;
    script->callees = xcalloc(profile->nodes.count, sizeof *script->callees);
    script->calls = xcalloc(profile->nodes.count, sizeof *script->calls);
    for (size_t i = 0; i < profile->calls.count; i++)
        script->calls[profile->calls.items[i].node] += profile->calls.items[i].ticks;
    for (node_id i = 1; i < profile->nodes.count; i++) {
        node_id parent = profile->nodes.items[i].parent;
        script->callees[i] = is_function(script, parent) ? i : script->callees[parent];
    }
}

/*
 * Whether an outer call of the function stands in the line, and so counts what is below. No
 * recorded stack is deeper than the bound; in a file that is, it is as if one does.
 */
static bool is_counted(struct script *script, node_id node, uint32_t line)
{
    const struct profile *profile = script->profile;
    string_id file = profile_frame_of(profile, node)->file;
    for (int depth = 0; (node = script->callees[node]); depth++) {
        node_id caller = profile->nodes.items[node].parent;
        uint64_t ticks = profile_frame_of(profile, caller)->file == file
                             ? profile_call_ticks(profile, node, line)
                             : 0;
        if (ticks || depth == LIMIT_GATHERED_FRAMES) {
            script->doubtful |= ticks < script->calls[node];
            return true;
        }
        node = caller;
    }
    return false;
}

/* Ticks of a line at a node of the function: `self` are its own. */
static void add_ticks(struct script *script, node_id node, uint32_t line, uint64_t self,
                      uint64_t ticks)
{
    struct annotation *annotation = script->lines->annotation;
    const struct frame *frame = profile_frame_of(script->profile, node);
    string_id file =
        strings_intern(&annotation->strings, profile_string(script->profile, frame->file));
    uint32_t position = collect_line(script->lines, file, line, frame->line, self);
    if (!is_counted(script, node, line))
        annotation->lines.items[position].total += ticks;
}

/* Its ticks with those of all that it calls, and alone. */
static uint64_t sum_ticks(const struct script *script, uint64_t *ret_self)
{
    const struct profile *profile = script->profile;
    int64_t cpu = profile_find_metric(profile, "cpu");
    uint64_t self = 0, total = 0;
    if (cpu >= 0) {
        _cleanup_free_ uint64_t *totals = profile_totals(profile, (metric_id)cpu);
        for (node_id i = 1; i < profile->nodes.count; i++) {
            if (!is_function(script, i))
                continue;
            self += profile_self(profile, (metric_id)cpu, i);
            total += script->callees[i] ? 0 : totals[i];
        }
    }
    *ret_self = self;
    return total;
}

void collect_javascript(const struct profile *profile, string_id function,
                        struct line_collector *lines)
{
    struct script script = {.profile = profile, .function = function, .lines = lines};
    struct annotation *annotation = lines->annotation;
    find_callees(&script);
    uint64_t self, with_line = 0, total = sum_ticks(&script, &self);
    bool called = false;
    for (size_t i = 0; i < profile->lines.count; i++) {
        const struct line_ticks *line = &profile->lines.items[i];
        if (!is_function(&script, line->node))
            continue;
        add_ticks(&script, line->node, line->line, line->ticks, line->ticks);
        with_line += line->ticks;
    }
    for (size_t i = 0; i < profile->calls.count; i++) {
        const struct line_ticks *call = &profile->calls.items[i];
        node_id caller = profile->nodes.items[call->node].parent;
        if (!is_function(&script, caller))
            continue;
        add_ticks(&script, caller, call->line, 0, call->ticks);
        called = true;
    }
    free(script.callees);
    free(script.calls);
    if (!with_line && !called)
        return;
    if (script.doubtful)
        annotation_note(annotation, "it calls itself from several lines: their totals are at least "
                                    "those shown");
    if (with_line < self)
        annotation_note(annotation, "%" PRIu64 " ticks have no line", self - with_line);
    for (size_t i = 0; i < annotation->lines.count; i++) {
        struct annotated_line *line = &annotation->lines.items[i];
        if (line->total && line->total < line->ticks)
            line->total = line->ticks;
    }
    annotation->ticks += self;
    annotation->self += self;
    annotation->has_totals = profile->calls.count > 0;
    annotation->with_calls = total;
}
