/* SPDX-License-Identifier: Apache-2.0 */
/* Drift, MMD, permutation, sequential, subgroup, histogram, conformal, survival and multi-class
 * statistics: plain twins, known values, and degenerate inputs. */
#include "linalg/stats/auroc.h"
#include "linalg/stats/cindex.h"
#include "linalg/stats/conformal.h"
#include "linalg/stats/drift.h"
#include "linalg/stats/hist.h"
#include "linalg/stats/mmd.h"
#include "linalg/stats/multiclass.h"
#include "linalg/stats/permutation.h"
#include "linalg/stats/prng.h"
#include "linalg/stats/sequential.h"
#include "linalg/stats/subgroup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void near(double got, double want, double absolute)
{
    if (!(fabs(got - want) <= absolute))
        fail_msg("got %.17g, want %.17g", got, want);
}

static void drift_edges_and_nulls(void **state)
{
    (void)state;
    const double ref[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    const double one[] = {3.0};
    const double broken[] = {1.0, NAN};
    double edges[DRIFT_BINS_MAX];
    double counts[DRIFT_BINS_MAX];
    size_t n;
    assert_int_equal(drift_edges(10, ref, 5, edges, &n), STAT_OK);
    assert_int_equal(n, 4);
    near(edges[0], 2.0, 0.0);
    near(edges[3], 8.0, 0.0);
    assert_int_equal(drift_counts(10, ref, n, edges, counts), STAT_OK);
    for (int k = 0; k < 5; k++)
        near(counts[k], 2.0, 0.0);
    struct drift d;
    assert_int_equal(drift_compare(5, counts, counts, 0.5, &d), STAT_OK);
    near(d.kl_test_ref, 0.0, 1e-15);
    near(d.psi_p, 1.0, 1e-12);
    assert_int_equal(drift_edges(1, one, 10, edges, &n), STAT_OK);
    assert_int_equal(n, 1);
    assert_int_equal(drift_edges(0, one, 10, edges, &n), STAT_EMPTY);
    assert_int_equal(drift_edges(2, broken, 10, edges, &n), STAT_INVALID_INPUT);
    assert_int_equal(drift_edges(1, one, DRIFT_BINS_MAX + 1, edges, &n), STAT_INVALID_INPUT);
    assert_int_equal(drift_edges(1, one, 1, edges, &n), STAT_OK);
    assert_int_equal(drift_counts(2, broken, 0, edges, counts), STAT_INVALID_INPUT);
    const double none[] = {0.0, 0.0};
    const double some[] = {1.0, 2.0};
    assert_int_equal(drift_compare(2, none, some, 0.5, &d), STAT_EMPTY);
    assert_int_equal(drift_compare(2, some, some, 0.0, &d), STAT_INVALID_INPUT);
    assert_int_equal(drift_compare(1, some, some, 0.5, &d), STAT_OK);
    assert_true(isnan(d.psi_p));
    struct ks ks;
    assert_int_equal(ks_two_sample(10, ref, 0, ref, &ks), STAT_EMPTY);
    assert_int_equal(ks_two_sample(10, ref, 10, ref, &ks), STAT_OK);
    near(ks.d, 0.0, 0.0);
    near(ks.p, 1.0, 0.0);
    assert_int_equal(ks_two_sample(2, broken, 10, ref, &ks), STAT_INVALID_INPUT);
    near(two_proportion_z(30, 100, 30, 100), 0.0, 0.0);
    near(two_proportion_z(0, 100, 0, 50), 0.0, 0.0);
    assert_true(isnan(two_proportion_z(0, 0, 1, 2)));
    assert_int_equal(drift_bins_for(57, 10), 5);
    assert_int_equal(drift_bins_for(3, 10), 2);
}

static void mmd_sees_a_shift(void **state)
{
    (void)state;
    enum { N = 80, M = 60, D = 2 };
    double x[N * D];
    double y[M * D];
    struct prng prng;
    prng_seed(&prng, 9);
    prng_normals(&prng, (size_t)N * D, x);
    prng_normals(&prng, (size_t)M * D, y);
    struct mmd_plan plan = {.features = 64,
                            .permutations = 199,
                            .seed_features = 1,
                            .seed_permutation = 2};
    struct mmd m;
    assert_int_equal(mmd_test(N, x, M, y, D, &plan, &m), STAT_OK);
    assert_true(m.p > 0.05);
    for (int i = 0; i < M * D; i++)
        y[i] += 1.0;
    assert_int_equal(mmd_test(N, x, M, y, D, &plan, &m), STAT_OK);
    near(m.p, 1.0 / 200.0, 1e-15);
    double biased;
    double unbiased;
    mmd_exact(N, x, N, x, D, m.sigma, &biased, &unbiased);
    near(biased, 0.0, 1e-12);
    /* A constant reference has no distance to scale by. */
    memset(x, 0, sizeof x);
    assert_int_equal(mmd_test(N, x, M, y, D, &plan, &m), STAT_DEGENERATE);
    assert_int_equal(mmd_test(1, x, M, y, D, &plan, &m), STAT_DEGENERATE);
    assert_int_equal(mmd_test(0, x, M, y, D, &plan, &m), STAT_EMPTY);
    assert_int_equal(mmd_test(N, x, M, y, 0, &plan, &m), STAT_INVALID_INPUT);
    y[0] = INFINITY;
    assert_int_equal(mmd_test(N, x, M, y, D, &plan, &m), STAT_INVALID_INPUT);
    plan.features = MMD_FEATURES_MAX + 1;
    assert_int_equal(mmd_test(N, x, M, y, D, &plan, &m), STAT_TOO_LARGE);
}

static void permutations(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3};
    const double y[] = {4, 5, 6};
    struct permutation p;
    assert_int_equal(permutation_mean_exact(3, x, 3, y, &p), STAT_OK);
    assert_int_equal(p.n_total, 20);
    assert_int_equal(p.n_ge, 2);
    assert_int_equal(permutation_mean_exact(3, x, 0, y, &p), STAT_EMPTY);
    double many[60] = {0};
    assert_int_equal(permutation_mean_exact(30, many, 30, many + 30, &p), STAT_TOO_LARGE);
    assert_int_equal(permutation_mean_drawn(30, many, 30, many + 30, 50, 1, &p), STAT_OK);
    near(p.p, 1.0, 0.0); /* all equal: every relabelling ties */
    const double labels[] = {0, 1, 0, 1, 1, 0};
    const double same[] = {0.1, 0.4, 0.2, 0.9, 0.3, 0.5};
    assert_int_equal(permutation_paired_auroc(6, labels, same, same, NULL, 99, 1, &p), STAT_OK);
    near(p.p, 1.0, 0.0);
    near(p.statistic, 0.0, 0.0);
    const double ones[] = {1, 1, 1, 1, 1, 1};
    assert_int_equal(permutation_paired_auroc(6, ones, same, same, NULL, 99, 1, &p),
                     STAT_SINGLE_CLASS);
    assert_int_equal(permutation_paired_auroc(0, ones, same, same, NULL, 99, 1, &p),
                     STAT_SINGLE_CLASS);
    const double broken[] = {0.1, NAN, 0.2, 0.9, 0.3, 0.5};
    assert_int_equal(permutation_paired_auroc(6, labels, same, broken, NULL, 9, 1, &p),
                     STAT_INVALID_INPUT);
}

static void sequential(void **state)
{
    (void)state;
    const double times[] = {0.2, 0.4, 0.6, 0.8, 1.0};
    const double want[] = {4.8769, 3.3570, 2.6803, 2.2898, 2.0310};
    double b[5];
    assert_int_equal(sequential_bounds(5, times, 0.025, SPEND_OBF, 1.0, 0.0, b), STAT_OK);
    for (int k = 0; k < 5; k++)
        near(b[k], want[k], 1e-4);
    const double backwards[] = {0.5, 0.4};
    const double beyond[] = {0.5, 1.0, 1.5};
    assert_int_equal(sequential_bounds(2, backwards, 0.025, SPEND_OBF, 1, 0, b),
                     STAT_INVALID_INPUT);
    assert_int_equal(sequential_bounds(0, times, 0.025, SPEND_OBF, 1, 0, b), STAT_INVALID_INPUT);
    assert_int_equal(sequential_bounds(2, times, 1.0, SPEND_OBF, 1, 0, b), STAT_INVALID_INPUT);
    assert_int_equal(sequential_bounds(SEQUENTIAL_LOOKS_MAX + 1, times, 0.1, SPEND_OBF, 1, 0, b),
                     STAT_TOO_LARGE);
    assert_int_equal(sequential_bounds(3, beyond, 0.05, SPEND_POCOCK, 1, 0, b), STAT_OK);
    assert_true(b[2] > 8.0); /* nothing is left to spend */
    struct eprocess e;
    assert_false(eprocess_init(&e, 1.0, 0.9));
    assert_false(eprocess_init(&e, NAN, 0.9));
    assert_true(eprocess_init(&e, 0.8, 0.9));
    assert_false(eprocess_push(&e, 1.5));
    assert_false(eprocess_push(&e, NAN));
    for (int i = 0; i < 200; i++)
        assert_true(eprocess_push(&e, i % 2));
    assert_true(e.log_e > log(1000.0)); /* half right where four fifths were promised */
}

static void subgroups(void **state)
{
    (void)state;
    struct subgroup one[] = {{.key = "a", .n = 100, .n_pos = 3}};
    assert_int_equal(subgroup_suppress(1, one, 11), 0);
    struct subgroup g[] = {{.key = "b", .n = 60, .n_pos = 30},
                           {.key = "a", .n = 60, .n_pos = 30},
                           {.key = "c", .n = 5, .n_pos = 0}};
    assert_int_equal(subgroup_suppress(3, g, 11), 1);
    assert_int_equal(g[1].fate, SUBGROUP_COMPLEMENTARY); /* ties: the smaller key */
    assert_int_equal(g[0].fate, SUBGROUP_RELEASED);
    struct subgroup empty[] = {{.key = "x", .n = 0, .n_pos = 0}, {.key = "y", .n = 0, .n_pos = 0}};
    assert_int_equal(subgroup_suppress(2, empty, 11), 0);
    assert_int_equal(subgroup_suppress(0, empty, 11), 0);
    const double p[] = {0.01, 0.04, 0.03};
    double adjusted[3];
    assert_true(adjust_holm(3, p, adjusted));
    near(adjusted[0], 0.03, 1e-15);
    near(adjusted[1], 0.06, 1e-15);
    near(adjusted[2], 0.06, 1e-15);
    assert_true(adjust_bh(3, p, adjusted));
    near(adjusted[0], 0.03, 1e-15);
    near(adjusted[2], 0.04, 1e-15);
    const double nonsense[] = {0.1, NAN};
    assert_false(adjust_holm(2, nonsense, adjusted));
}

static void histogram_and_conformal(void **state)
{
    (void)state;
    enum { N = 500 };
    double y[N];
    double p[N];
    double pos[64];
    double neg[64];
    struct prng prng;
    prng_seed(&prng, 4);
    for (int i = 0; i < N; i++) {
        p[i] = prng_u01(&prng);
        y[i] = prng_u01(&prng) < p[i];
    }
    struct auroc exact;
    auroc_delong(N, y, p, NULL, &exact);
    assert_int_equal(hist_fill(N, y, p, 64, pos, neg), STAT_OK);
    assert_true(fabs(hist_auroc(64, pos, neg) - exact.auc) <= hist_auroc_bound(64, pos, neg));
    double sens;
    double spec;
    hist_decision(64, pos, neg, 0, &sens, &spec);
    near(sens, 1.0, 0.0);
    near(spec, 0.0, 0.0);
    assert_int_equal(hist_fill(N, y, p, HIST_BINS_MAX + 1, pos, neg), STAT_INVALID_INPUT);
    const double nobody[] = {0.0};
    assert_true(isnan(hist_auroc(1, nobody, nobody)));
    double q;
    assert_int_equal(conformal_quantile(0, p, 0.1, &q), STAT_OK);
    assert_true(isinf(q));
    const double nine[] = {9, 1, 8, 2, 7, 3, 6, 4, 5};
    assert_int_equal(conformal_quantile(9, nine, 0.1, &q), STAT_OK);
    near(q, 9.0, 0.0);
    assert_int_equal(conformal_quantile(9, nine, 0.5, &q), STAT_OK);
    near(q, 5.0, 0.0);
    assert_int_equal(conformal_quantile(9, nine, 0.0, &q), STAT_INVALID_INPUT);
    p[3] = NAN;
    struct conformal c;
    assert_int_equal(conformal_binary(N, y, p, 0.1, &c), STAT_INVALID_INPUT);
    assert_int_equal(hist_fill(N, y, p, 64, pos, neg), STAT_INVALID_INPUT);
}

/* Harrell's C by every pair. */
static double plain_cindex(size_t n, const double *t, const double *e, const double *r,
                           double *pairs)
{
    double won = 0.0;
    *pairs = 0.0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            if (e[i] != 1.0 || i == j || !(t[j] > t[i] || (t[j] == t[i] && e[j] == 0.0)))
                continue;
            *pairs += 1.0;
            won += r[j] < r[i] ? 1.0 : r[j] == r[i] ? 0.5 : 0.0;
        }
    }
    return won / *pairs;
}

static void cindex_matches_every_pair(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 12);
    for (int round_no = 0; round_no < 20; round_no++) {
        double t[120];
        double e[120];
        double r[120];
        size_t n = 5 + prng_bounded(&prng, 115);
        for (size_t i = 0; i < n; i++) {
            t[i] = (double)prng_bounded(&prng, round_no % 2 ? 8 : 100000);
            e[i] = i < 2 ? 1.0 : (double)prng_bounded(&prng, 2);
            r[i] = (double)prng_bounded(&prng, 10) - t[i] / 4.0;
        }
        t[0] = 0.0;
        t[1] = 100001.0;
        struct cindex c;
        double pairs;
        assert_int_equal(cindex_harrell(n, t, e, r, NULL, 0, &c), STAT_OK);
        near(c.c, plain_cindex(n, t, e, r, &pairs), 1e-12);
        near(c.pairs, pairs, 0.0);
        assert_true(c.var >= 0.0);
    }
    const double t[] = {1, 2, 3};
    const double none[] = {0, 0, 0};
    const double strange[] = {0, 2, 0};
    struct cindex c;
    assert_int_equal(cindex_harrell(3, t, none, t, NULL, 0, &c), STAT_DEGENERATE);
    assert_int_equal(cindex_harrell(3, t, strange, t, NULL, 0, &c), STAT_INVALID_INPUT);
    assert_int_equal(cindex_harrell(0, t, none, t, NULL, 0, &c), STAT_EMPTY);
    assert_int_equal(cindex_harrell(1, t, none, t, NULL, 0, &c), STAT_DEGENERATE);
}

static void several_classes(void **state)
{
    (void)state;
    const double label[] = {0, 0, 1, 1, 2, 2};
    const double score[] = {0.8, 0.1, 0.1, 0.7, 0.2, 0.1, 0.1, 0.8, 0.1,
                            0.2, 0.7, 0.1, 0.1, 0.1, 0.8, 0.2, 0.1, 0.7};
    struct auroc each[3];
    struct multiclass m;
    assert_int_equal(multiclass_auroc(6, 3, label, score, each, &m), STAT_OK);
    near(m.macro, 1.0, 0.0);
    assert_int_equal(m.classes_defined, 3);
    assert_int_equal(multiclass_auroc(2, 3, label, score, each, &m), STAT_SINGLE_CLASS);
    assert_true(isnan(m.macro));
    assert_int_equal(multiclass_auroc(6, 2, label, score, each, &m), STAT_INVALID_INPUT);
    assert_int_equal(multiclass_auroc(6, 1, label, score, each, &m), STAT_INVALID_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drift_edges_and_nulls),
        cmocka_unit_test(mmd_sees_a_shift),
        cmocka_unit_test(permutations),
        cmocka_unit_test(sequential),
        cmocka_unit_test(subgroups),
        cmocka_unit_test(histogram_and_conformal),
        cmocka_unit_test(cindex_matches_every_pair),
        cmocka_unit_test(several_classes),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
