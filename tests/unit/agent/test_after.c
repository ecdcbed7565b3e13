/* SPDX-License-Identifier: Apache-2.0 */
/* A finished study's model evaluated again: only models that signed words named, only as the site's
 * policy of the day says, every noised figure charged first. */
#include "agent/vault/after.h"

#include "agent/vault/decisions.h"
#include "proto/base/clock.h"
#include "tests/hospital.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PLAIN                                                                                      \
    "training: {rounds: 3, epochs: 2, learning_rate: 0.1}\n"                                       \
    "privacy: {mode: none}\n"
#define NOISED                                                                                     \
    "training: {rounds: 3, steps: 2, learning_rate: 0.1}\n"                                        \
    "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1, metrics_noise: 20}\n"
#define ALLOW                                                                                      \
    "decision: allow\nprivacy_required: false\nepsilon_per_study: 2\nepsilon_per_year: 4\n"        \
    "epsilon_total: 8\ndelta: 1.0e-5\nmin_patients: 50\n"

static struct hospital h;

static void expect_declined(struct vault_reply reply, enum decline kind, const char *part)
{
    assert_int_equal(reply.type, IPC_SIGNED);
    assert_int_equal(reply.message->kind, MESSAGE_TASK_DECLINED);
    assert_int_equal(reply.message->task_declined.kind, kind);
    if (!strstr(reply.message->task_declined.reason, part))
        fail_msg("'%s' lacks '%s'", reply.message->task_declined.reason, part);
}

static struct vault_reply ask(enum task_kind kind, uint32_t task, float value)
{
    return hospital_ask(&h, hospital_task(&h, kind, task, 3, value, true));
}

/* The figures of the model whose parameters are all value. */
static struct payload_evaluation figures(uint32_t task, float value)
{
    struct vault_reply reply = ask(TASK_EVALUATE, task, value);
    struct payload_evaluation evaluation;
    struct why why;
    size_t n = 0;
    if (reply.type == IPC_SIGNED)
        fail_msg("%s", reply.message->task_declined.reason);
    unsigned char *plain = hospital_open_result(&h, &reply, &n);
    assert_true(ok(payload_evaluation_decode(&evaluation, plain, n, &why)));
    free(plain);
    return evaluation;
}

static void expect_figures(uint32_t task, float value)
{
    struct payload_evaluation evaluation = figures(task, value);
    assert_int_equal(evaluation.models_count, 1);
    payload_evaluation_free(&evaluation);
}

/* The hash of the model whose parameters are all value, as tasks name it. */
static void hash_of(float value, unsigned char hash[PLAN_HASH_BYTES])
{
    struct ipc_message request = hospital_task(&h, TASK_EVALUATE, 1, 3, value, false);
    memcpy(hash, h.last_model, PLAN_HASH_BYTES);
    free(request.body);
}

/* The signed word that the study is over; it names one model. */
static void finish(float best)
{
    size_t n = 0;
    struct bytes_out body = {0};
    unsigned char hash[PLAN_HASH_BYTES];
    hash_of(best, hash);
    struct message *message = hospital_message(&h, MESSAGE_TASK_CLOSED, 1);
    message->task_closed.study_finished = true;
    memcpy(message->task_closed.best_hash, hash, PLAN_HASH_BYTES);
    strcpy(message->task_closed.own.site, "north");
    unsigned char *envelope = hospital_sign(&h, &h.coordinator, "coordinator", message, &n);
    bytes_out_block(&body, envelope, n);
    free(envelope);
    struct vault_reply reply = hospital_ask(&h, (struct ipc_message){.type = IPC_TASK_CLOSED,
                                                                     .body = body.bytes,
                                                                     .n = body.n});
    assert_int_equal(reply.type, IPC_NOTED);
    h.after_study = true;
}

static void open_allowed(const char *plan, const char *policy)
{
    memset(&h, 0, sizeof h);
    hospital_open(&h, plan, policy);
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(reply.message->study_answer.verdict, STUDY_ALLOWED);
}

static void only_named_models(void **state)
{
    (void)state;
    open_allowed(PLAIN, ALLOW);
    finish(0.3f);
    expect_figures(2, 0.3f);
    expect_declined(ask(TASK_EVALUATE, 3, 0.4f), DECLINE_UNKNOWN_MODEL, "no signed round");
    expect_declined(ask(TASK_TRAIN, 4, 0.3f), DECLINE_REFUSED, "nothing is trained");
    hospital_crash(&h);
    hospital_start(&h);
    expect_figures(5, 0.3f); /* what was named survives */
    h.after_study = false;
    expect_declined(ask(TASK_EVALUATE, 6, 0.3f), DECLINE_REFUSED, "finished");
    hospital_close(&h);
}

static void models_of_the_study_are_named_too(void **state)
{
    (void)state;
    open_allowed(PLAIN, ALLOW);
    expect_figures(1, 0.2f);
    finish(0.3f);
    expect_figures(2, 0.2f);
    hospital_close(&h);
}

static void the_site_wins(void **state)
{
    (void)state;
    struct why why;
    open_allowed(PLAIN, ALLOW "validation: refuse\n");
    finish(0.3f);
    expect_declined(ask(TASK_EVALUATE, 2, 0.3f), DECLINE_REFUSED, "validation: refuse");
    hospital_close(&h);

    open_allowed(PLAIN, ALLOW "validation: ask\n");
    finish(0.3f);
    expect_declined(ask(TASK_EVALUATE, 2, 0.3f), DECLINE_ASKING, "steward is asked");
    /* Approval of the study itself is no approval of this. */
    assert_true(ok(decisions_append(h.vault.decisions_fd, true, "falls", h.plan.hash, &why)));
    expect_declined(ask(TASK_EVALUATE, 3, 0.3f), DECLINE_ASKING, "steward is asked");
    assert_true(ok(
        decisions_append(h.vault.decisions_fd, true, "falls" AFTER_DECISION, h.plan.hash, &why)));
    expect_figures(4, 0.3f);
    assert_true(ok(
        decisions_append(h.vault.decisions_fd, false, "falls" AFTER_DECISION, h.plan.hash, &why)));
    expect_declined(ask(TASK_EVALUATE, 5, 0.3f), DECLINE_REFUSED, "refused");
    hospital_close(&h);
}

/* Noised figures beyond the plan's are charged, each task once, until the budget ends. */
static void noise_is_charged(void **state)
{
    (void)state;
    open_allowed(NOISED, ALLOW "metrics: noised-histogram\n");
    finish(0.3f);
    expect_figures(2, 0.3f);
    const struct ledger_study *study = ledger_find(&h.vault.ledger, "falls");
    assert_int_equal(study->after.models, 1);
    assert_true(study->after.noise == 20.0);
    expect_figures(2, 0.3f); /* the same sealed result */
    assert_int_equal(study->after.models, 1);
    hospital_crash(&h);
    hospital_start(&h);
    study = ledger_find(&h.vault.ledger, "falls");
    assert_int_equal(study->after.models, 1);
    expect_figures(3, 0.3f);
    study = ledger_find(&h.vault.ledger, "falls");
    assert_int_equal(study->after.models, 2);
    /* A policy lowered below what is spent lets nothing more out. */
    h.vault.policy.epsilon_total = 0.01;
    expect_declined(ask(TASK_EVALUATE, 4, 0.3f), DECLINE_BUDGET, "epsilon");
    hospital_close(&h);
}

/* Each order is about the patients of its day. */
static void new_patients_are_read(void **state)
{
    (void)state;
    char path[128];
    open_allowed(PLAIN, ALLOW);
    finish(0.3f);
    expect_figures(2, 0.3f);
    snprintf(path, sizeof path, "%s/patients.csv", h.folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("id,years,sex,fell\n", f); /* in place: nobody is left */
    fclose(f);
    struct payload_evaluation evaluation = figures(3, 0.3f);
    assert_int_not_equal(evaluation.models[0].groups[0].status, EVALUATION_OK);
    payload_evaluation_free(&evaluation);
    hospital_close(&h);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_named_models),
        cmocka_unit_test(models_of_the_study_are_named_too),
        cmocka_unit_test(the_site_wins),
        cmocka_unit_test(noise_is_charged),
        cmocka_unit_test(new_patients_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
