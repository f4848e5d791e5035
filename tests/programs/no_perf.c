/*
 * no_perf [-e ERRNO] [-b CALL]... COMMAND [ARG...] - runs a command under a seccomp filter that
 * refuses perf_event_open, as a container's does. ERRNO is EPERM (the default), EACCES or ENOSYS;
 * -b refuses one more call: ptrace, process_vm_readv or pidfd_open.
 *
 * no_new_privs is set only where the filter could not be installed without: Docker sets none.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define MACHINE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define MACHINE AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH_… is this?"
#endif

struct named {
    const char *name;
    int value;
};

static const struct named calls[] = {
    {"perf_event_open", SYS_perf_event_open},
    {"ptrace", SYS_ptrace},
    {"process_vm_readv", SYS_process_vm_readv},
    {"pidfd_open", SYS_pidfd_open},
};
static const struct named numbers[] = {{"EPERM", EPERM}, {"EACCES", EACCES}, {"ENOSYS", ENOSYS}};

enum { CALLS = sizeof calls / sizeof *calls, NUMBERS = sizeof numbers / sizeof *numbers };

static int value_of(const char *name, const struct named *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(name, table[i].name))
            return table[i].value;
    fprintf(stderr, "no_perf: what is %s?\n", name);
    exit(2);
}

static void filter_install(const int *refused, size_t count, int number)
{
    struct sock_filter code[2 * CALLS + 8];
    unsigned short used = 0;
    code[used++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
    code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[used++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++) {
        code[used++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)refused[i], 0, 1);
        code[used++] =
            (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)number);
    }
    code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = used, .filter = code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return;
    if (errno != EACCES || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("no_perf: seccomp");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    int refused[CALLS] = {SYS_perf_event_open}, number = EPERM, option;
    size_t count = 1;
    while ((option = getopt(argc, argv, "+e:b:")) != -1) {
        if (option == 'e')
            number = value_of(optarg, numbers, NUMBERS);
        else if (option == 'b' && count < CALLS)
            refused[count++] = value_of(optarg, calls, CALLS);
        else
            return 2;
    }
    if (!argv[optind]) {
        fputs("usage: no_perf [-e ERRNO] [-b CALL]... COMMAND [ARG...]\n", stderr);
        return 2;
    }
    filter_install(refused, count, number);
    execvp(argv[optind], argv + optind);
    perror(argv[optind]);
    return 2;
}
