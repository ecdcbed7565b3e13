/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's noise window against what a site's own trainer gives: honest updates pass in
 * every kind of plan and codec; updates without noise, with more of it, or blown up, do not. */
#include "agent/vault/train.h"
#include "coordinator/combine.h"
#include "proto/plan_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENTS = 120, TRIALS = 60 };

static struct plan_level no_yes[] = {{"0"}, {"1"}};
static unsigned hidden[] = {200};
static struct plan_feature features[] = {
    {.name = "a", .type = FEATURE_NUMBER, .low = -9, .high = 9, .centre = 0, .spread = 1},
    {.name = "b", .type = FEATURE_NUMBER, .low = -9, .high = 9, .centre = 0, .spread = 2},
};
static struct why why;

static struct plan private_plan(void)
{
    return (struct plan){
        .patient_id = "id",
        .label = {.column = "y", .type = LABEL_BINARY, .levels = no_yes, .levels_count = 2},
        .features = features,
        .features_count = 2,
        .model = {.kind = MODEL_LOGISTIC},
        .training = {.rounds = 40, .steps = 1, .learning_rate = 0.3, .average_from = 1, .seed = 7},
        .privacy = {.mode = PRIVACY_PATIENT,
                    .epsilon = 1,
                    .delta = 1e-5,
                    .clip_norm = 1.0,
                    .sampling_rate = 1.0,
                    .noise_multiplier = 20,
                    .max_rows_per_patient = 1},
        .compression = "none",
        .aggregation = {.rule = "weighted-mean"},
        .sites_count = 1,
    };
}

static void load(struct dataset *d, const struct plan *plan, size_t count)
{
    static const unsigned char key[DATASET_KEY_BYTES] = {5};
    struct mapping mapping = {.declared_patients = PATIENTS};
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

/* One plan at work: a trainer, and the coordinator's state beside it. */
struct world {
    struct plan plan;
    struct dataset data;
    struct trainer *trainer;
    struct server server;
    struct train_intercept intercept;
    double *global;
    float *update;
    struct noise_expected expected; /* of the last update */
};

static void world_open(struct world *w, const struct plan *plan, size_t patients, double noise)
{
    *w = (struct world){.plan = *plan};
    struct train_site site = {.declared_patients = PATIENTS, .noise_multiplier = noise};
    load(&w->data, &w->plan, patients);
    if (!ok(trainer_create(&w->trainer, &w->plan, &w->data, &site, &why)))
        fail_msg("%s", why.text);
    if (!ok(server_initial(&w->plan, &w->server, &why)))
        fail_msg("%s", why.text);
    w->global = calloc(w->server.d, sizeof *w->global);
    w->update = calloc(w->server.d, sizeof *w->update);
}

static void world_close(struct world *w)
{
    trainer_free(w->trainer);
    dataset_free(&w->data);
    server_free(&w->server);
    free(w->global);
    free(w->update);
}

/* One round: the site's update times factor, through the codec, judged. */
static enum noise_floor_verdict judged(struct world *w, double factor)
{
    unsigned char seed[CODEC_SEED_BYTES] = {(unsigned char)w->server.round, 9};
    struct codec codec;
    struct codec_view view;
    double low;
    assert_true(ok(codec_parse(w->plan.compression, &codec, &why)));
    codec = codec_for(&codec, w->server.d);
    for (size_t i = 0; i < w->server.d; i++)
        w->global[i] = (double)w->server.parameters[i];
    if (!ok(trainer_round(w->trainer, w->server.round + 1, w->global, &w->intercept, &w->intercept,
                          w->update, &why)))
        fail_msg("%s", why.text);
    for (size_t i = 0; i < w->server.d; i++)
        w->update[i] *= (float)factor;
    size_t n = (size_t)codec_frame_bytes(&codec, w->server.d), used = 0;
    unsigned char *frame = malloc(n);
    assert_non_null(frame);
    assert_true(ok(codec_encode(&codec, seed, w->server.d, w->update, frame, n, &used, &why)));
    assert_true(ok(codec_open(frame, used, w->server.d, &view, &why)));
    if (!ok(noise_expect(&w->plan, w->plan.privacy.noise_multiplier, &w->server, PATIENTS, &view,
                         &w->expected, &why)))
        fail_msg("%s", why.text);
    assert_true(w->expected.known);
    float *decoded = calloc(w->server.d + CODEC_BLOCK, sizeof *decoded);
    assert_true(ok(codec_decode(frame, used, w->server.d, decoded, &why)));
    double norm = 0;
    for (size_t i = 0; i < w->server.d; i++)
        norm += (double)decoded[i] * (double)decoded[i];
    free(decoded);
    free(frame);
    return noise_judge(&w->expected, sqrt(norm), &w->server.sites[0], &low);
}

static void follow(struct world *w)
{
    assert_true(ok(server_apply(&w->plan, &w->server, w->update, &why)));
    w->server.round %= w->plan.training.rounds;
}

/* Honest rounds never fall out of the window, nor does the sum of them. */
static void honest(const char *name, const struct plan *plan, size_t patients)
{
    struct world w;
    world_open(&w, plan, patients, plan->privacy.noise_multiplier);
    for (int i = 0; i < TRIALS; i++) {
        enum noise_floor_verdict verdict = judged(&w, 1);
        if (verdict != NOISE_FLOOR_OK)
            fail_msg("%s, round %d: verdict %d, window %g to %g, so far %g of %llu", name, i,
                     verdict, w.expected.window.low, w.expected.window.high,
                     w.server.sites[0].noise_sum,
                     (unsigned long long)w.server.sites[0].noise_degrees);
        follow(&w);
    }
    world_close(&w);
}

static struct plan wide_plan(void)
{
    struct plan plan = private_plan();
    plan.model = (struct plan_model){.kind = MODEL_MLP,
                                     .hidden = hidden,
                                     .hidden_count = 1,
                                     .activation = ACTIVATION_TANH};
    return plan;
}

static void honest_updates_pass(void **state)
{
    (void)state;
    struct plan plan = private_plan();
    honest("one step", &plan, PATIENTS);
    honest("more patients than declared", &plan, PATIENTS * 3 / 2);
    plan.training.l2 = 0.5;
    honest("with a penalty", &plan, PATIENTS);
    double far = 3;
    features[0].prior = &far;
    features[0].prior_count = 1;
    honest("towards a prior", &plan, PATIENTS);
    features[0].prior = NULL;
    features[0].prior_count = 0;
    plan.training.steps = 6;
    plan.training.momentum = 0.9;
    plan.training.proximal = 0.1;
    honest("steps, momentum and a proximal term", &plan, PATIENTS);
    plan.model.site_intercept = true;
    plan.privacy.sampling_rate = 0.25;
    plan.training.learning_rate_end = 0.01;
    honest("sampled, with an intercept of its own and a falling rate", &plan, PATIENTS);
    plan = private_plan();
    plan.privacy.noise_multiplier = 0.5;
    plan.training.epochs = 2;
    plan.training.steps = 0;
    plan.privacy.sampling_rate = 0.5;
    plan.validation.holdout = 0.2;
    honest("little noise, epochs, patients held out", &plan, PATIENTS);
}

static void every_codec_passes(void **state)
{
    (void)state;
    static const char *const CODECS[] = {"none",   "bf16",   "int8b",  "eden-1",           "eden-2",
                                         "eden-3", "eden-4", "eden-8", "randk-shared:0.25"};
    struct plan wide = wide_plan(), small = private_plan();
    for (size_t i = 0; i < sizeof CODECS / sizeof CODECS[0]; i++) {
        snprintf(wide.compression, sizeof wide.compression, "%s", CODECS[i]);
        snprintf(small.compression, sizeof small.compression, "%s", CODECS[i]);
        honest(CODECS[i], &wide, PATIENTS);
        honest(CODECS[i], &small, PATIENTS);
    }
}

/* The verdict of the first round that is not in order, within so many; OK when all are. */
static enum noise_floor_verdict first_fault(const struct plan *plan, double noise, double factor,
                                            int rounds)
{
    struct world w;
    enum noise_floor_verdict verdict = NOISE_FLOOR_OK;
    world_open(&w, plan, PATIENTS, noise);
    for (int i = 0; i < rounds && verdict == NOISE_FLOOR_OK; i++) {
        verdict = judged(&w, factor);
        follow(&w);
    }
    world_close(&w);
    return verdict;
}

static void planted_faults_are_told(void **state)
{
    (void)state;
    struct plan wide = wide_plan(), small = private_plan();
    snprintf(wide.compression, sizeof wide.compression, "eden-4");
    double noise = wide.privacy.noise_multiplier;
    assert_int_equal(first_fault(&wide, noise * 1e-3, 1, 1), NOISE_FLOOR_TOO_LITTLE);
    assert_int_equal(first_fault(&wide, noise / 4, 1, 1), NOISE_FLOOR_TOO_LITTLE);
    assert_int_equal(first_fault(&wide, noise / 2, 1, 1), NOISE_FLOOR_TOO_LITTLE);
    assert_int_equal(first_fault(&wide, noise, 0, 1), NOISE_FLOOR_TOO_LITTLE);
    assert_int_equal(first_fault(&wide, noise * 2, 1, 1), NOISE_FLOOR_TOO_MUCH);
    assert_int_equal(first_fault(&wide, noise, -10, 1), NOISE_FLOOR_TOO_MUCH);
    /* In three coordinates one round tells little, forty tell enough. */
    small.privacy.noise_multiplier = noise = 200;
    assert_int_equal(first_fault(&small, noise / 4, 1, 40), NOISE_FLOOR_TOO_LITTLE);
    assert_int_equal(first_fault(&small, noise, 100, 1), NOISE_FLOOR_TOO_MUCH);
    /* And where the signal is the longer by far, a missing noise is not seen: stated, not hidden.
     */
    small.privacy.noise_multiplier = 0.5;
    assert_int_equal(first_fault(&small, 0.01, 1, 3), NOISE_FLOOR_OK);
}

static void what_is_not_tested_says_why(void **state)
{
    (void)state;
    struct plan plan = private_plan();
    struct server server;
    struct codec_view view = {.codec = {.id = CODEC_RAW32}, .d = 3, .blocks = 1};
    struct noise_expected e;
    assert_true(ok(server_initial(&plan, &server, &why)));
    plan.privacy.mode = PRIVACY_NONE;
    assert_true(ok(noise_expect(&plan, 0, &server, 100, &view, &e, &why)) && !e.known);
    assert_non_null(strstr(e.reason, "no privacy"));
    plan = private_plan();
    plan.aggregation.noise_floor = NOISE_OFF;
    assert_true(ok(noise_expect(&plan, 1, &server, 100, &view, &e, &why)) && !e.known);
    plan = private_plan();
    plan.training.optimiser = OPTIMISER_ADAM;
    assert_true(ok(noise_expect(&plan, 1, &server, 100, &view, &e, &why)) && !e.known);
    plan = private_plan();
    assert_true(ok(noise_expect(&plan, 1, &server, 0, &view, &e, &why)) && !e.known);
    view.codec.id = CODEC_TOPK_EF;
    assert_true(ok(noise_expect(&plan, 1, &server, 100, &view, &e, &why)) && !e.known);
    assert_non_null(e.reason);
    server_free(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_updates_pass),
        cmocka_unit_test(every_codec_passes),
        cmocka_unit_test(planted_faults_are_told),
        cmocka_unit_test(what_is_not_tested_says_why),
    };
    return cmocka_run_group_tests_name("noise_window", tests, NULL, NULL);
}
