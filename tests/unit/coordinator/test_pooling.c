/* SPDX-License-Identifier: Apache-2.0 */
/* What the coordinator makes of released figures: gaps between groups with Holm's adjustment,
 * summed histograms plain and noised, and words for sites without figures. */
#include "coordinator/pooling_groups.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/calibration.h"
#include "linalg/stats/hist.h"
#include "linalg/stats/hist_figures.h"
#include "linalg/stats/prng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SITES = 2, GROUPS = 4, ROWS = 4000, BINS = 32 };

static struct study study;
static struct evaluation_figures figures[SITES][GROUPS];
static struct evaluation_model models[SITES];
static struct pooling_input inputs[SITES];

static void setup(void)
{
    static const char *const KEYS[GROUPS] = {"", "sex=F", "sex=M", "sex=X"};
    static const double AUROC[SITES][GROUPS] = {{0.80, 0.85, 0.75, 0.60}, {0.78, 0.80, 0.76, 0.70}};
    memset(&study, 0, sizeof study);
    memset(models, 0, sizeof models);
    memset(inputs, 0, sizeof inputs);
    study.members_count = 3;
    for (uint32_t i = 0; i < 3; i++)
        snprintf(study.members[i].name, PLAN_NAME_BYTES, "site%u", i);
    for (uint32_t i = 0; i < SITES; i++) {
        for (int g = 0; g < GROUPS; g++) {
            struct evaluation_figures *f = &figures[i][g];
            *f = (struct evaluation_figures){.status = EVALUATION_OK,
                                             .positives = g ? 50 : 200,
                                             .negatives = g ? 150 : 500,
                                             .auroc = AUROC[i][g],
                                             .auroc_variance = 0.0004};
            strcpy(f->group, KEYS[g]);
        }
        models[i] = (struct evaluation_model){.groups_count = GROUPS, .groups = figures[i]};
        inputs[i].site = i;
        inputs[i].evaluation = (struct payload_evaluation){.models_count = 1, .models = &models[i]};
    }
}

static double at(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void gaps_against_the_first_level(void **state)
{
    (void)state;
    setup();
    figures[1][3].status = EVALUATION_BELOW_MINIMUM_CELL;
    json_t *all = pooling_disparity(&study, inputs, SITES);
    const json_t *first = json_array_get(json_object_get(all, "sites"), 0);
    const json_t *groups = json_object_get(first, "groups");
    assert_int_equal(json_array_size(groups), 2);
    const json_t *m = json_array_get(groups, 0), *x = json_array_get(groups, 1);
    assert_string_equal(json_string_value(json_object_get(m, "reference")), "sex=F");
    assert_true(fabs(at(m, "gap") - 0.10) < 1e-12);
    assert_true(fabs(at(m, "ratio") - 0.75 / 0.85) < 1e-12);
    /* z = .1 / sqrt(.0008) = 3.5355: p = .00040695; the larger of two by Holm stays, the smaller
     * doubles. */
    assert_true(fabs(at(m, "p") - 4.0695e-4) < 1e-7);
    assert_true(at(m, "p_holm") == at(m, "p"));
    assert_true(at(x, "p_holm") == 2.0 * at(x, "p"));
    double half = 2.2414027276 * sqrt(0.0008); /* normal quantile at 1 - .025/2 */
    const json_t *interval = json_object_get(m, "gap_interval");
    assert_true(fabs(json_number_value(json_array_get(interval, 0)) - (0.10 - half)) < 1e-9);
    assert_string_equal(json_string_value(
                            json_object_get(json_object_get(first, "worst"), "group")),
                        "sex=X");
    const json_t *pooled = json_object_get(all, "pooled");
    m = json_array_get(json_object_get(pooled, "groups"), 0);
    assert_true(fabs(at(m, "auroc") - 0.755) < 1e-12);
    assert_true(fabs(at(m, "gap") - (0.825 - 0.755)) < 1e-12);
    const json_t *second = json_array_get(json_object_get(all, "sites"), 1);
    assert_int_equal(json_array_size(json_object_get(second, "groups")), 1);
    json_decref(all);
}

static void no_reference_no_gap(void **state)
{
    (void)state;
    setup();
    for (int i = 0; i < SITES; i++)
        figures[i][1].status = EVALUATION_BELOW_MINIMUM_CELL;
    json_t *all = pooling_disparity(&study, inputs, SITES);
    assert_int_equal(json_array_size(json_object_get(json_object_get(all, "pooled"), "groups")), 0);
    json_decref(all);
}

static void make_scores(double *y, double *p, uint64_t seed)
{
    struct prng prng;
    double z[2];
    prng_seed(&prng, seed);
    for (size_t i = 0; i < ROWS; i++) {
        prng_normals(&prng, 2, z);
        p[i] = 1.0 / (1.0 + exp(-1.3 * z[0] + 0.5));
        y[i] = prng_u01(&prng) < p[i];
    }
}

static void histograms_follow_the_rows(void **state)
{
    (void)state;
    static double y[ROWS], p[ROWS];
    setup();
    make_scores(y, p, 4);
    for (uint32_t i = 0; i < SITES; i++) {
        models[i].bins_count = BINS;
        inputs[i].evaluation.release = EVALUATION_RELEASE_HISTOGRAM;
        assert_int_equal(hist_fill(ROWS / SITES, y + i * ROWS / SITES, p + i * ROWS / SITES, BINS,
                                   models[i].positives, models[i].negatives),
                         STAT_OK);
    }
    struct auroc exact;
    struct calibration c;
    auroc_delong(ROWS, y, p, NULL, &exact);
    calibration(ROWS, y, p, &c);
    json_t *o = pooling_histogram(inputs, SITES);
    assert_int_equal(at(o, "sites"), SITES);
    assert_true(fabs(at(o, "auroc") - exact.auc) <= at(o, "auroc_bound"));
    assert_true(fabs(at(o, "auroc") - exact.auc) < 0.001);
    assert_true(fabs(at(o, "calibration_slope") - c.slope) < 0.02);
    assert_true(fabs(at(o, "calibration_slope_se") - c.slope_se) < 0.005);
    assert_true(fabs(at(o, "observed_expected") - exp(c.log_oe)) < 0.01);
    assert_true(fabs(at(o, "spiegelhalter_z")) < 3.5);
    assert_true(at(o, "ece") < 0.03 && at(o, "ece_null") > 0.0);
    json_decref(o);
    models[0].bins_count = models[1].bins_count = 0;
    o = pooling_histogram(inputs, SITES);
    assert_true(json_is_null(o));
    json_decref(o);
}

/* How far noise moves AUROC and slope over 400 draws, as mean squares over the variances told. */
static void spread(double noise, double *auroc_bias, double *auroc, double *slope)
{
    static double y[ROWS], p[ROWS], pos[BINS], neg[BINS], a[BINS], b[BINS];
    struct prng prng;
    double sum = 0.0, squares = 0.0, told = 0.0, slopes = 0.0, slope_told = 0.0;
    struct hist_figures plain, noised;
    make_scores(y, p, 9);
    assert_int_equal(hist_fill(ROWS / 4, y, p, BINS, pos, neg), STAT_OK);
    hist_figures(BINS, pos, neg, 0.0, &plain);
    prng_seed(&prng, 5);
    for (int draw = 0; draw < 400; draw++) {
        double z[2];
        for (size_t k = 0; k < BINS; k++) {
            prng_normals(&prng, 2, z);
            a[k] = pos[k] + noise * z[0];
            b[k] = neg[k] + noise * z[1];
        }
        hist_figures(BINS, a, b, noise, &noised);
        double d = noised.auroc - plain.auroc;
        sum += d, squares += d * d;
        told += noised.auroc_variance - auroc_newcombe_var(noised.auroc,
                                                           (size_t)llrint(noised.positives),
                                                           (size_t)llrint(noised.negatives));
        slopes += (noised.slope - plain.slope) * (noised.slope - plain.slope);
        slope_told += noised.slope_se * noised.slope_se - plain.slope_se * plain.slope_se;
    }
    *auroc_bias = sum / 400.0;
    *auroc = squares / told;
    *slope = slopes / slope_told;
}

/* The variances that are told cover what the noise does; the slope's only while noise is small
 * beside the counts of the outer bins. */
static void noise_is_in_the_variance(void **state)
{
    (void)state;
    double bias, auroc, slope;
    spread(8.0, &bias, &auroc, &slope);
    assert_true(fabs(bias) < 0.01);
    assert_true(auroc > 0.6 && auroc < 1.6);
    spread(1.0, &bias, &auroc, &slope);
    assert_true(auroc > 0.6 && auroc < 1.6);
    assert_true(slope > 0.5 && slope < 2.0);
}

static void nothing_in_a_histogram_is_nothing(void **state)
{
    (void)state;
    double pos[4] = {0}, neg[4] = {5, 5, 5, 5};
    struct hist_figures f;
    hist_figures(4, pos, neg, 0.0, &f);
    assert_true(isnan(f.auroc) && isnan(f.slope) && isnan(f.ece));
    pos[3] = 4; /* one bin each side: no spread to fit */
    neg[0] = neg[1] = neg[2] = 0;
    hist_figures(4, pos, neg, 0.0, &f);
    assert_true(f.auroc == 0.5 && isnan(f.slope));
    neg[0] = -3, neg[3] = -9; /* noise may leave a class with nobody */
    hist_figures(4, pos, neg, 1.0, &f);
    assert_true(isnan(f.auroc));
}

static void silence_has_words(void **state)
{
    (void)state;
    setup();
    figures[1][0].status = EVALUATION_BUDGET_EXHAUSTED;
    study.task.sites_count = 3;
    study.task.sites[0].standing = study.task.sites[1].standing = STANDING_COUNTED;
    study.task.sites[2].standing = STANDING_MISSED;
    json_t *o = pooling_absent(&study, inputs, SITES);
    assert_null(json_object_get(o, "site0"));
    assert_string_equal(json_string_value(json_object_get(o, "site1")),
                        "the metrics budget is exhausted");
    assert_string_equal(json_string_value(json_object_get(o, "site2")), "timeout");
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_against_the_first_level),
        cmocka_unit_test(no_reference_no_gap),
        cmocka_unit_test(histograms_follow_the_rows),
        cmocka_unit_test(noise_is_in_the_variance),
        cmocka_unit_test(nothing_in_a_histogram_is_nothing),
        cmocka_unit_test(silence_has_words),
    };
    return cmocka_run_group_tests_name("pooling", tests, NULL, NULL);
}
