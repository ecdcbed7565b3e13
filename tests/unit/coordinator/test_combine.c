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

static struct combine_update update(uint32_t site, uint64_t patients, float a, float b, float c)
{
    static const unsigned char seed[CODEC_SEED_BYTES];
    struct codec codec;
    const float x[D] = {a, b, c};
    struct combine_update u = {.site = site, .update = {.round = 1, .declared_patients = patients}};
    u.digest[0] = (unsigned char)site;
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
    assert_true(ok(combine_round(&plan, &server, u, 2, &outcome, &why)));
    assert_int_equal(outcome.sites_count, 2);
    assert_int_equal(outcome.refusals_count, 0);
    /* mean (.75, 1, 2), velocity the same, half of it */
    assert_true(server.parameters[0] == .375f && server.parameters[1] == .5f &&
                server.parameters[2] == 1.f);
    assert_true(outcome.sites[0].weight == .75);
    combine_outcome_free(&outcome);
    assert_true(ok(combine_round(&plan, &server, u, 2, &outcome, &why)));
    /* velocity (1.125, 1.5, 3) */
    assert_true(server.parameters[0] == .9375f && server.parameters[2] == 2.5f);
    combine_outcome_free(&outcome);
    assert_true(ok(combine_round(&plan, &server, u, 2, &outcome, &why)));
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
    assert_true(ok(combine_round(&plan, &server, u, 4, &outcome, &why)));
    assert_int_equal(outcome.refusals_count, 2);
    assert_int_equal(outcome.refusals[0].site, 1);
    assert_int_equal(outcome.refusals[1].site, 3);
    assert_non_null(strstr(outcome.refusals[1].reason, "norm"));
    assert_int_equal(outcome.sites_count, 2);
    combine_outcome_free(&outcome);

    /* A rule whose condition fails leaves the model as it was, whatever rule would still do. */
    struct server before;
    assert_true(ok(server_copy(&before, &server, &why)));
    strcpy(plan.aggregation.rule, "trimmed-mean");
    plan.aggregation.byzantine = 3;
    assert_int_equal(combine_round(&plan, &server, u, 4, &outcome, &why).code, RESULT_REFUSED);
    combine_outcome_free(&outcome);
    assert_memory_equal(before.parameters, server.parameters, D * sizeof(float));
    assert_int_equal(before.round, server.round);
    assert_int_equal(combine_round(&plan, &server, u, 0, &outcome, &why).code, RESULT_REFUSED);
    combine_outcome_free(&outcome);
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
    assert_true(ok(combine_round(&plan, &server, u, 3, &outcome, &why)));
    assert_true(outcome.aggregate[0] == 2.f);
    combine_outcome_free(&outcome);
    strcpy(plan.aggregation.rule, "weighted-trimmed-mean");
    assert_int_equal(combine_round(&plan, &server, u, 3, &outcome, &why).code, RESULT_REFUSED);
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
    assert_true(ok(combine_round(&plan, &after, u, 3, &outcome, &why)));
    combine_outcome_free(&outcome);
    assert_true(ok(combine_matrix(&plan, &start, &after, u, 3, &bytes, &n, hash, &why)));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rounds_by_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_updates_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(one_large_site_stops_no_round, setup, teardown),
        cmocka_unit_test_setup_teardown(the_matrix_holds_everybody, setup, teardown),
    };
    return cmocka_run_group_tests_name("combine", tests, NULL, NULL);
}
