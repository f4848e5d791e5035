/*
 * Everything is known before the first byte is written (cpuprofile_tree.c has counted and
 * numbered), so the file goes out in one pass. Each long array is one walk over the packed
 * sequence of samples: two walks cost less than holding the arrays.
 */
#include "output/cpuprofile.h"

#include "output/cpuprofile_extension.h"
#include "output/cpuprofile_tree.h"
#include "output/json.h"

#include <inttypes.h>
#include <string.h>

/* Lines by node: those of node n are items[starts[n]] to items[starts[n + 1]]. */
struct line_table {
    uint32_t *starts;
    const struct line_ticks **items;
};

static void line_table_build(const struct profile *profile, struct line_table *ret_table)
{
    struct line_table table = {
        .starts = xcalloc(profile->nodes.count + 2, sizeof *table.starts),
        .items = xmalloc((profile->lines.count + 1) * sizeof(struct line_ticks *)),
    };
    for (size_t i = 0; i < profile->lines.count; i++)
        table.starts[profile->lines.items[i].node + 2]++;
    for (size_t i = 2; i < profile->nodes.count + 2; i++)
        table.starts[i] += table.starts[i - 1];
    for (size_t i = 0; i < profile->lines.count; i++)
        table.items[table.starts[profile->lines.items[i].node + 1]++] = &profile->lines.items[i];
    *ret_table = table;
}

static void line_table_release(struct line_table *table)
{
    free(table->starts);
    free(table->items);
}

/* "/a b" → "file:///a%20b" */
static void write_file_url(struct output_file *file, const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "/-._~+@:,=";
    output_text(file, "\"file://");
    for (; *path; path++) {
        if (strchr(plain, *path))
            output_write(file, path, 1);
        else
            output_printf(file, "%%%02X", (unsigned char)*path);
    }
    output_text(file, "\"");
}

/* A name for people; the extension tells the reader that it is none. */
static void write_stand_in(struct output_file *file, const struct profile *profile,
                           const struct frame *frame)
{
    const char *path = profile_string(profile, profile->modules.items[frame->module].path);
    const char *slash = *path == '[' ? NULL : strrchr(path, '/');
    const char *base = slash && slash[1] ? slash + 1 : path;
    _cleanup_free_ char *name = NULL;
    if (frame->kind == FRAME_IDLE)
        name = xstrdup("(idle)");
    else if (frame->kind == FRAME_GC)
        name = xstrdup("(garbage collector)");
    else if (frame->address)
        name = xasprintf("[%s+0x%" PRIx64 "]", base, frame->address);
    else if (*base)
        name = xasprintf(*base == '[' ? "%s" : "[%s]", base);
    else
        name = xstrdup(frame->kind == FRAME_KERNEL ? "[kernel]" : "[unknown]");
    json_write_string(file, name);
}

static void write_position(struct output_file *file, uint32_t position)
{
    if (position)
        output_unsigned(file, position - 1);
    else
        output_text(file, "-1");
}

static void write_frame(struct output_file *file, const struct profile *profile,
                        const struct frame *frame)
{
    const char *source = profile_string(profile, frame->file);
    output_text(file, "{\"functionName\":");
    if (frame->function || frame->kind == FRAME_JAVASCRIPT)
        json_write_string(file, profile_string(profile, frame->function));
    else
        write_stand_in(file, profile, frame);
    output_text(file, ",\"scriptId\":\"");
    output_unsigned(file, frame->script);
    output_text(file, "\",\"url\":");
    if (*source == '/')
        write_file_url(file, source);
    else if (frame->kind == FRAME_JAVASCRIPT)
        json_write_string(file, source);
    else
        output_text(file, "\"\"");
    output_text(file, ",\"lineNumber\":");
    write_position(file, frame->line);
    output_text(file, ",\"columnNumber\":");
    write_position(file, frame->column);
    output_text(file, "}");
}

static void write_meta_frame(struct output_file *file, const char *name)
{
    output_text(file, "{\"functionName\":");
    json_write_string(file, name);
    output_text(file, ",\"scriptId\":\"0\",\"url\":\"\",\"lineNumber\":-1,\"columnNumber\":-1}");
}

static void write_thread_frame(struct output_file *file, const struct tree *tree, uint32_t group)
{
    const struct profile *profile = tree->profile;
    if (tree->has_rest && group == tree->groups - 1) {
        write_meta_frame(file, "Other threads");
        return;
    }
    size_t thread = 0;
    while (tree->thread_groups[thread] != group)
        thread++;
    const char *name = profile_string(profile, profile->threads.items[thread].name);
    _cleanup_free_ char *text =
        *name ? xasprintf("Thread %u (%s)", profile->threads.items[thread].tid, name)
              : xasprintf("Thread %u", profile->threads.items[thread].tid);
    write_meta_frame(file, text);
}

static void write_children(struct output_file *file, uint32_t first_id, uint32_t count)
{
    if (!count)
        return;
    output_text(file, ",\"children\":[");
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            output_text(file, ",");
        output_unsigned(file, first_id + i);
    }
    output_text(file, "]");
}

static void write_lines(struct output_file *file, const struct line_table *lines, node_id node)
{
    if (lines->starts[node] == lines->starts[node + 1])
        return;
    output_text(file, ",\"positionTicks\":[");
    for (uint32_t i = lines->starts[node]; i < lines->starts[node + 1]; i++) {
        output_text(file, i == lines->starts[node] ? "{\"line\":" : ",{\"line\":");
        output_unsigned(file, lines->items[i]->line);
        output_text(file, ",\"ticks\":");
        output_unsigned(file, lines->items[i]->ticks);
        output_text(file, "}");
    }
    output_text(file, "]");
}

/* Without a sequence of samples the ticks themselves are the hits. */
static uint64_t entry_hits(const struct tree *tree, const struct tree_entry *entry, int64_t cpu)
{
    if (tree->profile->samples.count || cpu < 0)
        return entry->hits;
    return profile_self(tree->profile, (metric_id)cpu, entry->node);
}

static void write_nodes(struct output_file *file, const struct tree *tree)
{
    const struct profile *profile = tree->profile;
    int64_t cpu = profile_find_metric(profile, "cpu");
    _cleanup_(line_table_release) struct line_table lines;
    line_table_build(profile, &lines);
    uint32_t next_child = 2;
    output_text(file, "{\"nodes\":[");
    for (size_t i = 0; i < tree->entries.count; i++) {
        uint32_t index = tree->order[i];
        const struct tree_entry *entry = &tree->entries.items[index];
        output_text(file, i ? ",\n{\"id\":" : "{\"id\":");
        output_unsigned(file, entry->id);
        output_text(file, ",\"callFrame\":");
        if (entry->node == TREE_IDLE_NODE)
            write_meta_frame(file, "(idle)");
        else if (entry->node == 0 && entry->group != TREE_NO_GROUP)
            write_thread_frame(file, tree, entry->group);
        else if (entry->node == 0)
            write_meta_frame(file, "(root)");
        else
            write_frame(file, profile, profile_frame_of(profile, entry->node));
        output_text(file, ",\"hitCount\":");
        output_unsigned(file, entry_hits(tree, entry, cpu));
        write_children(file, next_child, tree->child_counts[index]);
        next_child += tree->child_counts[index];
        if (entry->node != TREE_IDLE_NODE && tree->first_ids[entry->node] == entry->id)
            write_lines(file, &lines, entry->node);
        output_text(file, "}");
    }
    output_text(file, "]");
}

int cpuprofile_write(struct output_file *file, const struct profile *profile,
                     const struct write_options *options, struct error *err)
{
    _cleanup_(tree_release) struct tree tree = {0};
    if (tree_build(profile, options, &tree, err) < 0)
        return -1;
    write_nodes(file, &tree);
    output_text(file, ",\n\"startTime\":");
    cpuprofile_write_signed(file, (int64_t)profile->meta.start_us);
    output_text(file, ",\"endTime\":");
    cpuprofile_write_signed(file, (int64_t)profile->meta.end_us);
    output_text(file, ",\n");
    cpuprofile_write_samples(file, &tree, false);
    output_text(file, ",\n");
    cpuprofile_write_extension(file, &tree);
    output_text(file, "}\n");
    return 0;
}
