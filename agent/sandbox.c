/* SPDX-License-Identifier: Apache-2.0 */
/* Hardening, Landlock and seccomp for the site's two processes. */
#include "agent/sandbox.h"

#include "proto/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights that came after the kernel headers of Debian 12, by their numbers. */
enum {
    FS_REFER = 1 << 13,    /* ABI 2 */
    FS_TRUNCATE = 1 << 14, /* ABI 3 */
    FS_ABI1 = (1 << 13) - 1,
    FS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    FS_FILE_ONLY = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                   LANDLOCK_ACCESS_FS_EXECUTE | FS_TRUNCATE,
    FS_WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
               LANDLOCK_ACCESS_FS_MAKE_REG | FS_TRUNCATE,
};

struct result sandbox_harden(struct why *why)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return failed(why, RESULT_SYSTEM, "cannot give up core dumps and new privileges: %s",
                      strerror(errno));
    return DONE;
}

static struct result close_span(unsigned first, unsigned last, struct why *why)
{
    if (first > last || syscall(SYS_close_range, first, last, 0u) == 0)
        return DONE;
    return failed(why, RESULT_SYSTEM, "cannot close inherited descriptors: %s", strerror(errno));
}

struct result sandbox_close_others(const int *keep, size_t keep_count, struct why *why)
{
    unsigned from = 3;
    for (;;) {
        unsigned next = UINT32_MAX;
        for (size_t i = 0; i < keep_count; i++) {
            if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
                next = (unsigned)keep[i];
        }
        if (next == UINT32_MAX)
            return close_span(from, UINT32_MAX, why);
        if (next > from)
            TRY(close_span(from, next - 1, why));
        from = next + 1;
    }
}

static struct result add_path(int ruleset, const struct sandbox_path *path, uint64_t handled,
                              struct why *why)
{
    CLEANUP(close_fd) int fd = open(path->path, O_PATH | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return DONE;
    if (fd < 0 || fstat(fd, &st) < 0)
        return failed(why, RESULT_SYSTEM, "cannot look at %s for the sandbox: %s", path->path,
                      strerror(errno));
    uint64_t access = FS_READ | (path->access == SANDBOX_READ_WRITE ? FS_WRITE : 0);
    if (!S_ISDIR(st.st_mode))
        access &= FS_FILE_ONLY;
    struct landlock_path_beneath_attr rule = {.allowed_access = access & handled, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return failed(why, RESULT_SYSTEM, "cannot allow %s in the sandbox: %s", path->path,
                      strerror(errno));
    return DONE;
}

struct result sandbox_files(const struct sandbox_path *paths, size_t count, struct why *why)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return failed(why, RESULT_REFUSED,
                      "this kernel offers no Landlock (%s), so files cannot be shut off; enable it "
                      "(lsm=landlock,...) or start with --without-landlock",
                      strerror(errno));
    uint64_t handled = FS_ABI1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0);
    struct landlock_ruleset_attr attr = {.handled_access_fs = handled};
    CLEANUP(close_fd)
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return failed(why, RESULT_SYSTEM, "cannot make a Landlock ruleset: %s", strerror(errno));
    for (size_t i = 0; i < count; i++)
        TRY(add_path(ruleset, &paths[i], handled, why));
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return failed(why, RESULT_SYSTEM, "cannot enter the Landlock ruleset: %s", strerror(errno));
    return DONE;
}

/* Everything the vault still does once its descriptors are open. */
static const int VAULT_CALLS[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(flock),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(mlock),
    SCMP_SYS(munlock),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sysinfo),
    SCMP_SYS(membarrier),
};

static struct result load(scmp_filter_ctx filter, int added, struct why *why)
{
    int r = added;
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    if (r != 0)
        return failed(why, RESULT_SYSTEM, "cannot install the system call filter: %s",
                      strerror(-r));
    return DONE;
}

/* mmap and mprotect may not make memory that can be executed: code brought in stays data. */
static int add_memory_rules(scmp_filter_ctx filter)
{
    enum { EXECUTE = 4 };
    int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, EXECUTE, EXECUTE));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, EXECUTE, EXECUTE));
    return r;
}

struct result sandbox_vault_calls(struct why *why)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return failed(why, RESULT_SYSTEM, "cannot make a system call filter");
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; r == 0 && i < sizeof VAULT_CALLS / sizeof VAULT_CALLS[0]; i++) {
        int call = VAULT_CALLS[i];
        if (call == SCMP_SYS(mmap) || call == SCMP_SYS(mprotect))
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0));
        else
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    }
    /* abort() signals the vault itself, and only that. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    /* Limits may be read, not changed. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                             SCMP_A2(SCMP_CMP_EQ, 0));
    /* Threads, not processes. The arguments of clone3 lie in memory, out of the filter's sight: the
     * C library falls back to clone when it is missing. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* fdopen() asks how a descriptor was opened. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                             SCMP_A1(SCMP_CMP_EQ, F_GETFL));
    /* fstat() of newer C libraries. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                             SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    return load(filter, r, why);
}

/* What a taken-over network process would reach for next. */
static const int AGENT_FORBIDDEN[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(kcmp),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(swapon),
    SCMP_SYS(reboot),
    SCMP_SYS(acct),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(chown),
    SCMP_SYS(fchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(lchown),
};

struct result sandbox_agent_calls(struct why *why)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return failed(why, RESULT_SYSTEM, "cannot make a system call filter");
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; r == 0 && i < sizeof AGENT_FORBIDDEN / sizeof AGENT_FORBIDDEN[0]; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), AGENT_FORBIDDEN[i], 0);
    if (r == 0)
        r = add_memory_rules(filter);
    return load(filter, r, why);
}
