/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregation rules: expressions, refusals, hand-computed values, exact searches, hostile rows. */
#include "coordinator/aggregate/aggregate.h"
#include "coordinator/aggregate/eigen.h"
#include "coordinator/aggregate/subset.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_ROWS = 32, MOST_COLUMNS = 16 };

static uint64_t seed = 88172645463325252u;

static double uniform(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static void run(const char *expression, size_t f, size_t n, size_t d, const double *x, double *out)
{
    struct agg_rule rule;
    struct why why = {""};
    const double *rows[MOST_ROWS];
    for (size_t i = 0; i < n; i++)
        rows[i] = x + i * d;
    assert_true(ok(agg_rule_parse(expression, &rule, &why)));
    agg_rule_set_f(&rule, f);
    struct result r = agg_run_f64(&rule, n, d, rows, out, NULL, &why);
    if (!ok(r))
        fail_msg("%s: %s", expression, why.text);
    agg_rule_free(&rule);
}

static void expressions(void **state)
{
    (void)state;
    struct agg_rule rule;
    struct why why;
    char name[AGG_NAME_BYTES];
    assert_true(ok(agg_rule_parse("arc+nnm+krum_nf1", &rule, &why)));
    agg_rule_name(&rule, name, sizeof name);
    assert_string_equal(name, "arc+nnm+krum-nf1");
    assert_int_equal(agg_rule_output_rows(&rule, 7), 1);
    assert_true(ok(agg_rule_parse("nnm", &rule, &why)));
    assert_int_equal(agg_rule_output_rows(&rule, 7), 7);
    assert_int_equal(agg_rule_parse("median+nnm", &rule, &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_parse("medain", &rule, &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_parse("", &rule, &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_parse("nnm+", &rule, &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_parse("nnm+nnm+nnm+nnm+mean", &rule, &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_parse("nnm+attack-ipm", &rule, &why).code, RESULT_INPUT);
}

static void table_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGG_KINDS; i++) {
        const struct agg_descriptor *r = &AGG_RULES[i];
        assert_non_null(r->name);
        assert_int_equal(r->kind, i);
        assert_ptr_equal(agg_find(r->name, strlen(r->name)), r);
        assert_true(strlen(r->guarantee) > 0 && strlen(r->source) > 0 && r->passes >= 1);
    }
}

static void conditions_refuse(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t n, f;
        bool good;
    } CASES[] = {
        {"trimmed-mean", 5, 2, true},
        {"trimmed-mean", 4, 2, false},
        {"krum", 5, 1, true},
        {"krum", 6, 2, false},
        {"krum-nf1", 6, 2, true},
        {"bulyan", 7, 1, true},
        {"bulyan", 6, 1, false},
        {"nnm+median", 5, 4, true},
        {"nnm+median", 5, 5, false},
        {"smea-exact", 16, 3, true},
        {"smea-exact", 17, 3, false},
        {"caf", 4, 2, false},
        {"mean", AGG_ROWS_MAX, 0, true},
        {"mean", AGG_ROWS_MAX + 1, 0, false},
        {"median", 0, 0, false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct agg_rule rule;
        struct why why = {""};
        assert_true(ok(agg_rule_parse(CASES[i].name, &rule, &why)));
        agg_rule_set_f(&rule, CASES[i].f);
        struct result r = agg_rule_check(&rule, CASES[i].n, 3, &why);
        assert_int_equal(r.code, CASES[i].good ? RESULT_OK : RESULT_REFUSED);
    }
    struct agg_rule rule;
    struct why why = {""};
    assert_true(ok(agg_rule_parse("trimmed-mean", &rule, &why)));
    assert_int_equal(agg_rule_check(&rule, 5, 3, &why).code, RESULT_REFUSED); /* no f */
}

static void parameters(void **state)
{
    (void)state;
    struct agg_rule rule;
    struct why why = {""};
    assert_true(ok(agg_rule_parse("bucketing+mean", &rule, &why)));
    assert_true(ok(agg_rule_set(&rule, "s", "2", &why)));
    assert_true(ok(agg_rule_set(&rule, "perm", "[2, 0, 1]", &why)));
    assert_true(ok(agg_rule_check(&rule, 3, 1, &why)));
    assert_true(ok(agg_rule_set(&rule, "perm", "2,0,2", &why)));
    assert_int_equal(agg_rule_check(&rule, 3, 1, &why).code, RESULT_REFUSED);
    assert_int_equal(agg_rule_set(&rule, "perm", "0,1.5", &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_set(&rule, "nu", "-1", &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_set(&rule, "nu", "nan", &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_set(&rule, "f", "2.5", &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_set(&rule, "f", "99999", &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_set(&rule, "colour", "1", &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_set(&rule, "w", "1,-1", &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_set(&rule, "w", "1,x", &why).code, RESULT_INPUT);
    assert_true(ok(agg_rule_set(&rule, "trim-mass", "1", &why)));
    assert_true(ok(agg_rule_set(&rule, "v0", "row:2", &why)));
    assert_int_equal(agg_rule_check(&rule, 2, 1, &why).code, RESULT_REFUSED);
    agg_rule_free(&rule);
}

/* A zero that was given is a value like any other, and never "not given". */
static void zero_is_a_value(void **state)
{
    enum { N = 3, D = 2 };
    static const struct {
        const char *rule, *set[3][2];
        double expected[D];
    } CASES[] = {
        {"centered-clipping", {{"tau", "0"}, {"L", "3"}, {"v0", "row:1"}}, {4, 4}},
        {"centered-clipping", {{"tau", "9"}, {"L", "0"}, {"v0", "row:1"}}, {4, 4}},
        {"geomedian-smoothed", {{"T", "0"}, {"z0", "row:2"}, {"nu", "1"}}, {7, 2}},
        {"geomedian-smoothed", {{"T", "2"}, {"z0", "row:2"}, {"nu", "0"}}, {7, 2}},
        {"geomedian", {{"T", "0"}, {"z0", "zero"}}, {0, 0}},
        {"dnc-full", {{"f", "1"}, {"filter_frac", "0"}}, {4, 2}},
    };
    static const double a[D] = {1, 0}, b[D] = {4, 4}, c[D] = {7, 2};
    static const float a32[D] = {1, 0}, b32[D] = {4, 4}, c32[D] = {7, 2};
    const double *rows[N] = {a, b, c};
    const float *rows32[N] = {a32, b32, c32};
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct agg_rule rule;
        struct agg_source source = {.n = N, .d = D, .rows = rows32};
        struct why why = {""};
        double out[D];
        float out32[D];
        assert_true(ok(agg_rule_parse(CASES[i].rule, &rule, &why)));
        for (size_t k = 0; k < 3 && CASES[i].set[k][0]; k++)
            assert_true(ok(agg_rule_set(&rule, CASES[i].set[k][0], CASES[i].set[k][1], &why)));
        assert_true(ok(agg_run_f64(&rule, N, D, rows, out, NULL, &why)));
        assert_true(ok(agg_run(&rule, &source, 1, out32, NULL, &why)));
        for (size_t k = 0; k < D; k++) {
            assert_true(fabs(out[k] - CASES[i].expected[k]) < 1e-12);
            assert_true(fabs((double)out32[k] - CASES[i].expected[k]) < 1e-5);
        }
        agg_rule_free(&rule);
    }
    static const char *const NEVER_ZERO[] = {"m", "neighbours", "s", "c", "alpha"};
    struct agg_rule rule;
    struct why why = {""};
    assert_true(ok(agg_rule_parse("multikrum", &rule, &why)));
    for (size_t i = 0; i < sizeof NEVER_ZERO / sizeof *NEVER_ZERO; i++)
        assert_int_equal(agg_rule_set(&rule, NEVER_ZERO[i], "0", &why).code, RESULT_INPUT);
    assert_int_equal(agg_rule_parse("nnm+trimed_mean", &rule, &why).code, RESULT_INPUT);
    assert_non_null(strstr(why.text, "did you mean 'trimmed-mean'"));
}

static void rejected_rows(void **state)
{
    (void)state;
    struct agg_rule rule;
    struct why why = {""};
    const bool rejected[] = {false, true, false, true, false};
    assert_true(ok(agg_rule_parse("bucketing+trimmed-mean", &rule, &why)));
    agg_rule_set_f(&rule, 3);
    assert_true(ok(agg_rule_set(&rule, "perm", "4,3,2,1,0", &why)));
    assert_true(ok(agg_rule_set(&rule, "w", "1,2,3,4,5", &why)));
    assert_true(ok(agg_rule_set(&rule, "g0", "row:4", &why)));
    assert_true(ok(agg_rule_reject_rows(&rule, 5, rejected, &why)));
    const struct agg_params *p = &rule.params;
    assert_int_equal(p->f, 1);
    assert_int_equal(p->perm_length, 3);
    assert_true(p->perm[0] == 2 && p->perm[1] == 1 && p->perm[2] == 0);
    assert_true(p->w_length == 3 && p->w[0] == 1.0 && p->w[1] == 3.0 && p->w[2] == 5.0);
    assert_int_equal(p->g0.row, 2);
    assert_true(ok(agg_rule_set(&rule, "g0", "row:1", &why)));
    assert_int_equal(agg_rule_reject_rows(&rule, 5, rejected, &why).code, RESULT_REFUSED);
    agg_rule_free(&rule);
}

static void by_hand(void **state)
{
    (void)state;
    const double x[] = {1, 10, 2, 20, 3, 30, 4, 40, 100, -5};
    double y[2];
    run("mean", 0, 5, 2, x, y);
    assert_true(fabs(y[0] - 22.0) < 1e-12 && fabs(y[1] - 19.0) < 1e-12);
    run("median", 0, 5, 2, x, y);
    assert_true(y[0] == 3.0 && y[1] == 20.0);
    run("trimmed-mean", 1, 5, 2, x, y);
    assert_true(y[0] == 3.0 && y[1] == 20.0);
    run("meamed", 1, 5, 2, x, y);
    assert_true(y[0] == 2.5 && y[1] == 25.0);
    run("krum-nf1", 1, 5, 2, x, y);
    assert_true(y[0] == 2.0 && y[1] == 20.0);
    run("mda", 1, 5, 2, x, y);
    assert_true(y[0] == 2.5 && y[1] == 25.0);
}

/* Every subset of size n-f, the first of smallest diameter. */
static void smallest_by_enumeration(size_t n, const double *squared, size_t f, bool *kept)
{
    double best = INFINITY;
    unsigned best_mask = 0;
    /* Bit n-1-i stands for row i, so that a larger mask is lexicographically earlier. */
    for (unsigned mask = 1u << n; mask-- > 0;) {
        if ((size_t)__builtin_popcount(mask) != n - f)
            continue;
        double diameter = 0.0;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < i; j++)
                if (mask >> (n - 1 - i) & 1 && mask >> (n - 1 - j) & 1)
                    diameter = fmax(diameter, squared[i * n + j]);
        if (diameter < best) {
            best = diameter;
            best_mask = mask;
        }
    }
    for (size_t i = 0; i < n; i++)
        kept[i] = best_mask >> (n - 1 - i) & 1;
}

static void smallest_diameter_is_exact(void **state)
{
    (void)state;
    for (int turn = 0; turn < 300; turn++) {
        size_t n = 3 + (size_t)(uniform() * 9.0);
        size_t f = (size_t)(uniform() * (double)((n + 1) / 2));
        /* Few distinct distances, so that ties are the rule. */
        double levels = turn % 3 ? 4.0 : 1e9;
        double squared[12 * 12] = {0};
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < i; j++)
                squared[i * n + j] = squared[j * n + i] = floor(uniform() * levels);
        bool got[12];
        bool want[12];
        struct why why = {""};
        smallest_by_enumeration(n, squared, f, want);
        assert_true(ok(subset_smallest_diameter(n, squared, f, got, &why)));
        assert_memory_equal(got, want, n * sizeof(bool));
    }
}

static void top_eigenpair(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 24; n++) {
        double factor[24 * 24];
        double a[24 * 24];
        double kept[24 * 24];
        double value = 0.0;
        double vector[24];
        for (size_t i = 0; i < n * n; i++)
            factor[i] = uniform() - 0.5;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0.0;
                for (size_t k = 0; k < n; k++)
                    sum += factor[i * n + k] * factor[j * n + k];
                kept[i * n + j] = a[i * n + j] = sum * 1e8;
            }
        assert_true(eigen_top(n, a, &value, vector));
        /* A v = lambda v, |v| = 1, and no other direction does better. */
        double norm = 0.0;
        for (size_t i = 0; i < n; i++) {
            double image = 0.0;
            for (size_t j = 0; j < n; j++)
                image += kept[i * n + j] * vector[j];
            assert_true(fabs(image - value * vector[i]) < 1e-10 * value);
            norm += vector[i] * vector[i];
        }
        assert_true(fabs(norm - 1.0) < 1e-12);
        for (int turn = 0; turn < 20; turn++) {
            double square = 0.0;
            double form = 0.0;
            double direction[24];
            for (size_t i = 0; i < n; i++) {
                direction[i] = uniform() - 0.5;
                square += direction[i] * direction[i];
            }
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < n; j++)
                    form += direction[i] * kept[i * n + j] * direction[j];
            assert_true(form <= value * square * (1.0 + 1e-12));
        }
    }
}

/* Identical huge outliers make an implementation that lets rows of weight 0 set the scale turn for
 * ever; a value near the end of the range must not turn into a NaN. */
static void caf_ends(void **state)
{
    (void)state;
    for (int exponent = 0; exponent <= 150; exponent += 10) {
        double x[11 * 4];
        double y[4];
        for (size_t i = 0; i < 11; i++)
            for (size_t c = 0; c < 4; c++)
                x[i * 4 + c] = i < 3 ? pow(10.0, exponent) : uniform() - 0.5;
        run("caf", 3, 11, 4, x, y);
        for (size_t c = 0; c < 4; c++)
            if (!isfinite(y[c]) || (exponent > 0 && fabs(y[c]) > 1.0))
                fail_msg("1e%d: %g", exponent, y[c]);
    }
}

static void truncation(void **state)
{
    (void)state;
    const double w[] = {100.0, 120.0, 90.0, 1e9, 110.0};
    double out[5];
    agg_truncate_weights(5, w, 1, 0.3, out);
    double total = 0.0;
    for (size_t i = 0; i < 5; i++)
        total += out[i];
    assert_true(out[3] / total <= 0.3 * (1.0 + 1e-9) && out[3] / total > 0.3 - 1e-6);
    assert_true(out[0] == 100.0 && out[2] == 90.0);
    agg_truncate_weights(5, w, 0, 0.3, out);
    assert_memory_equal(out, w, sizeof w);
}

/* Output does not change when rows are given again in the same order of ids from another order of
 * arrival, and moves with the rows: a permutation of distinct rows leaves every rule's value. */
static void order_does_not_matter(void **state)
{
    (void)state;
    static const char *const RULES[] = {"median",           "trimmed-mean", "meamed",   "multikrum",
                                        "nnm+trimmed-mean", "caf",          "geomedian"};
    double x[9 * 5];
    double moved[9 * 5];
    for (size_t i = 0; i < 45; i++)
        x[i] = uniform() - 0.5;
    for (size_t i = 0; i < 9; i++)
        memcpy(moved + i * 5, x + (i * 4 % 9) * 5, 5 * sizeof *x);
    for (size_t k = 0; k < sizeof RULES / sizeof RULES[0]; k++) {
        double a[5];
        double b[5];
        run(RULES[k], 2, 9, 5, x, a);
        run(RULES[k], 2, 9, 5, moved, b);
        for (size_t c = 0; c < 5; c++)
            if (!(fabs(a[c] - b[c]) < 1e-9))
                fail_msg("%s: %.17g and %.17g", RULES[k], a[c], b[c]);
    }
}

/* The geometric median of few rows is none of them; the default must not stay at the one it begins
 * next to. */
static void default_geomedian_leaves_its_start(void **state)
{
    (void)state;
    double x[9 * 16];
    for (size_t n = 2; n <= 9; n++) {
        for (size_t i = 0; i < n * 16; i++)
            x[i] = uniform() - 0.5;
        double got[16];
        double want[16];
        double far = 0.0;
        double size = 0.0;
        run("geomedian", 0, n, 16, x, got);
        run("geomedian-converged", 0, n, 16, x, want);
        for (size_t c = 0; c < 16; c++) {
            far += (got[c] - want[c]) * (got[c] - want[c]);
            size += want[c] * want[c];
        }
        if (!(sqrt(far) < 1e-2 * sqrt(size)))
            fail_msg("n = %zu: off by %g of %g", n, sqrt(far), sqrt(size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions),
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(conditions_refuse),
        cmocka_unit_test(parameters),
        cmocka_unit_test(zero_is_a_value),
        cmocka_unit_test(rejected_rows),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(smallest_diameter_is_exact),
        cmocka_unit_test(top_eigenpair),
        cmocka_unit_test(caf_ends),
        cmocka_unit_test(truncation),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(default_geomedian_leaves_its_start),
    };
    return cmocka_run_group_tests_name("aggregate", tests, NULL, NULL);
}
