/*
 * session_journal.h - the journal of a session: when it is written, and what a full disk does.
 */
#ifndef MEMPROF_CMD_SESSION_JOURNAL_H
#define MEMPROF_CMD_SESSION_JOURNAL_H

#include "core/error.h"

#include <stdbool.h>

struct session;

/*
 * Creates FILE.part beside the output. An output that is no file has none: then samples go to a
 * temporary file without a name, or stay in memory if that can't be had.
 */
int session_journal_open(struct session *session, struct error *err);
/* Once what the raw profile tells of the target is known. */
void session_journal_begin(struct session *session);
/*
 * Writes what is new if it is time, and takes room for the file. False: the disk is full, and
 * session->full says so.
 */
bool session_journal_step(struct session *session);
/* The last of it, before names are looked up. */
void session_journal_finish(struct session *session);

/* The id of this boot of the machine; "" when it can't be read. */
void boot_id_read(char ret_id[40]);

#endif
