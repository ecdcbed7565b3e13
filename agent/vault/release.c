/* SPDX-License-Identifier: Apache-2.0 */
/* Seals results to the coordinator and notes what left. */
#include "agent/vault/release.h"

#include "agent/vault/outbox.h"
#include "agent/vault/record.h"
#include "agent/vault/room.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/transfer.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* An empty message of the site to the coordinator, with the ledger as it stands; session and
 * sequence come with the signature. */
static struct message *compose(struct vault *vault, enum message_kind kind, const char *study,
                               uint32_t task)
{
    struct message *message = vault->scratch[0];
    memset(message, 0, sizeof *message);
    message->kind = kind;
    message->head.task = task;
    snprintf(message->head.study, sizeof message->head.study, "%s", study);
    message->head.ledger_records = vault->ledger.journal.sequence;
    memcpy(message->head.ledger_head, vault->ledger.journal.head, LEDGER_HEAD_BYTES);
    return message;
}

/* Seals, keeps in the outbox, tells the ledger: in this order, each on disk before the next. */
static struct result seal(struct vault *vault, const struct ledger_study *study, uint32_t task,
                          const struct message_task *order, enum object_kind kind, uint32_t models,
                          const unsigned char *plain, size_t n, const struct release_local *local,
                          unsigned char **ret_cipher, size_t *ret_n, struct why *why)
{
    unsigned char key[32];
    struct ledger_release release = {.kind = kind, .models = models};
    CLEANUP(free_pointer) unsigned char *cipher = NULL;
    size_t cipher_n = 0;
    TRY(transfer_seal(plain, n, &release.offer, key, &cipher, &cipher_n, why));
    struct result r = transfer_seal_key(&release.offer, key, vault->keys.coordinator_seal, why);
    sodium_memzero(key, sizeof key);
    TRY(r);
    release.offer.kind = kind;
    memcpy(release.offer.model_hash, order->model_hash, PLAN_HASH_BYTES);
    TRY(outbox_keep(vault->outbox_fd, &vault->ledger, study->name, cipher, cipher_n,
                    &release.outbox_offset, why));
    TRY(ledger_done(&vault->ledger, clock_unix_ms(), study->name, task, &release,
                    local ? local->bytes : NULL, local ? local->n : 0, why));
    compose(vault, MESSAGE_OBJECT_OFFER, study->name, task)->object_offer = release.offer;
    *ret_cipher = TAKE(cipher);
    *ret_n = cipher_n;
    return DONE;
}

struct result release_update(struct vault *vault, const struct ledger_study *study, uint32_t task,
                             const struct message_task *order, const struct payload_update *update,
                             const struct release_local *local, unsigned char **ret_cipher,
                             size_t *ret_n, struct why *why)
{
    CLEANUP(free_pointer) unsigned char *plain = NULL;
    size_t n = 0;
    TRY(payload_update_encode(update, &plain, &n, why));
    TRY(record_update(vault->record_fd, study->name, task, update, plain, n, why));
    return seal(vault, study, task, order, OBJECT_UPDATE, 0, plain, n, local, ret_cipher, ret_n,
                why);
}

static bool judged(const struct payload_evaluation *evaluation)
{
    switch (evaluation->models[0].groups[0].status) {
    case EVALUATION_BUDGET_EXHAUSTED:
    case EVALUATION_SCHEMA_MISMATCH:
    case EVALUATION_TOO_CLOSE:
    case EVALUATION_NOTHING_NEW:
        return false;
    case EVALUATION_OK:
    case EVALUATION_NO_LABELS:
    case EVALUATION_SINGLE_CLASS:
    case EVALUATION_BELOW_MINIMUM_CELL:
    case EVALUATION_DEGENERATE_SCORES:
    case EVALUATION_INVALID_INPUT:
    case EVALUATION_REFUSED:
        break;
    }
    return true;
}

struct result release_evaluation(struct vault *vault, const struct ledger_study *study,
                                 uint32_t task, const struct message_task *order,
                                 struct payload_evaluation *evaluation, unsigned char **ret_cipher,
                                 size_t *ret_n, struct why *why)
{
    const struct plan *plan = &vault->room->plan;
    release_shape(evaluation, vault->policy.metrics, room_min_cell(vault),
                  plan->privacy.metrics_noise > 0.0);
    CLEANUP(free_pointer) unsigned char *plain = NULL;
    size_t n = 0;
    TRY(payload_evaluation_encode(evaluation, &plain, &n, why));
    TRY(record_evaluation(vault->record_fd, study->name, task, evaluation, plain, n, why));
    /* Without figures nothing of a budget is used. */
    uint32_t models = judged(evaluation) ? evaluation->models_count : 0;
    return seal(vault, study, task, order, OBJECT_EVALUATION, models, plain, n, NULL, ret_cipher,
                ret_n, why);
}

struct result release_word(struct vault *vault, const struct ledger_study *study, uint32_t task,
                           const struct message_task *order, const struct secure_word *word,
                           const char *note, unsigned char **ret_cipher, size_t *ret_n,
                           struct why *why)
{
    CLEANUP(free_pointer) unsigned char *plain = NULL;
    size_t n = 0;
    TRY(secure_word_encode(word, &plain, &n, why));
    TRY(record_word(vault->record_fd, study->name, task, word, note, plain, n, why));
    return seal(vault, study, task, order, OBJECT_SECURE, 0, plain, n, NULL, ret_cipher, ret_n,
                why);
}

struct result release_again(struct vault *vault, const struct ledger_study *study,
                            unsigned char **ret_cipher, size_t *ret_n, struct why *why)
{
    TRY(outbox_get(vault->outbox_fd, &study->task.release, ret_cipher, ret_n, why));
    compose(vault, MESSAGE_OBJECT_OFFER, study->name, study->task.task)->object_offer =
        study->task.release.offer;
    return DONE;
}

struct result release_answer(struct vault *vault, const char *study,
                             const unsigned char plan_hash[PLAN_HASH_BYTES],
                             const struct consent *consent, double epsilon_budget,
                             const unsigned char *fingerprint, bool news, struct why *why)
{
    struct message_study_answer *answer =
        &compose(vault, MESSAGE_STUDY_ANSWER, study, 0)->study_answer;
    memcpy(answer->plan_hash, plan_hash, PLAN_HASH_BYTES);
    answer->verdict = consent->verdict;
    snprintf(answer->reason, sizeof answer->reason, "%s", consent->reason);
    answer->declared_patients = vault->mapping.declared_patients;
    if (fingerprint)
        memcpy(answer->data_fingerprint, fingerprint, PLAN_HASH_BYTES);
    answer->epsilon_budget = epsilon_budget;
    if (!news)
        return DONE;
    return record_answer(vault->record_fd, study, answer, why);
}

struct result release_declined(struct vault *vault, const char *study, uint32_t task,
                               enum decline kind, const char *reason, struct why *why)
{
    struct message_task_declined *declined =
        &compose(vault, MESSAGE_TASK_DECLINED, study, task)->task_declined;
    snprintf(declined->reason, sizeof declined->reason, "%s", reason);
    declined->kind = kind;
    return record_declined(vault->record_fd, study, task, reason, why);
}
