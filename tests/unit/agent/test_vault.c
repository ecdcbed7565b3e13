/* SPDX-License-Identifier: Apache-2.0 */
/* The vault against a network process that lies and against crashes: consent, tasks, releases,
 * budget. */
#include "agent/vault/decisions.h"
#include "agent/vault/room.h"
#include "tests/hospital.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN                                                                                      \
    "training: {rounds: 3, epochs: 2, learning_rate: 0.1}\n"                                       \
    "privacy: {mode: none}\n"
#define PRIVATE                                                                                    \
    "training: {rounds: 3, steps: 2, learning_rate: 0.1}\n"                                        \
    "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1}\n"
#define ALLOW                                                                                      \
    "decision: allow\nprivacy_required: false\nepsilon_per_study: 2\nepsilon_per_year: 4\n"        \
    "epsilon_total: 8\ndelta: 1.0e-5\nmin_patients: 50\n"

static struct hospital h;

static const struct message_study_answer *answer_of(const struct vault_reply *reply)
{
    assert_int_equal(reply->type, IPC_SIGNED);
    assert_true(reply->sign);
    assert_int_equal(reply->message->kind, MESSAGE_STUDY_ANSWER);
    return &reply->message->study_answer;
}

static void allow(void)
{
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    const struct message_study_answer *answer = answer_of(&reply);
    if (answer->verdict != STUDY_ALLOWED)
        fail_msg("%s", answer->reason);
}

static void expect_declined(struct vault_reply reply, const char *part)
{
    assert_int_equal(reply.type, IPC_SIGNED);
    assert_int_equal(reply.message->kind, MESSAGE_TASK_DECLINED);
    if (!strstr(reply.message->task_declined.reason, part))
        fail_msg("'%s' lacks '%s'", reply.message->task_declined.reason, part);
}

static void expect_refused(struct vault_reply reply, const char *part)
{
    assert_int_equal(reply.type, IPC_REFUSED);
    if (!strstr(reply.sentence, part))
        fail_msg("'%s' lacks '%s'", reply.sentence, part);
}

static struct payload_update update_of(struct vault_reply reply)
{
    struct payload_update update;
    struct why why;
    size_t n = 0;
    unsigned char *plain = hospital_open_result(&h, &reply, &n);
    assert_true(ok(payload_update_decode(&update, plain, n, &why)));
    free(plain);
    return update;
}

static void test_round(void **state)
{
    (void)state;
    hospital_open(&h, PLAIN, ALLOW);
    allow();
    const struct message_study_answer *answer = &h.vault.scratch[0]->study_answer;
    assert_int_equal(answer->declared_patients, 200);
    assert_memory_equal(answer->plan_hash, h.plan.hash, PLAN_HASH_BYTES);
    assert_false(sodium_is_zero(answer->data_fingerprint, PLAN_HASH_BYTES));
    struct vault_reply reply = hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, false));
    assert_int_equal(reply.type, IPC_NEED_MODEL);
    reply = hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true));
    struct payload_update update = update_of(reply);
    assert_int_equal(update.round, 1);
    assert_int_equal(update.declared_patients, 200);
    payload_update_free(&update);

    reply = hospital_ask(&h, hospital_task(&h, TASK_EVALUATE, 2, 1, 0.1f, true));
    size_t n = 0;
    struct why why;
    struct payload_evaluation evaluation;
    unsigned char *plain = hospital_open_result(&h, &reply, &n);
    assert_true(ok(payload_evaluation_decode(&evaluation, plain, n, &why)));
    assert_int_equal(evaluation.models_count, 1);
    assert_string_equal(evaluation.models[0].name, "global");
    assert_int_equal(evaluation.models[0].groups_count, 3);
    assert_int_equal(evaluation.models[0].bins_count, 0); /* the policy keeps histograms */
    payload_evaluation_free(&evaluation);
    free(plain);
    hospital_close(&h);
}

/* What topk-ef drops in a round waits for the next; what it sends is paid off. */
static void test_feedback(void **state)
{
    (void)state;
    enum { D = 17, KEPT = 3 };
    hospital_open(&h, PLAIN "model: {kind: mlp, hidden: [4]}\ncompression: topk-ef:3\n", ALLOW);
    allow();
    for (uint32_t round = 1; round <= 2; round++) {
        float sent[D];
        struct why why;
        size_t kept = 0;
        struct payload_update update =
            update_of(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, round, round, 0.3f, true)));
        const struct feedback *feedback = &h.vault.room->feedback;
        assert_int_equal(feedback->d, D);
        assert_true(ok(codec_decode(update.frame, update.frame_n, D, sent, &why)));
        bool waits = false;
        for (size_t i = 0; i < D; i++) {
            kept += sent[i] != 0.0f;
            assert_true(sent[i] == 0.0f || feedback->residual[i] == 0.0f);
            waits = waits || feedback->residual[i] != 0.0f;
        }
        assert_true(kept > 0 && kept <= KEPT && waits);
        payload_update_free(&update);
    }
    hospital_close(&h);
}

/* The same bytes again, whether asked twice, after a crash, or in a new task of the same round. */
static void test_again(void **state)
{
    (void)state;
    hospital_open(&h, PRIVATE, ALLOW);
    allow();
    struct vault_reply reply = hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.5f, true));
    struct message_object_offer first = reply.message->object_offer;
    struct payload_update update = update_of(reply);
    unsigned char frame[512];
    size_t frame_n = update.frame_n;
    assert_true(frame_n < sizeof frame);
    memcpy(frame, update.frame, frame_n);
    payload_update_free(&update);

    for (int i = 0; i < 4; i++) {
        if (i == 1) {
            hospital_crash(&h);
            hospital_start(&h);
            struct ipc_welcome welcome;
            vault_welcome(&h.vault, &welcome);
            assert_int_equal(welcome.pending_count, 1);
            assert_int_equal(welcome.pending[0].task, 1);
        }
        struct ipc_message request = hospital_task(&h, TASK_TRAIN, i < 3 ? 1 : 2, 1, 0.5f, i == 2);
        if (i == 2) {
            struct bytes_out body = {0};
            free(request.body);
            bytes_out_text(&body, "falls");
            bytes_out_u32(&body, 1);
            request = (struct ipc_message){.type = IPC_FETCH, .body = body.bytes, .n = body.n};
        }
        reply = hospital_ask(&h, request);
        assert_memory_equal(reply.message->object_offer.object, first.object, OBJECT_ID_BYTES);
        assert_int_equal(reply.message->head.task, i < 3 ? 1 : 2);
        update = update_of(reply);
        assert_int_equal(update.frame_n, frame_n);
        assert_memory_equal(update.frame, frame, frame_n);
        payload_update_free(&update);
    }
    assert_int_equal(ledger_find(&h.vault.ledger, "falls")->trained, 1);
    hospital_close(&h);
}

/* Interrupted between BEGUN and DONE. */
static void interrupt(uint32_t task, uint32_t round)
{
    struct why why;
    struct message_task order = {.kind = TASK_TRAIN, .round = round};
    memset(order.model_hash, 0xee, sizeof order.model_hash);
    assert_true(ok(ledger_begun(&h.vault.ledger, 1, "falls", task, &order, false, &why)));
    hospital_crash(&h);
    hospital_start(&h);
}

/* Nothing of a task that was begun and not done had left: it is trained again, and the study's
 * budget counts one release. */
static void test_crash_in_training(void **state)
{
    (void)state;
    struct payload_update update;
    hospital_open(&h, PRIVATE, ALLOW);
    allow();
    interrupt(1, 1);
    assert_int_equal(ledger_find(&h.vault.ledger, "falls")->trained, 0);
    interrupt(1, 1);
    update = update_of(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true)));
    payload_update_free(&update);
    assert_int_equal(ledger_find(&h.vault.ledger, "falls")->trained, 1);
    for (int i = 0; i < LEDGER_ATTEMPTS_MAX; i++)
        interrupt(2, 2);
    expect_declined(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 2, 2, 0.0f, true)),
                    "interrupted");
    for (uint32_t round = 2; round <= 3; round++) {
        update = update_of(
            hospital_ask(&h, hospital_task(&h, TASK_TRAIN, round + 1, round, 0.0f, true)));
        payload_update_free(&update);
    }
    expect_declined(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 5, 3, 0.7f, true)), "used up");
    hospital_close(&h);

    /* Without noise training again gives the same bits, so nothing is lost. */
    hospital_open(&h, PLAIN, ALLOW);
    allow();
    interrupt(1, 1);
    update = update_of(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true)));
    payload_update_free(&update);
    hospital_close(&h);
}

static void test_budget_of_a_study(void **state)
{
    (void)state;
    hospital_open(&h, PRIVATE, ALLOW);
    allow();
    for (uint32_t round = 1; round <= 3; round++) {
        struct payload_update update =
            update_of(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, round, round, 0.0f, true)));
        assert_true(update.epsilon_spent <= update.epsilon_budget);
        assert_true(round < 3 || update.epsilon_spent == update.epsilon_budget);
        payload_update_free(&update);
    }
    /* A round of another model once more: nothing is left for it. */
    expect_declined(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 4, 3, 0.7f, true)),
                    "budget of the study is used up");
    hospital_close(&h);
}

/* Noised figures are charged by the model; the last one planned goes, the next does not. */
static void test_budget_of_evaluations(void **state)
{
    (void)state;
    hospital_open(&h,
                  "training: {rounds: 3, steps: 2, learning_rate: 0.1}\n"
                  "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1, "
                  "metrics_noise: 20}\n",
                  ALLOW "metrics: noised-histogram\n");
    allow();
    for (uint32_t task = 1; task <= 3; task++) {
        struct vault_reply reply = hospital_ask(&h, hospital_task(&h, TASK_EVALUATE, task, task,
                                                                  (float)task * 0.1f, true));
        struct payload_evaluation evaluation;
        struct why why;
        size_t n = 0;
        unsigned char *plain = hospital_open_result(&h, &reply, &n);
        assert_true(ok(payload_evaluation_decode(&evaluation, plain, n, &why)));
        assert_true(evaluation.metrics_epsilon > 0.0 && evaluation.metrics_epsilon < 1.0);
        assert_true(evaluation.models[0].bins_count > 0);
        payload_evaluation_free(&evaluation);
        free(plain);
    }
    expect_declined(hospital_ask(&h, hospital_task(&h, TASK_EVALUATE, 4, 3, 0.7f, true)),
                    "figures of 3 models");
    hospital_close(&h);

    hospital_open(&h, PLAIN, ALLOW "queries_per_epoch: 2\n");
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(answer_of(&reply)->verdict, STUDY_REFUSED);
    assert_non_null(strstr(answer_of(&reply)->reason, "queries_per_epoch"));
    hospital_close(&h);
}

static void test_bounds_of_the_policy(void **state)
{
    (void)state;
    const struct {
        const char *plan, *policy, *part;
    } cases[] = {
        {PRIVATE, "decision: allow\nepsilon_per_study: 0.5\nmin_patients: 50\n", "epsilon"},
        {PLAIN, "decision: allow\nmin_patients: 50\n", "privacy"},
        {PRIVATE, "decision: allow\nmin_patients: 190\n", "fewer patients"},
        {PRIVATE, "decision: allow\nfeatures_refused: [age]\nmin_patients: 50\n", "age"},
        {PRIVATE, "decision: allow\nresearchers: [ben]\nmin_patients: 50\n", "researcher"},
        {PRIVATE,
         "decision: allow\nepsilon_per_study: 1.5\nepsilon_per_year: 0.9\nmin_patients: 50\n",
         "year"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hospital_open(&h, cases[i].plan, cases[i].policy);
        struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
        const struct message_study_answer *answer = answer_of(&reply);
        assert_int_equal(answer->verdict, STUDY_REFUSED);
        if (!strstr(answer->reason, cases[i].part))
            fail_msg("'%s' lacks '%s'", answer->reason, cases[i].part);
        expect_declined(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true)),
                        "not allowed");
        hospital_close(&h);
    }
}

static void test_a_human(void **state)
{
    (void)state;
    struct why why;
    struct vault_reply reply;
    hospital_open(&h, PRIVATE, "epsilon_per_study: 2\nmin_patients: 50\n");
    reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(answer_of(&reply)->verdict, STUDY_ASKING);
    assert_false(vault_decided(&h.vault, &reply));
    unsigned char other[PLAN_HASH_BYTES] = {1};
    int fd = h.vault.decisions_fd;
    assert_true(ok(decisions_append(fd, true, "falls", other, &why)));
    assert_false(vault_decided(&h.vault, &reply)); /* another plan */
    expect_declined(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true)),
                    "not allowed");
    assert_true(ok(decisions_append(fd, false, "falls", h.plan.hash, &why)));
    assert_true(vault_decided(&h.vault, &reply));
    assert_int_equal(answer_of(&reply)->verdict, STUDY_REFUSED);
    assert_true(ok(decisions_append(fd, true, "falls", h.plan.hash, &why)));
    reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(answer_of(&reply)->verdict, STUDY_ALLOWED);
    hospital_crash(&h);
    hospital_start(&h);
    reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(answer_of(&reply)->verdict, STUDY_ALLOWED);
    /* Once allowed it is paid for: a late refusal changes nothing. */
    assert_true(ok(decisions_append(h.vault.decisions_fd, false, "falls", h.plan.hash, &why)));
    assert_false(vault_decided(&h.vault, &reply));
    hospital_close(&h);
}

/* What a taken-over network process might send. */
static void test_forged(void **state)
{
    (void)state;
    hospital_open(&h, PRIVATE, ALLOW);

    /* Offers: signed by nobody we know, for another site, with a launch of another hand. */
    struct hospital_key true_coordinator = h.coordinator, true_researcher = h.researcher;
    crypto_sign_keypair(h.coordinator.sign_public, h.coordinator.sign_secret);
    expect_refused(hospital_ask(&h, hospital_offer(&h)), "sign");
    h.coordinator = true_coordinator;
    unsigned char stranger[32];
    crypto_sign_keypair(stranger, h.researcher.sign_secret);
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(answer_of(&reply)->verdict, STUDY_REFUSED);
    h.researcher = true_researcher;
    allow();

    /* Tasks: forged, of another plan, beyond the plan, too late, without number. */
    crypto_sign_keypair(h.coordinator.sign_public, h.coordinator.sign_secret);
    expect_refused(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true)), "sign");
    h.coordinator = true_coordinator;
    expect_declined(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 4, 0.0f, true)), "no round");
    expect_refused(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 0, 1, 0.0f, true)), "number");
    h.plan.hash[0] ^= 1;
    expect_declined(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true)),
                    "another plan");
    h.plan.hash[0] ^= 1;

    /* The model of another task, or an altered one. */
    struct ipc_message a = hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true);
    a.body[a.n - 1] ^= 1;
    expect_declined(hospital_ask(&h, a), "");
    struct ipc_message cut = hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true);
    cut.n -= 1;
    expect_declined(hospital_ask(&h, cut), "");
    assert_int_equal(ledger_find(&h.vault.ledger, "falls")->trained, 0);

    /* Requests cut anywhere never crash, and none but the whole one trains. */
    struct ipc_message whole = hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true);
    for (size_t n = 0; n < 700 && n < whole.n; n += 7) {
        struct ipc_message part = whole;
        part.body = malloc(n + 1);
        memcpy(part.body, whole.body, n);
        part.n = n;
        reply = hospital_ask(&h, part);
        assert_int_not_equal(reply.type, IPC_RESULT);
    }
    free(whole.body);
    assert_int_equal(ledger_find(&h.vault.ledger, "falls")->trained, 0);

    /* A later task closes the way back to an earlier one. */
    struct payload_update update =
        update_of(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 5, 1, 0.0f, true)));
    payload_update_free(&update);
    expect_declined(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 4, 2, 0.0f, true)),
                    "later task");
    hospital_close(&h);
}

static struct ipc_message coordinator_says(enum ipc_type type, struct message *message)
{
    size_t n = 0;
    unsigned char *envelope = hospital_sign(&h, &h.coordinator, "coordinator", message, &n);
    struct bytes_out body = {0};
    bytes_out_block(&body, envelope, n);
    free(envelope);
    return (struct ipc_message){.type = type, .body = body.bytes, .n = body.n};
}

static void test_settled(void **state)
{
    (void)state;
    hospital_open(&h, PLAIN, ALLOW);
    allow();
    struct vault_reply reply = hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 1, 1, 0.0f, true));
    struct message_object_offer offer = reply.message->object_offer;
    struct payload_update update = update_of(reply);
    payload_update_free(&update);
    struct message *message = hospital_message(&h, MESSAGE_OBJECT_DONE, 1);
    memcpy(message->object_done.object, offer.object, OBJECT_ID_BYTES);
    message->object_done.accepted = true;
    reply = hospital_ask(&h, coordinator_says(IPC_OBJECT_DONE, message));
    assert_int_equal(reply.type, IPC_NOTED);
    struct ipc_welcome welcome;
    vault_welcome(&h.vault, &welcome);
    assert_int_equal(welcome.pending_count, 0);
    uint64_t sequence = h.vault.ledger.journal.sequence;
    message = hospital_message(&h, MESSAGE_TASK_CLOSED, 1);
    message->task_closed.completed = true;
    strcpy(message->task_closed.own.site, "north");
    reply = hospital_ask(&h, coordinator_says(IPC_TASK_CLOSED, message));
    assert_int_equal(reply.type, IPC_NOTED);
    assert_int_equal(h.vault.ledger.journal.sequence, sequence); /* nothing new */
    message = hospital_message(&h, MESSAGE_TASK_CLOSED, 1);
    message->task_closed.study_finished = true;
    strcpy(message->task_closed.own.site, "north");
    hospital_ask(&h, coordinator_says(IPC_TASK_CLOSED, message));
    expect_declined(hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 2, 2, 0.0f, true)), "finished");
    hospital_close(&h);
}

/* Nothing that the vault says or notes outside the sealed result holds a patient's value. */
static void test_nothing_of_a_patient(void **state)
{
    (void)state;
    hospital_open(&h, PLAIN, ALLOW);
    /* A file that does not fit: the researcher hears that, the site's own log hears where. */
    char path[128];
    snprintf(path, sizeof path, "%s/patients.csv", h.folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("id,years,sex,fell\nsecret-name,71,F,1\n", f);
    fclose(f);
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    const struct message_study_answer *answer = answer_of(&reply);
    assert_int_equal(answer->verdict, STUDY_REFUSED);
    assert_null(strstr(answer->reason, "years"));
    assert_null(strstr(answer->reason, "secret"));
    assert_null(strstr(answer->reason, "line"));
    assert_non_null(strstr(answer->reason, "own log"));
    hospital_close(&h);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_feedback),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_crash_in_training),
        cmocka_unit_test(test_budget_of_a_study),
        cmocka_unit_test(test_budget_of_evaluations),
        cmocka_unit_test(test_bounds_of_the_policy),
        cmocka_unit_test(test_a_human),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_settled),
        cmocka_unit_test(test_nothing_of_a_patient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
