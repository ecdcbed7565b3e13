/* SPDX-License-Identifier: Apache-2.0 */
/* A site's round: what it returns, what it keeps, what it refuses, with and without privacy. */
#include "agent/vault/train.h"
#include "linalg/blas.h"
#include "linalg/vec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENTS = 300, PARAMETERS = 3 };

static struct plan_level no_yes[] = {{"0"}, {"1"}};
static struct plan_feature features[] = {
    {.name = "a", .type = FEATURE_NUMBER, .low = -9, .high = 9, .centre = 0, .spread = 1},
    {.name = "b", .type = FEATURE_NUMBER, .low = -9, .high = 9, .centre = 0, .spread = 2},
};

static struct plan small_plan(void)
{
    return (struct plan){
        .patient_id = "id",
        .label = {.column = "y", .type = LABEL_BINARY, .levels = no_yes, .levels_count = 2},
        .features = features,
        .features_count = 2,
        .model = {.kind = MODEL_LOGISTIC},
        .training = {.rounds = 4,
                     .epochs = 1,
                     .batch = 16,
                     .learning_rate = 0.2,
                     .average_from = 0.5,
                     .seed = 7},
        .privacy = {.mode = PRIVACY_NONE,
                    .clip_norm = 1.0,
                    .sampling_rate = 1.0,
                    .max_rows_per_patient = 1},
    };
}

/* count patients whose label follows a. */
static void load(struct dataset *d, const struct plan *plan, size_t count)
{
    static const unsigned char key[DATASET_KEY_BYTES] = {5};
    struct mapping mapping = {.declared_patients = PATIENTS};
    struct why why;
    FILE *file = tmpfile();
    assert_non_null(file);
    fprintf(file, "id,a,b,y\n");
    for (size_t i = 0; i < count; i++) {
        double a = (double)((i * 37) % 101) / 25.0 - 2.0, b = (double)((i * 53) % 89) / 22.0 - 2.0;
        fprintf(file, "p%zu,%g,%g,%d\n", i, a, b, a + 0.3 * b > 0.2 * (double)(i % 5) ? 1 : 0);
    }
    rewind(file);
    assert_true(ok(dataset_load(d, plan, &mapping, "a.csv", file, key, &why)));
    fclose(file);
}

static struct trainer *make(const struct plan *plan, const struct dataset *d, double noise)
{
    struct trainer *t;
    struct why why;
    struct train_site site = {PATIENTS, noise};
    if (!ok(trainer_create(&t, plan, d, &site, &why)))
        fail_msg("%s", why.text);
    return t;
}

static void step(struct trainer *t, unsigned number, const double *global,
                 struct train_intercept *state, float *update)
{
    struct why why;
    if (!ok(trainer_round(t, number, global, state, state, update, &why)))
        fail_msg("%s", why.text);
}

static double norm_of(const float *update)
{
    double x[PARAMETERS];
    for (size_t i = 0; i < PARAMETERS; i++)
        x[i] = (double)update[i];
    return vec_norm(PARAMETERS, x);
}

static void rounds_are_reproducible(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct train_intercept none = {{0}, {0}, 0};
    const double global[PARAMETERS] = {0.1, -0.2, 0.05};
    float first[PARAMETERS], again[PARAMETERS], later[PARAMETERS];
    load(&d, &plan, PATIENTS);
    struct trainer *t = make(&plan, &d, 0.0), *other = make(&plan, &d, 0.0);
    step(t, 2, global, &none, first);
    step(t, 3, global, &none, later);
    step(other, 2, global, &none, again);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, later, sizeof first);
    assert_true(norm_of(first) > 0.1);
    trainer_free(t);
    trainer_free(other);
    dataset_free(&d);
}

/* One full-batch step of SGD is the rate times the gradient, worked out here by hand. */
static void one_step_is_the_gradient(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct train_intercept none = {{0}, {0}, 0};
    const double global[PARAMETERS] = {0.4, -0.3, 0.1};
    float update[PARAMETERS];
    plan.training.batch = 0;
    load(&d, &plan, PATIENTS);
    double expected[PARAMETERS] = {0};
    for (size_t r = 0; r < d.train.rows; r++) {
        const double *x = d.train.x + 2 * r;
        double z = 0.4 * x[0] - 0.3 * x[1] + 0.1, e = 1.0 / (1.0 + exp(-z)) - d.train.y[r];
        expected[0] -= 0.2 * e * x[0] / (double)d.train.rows;
        expected[1] -= 0.2 * e * x[1] / (double)d.train.rows;
        expected[2] -= 0.2 * e / (double)d.train.rows;
    }
    struct trainer *t = make(&plan, &d, 0.0);
    step(t, 1, global, &none, update);
    for (size_t i = 0; i < PARAMETERS; i++)
        assert_true(fabs((double)update[i] - expected[i]) < 1e-7);
    trainer_free(t);
    dataset_free(&d);
}

static void proximal_term_holds_back(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct train_intercept none = {{0}, {0}, 0};
    const double global[PARAMETERS] = {0};
    float free_update[PARAMETERS], held[PARAMETERS];
    load(&d, &plan, PATIENTS);
    struct trainer *t = make(&plan, &d, 0.0);
    step(t, 1, global, &none, free_update);
    trainer_free(t);
    plan.training.proximal = 3.0;
    t = make(&plan, &d, 0.0);
    step(t, 1, global, &none, held);
    assert_true(norm_of(held) < 0.5 * norm_of(free_update));
    trainer_free(t);
    dataset_free(&d);
}

/* One step under a penalty so strong that it undoes a whole unit: back to the prior, but for the
 * data's own small pull. */
static void penalty_draws_to_the_prior(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct train_intercept none = {{0}, {0}, 0};
    struct plan_feature known[2] = {features[0], features[1]};
    double prior[2] = {0.75, -1.5};
    const double global[PARAMETERS] = {2.0, 1.0, 0.0};
    float update[PARAMETERS];
    for (size_t i = 0; i < 2; i++) {
        known[i].prior = &prior[i];
        known[i].prior_count = 1;
    }
    plan.features = known;
    plan.training.batch = 0;
    plan.training.l2 = 1000.0;
    plan.training.learning_rate = 0.001;
    load(&d, &plan, PATIENTS);
    struct trainer *t = make(&plan, &d, 0.0);
    step(t, 1, global, &none, update);
    for (size_t i = 0; i < 2; i++)
        assert_true(fabs(global[i] + (double)update[i] - prior[i]) < 0.01);
    assert_true(fabs((double)update[2]) < 0.01);
    trainer_free(t);
    dataset_free(&d);
}

static void intercept_stays_at_the_site(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct train_intercept kept = {{0}, {0}, 0};
    double global[PARAMETERS] = {0.1, 0.1, 99.0}, local[PARAMETERS], sum = 0.0;
    float update[PARAMETERS];
    plan.model.site_intercept = true;
    load(&d, &plan, PATIENTS);
    struct trainer *t = make(&plan, &d, 0.0);
    for (unsigned number = 1; number <= 4; number++) {
        double before = kept.current[0];
        step(t, number, global, &kept, update);
        assert_true(update[2] == 0.0f && kept.current[0] != before);
        sum += number >= 3 ? kept.current[0] : 0.0;
    }
    assert_int_equal(kept.rounds, 2);
    trainer_local_parameters(&plan, trainer_model(t), global, &kept, local);
    assert_true(local[0] == 0.1 && fabs(local[2] - sum / 2.0) < 1e-15);
    trainer_free(t);
    dataset_free(&d);
}

static void divergence_is_reported(void **state)
{
    (void)state;
    struct plan plan = small_plan();
    struct dataset d;
    struct train_intercept before = {{0.5}, {0}, 0}, after = {{0}, {0}, 9};
    struct why why;
    const double global[PARAMETERS] = {0};
    float update[PARAMETERS];
    plan.training.learning_rate = 1e300;
    load(&d, &plan, PATIENTS);
    struct trainer *t = make(&plan, &d, 0.0);
    assert_int_equal(trainer_round(t, 1, global, &before, &after, update, &why).code, RESULT_INPUT);
    assert_non_null(strstr(why.text, "smaller learning_rate"));
    assert_int_equal(after.rounds, 9);
    trainer_free(t);
    dataset_free(&d);
}

static struct plan private_plan(double clip)
{
    struct plan plan = small_plan();
    plan.privacy.mode = PRIVACY_PATIENT;
    plan.privacy.clip_norm = clip;
    plan.training.epochs = 0;
    plan.training.steps = 1;
    return plan;
}

/* With a generous norm and next to no noise the private step is the plain one. */
static void little_noise_gives_the_plain_step(void **state)
{
    (void)state;
    struct plan plan = private_plan(50.0), plain = small_plan();
    struct dataset d;
    struct train_intercept none = {{0}, {0}, 0};
    const double global[PARAMETERS] = {0.4, -0.3, 0.1};
    float noisy[PARAMETERS], exact[PARAMETERS];
    plain.training.batch = 0;
    load(&d, &plan, PATIENTS);
    struct trainer *t = make(&plan, &d, 1e-3), *p = make(&plain, &d, 0.0);
    step(t, 1, global, &none, noisy);
    step(p, 1, global, &none, exact);
    /* noise: 0.2 * 50 * 1e-3 / 300, six standard deviations */
    for (size_t i = 0; i < PARAMETERS; i++)
        assert_true(fabs((double)noisy[i] - (double)exact[i]) < 2e-4);
    trainer_free(t);
    trainer_free(p);
    dataset_free(&d);
}

static void noise_is_fresh_and_of_the_planned_size(void **state)
{
    (void)state;
    struct plan plan = private_plan(1.0);
    struct dataset d;
    struct train_intercept none = {{0}, {0}, 0};
    const double global[PARAMETERS] = {0.4, -0.3, 0.1};
    double sum = 0.0, squares = 0.0;
    enum { DRAWS = 2000 };
    load(&d, &plan, PATIENTS);
    struct trainer *t = make(&plan, &d, 30.0);
    for (int k = 0; k < DRAWS; k++) {
        float update[PARAMETERS];
        step(t, 1, global, &none, update);
        sum += (double)update[1];
        squares += (double)update[1] * (double)update[1];
    }
    double mean = sum / DRAWS, sd = sqrt(squares / DRAWS - mean * mean);
    double planned = 0.2 * 30.0 * 1.0 / PATIENTS;
    assert_true(fabs(sd / planned - 1.0) < 0.1);
    trainer_free(t);
    dataset_free(&d);
}

/* The divisor is the declared number: half the patients give about half the step. */
static void normaliser_is_the_declared_number(void **state)
{
    (void)state;
    struct plan plan = private_plan(1.0);
    struct dataset all, half;
    struct train_intercept none = {{0}, {0}, 0};
    const double global[PARAMETERS] = {0};
    float full[PARAMETERS], part[PARAMETERS];
    load(&all, &plan, PATIENTS);
    load(&half, &plan, PATIENTS / 2);
    struct trainer *t = make(&plan, &all, 1e-3), *h = make(&plan, &half, 1e-3);
    step(t, 1, global, &none, full);
    step(h, 1, global, &none, part);
    assert_true(fabs((double)part[0] / (double)full[0] - 0.5) < 0.1);
    trainer_free(t);
    trainer_free(h);
    dataset_free(&all);
    dataset_free(&half);
}

/* At a rate so low that the sample is as good as always empty there is noise all the same. */
static void empty_samples_release_noise(void **state)
{
    (void)state;
    struct plan plan = private_plan(1.0);
    struct dataset d;
    struct train_intercept none = {{0}, {0}, 0};
    const double global[PARAMETERS] = {0};
    float update[PARAMETERS];
    plan.privacy.sampling_rate = 1e-9;
    load(&d, &plan, PATIENTS);
    struct trainer *t = make(&plan, &d, 1.0);
    step(t, 1, global, &none, update);
    assert_true(update[0] != 0.0f && update[2] != 0.0f);
    trainer_free(t);
    dataset_free(&d);
}

static void private_plans_need_public_constants(void **state)
{
    (void)state;
    struct plan plan = private_plan(1.0);
    struct dataset d;
    struct trainer *t;
    struct why why;
    struct train_site undeclared = {0, 1.0}, silent = {PATIENTS, 0.0};
    load(&d, &plan, PATIENTS);
    assert_int_equal(trainer_create(&t, &plan, &d, &undeclared, &why).code, RESULT_INPUT);
    assert_non_null(strstr(why.text, "declared_patients"));
    assert_int_equal(trainer_create(&t, &plan, &d, &silent, &why).code, RESULT_INPUT);
    assert_null(t);
    trainer_free(t);
    dataset_free(&d);
}

int main(void)
{
    blas_use_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_are_reproducible),
        cmocka_unit_test(one_step_is_the_gradient),
        cmocka_unit_test(proximal_term_holds_back),
        cmocka_unit_test(penalty_draws_to_the_prior),
        cmocka_unit_test(intercept_stays_at_the_site),
        cmocka_unit_test(divergence_is_reported),
        cmocka_unit_test(little_noise_gives_the_plain_step),
        cmocka_unit_test(noise_is_fresh_and_of_the_planned_size),
        cmocka_unit_test(normaliser_is_the_declared_number),
        cmocka_unit_test(empty_samples_release_noise),
        cmocka_unit_test(private_plans_need_public_constants),
    };
    return cmocka_run_group_tests_name("train", tests, NULL, NULL);
}
