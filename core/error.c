#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    err->code = code;
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return -1;
}

static enum error_code code_of_errno(int number)
{
    switch (number) {
    case EPERM:
    case EACCES:
        return ERROR_PERMISSION;
    case ENOENT:
    case ESRCH:
        return ERROR_GONE;
    default:
        return ERROR_SYSTEM;
    }
}

int error_set_errno(struct error *err, const char *format, ...)
{
    int number = errno;
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    err->code = code_of_errno(number);
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->text)
        snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", strerror(number));
    return -1;
}
