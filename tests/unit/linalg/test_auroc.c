/* SPDX-License-Identifier: Apache-2.0 */
/* AUROC, calibration and pooling: pair-counting twins, hand-computed values, degenerate inputs. */
#include "linalg/stats/auroc.h"
#include "linalg/stats/calibration.h"
#include "linalg/stats/pool.h"
#include "linalg/stats/rank.h"
#include "linalg/stats/threshold.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void near(double got, double want, double absolute)
{
    if (!(fabs(got - want) <= absolute))
        fail_msg("got %.17g, want %.17g", got, want);
}

/* A small generator of its own: tests must not depend on the code under test. */
static uint64_t lcg(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* AUROC and DeLong by counting pairs, straight from DeLong (1988). */
static void pair_counting(size_t n, const double *y, const double *s, double *auc, double *var)
{
    double *v = calloc(n, sizeof *v);
    double m = 0.0;
    double k = 0.0;
    *auc = 0.0;
    for (size_t i = 0; i < n; i++) {
        m += y[i] == 1.0;
        k += y[i] == 0.0;
        for (size_t j = 0; j < n; j++) {
            if (y[i] == y[j])
                continue;
            double hi = y[i] == 1.0 ? s[i] : s[j];
            double lo = y[i] == 1.0 ? s[j] : s[i];
            v[i] += hi > lo ? 1.0 : hi == lo ? 0.5 : 0.0;
        }
    }
    for (size_t i = 0; i < n; i++) {
        *auc += y[i] == 1.0 ? v[i] / (m * k) : 0.0;
        v[i] /= y[i] == 1.0 ? k : m;
    }
    double s10 = 0.0;
    double s01 = 0.0;
    for (size_t i = 0; i < n; i++)
        *(y[i] == 1.0 ? &s10 : &s01) += (v[i] - *auc) * (v[i] - *auc);
    *var = s10 / (m - 1.0) / m + s01 / (k - 1.0) / k;
    free(v);
}

static void matches_pair_counting(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int round_no = 0; round_no < 20; round_no++) {
        enum { N = 700 };
        double y[N];
        double s[N];
        size_t n = 10 + lcg(&seed) % (N - 10);
        for (size_t i = 0; i < n; i++) {
            y[i] = i < 2 ? 1.0 : i < 4 ? 0.0 : (double)(lcg(&seed) % 3 == 0);
            s[i] = (double)(lcg(&seed) % (round_no % 2 ? 12 : 1000000)) - 5.0 + y[i];
        }
        struct auroc a;
        assert_int_equal(auroc_delong(n, y, s, NULL, &a), STAT_OK);
        double auc;
        double var;
        pair_counting(n, y, s, &auc, &var);
        near(a.auc, auc, 1e-13);
        near(a.var, var, 1e-13);
    }
}

static void degenerate_inputs_are_typed(void **state)
{
    (void)state;
    struct auroc a;
    const double y[] = {1, 1, 0, 0};
    const double flat[] = {0.5, 0.5, 0.5, 0.5};
    const double zeros[] = {0.0, -0.0, 0.0, -0.0};
    const double best[] = {0.9, 0.8, 0.2, 0.1};
    const double broken[] = {0.9, NAN, 0.2, 0.1};
    const double endless[] = {0.9, INFINITY, 0.2, 0.1};
    const double strange[] = {1, 2, 0, 0};
    const double ones[] = {1, 1, 1, 1};
    assert_int_equal(auroc_delong(4, y, flat, NULL, &a), STAT_DEGENERATE);
    near(a.auc, 0.5, 0.0);
    assert_int_equal(auroc_delong(4, y, zeros, NULL, &a), STAT_DEGENERATE);
    near(a.auc, 0.5, 0.0);
    assert_int_equal(auroc_delong(4, y, best, NULL, &a), STAT_DEGENERATE);
    struct auroc_pool_input input;
    assert_true(auroc_pool_input(&a, &input));
    assert_true(input.corrected && input.var > 0.0 && input.auc < 1.0);
    assert_int_equal(auroc_delong(4, y, broken, NULL, &a), STAT_INVALID_INPUT);
    assert_int_equal(auroc_delong(4, y, endless, NULL, &a), STAT_INVALID_INPUT);
    assert_int_equal(auroc_delong(4, strange, best, NULL, &a), STAT_INVALID_INPUT);
    assert_int_equal(auroc_delong(4, ones, best, NULL, &a), STAT_SINGLE_CLASS);
    assert_int_equal(auroc_delong(0, y, best, NULL, &a), STAT_SINGLE_CLASS);
    assert_int_equal(auroc_delong(1, y, best, NULL, &a), STAT_SINGLE_CLASS);
    assert_int_equal(auroc_delong(3, y, best, NULL, &a), STAT_VAR_UNDEFINED);
    assert_true(isnan(a.var) && a.auc == 1.0);

    struct auroc_paired p;
    assert_int_equal(auroc_paired(4, y, flat, flat, &p), STAT_DEGENERATE);
    near(p.p_two_sided, 1.0, 0.0);
    assert_int_equal(auroc_paired(4, y, best, broken, &p), STAT_INVALID_INPUT);
    assert_int_equal(auroc_paired(3, y, best, flat, &p), STAT_VAR_UNDEFINED);
    near(p.d, 0.5, 0.0);
    assert_int_equal(auroc_paired(0, y, best, flat, &p), STAT_SINGLE_CLASS);
    struct auroc_unpaired u;
    assert_int_equal(auroc_unpaired(&a, &a, &u), STAT_VAR_UNDEFINED);
}

static void repeated_rows_add_no_information(void **state)
{
    (void)state;
    /* Every patient entered twice: the cluster variance must be that of the patients. */
    enum { N = 60 };
    double y[2 * N];
    double s[2 * N];
    double placement[2 * N];
    uint32_t patient[2 * N];
    uint64_t seed = 3;
    for (uint32_t i = 0; i < N; i++) {
        y[i] = y[i + N] = (double)(i % 3 == 0);
        s[i] = s[i + N] = (double)(lcg(&seed) % 1000) + 300.0 * y[i];
        patient[i] = patient[i + N] = i;
    }
    struct auroc once;
    struct auroc twice;
    auroc_delong(N, y, s, NULL, &once);
    auroc_delong(2 * N, y, s, placement, &twice);
    near(twice.auc, once.auc, 1e-15);
    assert_true(twice.var < 0.6 * once.var);
    near(auroc_cluster_var(2 * N, y, placement, twice.auc, patient, N), once.var, 1e-15);
    patient[0] = N;
    assert_true(isnan(auroc_cluster_var(2 * N, y, placement, twice.auc, patient, N)));
}

static void calibration_edges(void **state)
{
    (void)state;
    const double y[] = {0, 0, 1, 1, 0, 1};
    const double flat[] = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    const double split[] = {0.1, 0.2, 0.8, 0.9, 0.1, 0.7};
    const double outside[] = {0.1, 0.2, 0.8, 1.9, 0.1, 0.7};
    const double none[] = {0, 0, 0, 0, 0, 0};
    struct calibration c;
    assert_int_equal(calibration(6, y, flat, &c), STAT_NO_CONVERGENCE);
    assert_true(c.citl_fitted && !c.spiegelhalter_defined);
    near(c.brier, 0.25, 0.0);
    assert_int_equal(calibration(6, y, split, &c), STAT_NO_CONVERGENCE);
    assert_int_equal(calibration(6, y, outside, &c), STAT_INVALID_INPUT);
    assert_int_equal(calibration(6, none, split, &c), STAT_SINGLE_CLASS);
    assert_int_equal(calibration(0, y, split, &c), STAT_EMPTY);
    assert_int_equal(calibration(1, y, split, &c), STAT_SINGLE_CLASS);
    assert_true(isnan(c.brier_var));
    struct calibration_error e;
    assert_int_equal(calibration_error(6, y, flat, 10, BINS_EQUAL_MASS, &e), STAT_OK);
    assert_int_equal(e.bins_used, 1);
    near(e.ece, 0.0, 0.0);
    assert_int_equal(calibration_error(6, y, flat, 0, BINS_EQUAL_MASS, &e), STAT_INVALID_INPUT);
    assert_int_equal(calibration_error(6, y, flat, CALIBRATION_BINS_MAX + 1, BINS_EQUAL_WIDTH, &e),
                     STAT_INVALID_INPUT);
    const double ends[] = {0.0, 1.0, 1.0, 0.0, 0.3, 0.4};
    assert_int_equal(calibration_error(6, y, ends, CALIBRATION_BINS_MAX, BINS_EQUAL_WIDTH, &e),
                     STAT_OK);
    near(calibration_expected_auroc(6, flat), 0.5, 1e-15);
    assert_true(isnan(calibration_expected_auroc(6, none)));
}

static void thresholds(void **state)
{
    (void)state;
    const double y[] = {0, 0, 0, 0, 1, 1};
    const double s[] = {0.1, 0.2, 0.3, 0.6, 0.5, 0.9};
    struct confusion c;
    assert_int_equal(threshold_confusion(6, y, s, 0.5, &c), STAT_OK);
    assert_true(c.tp == 2 && c.fp == 1 && c.fn == 0 && c.tn == 3);
    struct confusion_rates r = threshold_rates(&c);
    near(r.spec, 0.75, 0.0);
    near(r.alert, 0.5, 0.0);
    double t;
    double sens;
    assert_int_equal(threshold_at_specificity(6, y, s, 0.75, &t, &sens), STAT_OK);
    near(t, 0.5, 0.0);
    near(sens, 1.0, 0.0);
    assert_int_equal(threshold_at_specificity(6, y, s, 1.0, &t, &sens), STAT_OK);
    near(t, 0.9, 0.0);
    near(sens, 0.5, 0.0);
    assert_int_equal(threshold_at_specificity(4, y, s, 1.0, &t, &sens), STAT_SINGLE_CLASS);
    double interval[2];
    assert_false(wilson_interval(0, 0, 1.96, interval));
    assert_true(isnan(threshold_rates(&(struct confusion){0}).sens));
}

static void pooling(void **state)
{
    (void)state;
    const double y[] = {1.12171041, 1.14780327, 0.45406643, 1.46874837, 1.21952076};
    const double v[] = {0.05108518, 0.02803288, 0.04497715, 0.11159041, 0.10670433};
    struct pool p;
    assert_int_equal(pool_random(5, y, v, POOL_DL, 0.95, &p), STAT_OK);
    near(p.mu, 1.0447719763380776, 1e-12);
    near(p.ci_mhksj[0], 0.5700515363772363, 1e-11);
    near(p.pi_mhksj[1], 2.120126529274126, 1e-11);
    assert_int_equal(pool_random(5, y, v, POOL_REML, 0.95, &p), STAT_OK);
    near(p.tau2, 0.08625100606719663, 1e-9);
    assert_int_equal(pool_random(1, y, v, POOL_REML, 0.95, &p), STAT_SINGLE_SITE);
    near(p.mu, y[0], 0.0);
    assert_true(isnan(p.tau2));
    assert_int_equal(pool_random(2, y, v, POOL_DL, 0.95, &p), STAT_OK);
    assert_true(isnan(p.pi_mhksj[0]) && !isnan(p.ci_mhksj[0]));
    assert_int_equal(pool_random(0, y, v, POOL_DL, 0.95, &p), STAT_EMPTY);
    const double liar[] = {0.05, 0.0, 0.04, 0.1, 0.1};
    assert_int_equal(pool_random(5, y, liar, POOL_DL, 0.95, &p), STAT_INVALID_INPUT);

    const double sizes[] = {20000, 400, 300, 500};
    double w[4];
    assert_true(pool_capped_weights(4, sizes, 0.4, w));
    near(w[0], 0.4, 1e-15);
    near(w[1], 0.6 * 400.0 / 1200.0, 1e-15);
    near(w[0] + w[1] + w[2] + w[3], 1.0, 1e-15);
    assert_true(pool_capped_weights(2, sizes, 0.4, w));
    near(w[0], 0.5, 1e-15);
    const double nobody[] = {100.0, 0.0};
    assert_false(pool_capped_weights(2, nobody, 0.4, w));
}

static void rank_basics(void **state)
{
    (void)state;
    const double x[] = {3.0, -1.0, 3.0, 0.0, -0.0};
    uint64_t twice[5];
    assert_true(rank_twice_midranks(5, x, twice));
    const uint64_t want[] = {9, 2, 9, 5, 5};
    assert_memory_equal(twice, want, sizeof want);
    uint64_t seed = 11;
    for (size_t n = 1; n < 60; n++) {
        double a[60];
        double b[60];
        for (size_t i = 0; i < n; i++)
            a[i] = b[i] = (double)(lcg(&seed) % (n % 2 ? 7 : 1000)) - 3.0;
        assert_true(rank_sort_values(n, b));
        near(rank_median(n, a), n % 2 ? b[n / 2] : 0.5 * (b[n / 2 - 1] + b[n / 2]), 0.0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_pair_counting),
        cmocka_unit_test(degenerate_inputs_are_typed),
        cmocka_unit_test(repeated_rows_add_no_information),
        cmocka_unit_test(calibration_edges),
        cmocka_unit_test(thresholds),
        cmocka_unit_test(pooling),
        cmocka_unit_test(rank_basics),
    };
    return cmocka_run_group_tests_name("auroc", tests, NULL, NULL);
}
