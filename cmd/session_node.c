/*
 * session_node.c - which loops and heaps are read, and when.
 *
 * The main thread's loop is looked at on each step, though not more than a hundred times a second,
 * for its blocks are as exact as the looks are close; everything else with the readings of memory.
 * JavaScript threads come and go: each reading asks the platform anew, and a thread that it does
 * not name any more is not read, for its memory is another's by then.
 */
#include "cmd/session_node.h"

#include "cmd/session.h"
#include "core/event_nodes.h"
#include "symbolize/node_heap.h"
#include "symbolize/node_isolates.h"
#include "symbolize/node_loop.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    MODULE_BYTES_MIN = 8 << 20, /* no build of V8 is as small; others are not searched */
    THREADS_MAX = 17,           /* the main one, and Workers */
    HEAP_TRIES = 16,            /* an isolate that is set up just now can't be read yet */
    BLOCK_NS = 50000000,
    LOOK_NS = 8000000,    /* closer looks would tell no more of blocks that long */
    MAPS_TIMES_COST = 100 /* reading the mappings takes a hundredth of the time at most */
};

struct node_thread {
    struct node_isolate found;
    unsigned number; /* of a Worker; 0: the main thread */
    bool there;      /* the platform named it when it was last asked */
    bool has_loop, has_heap;
    struct node_loop loop;
    struct node_loop_watch watch;
    struct node_loop_reading told; /* with the last point; time_ns 0: none yet */
    struct node_heap heap;
    unsigned heap_tries;
    struct error loop_error, heap_error;
};

struct session_node {
    size_t modules_seen;
    struct module *module; /* that has Node.js; NULL: none yet */
    struct node_symbols symbols;
    bool placed; /* the symbols are those of the process's own mapping */
    struct remote_memory memory;
    vec(struct node_thread *) threads;
    unsigned workers;
    uint64_t next_maps_ns, mapped;
    bool types_seen[NODE_HANDLE_TYPES];
};

struct session_node *session_node_new(void)
{
    return xcalloc(1, sizeof(struct session_node));
}

static void thread_free(struct node_thread *thread)
{
    node_loop_release(&thread->loop);
    free(thread);
}

static void forget_threads(struct session_node *node)
{
    for (size_t i = 0; i < node->threads.count; i++)
        thread_free(node->threads.items[i]);
    vec_release(&node->threads);
}

void session_node_free(struct session_node *node)
{
    if (!node)
        return;
    forget_threads(node);
    free(node);
}

void session_node_exec(struct session_node *node, pid_t pid)
{
    if (pid != node->memory.pid)
        return;
    forget_threads(node);
    node->placed = false;
    node->module = NULL;
    node->modules_seen = 0;
}

/* The symbols of a module at their addresses in the process; false: it is not mapped there. */
static bool place_module(struct session_node *node, struct modules *modules, pid_t pid)
{
    struct space space;
    space_init(&space, modules, pid);
    if (!space_read(&space, modules, NULL))
        for (size_t i = 0; i < space.segments.count && !node->placed; i++)
            if (space.segments.items[i].module == node->module)
                node->placed = node_symbols_read(node->module->elf, space.segments.items[i].bias,
                                                 &node->symbols);
    space_release(&space);
    return node->placed;
}

static bool find_node(struct session_node *node, struct session *session)
{
    struct modules *modules = session->modules;
    pid_t pid = session->target.pid;
    for (; node->modules_seen < modules->items.count && !node->module; node->modules_seen++) {
        struct module *module = modules->items.items[node->modules_seen];
        if (module->kind == MODULE_FILE && module->elf && module->elf->size >= MODULE_BYTES_MIN &&
            node_symbols_read(module->elf, 0, &node->symbols))
            node->module = module;
    }
    if (!node->module || node->placed)
        return node->placed;
    node->memory = (struct remote_memory){.pid = pid};
    if (!place_module(node, modules, pid))
        node->module = NULL; /* another process's, or gone */
    return node->placed;
}

static struct node_thread *thread_get(struct session_node *node, const struct node_isolate *found)
{
    for (size_t i = 0; i < node->threads.count; i++) {
        struct node_thread *thread = node->threads.items[i];
        if (thread->found.loop == found->loop &&
            (thread->found.isolate == found->isolate || !thread->found.isolate)) {
            thread->found = *found;
            return thread;
        }
    }
    if (node->threads.count == THREADS_MAX)
        return NULL;
    struct node_thread *thread = xcalloc(1, sizeof *thread);
    thread->found = *found;
    thread->number = found->main ? 0 : ++node->workers;
    vec_append(&node->threads, thread);
    return thread;
}

static void drop_gone(struct session_node *node)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->threads.count; i++) {
        struct node_thread *thread = node->threads.items[i];
        if (thread->there)
            node->threads.items[kept++] = thread;
        else
            thread_free(thread);
    }
    node->threads.count = kept;
}

static void open_loop(struct session_node *node, struct node_thread *thread)
{
    if (!thread->has_loop)
        thread->has_loop =
            !node_loop_open(&node->memory, thread->found.loop, node->symbols.loop_counts,
                            monotonic_ns(), &thread->loop, &thread->loop_error);
}

static void find_threads(struct session_node *node)
{
    struct node_isolate found[LIMIT_ISOLATES];
    size_t count = node_isolates_find(&node->memory, &node->symbols, found);
    for (size_t i = 0; i < node->threads.count; i++)
        node->threads.items[i]->there = false;
    for (size_t i = 0; i < count; i++) {
        struct node_thread *thread = thread_get(node, &found[i]);
        if (!thread)
            continue;
        thread->there = true;
        open_loop(node, thread);
        if (!thread->has_heap && thread->heap_tries < HEAP_TRIES) {
            thread->heap_tries++;
            thread->has_heap = !node_heap_open(&node->memory, &node->symbols, found[i].isolate,
                                               &thread->heap, &thread->heap_error);
        }
    }
    drop_gone(node);
}

static struct node_thread *main_thread(const struct session_node *node)
{
    for (size_t i = 0; i < node->threads.count; i++)
        if (node->threads.items[i]->found.main)
            return node->threads.items[i];
    return NULL;
}

static void add_block(struct session *session, const struct node_loop_block *block)
{
    struct profile *raw = session->raw;
    *vec_push(&raw->events) = (struct profile_event){
        .time_us = block->began_ns / 1000,
        .duration_us = (block->ended_ns - block->began_ns) / 1000,
        .kind = strings_intern(&raw->strings, EVENT_LOOP_BLOCK),
        .tid = (uint32_t)session->target.pid,
    };
}

/* A loop that is not what it was is looked for anew with the next reading. */
static bool read_loop(struct node_thread *thread, struct session *session,
                      struct node_loop_reading *ret_reading)
{
    struct node_loop_block block;
    if (!thread->has_loop)
        return false;
    if (!node_loop_read(&thread->loop, monotonic_ns(), ret_reading)) {
        thread->has_loop = false;
        node_loop_release(&thread->loop);
        thread->watch = (struct node_loop_watch){0};
        return false;
    }
    if (node_loop_watch_feed(&thread->watch, ret_reading, BLOCK_NS, &block) && !thread->number)
        add_block(session, &block);
    return true;
}

void session_node_step(struct session_node *node, struct session *session)
{
    struct node_loop_reading reading;
    if (!find_node(node, session))
        return;
    struct node_thread *thread = main_thread(node);
    if (!thread || !thread->has_loop)
        find_threads(node);
    else if (monotonic_ns() - thread->watch.last.time_ns >= LOOK_NS)
        read_loop(thread, session, &reading);
}

static void add_point(struct session *session, const struct node_thread *thread, const char *name,
                      const char *unit, uint64_t time_ns, double value)
{
    char full[64];
    if (thread->number)
        snprintf(full, sizeof full, "worker%u.%s", thread->number, name);
    else
        snprintf(full, sizeof full, "%s", name);
    profile_add_point(session->raw, profile_add_series(session->raw, full, unit), time_ns / 1000,
                      value);
}

static void read_handles(struct session_node *node, struct node_thread *thread,
                         struct session *session, const struct node_loop_reading *reading)
{
    uint32_t counts[NODE_HANDLE_TYPES];
    uint64_t time_ns = reading->time_ns;
    add_point(session, thread, "handles", "count", time_ns, reading->handles);
    add_point(session, thread, "requests", "count", time_ns, reading->requests);
    if (thread->number || !node_loop_handles(&thread->loop, counts))
        return;
    for (unsigned type = 0; type < NODE_HANDLE_TYPES; type++) {
        char name[32];
        node->types_seen[type] |= counts[type] > 0;
        if (!node->types_seen[type])
            continue;
        snprintf(name, sizeof name, "handles.%s", node_handle_type(type));
        add_point(session, thread, name, "count", time_ns, counts[type]);
    }
}

static void read_loop_point(struct session_node *node, struct node_thread *thread,
                            struct session *session)
{
    struct node_loop_reading now, *told = &thread->told;
    if (!read_loop(thread, session, &now))
        return;
    uint64_t idle_ns = node_loop_idle_ns(&now), wall_ns = now.time_ns - told->time_ns;
    uint64_t told_idle_ns = node_loop_idle_ns(told);
    if (told->time_ns && wall_ns && idle_ns >= told_idle_ns) {
        double idle = (double)(idle_ns - told_idle_ns) / (double)wall_ns;
        add_point(session, thread, "eventloop.utilization", "ratio", now.time_ns,
                  idle > 1 ? 0 : 1 - idle);
        add_point(session, thread, "eventloop.lag", "ms", now.time_ns,
                  (double)node_loop_watch_take(&thread->watch) / 1e6);
    }
    add_point(session, thread, "eventloop.idle", "seconds", now.time_ns, (double)idle_ns / 1e9);
    *told = now;
    read_handles(node, thread, session, &now);
}

/* The whole file grows while it is read; what comes later is newer. */
static void read_mapped(struct session_node *node, struct session *session)
{
    enum { PIECE = 64 * 1024 };
    uint64_t start_ns = monotonic_ns();
    char path[64];
    vec(char) text = {0};
    if (start_ns < node->next_maps_ns)
        return;
    snprintf(path, sizeof path, "/proc/%d/maps", session->target.pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && text.count < LIMIT_MAPS_BYTES) {
        vec_reserve(&text, text.count + PIECE);
        got = read(fd, text.items + text.count, PIECE);
        text.count += got > 0 ? (size_t)got : 0;
    }
    node->mapped = node_heap_mapped(text.items, text.count);
    vec_release(&text);
    uint64_t end_ns = monotonic_ns();
    node->next_maps_ns = end_ns + MAPS_TIMES_COST * (end_ns - start_ns);
    if (node->mapped)
        profile_add_point(session->raw, profile_add_series(session->raw, "v8.mapped", "bytes"),
                          end_ns / 1000, (double)node->mapped);
}

/* Code's pages lie elsewhere, and V8 may have given back some since the mappings were read. */
static bool is_mapped(const struct session_node *node, uint64_t bytes)
{
    enum { SLACK_BYTES = 16 << 20 };
    return bytes <= node->mapped + node->mapped / 4 + SLACK_BYTES;
}

static void read_heap(struct session_node *node, struct node_thread *thread,
                      struct session *session)
{
    struct node_heap_figures figures;
    uint64_t now_ns = monotonic_ns();
    if (!thread->has_heap)
        return;
    for (int tries = 0; !node_heap_read(&thread->heap, &figures); tries++)
        if (tries == 2)
            return;
    if (node->mapped && !is_mapped(node, figures.total)) {
        thread->has_heap = false;
        error_set(&thread->heap_error, ERROR_FORMAT, "its heap has more than V8 has mapped");
        return;
    }
    add_point(session, thread, "heapTotal", "bytes", now_ns, (double)figures.total);
    add_point(session, thread, "heapUsed", "bytes", now_ns, (double)figures.used);
    add_point(session, thread, "external", "bytes", now_ns, (double)figures.external);
    if (figures.has_array_buffers)
        add_point(session, thread, "arrayBuffers", "bytes", now_ns, (double)figures.array_buffers);
}

void session_node_read(struct session_node *node, struct session *session)
{
    if (!find_node(node, session))
        return;
    find_threads(node);
    read_mapped(node, session);
    for (size_t i = 0; i < node->threads.count; i++) {
        read_loop_point(node, node->threads.items[i], session);
        read_heap(node, node->threads.items[i], session);
    }
}

void session_node_finish(struct session_node *node, struct session *session)
{
    struct node_thread *thread = main_thread(node);
    struct node_loop_block block;
    uint32_t pid = (uint32_t)session->target.pid;
    if (!node->placed)
        return;
    if (thread && node_loop_watch_finish(&thread->watch, BLOCK_NS, &block))
        add_block(session, &block);
    event_nodes_find(session->raw, EVENT_LOOP_BLOCK,
                     profile_add_thread(session->raw, pid, pid, ""));
}

void session_node_note(const struct session_node *node, char *ret_note, size_t size)
{
    const struct node_thread *thread = node->placed ? main_thread(node) : NULL;
    *ret_note = '\0';
    if (!thread)
        return;
    bool loop = !thread->has_loop && thread->loop_error.code && !thread->told.time_ns;
    bool heap = !thread->has_heap && thread->heap_error.code;
    snprintf(ret_note, size, "%s%s%s%s%s", loop ? "no event loop: " : "",
             loop ? thread->loop_error.text : "", loop && heap ? "; " : "",
             heap ? "no heapUsed: " : "", heap ? thread->heap_error.text : "");
}
