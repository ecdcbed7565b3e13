/* SPDX-License-Identifier: Apache-2.0 */
/* Holdout epochs in the running vault: dated, shared by studies, budgeted, never closer to each
 * other than a cell; and drift against what was frozen when the study was allowed. */
#include "agent/vault/drift.h"
#include "agent/vault/reference.h"
#include "agent/vault/room.h"
#include "tests/hospital.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
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
#define PRIVATE                                                                                    \
    "training: {rounds: 3, steps: 2, learning_rate: 0.1}\n"                                        \
    "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1}\n"
#define ALLOW                                                                                      \
    "decision: allow\nprivacy_required: false\nepsilon_per_study: 2\nepsilon_per_year: 4\n"        \
    "epsilon_total: 8\ndelta: 1.0e-5\nmin_patients: 50\n"

static struct hospital h;

/* Patients from first to end, the ages of those from shifted on raised. */
static void write_patients(int first, int end, int shifted)
{
    char path[128];
    snprintf(path, sizeof path, "%s/patients.csv", h.folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("id,age,sex,fell\n", f);
    for (int i = first; i < end; i++) {
        int age = 20 + (i * 37) % 61 + (i >= shifted ? 25 : 0);
        fprintf(f, "p%d,%d,%s,%d\n", i, age, i % 3 ? "F" : "M", (i * 7919) % 100 < age);
    }
    assert_int_equal(fclose(f), 0);
}

/* The same, read by a vault that is started anew. */
static void put_patients(int first, int end, int shifted)
{
    write_patients(first, end, shifted);
    hospital_crash(&h);
    hospital_start(&h);
}

static void open_with(const char *plan, const char *policy, int patients)
{
    hospital_open(&h, plan, policy);
    put_patients(0, patients, 1 << 30);
    struct vault_reply reply = hospital_ask(&h, hospital_offer(&h));
    assert_int_equal(reply.message->study_answer.verdict, STUDY_ALLOWED);
}

/* The evaluation of one round, decoded; the caller frees it. */
static struct payload_evaluation judge(uint32_t task, uint32_t round)
{
    struct payload_evaluation evaluation;
    struct why why;
    size_t n = 0;
    struct vault_reply reply =
        hospital_ask(&h, hospital_task(&h, TASK_EVALUATE, task, round, 0.1f * (float)round, true));
    unsigned char *plain = hospital_open_result(&h, &reply, &n);
    assert_true(ok(payload_evaluation_decode(&evaluation, plain, n, &why)));
    free(plain);
    return evaluation;
}

static struct evaluation_epoch epoch_of(uint32_t task, enum evaluation_status status)
{
    struct payload_evaluation e = judge(task, (task - 1) % 3 + 1);
    struct evaluation_epoch epoch = e.epoch;
    assert_int_equal(e.models[0].groups[0].status, status);
    assert_int_equal(e.release, EVALUATION_RELEASE_THRESHOLD);
    payload_evaluation_free(&e);
    return epoch;
}

static void epochs_are_dated_and_numbered(void **state)
{
    (void)state;
    open_with(PLAIN, ALLOW, 400);
    struct evaluation_epoch first = epoch_of(1, EVALUATION_OK);
    assert_int_equal(first.number, 1);
    assert_false(first.reused);
    assert_true(first.date_ms > 0 && first.date_ms % 86400000 == 0);
    assert_true(first.low == 100 && first.high == 499);
    struct evaluation_epoch again = epoch_of(2, EVALUATION_OK);
    assert_int_equal(again.number, 1);
    assert_true(again.reused && again.date_ms == first.date_ms);

    put_patients(0, 410, 1 << 30); /* a few newcomers wait */
    size_t before = h.vault.book.epochs[0].n;
    assert_int_equal(epoch_of(3, EVALUATION_OK).number, 1);
    assert_int_equal(h.vault.room->data.holdout.patients, before);

    put_patients(0, 500, 1 << 30);
    struct evaluation_epoch second = epoch_of(4, EVALUATION_OK);
    assert_int_equal(second.number, 2);
    assert_false(second.reused);
    assert_true(h.vault.book.epochs[1].n >= before + 11);

    hospital_crash(&h);
    hospital_start(&h);
    assert_int_equal(h.vault.book.epochs_count, 2);
    assert_true(epoch_of(5, EVALUATION_OK).reused);
    assert_int_equal(h.vault.book.epochs[0].models, 3);
    assert_int_equal(h.vault.book.epochs[1].models, 2);
    hospital_close(&h);
}

/* A running vault sees that its file has changed, before training and before judging. */
static void a_changed_file_is_read_again(void **state)
{
    (void)state;
    open_with(PLAIN, ALLOW, 400);
    assert_int_equal(epoch_of(1, EVALUATION_OK).number, 1);
    size_t before = h.vault.room->data.train.patients;
    assert_true(epoch_of(2, EVALUATION_OK).reused);
    write_patients(0, 500, 1 << 30);
    struct evaluation_epoch second = epoch_of(3, EVALUATION_OK);
    assert_true(second.number == 2 && !second.reused);
    assert_true(h.vault.room->data.train.patients > before);
    before = h.vault.room->data.train.patients;
    write_patients(0, 600, 1 << 30);
    struct vault_reply reply = hospital_ask(&h, hospital_task(&h, TASK_TRAIN, 4, 1, 0.1f, true));
    size_t n = 0;
    free(hospital_open_result(&h, &reply, &n));
    assert_true(h.vault.room->data.train.patients > before);
    assert_int_equal(epoch_of(5, EVALUATION_OK).number, 3);
    hospital_close(&h);
}

/* One patient who left cannot be found as the difference of two releases. */
static void those_who_left_are_hidden(void **state)
{
    (void)state;
    open_with(PLAIN, ALLOW, 400);
    epoch_of(1, EVALUATION_OK);
    int first = 1;
    size_t n = h.vault.book.epochs[0].n;
    do /* until one of the holdout is gone */
        put_patients(first, 400, 1 << 30);
    while (first++, epoch_of((uint32_t)first, EVALUATION_OK).number == 1 && first < 8);
    assert_int_equal(h.vault.book.epochs_count, 2);
    const struct epoch *a = &h.vault.book.epochs[0], *b = &h.vault.book.epochs[1];
    assert_int_equal(a->n, n);
    assert_int_equal(b->n, n - 11);
    hospital_close(&h);
}

static void a_used_up_epoch_is_told(void **state)
{
    (void)state;
    open_with("training: {rounds: 3, epochs: 2, learning_rate: 0.1}\nprivacy: {mode: none}\n",
              ALLOW "queries_per_epoch: 3\n", 400);
    for (uint32_t task = 1; task <= 3; task++)
        assert_int_equal(epoch_of(task, EVALUATION_OK).number, 1);
    assert_int_equal(epoch_of(4, EVALUATION_BUDGET_EXHAUSTED).number, 0);
    put_patients(0, 500, 1 << 30);
    assert_int_equal(epoch_of(5, EVALUATION_OK).number, 2);
    hospital_close(&h);
}

static void files_that_fit_no_more_are_told(void **state)
{
    (void)state;
    open_with(PLAIN, ALLOW, 400);
    char path[128];
    snprintf(path, sizeof path, "%s/patients.csv", h.folder);
    FILE *f = fopen(path, "we");
    fputs("id,years,sex,fell\np1,50,F,0\n", f);
    fclose(f);
    hospital_crash(&h);
    hospital_start(&h);
    epoch_of(1, EVALUATION_SCHEMA_MISMATCH);
    hospital_close(&h);
}

static const struct evaluation_drift_column *column(const struct payload_evaluation *e,
                                                    const char *name)
{
    for (uint32_t i = 0; i < e->drift.columns_count; i++)
        if (strcmp(e->drift.columns[i].name, name) == 0)
            return &e->drift.columns[i];
    fail_msg("no drift of %s", name);
    return NULL;
}

/* Hidden strata are told where figures are, in a band, and the same ones again. */
static void strata_are_told_with_the_figures(void **state)
{
    (void)state;
    open_with(PLAIN, ALLOW, 2000);
    struct payload_evaluation e = judge(1, 1), again = judge(2, 2);
    assert_int_equal(e.strata.status, EVALUATION_STATISTIC_OK);
    assert_true(e.strata.clusters[0] >= 2 && e.strata.clusters[1] >= 2 && e.strata.tested >= 2);
    assert_true(e.strata.gap_low <= e.strata.gap && e.strata.gap <= e.strata.gap_high);
    assert_true(e.strata.p >= 0.0 && e.strata.p <= 1.0 && e.strata.low <= 500);
    assert_true(round(e.strata.gap * 1000.0) / 1000.0 == e.strata.gap);
    /* the same patients in the same clusters, whatever the model */
    assert_int_equal(again.strata.clusters[1], e.strata.clusters[1]);
    assert_int_equal(again.strata.tested, e.strata.tested);
    payload_evaluation_free(&e);
    payload_evaluation_free(&again);
    hospital_close(&h);
    open_with(PLAIN, ALLOW "metrics: none\n", 400);
    e = judge(1, 1);
    assert_int_equal(e.strata.status, EVALUATION_STATISTIC_REFUSED);
    assert_true(isnan(e.strata.gap));
    payload_evaluation_free(&e);
    hospital_close(&h);
}

static void drift_is_against_the_training_patients(void **state)
{
    (void)state;
    open_with(PLAIN, ALLOW, 600);
    struct payload_evaluation e = judge(1, 1);
    assert_int_equal(e.drift.status, EVALUATION_STATISTIC_OK);
    assert_true(e.drift.of_training && e.drift.reference_date_ms > 0);
    assert_int_equal(e.drift.columns_count, 2);
    assert_true(column(&e, "age")->kl < 0.1 && column(&e, "age")->psi_p > 0.001);
    assert_true(column(&e, "sex")->kl < 0.05 && isnan(column(&e, "sex")->ks));
    assert_true(column(&e, "age")->missing_z == 0.0);
    assert_int_equal(e.drift.score.status, EVALUATION_STATISTIC_OK);
    assert_true(e.drift.mmd_p > 0.01);
    assert_true(e.drift.expected_auroc > 0.4 && e.drift.expected_auroc < 1.0);
    payload_evaluation_free(&e);

    put_patients(0, 900, 600);
    e = judge(2, 2);
    assert_int_equal(e.drift.status, EVALUATION_STATISTIC_OK);
    assert_true(e.drift.current_high == 499 || e.drift.current_low == 100);
    assert_true(column(&e, "age")->kl > 0.3 && column(&e, "age")->psi_p < 0.001);
    assert_true(column(&e, "age")->ks > 0.3 && column(&e, "age")->ks_p < 0.001);
    assert_true(e.drift.score.psi > 0.2 && e.drift.mmd_p <= 0.001);
    assert_string_equal(e.drift.worst, "age");
    payload_evaluation_free(&e);
    hospital_close(&h);
}

/* With privacy the training patients' epsilon leaves no room: the first holdout stands for them. */
static void private_studies_compare_to_the_first_holdout(void **state)
{
    (void)state;
    open_with(PRIVATE, ALLOW, 600);
    struct payload_evaluation e = judge(1, 1);
    assert_int_equal(e.drift.status, EVALUATION_STATISTIC_NOTHING_NEW);
    assert_false(e.drift.of_training);
    payload_evaluation_free(&e);
    put_patients(0, 900, 600);
    e = judge(2, 2);
    assert_int_equal(e.drift.status, EVALUATION_STATISTIC_OK);
    assert_false(e.drift.of_training);
    assert_true(column(&e, "age")->kl > 0.3);
    payload_evaluation_free(&e);
    hospital_close(&h);

    open_with("training: {rounds: 3, steps: 2, learning_rate: 0.1}\n"
              "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1, "
              "metrics_noise: 20}\n",
              ALLOW "metrics: noised-histogram\n", 600);
    assert_int_equal(h.vault.book.references_count, 0);
    e = judge(1, 1);
    assert_int_equal(e.release, EVALUATION_RELEASE_NOISED_HISTOGRAM);
    assert_int_equal(e.drift.status, EVALUATION_STATISTIC_REFUSED);
    assert_true(e.epoch.number == 1 && e.epoch.low == 0 && e.epoch.high == 0);
    payload_evaluation_free(&e);
    hospital_close(&h);
}

/* Columns that nothing can be compared in: a status each. */
static void drift_of_bad_columns(void **state)
{
    (void)state;
    enum { N = 200 };
    static double x[2][N], score[N];
    static uint8_t missing[N], all_missing[N];
    static struct plan_feature age = {.name = "age", .type = FEATURE_NUMBER};
    struct plan plan = {.features = &age, .features_count = 1, .label.type = LABEL_BINARY};
    struct evaluation_drift out;
    struct why why;
    memset(all_missing, 1, sizeof all_missing);
    for (int k = 0; k < 5; k++) {
        static const enum evaluation_statistic WANT[] = {EVALUATION_STATISTIC_OK,
                                                         EVALUATION_STATISTIC_CONSTANT,
                                                         EVALUATION_STATISTIC_INVALID,
                                                         EVALUATION_STATISTIC_FEW,
                                                         EVALUATION_STATISTIC_CONSTANT};
        for (int i = 0; i < N; i++) {
            x[0][i] = k == 1 || k == 4 ? 3.0 : i % 50;
            x[1][i] = k == 4 ? 3.0 : (i * 7) % 50;
            score[i] = (i % 97) / 100.0;
        }
        if (k == 2)
            x[1][5] = NAN;
        const struct drift_side then = {N, x[0], missing, score};
        const struct drift_side now = {N, x[1], k == 3 ? all_missing : missing, score};
        assert_true(ok(drift_fill(&out, &plan, &then, &now, 11, &why)));
        assert_int_equal(out.status, EVALUATION_STATISTIC_OK);
        assert_int_equal(out.columns[0].status, WANT[k]);
        assert_int_equal(out.score.status, EVALUATION_STATISTIC_OK);
        assert_true(out.score.kl == 0.0 && out.score.psi == 0.0);
        assert_true(k == 0 || isnan(out.columns[0].kl));
        assert_true(k != 3 || out.columns[0].missing_z > 5.0);
        free(out.columns);
    }
    /* Nobody, or one patient: the whole block says so. */
    const struct drift_side then = {N, x[0], missing, score}, one = {1, x[1], missing, score};
    assert_true(ok(drift_fill(&out, &plan, &then, &one, 11, &why)));
    assert_int_equal(out.status, EVALUATION_STATISTIC_FEW);
    assert_true(out.columns_count == 0 && isnan(out.mmd_p));
}

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

static void again(void)
{
    struct why why;
    epoch_book_free(&book);
    assert_true(ok(epoch_book_look(&book, book_fd, "epochs", &why)));
}

/* Judges patients first..end (by tens of a hash) and returns the choice, its list freed. */
static struct epoch_choice choose(const char *line, uint64_t first, uint64_t end, uint32_t task)
{
    uint64_t patients[400];
    size_t n = 0, index;
    struct epoch_choice c;
    struct why why;
    for (uint64_t i = first; i < end; i++)
        patients[n++] = 10 * i;
    assert_true(ok(epoch_choose(&book, line, patients, n, 11, &c, &why)));
    if (c.fate != EPOCH_TOO_CLOSE)
        assert_true(ok(epoch_charge(&book, line, &c, 5, "s", task, 2, &index, &why)));
    free(c.kept);
    return c;
}

static void no_two_epochs_differ_by_less_than_a_cell(void **state)
{
    (void)state;
    new_book();
    assert_int_equal(choose("fell", 0, 100, 1).fate, EPOCH_NEW);
    assert_int_equal(choose("fell", 0, 100, 2).fate, EPOCH_KNOWN);
    struct epoch_choice c = choose("fell", 0, 110, 3); /* ten came */
    assert_true(c.fate == EPOCH_KNOWN && c.waiting == 10 && c.kept_n == 100);
    c = choose("fell", 0, 111, 4); /* eleven */
    assert_true(c.fate == EPOCH_NEW && c.number == 2 && c.kept_n == 111);
    c = choose("fell", 1, 111, 5); /* one left: ten more go with it */
    assert_true(c.fate == EPOCH_NEW && c.kept_n == 100 && c.left_out == 10);
    c = choose("fell", 1, 111, 6);
    assert_true(c.fate == EPOCH_KNOWN && c.number == 3);
    assert_int_equal(choose("fell", 5, 111, 7).number, 3); /* six came */
    /* More than a cell from the last epoch, five from the first. */
    assert_int_equal(choose("fell", 0, 105, 8).fate, EPOCH_TOO_CLOSE);
    assert_int_equal(choose("died", 0, 99, 9).number, 1); /* another label, another line */
    again();
    assert_int_equal(book.epochs_count, 4);
    assert_int_equal(book.epochs[0].models, 6);
    assert_int_equal(book.epochs[0].tasks, 3);
    epoch_book_free(&book);
    close(book_fd);
}

/* The same task charged once; chunks without their end count for nothing. */
static void a_task_is_charged_once(void **state)
{
    (void)state;
    new_book();
    choose("fell", 0, 300, 1);
    choose("fell", 0, 300, 1);
    assert_int_equal(book.epochs[0].models, 2);
    struct why why;
    struct journal_record record;
    const unsigned char chunk[12] = {0};
    assert_true(
        ok(journal_append(&book.journal, BOOK_CHUNK, 1, chunk, sizeof chunk, &record, &why)));
    epoch_book_free(&book);
    assert_true(ok(epoch_book_open(&book, book_fd, "epochs", &why)));
    unsigned char hash[PLAN_HASH_BYTES] = {1};
    static unsigned char big[3 * BOOK_CHUNK_BYTES / 2], *back;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (unsigned char)(i * 7 >> 3);
    assert_true(ok(book_freeze(&book, 9, "s", hash, big, sizeof big, &why)));
    assert_true(ok(book_freeze(&book, 9, "s", hash, big, sizeof big, &why)));
    again();
    const struct book_reference *r = book_reference_of(&book, "s", hash);
    assert_non_null(r);
    assert_int_equal(r->blob.n, sizeof big);
    assert_true(ok(book_read(&book, &r->blob, &back, &why)));
    assert_memory_equal(back, big, sizeof big);
    free(back);
    epoch_book_free(&book);
    close(book_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_file_is_read_again),
        cmocka_unit_test(strata_are_told_with_the_figures),
        cmocka_unit_test(epochs_are_dated_and_numbered),
        cmocka_unit_test(those_who_left_are_hidden),
        cmocka_unit_test(a_used_up_epoch_is_told),
        cmocka_unit_test(files_that_fit_no_more_are_told),
        cmocka_unit_test(drift_is_against_the_training_patients),
        cmocka_unit_test(private_studies_compare_to_the_first_holdout),
        cmocka_unit_test(drift_of_bad_columns),
        cmocka_unit_test(no_two_epochs_differ_by_less_than_a_cell),
        cmocka_unit_test(a_task_is_charged_once),
    };
    return cmocka_run_group_tests_name("holdout", tests, NULL, NULL);
}
