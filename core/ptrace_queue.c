/*
 * ptrace_queue.c - one allocation for each record: a stack is some kilobytes, and there are some
 * thousand a second.
 */
#include "core/ptrace_queue.h"

#include <string.h>

void gathered_release(struct gathered_queue *queue)
{
    for (size_t i = queue->head; i < queue->items.count; i++)
        free(queue->items.items[i]);
    free(queue->taken);
    vec_release(&queue->items);
    *queue = (struct gathered_queue){0};
}

static struct gathered *new_with_stack(enum record_kind kind, uint64_t time_ns, pid_t pid,
                                       pid_t tid, size_t stack_bytes)
{
    size_t bytes = sizeof(struct gathered) + stack_bytes;
    struct gathered *gathered = xmalloc(bytes);
    memset(gathered, 0, sizeof *gathered);
    gathered->bytes = bytes;
    gathered->record = (struct record){
        .kind = kind, .time_ns = time_ns, .pid = (uint32_t)pid, .tid = (uint32_t)tid};
    return gathered;
}

struct gathered *gathered_new(enum record_kind kind, uint64_t time_ns, pid_t pid, pid_t tid)
{
    return new_with_stack(kind, time_ns, pid, tid, 0);
}

struct gathered *gathered_sample(const struct stop_reading *reading, size_t stack_most)
{
    struct gathered *gathered = new_with_stack(RECORD_SAMPLE, reading->time_ns, reading->pid,
                                               reading->tid, reading->stack_bytes);
    memcpy(gathered->registers, reading->registers, sizeof reading->registers);
    memcpy(gathered->stack, reading->stack, reading->stack_bytes);
    gathered->record.sample.user_mode = !reading->in_call;
    gathered->record.sample.registers = gathered->registers;
    gathered->record.sample.stack = gathered->stack;
    gathered->record.sample.stack_bytes = reading->stack_bytes;
    gathered->record.sample.stack_cut = reading->stack_bytes == stack_most;
    return gathered;
}

struct gathered *gathered_name(uint64_t time_ns, pid_t pid, pid_t tid, const char *name, bool exec)
{
    struct gathered *gathered = gathered_new(RECORD_COMM, time_ns, pid, tid);
    snprintf(gathered->name, sizeof gathered->name, "%s", name);
    gathered->record.comm.name = gathered->name;
    gathered->record.comm.exec = exec;
    return gathered;
}

void gathered_push(struct gathered_queue *queue, struct gathered *gathered)
{
    queue->bytes += gathered->bytes;
    vec_append(&queue->items, gathered);
}

bool gathered_take(struct gathered_queue *queue, uint64_t until_ns, struct record *ret_record)
{
    free(queue->taken);
    queue->taken = NULL;
    if (queue->head == queue->items.count ||
        queue->items.items[queue->head]->record.time_ns > until_ns) {
        /* What is left is some milliseconds' worth. */
        queue->items.count -= queue->head;
        if (queue->items.count)
            memmove(queue->items.items, queue->items.items + queue->head,
                    queue->items.count * sizeof *queue->items.items);
        queue->head = 0;
        return false;
    }
    queue->taken = queue->items.items[queue->head++];
    queue->bytes -= queue->taken->bytes;
    *ret_record = queue->taken->record;
    return true;
}
