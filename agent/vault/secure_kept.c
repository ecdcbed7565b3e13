/* SPDX-License-Identifier: Apache-2.0 */
/* Secure rounds on disk.
 *
 * A half: nonce 24 | sealed: times kept 8 | round 4 | first 4 | stages 4 | self 4 | sites 4
 *         | bytes of the mask 4 | study PLAN_NAME_BYTES | plan 32 | mask, zeros to the end | tag 16
 */
#include "agent/vault/secure_kept.h"

#include "agent/vault/secure_inner.h"
#include "proto/base/cleanup.h"
#include "proto/base/endian.h"
#include "proto/base/log.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MASK_BYTES_MAX = 36 * 1024,
    NUMBERS = 6,
    HEAD_BYTES = 8 + 4 * NUMBERS + PLAN_NAME_BYTES + PLAN_HASH_BYTES,
    PLAIN_BYTES = HEAD_BYTES + MASK_BYTES_MAX,
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    HALF_BYTES = NONCE_BYTES + PLAIN_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES,
    KEY_BYTES = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
};

struct buffers {
    unsigned char plain[PLAIN_BYTES], sealed[HALF_BYTES], key[KEY_BYTES];
};

static void wipe_buffers(struct buffers **buffers)
{
    if (*buffers)
        sodium_memzero(*buffers, sizeof **buffers);
    free(*buffers);
}

static struct result make_buffers(const struct vault *vault, struct buffers **ret, struct why *why)
{
    static const char USE[] = "consilium kept secure round 1";
    struct buffers *buffers = calloc(1, sizeof *buffers);
    if (!buffers)
        return failed(why, RESULT_SYSTEM, "no memory to keep a secure round");
    crypto_generichash(buffers->key, KEY_BYTES, (const unsigned char *)USE, sizeof USE,
                       vault->keys.secrets.seal, IDENTITY_SEAL_SECRET_BYTES);
    *ret = buffers;
    return DONE;
}

static off_t offset_of(size_t place, unsigned half)
{
    return (off_t)((2 * place + half) * HALF_BYTES);
}

/* What a half is bound to: an old one does not open in another's place. */
static void label_of(size_t place, unsigned half, unsigned char label[2])
{
    label[0] = (unsigned char)place;
    label[1] = (unsigned char)half;
}

static struct result write_half(int fd, size_t place, unsigned half, const unsigned char *bytes,
                                struct why *why)
{
    size_t done = 0;
    while (done < HALF_BYTES) {
        ssize_t put =
            pwrite(fd, bytes + done, HALF_BYTES - done, offset_of(place, half) + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return failed(why, RESULT_SYSTEM, "cannot keep a secure round on disk: %s",
                          put < 0 ? strerror(errno) : "no space");
        done += (size_t)put;
    }
    if (fsync(fd) < 0)
        return failed(why, RESULT_SYSTEM, "cannot keep a secure round on disk: %s",
                      strerror(errno));
    return DONE;
}

/* false: the file ends before; bytes are zeros from there on. */
static struct result read_half(int fd, size_t place, unsigned half, unsigned char *bytes,
                               struct why *why)
{
    size_t have = 0;
    memset(bytes, 0, HALF_BYTES);
    while (have < HALF_BYTES) {
        ssize_t got =
            pread(fd, bytes + have, HALF_BYTES - have, offset_of(place, half) + (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(why, RESULT_SYSTEM, "cannot read the kept secure rounds: %s",
                          strerror(errno));
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return DONE;
}

static struct result put_round(const struct secure_round *round, uint64_t kept,
                               unsigned char plain[PLAIN_BYTES], struct why *why)
{
    size_t mask_n = mask_kept_bytes(round->sites);
    const uint32_t numbers[NUMBERS] = {round->round, round->first, round->stages,
                                       round->self,  round->sites, (uint32_t)mask_n};
    unsigned char *at = plain + 8;
    memset(plain, 0, PLAIN_BYTES);
    little_put(plain, kept, 8);
    for (int i = 0; i < NUMBERS; i++, at += 4)
        little_put(at, numbers[i], 4);
    memcpy(at, round->study, PLAN_NAME_BYTES);
    memcpy(at + PLAN_NAME_BYTES, round->plan_hash, PLAN_HASH_BYTES);
    if (mask_n > MASK_BYTES_MAX || mask_site_keep(round->mask, plain + HEAD_BYTES) != MASK_OK)
        return failed(why, RESULT_REFUSED, "a secure round cannot be kept in this stage");
    return DONE;
}

/* NULL: makes no sense, or no memory. */
static struct secure_round *take_round(const unsigned char plain[PLAIN_BYTES])
{
    struct secure_round *round = calloc(1, sizeof *round);
    uint32_t numbers[NUMBERS];
    const unsigned char *at = plain + 8;
    if (!round)
        return NULL;
    for (int i = 0; i < NUMBERS; i++, at += 4)
        numbers[i] = (uint32_t)little_get(at, 4);
    round->kept = little_get(plain, 8);
    round->round = numbers[0];
    round->first = numbers[1];
    round->stages = numbers[2];
    round->self = numbers[3];
    round->sites = numbers[4];
    memcpy(round->study, at, PLAN_NAME_BYTES - 1);
    memcpy(round->plan_hash, at + PLAN_NAME_BYTES, PLAN_HASH_BYTES);
    if (numbers[5] <= MASK_BYTES_MAX && numbers[5] == mask_kept_bytes(round->sites))
        round->mask = mask_site_again(plain + HEAD_BYTES, numbers[5]);
    if (round->mask)
        return round;
    secure_round_free(round);
    return NULL;
}

struct result secure_kept_write(const struct vault *vault, size_t place, struct why *why)
{
    struct secure_round *round = vault->secure[place];
    unsigned half = (unsigned)((round->kept + 1) % 2);
    unsigned char label[2];
    CLEANUP(wipe_buffers) struct buffers *buffers = NULL;
    TRY(make_buffers(vault, &buffers, why));
    TRY(put_round(round, round->kept + 1, buffers->plain, why));
    label_of(place, half, label);
    randombytes_buf(buffers->sealed, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(buffers->sealed + NONCE_BYTES, NULL, buffers->plain,
                                               PLAIN_BYTES, label, sizeof label, NULL,
                                               buffers->sealed, buffers->key);
    TRY(write_half(vault->secure_fd, place, half, buffers->sealed, why));
    round->kept++;
    return DONE;
}

struct result secure_kept_erase(const struct vault *vault, size_t place, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *zeros = calloc(1, HALF_BYTES);
    if (!zeros)
        return failed(why, RESULT_SYSTEM, "no memory to erase a secure round");
    for (unsigned half = 0; half < 2; half++)
        TRY(write_half(vault->secure_fd, place, half, zeros, why));
    return DONE;
}

/* The round in a half, or NULL. *ret_used: there is something. */
static struct result open_half(const struct vault *vault, size_t place, unsigned half,
                               struct buffers *buffers, struct secure_round **ret_round,
                               bool *ret_used, struct why *why)
{
    unsigned char label[2];
    *ret_round = NULL;
    TRY(read_half(vault->secure_fd, place, half, buffers->sealed, why));
    if (sodium_is_zero(buffers->sealed, HALF_BYTES))
        return DONE;
    *ret_used = true;
    label_of(place, half, label);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(buffers->plain, NULL, NULL,
                                                   buffers->sealed + NONCE_BYTES,
                                                   HALF_BYTES - NONCE_BYTES, label, sizeof label,
                                                   buffers->sealed, buffers->key) == 0)
        *ret_round = take_round(buffers->plain);
    return DONE;
}

/* The newer of a place's halves, or NULL. */
static struct result open_place(const struct vault *vault, size_t place, struct buffers *buffers,
                                struct secure_round **ret_round, bool *ret_used, struct why *why)
{
    struct secure_round *halves[2] = {NULL, NULL};
    struct result r = open_half(vault, place, 0, buffers, &halves[0], ret_used, why);
    if (ok(r))
        r = open_half(vault, place, 1, buffers, &halves[1], ret_used, why);
    bool second = halves[1] && (!halves[0] || halves[1]->kept > halves[0]->kept);
    secure_round_free(halves[!second]);
    *ret_round = halves[second];
    return r;
}

/* Whether the ledger says that the round is still to be revealed by this site: its masked update
 * is in the outbox or left, and its reveal is not. */
static bool still_open(const struct vault *vault, const struct secure_round *round)
{
    const struct ledger_study *study = NULL;
    for (size_t i = 0; i < vault->ledger.studies_count; i++)
        if (strcmp(vault->ledger.studies[i].name, round->study) == 0)
            study = &vault->ledger.studies[i];
    if (!study || study->standing != LEDGER_STUDY_ALLOWED ||
        memcmp(study->plan_hash, round->plan_hash, PLAN_HASH_BYTES) != 0 ||
        study->task.round != round->round)
        return false;
    const struct ledger_task *task = &study->task;
    uint32_t trained = round->first + task_stage(TASK_TRAIN) - 1;
    bool done = task->state == LEDGER_TASK_DONE;
    return (task->kind == TASK_TRAIN && task->task == trained && done) ||
           (task->kind == TASK_AGREE && task->task == trained + 1) ||
           (task->kind == TASK_REVEAL && task->task > trained + 1 && !done);
}

struct result secure_kept_read(struct vault *vault, struct why *why)
{
    CLEANUP(wipe_buffers) struct buffers *buffers = NULL;
    TRY(make_buffers(vault, &buffers, why));
    for (size_t place = 0; place < SECURE_ROUNDS_MAX; place++) {
        bool used = false;
        struct secure_round *round = NULL;
        TRY(open_place(vault, place, buffers, &round, &used, why));
        if (used && !round)
            log_warning("a secure round on disk does not open: it is erased, and this site drops "
                        "out of that round");
        if (round && still_open(vault, round)) {
            vault->secure[place] = round;
            log_info("%s: the secure round %u goes on after stage %u of %d", round->study,
                     round->round, round->stages, TASK_STAGES);
            continue;
        }
        secure_round_free(round);
        if (used)
            TRY(secure_kept_erase(vault, place, why));
    }
    return DONE;
}
