/*
 * libiberty's demanglers through their callback interface, so that the output can be bounded:
 * substitutions let a name of a hundred bytes expand to gigabytes. The callback can't ask the
 * demangler to stop, so past the bound it leaves by longjmp; the demanglers keep their state on
 * the stack (at most one identifier of a Rust name is lost).
 *
 * libiberty refuses C++ names over 1024 bytes for fear of the stack. Real ones exist, so they
 * are demangled without that limit on a thread with a stack that is deep enough for the longest
 * name accepted here. __cxa_demangle has neither bound.
 */
#include "symbolize/demangle.h"

#include "core/alloc.h"
#include "symbolize/abridge.h"

#include <libiberty/demangle.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

enum {
    SHORT_NAME = 1000,
    LONGEST_NAME = 16 << 10,
    LONGEST_RESULT = 128 << 10,
    DEEP_STACK = 128 << 20, /* reserved, not used: 8 KB for each byte of the longest name */
};

struct demangling {
    const char *name;
    int options;
    jmp_buf bail;
    vec(char) text;
    bool done;
};

static void on_text(const char *text, size_t length, void *context)
{
    struct demangling *work = context;
    if (!length)
        return;
    if (length >= LONGEST_RESULT - work->text.count)
        longjmp(work->bail, 1);
    vec_reserve(&work->text, work->text.count + length + 1);
    memcpy(work->text.items + work->text.count, text, length);
    work->text.count += length;
    work->text.items[work->text.count] = '\0';
}

static void *run(void *context)
{
    struct demangling *work = context;
    if (setjmp(work->bail))
        return NULL;
    if (rust_demangle_callback(work->name, work->options, on_text, work)) {
        work->done = work->text.count > 0;
        return NULL;
    }
    work->text.count = 0;
    work->done = cplus_demangle_v3_callback(work->name, work->options, on_text, work) &&
                 work->text.count > 0;
    return NULL;
}

static void run_on_deep_stack(struct demangling *work)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes))
        return;
    work->options |= DMGL_NO_RECURSE_LIMIT;
    if (!pthread_attr_setstacksize(&attributes, DEEP_STACK) &&
        !pthread_create(&thread, &attributes, run, work))
        pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

/* The demangled name, or NULL. */
static char *demangle_exact(const char *name, size_t length)
{
    struct demangling work = {.name = name, .options = DMGL_PARAMS | DMGL_ANSI};
    if (length <= SHORT_NAME)
        run(&work);
    else if (length <= LONGEST_NAME)
        run_on_deep_stack(&work);
    if (work.done)
        return work.text.items;
    vec_release(&work.text);
    return NULL;
}

static bool is_mangled(const char *name)
{
    return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2) || !strncmp(name, "_GLOBAL_", 8);
}

/*
 * Behind a name may stand a symbol version (dropped), "@plt" (kept), or LLVM's mark of a promoted
 * local symbol, a number that differs from build to build (dropped).
 */
char *demangle(const char *name)
{
    const char *at = *name ? strchr(name + 1, '@') : NULL;
    size_t length = at ? (size_t)(at - name) : strlen(name);
    const char *suffix = at && !strcmp(at, "@plt") ? at : "";
    const char *llvm = memmem(name, length, ".llvm.", 6);
    if (llvm && llvm > name)
        length = (size_t)(llvm - name);
    _cleanup_free_ char *base = xstrndup(name, length);
    _cleanup_free_ char *text = is_mangled(base) ? demangle_exact(base, length) : NULL;
    if (text)
        name_abridge(text);
    return xasprintf("%s%s", text ? text : base, suffix);
}
