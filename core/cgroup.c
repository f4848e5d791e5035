/*
 * cgroup.c - /proc/PID/cgroup says which group of which hierarchy, /proc/PID/mountinfo where that
 * hierarchy is mounted, and from which group on: in a container the mount begins at the
 * container's own group, or its namespace says so and both paths begin there.
 */
#include "core/cgroup.h"

#include "core/alloc.h"
#include "core/small_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    CGROUP_BYTES = 64 << 10,
    MOUNTINFO_BYTES = 4 << 20,
    /* mountinfo's fields, proc_pid_mountinfo(5) */
    FIELD_ROOT = 3,
    FIELD_POINT = 4,
    FIELDS_LEAST = 6
};

/* Whether `word` is one of the words of a list with commas. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, word, length) && (!at[length] || at[length] == ','))
            return true;
    }
    return false;
}

/* "4:memory:/path" for version 1, "0::/path" for version 2. */
static void parse_groups(char *text, struct cgroup *cgroup)
{
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path || path[1] != '/')
            continue;
        *controllers++ = *path++ = '\0';
        bool unified = !*controllers && !strcmp(line, "0");
        if (unified ? cgroup->version : !list_has(controllers, "memory"))
            continue;
        cgroup->version = unified ? 2 : 1;
        snprintf(cgroup->path, sizeof cgroup->path, "%s", path);
    }
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        int value = 0, digits = 0;
        while (*from == '\\' && digits < 3 && from[1 + digits] >= '0' && from[1 + digits] <= '7')
            value = value * 8 + (from[1 + digits++] - '0');
        *to = digits == 3 ? (char)value : *from;
        from += digits == 3 ? 4 : 1;
    }
    *to = '\0';
}

/* The group's path below the mount: "" if it is the mount's root, or lies outside of it. */
static const char *below_root(const char *path, const char *root)
{
    size_t length = strlen(root);
    if (!strcmp(root, "/"))
        return strcmp(path, "/") != 0 && strncmp(path, "/..", 3) != 0 ? path : "";
    return !strncmp(path, root, length) && path[length] == '/' ? path + length : "";
}

static void parse_mount(char *line, struct cgroup *cgroup)
{
    char *fields[FIELDS_LEAST], *save = NULL;
    char *rest = strstr(line, " - ");
    if (!rest)
        return;
    *rest = '\0';
    rest += strlen(" - ");
    for (int i = 0; i < FIELDS_LEAST; i++)
        if (!(fields[i] = strtok_r(i ? NULL : line, " ", &save)))
            return;
    const char *type = strtok_r(rest, " ", &save);
    const char *source = strtok_r(NULL, " ", &save);
    const char *options = strtok_r(NULL, " ", &save);
    bool matches = type && source && options &&
                   (cgroup->version == 2 ? !strcmp(type, "cgroup2")
                                         : !strcmp(type, "cgroup") && list_has(options, "memory"));
    if (!matches || *cgroup->top)
        return;
    unescape(fields[FIELD_ROOT]);
    unescape(fields[FIELD_POINT]);
    const char *below = below_root(cgroup->path, fields[FIELD_ROOT]);
    if (strlen(fields[FIELD_POINT]) + strlen(below) >= sizeof cgroup->directory)
        return;
    snprintf(cgroup->top, sizeof cgroup->top, "%s", fields[FIELD_POINT]);
    snprintf(cgroup->directory, sizeof cgroup->directory, "%s%s", cgroup->top, below);
}

void cgroup_parse(char *cgroup_text, char *mountinfo_text, struct cgroup *ret_cgroup)
{
    char *save = NULL;
    *ret_cgroup = (struct cgroup){0};
    parse_groups(cgroup_text, ret_cgroup);
    if (!ret_cgroup->version)
        return;
    for (char *line = strtok_r(mountinfo_text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save))
        parse_mount(line, ret_cgroup);
}

void cgroup_find(struct cgroup *ret_cgroup)
{
    _cleanup_free_ char *groups = xcalloc(1, CGROUP_BYTES);
    _cleanup_free_ char *mounts = xcalloc(1, MOUNTINFO_BYTES);
    small_file_read("/proc/self/cgroup", groups, CGROUP_BYTES);
    small_file_read("/proc/self/mountinfo", mounts, MOUNTINFO_BYTES);
    cgroup_parse(groups, mounts, ret_cgroup);
}

uint64_t cgroup_memory_limit(const struct cgroup *cgroup)
{
    const char *name = cgroup->version == 2 ? "memory.max" : "memory.limit_in_bytes";
    uint64_t least = CGROUP_NO_LIMIT;
    _cleanup_free_ char *directory = xstrdup(cgroup->directory);
    size_t top = strlen(cgroup->top);
    /* Each group of the path; version 2's "max" is no number, version 1's none is near 2^63. */
    while (*directory) {
        _cleanup_free_ char *path = xasprintf("%s/%s", directory, name);
        int64_t limit = small_file_number(path, -1);
        if (limit >= 0 && limit < INT64_MAX / 2 && (uint64_t)limit < least)
            least = (uint64_t)limit;
        char *slash = strrchr(directory, '/');
        if (!slash || strlen(directory) <= top)
            break;
        *slash = '\0';
    }
    return least;
}
