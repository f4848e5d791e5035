/*
 * session_node.h - the event loop and the heap of a Node.js process during a session, as series and
 * events of its profile.
 *
 * Nothing here fails: what can't be read has no series, and the note of [Quality] says why. A
 * target that is not Node.js costs a look at each of its larger modules.
 *
 * Series: heapTotal, heapUsed, external, arrayBuffers, v8.mapped (bytes); eventloop.utilization
 * (ratio, since the reading before), eventloop.idle (seconds), eventloop.lag (ms: the longest run
 * without a wait since the reading before); handles, requests and handles.TYPE (count). Of the
 * first Workers worker1.heapTotal, worker1.heapUsed, worker1.eventloop.utilization and so on.
 */
#ifndef MEMPROF_CMD_SESSION_NODE_H
#define MEMPROF_CMD_SESSION_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct session;
struct session_node;

/* Once the session's target is open. */
struct session_node *session_node_new(void);
void session_node_free(struct session_node *node);
/* Looks for Node.js, then at its loop: one or two system calls. */
void session_node_step(struct session_node *node, struct session *session);
/* A reading of everything; with each of memory. */
void session_node_read(struct session_node *node, struct session *session);
/* A process runs another program now. */
void session_node_exec(struct session_node *node, pid_t pid);
/* All samples are in the profile: blocks of the loop get the stacks that blocked it. */
void session_node_finish(struct session_node *node, struct session *session);
/* One line of what was not possible, "" if nothing. */
void session_node_note(const struct session_node *node, char *ret_note, size_t size);

#endif
