/*
 * error.h - how a function of any folder tells why it failed.
 *
 * A fallible function takes a caller-owned `struct error *` as its last parameter, returns 0
 * or -1 and leaves its outputs untouched on failure. The text is one line for the user: the
 * name of the thing, what is wrong with it, and the remedy where there is one. Only cmd/
 * prints it. Knows nothing of terminals or exit codes.
 */
#ifndef MEMPROF_CORE_ERROR_H
#define MEMPROF_CORE_ERROR_H

enum error_code {
    ERROR_NONE = 0,
    ERROR_SYSTEM,     /* a system call failed for a reason without a class of its own */
    ERROR_PERMISSION, /* not allowed: another user's process, a sysctl, seccomp */
    ERROR_GONE,       /* the process, thread or file is not there (any more) */
    ERROR_FORMAT,     /* the input is malformed, truncated or of another kind */
    ERROR_LIMIT,      /* the input is past a bound of core/limits.h */
    ERROR_USAGE,      /* the caller asked for something that can't be */
    ERROR_UNSUPPORTED /* fine in itself, but not on this kernel, machine or build */
};

struct error {
    enum error_code code;
    char text[512];
};

/*
 * Fills *err and returns -1, so that a failing function ends in `return error_set(…)`.
 * err may be NULL. A text that does not fit is cut.
 */
int error_set(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The same with ": " and the text of errno behind it. EPERM and EACCES become
 * ERROR_PERMISSION, ENOENT and ESRCH ERROR_GONE, the rest ERROR_SYSTEM.
 */
int error_set_errno(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
