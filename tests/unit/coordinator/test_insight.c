/* SPDX-License-Identifier: Apache-2.0 */
/* What an evaluation tells beyond its pooled figures: bins with Wilson's interval, groups, random
 * effects, and a planted free rider and braggart in the matrix. */
#include "coordinator/insight.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SITES = 5, MODELS = 2 * SITES + 1, GROUPS = 2 };

static struct study study;
static struct pooling_input inputs[SITES];
static struct evaluation_model models[SITES][MODELS];
static struct evaluation_figures figures[SITES][MODELS][GROUPS];

/* Contributions by model and ease by site; site 3 bragging at home, site 1 sending back what it
 * got. */
static const double ROW[SITES] = {0.020, 0.004, -0.006, 0.010, -0.012};
static const double EASE[SITES] = {0.03, -0.02, 0.01, 0.00, -0.02};

static double cell(int model, int site)
{
    double chance = 0.001 * ((7 * model + 3 * site) % 5 - 2);
    return 0.8 + ROW[model] + EASE[site] + chance + (model == 3 && site == 3 ? 0.08 : 0.0);
}

static int prepare(void **state)
{
    (void)state;
    memset(&study, 0, sizeof study);
    memset(figures, 0, sizeof figures);
    memset(models, 0, sizeof models);
    study.members_count = SITES;
    for (int s = 0; s < SITES; s++)
        snprintf(study.members[s].name, PLAN_NAME_BYTES, "site%d", s);
    for (int s = 0; s < SITES; s++) {
        inputs[s] = (struct pooling_input){.site = (uint32_t)s};
        inputs[s].evaluation.models = models[s];
        inputs[s].evaluation.models_count = MODELS;
        for (int m = 0; m < MODELS; m++) {
            struct evaluation_model *model = &models[s][m];
            struct evaluation_figures *f = figures[s][m];
            int of = (m - 1) % SITES;
            const char *kind = m > SITES ? "without-" : "";
            snprintf(model->name, sizeof model->name, "%s%s", m == 0 ? "global" : kind,
                     m == 0 ? "" : study.members[of].name);
            model->groups = f;
            model->groups_count = GROUPS;
            f[0].status = f[1].status = EVALUATION_OK;
            f[0].auroc = m == 0 ? 0.85 + EASE[s] : m > SITES ? 0.84 + EASE[s] : cell(of, s);
            f[0].auroc_variance = 0.0003;
            f[0].positives = f[1].positives = 100;
            f[0].negatives = f[1].negatives = 100U * (unsigned)(s + 1);
            snprintf(f[1].group, sizeof f[1].group, "sex=female");
            f[1].auroc = 0.8;
            f[1].auroc_variance = 0.0004;
            model->difference = m > SITES ? (of == 1 ? 0.0 : -0.01) : (double)NAN;
            model->difference_variance = m > SITES ? (of == 1 ? 0.0 : 1e-5) : (double)NAN;
        }
    }
    return 0;
}

static double at(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void bins_have_wilson_intervals(void **state)
{
    (void)state;
    assert_null(insight_calibration(inputs, SITES)); /* no site releases a histogram */
    for (int s = 0; s < 2; s++) {
        models[s][0].bins_count = 4;
        const double pos[4] = {5, 1, 0, 40}, neg[4] = {45, 2, 3, 10};
        memcpy(models[s][0].positives, pos, sizeof pos);
        memcpy(models[s][0].negatives, neg, sizeof neg);
    }
    models[2][0].bins_count = 8; /* another width: passed over */
    models[2][0].positives[0] = 1000;
    json_t *bins = insight_calibration(inputs, SITES);
    assert_int_equal(json_array_size(bins), 3); /* the thin middle bins stand together */
    const json_t *first = json_array_get(bins, 0), *second = json_array_get(bins, 1);
    assert_true(at(first, "predicted") == 0.125 && at(first, "observed") == 0.1);
    assert_true(fabs(at(first, "low") - 0.05523) < 1e-5); /* 10 of 100 */
    assert_true(fabs(at(first, "high") - 0.17437) < 1e-5);
    assert_true(fabs(at(second, "predicted") - 0.5) < 1e-12);
    assert_true(fabs(at(second, "observed") - 1.0 / 6.0) < 1e-12);
    assert_null(json_object_get(first, "noised"));
    json_decref(bins);
    models[0][0].positives[3] = -7; /* as noise makes it */
    inputs[0].evaluation.metrics_epsilon = 1;
    bins = insight_calibration(inputs, SITES);
    assert_true(json_is_true(json_object_get(json_array_get(bins, 0), "noised")));
    for (size_t i = 0; i < json_array_size(bins); i++) {
        const json_t *bin = json_array_get(bins, i);
        assert_true(at(bin, "low") >= 0 && at(bin, "low") <= at(bin, "observed"));
        assert_true(at(bin, "high") <= 1 && at(bin, "high") >= at(bin, "observed"));
    }
    json_decref(bins);
}

static void groups_are_pooled_by_patients(void **state)
{
    (void)state;
    figures[0][0][1].auroc = 0.9;
    figures[4][0][1].status = EVALUATION_BELOW_MINIMUM_CELL;
    json_t *groups = insight_groups(inputs, SITES);
    const json_t *group = json_array_get(groups, 0);
    assert_int_equal(json_array_size(groups), 1);
    assert_int_equal(json_integer_value(json_object_get(group, "sites")), 4);
    assert_true(fabs(at(group, "auroc") - (0.9 * 200 + 0.8 * 1200) / 1400) < 1e-12);
    assert_true(at(group, "low") < at(group, "auroc") && at(group, "auroc") < at(group, "high"));
    json_decref(groups);
    assert_null(insight_groups(inputs, 0));
}

static void a_new_hospital_is_less_certain_than_the_mean(void **state)
{
    (void)state;
    json_t *t = insight_transport(inputs, SITES);
    assert_int_equal(json_integer_value(json_object_get(t, "k")), SITES);
    for (int i = 0; i < 2; i++) {
        const json_t *o = json_object_get(t, i ? "reml" : "dl");
        const json_t *ci = json_object_get(o, "ci"), *pi = json_object_get(o, "pi");
        double low = json_real_value(json_array_get(ci, 0));
        assert_true(low < at(o, "auc") && at(o, "auc") < json_real_value(json_array_get(ci, 1)));
        assert_true(json_real_value(json_array_get(pi, 0)) < low);
        assert_true(at(o, "i2_percent") >= 0 && at(o, "i2_percent") <= 100);
    }
    json_decref(t);
    assert_null(insight_transport(inputs, 1));
    assert_null(insight_cindex(inputs, SITES)); /* nobody has one */
    for (int s = 0; s < SITES; s++) {
        figures[s][0][0].cindex = 0.7 + EASE[s];
        figures[s][0][0].cindex_variance = 0.0003;
    }
    json_t *c = insight_cindex(inputs, SITES);
    assert_int_equal(json_integer_value(json_object_get(c, "k")), SITES);
    assert_true(fabs(at(json_object_get(c, "reml"), "auc") - 0.7) < 0.01);
    json_decref(c);
    figures[2][0][0].auroc_variance = (double)NAN; /* a site that noises its figures */
    t = insight_transport(inputs, SITES);
    assert_int_equal(json_integer_value(json_object_get(t, "k")), SITES - 1);
    json_decref(t);
}

static void the_planted_are_flagged(void **state)
{
    (void)state;
    json_t *fit = insight_matrix(&study, inputs, SITES);
    const json_t *sites = json_object_get(fit, "sites");
    assert_int_equal(json_array_size(sites), SITES);
    for (int s = 0; s < SITES; s++) {
        const json_t *o = json_array_get(sites, (size_t)s);
        assert_string_equal(json_string_value(json_object_get(o, "site")), study.members[s].name);
        assert_int_equal(json_is_true(json_object_get(o, "free_rider")), s == 1);
        assert_int_equal(json_is_true(json_object_get(o, "self_inflated")), s == 3);
        assert_true(fabs(at(o, "leave_one_out") - 0.01) < 1e-12);
    }
    json_decref(fit);
    for (int s = 0; s < SITES; s++)
        inputs[s].evaluation.models_count = 1; /* no matrix in the plan */
    assert_null(insight_matrix(&study, inputs, SITES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bins_have_wilson_intervals, prepare),
        cmocka_unit_test_setup(groups_are_pooled_by_patients, prepare),
        cmocka_unit_test_setup(a_new_hospital_is_less_certain_than_the_mean, prepare),
        cmocka_unit_test_setup(the_planted_are_flagged, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
