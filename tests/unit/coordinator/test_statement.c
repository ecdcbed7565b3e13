/* SPDX-License-Identifier: Apache-2.0 */
/* The privacy statement holds every line that it has to, and its figures are the accountant's. */
#include "coordinator/statement.h"
#include "privacy/accountant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "version: 1\nstudy: s\nsites: [a, b]\npatient_id: id\n"                                        \
    "label: {column: ill, type: binary, levels: [\"0\", \"1\"]}\n"                                 \
    "features:\n  - {name: x, type: number, range: [0, 1]}\nmodel: {kind: logistic}\n"             \
    "aggregation: {rule: weighted-mean, quorum: 1, deadline_s: 60}\n"                              \
    "validation: {every: 1, holdout: 0.25}\n"

static json_t *state(const char *rest, uint64_t patients)
{
    char text[2048];
    struct plan plan;
    struct why why;
    json_t *s = NULL;
    snprintf(text, sizeof text, "%s%s", HEAD, rest);
    if (!ok(plan_parse(&plan, "plan", text, strlen(text), &why)))
        fail_msg("%s", why.text);
    if (!ok(statement_of_plan(&plan, patients, &s, &why)))
        fail_msg("%s", why.text);
    plan_free(&plan);
    return s;
}

static double at(const json_t *s, const char *key)
{
    const json_t *value = json_object_get(s, key);
    if (!json_is_number(value))
        fail_msg("the statement has no number '%s'", key);
    return json_number_value(value);
}

static const char *text_at(const json_t *s, const char *key)
{
    const char *text = json_string_value(json_object_get(s, key));
    if (!text || !text[0])
        fail_msg("the statement has no line '%s'", key);
    return text;
}

static void every_line_is_there(void **unused)
{
    (void)unused;
    static const char *const TEXTS[] = {
        "unit",        "adjacency", "against",     "sampling_threshold",    "events",
        "events_hash", "filter",    "accountant",  "charged_side_releases", "uncharged",
        "audited",     "tuning",    "not_covered", "noise_floor",           "plan_hash"};
    static const char *const NUMBERS[] = {"max_sites_per_patient",
                                          "sampling_rate",
                                          "noise_share_of_a_site",
                                          "noise_multiplier",
                                          "effective_noise",
                                          "rounding_slack",
                                          "clip_norm",
                                          "steps",
                                          "lot",
                                          "declared_patients",
                                          "max_rows_per_patient",
                                          "delta",
                                          "epsilon_upper",
                                          "epsilon_lower",
                                          "epsilon_renyi",
                                          "grid",
                                          "epsilon_at_delta_1e-5",
                                          "epsilon_at_delta_1e-9",
                                          "epsilon_at_two_sites"};
    json_t *s = state("training: {rounds: 10, steps: 3, learning_rate: 0.1}\n"
                      "privacy: {mode: patient, epsilon: 2, delta: 1.0e-6, sampling_rate: 0.25, "
                      "clip_norm: 1.5, max_rows_per_patient: 4, metrics_noise: 12}\n",
                      400);
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        text_at(s, TEXTS[i]);
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++)
        at(s, NUMBERS[i]);
    assert_string_equal(text_at(s, "sampling_threshold"), "4611686018427387904"); /* 2^62 */
    assert_true(at(s, "steps") == 30.0 && at(s, "lot") == 75.0 && at(s, "clip_norm") == 1.5);
    assert_true(at(s, "effective_noise") < at(s, "noise_multiplier"));
    assert_non_null(strstr(text_at(s, "charged_side_releases"), "10 score histograms"));
    /* 2 by training, and what the histograms add */
    assert_true(at(s, "epsilon_upper") > 2.1 && at(s, "epsilon_upper") < 2.7);
    assert_true(at(s, "epsilon_lower") <= at(s, "epsilon_upper"));
    assert_true(at(s, "epsilon_upper") <= at(s, "epsilon_renyi") + 1e-9);
    assert_true(at(s, "epsilon_at_delta_1e-5") < at(s, "epsilon_upper"));
    assert_true(at(s, "epsilon_at_delta_1e-9") > at(s, "epsilon_upper"));
    assert_true(at(s, "epsilon_at_two_sites") > 1.3 * at(s, "epsilon_upper"));
    json_decref(s);
}

/* Under secure aggregation the promise is another one, and says so. */
static void shares_of_noise_are_told(void **unused)
{
    (void)unused;
    static const char TEXT[] =
        "version: 1\nstudy: s\nsites: [a, b, c, d, e]\npatient_id: id\n"
        "label: {column: ill, type: binary, levels: [\"0\", \"1\"]}\n"
        "features:\n  - {name: x, type: number, range: [0, 1]}\nmodel: {kind: logistic}\n"
        "compression: none\n"
        "aggregation: {rule: weighted-mean, secure: true, quorum: 4, deadline_s: 60}\n"
        "validation: {every: 1, holdout: 0.25}\n"
        "training: {rounds: 5, steps: 1, learning_rate: 0.1}\n"
        "privacy: {mode: patient, epsilon: 1, noise_multiplier: 9, delta: 1.0e-5, clip_norm: 1}\n";
    struct plan plan;
    struct why why;
    json_t *s = NULL;
    if (!ok(plan_parse(&plan, "plan", TEXT, strlen(TEXT), &why)))
        fail_msg("%s", why.text);
    assert_true(ok(statement_of_plan(&plan, 200, &s, &why)));
    assert_non_null(strstr(text_at(s, "against"), "only sums are seen"));
    assert_null(strstr(text_at(s, "against"), "all of its noise"));
    assert_true(fabs(at(s, "noise_share_of_a_site") * sqrt(3.0) / at(s, "noise_multiplier") - 1) <
                1e-6);
    json_decref(s);
    plan_free(&plan);
}

/* The events are a list that the accountant takes and that gives the epsilon again. */
static void figures_can_be_recomputed(void **unused)
{
    (void)unused;
    json_t *s = state("training: {rounds: 5, steps: 2, learning_rate: 0.1}\n"
                      "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1}\n",
                      200);
    struct event_list *events = calloc(1, sizeof *events);
    struct accountant_bound bound;
    char error[EVENT_ERROR_MAX];
    assert_int_equal(event_list_parse(events, text_at(s, "events"), error), 0);
    assert_int_equal(accountant_epsilon(events, at(s, "delta"), NULL, &bound), ACCOUNTANT_OK);
    assert_true(fabs(bound.upper - at(s, "epsilon_upper")) < 1e-6);
    assert_string_equal(text_at(s, "sampling_threshold"), "2^64");
    free(events);
    json_decref(s);
}

static void findings_stand_beside_the_claim(void **unused)
{
    (void)unused;
    json_t *s = state("training: {rounds: 5, steps: 2, learning_rate: 0.1}\n"
                      "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1}\n",
                      200);
    json_t *audit = json_pack("{s:f, s:i}", "epsilon_audited", 0.13, "canaries", 1000);
    statement_add_findings(s, audit, 15, 1);
    assert_true(at(json_object_get(s, "audited"), "epsilon_audited") == 0.13);
    assert_non_null(strstr(text_at(s, "noise_floor"), "15 updates looked at, 1 flagged"));
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    statement_print(out, s);
    fclose(out);
    assert_non_null(strstr(text, "not_covered"));
    assert_non_null(strstr(text, "epsilon_audited"));
    free(text);
    json_decref(audit);
    json_decref(s);
}

static void without_privacy_nothing_is_promised(void **unused)
{
    (void)unused;
    struct plan plan;
    struct why why;
    json_t *s = NULL;
    static const char TEXT[] = HEAD "training: {rounds: 5, steps: 2, learning_rate: 0.1}\n"
                                    "privacy: {mode: none}\n";
    assert_true(ok(plan_parse(&plan, "plan", TEXT, strlen(TEXT), &why)));
    assert_int_equal(statement_of_plan(&plan, 100, &s, &why).code, RESULT_INPUT);
    assert_null(s);
    plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_is_there),
        cmocka_unit_test(shares_of_noise_are_told),
        cmocka_unit_test(figures_can_be_recomputed),
        cmocka_unit_test(findings_stand_beside_the_claim),
        cmocka_unit_test(without_privacy_nothing_is_promised),
    };
    return cmocka_run_group_tests_name("statement", tests, NULL, NULL);
}
