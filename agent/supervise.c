/* SPDX-License-Identifier: Apache-2.0 */
/* The parent of the network process and the vault: no network, no keys, no data of its own. */
#include "agent/supervise.h"

#include "agent/ipc.h"
#include "agent/network.h"
#include "agent/watched.h"
#include "proto/base/cli.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    STEADY_MS = 60000, /* a pair that ran so long starts its back-off anew */
    STOP_WAIT_MS = 5000,
    POLL_MS = 50,
};

struct pair {
    pid_t network, vault; /* 0 = gone */
    int code;             /* exit code of the first that ended for good, else 0 */
    uint64_t started_ms;
};

static volatile sig_atomic_t stop_asked, renewal_asked;

static void on_signal(int number)
{
    if (number == SIGHUP)
        renewal_asked = 1;
    else
        stop_asked = 1;
}

static void pause_ms(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

/* The vault program beside this one, or, in a build tree, one folder above it. */
static bool find_vault(char out[FS_PATH_BYTES + 32])
{
    static const char *const PLACES[] = {"consilium-vault", "../consilium-vault"};
    char self[FS_PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return false;
    *slash = '\0';
    for (size_t i = 0; i < sizeof PLACES / sizeof PLACES[0]; i++) {
        snprintf(out, FS_PATH_BYTES + 32, "%s/%s", self, PLACES[i]);
        if (access(out, X_OK) == 0)
            return true;
    }
    return false;
}

/* Neither process has any use for a terminal's input. */
static void no_input(void)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
}

static void exec_vault(const struct supervise_options *options, int fd)
{
    no_input();
    const char *program = options->vault_program;
    if (fd == IPC_VAULT_DESCRIPTOR)
        fcntl(fd, F_SETFD, 0);
    else
        dup2(fd, IPC_VAULT_DESCRIPTOR);
    /* One thread of BLAS and one arena: the models are small, the memory is the hospital's. */
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("MALLOC_ARENA_MAX", "1", 1);
    char found[FS_PATH_BYTES + 32];
    if (!program)
        program = find_vault(found) ? found : "consilium-vault";
    execlp(program, "consilium-vault", options->path, "--data", options->folder->data,
           options->landlock ? (char *)NULL : "--without-landlock", (char *)NULL);
    log_error("cannot start %s: %s", program, strerror(errno));
    _exit(CLI_USAGE);
}

static void run_network(const struct supervise_options *options, int fd, pid_t parent)
{
    struct why why;
    /* It would run on without anybody to restart it. */
    prctl(PR_SET_PDEATHSIG, SIGHUP);
    no_input();
    if (getppid() != parent)
        _exit(CLI_SYSTEM);
    struct result r = network_run(options->folder, fd, options->landlock, &why);
    _exit(ok(r) ? CLI_OK : cli_fail(r, &why));
}

static struct result start(const struct supervise_options *options, struct pair *pair,
                           struct why *why)
{
    int ends[2];
    pid_t self = getpid();
    *pair = (struct pair){.started_ms = clock_monotonic_ms()};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return failed(why, RESULT_SYSTEM, "cannot make the vault's socket: %s", strerror(errno));
    pair->vault = fork();
    if (pair->vault == 0)
        exec_vault(options, ends[1]);
    pair->network = pair->vault > 0 ? fork() : -1;
    if (pair->network == 0) {
        close(ends[1]);
        run_network(options, ends[0], self);
    }
    close(ends[0]);
    close(ends[1]);
    if (pair->network > 0)
        return DONE;
    if (pair->vault > 0)
        kill(pair->vault, SIGKILL);
    return failed(why, RESULT_SYSTEM, "cannot start the site's processes: %s", strerror(errno));
}

static void note_end(struct pair *pair, pid_t pid, int status)
{
    const char *name = pid == pair->vault ? "the vault" : "the network process";
    if (WIFSIGNALED(status))
        log_warning("%s was ended by signal %d", name, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        log_warning("%s ended with code %d", name, WEXITSTATUS(status));
    bool for_good = WIFEXITED(status) &&
                    (WEXITSTATUS(status) == CLI_USAGE || WEXITSTATUS(status) == CLI_FAILED);
    if (for_good && pair->code == 0)
        pair->code = WEXITSTATUS(status);
    if (pid == pair->vault)
        pair->vault = 0;
    if (pid == pair->network)
        pair->network = 0;
}

/* Collects those that ended; waits for at most ms, or until a stop is asked for. */
static void collect(struct pair *pair, unsigned ms, bool stopping)
{
    for (unsigned waited = 0;; waited += POLL_MS) {
        int status;
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            note_end(pair, pid, status);
        if ((!pair->vault && !pair->network) || waited >= ms || (stop_asked && !stopping))
            return;
        pause_ms(POLL_MS);
    }
}

static void stop_pair(struct pair *pair)
{
    if (pair->network)
        kill(pair->network, SIGTERM);
    collect(pair, STOP_WAIT_MS, true);
    if (pair->network)
        kill(pair->network, SIGKILL);
    if (pair->vault)
        kill(pair->vault, SIGKILL);
}

static bool renewal_due(const struct folder *folder, struct watched *watched)
{
    bool asked = renewal_asked;
    renewal_asked = 0;
    if (!asked && !watched_changed(watched))
        return false;
    watched_look(watched);
    return watched_good(folder);
}

/* Until both are gone: either ends when its socket closes, the vault after the task it is at. true:
 * they were ended to be started anew. */
static bool watch(struct pair *pair, const struct folder *folder, struct watched *watched)
{
    bool renewed = false;
    while (!stop_asked && (pair->vault || pair->network)) {
        collect(pair, 1000, false);
        if (!renewed && pair->network && renewal_due(folder, watched)) {
            log_info("starting again once the vault has finished its task");
            renewed = true;
            kill(pair->network, SIGHUP);
        }
        if (!pair->vault && pair->network && !stop_asked) {
            collect(pair, STOP_WAIT_MS, false);
            if (pair->network)
                kill(pair->network, SIGKILL);
        }
    }
    return renewed;
}

int supervise_run(const struct supervise_options *options)
{
    struct sigaction action = {.sa_handler = on_signal};
    unsigned backoff_ms = SUPERVISE_BACKOFF_MS_MIN;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    for (;;) {
        struct pair pair;
        struct watched watched;
        struct why why;
        struct result r = watched_start(&watched, options->folder, &why);
        if (ok(r))
            r = start(options, &pair, &why);
        if (!ok(r)) {
            log_error("%s", why.text);
            return CLI_SYSTEM;
        }
        bool renewed = watch(&pair, options->folder, &watched);
        if (stop_asked) {
            stop_pair(&pair);
            return CLI_OK;
        }
        if (pair.code != 0)
            return pair.code;
        if (renewed)
            continue;
        if (clock_monotonic_ms() - pair.started_ms > STEADY_MS)
            backoff_ms = SUPERVISE_BACKOFF_MS_MIN;
        log_warning("starting again in %u ms", backoff_ms);
        pause_ms(backoff_ms);
        backoff_ms =
            backoff_ms * 2 < SUPERVISE_BACKOFF_MS_MAX ? backoff_ms * 2 : SUPERVISE_BACKOFF_MS_MAX;
        if (stop_asked)
            return CLI_OK;
    }
}
