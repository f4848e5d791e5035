/*
 * The layout is that of `node --prof-process`, down to the widths of the columns, so that eyes
 * and scripts that know it find their way. Differences: idle time is the "excluded" number, GC
 * ticks belong to no other row, kernel code has a section of its own, and so has time off the CPU.
 */
#include "output/report_text.h"

#include "core/v8_name.h"
#include "output/escape.h"
#include "output/summary.h"
#include "output/text.h"

#include <inttypes.h>
#include <string.h>

enum { CALLER_LEVELS = 5, TREE_INDENT_MAX = 60 };

const struct report_options report_defaults = {.cut_percent = 1.0, .thread = -1};

void report_heading(struct output_file *file, const struct report_options *options,
                    const char *name)
{
    const char *on = options->color ? "\033[1m" : "", *off = options->color ? "\033[0m" : "";
    output_printf(file, "\n %s[%s]:%s\n", on, name, off);
}

static void write_place(struct output_file *file, const char *source, uint32_t line,
                        uint32_t column)
{
    if (!*source && !line)
        return;
    output_text(file, " ");
    output_escaped(file, source);
    if (line)
        output_printf(file, ":%u", line);
    if (line && column)
        output_printf(file, ":%u", column);
}

static void write_function(struct output_file *file, const struct rows *rows, function_id function)
{
    const struct profile *profile = rows->profile;
    const struct function_row *row = &rows->functions.items[function];
    const struct frame *frame = &profile->frames.items[row->frame];
    const char *name = profile_string(profile, frame->function);
    const char *source = profile_string(profile, frame->file);
    const char *module = profile_string(profile, profile->modules.items[frame->module].path);
    switch (row->section) {
    case ROW_JAVASCRIPT:
        output_text(file, "JS: ");
        output_text(file, code_tier_mark(frame->tier));
        output_escaped(file, *name ? name : "<anonymous>");
        write_place(file, source, frame->line, frame->column);
        break;
    case ROW_NATIVE:
        output_escaped(file, *name ? name : "(program)");
        write_place(file, source, *source ? frame->line : 0, 0);
        if (!*source && *module) {
            output_text(file, *module == '[' ? " " : " [");
            output_escaped(file, base_name(module));
            output_text(file, *module == '[' ? "" : "]");
        }
        break;
    case ROW_KERNEL:
        output_escaped(file, *name ? name : *module ? module : "[kernel]");
        break;
    case ROW_LIBRARY:
        output_escaped(file, *module ? module : "[unknown module]");
        break;
    case ROW_GC:
        output_text(file, "(garbage collector)");
        break;
    case ROW_IDLE:
        output_text(file, "(idle)");
        break;
    case ROW_WAITING:
        output_text(file, "(off-CPU)");
        break;
    case ROW_RUNNABLE:
        output_text(file, "(runnable)");
        break;
    default:
        output_text(file, "UNKNOWN");
        break;
    }
}

static bool has_waits(const struct rows *rows)
{
    return rows->on_cpu < rows->ticks;
}

/* The third column is the share outside of libraries, as V8 has it, or else that on the CPU. */
static void write_columns(struct output_file *file, const struct rows *rows)
{
    output_text(file, has_waits(rows) ? "   ticks  total     cpu   name\n"
                                      : "   ticks  total  nonlib   name\n");
}

/* "  %5d  %5.1f%%  %5.1f%%  "; the third column is blank for ticks that it leaves out. */
static void write_counts(struct output_file *file, const struct rows *rows, uint64_t ticks,
                         enum row_section section)
{
    uint64_t counted = has_waits(rows) ? rows->on_cpu : rows->ticks - rows->sections[ROW_LIBRARY];
    bool left_out = has_waits(rows) ? row_is_off_cpu(section) : section == ROW_LIBRARY;
    output_printf(file, "  %5" PRIu64 "  %5.1f%%  ", ticks, percent(ticks, rows->ticks));
    if (left_out)
        output_text(file, "        ");
    else
        output_printf(file, "%5.1f%%  ", percent(ticks, counted));
}

static void write_section(struct output_file *file, const struct rows *rows,
                          const struct report_options *options, enum row_section section,
                          const char *name)
{
    uint64_t left_rows = 0, left_ticks = 0;
    uint32_t shown = 0;
    report_heading(file, options, name);
    if (options->sort_total)
        output_text(file, "   total  total    self   name\n");
    else
        write_columns(file, rows);
    for (size_t i = 0; i < rows->functions.count; i++) {
        const struct function_row *row = &rows->functions.items[rows->order[i]];
        if (row->section != section || !(options->sort_total ? row->total : row->self))
            continue;
        if (options->top && shown == options->top) {
            left_rows++;
            left_ticks += row->self;
            continue;
        }
        shown++;
        if (options->sort_total)
            output_printf(file, "  %5" PRIu64 "  %5.1f%%  %6" PRIu64 "  ", row->total,
                          percent(row->total, rows->ticks), row->self);
        else
            write_counts(file, rows, row->self, section);
        write_function(file, rows, rows->order[i]);
        output_text(file, "\n");
    }
    if (left_rows)
        output_printf(file, "  and %" PRIu64 " more with %" PRIu64 " ticks of their own\n",
                      left_rows, left_ticks);
}

static void write_summary(struct output_file *file, const struct rows *rows,
                          const struct report_options *options)
{
    static const struct {
        enum row_section section;
        const char *name;
    } lines[] = {
        {ROW_JAVASCRIPT, "JavaScript"},
        {ROW_NATIVE, "C++"},
        {ROW_KERNEL, "Kernel"},
        {ROW_GC, "GC"},
        {ROW_LIBRARY, "Shared libraries"},
        {ROW_UNACCOUNTED, "Unaccounted"},
        {ROW_WAITING, "Off-CPU"},
        {ROW_RUNNABLE, "Runnable"},
    };
    report_heading(file, options, "Summary");
    write_columns(file, rows);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        uint64_t ticks = rows->sections[lines[i].section];
        if (!ticks && lines[i].section != ROW_JAVASCRIPT && lines[i].section != ROW_NATIVE)
            continue;
        write_counts(file, rows, ticks, lines[i].section);
        output_printf(file, "%s\n", lines[i].name);
    }
}

struct waiter {
    function_id function;
    uint64_t ticks;
};

/* Equal ones in the order of the rows. */
static int waiter_compare(const void *a, const void *b)
{
    const struct waiter *x = a, *y = b;
    if (x->ticks != y->ticks)
        return x->ticks < y->ticks ? 1 : -1;
    return (x->function > y->function) - (x->function < y->function);
}

/* By the function that waits: the innermost one outside of the kernel. */
static void write_waiters(struct output_file *file, const struct rows *rows,
                          const struct report_options *options)
{
    vec(struct waiter) waiters = {0};
    uint64_t left_ticks = 0;
    for (function_id i = 0; i < rows->functions.count; i++)
        if (rows->functions.items[i].waiting)
            vec_append(&waiters, ((struct waiter){i, rows->functions.items[i].waiting}));
    if (waiters.count) {
        qsort(waiters.items, waiters.count, sizeof *waiters.items, waiter_compare);
        report_heading(file, options, "Off-CPU");
        output_text(file, "   ticks  total  of all   name\n");
    }
    for (size_t i = 0; i < waiters.count; i++) {
        if (options->top && i >= options->top) {
            left_ticks += waiters.items[i].ticks;
            continue;
        }
        output_printf(file, "  %5" PRIu64 "  %5.1f%%  %5.1f%%  ", waiters.items[i].ticks,
                      percent(waiters.items[i].ticks, rows->ticks),
                      percent(waiters.items[i].ticks, rows->sections[ROW_WAITING]));
        write_function(file, rows, waiters.items[i].function);
        output_text(file, "\n");
    }
    if (left_ticks)
        output_printf(file, "  and %zu more with %" PRIu64 " ticks\n", waiters.count - options->top,
                      left_ticks);
    vec_release(&waiters);
}

struct tree_writing {
    struct output_file *file;
    const struct rows *rows;
    uint32_t top, top_rows;
    bool any;
};

static void show_caller(void *context, const struct tree_row *row)
{
    struct tree_writing *writing = context;
    if (row->level == 0) {
        writing->top_rows++;
        if (writing->any && (!writing->top || writing->top_rows <= writing->top))
            output_text(writing->file, "\n");
    }
    if (writing->top && writing->top_rows > writing->top)
        return;
    writing->any = true;
    output_printf(writing->file, "  %5" PRIu64 "  %5.1f%%  %*s", row->ticks, row->share,
                  (int)row->level * 2, "");
    write_function(writing->file, writing->rows, row->function);
    output_text(writing->file, "\n");
}

static void write_callers(struct output_file *file, const struct rows *rows,
                          const struct report_options *options)
{
    struct tree_writing writing = {.file = file, .rows = rows, .top = options->top};
    report_heading(file, options, "Bottom up (heavy) profile");
    output_printf(file,
                  "  Note: percentage shows a share of a particular caller in the total\n"
                  "  amount of its parent calls.\n"
                  "  Callers occupying less than %.1f%% are not shown.\n"
                  "\n"
                  "   ticks parent  name\n",
                  options->cut_percent);
    rows_callers(rows, options->cut_percent, CALLER_LEVELS, show_caller, &writing);
}

static void show_callee(void *context, const struct tree_row *row)
{
    struct tree_writing *writing = context;
    int indent = row->level * 2 < TREE_INDENT_MAX ? (int)row->level * 2 : TREE_INDENT_MAX;
    output_printf(writing->file, "  %5" PRIu64 "  %5.1f%%  %6" PRIu64 "  %*s", row->ticks,
                  row->share, row->self, indent, "");
    write_function(writing->file, writing->rows, row->function);
    output_text(writing->file, "\n");
}

static void write_callees(struct output_file *file, const struct rows *rows,
                          const struct report_options *options)
{
    struct tree_writing writing = {.file = file, .rows = rows};
    report_heading(file, options, "Top down (tree) profile");
    output_printf(file,
                  "  Note: percentage shows a share of all ticks, with callees.\n"
                  "  Callees occupying less than %.1f%% are not shown.\n"
                  "\n"
                  "   ticks  total    self  name\n",
                  options->cut_percent);
    rows_callees(rows, options->cut_percent, show_callee, &writing);
}

static void write_header(struct output_file *file, const struct rows *rows,
                         const struct report_options *options)
{
    const struct profile *profile = rows->profile;
    const struct profile_meta *meta = &profile->meta;
    output_text(file, "Statistical profiling result from ");
    output_escaped(file, options->file_name ? options->file_name : "");
    output_printf(file, ", (%" PRIu64 " ticks", rows->ticks);
    if (has_waits(rows))
        output_printf(file, ", %" PRIu64 " of them off CPU", rows->ticks - rows->on_cpu);
    output_printf(file, ", %" PRIu64 " unaccounted, %" PRIu64 " excluded).\n",
                  rows->sections[ROW_UNACCOUNTED], rows->sections[ROW_IDLE]);
    if (!meta->pid && !meta->command)
        return;
    output_text(file, "Process");
    if (meta->pid)
        output_printf(file, " %u", meta->pid);
    if (meta->command) {
        output_text(file, " (");
        output_escaped(file, profile_string(profile, meta->command));
        output_text(file, ")");
    }
    output_printf(file, ", %.2f s", profile_duration_s(profile));
    if (profile_period_us(profile) > 0)
        output_printf(file, " at %.0f Hz", 1e6 / profile_period_us(profile));
    if (options->thread >= 0)
        output_printf(file, ", thread %" PRId64 " only", options->thread);
    output_text(file, ".\n");
}

void report_text(struct output_file *file, const struct profile *profile,
                 const struct report_options *options)
{
    _cleanup_(rows_release) struct rows rows;
    rows_gather(profile, options->thread, options->sort_total, &rows);
    write_header(file, &rows, options);
    write_section(file, &rows, options, ROW_JAVASCRIPT, "JavaScript");
    write_section(file, &rows, options, ROW_NATIVE, "C++");
    if (rows.sections[ROW_KERNEL] || profile->meta.kernel)
        write_section(file, &rows, options, ROW_KERNEL, "Kernel");
    write_section(file, &rows, options, ROW_LIBRARY, "Shared libraries");
    write_waiters(file, &rows, options);
    write_summary(file, &rows, options);
    if (options->tree)
        write_callees(file, &rows, options);
    else
        write_callers(file, &rows, options);
    report_process(file, &rows, options);
}
