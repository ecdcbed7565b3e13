/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at a watched model: what they find, what chance alone finds, and that they are computed
 * again byte for byte. */
#include "coordinator/monitoring.h"

#include "coordinator/validation.h"
#include "linalg/special.h"
#include "linalg/stats/prng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct why why;

static json_t *site(const char *name, double auroc, double variance, double accuracy, int epoch,
                    double rows)
{
    return json_pack("{s:s, s:s, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:b}",
                     "name", name, "status", "ok", "used", 1, "rows", rows, "auroc", auroc,
                     "variance", variance, "accuracy", accuracy, "ece", 0.03, "ece_null", 0.03,
                     "spiegelhalter_z", 0.2, "brier", 0.12, "brier_variance", 1e-5, "epoch", epoch,
                     "reused", 0);
}

static json_t *summary(double auroc, double variance, json_t *one, json_t *two)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:[o, o]}", "auroc", auroc, "variance", variance,
                     "gap", 0.02, "gap_se", 0.03, "labels", 800.0, "sites", one, two);
}

static json_t *usual(void)
{
    return summary(0.85, 0.0002, site("a", 0.85, 0.0004, 0.80, 1, 400),
                   site("b", 0.85, 0.0004, 0.80, 1, 400));
}

static json_t *terms(unsigned looks)
{
    json_t *baseline = usual(), *out = NULL;
    struct monitoring_terms in = {
        .study = "s",
        .owner = "omar",
        .policy = monitor_policy_default(),
        .baseline_task = 5,
        .baseline = baseline,
    };
    in.policy.looks = looks;
    assert_true(ok(monitoring_terms_json(&in, &out, &why)));
    json_decref(baseline);
    return out;
}

static const json_t *finding(const json_t *record, const char *scope, const char *rule)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(record, "findings"), i, f)
    {
        if (strcmp(json_string_value(json_object_get(f, "scope")), scope) == 0 &&
            strcmp(json_string_value(json_object_get(f, "rule")), rule) == 0)
            return f;
    }
    fail_msg("no finding %s of %s", rule, scope);
    return NULL;
}

static enum monitor_severity look(const json_t *t, json_t **progress, json_t *now,
                                  json_t **ret_record)
{
    enum monitor_severity severity;
    json_t *record = NULL;
    assert_true(ok(monitoring_look(t, *progress, now, 9, 1000, &record, &severity, &why)));
    json_t *next = json_incref(json_object_get(record, "progress"));
    json_decref(*progress);
    *progress = next;
    json_decref(now);
    if (ret_record)
        *ret_record = record;
    else
        json_decref(record);
    return severity;
}

static void finds_nothing_where_nothing_changed(void **state)
{
    (void)state;
    json_t *t = terms(4), *progress = monitoring_begin(), *record = NULL;
    assert_int_equal(look(t, &progress, usual(), &record), MONITOR_FINE);
    assert_int_equal(json_integer_value(json_object_get(record, "look")), 1);
    /* The same holdout feeds no bet, and what is not reported is not fine but unknown. */
    assert_false(json_is_true(json_object_get(finding(record, "pooled", "e-process"), "known")));
    assert_false(json_is_true(json_object_get(finding(record, "a", "drift"), "known")));
    json_decref(record);
    json_decref(progress);
    json_decref(t);
}

static void one_site_collapses(void **state)
{
    (void)state;
    json_t *t = terms(4), *progress = monitoring_begin(), *record = NULL;
    json_t *now = summary(0.70, 0.0003, site("a", 0.55, 0.0006, 0.60, 1, 400),
                          site("b", 0.85, 0.0004, 0.80, 1, 400));
    assert_int_equal(look(t, &progress, now, &record), MONITOR_SUSPEND);
    const json_t *f = finding(record, "a", "auroc");
    assert_string_equal(json_string_value(json_object_get(f, "severity")), "suspend");
    assert_true(json_integer_value(json_object_get(f, "deadline_ms")) == 1000 + 2 * 86400000);
    f = finding(record, "b", "auroc");
    assert_string_equal(json_string_value(json_object_get(f, "severity")), "fine");
    json_decref(record);
    /* The policy may leave a single site's trouble to people. */
    json_object_set_new(json_object_get(t, "policy"), "site_suspends", json_false());
    now = summary(0.84, 0.0003, site("a", 0.55, 0.0006, 0.60, 1, 400),
                  site("b", 0.85, 0.0004, 0.80, 1, 400));
    assert_int_equal(look(t, &progress, now, NULL), MONITOR_INVESTIGATE);
    json_decref(progress);
    json_decref(t);
}

static void nobody_answers(void **state)
{
    (void)state;
    json_t *t = terms(4), *progress = monitoring_begin(), *record = NULL;
    json_t *now = json_pack("{s:n, s:n, s:[]}", "auroc", "variance", "sites");
    assert_int_equal(look(t, &progress, now, &record), MONITOR_FINE);
    assert_string_equal(json_string_value(json_object_get(record, "severity")), "unknown");
    assert_int_equal(monitoring_looks_done(progress), 0); /* nothing was spent */
    json_decref(record);
    json_decref(progress);
    json_decref(t);
}

static void bets_take_only_new_patients(void **state)
{
    (void)state;
    json_t *t = terms(12), *progress = monitoring_begin(), *record = NULL;
    /* 400 more patients, half of them wrong: 320 + 200 of 800 right. */
    for (int again = 0; again < 2; again++) {
        json_t *now = summary(0.84, 0.0002, site("a", 0.84, 0.0004, 0.65, 2, 800),
                              site("b", 0.85, 0.0004, 0.80, 1, 400));
        assert_int_equal(look(t, &progress, now, &record), MONITOR_INVESTIGATE);
        const json_t *f = finding(record, "pooled", "e-process");
        double log_e = json_number_value(json_object_get(f, "value"));
        /* lambda .25, m0 .75: 202 right at most (accuracies are rounded), 198 wrong; seeing the
         * same epoch twice adds nothing. */
        double expected = 202 * log1p(0.25 * (0.75 - 1)) + 198 * log1p(0.25 * 0.75);
        assert_true(fabs(log_e - expected) < 1e-9);
        json_decref(record);
    }
    json_decref(progress);
    json_decref(t);
}

static void the_same_again(void **state)
{
    (void)state;
    json_t *t = terms(6), *progress = monitoring_begin();
    char *first = NULL, *second = NULL;
    for (int i = 0; i < 2; i++) {
        json_t *now = usual(), *record = NULL;
        enum monitor_severity severity;
        /* As the log gives them: through text. */
        char *text = json_dumps(t, JSON_COMPACT | JSON_REAL_PRECISION(17));
        json_t *parsed = json_loads(text, 0, NULL);
        assert_true(
            ok(monitoring_look(i ? parsed : t, progress, now, 9, 1000, &record, &severity, &why)));
        assert_true(ok(monitoring_text(record, i ? &second : &first, &why)));
        json_decref(record);
        json_decref(parsed);
        json_decref(now);
        free(text);
    }
    assert_string_equal(first, second);
    free(first);
    free(second);
    json_decref(progress);
    json_decref(t);
}

static double normal(struct prng *rng)
{
    return normal_ppf(prng_u01(rng));
}

/* Twelve looks at 4,000 models that have not changed, on holdouts of about 500 patients, new ones
 * at each look: the point rule alone would find something in most of them. */
static void chance_alone_finds_no_more_than_alpha(void **state)
{
    (void)state;
    enum { MODELS = 4000, LOOKS = 12 };
    const double sd = 0.035;
    struct monitor_policy policy = monitor_policy_default();
    struct monitor_finding findings[MONITOR_RULES];
    unsigned suspended = 0, found = 0, points = 0;
    struct prng rng;
    prng_seed(&rng, 7);
    for (int m = 0; m < MODELS; m++) {
        double start = 0.85 + sd * normal(&rng);
        bool any = false, stop = false, point = false;
        double seen = 0.0, time = 0.0;
        for (unsigned k = 1; k <= LOOKS; k++) {
            double auroc = 0.85 + sd * normal(&rng);
            struct monitor_look in = monitor_look_none(0);
            in.auroc_base = start;
            in.auroc_now = auroc;
            in.var_base = in.var_now = sd * sd;
            /* Holdouts of 400 to 600 labels where 500 were planned. */
            seen += 400.0 + 200.0 * prng_u01(&rng);
            double now = monitor_time(&policy, k, seen, 500.0, time);
            enum monitor_severity severity =
                monitor_judge(&policy, monitor_bound(policy.alpha, time, now), &in, findings);
            time = now;
            any = any || severity != MONITOR_FINE;
            stop = stop || severity == MONITOR_SUSPEND;
            point = point || 1.0 - auroc / start > policy.auroc_drop_investigate;
        }
        found += any;
        suspended += stop;
        points += point;
    }
    printf("# of %d unchanged models in %d looks: %.1f %% by the point rule alone, %.2f %% found, "
           "%.2f %% suspended (alpha 2.5 %%)\n",
           MODELS, LOOKS, 100.0 * points / MODELS, 100.0 * found / MODELS,
           100.0 * suspended / MODELS);
    assert_true(points > MODELS / 2);
    assert_true(found <= policy.alpha * MODELS);
}

static double number(const json_t *record, const char *key)
{
    return json_number_value(json_object_get(record, key));
}

/* One look at a holdout of so many labels, of that epoch at site a: its time and bound. */
static void at_labels(const json_t *t, json_t **progress, double labels, int epoch, double *time,
                      double *bound, bool *spends)
{
    json_t *record = NULL, *now = summary(0.85, 0.0002, site("a", 0.85, 0.0004, 0.80, epoch, 400),
                                          site("b", 0.85, 0.0004, 0.80, 1, 400));
    json_object_set_new(now, "labels", json_real(labels));
    assert_int_equal(look(t, progress, now, &record), MONITOR_FINE);
    *time = number(record, "time");
    *bound = number(record, "bound");
    *spends = json_is_true(json_object_get(record, "spends"));
    json_decref(record);
}

/* Alpha goes with the labels judged, never faster than the looks, and the last look takes the rest;
 * the same patients again cost nothing. */
static void information_spends(void **state)
{
    (void)state;
    json_t *t = terms(4), *progress = monitoring_begin();
    double time, bound, full = monitor_bound(0.025, 0.0, 0.25);
    bool spends;
    at_labels(t, &progress, 800, 1, &time, &bound, &spends); /* the baseline's own patients */
    assert_true(time == 0.0 && bound == full && !spends);
    at_labels(t, &progress, 200, 2, &time, &bound, &spends); /* a quarter of a planned look */
    assert_true(fabs(time - 0.0625) < 1e-12 && bound > full && spends);
    at_labels(t, &progress, 8000, 3, &time, &bound, &spends); /* ten times of it */
    assert_true(time == 0.75 && bound == monitor_bound(0.025, 0.0625, 0.75));
    at_labels(t, &progress, 8000, 3, &time, &bound, &spends);
    assert_true(time == 0.75 && !spends && bound == monitor_bound(0.025, 0.75, 1.0));
    json_decref(progress);
    progress = monitoring_begin();
    for (int k = 1; k <= 4; k++) /* small to the end */
        at_labels(t, &progress, 80, k + 1, &time, &bound, &spends);
    assert_true(time == 1.0 && bound == monitor_bound(0.025, 3 * 0.025, 1.0));
    at_labels(t, &progress, 800, 9, &time, &bound, &spends); /* past the plan, as its last look */
    assert_true(time == 1.0 && bound == monitor_bound(0.025, 0.75, 1.0));
    json_decref(progress);
    json_decref(t);
}

/* A Brier score and, where there is one, a C-index are judged beside the AUROC. */
static void other_figures_fall(void **state)
{
    (void)state;
    json_t *t = terms(4), *progress = monitoring_begin(), *record = NULL;
    json_t *base = json_object_get(t, "baseline");
    json_object_set_new(base, "cindex", json_real(0.72));
    json_object_set_new(base, "cindex_variance", json_real(0.0002));
    json_t *a = site("a", 0.85, 0.0004, 0.80, 2, 400);
    json_object_set_new(a, "brier", json_real(0.20));
    json_t *now = summary(0.85, 0.0002, a, site("b", 0.85, 0.0004, 0.80, 2, 400));
    json_object_set_new(now, "cindex", json_real(0.60));
    json_object_set_new(now, "cindex_variance", json_real(0.0002));
    assert_int_equal(look(t, &progress, now, &record), MONITOR_SUSPEND);
    assert_string_equal(json_string_value(
                            json_object_get(finding(record, "pooled", "c-index"), "severity")),
                        "suspend");
    assert_string_equal(json_string_value(
                            json_object_get(finding(record, "a", "brier"), "severity")),
                        "investigate");
    assert_string_equal(json_string_value(
                            json_object_get(finding(record, "b", "brier"), "severity")),
                        "fine");
    json_decref(record);
    json_decref(progress);
    json_decref(t);
}

static void terms_have_bounds(void **state)
{
    (void)state;
    json_t *baseline = usual(), *out = NULL;
    struct monitoring_terms in = {.study = "s",
                                  .owner = "o",
                                  .policy = monitor_policy_default(),
                                  .baseline = baseline};
    in.policy.looks = 0;
    assert_int_equal(monitoring_terms_json(&in, &out, &why).code, RESULT_INPUT);
    in.policy.looks = MONITOR_LOOKS_MAX + 1;
    assert_int_equal(monitoring_terms_json(&in, &out, &why).code, RESULT_INPUT);
    in.policy.looks = MONITOR_LOOKS_MAX;
    in.interval_ms = 999;
    assert_int_equal(monitoring_terms_json(&in, &out, &why).code, RESULT_INPUT);
    in.interval_ms = 1000;
    in.owner = "";
    assert_int_equal(monitoring_terms_json(&in, &out, &why).code, RESULT_INPUT);
    in.owner = "o";
    json_object_set_new(baseline, "auroc", json_null());
    assert_int_equal(monitoring_terms_json(&in, &out, &why).code, RESULT_REFUSED);
    json_decref(baseline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_nothing_where_nothing_changed),
        cmocka_unit_test(one_site_collapses),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(bets_take_only_new_patients),
        cmocka_unit_test(the_same_again),
        cmocka_unit_test(chance_alone_finds_no_more_than_alpha),
        cmocka_unit_test(information_spends),
        cmocka_unit_test(other_figures_fall),
        cmocka_unit_test(terms_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
