/* SPDX-License-Identifier: Apache-2.0 */
/* consilium-vault: opens what it needs, shuts itself in, and serves the network process. */
#include "agent/folder.h"
#include "agent/sandbox.h"
#include "agent/vault/serve.h"
#include "proto/base/cleanup.h"
#include "proto/base/cli.h"
#include "proto/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 200 };

static struct result open_file(const char *path, int flags, int *ret_fd, struct why *why)
{
    *ret_fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*ret_fd < 0)
        return failed(why, RESULT_SYSTEM, "%s: cannot open: %s", path, strerror(errno));
    return DONE;
}

/* The key of the holdout: drawn once, since another one would show old training patients as new
 * holdout patients. */
static struct result holdout_key(const struct folder *folder, unsigned char *key, struct why *why)
{
    CLEANUP(free_pointer) char *text = NULL;
    size_t n = 0;
    if (!fs_exists(folder->holdout_key)) {
        randombytes_buf(key, DATASET_KEY_BYTES);
        return fs_write_atomic(folder->holdout_key, key, DATASET_KEY_BYTES, 0600, why);
    }
    TRY(fs_read(folder->holdout_key, DATASET_KEY_BYTES, &text, &n, why));
    if (n != DATASET_KEY_BYTES)
        return failed(why, RESULT_INPUT, "%s: not a holdout key", folder->holdout_key);
    memcpy(key, text, DATASET_KEY_BYTES);
    sodium_memzero(text, n);
    return DONE;
}

/* Mapping and data may be set up later: until then studies are refused with that reason. */
static struct result open_data(const struct folder *folder, struct vault *vault, struct why *why)
{
    char path[FS_PATH_BYTES];
    vault->data_fd = -1;
    if (!fs_exists(folder->mapping)) {
        log_warning("%s is missing: every study will be refused until it is there and the agent "
                    "is started again",
                    folder->mapping);
        return DONE;
    }
    TRY(folder_mapping(folder, &vault->mapping, path, why));
    snprintf(vault->data_name, sizeof vault->data_name, "%s", vault->mapping.data);
    vault->data_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (vault->data_fd < 0)
        return failed(why, RESULT_INPUT, "%s: cannot open the patients' file: %s", path,
                      strerror(errno));
    vault->data_present = true;
    return DONE;
}

static struct result open_all(const struct folder *folder, struct vault *vault, struct why *why)
{
    TRY(vault_keys_load(&vault->keys, folder->keys, why));
    TRY(folder_policy(folder, &vault->policy, why));
    TRY(fs_make_dirs(folder->vault, 0700, why));
    TRY(open_data(folder, vault, why));
    TRY(holdout_key(folder, vault->holdout_key, why));
    TRY(open_file(folder->ledger, O_RDWR | O_CREAT, &vault->ledger_fd, why));
    TRY(open_file(folder->epochs, O_RDWR | O_CREAT, &vault->epochs_fd, why));
    TRY(open_file(folder->heads, O_RDWR | O_CREAT, &vault->heads_fd, why));
    TRY(open_file(folder->secure, O_RDWR | O_CREAT, &vault->secure_fd, why));
    TRY(open_file(folder->outbox, O_RDWR | O_CREAT, &vault->outbox_fd, why));
    TRY(open_file(folder->released, O_WRONLY | O_APPEND | O_CREAT, &vault->record_fd, why));
    return open_file(folder->decisions, O_RDONLY | O_CREAT, &vault->decisions_fd, why);
}

/* Nothing is opened, connected or started from here on. */
static struct result shut_in(const struct vault *vault, const struct serve *serve, bool landlock,
                             struct why *why)
{
    int keep[10] = {vault->ledger_fd, vault->outbox_fd, vault->record_fd, vault->decisions_fd,
                    vault->data_fd,   vault->epochs_fd, vault->heads_fd,  vault->secure_fd};
    size_t count = 8 + serve_descriptors(serve, keep + 8);
    TRY(sandbox_harden(why));
    TRY(sandbox_close_others(keep, count, why));
    if (landlock)
        TRY(sandbox_files(NULL, 0, why));
    else
        log_warning("without Landlock: the system call filter alone keeps files shut");
    return sandbox_vault_calls(why);
}

/* A vault that still finishes a task after its agent died holds the ledger. */
static struct result start_when_free(struct vault *vault, struct why *why)
{
    for (bool told = false;; told = true) {
        struct result r = vault_start(vault, why);
        if (r.code != RESULT_AGAIN)
            return r;
        if (!told)
            log_info("%s; waiting for it", why->text);
        const struct timespec pause = {.tv_nsec = LOCK_WAIT_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

static struct result run(const char *path, const char *data, bool landlock, struct why *why)
{
    static struct vault vault;
    struct folder folder;
    struct serve *serve = NULL;
    struct stat st;
    if (fstat(IPC_VAULT_DESCRIPTOR, &st) < 0 || !S_ISSOCK(st.st_mode))
        return failed(why, RESULT_INPUT, "the vault is started by consilium-agent run");
    vault.on_time = true;
    TRY(folder_at(&folder, path, data, why));
    TRY(open_all(&folder, &vault, why));
    TRY(serve_open(&serve, &vault, IPC_VAULT_DESCRIPTOR, OBJECT_BYTES_MAX, why));
    TRY(shut_in(&vault, serve, landlock, why));
    TRY(start_when_free(&vault, why));
    log_info("vault of %s is ready: no network, no new files, no programs", vault.keys.site);
    struct result r = serve_run(serve, why);
    serve_close(serve);
    vault_end(&vault);
    return r;
}

int main(int argc, char **argv)
{
    struct why why;
    bool landlock = !cli_take_flag(&argc, argv, "--without-landlock");
    const char *data = cli_take_option(&argc, argv, "--data");
    log_start("consilium-vault", LOG_LEVEL_INFO);
    if (argc != 2)
        return cli_usage("started by consilium-agent: SITE-FOLDER [--data FOLDER]");
    if (sodium_init() < 0)
        return cli_usage("libsodium does not start");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* from a terminal: the agent tells when to stop */
    struct result r = run(argv[1], data, landlock, &why);
    return ok(r) ? CLI_OK : cli_fail(r, &why);
}
