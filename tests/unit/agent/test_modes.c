/* SPDX-License-Identifier: Apache-2.0 */
/* From vaults to the coordinator's gate: sites that release figures in different forms together,
 * and holdouts that no figure can be made of, each with a typed word in the records. */
#include "agent/vault/room.h"
#include "coordinator/gate_policy.h"
#include "coordinator/judge.h"
#include "coordinator/pooling_groups.h"
#include "coordinator/validate/gate_json.h"
#include "coordinator/validation.h"
#include "linalg/stats/hist_figures.h"
#include "privacy/event.h"
#include "privacy/laplace.h"
#include "proto/plan_model.h"
#include "tests/hospital.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SITES = 3, PATIENTS = 3000 };

#define PRIVATE                                                                                    \
    "training: {rounds: 3, steps: 2, learning_rate: 0.1}\n"                                        \
    "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1}\n"
#define PLAIN                                                                                      \
    "training: {rounds: 9, epochs: 2, learning_rate: 0.1}\n"                                       \
    "privacy: {mode: none}\n"
#define ALLOW                                                                                      \
    "decision: allow\nprivacy_required: false\nepsilon_per_study: 9\nepsilon_per_year: 20\n"       \
    "epsilon_total: 20\ndelta: 1.0e-4\nmin_patients: 50\n"

/* Weights of age and sex, and the intercept; the first is the law of the patients. */
static const float GOOD[] = {3.4375f, 0.0f, 0.625f}, WORSE[] = {1.7f, 2.5f, 0.0f};

static void write_patients(const struct hospital *h, int count, bool all_fell)
{
    char path[128];
    snprintf(path, sizeof path, "%s/patients.csv", h->folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("id,age,sex,fell\n", f);
    for (int i = 0; i < count; i++) {
        int age = 20 + (i * 37 + h->seed) % 61;
        double chance = 1.0 / (1.0 + exp((50.0 - age) / 8.0));
        bool fell = ((i + 101 * h->seed) * 7919 % 1000 + 0.5) / 1000.0 < chance;
        fprintf(f, "p%d,%d,%s,%d\n", i, age, i % 3 ? "F" : "M", all_fell || fell);
    }
    assert_int_equal(fclose(f), 0);
}

static unsigned char *models_of(const struct hospital *h, uint32_t round, bool both, size_t *ret_n)
{
    struct model model;
    struct why why;
    unsigned char *plain = NULL;
    float good[3], worse[3];
    assert_true(ok(plan_build_model(&h->plan, &model, &why)));
    assert_int_equal(model.parameters, 3);
    memcpy(good, GOOD, sizeof good);
    memcpy(worse, WORSE, sizeof worse);
    struct payload_model models[] = {{.name = "global", .parameters = good},
                                     {.name = JUDGE_INCUMBENT, .parameters = worse}};
    struct payload_model_set set = {.round = round,
                                    .parameters_count = 3,
                                    .models_count = both ? 2 : 1,
                                    .models = models};
    assert_true(ok(payload_model_set_encode(&set, &plain, ret_n, &why)));
    return plain;
}

static struct payload_evaluation answer(struct hospital *h, struct ipc_message request)
{
    struct payload_evaluation e;
    struct why why;
    size_t n = 0;
    struct vault_reply reply = hospital_ask(h, request);
    unsigned char *plain = hospital_open_result(h, &reply, &n);
    assert_true(ok(payload_evaluation_decode(&e, plain, n, &why)));
    free(plain);
    return e;
}

static struct payload_evaluation judge_both(struct hospital *h)
{
    size_t n = 0;
    unsigned char *models = models_of(h, 1, true, &n);
    struct ipc_message request = hospital_task_with(h, TASK_EVALUATE, 1, 1, models, n);
    free(models);
    return answer(h, request);
}

static const char *const NAMES[SITES] = {"north", "ouest", "south"};

static void allow(struct hospital *h)
{
    struct vault_reply reply = hospital_ask(h, hospital_offer(h));
    assert_int_equal(reply.message->study_answer.verdict, STUDY_ALLOWED);
}

/* Sites of one study as the coordinator knows them, all of whom answered. */
static void fill_study(struct study *study)
{
    memset(study, 0, sizeof *study);
    snprintf(study->name, sizeof study->name, "falls");
    study->members_count = study->task.sites_count = SITES;
    for (int i = 0; i < SITES; i++) {
        snprintf(study->members[i].name, PLAN_NAME_BYTES, "%s", NAMES[i]);
        study->members[i].verdict = MEMBER_ALLOWED;
        study->members[i].declared_patients = PATIENTS;
        study->task.sites[i].standing = STANDING_COUNTED;
    }
}

static double charged(struct hospital *h, size_t *ret_events)
{
    static struct event_list events;
    char error[EVENT_ERROR_MAX];
    const struct ledger_study *study = ledger_find(&h->vault.ledger, "falls");
    assert_int_equal(event_list_parse(&events, study->charge.events, error), 0);
    *ret_events = events.count;
    if (events.count > 1) /* the line of the figures: three evaluations are planned */
        assert_true(events.events[1].kind == EVENT_EPSILON_DELTA && events.events[1].steps == 3 &&
                    events.events[1].delta == 0.0 &&
                    events.events[1].epsilon == laplace_event(laplace_scale(2.0), 1).epsilon);
    return study->charge.epsilon;
}

static void check_forms(const struct pooling_input *in)
{
    const struct payload_evaluation *scalars = &in[0].evaluation, *bins = &in[1].evaluation,
                                    *noised = &in[2].evaluation;
    assert_int_equal(scalars->release, EVALUATION_RELEASE_THRESHOLD);
    assert_int_equal(bins->release, EVALUATION_RELEASE_HISTOGRAM);
    assert_int_equal(noised->release, EVALUATION_RELEASE_NOISED_HISTOGRAM);
    assert_int_equal(scalars->models[0].bins_count, 0);
    assert_true(isfinite(scalars->models[1].difference) && isfinite(bins->models[1].difference));
    struct hist_figures h;
    const struct evaluation_model *m = &bins->models[0];
    hist_figures(m->bins_count, m->positives, m->negatives, 0.0, &h);
    assert_true(h.auroc_bound > 0.0 && h.auroc_bound < 0.05);
    assert_true(fabs(h.auroc - m->groups[0].auroc) <= h.auroc_bound + 0.0005);
    assert_true(noised->metrics_noise == 2.0 && noised->metrics_epsilon > 0.0);
    assert_true(isnan(noised->models[1].difference));
    assert_int_equal(noised->drift.status, EVALUATION_STATISTIC_REFUSED);
    assert_int_equal(noised->strata.status, EVALUATION_STATISTIC_REFUSED);
    hist_figures(noised->models[0].bins_count, noised->models[0].positives,
                 noised->models[0].negatives, 2.0, &h);
    assert_true(fabs(h.auroc - noised->models[0].groups[0].auroc) <= 0.0005);
    for (int i = 0; i < SITES; i++)
        assert_int_equal(in[i].evaluation.models[0].groups[0].status, EVALUATION_OK);
}

static void three_forms_reach_one_verdict(void **state)
{
    (void)state;
    static const char *const POLICIES[SITES] = {ALLOW "metrics: threshold\n",
                                                ALLOW "metrics: histogram\n",
                                                ALLOW
                                                "metrics: noised-histogram\nmetrics_noise: 2\n"};
    static struct hospital h[SITES];
    static struct study study;
    struct pooling_input inputs[SITES];
    double epsilon[SITES];
    struct why why;
    for (int i = 0; i < SITES; i++) {
        size_t events;
        hospital_open_as(&h[i], NAMES[i], "[north, ouest, south]", PRIVATE, POLICIES[i]);
        write_patients(&h[i], PATIENTS, false);
        allow(&h[i]);
        epsilon[i] = charged(&h[i], &events);
        assert_int_equal(events, i == 2 ? 2 : 1);
        inputs[i] = (struct pooling_input){.site = (uint32_t)i, .evaluation = judge_both(&h[i])};
    }
    assert_true(epsilon[0] == epsilon[1] && epsilon[2] > epsilon[0] + 0.1);
    check_forms(inputs);
    fill_study(&study);
    struct gate_rules rules = gate_rules_default();
    const unsigned char candidate[PLAN_HASH_BYTES] = {1}, incumbent[PLAN_HASH_BYTES] = {2};
    struct judge_case in = {.study = &study,
                            .plan = &h[0].plan,
                            .inputs = inputs,
                            .n = SITES,
                            .policy = &rules.gate,
                            .candidate = candidate,
                            .incumbent = incumbent,
                            .now_ms = 5};
    struct judgement out;
    assert_true(ok(judge(&in, &out, &why)));
    if (out.decision != GATE_PROMOTE)
        fail_msg("%s", out.record);
    assert_true(ok(gate_replay(out.input, out.record, &why)));
    json_t *record = json_loads(out.record, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(record, "used")), SITES);
    assert_true(json_number_value(json_object_get(record, "d_lower")) > -0.05);
    json_decref(record);
    judgement_free(&out);
    json_t *sum = pooling_histogram(inputs, SITES);
    assert_int_equal(json_integer_value(json_object_get(sum, "sites")), 2);
    assert_int_equal(json_integer_value(json_object_get(sum, "noised")), 1);
    assert_true(json_number_value(json_object_get(sum, "auroc_bound")) > 0.0);
    json_decref(sum);
    for (int i = 0; i < SITES; i++) {
        payload_evaluation_free(&inputs[i].evaluation);
        hospital_close(&h[i]);
    }
}

/* The words of the coordinator's records for what one site answered. */
static void check_words(struct payload_evaluation *e, const struct plan *plan, const char *status,
                        const char *sentence)
{
    static struct study study;
    struct pooling_input input = {.site = 0, .evaluation = *e};
    const unsigned char model[PLAN_HASH_BYTES] = {1};
    struct pooling pooling;
    struct why why;
    char *text = NULL, *record = NULL, *detail = NULL;
    fill_study(&study);
    study.members_count = study.task.sites_count = 1;
    const struct validation_case in = {&study, plan, &input, 1, model};
    assert_true(ok(validation_text(&in, &text, &why)));
    json_t *o = json_loads(text, 0, NULL);
    const json_t *none = json_array_get(json_object_get(o, "non_results"), 0);
    assert_string_equal(json_string_value(json_object_get(none, "status")), status);
    json_decref(o);
    pooling_compute(&study, &input, 1, &pooling);
    assert_true(isnan(pooling.auroc));
    assert_true(ok(pooling_record(&study, &input, 1, &pooling, &record, &detail, &why)));
    o = json_loads(record, 0, NULL); /* what report, status and watch are made of */
    assert_string_equal(json_string_value(
                            json_object_get(json_object_get(o, "no_figures"), "north")),
                        sentence);
    json_decref(o);
    free(text);
    free(record);
    free(detail);
    payload_evaluation_free(e);
}

/* Every score the same, all ties in two places, one outcome only, one patient, nobody. */
static void holdouts_without_figures_are_typed(void **state)
{
    (void)state;
    static struct hospital h;
    const float ONES[][3] = {{0, 0, 0.3f}, {0, 2.0f, 0}};
    hospital_open(&h, PLAIN, ALLOW);
    write_patients(&h, PATIENTS, false);
    allow(&h);
    uint32_t task = 1;
    for (size_t k = 0; k < 2; k++, task++) {
        float w[3];
        size_t n = 0;
        unsigned char *plain = NULL;
        struct why why;
        memcpy(w, ONES[k], sizeof w);
        struct payload_model one = {.name = "global", .parameters = w};
        struct payload_model_set set = {.round = task,
                                        .parameters_count = 3,
                                        .models_count = 1,
                                        .models = &one};
        assert_true(ok(payload_model_set_encode(&set, &plain, &n, &why)));
        struct payload_evaluation e =
            answer(&h, hospital_task_with(&h, TASK_EVALUATE, task, task, plain, n));
        assert_int_equal(e.strata.status, EVALUATION_STATISTIC_REFUSED);
        check_words(&e, &h.plan, "degenerate_scores", "degenerate scores");
        free(plain);
    }
    write_patients(&h, PATIENTS, true);
    size_t n = 0;
    unsigned char *good = models_of(&h, 3, false, &n);
    struct payload_evaluation e =
        answer(&h, hospital_task_with(&h, TASK_EVALUATE, task, 3, good, n));
    check_words(&e, &h.plan, "single_class", "only one class in the holdout");
    free(good);
    task++;
    write_patients(&h, 1, false); /* who trains: nobody is held out */
    good = models_of(&h, 4, false, &n);
    e = answer(&h, hospital_task_with(&h, TASK_EVALUATE, task, 4, good, n));
    check_words(&e, &h.plan, "no_labels", "no labels");
    free(good);
    task++;
    write_patients(&h, 20, false); /* a few of each outcome */
    good = models_of(&h, 5, false, &n);
    e = answer(&h, hospital_task_with(&h, TASK_EVALUATE, task, 5, good, n));
    check_words(&e, &h.plan, "below_min_cell", "below the minimum cell");
    free(good);
    hospital_close(&h);
}

/* NaN is no parameter: nothing is judged, and the task is declined with a sentence. */
static void scores_that_are_no_numbers_are_declined(void **state)
{
    (void)state;
    static struct hospital h;
    float w[] = {NAN, 0, 0};
    size_t n = 0;
    unsigned char *plain = NULL;
    struct why why;
    hospital_open(&h, PLAIN, ALLOW);
    write_patients(&h, PATIENTS, false);
    allow(&h);
    struct payload_model one = {.name = "global", .parameters = w};
    struct payload_model_set set = {.round = 1,
                                    .parameters_count = 3,
                                    .models_count = 1,
                                    .models = &one};
    assert_true(ok(payload_model_set_encode(&set, &plain, &n, &why)));
    struct vault_reply reply =
        hospital_ask(&h, hospital_task_with(&h, TASK_EVALUATE, 1, 1, plain, n));
    assert_int_equal(reply.type, IPC_SIGNED);
    assert_int_equal(reply.message->kind, MESSAGE_TASK_DECLINED);
    assert_true(strstr(reply.message->task_declined.reason, "finite") != NULL);
    free(plain);
    hospital_close(&h);
}

/* A level of the plan that nobody has, and one of few: statuses, no crash, no number. */
static void empty_groups_are_typed(void **state)
{
    (void)state;
    static struct hospital h;
    char path[128];
    hospital_open(&h, PLAIN, ALLOW);
    snprintf(path, sizeof path, "%s/patients.csv", h.folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("id,age,sex,fell\n", f);
    for (int i = 0; i < 600; i++)
        fprintf(f, "p%d,%d,F,%d\n", i, 20 + i * 37 % 61, (i * 7919) % 100 < i * 37 % 61 + 20);
    assert_int_equal(fclose(f), 0);
    allow(&h);
    struct payload_evaluation e = judge_both(&h);
    const struct evaluation_figures *g = e.models[0].groups;
    assert_int_equal(e.models[0].groups_count, 3);
    assert_int_equal(g[0].status, EVALUATION_OK);
    assert_string_equal(g[2].group, "sex=M");
    assert_true(g[2].status != EVALUATION_OK && isnan(g[2].auroc) && g[2].positives == 0);
    payload_evaluation_free(&e);
    hospital_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_forms_reach_one_verdict),
        cmocka_unit_test(holdouts_without_figures_are_typed),
        cmocka_unit_test(scores_that_are_no_numbers_are_declined),
        cmocka_unit_test(empty_groups_are_typed),
    };
    return cmocka_run_group_tests_name("modes", tests, NULL, NULL);
}
