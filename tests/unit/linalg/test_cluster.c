/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that repeat within patients: doubling rows changes nothing, and the variances are those that
 * samples of patients really have. */
#include "linalg/stats/cindex.h"
#include "linalg/stats/cluster.h"
#include "linalg/stats/permutation.h"
#include "linalg/stats/prng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PATIENTS = 100, ROWS_MAX = 5, ALL = PATIENTS * ROWS_MAX, SAMPLES = 500 };

struct sample {
    size_t n;
    double y[ALL], a[ALL], b[ALL], p[ALL], time[ALL];
    uint32_t patient[ALL];
};

/* Patients of one to five rows; what a patient is like moves labels and both scores. */
static void draw(struct prng *prng, struct sample *s)
{
    s->n = 0;
    for (uint32_t i = 0; i < PATIENTS; i++) {
        double z[2 + 3 * ROWS_MAX];
        size_t rows = 1 + prng_bounded(prng, ROWS_MAX);
        prng_normals(prng, 1 + 3 * ROWS_MAX, z);
        for (size_t r = 0; r < rows; r++, s->n++) {
            double own = z[0] + 0.5 * z[1 + 3 * r];
            s->p[s->n] = 1.0 / (1.0 + exp(0.8 - 1.2 * own));
            s->y[s->n] = prng_u01(prng) < s->p[s->n];
            s->a[s->n] = own + 0.8 * z[2 + 3 * r];
            s->b[s->n] = 0.6 * own + 0.8 * z[3 + 3 * r];
            s->time[s->n] = -log(prng_u01(prng)) * exp(-own);
            s->patient[s->n] = i;
        }
    }
}

static void near_to(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", got, tolerance, want);
}

static void doubled_rows_change_nothing(void **state)
{
    (void)state;
    struct sample s;
    struct prng prng;
    prng_seed(&prng, 7);
    draw(&prng, &s);
    /* Each patient's first row, once and twice. */
    double y[2 * PATIENTS], a[2 * PATIENTS], b[2 * PATIENTS], p[2 * PATIENTS], t[2 * PATIENTS];
    double y1[PATIENTS], a1[PATIENTS], b1[PATIENTS], p1[PATIENTS], t1[PATIENTS];
    uint32_t who[2 * PATIENTS];
    for (size_t i = 0, k = 0; i < s.n; i++) {
        if (i > 0 && s.patient[i] == s.patient[i - 1])
            continue;
        y1[k] = y[2 * k] = y[2 * k + 1] = s.y[i];
        a1[k] = a[2 * k] = a[2 * k + 1] = s.a[i];
        b1[k] = b[2 * k] = b[2 * k + 1] = s.b[i];
        p1[k] = p[2 * k] = p[2 * k + 1] = s.p[i];
        t1[k] = t[2 * k] = t[2 * k + 1] = s.time[i];
        who[2 * k] = who[2 * k + 1] = (uint32_t)k;
        k++;
    }
    struct auroc one, two;
    struct auroc_paired pair, pairs;
    struct calibration c, cc;
    struct cindex h, hh;
    struct permutation q, qq;
    auroc_delong(PATIENTS, y1, a1, NULL, &one);
    assert_int_equal(cluster_auroc(2 * PATIENTS, y, a, who, PATIENTS, &two), STAT_OK);
    near_to(two.auc, one.auc, 1e-14);
    near_to(two.var, one.var, 1e-14);
    assert_true(two.n_pos == one.n_pos && two.n_neg == one.n_neg);
    auroc_paired(PATIENTS, y1, a1, b1, &pair);
    assert_int_equal(cluster_auroc_paired(2 * PATIENTS, y, a, b, who, PATIENTS, &pairs), STAT_OK);
    near_to(pairs.d, pair.d, 1e-14);
    near_to(pairs.var_d, pair.var_d, 1e-14);
    near_to(pairs.cov, pair.cov, 1e-14);
    near_to(pairs.p_two_sided, pair.p_two_sided, 1e-10);
    calibration(PATIENTS, y1, p1, &c);
    cluster_calibration(2 * PATIENTS, y, p, who, PATIENTS, &cc);
    near_to(cc.brier, c.brier, 1e-14);
    near_to(cc.brier_var, c.brier_var, 1e-14);
    near_to(cc.slope, c.slope, 1e-9);
    cindex_harrell(PATIENTS, t1, y1, a1, NULL, 0, &h);
    cindex_harrell(2 * PATIENTS, t, y, a, who, PATIENTS, &hh);
    near_to(hh.c, h.c, 1e-14);
    near_to(hh.var, h.var, 1e-14);
    permutation_paired_auroc(PATIENTS, y1, a1, b1, NULL, 199, 3, &q);
    permutation_paired_auroc(2 * PATIENTS, y, a, b, who, 199, 3, &qq);
    assert_true(q.n_ge == qq.n_ge);
}

/* A figure over many samples: the mean of its claimed variance and the variance it has. */
struct tally {
    double sum, square, claimed;
};

static void add(struct tally *t, double value, double variance)
{
    t->sum += value;
    t->square += value * value;
    t->claimed += variance;
}

static double ratio(const struct tally *t)
{
    double mean = t->sum / SAMPLES, real = t->square / SAMPLES - mean * mean;
    return t->claimed / SAMPLES / (real * SAMPLES / (SAMPLES - 1.0));
}

static void variances_are_those_of_patients(void **state)
{
    (void)state;
    static struct sample s;
    struct prng prng;
    struct tally auc = {0}, d = {0}, slope = {0}, citl = {0}, brier = {0}, naive = {0}, c = {0};
    double null = 0.0, ece = 0.0, z2 = 0.0;
    prng_seed(&prng, 1);
    for (int k = 0; k < SAMPLES; k++) {
        struct auroc a, rows;
        struct auroc_paired pair;
        struct calibration fit;
        struct calibration_error e;
        struct cindex h;
        double ones[ALL];
        draw(&prng, &s);
        for (size_t i = 0; i < s.n; i++)
            ones[i] = 1.0;
        assert_int_equal(cluster_auroc(s.n, s.y, s.a, s.patient, PATIENTS, &a), STAT_OK);
        add(&auc, a.auc, a.var);
        auroc_delong(s.n, s.y, s.a, NULL, &rows);
        add(&naive, rows.auc, rows.var);
        cluster_auroc_paired(s.n, s.y, s.a, s.b, s.patient, PATIENTS, &pair);
        add(&d, pair.d, pair.var_d);
        cluster_calibration(s.n, s.y, s.p, s.patient, PATIENTS, &fit);
        add(&slope, fit.slope, fit.slope_se * fit.slope_se);
        add(&citl, fit.citl, fit.citl_se * fit.citl_se);
        add(&brier, fit.brier, fit.brier_var);
        z2 += fit.spiegelhalter_z * fit.spiegelhalter_z / SAMPLES;
        cluster_calibration_error(s.n, s.y, s.p, 10, BINS_EQUAL_MASS, s.patient, PATIENTS, &e);
        null += e.ece_null / SAMPLES;
        ece += e.ece / SAMPLES;
        cindex_harrell(s.n, s.time, ones, s.a, s.patient, PATIENTS, &h);
        add(&c, h.c, h.var);
    }
    assert_true(ratio(&auc) > 0.85 && ratio(&auc) < 1.15);
    assert_true(ratio(&d) > 0.85 && ratio(&d) < 1.15);
    assert_true(ratio(&slope) > 0.75 && ratio(&slope) < 1.2);
    assert_true(ratio(&citl) > 0.85 && ratio(&citl) < 1.15);
    assert_true(ratio(&brier) > 0.85 && ratio(&brier) < 1.15);
    assert_true(ratio(&c) > 0.8 && ratio(&c) < 1.2);
    assert_true(fabs(z2 - 1.0) < 0.15 && fabs(null / ece - 1.0) < 0.15);
    assert_true(ratio(&naive) < 0.9); /* rows taken for patients claim too much */
}

static void edges(void **state)
{
    (void)state;
    const double y[] = {1, 1, 0, 0, 0}, s[] = {3, 4, 1, 2, 5}, nan[] = {3, NAN, 1, 2, 5};
    const uint32_t one_sick[] = {0, 0, 1, 2, 2}, mixed[] = {0, 1, 0, 1, 1}, far[] = {0, 9, 1, 2, 2};
    struct auroc a;
    struct auroc_paired d;
    struct calibration c;
    struct cindex h;
    size_t pos, neg;
    assert_int_equal(cluster_auroc(5, y, s, one_sick, 3, &a), STAT_VAR_UNDEFINED);
    assert_true(a.n_pos == 1 && a.n_neg == 2 && isfinite(a.auc) && isnan(a.var));
    assert_int_equal(cluster_auroc_paired(5, y, s, s, one_sick, 3, &d), STAT_VAR_UNDEFINED);
    assert_true(cluster_count(5, y, mixed, 2, &pos, &neg) && pos == 2 && neg == 2);
    assert_int_equal(cluster_auroc(5, y, s, mixed, 2, &a), STAT_OK);
    assert_int_equal(cluster_auroc_paired(5, y, s, s, mixed, 2, &d), STAT_DEGENERATE);
    assert_true(d.d == 0.0 && d.var_d == 0.0 && d.p_two_sided == 1.0);
    assert_int_equal(cluster_auroc(5, y, nan, mixed, 2, &a), STAT_INVALID_INPUT);
    assert_int_equal(cluster_auroc(0, y, s, mixed, 0, &a), STAT_SINGLE_CLASS);
    assert_false(cluster_count(5, y, far, 3, &pos, &neg));
    assert_true(isnan(cluster_mean_var(5, s, far, 3)) && isnan(cluster_mean_var(5, s, mixed, 1)));
    assert_int_equal(cluster_calibration(5, y, s, mixed, 2, &c), STAT_INVALID_INPUT);
    cindex_harrell(5, s, y, s, far, 3, &h);
    assert_true(isnan(h.var) && h.status == STAT_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubled_rows_change_nothing),
        cmocka_unit_test(variances_are_those_of_patients),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
