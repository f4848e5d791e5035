#include "core/bare_name.h"

#include <stdbool.h>
#include <string.h>

size_t bare_name_length(const char *name)
{
    static const char call_operator[] = "operator";
    const size_t operator_length = sizeof call_operator - 1;
    const char *last = strrchr(name, ')');
    size_t length = strlen(name), depth = 0;
    /* "(anonymous namespace)::f" */
    if (!last || strchr(last, ':'))
        return length;
    for (size_t at = (size_t)(last - name) + 1; at--;) {
        depth += name[at] == ')';
        depth -= name[at] == '(';
        if (depth)
            continue;
        bool is_operator = at >= operator_length &&
                           !strncmp(name + at - operator_length, call_operator, operator_length);
        return at && !is_operator ? at : length;
    }
    return length;
}
