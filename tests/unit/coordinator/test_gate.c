/* SPDX-License-Identifier: Apache-2.0 */
/* The promotion gate: order of rules, outcomes, degenerate messages, and how often it promotes
 * candidates that are worse by just the margin. */
#include "coordinator/validate/alpha_ledger.h"
#include "coordinator/validate/gate_json.h"
#include "linalg/special.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/prng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { K = 5 };

static const char *const IDS[K] = {"a", "b", "c", "d", "e"};

/* Five good sites with a small gain. */
static void good_sites(struct gate_site *s)
{
    for (int k = 0; k < K; k++) {
        s[k] = (struct gate_site){
            .id = IDS[k],
            .status = "ok",
            .n_pos = 100,
            .n_neg = 500,
            .auc = 0.86,
            .d = 0.004,
            .var_d = 5e-5,
            .ece = 0.03,
            .ece_null = 0.03,
            .slope = 1.0,
            .slope_se = 0.1,
            .spiegelhalter_z = 0.3,
        };
        s[k].var_auc = auroc_newcombe_var(0.86, 100, 500);
    }
}

static struct gate_record decide(const struct gate_input *in, struct gate_site_verdict *verdicts)
{
    struct gate_record record;
    struct why why;
    assert_true(ok(gate_decide(in, &record, verdicts, &why)));
    return record;
}

static void promotes_and_says_why(void **state)
{
    (void)state;
    struct gate_site s[K];
    struct gate_site_verdict v[K];
    good_sites(s);
    struct gate_input in = {.policy = gate_policy_default(), .n_sites = K, .sites = s};
    struct gate_record r = decide(&in, v);
    assert_int_equal(r.decision, GATE_PROMOTE);
    assert_int_equal(r.rule[2].outcome, GATE_RULE_PASS);
    assert_int_equal(r.rule[5].outcome, GATE_RULE_OFF);
    assert_non_null(strstr(r.rule[2].words, "candidate less incumbent"));
    in.policy.signatures_needed = 2;
    r = decide(&in, v);
    assert_int_equal(r.decision, GATE_PROMOTE);
    assert_int_equal(r.rule[9].outcome, GATE_RULE_PENDING);
}

static void integrity_comes_first(void **state)
{
    (void)state;
    struct gate_site s[K];
    struct gate_site_verdict v[K];
    good_sites(s);
    struct gate_integrity bad = {.signatures_ok = true, .hashes_ok = false, .detail = "site b"};
    struct gate_input in = {.policy = gate_policy_default(),
                            .integrity = &bad,
                            .n_sites = K,
                            .sites = s};
    struct gate_record r = decide(&in, v);
    assert_int_equal(r.decision, GATE_REJECT);
    assert_string_equal(r.rule[0].reason, "integrity");
    assert_int_equal(r.rule[1].outcome, GATE_RULE_OFF);
    assert_true(isnan(r.d_pooled) && !v[0].used);
    bad = (struct gate_integrity){.signatures_ok = true, .hashes_ok = true};
    r = decide(&in, v);
    assert_string_equal(r.rule[0].reason, "out_of_scope");
}

static void sites_are_excluded_with_a_reason(void **state)
{
    (void)state;
    struct gate_site s[K];
    struct gate_site_verdict v[K];
    good_sites(s);
    s[0].var_auc = 1e-12;
    s[1].n_pos = 10;
    s[2].status = "budget_exhausted";
    s[3].d = NAN;
    struct gate_input in = {.policy = gate_policy_default(), .n_sites = K, .sites = s};
    struct gate_record r = decide(&in, v);
    assert_int_equal(r.decision, GATE_HOLD);
    assert_string_equal(r.rule[1].reason, "quorum");
    assert_int_equal(r.quorum_needed, 4);
    assert_string_equal(v[0].reason, "implausible_variance");
    assert_string_equal(v[1].reason, "below_min_cell");
    assert_string_equal(v[2].reason, "budget_exhausted");
    assert_string_equal(v[3].reason, "invalid_difference");
    assert_true(v[4].used);
    in.n_sites = 0;
    r = decide(&in, v);
    assert_int_equal(r.decision, GATE_HOLD);
    in.policy.quorum_min = 0;
    r = decide(&in, v);
    assert_int_equal(r.decision, GATE_HOLD);
}

static void harm_and_large_drop_are_both_named(void **state)
{
    (void)state;
    struct gate_site s[K];
    struct gate_site_verdict v[K];
    good_sites(s);
    s[1].d = -0.2;
    s[2].d = -0.11;
    s[2].var_d = 0.01;
    struct gate_input in = {.policy = gate_policy_default(), .n_sites = K, .sites = s};
    struct gate_record r = decide(&in, v);
    const char *reasons[2 * GATE_RULES];
    assert_int_equal(r.decision, GATE_REJECT);
    size_t n = gate_reasons(&r, reasons);
    assert_true(n >= 2);
    assert_string_equal(reasons[0], "pooled_inferior");
    assert_string_equal(reasons[1], "site_harm");
    assert_string_equal(reasons[2], "site_large_drop");
    assert_true(v[1].harm && !v[2].harm && v[2].large_drop);
}

static void later_rules_hold(void **state)
{
    (void)state;
    struct gate_site s[K];
    struct gate_site_verdict v[K];
    struct gate_group groups[] = {{"f", 0.0, 1e-5}, {"m", -0.12, 1e-4}};
    struct gate_ledger ledger = {.used = true, .alpha = 10000, .policy = "bac"};
    good_sites(s);
    for (int k = 0; k < K; k++) {
        s[k].ece = 0.3;
        s[k].spiegelhalter_z = 4.0;
        s[k].drift_veto = k < 2;
    }
    struct gate_input in = {.policy = gate_policy_default(),
                            .n_sites = K,
                            .sites = s,
                            .n_groups = 2,
                            .groups = groups,
                            .ledger = &ledger};
    in.policy.calibration_used = in.policy.fairness_used = in.policy.drift_used = true;
    struct gate_record r = decide(&in, v);
    assert_int_equal(r.decision, GATE_REJECT);
    assert_string_equal(r.rule[5].reason, "miscalibrated");
    assert_string_equal(r.rule[6].reason, "group_harm");
    assert_string_equal(r.rule[7].reason, "drift");
    assert_string_equal(r.rule[8].reason, "alpha_ledger");
    groups[1].d = -0.04;
    r = decide(&in, v);
    assert_int_equal(r.decision, GATE_HOLD);
    assert_int_equal(r.rule[6].outcome, GATE_RULE_PASS);
    in.policy.group_shown = true;
    r = decide(&in, v);
    assert_string_equal(r.rule[6].reason, "group_ni_not_shown");
    for (int k = 0; k < K; k++)
        s[k].ece = NAN;
    in.n_groups = 0;
    r = decide(&in, v);
    assert_string_equal(r.rule[5].reason, "calibration_missing");
    assert_string_equal(r.rule[6].reason, "fairness_missing");
}

static void ledgers_spend_their_alpha_once(void **state)
{
    (void)state;
    struct alpha_ledger l;
    struct why why;
    assert_false(ok(alpha_ledger_init(&l, ALPHA_BAC, 50000, &why)));
    assert_false(ok(alpha_ledger_init(&l, ALPHA_FIXED, 1000000, &why)));
    assert_true(ok(alpha_ledger_init(&l, ALPHA_FIXED, 50000, &why)));
    for (int k = 0; k < 100; k++) {
        alpha_ledger_charge(&l, k % 3 == 0);
        assert_true(l.spent <= l.total);
    }
    assert_int_equal(alpha_ledger_next(&l), 0);
    assert_true(ok(alpha_ledger_init(&l, ALPHA_RESET, 50000, &why)));
    alpha_ledger_charge(&l, false);
    assert_int_equal(alpha_ledger_next(&l), 12500);
    alpha_ledger_charge(&l, true);
    assert_int_equal(alpha_ledger_next(&l), 25000);

    /* The same numbers pass at the policy's alpha and not at what is left of the ledger's. */
    struct gate_site s[K];
    struct gate_site_verdict v[K];
    good_sites(s);
    for (int k = 0; k < K; k++) {
        s[k].d = -0.008;
        s[k].var_d = 1.8e-4;
    }
    l.tries = 12;
    struct gate_ledger rule = alpha_ledger_rule(&l);
    struct gate_input in = {.policy = gate_policy_default(), .n_sites = K, .sites = s};
    assert_int_equal(decide(&in, v).decision, GATE_PROMOTE);
    in.ledger = &rule;
    struct gate_record r = decide(&in, v);
    assert_int_equal(r.decision, GATE_HOLD);
    assert_string_equal(r.rule[8].reason, "alpha_ledger");
    l.tries = 0;
    rule = alpha_ledger_rule(&l);
    assert_int_equal(decide(&in, v).decision, GATE_PROMOTE);
}

static void decisions_replay_bit_for_bit(void **state)
{
    (void)state;
    struct gate_site s[K];
    struct gate_site_verdict v[K];
    struct gate_group groups[] = {{"sex=f", 0.01, 1e-4}};
    struct gate_integrity fine = {true, true, true, NULL};
    struct gate_ledger ledger = {.used = true, .approved = true, .alpha = 20000, .policy = "bac"};
    struct why why;
    good_sites(s);
    s[1].status = "timeout";
    s[2].auc = 0.1 + 0.2 + 0.53; /* no short decimal */
    s[3].ece = NAN;
    struct gate_input in = {.policy = gate_policy_default(),
                            .integrity = &fine,
                            .n_sites = K,
                            .sites = s,
                            .n_groups = 1,
                            .groups = groups,
                            .ledger = &ledger,
                            .signatures = 1};
    in.policy.fairness_used = in.policy.calibration_used = true;
    in.policy.signatures_needed = 2;
    struct gate_record r = decide(&in, v);
    char *input = NULL;
    char *record = NULL;
    assert_true(ok(gate_input_text(&in, &input, &why)));
    assert_true(ok(gate_record_text(&r, s, v, &record, &why)));
    assert_true(ok(gate_replay(input, record, &why)));
    char *digit = strstr(record, "\"d_pooled\":0.");
    assert_non_null(digit);
    digit[16] = digit[16] == '1' ? '2' : '1';
    assert_int_equal(gate_replay(input, record, &why).code, RESULT_REFUSED);
    assert_int_equal(gate_replay("{", record, &why).code, RESULT_INPUT);
    assert_int_equal(gate_replay("{\"sites\":[{}]}", record, &why).code, RESULT_INPUT);
    assert_int_equal(gate_replay("{\"sites\":3}", record, &why).code, RESULT_INPUT);
    free(input);
    free(record);
}

static void impossible_policies_are_refused(void **state)
{
    (void)state;
    struct gate_record r;
    struct gate_site_verdict v[1];
    struct why why;
    struct gate_input in = {.policy = gate_policy_default()};
    in.policy.alpha = 0.0;
    assert_int_equal(gate_decide(&in, &r, v, &why).code, RESULT_INPUT);
    in.policy = gate_policy_default();
    in.policy.weight_cap = NAN;
    assert_int_equal(gate_decide(&in, &r, v, &why).code, RESULT_INPUT);
    in.policy = gate_policy_default();
    in.n_sites = GATE_SITES_MAX + 1;
    assert_int_equal(gate_decide(&in, &r, v, &why).code, RESULT_INPUT);
}

/* One site's message from simulated patients: two correlated scores with the given true AUROCs. */
static struct gate_site simulate(struct prng *prng, const char *id, double auc_cand, double auc_inc)
{
    enum { N = 400, M = 80 };
    static double y[N];
    static double cand[N];
    static double inc[N];
    double noise[2 * N];
    double shift_c = M_SQRT2 * normal_ppf(auc_cand);
    double shift_i = M_SQRT2 * normal_ppf(auc_inc);
    prng_normals(prng, (size_t)2 * N, noise);
    for (int i = 0; i < N; i++) {
        y[i] = i < M;
        inc[i] = shift_i * y[i] + noise[2 * i];
        cand[i] = shift_c * y[i] + 0.9 * noise[2 * i] + sqrt(0.19) * noise[2 * i + 1];
    }
    struct auroc_paired p;
    assert_int_equal(auroc_paired(N, y, cand, inc, &p), STAT_OK);
    return (struct gate_site){.id = id,
                              .status = "ok",
                              .n_pos = M,
                              .n_neg = N - M,
                              .auc = p.auc_cand,
                              .var_auc = p.var_cand,
                              .d = p.d,
                              .var_d = p.var_d};
}

static unsigned promotions(unsigned candidates, double true_d, uint64_t seed)
{
    struct prng prng;
    unsigned promoted = 0;
    prng_seed(&prng, seed);
    for (unsigned c = 0; c < candidates; c++) {
        struct gate_site s[K];
        struct gate_site_verdict v[K];
        for (int k = 0; k < K; k++)
            s[k] = simulate(&prng, IDS[k], 0.85 + true_d, 0.85);
        struct gate_input in = {.policy = gate_policy_default(), .n_sites = K, .sites = s};
        promoted += decide(&in, v).decision == GATE_PROMOTE;
    }
    return promoted;
}

static void false_promotion_stays_at_alpha(void **state)
{
    (void)state;
    enum { CANDIDATES = 1000 };
    /* Worse by exactly the margin: the hardest of the worse candidates. */
    unsigned at_margin = promotions(CANDIDATES, -0.02, 20260301);
    unsigned worse = promotions(CANDIDATES / 5, -0.04, 7);
    unsigned equal = promotions(CANDIDATES / 5, 0.0, 11);
    printf("promoted: %u of %d worse by the margin, %u of %d worse by twice that, %u of %d equal\n",
           at_margin, CANDIDATES, worse, CANDIDATES / 5, equal, CANDIDATES / 5);
    assert_true(at_margin <= CANDIDATES * 0.05);
    assert_int_equal(worse, 0);
    assert_true(equal > CANDIDATES / 5 * 0.6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promotes_and_says_why),
        cmocka_unit_test(integrity_comes_first),
        cmocka_unit_test(sites_are_excluded_with_a_reason),
        cmocka_unit_test(harm_and_large_drop_are_both_named),
        cmocka_unit_test(later_rules_hold),
        cmocka_unit_test(ledgers_spend_their_alpha_once),
        cmocka_unit_test(decisions_replay_bit_for_bit),
        cmocka_unit_test(impossible_policies_are_refused),
        cmocka_unit_test(false_promotion_stays_at_alpha),
    };
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
