/* SPDX-License-Identifier: Apache-2.0 */
/* From updates to the new model: weights, refusals, momentum and averages against sums by hand. */
#include "coordinator/combine.h"

#include "proto/compress/codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { D = 3 };

static struct plan plan;
static struct why why;

static const char PLAN[] = "version: 1\n"
                           "study: s\n"
                           "sites: [a, b, c, d]\n"
                           "patient_id: id\n"
                           "label: {column: ill, type: binary, levels: [\"0\", \"1\"]}\n"
                           "features:\n"
                           "  - {name: x, type: number, range: [0, 1]}\n"
                           "  - {name: y, type: number, range: [0, 1]}\n"
                           "model: {kind: logistic}\n"
                           "training: {rounds: 3, learning_rate: 0.1, server_learning_rate: 0.5, "
                           "server_momentum: 0.5, average_from: 0.3}\n"
                           "privacy: {mode: none}\n"
                           "compression: none\n"
                           "aggregation: {rule: weighted-mean, quorum: 2, max_share: 0.9}\n";

static int setup(void **state)
{
    (void)state;
    if (!ok(plan_parse(&plan, "plan", PLAN, strlen(PLAN), &why)))
        fail_msg("%s", why.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    plan_free(&plan);
    return 0;
}

static const unsigned char BASE[PLAN_HASH_BYTES] = {7};

static struct result combine(struct server *server, struct combine_update *u, size_t n,
                             struct combine_outcome *outcome)
{
    struct combine_case round = {.plan = &plan, .base = BASE, .updates = u, .n = n};
    for (size_t i = 0; i < n; i++)
        u[i].update.round = server->round + 1;
    return combine_round(&round, server, outcome, &why);
}

static struct combine_update update(uint32_t site, uint64_t patients, float a, float b, float c)
{
    static const unsigned char seed[CODEC_SEED_BYTES];
    struct codec codec;
    const float x[D] = {a, b, c};
    struct combine_update u = {.site = site, .update = {.round = 1, .declared_patients = patients}};
    u.digest[0] = (unsigned char)site;
    memcpy(u.base, BASE, sizeof BASE);
    assert_true(ok(codec_parse("none", &codec, &why)));
    size_t n = (size_t)codec_frame_bytes(&codec, D);
    u.update.frame = malloc(n);
    assert_true(ok(codec_encode(&codec, seed, D, x, u.update.frame, n, &u.update.frame_n, &why)));
    return u;
}

static void free_updates(struct combine_update *u, size_t n)
{
    for (size_t i = 0; i < n; i++)
        payload_update_free(&u[i].update);
}

static void rounds_by_hand(void **state)
{
    (void)state;
    struct server server;
    struct combine_outcome outcome;
    assert_true(ok(server_initial(&plan, &server, &why)));
    assert_int_equal(server.d, D);
    struct combine_update u[2] = {update(0, 300, 1, 0, 2), update(2, 100, 0, 4, 2)};
    assert_true(ok(combine(&server, u, 2, &outcome)));
    assert_int_equal(outcome.sites_count, 2);
    assert_int_equal(outcome.refusals_count, 0);
    /* mean (.75, 1, 2), velocity the same, half of it */
    assert_true(server.parameters[0] == .375f && server.parameters[1] == .5f &&
                server.parameters[2] == 1.f);
    assert_true(outcome.sites[0].score.weight == .75);
    combine_outcome_free(&outcome);
    assert_true(ok(combine(&server, u, 2, &outcome)));
    /* velocity (1.125, 1.5, 3) */
    assert_true(server.parameters[0] == .9375f && server.parameters[2] == 2.5f);
    combine_outcome_free(&outcome);
    assert_true(ok(combine(&server, u, 2, &outcome)));
    /* velocity (1.3125, ...); averaged over rounds 2 and 3 */
    float candidate[D];
    server_candidate(&server, candidate);
    assert_true(server.averaged == 2 && server.parameters[0] == 1.59375f &&
                candidate[0] == 1.265625f);
    combine_outcome_free(&outcome);

    unsigned char *bytes = NULL;
    size_t n = 0;
    struct server again;
    assert_true(ok(server_encode(&server, &bytes, &n, &why)));
    assert_true(ok(server_decode(&again, bytes, n, &why)));
    assert_memory_equal(again.parameters, server.parameters, D * sizeof(float));
    assert_memory_equal(again.velocity, server.velocity, D * sizeof(double));
    server_free(&again);
    assert_int_equal(server_decode(&again, bytes, n - 1, &why).code, RESULT_INPUT);
    free(bytes);
    server_free(&server);
    free_updates(u, 2);
}

static void wrong_updates_are_refused(void **state)
{
    (void)state;
    struct server server;
    struct combine_outcome outcome;
    assert_true(ok(server_initial(&plan, &server, &why)));
    struct combine_update u[4] = {update(0, 100, 1, 0, 0), update(1, 100, 0, 1, 0),
                                  update(2, 100, 0, 1, 1), update(3, 100, 1, 1, 1)};
    u[1].update.frame_n--; /* cut off */
    assert_int_equal(combine_check(&plan, &u[1].update, D, &why).code, RESULT_REFUSED);
    assert_int_equal(combine_check(&plan, &u[0].update, D + 1, &why).code, RESULT_REFUSED);
    assert_true(ok(combine_check(&plan, &u[0].update, D, &why)));
    plan.aggregation.max_norm = 1.5;
    assert_int_equal(combine_check(&plan, &u[3].update, D, &why).code, RESULT_REFUSED);
    assert_true(ok(combine(&server, u, 4, &outcome)));
    assert_int_equal(outcome.refusals_count, 2);
    assert_int_equal(outcome.refusals[0].site, 1);
    assert_int_equal(outcome.refusals[1].site, 3);
    assert_non_null(strstr(outcome.refusals[1].reason, "norm"));
    assert_int_equal(outcome.sites_count, 4);
    assert_int_equal(outcome.rows, 2);
    assert_int_equal(outcome.sites[1].fate, COMBINE_REFUSED);
    assert_int_equal(outcome.sites[2].fate, COMBINE_COUNTED);
    combine_outcome_free(&outcome);

    /* A rule whose condition fails leaves the model as it was, whatever rule would still do. */
    struct server before;
    assert_true(ok(server_copy(&before, &server, &why)));
    strcpy(plan.aggregation.rule, "trimmed-mean");
    plan.aggregation.byzantine = 3;
    assert_int_equal(combine(&server, u, 4, &outcome).code, RESULT_REFUSED);
    combine_outcome_free(&outcome);
    assert_memory_equal(before.parameters, server.parameters, D * sizeof(float));
    assert_int_equal(before.round, server.round);
    assert_int_equal(combine(&server, u, 0, &outcome).code, RESULT_REFUSED);
    combine_outcome_free(&outcome);
    /* What gives a row for every site, or is an attack, is no rule of a study. */
    plan.aggregation.byzantine = 0;
    for (int k = 0; k < 3; k++) {
        static const char *const NO_RULE[] = {"nnm", "arc+nnm", "attack-ipm"};
        strcpy(plan.aggregation.rule, NO_RULE[k]);
        assert_int_equal(combine(&server, u, 4, &outcome).code, RESULT_INPUT);
        combine_outcome_free(&outcome);
    }
    /* Buckets of two, drawn from the updates: of both rows the mean. */
    strcpy(plan.aggregation.rule, "bucketing+median");
    assert_int_equal(combine(&server, u, 4, &outcome).code, RESULT_REFUSED);
    combine_outcome_free(&outcome);
    plan.aggregation.bucket_size = 2;
    assert_memory_equal(before.parameters, server.parameters, D * sizeof(float));
    assert_true(ok(combine(&server, u, 4, &outcome)));
    combine_outcome_free(&outcome);
    plan.aggregation.bucket_size = 0;
    server_free(&before);
    server_free(&server);
    free_updates(u, 4);
}

/* A site that holds most patients, or says so, stops no rule that does not trim by weight. */
static void one_large_site_stops_no_round(void **state)
{
    (void)state;
    struct server server;
    struct combine_outcome outcome;
    assert_true(ok(server_initial(&plan, &server, &why)));
    strcpy(plan.aggregation.rule, "trimmed-mean");
    plan.aggregation.byzantine = 1;
    struct combine_update u[3] = {update(0, 900, 1, 0, 0), update(1, 10, 2, 0, 0),
                                  update(2, 10, 9, 0, 0)};
    assert_true(ok(combine(&server, u, 3, &outcome)));
    assert_true(outcome.aggregate[0] == 2.f);
    combine_outcome_free(&outcome);
    strcpy(plan.aggregation.rule, "weighted-trimmed-mean");
    assert_int_equal(combine(&server, u, 3, &outcome).code, RESULT_REFUSED);
    combine_outcome_free(&outcome);
    server_free(&server);
    free_updates(u, 3);
}

static void the_matrix_holds_everybody(void **state)
{
    (void)state;
    struct server start, after;
    struct combine_outcome outcome;
    struct payload_model_set set;
    unsigned char *bytes = NULL, hash[PLAN_HASH_BYTES];
    size_t n = 0;
    assert_true(ok(server_initial(&plan, &start, &why)));
    assert_true(ok(server_copy(&after, &start, &why)));
    struct combine_update u[3] = {update(0, 100, 1, 0, 0), update(1, 100, 0, 1, 0),
                                  update(3, 100, 0, 0, 1)};
    assert_true(ok(combine(&after, u, 3, &outcome)));
    combine_outcome_free(&outcome);
    struct combine_case round = {.plan = &plan, .base = BASE, .updates = u, .n = 3};
    assert_true(ok(combine_matrix(&round, &start, &after, &bytes, &n, hash, &why)));
    assert_true(ok(payload_model_set_decode(&set, bytes, n, &why)));
    assert_int_equal(set.models_count, 7);
    assert_string_equal(set.models[0].name, "global");
    assert_string_equal(set.models[3].name, "d");
    assert_true(set.models[3].parameters[2] == 1.f && set.models[3].parameters[0] == 0.f);
    assert_string_equal(set.models[4].name, "without-a");
    assert_true(set.models[4].parameters[0] == 0.f && set.models[4].parameters[1] == .25f);
    payload_model_set_free(&set);
    free(bytes);
    server_free(&start);
    server_free(&after);
    free_updates(u, 3);
}

/* Malformed updates lower n and f, missing ones and those set aside lower n alone. */
static void who_lowers_n_and_f(void **state)
{
    (void)state;
    struct server server;
    struct combine_outcome outcome;
    assert_true(ok(server_initial(&plan, &server, &why)));
    strcpy(plan.aggregation.rule, "trimmed-mean");
    plan.aggregation.byzantine = 1;
    struct combine_update u[4] = {update(0, 100, 1, 0, 0), update(1, 100, 2, 0, 0),
                                  update(2, 100, 3, 0, 0), update(3, 100, 4, 0, 0)};
    struct combine_case round = {.plan = &plan, .base = BASE, .updates = u, .n = 3, .malformed = 1};
    assert_true(ok(combine_round(&round, &server, &outcome, &why)));
    assert_true(outcome.rows == 3 && outcome.hostile == 0 && outcome.aggregate[0] == 2.f);
    combine_outcome_free(&outcome);
    u[3].aside = true;
    assert_true(ok(combine(&server, u, 4, &outcome)));
    assert_true(outcome.rows == 3 && outcome.hostile == 1 && outcome.aggregate[0] == 2.f);
    assert_int_equal(outcome.sites[3].fate, COMBINE_ASIDE);
    assert_true(outcome.refusals_count == 0 && outcome.sites[3].score.cosine > .99);
    combine_outcome_free(&outcome);
    /* One more aside and f is half of what is left: aborted, the model as it was. */
    u[2].aside = true;
    struct server before;
    assert_true(ok(server_copy(&before, &server, &why)));
    assert_int_equal(combine(&server, u, 4, &outcome).code, RESULT_REFUSED);
    assert_non_null(strstr(why.text, "2 updates are left and 1 of them may be hostile"));
    assert_memory_equal(before.parameters, server.parameters, D * sizeof(float));
    combine_outcome_free(&outcome);
    /* Another round's update, another model's update. */
    u[2].aside = u[3].aside = false;
    u[0].update.round = server.round;
    u[1].update.round = u[2].update.round = u[3].update.round = server.round + 1;
    u[1].base[0]++;
    round = (struct combine_case){.plan = &plan, .base = BASE, .updates = u, .n = 4};
    plan.aggregation.byzantine = 0;
    assert_true(ok(combine_round(&round, &server, &outcome, &why)));
    assert_int_equal(outcome.refusals_count, 2);
    assert_non_null(strstr(outcome.refusals[0].reason, "round"));
    assert_non_null(strstr(outcome.refusals[1].reason, "another model"));
    combine_outcome_free(&outcome);
    server_free(&before);
    server_free(&server);
    free_updates(u, 4);
}

static void momentum_is_kept_for_each_site(void **state)
{
    (void)state;
    struct server server, again;
    struct combine_outcome outcome;
    unsigned char *bytes = NULL;
    size_t n = 0;
    plan.aggregation.site_momentum = 0.5;
    plan.training.server_momentum = 0;
    plan.training.server_learning_rate = 1;
    assert_true(ok(server_initial(&plan, &server, &why)));
    struct combine_update u[2] = {update(0, 100, 8, 0, 0), update(2, 100, 0, 8, 0)};
    assert_true(ok(combine(&server, u, 2, &outcome)));
    assert_true(outcome.aggregate[0] == 4.f && outcome.aggregate[1] == 4.f);
    combine_outcome_free(&outcome);
    payload_update_free(&u[0].update);
    u[0] = update(0, 100, 0, 0, 6);
    assert_true(ok(combine(&server, u, 2, &outcome)));
    /* m = (2, 0, 3) of site 0 over 3/4, (0, 6, 0) of site 2 over 3/4 */
    assert_true(fabsf(outcome.aggregate[0] - 4.f / 3) < 1e-6f &&
                fabsf(outcome.aggregate[1] - 4.f) < 1e-6f &&
                fabsf(outcome.aggregate[2] - 2.f) < 1e-6f);
    assert_true(outcome.sites[0].score.norm == 6); /* as it was sent */
    combine_outcome_free(&outcome);
    assert_true(ok(server_encode(&server, &bytes, &n, &why)));
    assert_true(ok(server_decode(&again, bytes, n, &why)));
    assert_memory_equal(again.momentum, server.momentum, 4 * D * sizeof(float));
    assert_int_equal(again.sites[2].momentum_rounds, 2);
    server_free(&again);
    free(bytes);
    /* Set aside, a site loses it; a failed round changes nothing. */
    u[1].aside = true;
    assert_true(ok(combine(&server, u, 2, &outcome)));
    assert_true(server.sites[2].momentum_rounds == 0 && server.momentum[2 * D + 1] == 0.f);
    combine_outcome_free(&outcome);
    server_free(&server);
    free_updates(u, 2);
}

/* The same bits under 1, 2 and 7 threads, with mixing, momentum and compression. */
static void threads_change_nothing(void **state)
{
    (void)state;
    static const unsigned THREADS[] = {1, 2, 7};
    static const char WIDE[] =
        "version: 1\nstudy: s\nsites: [a, b, c, d, e]\npatient_id: id\n"
        "label: {column: ill, type: binary, levels: [\"0\", \"1\"]}\n"
        "features:\n  - {name: x, type: number, range: [0, 1]}\n"
        "  - {name: y, type: number, range: [0, 1]}\n"
        "model: {kind: mlp, hidden: [120, 90]}\n"
        "training: {rounds: 3, learning_rate: 0.1}\nprivacy: {mode: none}\ncompression: eden-4\n"
        "aggregation: {rule: nnm+trimmed-mean, byzantine: 1, quorum: 2, site_momentum: 0.9}\n";
    struct plan wide;
    struct server start, after[3];
    struct combine_outcome outcome[3];
    struct combine_update u[5] = {{0}};
    struct codec codec;
    assert_true(ok(plan_parse(&wide, "plan", WIDE, strlen(WIDE), &why)));
    assert_true(ok(server_initial(&wide, &start, &why)));
    assert_true(ok(codec_parse("eden-4", &codec, &why)));
    size_t n = (size_t)codec_frame_bytes(&codec, start.d);
    float *x = calloc(start.d, sizeof *x);
    for (uint32_t i = 0; i < 5; i++) {
        const unsigned char seed[CODEC_SEED_BYTES] = {(unsigned char)i};
        for (size_t c = 0; c < start.d; c++)
            x[c] = sinf((float)(c * (i + 3) % 977)) + 0.1f * (float)i;
        u[i] = (struct combine_update){.site = i, .update = {.round = 1, .declared_patients = 9}};
        memcpy(u[i].base, BASE, sizeof BASE);
        u[i].update.frame = malloc(n);
        assert_true(ok(codec_encode(&codec, seed, start.d, x, u[i].update.frame, n,
                                    &u[i].update.frame_n, &why)));
    }
    for (int k = 0; k < 3; k++) {
        struct combine_case round = {
            .plan = &wide, .base = BASE, .updates = u, .n = 5, .threads = THREADS[k]};
        assert_true(ok(server_copy(&after[k], &start, &why)));
        assert_true(ok(combine_round(&round, &after[k], &outcome[k], &why)));
        assert_memory_equal(after[k].parameters, after[0].parameters, start.d * sizeof(float));
        assert_memory_equal(after[k].momentum, after[0].momentum, 5 * start.d * sizeof(float));
        for (int i = 0; i < 5; i++)
            assert_memory_equal(&outcome[k].sites[i].score, &outcome[0].sites[i].score,
                                7 * sizeof(double));
    }
    for (int k = 0; k < 3; k++) {
        combine_outcome_free(&outcome[k]);
        server_free(&after[k]);
    }
    free(x);
    free_updates(u, 5);
    server_free(&start);
    plan_free(&wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rounds_by_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_updates_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(one_large_site_stops_no_round, setup, teardown),
        cmocka_unit_test_setup_teardown(the_matrix_holds_everybody, setup, teardown),
        cmocka_unit_test_setup_teardown(who_lowers_n_and_f, setup, teardown),
        cmocka_unit_test_setup_teardown(momentum_is_kept_for_each_site, setup, teardown),
        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests_name("combine", tests, NULL, NULL);
}
