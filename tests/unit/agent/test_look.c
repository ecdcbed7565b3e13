/* SPDX-License-Identifier: Apache-2.0 */
/* A look at newer epochs alone: who is asked about, what keeps its distance from what was told
 * before, and which models a site judges so. */
#include "agent/vault/epoch_newer.h"
#include "agent/vault/room.h"
#include "proto/plan_model.h"
#include "tests/hospital.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN                                                                                      \
    "training: {rounds: 9, epochs: 2, learning_rate: 0.1}\n"                                       \
    "privacy: {mode: none}\n"
#define ALLOW                                                                                      \
    "decision: allow\nprivacy_required: false\nepsilon_per_study: 2\nepsilon_per_year: 4\n"        \
    "epsilon_total: 8\ndelta: 1.0e-5\nmin_patients: 50\n"

/* ---- the book by itself ---- */

static struct epoch_book book;
static int book_fd = -1;

static void new_book(void)
{
    struct why why;
    book_fd = memfd_create("book", MFD_CLOEXEC);
    assert_true(book_fd >= 0);
    assert_true(ok(epoch_book_open(&book, book_fd, "epochs", &why)));
}

static void end_book(void)
{
    epoch_book_free(&book);
    close(book_fd);
}

/* Patients first..end of which those from..to are left out. */
static size_t people(uint64_t first, uint64_t end, uint64_t from, uint64_t to, uint64_t *out)
{
    size_t n = 0;
    for (uint64_t i = first; i < end; i++)
        if (i < from || i >= to)
            out[n++] = 10 * i;
    return n;
}

static struct epoch_choice chosen(const uint64_t *patients, size_t n)
{
    struct epoch_choice c;
    struct why why;
    assert_true(ok(epoch_choose(&book, "fell", patients, n, 11, &c, &why)));
    return c;
}

static void enter(uint64_t first, uint64_t end, uint64_t from, uint64_t to)
{
    static uint32_t task;
    uint64_t patients[600];
    size_t index;
    struct why why;
    struct epoch_choice c = chosen(patients, people(first, end, from, to, patients));
    assert_int_equal(c.fate, EPOCH_NEW);
    assert_true(ok(epoch_charge(&book, "fell", &c, 5, "s", ++task, 1, &index, &why)));
    free(c.kept);
}

/* Asks about first..end less from..to after an epoch: the fate, and the lowest and the number. */
static enum newer_fate ask(uint64_t first, uint64_t end, uint64_t from, uint64_t to, uint32_t after,
                           uint64_t *ret_lowest, size_t *ret_n)
{
    uint64_t patients[600], *newer = NULL;
    enum newer_fate fate;
    struct why why;
    struct epoch_choice c = chosen(patients, people(first, end, from, to, patients));
    assert_true(ok(epoch_newer(&book, "fell", &c, after, 11, &newer, ret_n, &fate, &why)));
    *ret_lowest = *ret_n > 0 ? newer[0] / 10 : 0;
    for (size_t i = 1; i < *ret_n; i++)
        assert_true(newer[i - 1] < newer[i]);
    free(newer);
    free(c.kept);
    return fate;
}

static void newer_patients_are_those_of_later_epochs(void **state)
{
    (void)state;
    uint64_t lowest;
    size_t n;
    new_book();
    enter(0, 100, 0, 0);
    assert_int_equal(ask(0, 100, 0, 0, 1, &lowest, &n), NEWER_NONE);
    assert_int_equal(ask(0, 160, 0, 0, 1, &lowest, &n), NEWER_SOME);
    assert_true(lowest == 100 && n == 60);
    enter(0, 160, 0, 0);
    enter(0, 200, 0, 0);
    assert_int_equal(ask(0, 200, 0, 0, 1, &lowest, &n), NEWER_SOME);
    assert_true(lowest == 100 && n == 100);
    assert_int_equal(ask(0, 200, 0, 0, 2, &lowest, &n), NEWER_SOME);
    assert_true(lowest == 160 && n == 40);
    assert_int_equal(ask(0, 200, 0, 0, 3, &lowest, &n), NEWER_NONE);
    /* Ten newcomers wait, as for any epoch: the answer is the one before. */
    assert_int_equal(ask(0, 210, 0, 0, 2, &lowest, &n), NEWER_SOME);
    assert_true(lowest == 160 && n == 40);
    /* Who came back is not new. */
    assert_int_equal(ask(50, 200, 0, 0, 3, &lowest, &n), NEWER_NONE);
    end_book();
}

/* Holdouts that lose patients while they gain some: differences of answers stay above a cell. */
static void newer_patients_cannot_be_subtracted(void **state)
{
    (void)state;
    uint64_t lowest;
    size_t n;
    new_book();
    enter(0, 100, 0, 0);
    /* Six came and six left: a new epoch, but six alone are told of nobody. */
    enter(6, 106, 0, 0);
    assert_int_equal(ask(6, 106, 0, 0, 1, &lowest, &n), NEWER_FEW);
    /* All but five of the old ones left: what is new is five patients from the whole. */
    assert_int_equal(ask(95, 300, 100, 106, 1, &lowest, &n), NEWER_TOO_CLOSE);
    /* The same with as many as a cell. */
    assert_int_equal(ask(80, 300, 100, 106, 1, &lowest, &n), NEWER_SOME);
    assert_true(lowest == 106 && n == 194);
    enter(0, 300, 100, 106);
    /* Of the newer ones one leaves while ten old ones do: apart as epochs, one apart as newer ones.
     */
    assert_int_equal(ask(10, 299, 100, 106, 1, &lowest, &n), NEWER_TOO_CLOSE);
    assert_int_equal(ask(0, 300, 100, 106, 1, &lowest, &n), NEWER_SOME);
    end_book();
}

/* ---- the running vault ---- */

static struct hospital h;

static void put_patients(int end)
{
    char path[128];
    snprintf(path, sizeof path, "%s/patients.csv", h.folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("id,age,sex,fell\n", f);
    for (int i = 0; i < end; i++) {
        int age = 20 + (i * 37) % 61;
        fprintf(f, "p%d,%d,%s,%d\n", i, age, i % 3 ? "F" : "M", (i * 7919) % 100 < age);
    }
    assert_int_equal(fclose(f), 0);
}

static struct payload_model model_of(float value, const char *name, uint32_t round, size_t n)
{
    struct payload_model m = {.parameters = calloc(n, sizeof(float)), .round = round};
    assert_non_null(m.parameters);
    for (size_t i = 0; i < n; i++)
        m.parameters[i] = i == 0 ? value : 0.1f;
    snprintf(m.name, sizeof m.name, "%s", name);
    return m;
}

/* The encoded set of the candidate (round 3) and, with rival, of a model of another study's round
 * 2; alone: that model by itself, as its own study had it. */
static unsigned char *set_of(float candidate, float rival, bool alone, size_t *ret_n)
{
    struct model model;
    struct why why;
    unsigned char *bytes = NULL;
    assert_true(ok(plan_build_model(&h.plan, &model, &why)));
    struct payload_model models[2] = {alone ? model_of(rival, "global", 0, model.parameters)
                                            : model_of(candidate, "global", 0, model.parameters),
                                      model_of(rival, "incumbent", 2, model.parameters)};
    const struct payload_model_set set = {.round = alone ? 2 : 3,
                                          .parameters_count = model.parameters,
                                          .models_count = alone || rival == 0.0f ? 1 : 2,
                                          .models = models};
    assert_true(ok(payload_model_set_encode(&set, &bytes, ret_n, &why)));
    free(models[0].parameters);
    free(models[1].parameters);
    return bytes;
}

static struct vault_reply order(uint32_t task, float candidate, float rival, bool alone)
{
    size_t n = 0;
    unsigned char *bytes = set_of(candidate, rival, alone, &n);
    struct vault_reply reply =
        hospital_ask(&h, hospital_task_with(&h, TASK_EVALUATE, task, 3, bytes, n));
    free(bytes);
    return reply;
}

static struct payload_evaluation figures(struct vault_reply reply)
{
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

static void expect_declined(struct vault_reply reply, enum decline kind, const char *part)
{
    assert_int_equal(reply.type, IPC_SIGNED);
    assert_int_equal(reply.message->task_declined.kind, kind);
    if (!strstr(reply.message->task_declined.reason, part))
        fail_msg("'%s' lacks '%s'", reply.message->task_declined.reason, part);
}

/* The signed word that the study is over; it names the candidate. */
static void finish(float candidate)
{
    size_t n = 0;
    struct bytes_out body = {0};
    unsigned char *bytes = set_of(candidate, 0.0f, false, &n);
    struct message *message = hospital_message(&h, MESSAGE_TASK_CLOSED, 1);
    message->task_closed.study_finished = true;
    crypto_generichash(message->task_closed.candidate_hash, PLAN_HASH_BYTES, bytes, n, NULL, 0);
    free(bytes);
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

static void open_study(int patients)
{
    memset(&h, 0, sizeof h);
    hospital_open(&h, PLAIN, ALLOW);
    put_patients(patients);
    hospital_crash(&h);
    hospital_start(&h);
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(reply.message->study_answer.verdict, STUDY_ALLOWED);
}

static void a_look_judges_newer_patients_only(void **state)
{
    (void)state;
    open_study(500);
    /* The study's own evaluation compares with a model of another study: it is known from then. */
    struct payload_evaluation e = figures(order(1, 0.5f, 0.7f, false));
    assert_int_equal(e.epoch.number, 1);
    assert_int_equal(e.epoch.first, 0);
    uint64_t before = e.models[0].groups[0].positives + e.models[0].groups[0].negatives;
    payload_evaluation_free(&e);
    h.epochs_after = 1;
    expect_declined(order(2, 0.5f, 0.7f, false), DECLINE_REFUSED, "only after the study");
    finish(0.5f);

    e = figures(order(3, 0.5f, 0.7f, false)); /* nobody came */
    assert_int_equal(e.models[0].groups[0].status, EVALUATION_NOTHING_NEW);
    assert_int_equal(e.epoch.number, 0);
    payload_evaluation_free(&e);

    put_patients(1300);
    hospital_crash(&h);
    hospital_start(&h);
    e = figures(order(4, 0.5f, 0.7f, false));
    assert_int_equal(e.models_count, 2);
    assert_int_equal(e.models[0].groups[0].status, EVALUATION_OK);
    assert_true(e.epoch.number == 2 && e.epoch.first == 2);
    uint64_t newer = e.models[0].groups[0].positives + e.models[0].groups[0].negatives;
    assert_true(e.models[1].difference_variance >= 0.0);
    payload_evaluation_free(&e);

    h.epochs_after = 0; /* the whole holdout again: nothing of the look is left */
    e = figures(order(5, 0.5f, 0.0f, false));
    assert_true(e.epoch.number == 2 && e.epoch.first == 0);
    assert_int_equal(e.models[0].groups[0].positives + e.models[0].groups[0].negatives,
                     before + newer);
    payload_evaluation_free(&e);
    assert_int_equal(h.vault.book.epochs_count, 2);
    hospital_close(&h);
}

/* Only models that signed words named to this site, each by itself. */
static void a_look_names_known_models(void **state)
{
    (void)state;
    open_study(500);
    struct payload_evaluation e = figures(order(1, 0.5f, 0.7f, false));
    payload_evaluation_free(&e);
    finish(0.5f);
    put_patients(1300);
    hospital_crash(&h);
    hospital_start(&h);
    h.epochs_after = 1;
    expect_declined(order(2, 0.6f, 0.7f, false), DECLINE_UNKNOWN_MODEL, "'global'");
    expect_declined(order(3, 0.5f, 0.8f, false), DECLINE_UNKNOWN_MODEL, "'incumbent'");
    e = figures(order(4, 0.5f, 0.7f, false));
    assert_int_equal(e.models[1].groups[0].status, EVALUATION_OK);
    payload_evaluation_free(&e);
    h.epochs_after = 0; /* the set itself was named by no signed word of the study */
    expect_declined(order(5, 0.5f, 0.9f, false), DECLINE_UNKNOWN_MODEL, "no signed round");
    hospital_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newer_patients_are_those_of_later_epochs),
        cmocka_unit_test(newer_patients_cannot_be_subtracted),
        cmocka_unit_test(a_look_judges_newer_patients_only),
        cmocka_unit_test(a_look_names_known_models),
    };
    return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}
