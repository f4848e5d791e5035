/*
 * Which processes may be attached to, with what words the others are refused, and launching.
 */
#include "core/target.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static pid_t fork_sleeper(void)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) {
        pause();
        _exit(0);
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void assert_refused(pid_t pid, enum error_code code, const char *reason)
{
    struct target target;
    struct error err;
    ck_assert_int_eq(target_open(pid, &target, &err), -1);
    ck_assert_int_eq(err.code, code);
    ck_assert_msg(strstr(err.text, reason), "'%s' does not say '%s'", err.text, reason);
    ck_assert_ptr_null(strchr(err.text, '\n'));
}

START_TEST(a_running_process_is_opened)
{
    struct target target;
    struct error err;
    pid_t pid = fork_sleeper();
    ck_assert_int_eq(target_open(pid, &target, &err), 0);
    ck_assert_int_eq(target.pid, pid);
    ck_assert(target_alive(&target));
    end(pid);
    ck_assert(!target_alive(&target));
    target_release(&target);
}
END_TEST

START_TEST(a_process_that_is_gone_is_refused)
{
    pid_t pid = fork_sleeper();
    end(pid);
    assert_refused(pid, ERROR_GONE, "no such process");
    assert_refused(0, ERROR_USAGE, "not a process id");
    assert_refused(-5, ERROR_USAGE, "not a process id");
}
END_TEST

START_TEST(memprof_itself_is_refused)
{
    assert_refused(getpid(), ERROR_USAGE, "memprof itself");
}
END_TEST

START_TEST(a_zombie_is_refused)
{
    pid_t pid = fork_sleeper();
    siginfo_t info;
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_refused(pid, ERROR_GONE, "zombie");
    waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(a_kernel_thread_is_refused)
{
    char name[16] = "";
    target_thread_name(2, 2, name);
    if (strcmp(name, "kthreadd")) {
        fprintf(stderr, "skipped: PID 2 is not kthreadd (a PID namespace)\n");
        return;
    }
    assert_refused(2, ERROR_USAGE, "kernel thread");
}
END_TEST

static void *report_tid(void *pipe_end)
{
    pid_t tid = (pid_t)syscall(SYS_gettid);
    ck_assert_int_eq(write(*(int *)pipe_end, &tid, sizeof tid), sizeof tid);
    pause();
    return NULL;
}

START_TEST(a_thread_id_is_refused)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t tid, pid = fork();
    if (!pid) {
        pthread_t thread;
        pthread_create(&thread, NULL, report_tid, &ends[1]);
        pause();
        _exit(0);
    }
    ck_assert_int_eq(read(ends[0], &tid, sizeof tid), sizeof tid);
    ck_assert_int_ne(tid, pid);
    assert_refused(tid, ERROR_USAGE, "it is a thread");
    end(pid);
}
END_TEST

START_TEST(threads_are_listed)
{
    struct target target;
    struct error err;
    pid_t *tids;
    size_t count;
    pid_t pid = fork_sleeper();
    ck_assert_int_eq(target_open(pid, &target, &err), 0);
    ck_assert_int_eq(target_threads(pid, &tids, &count, &err), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(tids[0], pid);
    free(tids);
    end(pid);
    target_release(&target);
}
END_TEST

START_TEST(descendants_are_found_at_any_depth)
{
    struct target target;
    struct error err;
    int ends[2];
    pid_t *pids, grandchild;
    size_t count;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (!pid) {
        pid_t child = fork();
        if (!child) {
            child = fork_sleeper();
            ck_assert_int_eq(write(ends[1], &child, sizeof child), sizeof child);
        }
        pause();
        _exit(0);
    }
    ck_assert_int_eq(read(ends[0], &grandchild, sizeof grandchild), sizeof grandchild);
    ck_assert_int_eq(target_open(pid, &target, &err), 0);
    target_processes(&target, false, &pids, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(pids[0], pid);
    free(pids);
    target_processes(&target, true, &pids, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(pids[0], pid);
    ck_assert(pids[1] == grandchild || pids[2] == grandchild);
    for (size_t i = 1; i < count; i++)
        kill(pids[i], SIGKILL);
    free(pids);
    end(pid);
    target_release(&target);
}
END_TEST

START_TEST(cpu_time_is_the_process_s_own)
{
    struct target target;
    struct error err;
    double user_s = -1, system_s = -1;
    pid_t pid = fork_sleeper();
    ck_assert_int_eq(target_open(pid, &target, &err), 0);
    ck_assert_int_eq(target_cpu_time(&target, false, &user_s, &system_s), 0);
    ck_assert_double_ge(user_s, 0);
    ck_assert_double_le(user_s + system_s, 1);
    end(pid);
    ck_assert_int_eq(target_cpu_time(&target, false, &user_s, &system_s), -1);
    target_release(&target);
}
END_TEST

START_TEST(a_launched_command_waits_and_then_runs)
{
    struct launch launch;
    struct error err;
    char *argv[] = {"sh", "-c", "exit 7", NULL};
    int status;
    ck_assert_int_eq(launch_prepare(argv, &launch, &err), 0);
    ck_assert_int_eq(waitpid(launch.pid, &status, WNOHANG), 0);
    ck_assert_int_eq(launch_go(&launch, &err), 0);
    ck_assert_int_eq(waitpid(launch.pid, &status, 0), launch.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
END_TEST

START_TEST(a_command_that_can_not_run_says_why)
{
    struct launch launch;
    struct error err;
    char *argv[] = {"/no/such/command", NULL};
    ck_assert_int_eq(launch_prepare(argv, &launch, &err), 0);
    ck_assert_int_eq(launch_go(&launch, &err), -1);
    ck_assert_int_eq(err.code, ERROR_GONE);
    ck_assert_ptr_nonnull(strstr(err.text, "/no/such/command: No such file"));
    ck_assert_int_eq(waitpid(launch.pid, NULL, 0), -1);
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(an_aborted_launch_leaves_no_child)
{
    struct launch launch;
    struct error err;
    char *argv[] = {"sh", NULL};
    ck_assert_int_eq(launch_prepare(argv, &launch, &err), 0);
    launch_abort(&launch);
    ck_assert_int_eq(waitpid(launch.pid, NULL, 0), -1);
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

UNIT_MAIN("target", a_running_process_is_opened, a_process_that_is_gone_is_refused,
          memprof_itself_is_refused, a_zombie_is_refused, a_kernel_thread_is_refused,
          a_thread_id_is_refused, threads_are_listed, descendants_are_found_at_any_depth,
          cpu_time_is_the_process_s_own, a_launched_command_waits_and_then_runs,
          a_command_that_can_not_run_says_why, an_aborted_launch_leaves_no_child)
