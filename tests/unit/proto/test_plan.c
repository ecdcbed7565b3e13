/* SPDX-License-Identifier: Apache-2.0 */
/* Plans, mappings and policies: the shipped ones are read, wrong ones are refused with line and
 * remedy. */
#include "proto/mapping.h"
#include "proto/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char GOOD[] = "version: 1\n"                                                 /* 1 */
                           "study: demo\n"                                                /* 2 */
                           "sites: [alpha, beta, gamma]\n"                                /* 3 */
                           "patient_id: id\n"                                             /* 4 */
                           "label: {column: ill, type: binary, levels: [\"0\", \"1\"]}\n" /* 5 */
                           "features:\n"                                                  /* 6 */
                           "  - {name: age, type: number, range: [0, 120]}\n"             /* 7 */
                           "  - {name: kind, type: category, levels: [a, b, c]}\n"        /* 8 */
                           "  - {name: flag, type: flag, indicator: true}\n"              /* 9 */
                           "model: {kind: logistic}\n"                                    /* 10 */
                           "training: {rounds: 3, learning_rate: 0.1}\n"                  /* 11 */
                           "privacy: {mode: patient, epsilon: 1.0, delta: 1e-5}\n"        /* 12 */
                           "aggregation: {rule: trimmed-mean, byzantine: 1}\n";           /* 13 */

static void a_plan_gets_its_defaults(void **state)
{
    (void)state;
    struct plan plan;
    struct why why;
    struct result r = plan_parse(&plan, "plan.yaml", GOOD, strlen(GOOD), &why);
    if (!ok(r))
        fail_msg("%s", why.text);
    assert_int_equal(plan_inputs(&plan), 1 + 2 + 2);
    assert_int_equal(plan_outputs(&plan), 1);
    assert_true(plan.features[0].centre == 60.0 && plan.features[0].spread == 30.0);
    assert_string_equal(plan.features[2].levels[1].name, "1");
    assert_true(plan.privacy.sampling_rate == 1.0);
    assert_int_equal(plan.aggregation.quorum, 2);
    assert_int_equal(plan_steps_per_round(&plan, 1000), 1);
    plan_free(&plan);
}

/* Replaces from by to in the good plan and expects a refusal that holds every one of the texts. */
static void refuse(const char *from, const char *to, const char *expected, const char *line)
{
    char text[4096];
    const char *at = strstr(GOOD, from);
    struct plan plan;
    struct why why = {{0}};
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - GOOD), GOOD, to, at + strlen(from));
    assert_int_equal(plan_parse(&plan, "plan.yaml", text, strlen(text), &why).code, RESULT_INPUT);
    if (!strstr(why.text, expected) || !strstr(why.text, line))
        fail_msg("'%s' does not say '%s' and '%s'", why.text, expected, line);
}

static void wrong_plans_are_explained(void **state)
{
    (void)state;
    refuse("rounds: 3", "rouns: 3", "did you mean 'rounds'?", "line 11");
    refuse("rounds: 3", "rounds: three", "three", "line 11");
    refuse("rounds: 3", "rounds: 0", "outside", "line 11");
    refuse("learning_rate: 0.1", "learning_rate: 0.1x", "is not a number", "line 11");
    refuse("learning_rate: 0.1", "learning_rate: nan", "is not a number", "line 11");
    refuse("type: number", "type: numbre", "did you mean 'number'?", "line 7");
    refuse("type: number", "type: bool", "one of number, category, flag", "line 7");
    refuse("rounds: 3", "rounds: 2.5", "training/rounds: '2.5' is not a whole number", "line 11");
    refuse("rounds: 3", "rounds: 010", "begins with 0", "line 11");
    refuse("rounds: 3", "rounds: 99999999999", "too large", "line 11");
    refuse("rounds: 3", "rounds: -1", "whole number", "line 11");
    refuse("rounds: 3", "rounds 3", "did you mean 'rounds'?", "line 11");
    refuse("privacy: {mode: patient, epsilon: 1.0, delta: 1e-5}",
           "privacy:\n  mode: patient\n  epsilon: 1,0\n  delta: 1e-5", "as a point", "line 14");
    refuse("privacy: {mode: patient, epsilon: 1.0, delta: 1e-5}",
           "privacy:\n  mode: patient\n\tepsilon: 1.0", "indent with blanks", "line 14");
    refuse("kind: logistic", "kind: logistic, site_intercept: maybe", "neither true nor false",
           "line 10");
    refuse("range: [0, 120]", "range: [0, 120], centre: 600, spread: 9", "outside the range",
           "line 7");
    refuse("range: [0, 120]", "range: [0]", "has 1 entries and needs 2", "line 7");
    refuse("kind: logistic", "", "key 'kind' is missing", "line 1");
    refuse("aggregation:", "study: again\naggregation:", "stands twice", "line 13");
    refuse(", range: [0, 120]", "", "plausible range", "line 7");
    refuse("[0, 120]", "[120, 0]", "plausible range", "line 7");
    refuse("[a, b, c]", "[a, b, a]", "stands twice", "line 8");
    refuse("[a, b, c]", "[a, b, c], shares: [0.5, 0.5]", "one share for each of its 3", "line 8");
    refuse("[a, b, c]", "[a, b, c], shares: [0.5, 0.5, 0.5]", "must add to 1", "line 8");
    refuse("[a, b, c]", "[a, b, c], shares: [1.5, 0, -0.5]", "between 0 and 1", "line 8");
    refuse("range: [0, 120]", "range: [0, 120], shares: [1]", "centre and spread", "line 7");
    refuse("[a, b, c]", "[a, b, c], prior: [0.5]", "each of its 2 columns", "line 8");
    refuse("range: [0, 120]", "range: [0, 120], prior: [0.5, 0.5]", "1 columns", "line 7");
    refuse("range: [0, 120]", "range: [0, 120], prior: [70]", "beyond 10", "line 7");
    refuse("range: [0, 120]", "range: [0, 120], prior: [nan]", "is not a number", "line 7");
    refuse("name: kind", "name: age", "stands twice", "line 7");
    refuse("name: age", "name: ill", "must not see", "line");
    refuse("name: age", "name: id", "patient id", "line");
    refuse("alpha, beta", "Alpha, beta", "not a name", "line 3");
    refuse("alpha, beta", "beta, beta", "stands twice", "line 3");
    refuse("epsilon: 1.0", "epsilon: 70333", "70333", "line 12");
    refuse("byzantine: 1", "byzantine: 2", "below half", "line 13");
    refuse("kind: logistic", "kind: linear", "real label", "line 10");
    refuse("kind: logistic", "kind: mlp", "hidden", "line 10");
    refuse("kind: logistic", "kind: hazard", "needs the follow-up time", "plan.yaml");
    refuse("column: ill,", "column: ill, time: ill,", "the event or the patient id", "line 5");
    refuse("column: ill,", "column: ill, time: age,", "follow-up time", "line 7");
    refuse("column: ill,", "column: ill, time: days, horizon: 5,", "only one", "line 5");
    refuse("version: 1", "version: 2", "version 1", "line 1");
    refuse("rule: trimmed-mean", "{", "", "plan.yaml");
    refuse("aggregation:", "compression: zip\naggregation:", "zip", "line 13");
    refuse("privacy: {mode: patient, epsilon: 1.0, delta: 1e-5}",
           "privacy: {mode: none, epsilon: 1}", "no effect", "line 12");
}

/* A hazard model: one output, its parameters those of a regression, priors allowed. */
static void a_hazard_plan(void **state)
{
    (void)state;
    static const struct {
        const char *label, *training, *says;
    } CASES[] = {{", time: days, horizon: 1826", "", NULL},
                 {", time: days", "", "horizon above 0"},
                 {", time: days, horizon: -1", "", "horizon above 0"},
                 {", time: days, horizon: 2e9", "", "horizon above 0"},
                 {", time: days, horizon: 5", ", class_weights: [1, 2]", "no classes"}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char text[4096];
        struct plan plan;
        struct why why = {{0}};
        snprintf(text, sizeof text,
                 "version: 1\nstudy: demo\nsites: [alpha, beta, gamma]\npatient_id: id\n"
                 "label: {column: ill, type: binary, levels: [\"0\", \"1\"]%s}\n"
                 "features:\n  - {name: age, type: number, range: [0, 120], prior: [0.5]}\n"
                 "model: {kind: hazard}\ntraining: {rounds: 3, learning_rate: 0.1%s}\n"
                 "privacy: {mode: patient, epsilon: 1.0, delta: 1e-5}\n"
                 "aggregation: {rule: weighted-mean}\n",
                 CASES[i].label, CASES[i].training);
        struct result r = plan_parse(&plan, "plan.yaml", text, strlen(text), &why);
        if (CASES[i].says) {
            if (ok(r) || !strstr(why.text, CASES[i].says))
                fail_msg("'%s' does not say '%s'", why.text, CASES[i].says);
            continue;
        }
        if (!ok(r))
            fail_msg("%s", why.text);
        assert_int_equal(plan.model.kind, MODEL_HAZARD);
        assert_string_equal(plan.label.time, "days");
        assert_true(plan.label.horizon == 1826.0 && plan_outputs(&plan) == 1);
        plan_free(&plan);
    }
}

/* The last two lines of a plan, tried with secure aggregation; NULL: it is good. */
static void with_secure(const char *more, const char *aggregation, const char *expected)
{
    char text[4096];
    struct plan plan;
    struct why why = {{0}};
    const char *end = strstr(GOOD, "privacy:");
    snprintf(text, sizeof text, "%.*s%saggregation: {rule: weighted-mean, secure: true%s}\n",
             (int)(end - GOOD), GOOD, more, aggregation);
    struct result r = plan_parse(&plan, "plan.yaml", text, strlen(text), &why);
    if (!expected && !ok(r))
        fail_msg("%s", why.text);
    if (expected && (ok(r) || !strstr(why.text, expected)))
        fail_msg("'%s' does not say '%s'", why.text, expected);
    if (ok(r)) {
        assert_int_equal(plan.aggregation.secure_threshold, 3);
        assert_int_equal(plan.aggregation.quorum, 3);
        plan_free(&plan);
    }
}

#define SHARED "privacy: {mode: patient, epsilon: 1.0, noise_multiplier: 8}\n"

static void what_secure_aggregation_excludes(void **state)
{
    (void)state;
    with_secure("privacy: {mode: none}\n", "", NULL);
    with_secure("privacy: {mode: none}\n", ", byzantine: 1", "hostile");
    with_secure("privacy: {mode: none}\n", ", max_norm: 3", "hidden");
    with_secure("privacy: {mode: none}\n", ", secure_threshold: 2", "use 3 or more");
    with_secure("privacy: {mode: none}\n", ", secure_threshold: 4, quorum: 3",
                "more than the 3 sites");
    with_secure("privacy: {mode: none}\n", ", secure_colluders: 2", "with 2 that collude");
    with_secure("privacy: {mode: none}\n", ", quorum: 2", "below the secure threshold");
    with_secure("privacy: {mode: none}\ncompression: eden-4\n", "", "does not add up");
    with_secure("privacy: {mode: none}\nvalidation: {matrix: true}\n", "", "own models");
    with_secure(SHARED, "", "steps: 1");
    refuse("byzantine: 1", "byzantine: 1, secure: true", "single updates", "line 13");
    refuse("byzantine: 1", "byzantine: 1, secure_threshold: 3", "no effect", "line 13");
}

static void odd_files_are_refused(void **state)
{
    (void)state;
    struct plan plan;
    struct why why;
    static const char zero[] = "version: 1\n\0study: x";
    assert_false(ok(plan_parse(&plan, "p", "", 0, &why)));
    assert_false(ok(plan_parse(&plan, "p", "\n", 1, &why)));
    assert_false(ok(plan_parse(&plan, "p", zero, sizeof zero, &why)));
    assert_false(ok(plan_parse(&plan, "p", "a: &x [*x]\n", 11, &why)));
    char *big = calloc(1, PLAN_BYTES_MAX + 1);
    assert_false(ok(plan_parse(&plan, "p", big, PLAN_BYTES_MAX + 1, &why)));
    free(big);
    for (size_t cut = 0; cut < strlen(GOOD); cut++) {
        if (ok(plan_parse(&plan, "p", GOOD, cut, &why)))
            plan_free(&plan);
    }
}

static void shipped_plans_are_good(void **state)
{
    (void)state;
    static const char *const names[] = {"stroke",        "stroke-encoded", "stroke-private",
                                        "stroke-secure", "stroke-robust",  "thyroid",
                                        "heart"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[1024];
        struct plan plan;
        struct why why;
        snprintf(path, sizeof path, "%s/../../deploy/plans/%s.yaml", getenv("CONSILIUM_VECTORS"),
                 names[i]);
        if (!ok(plan_load(&plan, path, NULL, NULL, &why)))
            fail_msg("%s", why.text);
        plan_free(&plan);
    }
}

static void mappings(void **state)
{
    (void)state;
    static const char good[] = "version: 1\ndata: patients.csv\ndeclared_patients: 700\n"
                               "missing: [NA, \"-9\"]\n"
                               "columns:\n  - {plan: age, column: AGE_Y, factor: 0.083333}\n"
                               "  - {plan: sex, codes: [{from: M, to: male}]}\n";
    struct mapping mapping;
    struct why why;
    if (!ok(mapping_parse(&mapping, "m", good, strlen(good), &why)))
        fail_msg("%s", why.text);
    assert_int_equal(mapping.columns_count, 2);
    assert_string_equal(mapping.columns[1].column, "sex");
    assert_true(mapping.columns[1].factor == 1.0);
    assert_string_equal(mapping.missing[1].name, "-9");
    mapping_free(&mapping);
    static const char twice[] = "version: 1\ndata: x\ncolumns:\n  - {plan: a}\n  - {plan: a}\n";
    assert_false(ok(mapping_parse(&mapping, "m", twice, strlen(twice), &why)));
    assert_non_null(strstr(why.text, "stands twice"));
}

static void policies(void **state)
{
    (void)state;
    static const char good[] = "version: 1\ndecision: allow\nresearchers: [rhea]\n"
                               "features_refused: [kind]\nepsilon_per_study: 0.5\n";
    struct policy policy;
    struct plan plan;
    struct why why;
    if (!ok(policy_parse(&policy, "policy.yaml", good, strlen(good), &why)))
        fail_msg("%s", why.text);
    assert_int_equal(policy.decision, DECISION_ALLOW);
    assert_true(policy.epsilon_per_study == 0.5 && policy.epsilon_total == 10.0);
    assert_true(policy.privacy_required);
    assert_true(ok(plan_parse(&plan, "plan.yaml", GOOD, strlen(GOOD), &why)));
    assert_int_equal(policy_check(&policy, &plan, "nemo", 900, 0.4, &why).code, RESULT_REFUSED);
    assert_non_null(strstr(why.text, "nemo"));
    assert_int_equal(policy_check(&policy, &plan, "rhea", 900, 0.4, &why).code, RESULT_REFUSED);
    assert_non_null(strstr(why.text, "kind"));
    policy.features_refused_count = 0;
    assert_true(ok(policy_check(&policy, &plan, "rhea", 900, 0.4, &why)));
    assert_false(ok(policy_check(&policy, &plan, "rhea", 900, 0.6, &why)));
    assert_false(ok(policy_check(&policy, &plan, "rhea", 10, 0.4, &why)));
    plan.privacy.mode = PRIVACY_NONE;
    assert_false(ok(policy_check(&policy, &plan, "rhea", 900, 0.0, &why)));
    plan_free(&plan);
    policy_free(&policy);
    assert_false(ok(policy_parse(&policy, "p", "version: 1\nepsilon_total: -1\n", 28, &why)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_gets_its_defaults),
        cmocka_unit_test(wrong_plans_are_explained),
        cmocka_unit_test(a_hazard_plan),
        cmocka_unit_test(what_secure_aggregation_excludes),
        cmocka_unit_test(odd_files_are_refused),
        cmocka_unit_test(shipped_plans_are_good),
        cmocka_unit_test(mappings),
        cmocka_unit_test(policies),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
