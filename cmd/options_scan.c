#include "cmd/options_scan.h"

#include "cmd/options.h"

#include <string.h>

/* `primary` is the option itself, or the one that it is an alias of. */
static void table_add(struct option_table *table, const struct argp_option *option,
                      const struct argp_option *primary)
{
    struct argp_option entry = *option;
    entry.arg = primary->arg;
    entry.doc = primary->doc;
    entry.flags |= primary->flags & (OPTION_HIDDEN | OPTION_ARG_OPTIONAL);
    vec_append(&table->options, entry);
    if (entry.name)
        vec_append(&table->names, entry.name);
}

static void table_collect(struct option_table *table, const struct argp *argp, int depth)
{
    const struct argp_option *primary = argp->options;
    for (const struct argp_option *option = argp->options;
         option && (option->name || option->key || option->doc || option->group); option++) {
        if (!(option->flags & OPTION_ALIAS))
            primary = option;
        if ((option->name || option->key) && !(option->flags & OPTION_DOC))
            table_add(table, option, primary);
    }
    for (const struct argp_child *child = argp->children; child && child->argp && depth < 8;
         child++)
        table_collect(table, child->argp, depth + 1);
}

void option_table_build(const struct argp *argp, struct option_table *ret_table)
{
    static const struct argp_option builtin[] = {
        {.name = "help", .key = '?', .doc = "print the options"},
        {.name = "usage", .doc = "print the options in short"}};
    *ret_table = (struct option_table){0};
    table_add(ret_table, &builtin[0], &builtin[0]);
    table_add(ret_table, &builtin[1], &builtin[1]);
    table_collect(ret_table, argp, 0);
}

void option_table_release(struct option_table *table)
{
    vec_release(&table->options);
    vec_release(&table->names);
}

/* An exact name, or the only one that begins so. *ret_matches counts the candidates. */
static const struct argp_option *long_find(const struct option_table *table, const char *name,
                                           size_t length, int *ret_matches)
{
    const struct argp_option *found = NULL;
    *ret_matches = 0;
    for (size_t i = 0; i < table->options.count; i++) {
        const struct argp_option *option = &table->options.items[i];
        if (!option->name || strncmp(option->name, name, length) != 0)
            continue;
        if (strlen(option->name) == length) {
            *ret_matches = 1;
            return option;
        }
        if (!found || found->key != option->key)
            (*ret_matches)++;
        found = option;
    }
    return found;
}

static int fail_unknown(const struct option_table *table, const char *name, struct error *err)
{
    const char *nearest = name_nearest(name, table->names.items, table->names.count);
    if (nearest)
        return error_set(err, ERROR_USAGE, "unknown option --%s; did you mean --%s?", name,
                         nearest);
    return error_set(err, ERROR_USAGE, "unknown option --%s", name);
}

/* Returns how many of argv were used (1 or 2), or -1. */
static int long_scan(const struct option_table *table, const char *text, const char *next,
                     struct error *err)
{
    size_t length = strcspn(text, "=");
    bool attached = text[length] == '=';
    _cleanup_free_ char *name = xstrndup(text, length);
    int matches = 0;
    const struct argp_option *option = long_find(table, name, length, &matches);
    if (!option)
        return fail_unknown(table, name, err);
    if (matches > 1)
        return error_set(err, ERROR_USAGE, "--%s is the beginning of more than one option", name);
    if (attached && !option->arg)
        return error_set(err, ERROR_USAGE, "--%s takes no argument", option->name);
    bool needs = option->arg && !(option->flags & OPTION_ARG_OPTIONAL) && !attached;
    if (needs && !next)
        return error_set(err, ERROR_USAGE, "--%s needs an argument (%s)", option->name,
                         option->arg);
    return needs ? 2 : 1;
}

static int short_scan(const struct option_table *table, const char *letters, const char *next,
                      struct error *err)
{
    for (const char *letter = letters; *letter; letter++) {
        const struct argp_option *found = NULL;
        for (size_t i = 0; !found && i < table->options.count; i++)
            if (table->options.items[i].key == (unsigned char)*letter)
                found = &table->options.items[i];
        if (!found)
            return error_set(err, ERROR_USAGE, "unknown option -%c", *letter);
        if (!found->arg)
            continue;
        if (letter[1] || (found->flags & OPTION_ARG_OPTIONAL))
            return 1;
        if (!next)
            return error_set(err, ERROR_USAGE, "-%c needs an argument (%s)", *letter, found->arg);
        return 2;
    }
    return 1;
}

int options_scan(const struct argp *argp, int argc, char **argv, bool in_order, struct error *err)
{
    _cleanup_(option_table_release) struct option_table table;
    option_table_build(argp, &table);
    for (int i = 1; i < argc;) {
        const char *text = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        int used = 1;
        if (!strcmp(text, "--"))
            break;
        if (text[0] == '-' && text[1] == '-')
            used = long_scan(&table, text + 2, next, err);
        else if (text[0] == '-' && text[1])
            used = short_scan(&table, text + 1, next, err);
        else if (in_order)
            break;
        if (used < 0)
            return -1;
        i += used;
    }
    return 0;
}

enum { NAME_MAX_LENGTH = 63 };

/* Edits (insert, delete, replace, swap neighbours) from a to b. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NAME_MAX_LENGTH + 1], length = strlen(b);
    for (size_t j = 0; j <= length; j++)
        rows[0][j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best)
                best = before[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                earlier[j - 2] + 1 < best)
                best = earlier[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[strlen(a) % 3][length];
}

const char *name_nearest(const char *name, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t length = strlen(name), least = length / 3 + 2;
    if (!length || length > NAME_MAX_LENGTH)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > NAME_MAX_LENGTH)
            continue;
        size_t edits = distance(name, names[i]);
        if (edits < least && edits < strlen(names[i])) {
            least = edits;
            best = names[i];
        }
    }
    return best;
}
