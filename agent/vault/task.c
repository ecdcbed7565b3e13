/* SPDX-License-Identifier: Apache-2.0 */
/* Which tasks the vault takes, and what it answers to those that it does not.
 *
 *   the last task of the study   the order                        answer
 *   done, same number            again                            the same sealed result
 *   begun, same number           again                            begun again, at most thrice
 *   done, earlier number         same round, kind and model       the same sealed result, new
 * number any, earlier number          new                              begun any, later number old
 * declined */
#include "agent/vault/task.h"

#include "agent/vault/after.h"
#include "agent/vault/release.h"
#include "agent/vault/room.h"
#include "agent/vault/secure.h"
#include "agent/vault/study.h"
#include "agent/vault/work.h"
#include "proto/base/cleanup.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/payload.h"
#include "proto/plan_privacy.h"
#include "proto/transfer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEADLINE_GRACE_MS = 60000 /* clocks of hospitals differ */ };

/* The order as it stands in the signed envelope. */
struct order {
    char study[PLAN_NAME_BYTES];
    uint32_t task;
    struct message_task task_order;
    uint64_t ledger_records; /* of this site, as the coordinator last heard */
    unsigned char ledger_head[LEDGER_HEAD_BYTES];
};

static struct result order_check(const struct vault *vault, const struct ledger_study *study,
                                 const struct order *order, struct refusal *refusal)
{
    const struct message_task *o = &order->task_order;
    struct why *why = &refusal->why;
    refusal->kind = DECLINE_REFUSED;
    if (!study)
        return failed(why, RESULT_REFUSED, "this site does not know the study");
    TRY(witness_content(&vault->witness, why));
    if (study->standing == LEDGER_STUDY_FINISHED && !o->after_study)
        return failed(why, RESULT_REFUSED, "the study is finished at this site");
    if (study->standing != LEDGER_STUDY_ALLOWED && study->standing != LEDGER_STUDY_FINISHED)
        return failed(why, RESULT_REFUSED, "this site has not allowed the study: %s",
                      study->reason[0] ? study->reason : "it is still to be decided");
    if (memcmp(o->plan_hash, study->plan_hash, PLAN_HASH_BYTES) != 0)
        return failed(why, RESULT_REFUSED, "the task is of another plan than the one allowed");
    if (o->round < 1 || o->round > vault->room->plan.training.rounds)
        return failed(why, RESULT_REFUSED, "the plan has no round %" PRIu32, o->round);
    if (order->task < study->task.task)
        return failed(why, RESULT_REFUSED, "a later task of the study was begun here already");
    if (o->epochs_after > 0 && !o->after_study)
        return failed(why, RESULT_REFUSED, "newer epochs alone are judged on only after the study");
    return o->after_study ? after_check(vault, study, o, refusal) : DONE;
}

/* Whether a new task is within what was charged and allowed. */
static struct result order_fits(const struct vault *vault, const struct ledger_study *study,
                                const struct order *order, struct refusal *refusal)
{
    struct why *why = &refusal->why;
    const struct plan *plan = &vault->room->plan;
    const struct message_task *o = &order->task_order;
    bool private = plan->privacy.mode != PRIVACY_NONE;
    refusal->kind = DECLINE_LATE;
    if (clock_unix_ms() > o->deadline_ms + DEADLINE_GRACE_MS)
        return failed(why, RESULT_REFUSED, "the task came after its deadline");
    TRY(secure_fits(vault, study, order->task, o, refusal));
    refusal->kind = DECLINE_BUDGET;
    /* A secure round is counted by its reveals: a masked update that is never opened tells nothing.
     */
    bool counts = o->kind == TASK_TRAIN && !plan->aggregation.secure;
    if (counts && private && study->trained >= plan->training.rounds)
        return failed(why, RESULT_REFUSED,
                      "the privacy budget of the study is used up here: it holds %u rounds",
                      plan->training.rounds);
    return DONE;
}

/* Whether so many more models may be judged on the holdout. */
static struct result judging_fits(const struct vault *vault, const struct ledger_study *study,
                                  const struct order *order, size_t models, struct refusal *refusal)
{
    const struct plan *plan = &vault->room->plan;
    struct why *why = &refusal->why;
    refusal->kind = DECLINE_BUDGET;
    bool charged = plan->privacy.mode != PRIVACY_NONE && plan->privacy.metrics_noise > 0.0 &&
                   !order->task_order.after_study; /* what comes after is charged by itself */
    uint64_t after = study->evaluated + (uint64_t)models;
    if (charged && after > plan_evaluations(plan))
        return failed(why, RESULT_REFUSED,
                      "the privacy budget of the study is used up here: it holds the figures of "
                      "%" PRIu64 " models",
                      plan_evaluations(plan));
    return DONE;
}

static struct result declined(struct vault *vault, const struct order *order,
                              const struct refusal *refusal, struct vault_reply *reply,
                              struct why *why)
{
    const char *reason = refusal->why.text;
    log_warning("%s task %" PRIu32 ": declined: %s", order->study, order->task, reason);
    reply->type = IPC_SIGNED;
    reply->sign = true;
    reply->message = vault->scratch[0];
    return release_declined(vault, order->study, order->task, refusal->kind, reason, why);
}

static void hand_over(struct vault *vault, unsigned char *cipher, size_t n,
                      struct vault_reply *reply)
{
    reply->type = IPC_RESULT;
    reply->sign = true;
    reply->message = vault->scratch[0];
    reply->tail = cipher;
    reply->tail_n = n;
}

static struct result again(struct vault *vault, const struct ledger_study *study,
                           const struct order *order, struct vault_reply *reply, struct why *why)
{
    unsigned char *cipher = NULL;
    size_t n = 0;
    struct refusal refusal = {.kind = DECLINE_FAILED};
    struct result r = release_again(vault, study, &cipher, &n, &refusal.why);
    if (!ok(r))
        return declined(vault, order, &refusal, reply, why);
    hand_over(vault, cipher, n, reply);
    return DONE;
}

/* The input object of the order, opened and checked. The caller frees *ret_plain. */
static struct result open_input(struct vault *vault, const struct order *order,
                                const unsigned char *envelope, size_t envelope_n,
                                const unsigned char *cipher, size_t cipher_n,
                                unsigned char **ret_plain, size_t *ret_n, struct why *why)
{
    struct message *message = vault->scratch[1];
    TRY(study_from_coordinator(vault, envelope, envelope_n, MESSAGE_OBJECT_OFFER, message, why));
    const struct message_object_offer *offer = &message->object_offer;
    const struct message_task *o = &order->task_order;
    if (offer->kind != OBJECT_MODEL || memcmp(offer->object, o->object, OBJECT_ID_BYTES) != 0 ||
        memcmp(offer->plain_hash, o->model_hash, PLAN_HASH_BYTES) != 0)
        return failed(why, RESULT_REFUSED, "the model that came is not the one of the task");
    return transfer_open(offer, vault->keys.seal_public, vault->keys.secrets.seal, cipher, cipher_n,
                         ret_plain, ret_n, why);
}

static bool is_secure(const struct vault *vault, const struct order *order)
{
    return vault->room->plan.aggregation.secure && task_stage(order->task_order.kind) > 0;
}

/* A task's input: a model set, or the words of a secure stage. */
struct input {
    unsigned char *plain;
    size_t n;
    struct payload_model_set models; /* where it is a set */
};

static void free_input(struct input *input)
{
    free(input->plain);
    payload_model_set_free(&input->models);
}

/* Whether nothing of the stage comes from patients. */
static bool is_word(const struct vault *vault, const struct order *order)
{
    return is_secure(vault, order) && order->task_order.kind != TASK_TRAIN;
}

static struct result compute(struct vault *vault, const struct ledger_study *study,
                             const struct order *order, const struct input *in,
                             unsigned char **ret_cipher, size_t *ret_n, struct why *why)
{
    const struct message_task *o = &order->task_order;
    if (is_word(vault, order))
        return secure_word(vault, study, order->task, o, in->plain, in->n, ret_cipher, ret_n, why);
    if (is_secure(vault, order)) {
        TRY(secure_shares(vault, study, o, in->plain, in->n, why));
        return work_train(vault, study, order->task, o, secure_models(vault, study), ret_cipher,
                          ret_n, why);
    }
    if (o->kind == TASK_TRAIN)
        return work_train(vault, study, order->task, o, &in->models, ret_cipher, ret_n, why);
    return work_evaluate(vault, study, order->task, o, &in->models, ret_cipher, ret_n, why);
}

/* The reply waits for the end of its slot; work that took longer than one fills the next. */
static void wait_for_slot(const struct vault *vault, const struct order *order, size_t models,
                          uint64_t started_ms)
{
    const struct room *room = vault->room;
    uint64_t declared = vault->mapping.declared_patients;
    uint64_t slot_ms = order->task_order.kind == TASK_TRAIN
                           ? slot_training_ms(&room->speed, &room->plan, declared)
                           : slot_evaluation_ms(&room->speed, &room->plan, declared, models);
    uint64_t count = slot_wait(started_ms, slot_ms);
    if (count > 1)
        log_warning("%s task %" PRIu32 ": the work filled %" PRIu64 " slots of %" PRIu64
                    " ms, so its time may tell how busy this machine was",
                    order->study, order->task, count, slot_ms);
}

static struct result carry_out(struct vault *vault, const struct order *order,
                               const struct input *input, struct vault_reply *reply,
                               struct why *why)
{
    unsigned char *cipher = NULL;
    size_t n = 0;
    struct refusal refusal = {.kind = DECLINE_FAILED};
    const struct message_task *o = &order->task_order;
    TRY(ledger_begun(&vault->ledger, clock_unix_ms(), order->study, order->task, o, false, why));
    const struct ledger_study *study = ledger_find(&vault->ledger, order->study);
    uint64_t started_ms = clock_monotonic_ms();
    bool patients = !is_word(vault, order), slots = patients && room_on_time(vault);
    if (patients && !ok(room_measure(vault, study->charge.noise_multiplier, &refusal.why)))
        return declined(vault, order, &refusal, reply, why);
    if (slots)
        started_ms = clock_monotonic_ms();
    struct result r = compute(vault, study, order, input, &cipher, &n, &refusal.why);
    double seconds = (double)(clock_monotonic_ms() - started_ms) / 1000.0;
    if (slots)
        wait_for_slot(vault, order, input->models.models_count, started_ms);
    if (!ok(r)) {
        /* The detail may come from patients: it stays in the site's own log. */
        log_error("%s task %" PRIu32 ": %s", order->study, order->task, refusal.why.text);
        if (vault->ledger.journal.broken)
            return failed(why, RESULT_SYSTEM, "%s", refusal.why.text);
        if (!is_word(vault, order))
            snprintf(refusal.why.text, sizeof refusal.why.text,
                     "the computing failed at the site; its own log says why");
        return declined(vault, order, &refusal, reply, why);
    }
    log_info("%s task %" PRIu32 ": %s of round %" PRIu32 " done in %.2f s", order->study,
             order->task, task_kind_name(o->kind), o->round, seconds);
    hand_over(vault, cipher, n, reply);
    return DONE;
}

/* Whether an aborted task's result answers this one too: nothing new is computed or spent. After
 * the study each order asks about the patients of its day. */
static bool answered_before(const struct vault *vault, const struct ledger_study *study,
                            const struct order *order)
{
    const struct ledger_task *last = &study->task;
    const struct message_task *o = &order->task_order;
    bool anew = is_secure(vault, order) && o->kind != TASK_REVEAL; /* with keys of its own */
    return !o->after_study && !anew && last->state == LEDGER_TASK_DONE && last->kind == o->kind &&
           last->round == o->round && memcmp(last->model_hash, o->model_hash, PLAN_HASH_BYTES) == 0;
}

static struct result reuse(struct vault *vault, const struct order *order,
                           struct vault_reply *reply, struct why *why)
{
    uint64_t now_ms = clock_unix_ms();
    const struct ledger_study *study = ledger_find(&vault->ledger, order->study);
    struct ledger_release release = study->task.release;
    TRY(ledger_begun(&vault->ledger, now_ms, order->study, order->task, &order->task_order, true,
                     why));
    TRY(ledger_done(&vault->ledger, now_ms, order->study, order->task, &release, NULL, 0, why));
    return again(vault, ledger_find(&vault->ledger, order->study), order, reply, why);
}

static struct result read_order(struct vault *vault, struct bytes_in *in, struct order *order,
                                struct why *why)
{
    size_t n = 0;
    vault->agent_peak_kb = bytes_in_u64(in);
    const unsigned char *envelope = bytes_in_block(in, MESSAGE_BYTES_MAX, &n);
    if (in->bad)
        return failed(why, RESULT_INPUT, "a task from the agent is malformed");
    struct message *message = vault->scratch[0];
    TRY(study_from_coordinator(vault, envelope, n, MESSAGE_TASK, message, why));
    memcpy(order->study, message->head.study, sizeof order->study);
    order->task = message->head.task;
    order->task_order = message->task;
    order->ledger_records = message->head.ledger_records;
    memcpy(order->ledger_head, message->head.ledger_head, sizeof order->ledger_head);
    if (order->task == 0)
        return failed(why, RESULT_INPUT, "a task without a number");
    return DONE;
}

/* Budget, patients, charge: in this order, so that nothing is charged for what cannot be done. */
static struct result prepare(struct vault *vault, const struct ledger_study *study,
                             const struct order *order, const struct payload_model_set *models,
                             struct refusal *refusal)
{
    bool after = order->task_order.after_study;
    if (order->task_order.kind == TASK_EVALUATE) {
        TRY(judging_fits(vault, study, order, models->models_count, refusal));
        TRY(after_models(vault, study, &order->task_order, models, refusal));
        TRY(after_note(vault, order->study, &order->task_order, models, &refusal->why));
    }
    room_refresh(vault);
    if (!ok(room_load(vault, &refusal->why))) {
        log_error("%s: %s", order->study, refusal->why.text);
        refusal->kind = DECLINE_SCHEMA;
        /* An evaluation tells it by its status. */
        return order->task_order.kind == TASK_EVALUATE
                   ? DONE
                   : failed(&refusal->why, RESULT_REFUSED,
                            "the site's data do not fit the plan any more; its own log says where");
    }
    return after ? after_charge(vault, order->study, order->task, models->models_count, refusal)
                 : DONE;
}

struct result task_handle(struct vault *vault, const unsigned char *body, size_t n,
                          struct vault_reply *reply, struct why *why)
{
    struct bytes_in in = {.at = body, .left = n};
    struct order order;
    TRY(read_order(vault, &in, &order, why));
    size_t offer_n = 0;
    const unsigned char *offer = bytes_in_block(&in, MESSAGE_BYTES_MAX, &offer_n);
    if (in.bad)
        return failed(why, RESULT_INPUT, "a task from the agent is malformed");
    struct refusal refusal = {.kind = DECLINE_FAILED};
    const struct ledger_study *study = ledger_find(&vault->ledger, order.study);
    TRY(witness_approved(&vault->witness, clock_unix_ms(), vault->decisions_fd, why));
    struct result r = study ? room_enter_known(vault, study, &refusal.why) : DONE;
    if (ok(r))
        r = order_check(vault, study, &order, &refusal);
    if (ok(r))
        r = ledger_continues(&vault->ledger, order.ledger_records, order.ledger_head, &refusal.why);
    if (!ok(r))
        return declined(vault, &order, &refusal, reply, why);
    bool same = study->task.task == order.task;
    if (same && study->task.state == LEDGER_TASK_DONE)
        return again(vault, study, &order, reply, why);
    if (same && study->task.attempts >= LEDGER_ATTEMPTS_MAX) {
        refusal.kind = DECLINE_FAILED;
        snprintf(refusal.why.text, sizeof refusal.why.text,
                 "the site's vault was interrupted in this task %" PRIu32
                 " times; its own log says how",
                 study->task.attempts);
        return declined(vault, &order, &refusal, reply, why);
    }
    if (!same && answered_before(vault, study, &order))
        return reuse(vault, &order, reply, why);
    r = order_fits(vault, study, &order, &refusal);
    if (!ok(r))
        return declined(vault, &order, &refusal, reply, why);
    if (offer_n == 0) {
        reply->type = IPC_NEED_MODEL;
        return DONE;
    }
    CLEANUP(free_input) struct input input = {0};
    refusal.kind = DECLINE_FAILED;
    r = open_input(vault, &order, offer, offer_n, in.at, in.left, &input.plain, &input.n,
                   &refusal.why);
    if (ok(r) && !is_secure(vault, &order))
        r = payload_model_set_decode(&input.models, input.plain, input.n, &refusal.why);
    if (ok(r) && !is_word(vault, &order))
        r = prepare(vault, study, &order, &input.models, &refusal);
    if (ok(r))
        return carry_out(vault, &order, &input, reply, why);
    if (vault->ledger.journal.broken)
        return failed(why, RESULT_SYSTEM, "%s", refusal.why.text);
    return declined(vault, &order, &refusal, reply, why);
}

struct result task_fetch(struct vault *vault, const unsigned char *body, size_t n,
                         struct vault_reply *reply, struct why *why)
{
    struct bytes_in in = {.at = body, .left = n};
    char name[PLAN_NAME_BYTES];
    bytes_in_text(&in, name, sizeof name);
    uint32_t task = bytes_in_u32(&in);
    const struct ledger_study *study = ledger_find(&vault->ledger, name);
    if (in.bad || !study || study->task.task != task || study->task.state != LEDGER_TASK_DONE)
        return failed(why, RESULT_REFUSED, "nothing of that task waits in the outbox");
    unsigned char *cipher = NULL;
    size_t cipher_n = 0;
    TRY(release_again(vault, study, &cipher, &cipher_n, why));
    hand_over(vault, cipher, cipher_n, reply);
    return DONE;
}
