/*
 * ptrace_threads.c - looking at threads without stopping them.
 *
 * /proc/PID/task/TID/syscall says "running" of a thread that runs or could, and otherwise what
 * it sleeps in; schedstat has its running time in nanoseconds. Both cost about a microsecond
 * with the file kept open. Of a thread on a CPU schedstat is as old as the last tick of the
 * kernel's clock; after a stop it is exact. Where a file can't be had, stat serves: its state,
 * and its times in hundredths of a second.
 *
 * The schedule is a binary heap by time. A process's CPU time is read from its own CPU clock,
 * which is exact and holds what its ended threads have run.
 */
#include "core/ptrace_threads.h"

#include "core/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { FILES_SPARE = 512 }; /* left for modules and the rest */

void watched_init(struct watched *watched, uint64_t period_ns)
{
    struct rlimit limit;
    *watched = (struct watched){.period_ns = period_ns};
    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur > FILES_SPARE)
        watched->files_most = limit.rlim_cur - FILES_SPARE;
}

static void close_files(struct watched *watched, struct watched_thread *thread)
{
    int *files[] = {&thread->call_fd, &thread->time_fd};
    for (size_t i = 0; i < 2; i++)
        if (*files[i] >= 0) {
            close(*files[i]);
            *files[i] = -1;
            watched->files_kept--;
        }
}

static void thread_free(void *value)
{
    struct watched_thread *thread = value;
    if (thread->call_fd >= 0)
        close(thread->call_fd);
    if (thread->time_fd >= 0)
        close(thread->time_fd);
    free(thread->waiting.stack);
    free(thread);
}

static void process_free(struct watched_process *process)
{
    close(process->task_fd);
    free(process);
}

void watched_release(struct watched *watched)
{
    for (size_t i = 0; i < watched->processes.count; i++)
        process_free(watched->processes.items[i]);
    vec_release(&watched->processes);
    vec_release(&watched->heap);
    tid_map_release(&watched->threads, thread_free);
}

struct watched_process *watched_find(const struct watched *watched, pid_t pid)
{
    for (size_t i = 0; i < watched->processes.count; i++)
        if (watched->processes.items[i]->pid == pid)
            return watched->processes.items[i];
    return NULL;
}

static uint64_t read_clock(clockid_t clock, uint64_t otherwise)
{
    struct timespec now;
    return clock_gettime(clock, &now) ? otherwise
                                      : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct watched_process *watched_add(struct watched *watched, pid_t pid, bool old)
{
    clockid_t clock;
    char path[32];
    bool exec;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    _cleanup_close_ int task_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (task_fd < 0 || clock_getcpuclockid(pid, &clock))
        return NULL;
    struct watched_process *process = xcalloc(1, sizeof *process);
    process->pid = pid;
    process->clock = clock;
    process->task_fd = steal_fd(&task_fd);
    process->first_clock_ns = old ? read_clock(clock, 0) : 0;
    process->last_clock_ns = process->first_clock_ns;
    process_check(process, &exec);
    vec_append(&watched->processes, process);
    return process;
}

void watched_remove(struct watched *watched, struct watched_process *process)
{
    watched->ended_run_ns += process->last_clock_ns - process->first_clock_ns;
    for (size_t i = 0; i < watched->processes.count; i++)
        if (watched->processes.items[i] == process)
            watched->processes.items[i] = watched->processes.items[--watched->processes.count];
    process_free(process);
}

uint64_t watched_run_ns(const struct watched *watched)
{
    uint64_t sum = watched->ended_run_ns;
    for (size_t i = 0; i < watched->processes.count; i++) {
        struct watched_process *process = watched->processes.items[i];
        uint64_t now = read_clock(process->clock, process->last_clock_ns);
        if (now > process->last_clock_ns) /* a PID that stands for another starts at zero */
            process->last_clock_ns = now;
        sum += process->last_clock_ns - process->first_clock_ns;
    }
    return sum;
}

static void heap_put(struct watched *watched, size_t at, struct watched_thread *thread)
{
    watched->heap.items[at] = thread;
    thread->heap_position = at;
}

/* Moves a thread up or down to where its next_ns belongs. */
static void heap_settle(struct watched *watched, struct watched_thread *thread)
{
    struct watched_thread **heap = watched->heap.items;
    size_t at = thread->heap_position, count = watched->heap.count;
    for (size_t parent; at && thread->next_ns < heap[parent = (at - 1) / 2]->next_ns; at = parent)
        heap_put(watched, at, heap[parent]);
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && heap[child + 1]->next_ns < heap[child]->next_ns;
        if (heap[child]->next_ns >= thread->next_ns)
            break;
        heap_put(watched, at, heap[child]);
    }
    heap_put(watched, at, thread);
}

struct watched_thread *watched_first(const struct watched *watched)
{
    return watched->heap.count ? watched->heap.items[0] : NULL;
}

void watched_schedule(struct watched *watched, struct watched_thread *thread, uint64_t next_ns)
{
    thread->next_ns = next_ns;
    heap_settle(watched, thread);
}

struct watched_thread *watched_add_thread(struct watched *watched, struct watched_process *process,
                                          pid_t tid, bool old, uint64_t now_ns)
{
    struct watched_thread *thread = xcalloc(1, sizeof *thread);
    struct thread_times times;
    thread->process = process;
    thread->tid = tid;
    thread->call_fd = thread->time_fd = -1;
    thread->interval_ns = watched->period_ns;
    thread->charged_ns = thread->seen_ns = thread->since_ns = now_ns;
    target_thread_name(process->pid, tid, thread->name);
    if (old && !thread_times(watched, thread, &times)) {
        thread->charged_run_ns = thread->seen_run_ns = times.run_ns;
        thread->charged_delay_ns = times.delay_ns;
    }
    thread->next_ns = now_ns + hash_mix((uint64_t)tid) % watched->period_ns;
    tid_map_put(&watched->threads, (uint32_t)tid, thread);
    vec_append(&watched->heap, thread);
    thread->heap_position = watched->heap.count - 1;
    heap_settle(watched, thread);
    return thread;
}

void watched_remove_thread(struct watched *watched, struct watched_thread *thread)
{
    struct watched_thread *last = watched->heap.items[--watched->heap.count];
    if (last != thread) {
        heap_put(watched, thread->heap_position, last);
        heap_settle(watched, last);
    }
    tid_map_take(&watched->threads, (uint32_t)thread->tid);
    close_files(watched, thread);
    thread_free(thread);
}

/* Reads one of a thread's files from its beginning; the length, or -1 and errno. */
static ssize_t read_kept(struct watched *watched, const struct watched_thread *thread, int *file,
                         const char *name, char *text, size_t size)
{
    if (*file < 0) {
        if (watched->files_kept >= watched->files_most)
            return target_read_thread(thread->process->pid, thread->tid, name, text, size);
        char path[64];
        snprintf(path, sizeof path, "%d/%s", thread->tid, name);
        *file = openat(thread->process->task_fd, path, O_RDONLY | O_CLOEXEC);
        if (*file < 0)
            return -1;
        watched->files_kept++;
    }
    ssize_t length = pread(*file, text, size - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return length;
}

struct thread_stat {
    char state;
    uint64_t user_ticks, system_ticks;
};

static int read_stat(const struct watched_thread *thread, struct thread_stat *ret)
{
    char text[1024];
    if (target_read_thread(thread->process->pid, thread->tid, "stat", text, sizeof text) <= 0)
        return -1;
    const char *at = strrchr(text, ')');
    return at && sscanf(at, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                        &ret->state, &ret->user_ticks, &ret->system_ticks) == 3
               ? 0
               : -1;
}

enum thread_state thread_look(struct watched *watched, struct watched_thread *thread,
                              char ret_call[THREAD_CALL_BYTES])
{
    ssize_t length =
        read_kept(watched, thread, &thread->call_fd, "syscall", ret_call, THREAD_CALL_BYTES);
    if (length > 0)
        return ret_call[0] == 'r' ? THREAD_RUNS : THREAD_SLEEPS;
    if (length < 0 && (errno == EPERM || errno == EACCES))
        return THREAD_FORBIDDEN;
    struct thread_stat stat;
    ret_call[0] = '\0';
    if (errno == ESRCH || read_stat(thread, &stat))
        return THREAD_GONE;
    return stat.state == 'R' ? THREAD_RUNS : THREAD_SLEEPS;
}

int thread_times(struct watched *watched, struct watched_thread *thread, struct thread_times *ret)
{
    char text[128];
    struct thread_stat stat;
    if (read_kept(watched, thread, &thread->time_fd, "schedstat", text, sizeof text) > 0 &&
        sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &ret->run_ns, &ret->delay_ns,
               &ret->slices) == 3)
        return 0;
    if (read_stat(thread, &stat))
        return -1;
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    *ret = (struct thread_times){.run_ns = (stat.user_ticks + stat.system_ticks) * tick_ns};
    return 0;
}

bool thread_waits(const struct watched_thread *thread)
{
    struct thread_stat stat;
    return !read_stat(thread, &stat) && stat.state == 'S';
}

bool process_check(struct watched_process *process, bool *ret_exec)
{
    enum { START_CODE = 26, STATE = 3, PARENT = 4 }; /* of proc_pid_stat(5) */
    char text[1024], path[64];
    struct stat program = {0};
    *ret_exec = false;
    if (target_read_thread(process->pid, process->pid, "stat", text, sizeof text) <= 0)
        return false;
    char *at = strrchr(text, ')'), *save = NULL;
    uint64_t start_code = 0;
    for (int field = STATE; at && (at = strtok_r(field == STATE ? at + 1 : NULL, " ", &save));
         field++) {
        if (field == PARENT)
            process->parent = (pid_t)strtol(at, NULL, 10);
        if (field == START_CODE)
            start_code = strtoull(at, NULL, 10);
    }
    snprintf(path, sizeof path, "/proc/%d/exe", process->pid);
    if (stat(path, &program)) /* a main thread that has ended: its process has not */
        return true;
    uint64_t seen = hash_combine(hash_combine(program.st_ino, program.st_dev), start_code);
    *ret_exec = process->program && process->program != seen;
    process->program = seen;
    return true;
}
