/*
 * event_nodes.h - the stack that a thread was in during an event.
 */
#ifndef MEMPROF_CORE_EVENT_NODES_H
#define MEMPROF_CORE_EVENT_NODES_H

#include "core/profile.h"

/*
 * Gives each event of a kind that has no node one: the innermost call that more than half of the
 * thread's samples during the event lie in. One with no samples keeps none. The events of the kind
 * are in time order and do not overlap; the samples are all in the sequence.
 */
void event_nodes_find(struct profile *profile, const char *kind, thread_id thread);

#endif
