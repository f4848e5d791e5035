/*
 * session_gc.h - the pauses of V8's garbage collector during a session, as events of its profile.
 *
 * Nothing here fails: where pauses can't be seen the recording goes on without, and says so in the
 * note of [Quality]; they are estimated from samples then (symbolize/v8_estimate.h).
 */
#ifndef MEMPROF_CMD_SESSION_GC_H
#define MEMPROF_CMD_SESSION_GC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct session;
struct session_gc;

/* Once the session's target is open. */
struct session_gc *session_gc_new(const struct session *session);
/* Takes as long as the kernel takes to remove uprobes: some 50 ms each. NULL is nothing. */
void session_gc_free(struct session_gc *gc);
/* Readable when there is something to take in, or when the target has ended. */
int session_gc_descriptor(const struct session_gc *gc);
/* Whether the latter is so: not where the kernel has no descriptor for it. */
bool session_gc_tells_end(const struct session_gc *gc);
/* That it was: of threads that have ended it does not tell any more from now on. */
void session_gc_woken(struct session_gc *gc);
/* How long to wait at most before the next step, in milliseconds; `otherwise` if it is all one. */
int session_gc_patience(const struct session_gc *gc, int otherwise);
/*
 * Looks for V8 and for threads that run JavaScript, watches them, and takes in pauses that ended
 * up to `until_ns`: what was sampled up to then is in the recorder.
 */
void session_gc_step(struct session_gc *gc, struct session *session, uint64_t until_ns);
/* A process runs another program now. */
void session_gc_exec(struct session_gc *gc, pid_t pid);
/* No more hits from now on; what has come by now is taken in. */
void session_gc_finish(struct session_gc *gc, struct session *session);
/* One line of what was not possible, "" if nothing. */
void session_gc_note(const struct session_gc *gc, char *ret_note, size_t size);

struct long_pause {
    double duration_ms;
    const char *what; /* "mark-compact", of the raw profile; NULL: unknown */
};

/* The next pause of more than 50 ms that was not told yet; false if there is none. */
bool session_gc_next_long(struct session_gc *gc, struct long_pause *ret_pause);

#endif
