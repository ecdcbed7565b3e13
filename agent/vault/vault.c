/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's requests, dispatched. */
#include "agent/vault/vault.h"

#include "agent/vault/decisions.h"
#include "agent/vault/release.h"
#include "agent/vault/room.h"
#include "agent/vault/secure.h"
#include "agent/vault/secure_kept.h"
#include "agent/vault/study.h"
#include "agent/vault/task.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct result vault_start(struct vault *vault, struct why *why)
{
    for (size_t i = 0; i < 2; i++) {
        if (!vault->scratch[i])
            vault->scratch[i] = malloc(sizeof *vault->scratch[i]);
        if (!vault->scratch[i])
            return failed(why, RESULT_SYSTEM, "no memory for a message");
    }
    TRY(ledger_open(&vault->ledger, vault->ledger_fd, "ledger", why));
    TRY(epoch_book_open(&vault->book, vault->epochs_fd, "epochs", why));
    TRY(witness_open(&vault->witness, vault->heads_fd, "heads", why));
    TRY(secure_kept_read(vault, why));
    if (vault->ledger.journal.cut > 0)
        log_warning("ledger: a record that a crash tore was cut off; nothing was built on it");
    return DONE;
}

void vault_end(struct vault *vault)
{
    room_leave(vault);
    secure_end(vault);
    ledger_free(&vault->ledger);
    epoch_book_free(&vault->book);
    for (size_t i = 0; i < 2; i++) {
        free(vault->scratch[i]);
        vault->scratch[i] = NULL;
    }
    vault_keys_free(&vault->keys);
    policy_free(&vault->policy);
    mapping_free(&vault->mapping);
}

/* Once allowed, a study stays so: after its end its models may be evaluated again. */
static bool allowed_here(const struct ledger_study *study)
{
    return study->standing == LEDGER_STUDY_ALLOWED || study->standing == LEDGER_STUDY_FINISHED;
}

void vault_welcome(const struct vault *vault, struct ipc_welcome *welcome)
{
    memset(welcome, 0, sizeof *welcome);
    memcpy(welcome->site, vault->keys.site, sizeof welcome->site);
    memcpy(welcome->consortium, vault->keys.consortium, sizeof welcome->consortium);
    for (size_t i = 0; i < vault->ledger.studies_count; i++) {
        const struct ledger_study *study = &vault->ledger.studies[i];
        if (!allowed_here(study) || study->task.state != LEDGER_TASK_DONE || study->task.settled ||
            welcome->pending_count == IPC_PENDING_MAX)
            continue;
        struct ipc_pending *pending = &welcome->pending[welcome->pending_count++];
        memcpy(pending->study, study->name, sizeof pending->study);
        pending->task = study->task.task;
    }
}

/* The one block that some requests consist of. */
static struct result only_block(const struct ipc_message *request, const unsigned char **ret_bytes,
                                size_t *ret_n, struct why *why)
{
    struct bytes_in in = {.at = request->body, .left = request->n};
    *ret_bytes = bytes_in_block(&in, MESSAGE_BYTES_MAX, ret_n);
    if (in.bad || in.left > 0)
        return failed(why, RESULT_INPUT, "a request from the agent is malformed");
    return DONE;
}

static void answer_with(struct vault *vault, struct vault_reply *reply)
{
    reply->type = IPC_SIGNED;
    reply->sign = true;
    reply->message = vault->scratch[0];
}

static struct result object_done(struct vault *vault, const unsigned char *envelope, size_t n,
                                 struct why *why)
{
    struct message *message = vault->scratch[0];
    TRY(study_from_coordinator(vault, envelope, n, MESSAGE_OBJECT_DONE, message, why));
    const struct message_object_done *done = &message->object_done;
    const struct ledger_study *study = ledger_find(&vault->ledger, message->head.study);
    if (!study || study->task.state != LEDGER_TASK_DONE || study->task.settled ||
        memcmp(study->task.release.offer.object, done->object, OBJECT_ID_BYTES) != 0)
        return DONE;
    return ledger_settled(&vault->ledger, clock_unix_ms(), study->name, study->task.task,
                          done->accepted, done->reason, why);
}

static struct result task_closed(struct vault *vault, const unsigned char *envelope, size_t n,
                                 struct why *why)
{
    struct message *message = vault->scratch[0];
    TRY(study_from_coordinator(vault, envelope, n, MESSAGE_TASK_CLOSED, message, why));
    const struct message_task_closed *closed = &message->task_closed;
    const struct ledger_study *study = ledger_find(&vault->ledger, message->head.study);
    if (!study || !allowed_here(study))
        return DONE;
    const unsigned char *named[] = {closed->candidate_hash, closed->best_hash};
    for (size_t i = 0; i < 2; i++)
        if (!sodium_is_zero(named[i], PLAN_HASH_BYTES))
            TRY(ledger_named(&vault->ledger, clock_unix_ms(), study->name, named[i], why));
    bool settles = study->task.task == message->head.task && !study->task.settled;
    bool ends = closed->study_finished && study->standing == LEDGER_STUDY_ALLOWED;
    if (ends)
        secure_over(vault, study->name);
    if (!settles && !ends)
        return DONE;
    return ledger_closed(&vault->ledger, clock_unix_ms(), study->name, message->head.task,
                         closed->study_finished, why);
}

static struct result handle_envelope(struct vault *vault, const struct ipc_message *request,
                                     struct vault_reply *reply, struct why *why)
{
    const unsigned char *envelope = NULL;
    size_t n = 0;
    TRY(only_block(request, &envelope, &n, why));
    reply->type = IPC_NOTED;
    if (request->type == IPC_OBJECT_DONE)
        return object_done(vault, envelope, n, why);
    if (request->type == IPC_TASK_CLOSED)
        return task_closed(vault, envelope, n, why);
    TRY(study_offer(vault, envelope, n, why));
    answer_with(vault, reply);
    return DONE;
}

/* A head of the log: held and cosigned, or kept as a contradiction. */
static struct result tree_head(struct vault *vault, const struct ipc_message *request,
                               struct vault_reply *reply, struct why *why)
{
    const unsigned char *envelope = NULL;
    size_t n = 0;
    struct message *message = vault->scratch[0];
    struct message_tree_witness answer;
    bool stale;
    TRY(only_block(request, &envelope, &n, why));
    TRY(study_from_coordinator(vault, envelope, n, MESSAGE_TREE_HEAD, message, why));
    TRY(witness_approved(&vault->witness, clock_unix_ms(), vault->decisions_fd, why));
    TRY(witness_take(&vault->witness, clock_unix_ms(), &vault->keys, &message->tree_head, &answer,
                     &stale, why));
    reply->type = IPC_NOTED;
    if (stale)
        return DONE;
    memset(message, 0, sizeof *message);
    message->kind = MESSAGE_TREE_WITNESS;
    message->tree_witness = answer;
    answer_with(vault, reply);
    return DONE;
}

struct result vault_handle(struct vault *vault, const struct ipc_message *request,
                           struct vault_reply *reply, struct why *why)
{
    struct why reason = {{0}};
    struct result r;
    *reply = (struct vault_reply){0};
    switch ((int)request->type) {
    case IPC_STUDY:
    case IPC_OBJECT_DONE:
    case IPC_TASK_CLOSED:
        r = handle_envelope(vault, request, reply, &reason);
        break;
    case IPC_TREE_HEAD:
        r = tree_head(vault, request, reply, &reason);
        break;
    case IPC_TASK:
        r = task_handle(vault, request->body, request->n, reply, &reason);
        break;
    case IPC_FETCH:
        r = task_fetch(vault, request->body, request->n, reply, &reason);
        break;
    default:
        r = failed(&reason, RESULT_INPUT, "the vault knows no request of type %d",
                   (int)request->type);
    }
    if (ok(r))
        return DONE;
    if (vault->ledger.journal.broken || vault->book.journal.broken || vault->witness.journal.broken)
        return failed(why, RESULT_SYSTEM, "%s", reason.text);
    *reply = (struct vault_reply){.type = IPC_REFUSED};
    memcpy(reply->sentence, reason.text, sizeof reply->sentence);
    return DONE;
}

bool vault_decided(struct vault *vault, struct vault_reply *reply)
{
    struct why log_why;
    if (!ok(witness_approved(&vault->witness, clock_unix_ms(), vault->decisions_fd, &log_why)))
        log_error("%s", log_why.text);
    for (size_t i = 0; i < vault->ledger.studies_count; i++) {
        const struct ledger_study *study = &vault->ledger.studies[i];
        enum consent_human human;
        struct why why;
        bool news = false;
        if (study->standing != LEDGER_STUDY_ASKING)
            continue;
        struct result r =
            decisions_find(vault->decisions_fd, study->name, study->plan_hash, &human, &why);
        if (ok(r) && human == HUMAN_SILENT)
            continue;
        if (ok(r))
            r = study_decide(vault, study->name, &news, &why);
        if (!ok(r))
            log_error("%s", why.text);
        if (!ok(r) || !news)
            continue;
        *reply = (struct vault_reply){0};
        answer_with(vault, reply);
        return true;
    }
    return false;
}
