/*
 * The handles of a loop are a ring of links inside them, so that a walk is one read after another.
 * But they change little from walk to walk: those of the last one are read first, many in one
 * call, and the walk takes from them whatever the links still lead to, in the same order. Only what
 * is new is read by itself.
 *
 * A walk is believed if its count is what libuv counted before and after it.
 */
#include "symbolize/node_loop.h"

#include "core/limits.h"

#include <string.h>

/* uv_loop_t, uv_handle_t of libuv 1.x (include/uv.h, include/uv/unix.h), 64 bits. */
enum {
    LOOP_ACTIVE_HANDLES = 8,
    LOOP_HANDLE_QUEUE = 16,
    LOOP_ACTIVE_REQUESTS = 32,
    LOOP_FIELDS = 40,
    LOOP_BACKEND_FD = 64,
    LOOP_TIME = 544,
    LOOP_BYTES = 552,
    HANDLE_LOOP = 8,
    HANDLE_TYPE = 16,
    HANDLE_QUEUE = 32,
    HANDLE_FLAGS = 88,
    HANDLE_BYTES = 96,
    FLAG_ACTIVE = 4,
    FLAG_REFERENCED = 8,
};

/* uv__loop_internal_fields_t (src/uv-common.h): flags, then uv__loop_metrics_t. */
enum {
    FIELDS_TURNS = 8,      /* 1.45 and later: uv_metrics_t, 128 bytes */
    FIELDS_TIMES = 136,    /* 1.45 and later: entry, idle */
    FIELDS_TIMES_1_39 = 8, /* before */
    FIELDS_BYTES = 152,
    FLAG_IDLE_TIME = 1, /* UV_METRICS_IDLE_TIME */
};

enum { WALKS = 4, BATCH = 256, NS_PER_MS = 1000000, CLOCK_SLACK_NS = 50000000 };

static uint32_t u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint64_t u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static bool is_pointer(uint64_t address)
{
    return address > 4096 && address < (uint64_t)1 << 47 && !(address & 7);
}

const char *node_handle_type(unsigned type)
{
    static const char *const names[NODE_HANDLE_TYPES] = {
        "other",   "async",   "check",  "fs_event", "fs_poll", "handle", "idle", "pipe",   "poll",
        "prepare", "process", "stream", "tcp",      "timer",   "tty",    "udp",  "signal", "file"};
    return names[type < NODE_HANDLE_TYPES ? type : 0];
}

/* Whether a descriptor of the process is an epoll instance, as every loop has one. */
static bool is_epoll(pid_t pid, int fd)
{
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0)
        return false;
    target[length] = '\0';
    return !strcmp(target, "anon_inode:[eventpoll]");
}

/* The ring's links next to its head lead back to it. */
static bool queue_is_whole(struct remote_memory *memory, uint64_t head, const uint8_t *loop)
{
    uint64_t next = u64(loop + LOOP_HANDLE_QUEUE), previous = u64(loop + LOOP_HANDLE_QUEUE + 8);
    uint64_t next_previous, previous_next;
    struct memory_read reads[] = {
        {.address = next + 8, .into = &next_previous, .size = 8},
        {.address = previous, .into = &previous_next, .size = 8},
    };
    return is_pointer(next) && is_pointer(previous) && remote_read_all(memory, reads, 2) == 2 &&
           next_previous == head && previous_next == head;
}

int node_loop_open(struct remote_memory *memory, uint64_t address, bool counts, uint64_t now_ns,
                   struct node_loop *ret_loop, struct error *err)
{
    uint8_t bytes[LOOP_BYTES], flags[4];
    if (!is_pointer(address) || !remote_read(memory, address, bytes, sizeof bytes))
        return error_set(err, ERROR_FORMAT, "its loop can't be read");
    struct node_loop loop = {
        .memory = memory,
        .address = address,
        .fields = u64(bytes + LOOP_FIELDS),
        .counts = counts,
        .backend_fd = (int)u32(bytes + LOOP_BACKEND_FD),
    };
    if (!loop.fields)
        return error_set(err, ERROR_FORMAT, "its loop has not begun");
    loop.metrics = loop.fields + (counts ? FIELDS_TIMES : FIELDS_TIMES_1_39);
    if (!is_pointer(loop.fields) || !remote_read(memory, loop.fields, flags, sizeof flags))
        return error_set(err, ERROR_FORMAT, "its loop has no known layout");
    if (!(u32(flags) & FLAG_IDLE_TIME))
        return error_set(err, ERROR_UNSUPPORTED, "its loop does not measure how long it waits");
    if (!queue_is_whole(memory, address + LOOP_HANDLE_QUEUE, bytes) ||
        (!memory->image && !is_epoll(memory->pid, loop.backend_fd)))
        return error_set(err, ERROR_FORMAT, "its loop has no known layout");
    struct node_loop_reading reading;
    if (!node_loop_read(&loop, now_ns, &reading))
        return error_set(err, ERROR_FORMAT, "its loop's clocks are not of this time");
    *ret_loop = loop;
    return 0;
}

void node_loop_release(struct node_loop *loop)
{
    vec_release(&loop->handles);
}

bool node_loop_read(struct node_loop *loop, uint64_t now_ns, struct node_loop_reading *ret_reading)
{
    uint8_t bytes[LOOP_BYTES], fields[FIELDS_BYTES];
    struct memory_read reads[] = {
        {.address = loop->address, .into = bytes, .size = sizeof bytes},
        {.address = loop->fields, .into = fields, .size = sizeof fields},
    };
    if (remote_read_all(loop->memory, reads, 2) != 2)
        return false;
    const uint8_t *times = fields + (loop->metrics - loop->fields);
    uint64_t clock_ms = u64(bytes + LOOP_TIME);
    struct node_loop_reading reading = {
        .time_ns = now_ns,
        .waits_since_ns = u64(times),
        .idle_ns = u64(times + 8),
        .turns = loop->counts ? u64(fields + FIELDS_TURNS) : 0,
        .handles = u32(bytes + LOOP_ACTIVE_HANDLES),
        .requests = u32(bytes + LOOP_ACTIVE_REQUESTS),
    };
    uint64_t latest_ns = now_ns + CLOCK_SLACK_NS; /* it may have turned since now_ns */
    if (u64(bytes + LOOP_FIELDS) != loop->fields ||
        u32(bytes + LOOP_BACKEND_FD) != (uint32_t)loop->backend_fd || !clock_ms ||
        clock_ms > latest_ns / NS_PER_MS || reading.idle_ns > latest_ns ||
        reading.waits_since_ns > latest_ns || reading.idle_ns < loop->last_idle_ns)
        return false;
    if (reading.waits_since_ns > now_ns)
        reading.waits_since_ns = now_ns;
    reading.clock_ns = clock_ms * NS_PER_MS < now_ns ? clock_ms * NS_PER_MS : now_ns;
    loop->last_idle_ns = reading.idle_ns;
    *ret_reading = reading;
    return true;
}

uint64_t node_loop_idle_ns(const struct node_loop_reading *reading)
{
    uint64_t since_ns = reading->waits_since_ns;
    return reading->idle_ns + (since_ns ? reading->time_ns - since_ns : 0);
}

static void take_handle(struct node_handle *handle, const uint8_t *bytes)
{
    handle->next = u64(bytes + HANDLE_QUEUE);
    handle->type = u32(bytes + HANDLE_TYPE);
    handle->flags = u32(bytes + HANDLE_FLAGS);
}

/* Reads those of the last walk again; one that is none of this loop's any more gets no link. */
static void refresh_handles(struct node_loop *loop)
{
    struct memory_read reads[BATCH];
    uint8_t bytes[BATCH][HANDLE_BYTES];
    for (size_t first = 0; first < loop->handles.count; first += BATCH) {
        struct node_handle *handles = loop->handles.items + first;
        size_t left = loop->handles.count - first, count = left < BATCH ? left : BATCH;
        for (size_t i = 0; i < count; i++)
            reads[i] = (struct memory_read){
                .address = handles[i].address, .into = bytes[i], .size = HANDLE_BYTES};
        remote_read_all(loop->memory, reads, count);
        for (size_t i = 0; i < count; i++) {
            handles[i].next = 0;
            if (reads[i].done && u64(bytes[i] + HANDLE_LOOP) == loop->address)
                take_handle(&handles[i], bytes[i]);
        }
    }
}

/* The handle at an address: of the last walk if it stands there shortly behind `*place`. */
static bool next_handle(struct node_loop *loop, uint64_t address, size_t *place,
                        struct node_handle *ret_handle)
{
    for (size_t i = *place; i < loop->handles.count && i < *place + BATCH; i++)
        if (loop->handles.items[i].address == address && loop->handles.items[i].next) {
            *place = i + 1;
            *ret_handle = loop->handles.items[i];
            return true;
        }
    uint8_t bytes[HANDLE_BYTES];
    if (!is_pointer(address) || !remote_read(loop->memory, address, bytes, sizeof bytes) ||
        u64(bytes + HANDLE_LOOP) != loop->address)
        return false;
    ret_handle->address = address;
    take_handle(ret_handle, bytes);
    return true;
}

static bool read_active(struct node_loop *loop, uint32_t *ret_active, uint64_t *ret_first)
{
    struct memory_read reads[] = {
        {.address = loop->address + LOOP_ACTIVE_HANDLES, .into = ret_active, .size = 4},
        {.address = loop->address + LOOP_HANDLE_QUEUE, .into = ret_first, .size = 8},
    };
    return remote_read_all(loop->memory, reads, 2) == 2;
}

static bool walk_handles(struct node_loop *loop, uint32_t counts[NODE_HANDLE_TYPES])
{
    uint64_t head = loop->address + LOOP_HANDLE_QUEUE, link, ignored;
    uint32_t active, active_after, sum = 0;
    vec(struct node_handle) walked = {0};
    size_t place = 0;
    memset(counts, 0, NODE_HANDLE_TYPES * sizeof *counts);
    refresh_handles(loop);
    bool whole = read_active(loop, &active, &link);
    while (whole && link != head) {
        struct node_handle handle;
        whole = walked.count < LIMIT_LOOP_HANDLES && link >= HANDLE_QUEUE &&
                next_handle(loop, link - HANDLE_QUEUE, &place, &handle) && handle.type &&
                handle.type < NODE_HANDLE_TYPES;
        if (!whole)
            break;
        if ((handle.flags & FLAG_ACTIVE) && (handle.flags & FLAG_REFERENCED)) {
            counts[handle.type]++;
            sum++;
        }
        vec_append(&walked, handle);
        link = handle.next;
    }
    whole =
        whole && read_active(loop, &active_after, &ignored) && active == sum && active_after == sum;
    vec_release(&loop->handles);
    loop->handles.items = walked.items;
    loop->handles.count = walked.count;
    loop->handles.capacity = walked.capacity;
    return whole;
}

bool node_loop_handles(struct node_loop *loop, uint32_t ret_counts[NODE_HANDLE_TYPES])
{
    for (int i = 0; i < WALKS; i++)
        if (walk_handles(loop, ret_counts))
            return true;
    return false;
}
