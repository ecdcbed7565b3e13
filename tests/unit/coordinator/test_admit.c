/* SPDX-License-Identifier: Apache-2.0 */
/* The gate, the anomaly record and momentum: each verdict, each bound, at it and one past it. */
#include "coordinator/aggregate/admit.h"
#include "coordinator/aggregate/anomaly.h"
#include "coordinator/aggregate/momentum.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed = 88172645463325252u;

static double uniform(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static double gaussian(void)
{
    return sqrt(-2.0 * log(1.0 - uniform())) * cos(6.283185307179586 * uniform());
}

static struct admit_policy policy(size_t d)
{
    return (struct admit_policy){.round = 7, .base = {1, 2, 3}, .d = d, .norm_factor = 10.0};
}

static struct admit_facts facts(size_t d, double norm)
{
    return (struct admit_facts){
        .round = 7, .base = {1, 2, 3}, .d = d, .first_bad = d, .squared_norm = norm * norm};
}

static void verdicts(void **state)
{
    (void)state;
    struct admit_policy p = policy(10);
    struct admit_facts f = facts(10, 1.0);
    struct why why = {""};
    assert_int_equal(admit_judge(&p, &f, 1.0, &why), ADMIT_ACCEPTED);
    f.round = 6;
    assert_int_equal(admit_judge(&p, &f, 1.0, &why), ADMIT_STALE);
    assert_non_null(strstr(why.text, "round 6"));
    f = facts(10, 1.0);
    f.base[31] = 1;
    assert_int_equal(admit_judge(&p, &f, 1.0, &why), ADMIT_STALE);
    f = facts(10, 1.0);
    f.repeated = true;
    assert_int_equal(admit_judge(&p, &f, 1.0, &why), ADMIT_REPEATED);
    f = facts(11, 1.0);
    assert_int_equal(admit_judge(&p, &f, 1.0, &why), ADMIT_SHAPE);
    f = facts(10, 1.0);
    f.first_bad = 9;
    assert_int_equal(admit_judge(&p, &f, 1.0, &why), ADMIT_NOT_FINITE);
    f = facts(10, 10.0);
    assert_int_equal(admit_judge(&p, &f, 1.0, &why), ADMIT_ACCEPTED);
    f = facts(10, 10.0 + 1e-9);
    assert_int_equal(admit_judge(&p, &f, 1.0, &why), ADMIT_NORM_HIGH);
    assert_int_equal(admit_judge(&p, &f, 0.0, &why), ADMIT_ACCEPTED); /* no round before */
    p.max_norm = 5.0;
    assert_int_equal(admit_judge(&p, &f, 0.0, NULL), ADMIT_NORM_HIGH);
    f = facts(10, (double)INFINITY);
    assert_int_equal(admit_judge(&p, &f, 1.0, &why), ADMIT_NOT_FINITE);
    assert_true(admit_is_malformed(ADMIT_NORM_LOW) && !admit_is_malformed(ADMIT_STALE));
}

/* Honest noise passes; a site without it, or with its signal scaled up, does not. */
static void noise_window(void **state)
{
    (void)state;
    enum { D = 20000, TRIALS = 40 };
    struct admit_policy p = policy(D);
    p.has_noise = true;
    p.sigma = 0.01;
    p.signal = 1.0;
    for (int trial = 0; trial < TRIALS; trial++) {
        double square = 0.0;
        double share = (double)trial / TRIALS; /* of the clip norm that the signal uses */
        for (int c = 0; c < D; c++) {
            double x = p.sigma * gaussian() + share * p.signal / sqrt((double)D);
            square += x * x;
        }
        struct admit_facts f = facts(D, sqrt(square));
        assert_int_equal(admit_judge(&p, &f, 0.0, NULL), ADMIT_ACCEPTED);
        f.squared_norm = square * 0.9;
        if (share < 0.1)
            assert_int_equal(admit_judge(&p, &f, 0.0, NULL), ADMIT_NORM_LOW);
        f.squared_norm = square * 4.0;
        assert_int_equal(admit_judge(&p, &f, 0.0, NULL), ADMIT_NORM_HIGH);
    }
    double low = 0.0;
    double high = 0.0;
    p.d = 1000000;
    p.signal = 0.0;
    admit_window(&p, 0.0, &low, &high);
    double middle = 1e6 * p.sigma * p.sigma;
    assert_true(fabs(low / middle - 1.0) < 0.0086 && fabs(high / middle - 1.0) < 0.0086);
    p.d = 4;
    admit_window(&p, 0.0, &low, &high);
    assert_true(low == 0.0 && high > 4.0 * p.sigma * p.sigma);
}

static void measured(void **state)
{
    (void)state;
    enum { D = 9000 };
    float *x = calloc(D, sizeof *x);
    for (int c = 0; c < D; c++)
        x[c] = 2.0f;
    const float *rows[] = {x};
    struct agg_source source = {.n = 1, .d = D, .rows = rows};
    struct admit_facts f = {0};
    struct why why = {""};
    assert_true(ok(admit_measure(&source, 0, &f, &why)));
    assert_true(f.first_bad == D && f.squared_norm == 4.0 * D);
    static const float BAD[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < 3; k++) {
        static const size_t WHERE[] = {0, 4096, D - 1};
        x[WHERE[k]] = BAD[k];
        assert_true(ok(admit_measure(&source, 0, &f, &why)));
        assert_int_equal(f.first_bad, WHERE[k]);
        x[WHERE[k]] = 2.0f;
    }
    free(x);
}

static void closing(void **state)
{
    (void)state;
    struct agg_rule rule;
    struct why why = {""};
    size_t n = 0;
    size_t f = 0;
    assert_true(ok(agg_rule_parse("nnm+trimmed-mean", &rule, &why)));
    assert_true(ok(admit_close(&rule, 10, 2, 1, 3, &n, &f, &why)));
    assert_true(n == 7 && f == 1);
    assert_true(ok(admit_close(&rule, 10, 0, 3, 3, &n, &f, &why)));
    assert_true(n == 7 && f == 3);
    assert_int_equal(admit_close(&rule, 10, 0, 4, 3, &n, &f, &why).code, RESULT_REFUSED);
    assert_int_equal(admit_close(&rule, 3, 2, 1, 1, &n, &f, &why).code, RESULT_REFUSED);
    assert_true(ok(admit_close(&rule, 3, 2, 0, 1, &n, &f, &why)));
    assert_true(n == 1 && f == 0);
    assert_true(ok(agg_rule_parse("bulyan", &rule, &why)));
    assert_true(ok(admit_close(&rule, 11, 0, 0, 2, &n, &f, &why)));
    assert_int_equal(admit_close(&rule, 11, 0, 1, 2, &n, &f, &why).code, RESULT_REFUSED);
    assert_non_null(strstr(why.text, "4f+3"));
}

static void scores_and_quarantine(void **state)
{
    (void)state;
    enum { N = 5, D = 64 };
    float x[N][D];
    const float *rows[N];
    float out[D];
    for (int i = 0; i < N; i++) {
        rows[i] = x[i];
        for (int c = 0; c < D; c++)
            x[i][c] = (float)(1.0 + 0.1 * gaussian()) * (i == 3 ? -8.0f : 1.0f);
    }
    struct agg_rule rule;
    struct why why = {""};
    struct agg_explain explain;
    struct agg_source source = {.n = N, .d = D, .rows = rows};
    assert_true(ok(agg_rule_parse("nnm+trimmed-mean", &rule, &why)));
    agg_rule_set_f(&rule, 1);
    assert_true(ok(agg_run(&rule, &source, 1, out, &explain, &why)));
    struct anomaly_policy p = anomaly_default();
    p.quarantine_at = 3;
    struct anomaly_score scores[N];
    anomaly_score_round(&p, &explain, true, scores);
    agg_explain_free(&explain);
    for (int i = 0; i < N; i++)
        assert_true((scores[i].flags != 0) == (i == 3));
    assert_int_equal(scores[3].flags, ANOMALY_NORM | ANOMALY_COSINE | ANOMALY_NEIGHBOUR);
    char text[128];
    anomaly_sentence(&scores[3], text, sizeof text);
    assert_non_null(strstr(text, "times the median; cosine -"));
    anomaly_sentence(&scores[3], text, 10);
    assert_int_equal(strlen(text), 9);
    anomaly_sentence(&scores[0], text, sizeof text);
    assert_string_equal(text, "");

    struct anomaly_site site = anomaly_site_new();
    assert_false(anomaly_site_step(&p, &site, ANOMALY_NORM));
    assert_false(anomaly_site_step(&p, &site, 0)); /* a good round forgives one */
    assert_false(anomaly_site_step(&p, &site, ANOMALY_NORM));
    assert_false(anomaly_site_step(&p, &site, ANOMALY_NORM));
    assert_false(anomaly_site_step(&p, &site, ANOMALY_COSINE)); /* said of honest sites, too */
    assert_false(anomaly_site_step(&p, &site, ANOMALY_REJECTED));
    assert_true(anomaly_site_step(&p, &site, ANOMALY_NOISE));
    assert_true(site.quarantined && site.flagged == 5 && site.rounds == 7);
    assert_true(site.reputation < 0.75 && site.reputation > 0.5);
    assert_false(anomaly_site_step(&p, &site, ANOMALY_NORM)); /* once */
    anomaly_site_release(&site);
    assert_true(!site.quarantined && site.open == 0 && site.flagged == 6);
}

static void momentum_averages_noise(void **state)
{
    (void)state;
    enum { D = 4000, ROUNDS = 60 };
    float *m = calloc(D, sizeof *m);
    float *g = calloc(D, sizeof *g);
    struct momentum momentum = {.d = D, .state = m};
    double square = 0.0;
    for (int turn = 0; turn < ROUNDS; turn++) {
        for (int c = 0; c < D; c++)
            g[c] = (float)(1.0 + gaussian());
        momentum_step(&momentum, 0.9, g, g);
        double mean = 0.0;
        for (int c = 0; c < D; c++)
            mean += (double)g[c] / D;
        assert_true(fabs(mean - 1.0) < 0.08); /* also in the first rounds */
    }
    for (int c = 0; c < D; c++)
        square += ((double)g[c] - 1.0) * ((double)g[c] - 1.0) / D;
    assert_true(fabs(sqrt(square) / momentum_noise_factor(0.9) - 1.0) < 0.05);
    assert_true(fabs(1.0 / momentum_noise_factor(0.9) - 4.3589) < 1e-3);
    free(m);
    free(g);
}

/* The update that a hostile site sends so that the rule sees the row it wants. */
static void momentum_is_reckoned_with(void **state)
{
    (void)state;
    float m[] = {0.0f, 0.0f, 0.0f}, row[3], update[3];
    struct momentum momentum = {.d = 3, .state = m};
    for (int turn = 0; turn < 20; turn++) {
        const float wanted[] = {(float)(1.0 + turn), -3.0f, (float)gaussian()};
        momentum_reach(&momentum, 0.8, wanted, update);
        momentum_step(&momentum, 0.8, update, row);
        for (int c = 0; c < 3; c++)
            assert_true(fabs((double)row[c] - (double)wanted[c]) < 1e-4);
    }
    assert_true(fabs((double)update[1] + 3.0) < 1e-3); /* a row that stays is its own update */
    assert_true((double)update[0] > 20.5);             /* one that moves leads */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(noise_window),
        cmocka_unit_test(measured),
        cmocka_unit_test(closing),
        cmocka_unit_test(scores_and_quarantine),
        cmocka_unit_test(momentum_averages_noise),
        cmocka_unit_test(momentum_is_reckoned_with),
    };
    return cmocka_run_group_tests_name("admit", tests, NULL, NULL);
}
