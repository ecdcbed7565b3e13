/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and schedules of a plan on hand-computed cases. */
#include "proto/plan_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct plan_feature features[] = {
    {.type = FEATURE_NUMBER, .indicator = true},
    {.type = FEATURE_CATEGORY, .levels_count = 4},
    {.type = FEATURE_FLAG, .indicator = true},
};
static unsigned hidden[] = {8, 3};

static void model_has_the_plans_shape(void **state)
{
    (void)state;
    struct plan plan = {.features = features,
                        .features_count = 3,
                        .label = {.type = LABEL_CLASS, .levels_count = 3},
                        .model = {.kind = MODEL_MLP,
                                  .hidden = hidden,
                                  .hidden_count = 2,
                                  .activation = ACTIVATION_TANH}};
    struct model model;
    struct why why;
    assert_int_equal(plan_inputs(&plan), 7);
    assert_int_equal(plan_outputs(&plan), 3);
    assert_true(ok(plan_build_model(&plan, &model, &why)));
    assert_int_equal(model.parameters, 7 * 8 + 8 + 8 * 3 + 3 + 3 * 3 + 3);
    assert_int_equal(model.spec.activation, MODEL_TANH);
    plan.model.kind = MODEL_LOGISTIC;
    assert_true(ok(plan_build_model(&plan, &model, &why)));
    assert_int_equal(model.parameters, 8);
    hidden[0] = 0;
    plan.model.kind = MODEL_MLP;
    assert_int_equal(plan_build_model(&plan, &model, &why).code, RESULT_INPUT);
    hidden[0] = 8;
}

static void steps_follow_from_batch_or_rate(void **state)
{
    (void)state;
    struct plan plan = {.training = {.epochs = 2, .batch = 32}};
    assert_int_equal(plan_steps_per_round(&plan, 65), 6);
    plan.training.batch = 0;
    assert_int_equal(plan_steps_per_round(&plan, 65), 2);
    plan.privacy = (struct plan_privacy){.mode = PRIVACY_PATIENT, .sampling_rate = 0.3};
    assert_int_equal(plan_steps_per_round(&plan, 65), 8);
    plan.training.steps = 5;
    assert_int_equal(plan_steps_per_round(&plan, 65), 5);
}

/* Category columns stand side by side, an indicator after its feature's columns. */
static void priors_stand_at_their_columns(void **state)
{
    (void)state;
    double age[] = {0.5}, kind[] = {0.25, 0.0, -1.0}, flag[] = {2.0}, w[8];
    struct plan_feature known[3] = {features[0], features[1], features[2]};
    struct plan plan = {.features = known,
                        .features_count = 3,
                        .label = {.type = LABEL_BINARY, .levels_count = 2},
                        .model = {.kind = MODEL_LOGISTIC}};
    struct model model;
    struct why why;
    assert_true(ok(plan_build_model(&plan, &model, &why)));
    plan_start(&plan, &model, w);
    for (size_t i = 0; i < 8; i++)
        assert_true(w[i] == 0.0);
    known[0].prior = age;
    known[1].prior = kind;
    known[2].prior = flag;
    known[0].prior_count = known[2].prior_count = 1;
    known[1].prior_count = 3;
    plan_start(&plan, &model, w);
    const double expected[8] = {0.5, 0.0, 0.25, 0.0, -1.0, 2.0, 0.0, 0.0};
    for (size_t i = 0; i < 8; i++)
        assert_true(w[i] == expected[i]);
}

static void schedules_reach_their_ends(void **state)
{
    (void)state;
    struct plan plan = {.training = {.rounds = 11, .learning_rate = 2.0, .average_from = 0.5}};
    assert_true(plan_learning_rate(&plan, 7) == 2.0);
    plan.training.learning_rate_end = 1.0;
    assert_true(plan_learning_rate(&plan, 1) == 2.0);
    assert_true(fabs(plan_learning_rate(&plan, 6) - 1.5) < 1e-12);
    assert_true(fabs(plan_learning_rate(&plan, 11) - 1.0) < 1e-12);
    assert_false(plan_averages(&plan, 6));
    assert_true(plan_averages(&plan, 7));
    plan.training.average_from = 1.0;
    assert_false(plan_averages(&plan, 11));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_has_the_plans_shape),
        cmocka_unit_test(steps_follow_from_batch_or_rate),
        cmocka_unit_test(priors_stand_at_their_columns),
        cmocka_unit_test(schedules_reach_their_ends),
    };
    return cmocka_run_group_tests_name("plan_model", tests, NULL, NULL);
}
