/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed results on disk. */
#include "agent/vault/outbox.h"

#include "proto/base/cleanup.h"
#include "proto/transfer.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

static bool needed(const struct ledger_study *study, const char *except)
{
    return study->standing == LEDGER_STUDY_ALLOWED && study->task.state == LEDGER_TASK_DONE &&
           strcmp(study->name, except) != 0;
}

/* First fit: starts at 0 and moves behind each needed result that is in the way. */
static uint64_t place(const struct ledger *ledger, const char *except, size_t n)
{
    uint64_t at = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (size_t i = 0; i < ledger->studies_count; i++) {
            const struct ledger_study *study = &ledger->studies[i];
            if (!needed(study, except))
                continue;
            const struct ledger_release *release = &study->task.release;
            uint64_t begin = release->outbox_offset;
            uint64_t end = begin + transfer_cipher_bytes(release->offer.plain_bytes);
            if (at < end && begin < at + n) {
                at = end;
                moved = true;
            }
        }
    }
    return at;
}

struct result outbox_keep(int fd, const struct ledger *ledger, const char *except,
                          const unsigned char *bytes, size_t n, uint64_t *ret_offset,
                          struct why *why)
{
    uint64_t at = place(ledger, except, n);
    size_t done = 0;
    while (done < n) {
        ssize_t put = pwrite(fd, bytes + done, n - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return failed(why, RESULT_SYSTEM, "cannot keep a result on disk: %s",
                          put < 0 ? strerror(errno) : "no space");
        done += (size_t)put;
    }
    if (fsync(fd) < 0)
        return failed(why, RESULT_SYSTEM, "cannot keep a result on disk: %s", strerror(errno));
    *ret_offset = at;
    return DONE;
}

struct result outbox_get(int fd, const struct ledger_release *release, unsigned char **ret_bytes,
                         size_t *ret_n, struct why *why)
{
    size_t n = (size_t)transfer_cipher_bytes(release->offer.plain_bytes);
    CLEANUP(free_pointer) unsigned char *bytes = malloc(n ? n : 1);
    if (!bytes)
        return failed(why, RESULT_SYSTEM, "no memory for a result of %zu bytes", n);
    size_t have = 0;
    while (have < n) {
        ssize_t got = pread(fd, bytes + have, n - have, (off_t)(release->outbox_offset + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(why, RESULT_SYSTEM, "cannot read the outbox: %s", strerror(errno));
        if (got == 0)
            break;
        have += (size_t)got;
    }
    unsigned char hash[PLAN_HASH_BYTES];
    crypto_generichash(hash, sizeof hash, bytes, have, NULL, 0);
    if (have < n || memcmp(hash, release->offer.cipher_hash, sizeof hash) != 0)
        return failed(why, RESULT_REFUSED, "the result is not in the outbox any more");
    *ret_bytes = TAKE(bytes);
    *ret_n = n;
    return DONE;
}
