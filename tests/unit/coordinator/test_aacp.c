/* SPDX-License-Identifier: Apache-2.0 */
/* The alpha ledger: its invariants over random histories, its refusals, and the cross-site matrix.
 */
#include "coordinator/validate/aacp.h"
#include "coordinator/validate/matrix.h"
#include "linalg/stats/prng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct aacp_policy policy(enum aacp_kind kind, enum aacp_arithmetic arithmetic)
{
    return (struct aacp_policy){
        .kind = kind,
        .arithmetic = arithmetic,
        .alpha_total = 200000,
        .alpha_cap = 50000,
        .use_factor = kind == AACP_BABR ? 1600000 : AACP_MICRO,
        .denom_min = AACP_MICRO,
        .window = 8,
        .max_wait = 3,
        .margin = 0.05,
        .endpoints = 1,
    };
}

/* A world: each model's true quality, and noise drawn per comparison. */
struct world {
    double quality[64];
    double se;
    struct prng prng;
};

static bool measure(void *context, unsigned j, unsigned i, double *d, double *se)
{
    struct world *w = context;
    double noise[1];
    prng_normals(&w->prng, 1, noise);
    *se = w->se;
    *d = w->quality[j] - w->quality[i] + w->se * noise[0];
    return true;
}

static bool unknown(void *context, unsigned j, unsigned i, double *d, double *se)
{
    (void)context;
    (void)j;
    (void)i;
    *d = 1.0;
    *se = 1e-9;
    return false;
}

static void run(struct aacp *a, const struct aacp_policy *p, struct world *w, unsigned batches)
{
    struct why why;
    assert_true(ok(aacp_init(a, p, &why)));
    for (unsigned t = 1; t <= batches; t++) {
        struct aacp_step step;
        unsigned before = a->history[a->decisions - 1];
        assert_true(ok(aacp_step(a, measure, w, &step, &why)));
        assert_true(step.t == t && step.approved >= before && step.approved < t);
        assert_int_equal(a->alpha[t] % 1000, 0);
        assert_true(a->alpha[t] >= 0 && a->alpha[t] <= p->alpha_cap);
    }
}

/* BAC gives every model the same; over any window of W + wait models the sum is at most alpha. */
static void spending_is_bounded(void **state)
{
    (void)state;
    struct aacp *a = calloc(1, sizeof *a);
    struct world w = {.se = 0.02};
    for (int seed = 1; seed < 6; seed++) {
        prng_seed(&w.prng, (uint64_t)seed);
        for (int j = 0; j < 64; j++)
            w.quality[j] = 0.01 * j;
        struct aacp_policy p = policy(AACP_BAC, AACP_EXACT);
        run(a, &p, &w, 30);
        for (unsigned from = 1; from + 10 < 30; from++) {
            int64_t sum = 0;
            for (unsigned j = from; j < from + p.window + p.max_wait; j++)
                sum += a->alpha[j];
            assert_true(sum <= p.alpha_total);
        }
        p = policy(AACP_BABR, AACP_EXACT);
        run(a, &p, &w, 30);
        assert_true(a->history[a->decisions - 1] > 0);
    }
    free(a);
}

/* A slow decline, each model a little worse than the one before it: gating against the predecessor
 * alone would follow it down. */
static void creep_is_stopped(void **state)
{
    (void)state;
    struct aacp *a = calloc(1, sizeof *a);
    struct world w = {.se = 0.004};
    for (int j = 0; j < 64; j++)
        w.quality[j] = -0.03 * j;
    prng_seed(&w.prng, 5);
    struct aacp_policy p = policy(AACP_BAC, AACP_EXACT);
    run(a, &p, &w, 40);
    double lost = w.quality[0] - w.quality[a->history[a->decisions - 1]];
    assert_true(lost <= p.margin);
    free(a);
}

static void unknown_comparisons_approve_nothing(void **state)
{
    (void)state;
    struct aacp *a = calloc(1, sizeof *a);
    struct aacp_policy p = policy(AACP_BABR, AACP_EXACT);
    struct why why;
    assert_true(ok(aacp_init(a, &p, &why)));
    for (int t = 0; t < 10; t++) {
        struct aacp_step step;
        assert_true(ok(aacp_step(a, unknown, NULL, &step, &why)));
        assert_true(step.approved == 0 && !step.newly_approved && !step.benchmark_moved);
    }
    free(a);
}

static void impossible_policies_are_refused(void **state)
{
    (void)state;
    struct aacp *a = calloc(1, sizeof *a);
    struct why why;
    struct aacp_policy good = policy(AACP_BAC, AACP_EXACT);
    struct aacp_policy p = good;
    p.window = 0;
    assert_false(ok(aacp_init(a, &p, &why)));
    p = good;
    p.max_wait = AACP_LOOKS_MAX / 2 + 1;
    assert_false(ok(aacp_init(a, &p, &why)));
    p = good;
    p.alpha_total = AACP_MICRO;
    assert_false(ok(aacp_init(a, &p, &why)));
    p = good;
    p.endpoints = 3;
    assert_false(ok(aacp_init(a, &p, &why)));
    free(a);
}

static void horizon_ends_the_looks(void **state)
{
    (void)state;
    struct aacp *a = calloc(1, sizeof *a);
    struct world w = {.se = 0.02};
    struct aacp_policy p = policy(AACP_BAC, AACP_EXACT);
    p.horizon = 6;
    prng_seed(&w.prng, 1);
    run(a, &p, &w, 6);
    assert_int_equal(aacp_bounds_of(a, 1, false)->looks, 3);
    assert_int_equal(aacp_bounds_of(a, 4, false)->looks, 1);
    assert_int_equal(aacp_bounds_of(a, 6, false)->looks, 0);
    free(a);
}

static void matrix_with_gaps(void **state)
{
    (void)state;
    /* An additive table with one cell missing is found exactly. */
    enum { N = 4 };
    const double row[N] = {0.02, 0.01, -0.01, -0.02};
    const double col[N] = {0.03, -0.01, -0.01, -0.01};
    double m[N * N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            m[i * N + j] = 0.8 + row[i] + col[j];
    m[1 * N + 2] = NAN;
    struct matrix_fit fit;
    struct why why;
    assert_true(ok(matrix_fit(N, N, m, &fit, NULL, &why)));
    for (int i = 0; i < N; i++) {
        assert_true(fabs(fit.row[i] - row[i]) < 1e-10);
        assert_true(fabs(fit.col[i] - col[i]) < 1e-10);
    }
    m[0] = m[1] = m[2] = m[3] = NAN;
    assert_false(ok(matrix_fit(N, N, m, &fit, NULL, &why)));
    assert_false(ok(matrix_fit(0, N, m, &fit, NULL, &why)));
    assert_false(ok(matrix_fit(MATRIX_SITES_MAX + 1, 1, m, &fit, NULL, &why)));
}

static void matrix_flags_the_planted(void **state)
{
    (void)state;
    const double m[25] = {0.8789, 0.8425, 0.8082, 0.8197, 0.8548, 0.8128, 0.8281, 0.7971, 0.8126,
                          0.8329, 0.7966, 0.8086, 0.7910, 0.8055, 0.8277, 0.7008, 0.7196, 0.6888,
                          0.7093, 0.7226, 0.7926, 0.8077, 0.7837, 0.7933, 0.8200};
    double d[25];
    double v[25];
    for (int k = 0; k < 25; k++) {
        d[k] = 0.01;
        v[k] = 1e-4;
    }
    for (int j = 0; j < 5; j++)
        d[2 * 5 + j] = v[2 * 5 + j] = 0.0; /* site 2 sends back what it got */
    struct matrix_fit fit;
    struct matrix_flags flags[5];
    struct why why;
    assert_true(ok(matrix_fit(5, 5, m, &fit, NULL, &why)));
    matrix_judge(5, 5, &fit, d, v, flags);
    assert_true(flags[3].free_rider && flags[2].free_rider && !flags[0].free_rider);
    assert_true(flags[0].self_inflated && !flags[1].self_inflated && !flags[4].self_inflated);
    double gain[5];
    const double full[5] = {0.8, 0.8, 0.8, 0.8, NAN};
    matrix_leave_one_out(5, 5, full, m, gain);
    assert_true(gain[3] > 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spending_is_bounded),
        cmocka_unit_test(creep_is_stopped),
        cmocka_unit_test(unknown_comparisons_approve_nothing),
        cmocka_unit_test(impossible_policies_are_refused),
        cmocka_unit_test(horizon_ends_the_looks),
        cmocka_unit_test(matrix_with_gaps),
        cmocka_unit_test(matrix_flags_the_planted),
    };
    return cmocka_run_group_tests_name("aacp", tests, NULL, NULL);
}
