/*
 * The finished file takes more room than its journal: about 30 bytes a sample against 5. So room
 * for it is taken while it is recorded: whatever was recorded until the disk is full can be
 * written at the end. The journal and the output lie side by side, so that one that is full is
 * full for both.
 */
#include "cmd/session_journal.h"

#include "cmd/session.h"
#include "core/journal.h"
#include "core/small_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    FLUSH_INTERVAL_NS = 500000000,
    SAMPLE_BYTES = 30, /* of the finished file, more than most take */
    NODE_BYTES = 512,
    THREAD_BYTES = 128,
    POINT_BYTES = 32,
    RESERVE_BYTES = 64 * 1024 /* beyond the estimate, that it is not taken too often */
};

void boot_id_read(char ret_id[40])
{
    if (small_file_read("/proc/sys/kernel/random/boot_id", ret_id, 40) < 0)
        *ret_id = '\0';
    ret_id[strcspn(ret_id, "\n")] = '\0';
}

int session_journal_open(struct session *session, struct error *err)
{
    if (!session->output.temporary) {
        journal_create_unnamed(&session->journal, NULL);
        return 0;
    }
    session->journal_path = xasprintf("%s.part", session->output_path);
    return journal_create(session->journal_path, &session->journal, err);
}

/* A journal without a name is missed by nobody: what is in memory stays there. */
static void note_failure(struct session *session, const struct error *err)
{
    if (session->journal_path)
        session->full = *err;
    else
        session->spill_failed = true;
}

void session_journal_begin(struct session *session)
{
    const struct session_options *options = &session->options;
    struct journal_origin origin = {
        .process_start = session->target.start_time,
        .show_threads = options->write.threads,
        .show_tid = options->write.tid,
        .show_given = options->threads_given,
    };
    struct error err;
    if (!session->journal)
        return;
    boot_id_read(origin.boot_id);
    if (session->output.temporary) {
        const char *slash = strrchr(session->output.temporary, '/');
        snprintf(origin.temporary, sizeof origin.temporary, "%s",
                 slash ? slash + 1 : session->output.temporary);
    }
    if (journal_begin(session->journal, session->raw, &origin, &err))
        note_failure(session, &err);
}

static void flush(struct session *session,
                  int (*write)(struct journal *, struct profile *, const struct journal_module *,
                               size_t, struct error *))
{
    const struct modules *modules = session->modules;
    _cleanup_free_ struct journal_module *rows = xcalloc(modules->items.count, sizeof *rows);
    for (size_t i = 0; i < modules->items.count; i++) {
        const struct module *module = modules->items.items[i];
        rows[i] = (struct journal_module){module->path, module->elf ? module->elf->build_id : ""};
    }
    struct error err;
    if (write(session->journal, session->raw, rows, modules->items.count, &err))
        note_failure(session, &err);
}

static uint64_t estimated_bytes(const struct profile *raw)
{
    uint64_t bytes = raw->samples.count * SAMPLE_BYTES + (uint64_t)raw->nodes.count * NODE_BYTES +
                     (uint64_t)raw->threads.count * THREAD_BYTES;
    for (size_t i = 0; i < raw->series.count; i++)
        bytes += (uint64_t)raw->series.items[i].points.count * POINT_BYTES;
    return bytes;
}

/* Where no room can be taken beforehand the end of the recording makes do (finish.h). */
static void reserve(struct session *session)
{
    uint64_t bytes = estimated_bytes(session->raw);
    if (bytes <= session->reserved_bytes)
        return;
    bytes += bytes / 8 + RESERVE_BYTES;
    if (!output_file_reserve(&session->output, bytes))
        session->reserved_bytes = bytes;
    else if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        error_set_errno(&session->full, "cannot write %s", session->output_path);
    else
        session->reserved_bytes = UINT64_MAX;
}

bool session_journal_step(struct session *session)
{
    uint64_t now_ns = monotonic_ns();
    if (session->full.code)
        return false;
    if (!session->journal || session->spill_failed || now_ns < session->next_flush_ns)
        return true;
    session->next_flush_ns = now_ns + FLUSH_INTERVAL_NS;
    session_measure(session);
    recorder_release_samples(session->recorder, now_ns / 1000);
    flush(session, journal_flush);
    if (!session->full.code && session->journal_path)
        reserve(session);
    return !session->full.code;
}

void session_journal_finish(struct session *session)
{
    if (session->journal && !session->spill_failed && !session->full.code)
        flush(session, journal_finish);
}
