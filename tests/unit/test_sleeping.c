#include "core/sleeping.h"

#include "tests/unit/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STACK_BYTES = 8192 };

#define MARK UINT64_C(0x736c656570696e67)

#if defined(__x86_64__)
enum { SP_BIT = 7, PC_BIT = 8 }; /* asm/perf_regs.h */
#else
enum { SP_BIT = 31, PC_BIT = 32 };
#endif

static const struct sampler_options options = {
    .stack_bytes = STACK_BYTES,
    .user_registers = 1 | (uint64_t)1 << SP_BIT | (uint64_t)1 << PC_BIT,
    .user_register_count = 3,
};

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

/* A child with a mark on its stack, asleep or running. */
static pid_t child_new(bool asleep)
{
    pid_t child = fork();
    if (child)
        return child;
    volatile uint64_t mark[4] = {MARK, MARK, MARK, MARK};
    while (asleep)
        pause();
    while (mark[0])
        mark[1]++;
    _exit(0);
}

static void child_end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

START_TEST(a_sleepers_stack_is_read_and_it_sleeps_on)
{
    pid_t child = child_new(true);
    struct sleeping_stack stack = {0};
    struct record record = {0};
    wait_a_moment();
    ck_assert_int_eq(sleeping_stack_read(&stack, &options, child, child, &record), SLEEPING_READ);
    ck_assert_uint_eq(record.sample.registers[0], 0);
    ck_assert_uint_ne(record.sample.registers[1], 0);
    ck_assert_uint_ne(record.sample.registers[2], 0);
    ck_assert_uint_gt(record.sample.stack_bytes, 256);
    ck_assert_uint_le(record.sample.stack_bytes, STACK_BYTES);
    ck_assert(record.sample.stack_cut == (record.sample.stack_bytes == STACK_BYTES));
    uint64_t mark = MARK;
    ck_assert_ptr_nonnull(
        memmem(record.sample.stack, record.sample.stack_bytes, &mark, sizeof mark));
    sleeping_stack_release(&stack);
    child_end(child);
}
END_TEST

START_TEST(who_runs_is_awake)
{
    pid_t child = child_new(false);
    struct sleeping_stack stack = {0};
    struct record record = {0};
    wait_a_moment();
    ck_assert_int_eq(sleeping_stack_read(&stack, &options, child, child, &record), SLEEPING_AWAKE);
    sleeping_stack_release(&stack);
    child_end(child);
}
END_TEST

START_TEST(who_is_gone_is_unknown)
{
    pid_t child = child_new(true);
    struct sleeping_stack stack = {0};
    struct record record = {0};
    child_end(child);
    ck_assert_int_eq(sleeping_stack_read(&stack, &options, child, child, &record),
                     SLEEPING_UNKNOWN);
    sleeping_stack_release(&stack);
}
END_TEST

UNIT_MAIN("sleeping", a_sleepers_stack_is_read_and_it_sleeps_on, who_runs_is_awake,
          who_is_gone_is_unknown)
