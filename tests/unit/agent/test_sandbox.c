/* SPDX-License-Identifier: Apache-2.0 */
/* A taken-over vault and a taken-over network process try to break out of their sandboxes: each
 * attempt runs in a child that entered the real sandbox first. */
#include "agent/network.h"
#include "agent/sandbox.h"
#include "proto/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

struct world {
    char folder[64];
    char data[96];   /* the patients' file */
    char tls[3][96]; /* what the network process may read */
    int held;        /* a descriptor that the vault opened before */
    pid_t other;     /* another process of the same user */
};

static struct world world;

static bool have_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

static int make_world(void **state)
{
    (void)state;
    strcpy(world.folder, "/tmp/consilium-sandbox-XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    assert_int_equal(chmod(world.folder, 0755), 0);
    snprintf(world.data, sizeof world.data, "%s/patients.csv", world.folder);
    put_file(world.data, "patient_id,age\n1,70\n");
    for (int i = 0; i < 3; i++) {
        snprintf(world.tls[i], sizeof world.tls[i], "%s/tls%d", world.folder, i);
        put_file(world.tls[i], "pem");
    }
    world.held = open(world.data, O_RDWR | O_CLOEXEC);
    assert_true(world.held > 2);
    world.other = fork();
    if (world.other == 0)
        for (;;)
            pause();
    return 0;
}

static int end_world(void **state)
{
    (void)state;
    char line[160];
    kill(world.other, SIGKILL);
    waitpid(world.other, NULL, 0);
    close(world.held);
    snprintf(line, sizeof line, "rm -rf %s", world.folder);
    return system(line);
}

/* Each returns true when the attempt was stopped. */
typedef bool attempt(void);

static bool refused(long r)
{
    return r < 0 && (errno == EPERM || errno == EACCES);
}

static bool no_tcp_socket(void)
{
    return refused(socket(AF_INET, SOCK_STREAM, 0)) && refused(socket(AF_INET6, SOCK_DGRAM, 0));
}

static bool no_unix_socket(void)
{
    int pair[2];
    return refused(socket(AF_UNIX, SOCK_STREAM, 0)) &&
           refused(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static bool no_connect_on_held(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    return refused(connect(world.held, (struct sockaddr *)&address, sizeof address)) &&
           refused(bind(world.held, (struct sockaddr *)&address, sizeof address));
}

static bool no_open(void)
{
    return refused(open(world.data, O_RDONLY)) && refused(open("/etc/passwd", O_RDONLY)) &&
           refused(open("/tmp/consilium-new", O_CREAT | O_WRONLY, 0600)) &&
           refused(openat(AT_FDCWD, "/proc/self/mem", O_RDWR));
}

static bool no_raw_open(void)
{
    return refused(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0)) &&
           refused(syscall(SYS_io_uring_setup, 8, NULL)) &&
           refused(syscall(SYS_memfd_create, "x", 0));
}

static bool no_exec(void)
{
    char *const argv[] = {(char[]){"true"}, NULL};
    return refused(execv("/bin/true", argv)) &&
           refused(syscall(SYS_execveat, 3, "", argv, NULL, 0));
}

static bool no_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return refused(pid);
}

static bool no_spying(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    return refused(ptrace(PTRACE_ATTACH, world.other, NULL, NULL)) &&
           refused(syscall(SYS_process_vm_readv, world.other, &here, 1, &there, 1, 0));
}

static bool no_new_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && refused(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static bool no_change_of_files(void)
{
    return refused(rename(world.data, "/tmp/x")) && refused(unlink(world.data)) &&
           refused(chmod(world.data, 0777)) && refused(mkdir("/tmp/consilium-x", 0700));
}

static bool no_signal(void)
{
    return refused(kill(world.other, SIGTERM)) &&
           refused(syscall(SYS_tgkill, world.other, world.other, SIGTERM));
}

static void *set_flag(void *flag)
{
    *(bool *)flag = true;
    return NULL;
}

/* What the vault needs still works. */
static bool work_goes_on(void)
{
    char text[8];
    pthread_t thread;
    bool ran = false;
    unsigned char *big = malloc(8 << 20);
    if (!big || pread(world.held, text, sizeof text, 0) != sizeof text ||
        pwrite(world.held, text, sizeof text, 0) != sizeof text || fsync(world.held) != 0)
        return false;
    memset(big, 1, 8 << 20);
    free(big);
    FILE *file = fdopen(dup(world.held), "r");
    if (lseek(world.held, 0, SEEK_SET) != 0 || !file || !fgets(text, sizeof text, file) ||
        fclose(file) != 0)
        return false;
    return pthread_create(&thread, NULL, set_flag, &ran) == 0 && pthread_join(thread, NULL) == 0 &&
           ran;
}

static bool no_core(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0;
}

static struct result vault_sandbox(struct why *why)
{
    TRY(sandbox_harden(why));
    TRY(sandbox_close_others(&world.held, 1, why));
    if (have_landlock())
        TRY(sandbox_files(NULL, 0, why));
    return sandbox_vault_calls(why);
}

static struct result agent_sandbox(struct why *why)
{
    const char *const files[3] = {world.tls[0], world.tls[1], world.tls[2]};
    return network_shut_in(files, world.held, true, why);
}

/* Runs the attempt in a child inside the sandbox, as root and as an ordinary user. */
static void expect_stopped(struct result (*sandbox)(struct why *), attempt *try_it,
                           const char *name)
{
    for (int ordinary = 0; ordinary < 2; ordinary++) {
        if (!ordinary && getuid() != 0)
            continue;
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct why why;
            if (ordinary && getuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
                _exit(3);
            if (!ok(sandbox(&why))) {
                fprintf(stderr, "%s\n", why.text);
                _exit(2);
            }
            _exit(try_it() ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("%s was not stopped for %s (status %d)", name,
                     ordinary ? "an ordinary user" : "root", status);
    }
}

static void test_vault(void **state)
{
    (void)state;
    const struct {
        attempt *run;
        const char *name;
    } attempts[] = {
        {no_tcp_socket, "a network socket"},
        {no_unix_socket, "a local socket"},
        {no_connect_on_held, "a connection"},
        {no_open, "opening a file"},
        {no_raw_open, "opening a file by another call"},
        {no_exec, "starting a program"},
        {no_fork, "a new process"},
        {no_spying, "reading another process"},
        {no_new_code, "new machine code"},
        {no_change_of_files, "changing files"},
        {no_signal, "a signal"},
        {no_core, "a core dump"},
        {work_goes_on, "the vault's own work"},
    };
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
        expect_stopped(vault_sandbox, attempts[i].run, attempts[i].name);
}

static bool no_data(void)
{
    return refused(open(world.data, O_RDONLY)) && refused(open(world.data, O_WRONLY));
}

static bool no_data_by_detours(void)
{
    char path[160];
    const char *name = strrchr(world.folder, '/') + 1;
    snprintf(path, sizeof path, "/usr/lib/../../tmp/%.60s/patients.csv", name);
    if (!refused(open(path, O_RDONLY)))
        return false;
    snprintf(path, sizeof path, "/proc/%d/root%s", (int)world.other, world.data);
    if (!refused(open(path, O_RDONLY)))
        return false;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)world.other, world.held);
    if (!refused(open(path, O_RDONLY)))
        return false;
    return refused(open(world.folder, O_RDONLY | O_DIRECTORY)) && refused(truncate(world.data, 0));
}

static bool no_copy_of_data(void)
{
    snprintf(world.tls[0], sizeof world.tls[0], "%s/copy", world.folder);
    return refused(link(world.data, world.tls[0])) && refused(rename(world.data, world.tls[0])) &&
           refused(unlink(world.data)) && refused(unshare(0x00020000)) &&
           refused(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
}

static bool agent_works(void)
{
    int tls = open(world.tls[1], O_RDONLY);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    int null = open("/dev/null", O_RDONLY);
    return tls >= 0 && udp >= 0 && null >= 0;
}

static void test_agent(void **state)
{
    (void)state;
    if (!have_landlock()) {
        print_message("this kernel has no Landlock: the agent's files cannot be tested\n");
        skip();
    }
    const struct {
        attempt *run;
        const char *name;
    } attempts[] = {
        {no_data, "reading patients"},
        {no_data_by_detours, "reading patients by a detour"},
        {no_copy_of_data, "moving patients"},
        {no_exec, "starting a program"},
        {no_spying, "reading another process"},
        {no_new_code, "new machine code"},
        {no_core, "a core dump"},
        {agent_works, "the agent's own work"},
    };
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
        expect_stopped(agent_sandbox, attempts[i].run, attempts[i].name);
}

/* Descriptors that were inherited are gone, the kept ones stay, whatever their order. */
static void test_descriptors(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct why why;
        int a = dup(world.held), b = dup(world.held), c = dup(world.held);
        int keep[2] = {c, world.held};
        bool good = ok(sandbox_close_others(keep, 2, &why)) && fcntl(a, F_GETFD) < 0 &&
                    fcntl(b, F_GETFD) < 0 && fcntl(c, F_GETFD) >= 0 &&
                    fcntl(world.held, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0;
        _exit(good ? 0 : 1);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vault),
        cmocka_unit_test(test_agent),
        cmocka_unit_test(test_descriptors),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
