/* SPDX-License-Identifier: Apache-2.0 */
/* Four vaults and a coordinator played by hand between them: what the tests of secure rounds
 * share. */
#ifndef CONSILIUM_TEST_SECURE_WORLD_H
#define CONSILIUM_TEST_SECURE_WORLD_H

#include "privacy/shamir.h"
#include "proto/compress/codec.h"
#include "proto/payload_secure.h"
#include "proto/secure_sum.h"
#include "tests/hospital.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 4, T = 3, D = 3 };

static const char SITES[] = "[north, south, east, west]";
static const char *const NAMES[N] = {"north", "south", "east", "west"};
#define TRAINING "training: {rounds: 3, steps: 1, learning_rate: 0.1}\n"
#define PLAIN TRAINING "privacy: {mode: none}\ncompression: none\n"
#define PRIVATE                                                                                    \
    TRAINING "privacy: {mode: patient, epsilon: 1, delta: 1.0e-5, clip_norm: 1, "                  \
             "noise_multiplier: 8}\ncompression: none\n"
#define SECURE                                                                                     \
    "aggregation: {rule: weighted-mean, deadline_s: 60, secure: true, secure_threshold: 3}\n"
#define ALLOW                                                                                      \
    "decision: allow\nprivacy_required: false\nepsilon_per_study: 2\nepsilon_per_year: 4\n"        \
    "epsilon_total: 8\ndelta: 1.0e-4\nmin_patients: 50\n"

/* What the coordinator has from each site in each stage. */
struct word {
    unsigned char *bytes;
    size_t n;
};
static struct hospital h[N];
static struct word words[TASK_STAGES + 1][N];
static uint32_t task;

static inline void forget_words(void)
{
    for (int s = 0; s <= TASK_STAGES; s++)
        for (int i = 0; i < N; i++) {
            free(words[s][i].bytes);
            words[s][i] = (struct word){0};
        }
}

static inline void allow(struct hospital *hospital)
{
    struct vault_reply reply = hospital_ask(hospital, hospital_offer(hospital));
    assert_int_equal(reply.type, IPC_SIGNED);
    if (reply.message->study_answer.verdict != STUDY_ALLOWED)
        fail_msg("%s", reply.message->study_answer.reason);
}

static inline void open_all(const char *lines, const char *policy)
{
    task = 0;
    for (int i = 0; i < N; i++) {
        hospital_open_as(&h[i], NAMES[i], SITES, lines, policy);
        allow(&h[i]);
    }
}

static inline void close_all(void)
{
    forget_words();
    for (int i = 0; i < N; i++)
        hospital_close(&h[i]);
}

static inline void expect_declined(struct vault_reply reply, const char *part)
{
    assert_int_equal(reply.type, IPC_SIGNED);
    assert_int_equal(reply.message->kind, MESSAGE_TASK_DECLINED);
    if (!strstr(reply.message->task_declined.reason, part))
        fail_msg("'%s' lacks '%s'", reply.message->task_declined.reason, part);
}

/* The input of a stage from what the sites in `from` said in the one before. */
static inline unsigned char *input_of(uint32_t stage, uint32_t round, const bool *from,
                                      size_t *ret_n)
{
    struct secure_entry entries[N];
    struct secure_input input = {.stage = task_of_stage(stage), .round = round, .entries = entries};
    unsigned char *bytes = NULL;
    struct why why;
    for (uint32_t i = 0; i < N; i++) {
        if (!from[i])
            continue;
        struct secure_entry *e = &entries[input.count++];
        *e = (struct secure_entry){.site = i};
        memcpy(e->sign_key, h[i].site.sign_public, 32);
        if (stage != task_stage(TASK_AGREE)) {
            e->word = words[stage - 1][i].bytes;
            e->n = words[stage - 1][i].n;
        }
    }
    assert_true(ok(secure_input_encode(&input, &bytes, ret_n, &why)));
    return bytes;
}

static inline struct vault_reply ask(int site, uint32_t stage, uint32_t number, uint32_t round,
                                     const unsigned char *input, size_t n)
{
    return hospital_ask(&h[site], hospital_task_with(&h[site], task_of_stage(stage), number, round,
                                                     input, n));
}

static inline void keep(int site, uint32_t stage, struct vault_reply reply)
{
    if (reply.type != IPC_RESULT)
        fail_msg("%s, stage %u: %s", NAMES[site], stage,
                 reply.message ? reply.message->task_declined.reason : reply.sentence);
    free(words[stage][site].bytes);
    words[stage][site].bytes = hospital_open_result(&h[site], &reply, &words[stage][site].n);
}

static const bool ALL[N] = {true, true, true, true};

/* One stage as it should be: input from `from`, answers of `asked`. */
static inline void stage_of(uint32_t stage, uint32_t round, const bool *from, const bool *asked)
{
    size_t n = 0;
    task++;
    unsigned char *input =
        stage == 1 ? hospital_model(&h[0], round, 0.125f, &n) : input_of(stage, round, from, &n);
    for (int i = 0; i < N; i++)
        if (asked[i])
            keep(i, stage, ask(i, stage, task, round, input, n));
    free(input);
}

/* Until all masked updates are with the coordinator. */
static inline void until_masked(uint32_t round)
{
    for (uint32_t stage = 1; stage <= 3; stage++)
        stage_of(stage, round, ALL, ALL);
}

static inline struct secure_scope scope_of(uint32_t round, unsigned char *model_hash)
{
    size_t n = 0;
    unsigned char *model = hospital_model(&h[0], round, 0.125f, &n);
    crypto_generichash(model_hash, PLAN_HASH_BYTES, model, n, NULL, 0);
    free(model);
    return (struct secure_scope){.study = "falls",
                                 .plan_hash = h[0].plan.hash,
                                 .model_hash = model_hash,
                                 .task = task - 4,
                                 .round = round};
}

/* The coordinator's part: the sum over the survivors, opened by all the reveals it has. */
static inline enum mask_result open_sum(uint32_t round, const bool *survivors, uint64_t total[D])
{
    unsigned char hash[PLAN_HASH_BYTES];
    struct secure_scope scope = scope_of(round, hash);
    struct mask_advert adverts[N];
    struct mask_reveal reveals[N][N];
    const struct mask_reveal *answers[N];
    struct why why;
    struct mask_opening o = {N,       T,   0,         secure_scope_number(&scope),
                             adverts, ALL, survivors, answers};
    memset(total, 0, D * sizeof *total);
    for (unsigned i = 0; i < N; i++) {
        struct secure_word word;
        struct payload_update update;
        assert_true(ok(secure_word_decode(&word, words[1][i].bytes, words[1][i].n, TASK_KEYS, round,
                                          N, &why)));
        assert_true(
            secure_advert_open(&scope, NAMES[i], word.parts, h[i].site.sign_public, &adverts[i]));
        secure_word_free(&word);
        if (words[5][i].bytes) {
            assert_true(ok(secure_word_decode(&word, words[5][i].bytes, words[5][i].n, TASK_REVEAL,
                                              round, N, &why)));
            assert_true(secure_reveals_get(word.parts, N, reveals[i]));
            answers[o.answers++] = reveals[i];
            secure_word_free(&word);
        }
        if (!survivors[i])
            continue;
        assert_true(ok(payload_update_decode(&update, words[3][i].bytes, words[3][i].n, &why)));
        assert_int_equal(update.frame_n, D * sizeof(uint64_t));
        for (size_t k = 0; k < D; k++) {
            uint64_t v;
            memcpy(&v, update.frame + k * sizeof v, sizeof v);
            total[k] += v;
        }
        payload_update_free(&update);
    }
    return mask_open(&o, total, D, SECURE_MODULUS_BITS);
}

/* What the same sites put into the sum, from open studies on the same patients. */
static inline void plain_sum(const bool *survivors, uint64_t total[D])
{
    struct hospital open;
    memset(total, 0, D * sizeof *total);
    for (int i = 0; i < N; i++) {
        uint64_t values[D];
        float update[D];
        struct payload_update payload;
        struct codec_view view;
        struct why why;
        size_t n = 0;
        if (!survivors[i])
            continue;
        hospital_open_as(&open, NAMES[i], SITES, PLAIN, ALLOW);
        allow(&open);
        struct vault_reply reply =
            hospital_ask(&open, hospital_task(&open, TASK_TRAIN, 1, 1, 0.125f, true));
        unsigned char *plain = hospital_open_result(&open, &reply, &n);
        assert_true(ok(payload_update_decode(&payload, plain, n, &why)));
        assert_true(ok(codec_open(payload.frame, payload.frame_n, D, &view, &why)));
        float block[CODEC_BLOCK];
        codec_decode_blocks(&view, 0, 1, block);
        memcpy(update, block, sizeof update);
        assert_true(secure_quantise(update, D, 200.0, values));
        for (int k = 0; k < D; k++)
            total[k] += values[k];
        payload_update_free(&payload);
        free(plain);
        hospital_close(&open);
    }
}

#endif
