/*
 * function_name.c - names are compared as text: C++ and Rust names are demangled already, and
 * what stands behind the last parenthesis of arguments ("const", "[clone .cold]") goes with them.
 * Reports put the mark of its tier in front of a JavaScript function: a name that is copied from
 * there has one.
 */
#include "cmd/function_name.h"

#include "cmd/options.h"
#include "core/bare_name.h"

#include <stdbool.h>
#include <string.h>

/* How well a name fits what was typed; the higher, the better. */
enum fit { FIT_NONE, FIT_PART, FIT_LAST_PART, FIT_WITHOUT_ARGUMENTS, FIT_WHOLE };

enum { NAMES_SHOWN = 5, NAMES_SHOWN_BYTES = 320 };

struct candidate {
    string_id name;
    uint64_t ticks;
    enum fit fit;
};

typedef vec(struct candidate) candidate_vec;

static bool ends_in(const char *name, size_t length, const char *end, size_t end_length)
{
    return length >= end_length && !strncmp(name + length - end_length, end, end_length);
}

static enum fit fit_of(const char *name, const char *typed)
{
    size_t bare = bare_name_length(name), length = strlen(typed);
    if (!strcmp(name, typed))
        return FIT_WHOLE;
    if (!length || !strstr(name, typed))
        return FIT_NONE;
    if (!ends_in(name, bare, typed, length))
        return FIT_PART;
    if (bare == length)
        return FIT_WITHOUT_ARGUMENTS;
    /* Behind a scope, or behind a template's type. */
    char before = name[bare - length - 1];
    return before == ':' || before == ' ' ? FIT_LAST_PART : FIT_PART;
}

static int candidate_compare(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->fit != b->fit)
        return a->fit > b->fit ? -1 : 1;
    if (a->ticks != b->ticks)
        return a->ticks > b->ticks ? -1 : 1;
    return (a->name > b->name) - (a->name < b->name);
}

/* Each function's name once, with its own ticks. */
static candidate_vec candidates_gather(const struct profile *profile, const char *typed)
{
    candidate_vec candidates = {0};
    _cleanup_free_ uint64_t *ticks = xcalloc(profile->strings.count, sizeof *ticks);
    _cleanup_free_ bool *seen = xcalloc(profile->strings.count, sizeof *seen);
    int64_t cpu = profile_find_metric(profile, "cpu");
    for (node_id i = 1; cpu >= 0 && i < profile->nodes.count; i++)
        ticks[profile_frame_of(profile, i)->function] += profile_self(profile, (metric_id)cpu, i);
    for (size_t i = 1; i < profile->frames.count; i++) {
        string_id name = profile->frames.items[i].function;
        if (!name || seen[name])
            continue;
        seen[name] = true;
        *vec_push(&candidates) =
            (struct candidate){.name = name,
                               .ticks = ticks[name],
                               .fit = fit_of(profile_string(profile, name), typed)};
    }
    if (candidates.count)
        qsort(candidates.items, candidates.count, sizeof *candidates.items, candidate_compare);
    return candidates;
}

static int fail_unknown(const struct profile *profile, const candidate_vec *candidates,
                        const char *typed, const char *file_name, struct error *err)
{
    vec(const char *) names = {0};
    vec(char *) bare = {0};
    for (size_t i = 0; i < candidates->count; i++) {
        const char *name = profile_string(profile, candidates->items[i].name);
        size_t length = bare_name_length(name), start = length;
        while (start && name[start - 1] != ':' && name[start - 1] != ' ')
            start--;
        vec_append(&bare, xstrndup(name + start, length - start));
        vec_append(&names, bare.items[i]);
    }
    const char *nearest = name_nearest(typed, names.items, names.count);
    if (nearest)
        error_set(err, ERROR_USAGE, "%s has no function '%.80s'; did you mean '%.200s'?", file_name,
                  typed, nearest);
    else
        error_set(err, ERROR_USAGE,
                  "%s has no function '%.80s'; `memprof report` lists those that it has", file_name,
                  typed);
    for (size_t i = 0; i < bare.count; i++)
        free(bare.items[i]);
    vec_release(&bare);
    vec_release(&names);
    return -1;
}

static int fail_ambiguous(const struct profile *profile, const candidate_vec *candidates,
                          size_t count, const char *typed, struct error *err)
{
    char shown[NAMES_SHOWN_BYTES + 8 * NAMES_SHOWN];
    size_t used = 0, names = count < NAMES_SHOWN ? count : NAMES_SHOWN;
    for (size_t i = 0; i < names; i++)
        used += (size_t)snprintf(shown + used, sizeof shown - used, "%s%.*s", i ? "; " : "",
                                 (int)(NAMES_SHOWN_BYTES / names),
                                 profile_string(profile, candidates->items[i].name));
    return error_set(err, ERROR_USAGE, "'%.80s' fits %zu functions, write more of the name: %s%s",
                     typed, count, shown, count > names ? "; …" : "");
}

/* Nothing fits "*fib", but "fib" is there. */
static bool is_marked(const struct profile *profile, const char *typed)
{
    if (!*typed || !strchr("~^+*", *typed))
        return false;
    candidate_vec whole = candidates_gather(profile, typed);
    candidate_vec bare = candidates_gather(profile, typed + 1);
    bool marked = whole.count && whole.items[0].fit == FIT_NONE && bare.items[0].fit == FIT_WHOLE;
    vec_release(&whole);
    vec_release(&bare);
    return marked;
}

int function_name_find(const struct profile *profile, const char *typed, const char *file_name,
                       string_id *ret_function, struct error *err)
{
    typed += is_marked(profile, typed);
    candidate_vec candidates = candidates_gather(profile, typed);
    size_t best = 0;
    while (best < candidates.count && candidates.items[best].fit == candidates.items[0].fit)
        best++;
    int status = 0;
    if (!best || candidates.items[0].fit == FIT_NONE)
        status = fail_unknown(profile, &candidates, typed, file_name, err);
    else if (best > 1)
        status = fail_ambiguous(profile, &candidates, best, typed, err);
    else
        *ret_function = candidates.items[0].name;
    vec_release(&candidates);
    return status;
}
