/* SPDX-License-Identifier: Apache-2.0 */
/* Models, updates and evaluations survive the wire; cut and non-finite ones are refused. */
#include "proto/payload.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void model_sets(void **state)
{
    (void)state;
    float a[] = {1.0f, -2.5f, 0.0f}, b[] = {3.0f, 4.0f, 5.0f};
    struct payload_model models[] = {{"global", a}, {"alpha", b}};
    struct payload_model_set in = {7, 3, 2, models}, out;
    unsigned char *bytes;
    size_t n;
    struct why why;
    assert_true(ok(payload_model_set_encode(&in, &bytes, &n, &why)));
    assert_true(ok(payload_model_set_decode(&out, bytes, n, &why)));
    assert_int_equal(out.models_count, 2);
    assert_string_equal(out.models[1].name, "alpha");
    assert_memory_equal(out.models[1].parameters, b, sizeof b);
    payload_model_set_free(&out);
    for (size_t cut = 0; cut < n; cut++) {
        if (ok(payload_model_set_decode(&out, bytes, cut, &why))) {
            assert_true(out.models_count < 2); /* cut between two whole models */
            payload_model_set_free(&out);
        }
    }
    free(bytes);
    b[1] = NAN;
    assert_true(ok(payload_model_set_encode(&in, &bytes, &n, &why)));
    assert_int_equal(payload_model_set_decode(&out, bytes, n, &why).code, RESULT_INPUT);
    assert_non_null(strstr(why.text, "alpha"));
    free(bytes);
}

static void updates(void **state)
{
    (void)state;
    unsigned char frame[] = {1, 2, 3};
    struct payload_update in = {3, 700, 0.5, 1.0, 0.01, 9000, frame, sizeof frame}, out;
    unsigned char *bytes;
    size_t n;
    struct why why;
    assert_true(ok(payload_update_encode(&in, &bytes, &n, &why)));
    assert_true(ok(payload_update_decode(&out, bytes, n, &why)));
    assert_int_equal(out.declared_patients, 700);
    assert_int_equal(out.frame_n, 3);
    assert_memory_equal(out.frame, frame, 3);
    payload_update_free(&out);
    free(bytes);
    in.epsilon_spent = -1.0;
    assert_true(ok(payload_update_encode(&in, &bytes, &n, &why)));
    assert_false(ok(payload_update_decode(&out, bytes, n, &why)));
    free(bytes);
}

static struct evaluation_drift_column columns[2];

static void fill_drift(struct payload_evaluation *e)
{
    e->epoch = (struct evaluation_epoch){3, 86400000, true, 500, 999};
    evaluation_drift_clear(&e->drift, EVALUATION_STATISTIC_OK);
    e->drift.of_training = true;
    e->drift.reference_date_ms = 172800000;
    e->drift.reference_low = 1000, e->drift.reference_high = 4999;
    e->drift.current_low = 10000;
    e->drift.score.psi = 0.125;
    e->drift.mmd2 = 0.5;
    e->drift.mmd_p = 0.001;
    e->drift.expected_auroc = 0.75;
    strcpy(e->drift.worst, "age");
    e->strata = (struct evaluation_strata){.status = EVALUATION_STATISTIC_OK,
                                           .clusters = {3, 2},
                                           .tested = 4,
                                           .of_positives = true,
                                           .gap = 0.25,
                                           .gap_low = -0.5,
                                           .gap_high = 0.75,
                                           .p = 0.125,
                                           .low = 50,
                                           .high = 99};
    e->drift.columns = columns;
    e->drift.columns_count = 2;
    for (size_t i = 0; i < 2; i++) {
        evaluation_drift_column_clear(&columns[i],
                                      i ? EVALUATION_STATISTIC_FEW : EVALUATION_STATISTIC_OK);
        strcpy(columns[i].name, i ? "sex" : "age");
    }
    columns[0].kl = 0.25, columns[0].ks_p = 0.5, columns[0].missing_z = -2.0;
}

static void check_drift(const struct payload_evaluation *e)
{
    const struct evaluation_strata *s = &e->strata;
    assert_int_equal(s->status, EVALUATION_STATISTIC_OK);
    assert_true(s->clusters[0] == 3 && s->clusters[1] == 2 && s->tested == 4 && s->of_positives);
    assert_true(s->gap == 0.25 && s->gap_low == -0.5 && s->gap_high == 0.75 && s->p == 0.125);
    assert_true(s->low == 50 && s->high == 99);
    assert_int_equal(e->release, EVALUATION_RELEASE_HISTOGRAM);
    assert_int_equal(e->epoch.number, 3);
    assert_true(e->epoch.reused && e->epoch.date_ms == 86400000);
    assert_true(e->epoch.low == 500 && e->epoch.high == 999);
    const struct evaluation_drift *d = &e->drift;
    assert_int_equal(d->status, EVALUATION_STATISTIC_OK);
    assert_true(d->of_training && d->reference_date_ms == 172800000);
    assert_true(d->reference_low == 1000 && d->reference_high == 4999);
    assert_true(d->current_low == 10000 && d->current_high == 0);
    assert_true(d->score.psi == 0.125 && isnan(d->score.kl));
    assert_true(d->mmd2 == 0.5 && d->mmd_p == 0.001 && d->expected_auroc == 0.75);
    assert_string_equal(d->worst, "age");
    assert_int_equal(d->columns_count, 2);
    assert_string_equal(d->columns[1].name, "sex");
    assert_int_equal(d->columns[1].status, EVALUATION_STATISTIC_FEW);
    assert_true(d->columns[0].kl == 0.25 && d->columns[0].ks_p == 0.5);
    assert_true(d->columns[0].missing_z == -2.0 && isnan(d->columns[0].psi));
}

/* What the encoder lets through and the decoder must not. */
static void drift_beyond_limits(void **state)
{
    (void)state;
    struct evaluation_figures group = {.status = EVALUATION_OK};
    struct evaluation_model model = {.name = "global", .groups_count = 1, .groups = &group};
    static struct evaluation_drift_column many[PLAN_FEATURES_MAX + 1];
    for (int wrong = 0; wrong <= 10; wrong++) {
        struct payload_evaluation in = {.models_count = 1, .models = &model}, out;
        evaluation_drift_clear(&in.drift, EVALUATION_STATISTIC_OK);
        in.drift.columns = many;
        in.drift.columns_count = PLAN_FEATURES_MAX + (wrong == 1);
        in.epoch.number = EVALUATION_EPOCHS_MAX + (wrong == 2);
        in.epoch.low = 5, in.epoch.high = wrong == 3 ? 4 : 5;
        in.release = wrong == 4 ? (enum evaluation_release)9 : EVALUATION_RELEASE_NONE;
        in.drift.status = wrong == 5 ? (enum evaluation_statistic)9 : EVALUATION_STATISTIC_INVALID;
        in.drift.score.status = (enum evaluation_statistic)(wrong == 6 ? 9 : 1);
        in.strata.status = (enum evaluation_statistic)(EVALUATION_STATISTIC_INVALID + (wrong == 7));
        in.strata.clusters[1] = EVALUATION_CLUSTERS_MAX + (wrong == 8);
        in.strata.tested = 2 * EVALUATION_CLUSTERS_MAX + (wrong == 9);
        in.strata.high = wrong == 10 ? 1 << 20 : 1000000;
        unsigned char *bytes;
        size_t n;
        struct why why;
        assert_true(ok(payload_evaluation_encode(&in, &bytes, &n, &why)));
        struct result r = payload_evaluation_decode(&out, bytes, n, &why);
        assert_int_equal(r.code, wrong ? RESULT_INPUT : RESULT_OK);
        if (ok(r))
            payload_evaluation_free(&out);
        free(bytes);
    }
}

/* What drifted, and how many patients there are, shows in no size. */
static void one_size_for_all_drift(void **state)
{
    (void)state;
    struct evaluation_figures group = {.status = EVALUATION_OK};
    struct evaluation_model model = {.name = "global", .groups_count = 1, .groups = &group};
    struct payload_evaluation full = {.models_count = 1, .models = &model};
    struct why why;
    unsigned char *bytes;
    size_t first, second;
    fill_drift(&full);
    assert_true(ok(payload_evaluation_encode(&full, &bytes, &first, &why)));
    free(bytes);
    struct payload_evaluation none = {.models_count = 1, .models = &model};
    evaluation_drift_clear(&none.drift, EVALUATION_STATISTIC_NOTHING_NEW);
    none.drift.columns = columns;
    none.drift.columns_count = 2;
    assert_true(ok(payload_evaluation_encode(&none, &bytes, &second, &why)));
    free(bytes);
    assert_int_equal(first, second);
}

static void bands(void **state)
{
    (void)state;
    static const uint64_t CASES[][3] = {{0, 0, 0},         {1, 1, 49},
                                        {49, 1, 49},       {50, 50, 99},
                                        {999, 500, 999},   {5000, 5000, 9999},
                                        {10000, 10000, 0}, {UINT64_MAX, 10000, 0}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint64_t low, high;
        evaluation_band(CASES[i][0], &low, &high);
        assert_true(low == CASES[i][1] && high == CASES[i][2]);
    }
}

static void evaluations(void **state)
{
    (void)state;
    struct evaluation_figures groups[2] = {{.status = EVALUATION_OK, .auroc = 0.8, .loss = NAN},
                                           {.status = EVALUATION_BELOW_MINIMUM_CELL}};
    strcpy(groups[1].group, "sex=F");
    struct evaluation_model model = {.name = "global", .groups_count = 2, .groups = groups};
    model.bins_count = 2;
    model.positives[1] = 4.0;
    struct payload_evaluation in = {5, 1, &model, 0.25, .release = EVALUATION_RELEASE_HISTOGRAM},
                              out;
    fill_drift(&in);
    unsigned char *bytes;
    size_t n;
    struct why why;
    assert_true(ok(payload_evaluation_encode(&in, &bytes, &n, &why)));
    assert_true(ok(payload_evaluation_decode(&out, bytes, n, &why)));
    assert_true(out.models[0].groups[0].auroc == 0.8);
    assert_true(isnan(out.models[0].groups[0].loss));
    assert_int_equal(out.models[0].groups[1].status, EVALUATION_BELOW_MINIMUM_CELL);
    assert_string_equal(out.models[0].groups[1].group, "sex=F");
    assert_true(out.models[0].positives[1] == 4.0);
    check_drift(&out);
    payload_evaluation_free(&out);
    for (size_t cut = 1; cut < n; cut++) {
        if (ok(payload_evaluation_decode(&out, bytes, cut, &why)))
            payload_evaluation_free(&out);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_sets),
        cmocka_unit_test(updates),
        cmocka_unit_test(evaluations),
        cmocka_unit_test(drift_beyond_limits),
        cmocka_unit_test(one_size_for_all_drift),
        cmocka_unit_test(bands),
    };
    return cmocka_run_group_tests_name("payload", tests, NULL, NULL);
}
