/* SPDX-License-Identifier: Apache-2.0 */
/* Four vaults and a coordinator between them that may lie: sums that are exact, drop-outs that are
 * survived, and single updates that stay closed whatever it asks. */
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

static void forget_words(void)
{
    for (int s = 0; s <= TASK_STAGES; s++)
        for (int i = 0; i < N; i++) {
            free(words[s][i].bytes);
            words[s][i] = (struct word){0};
        }
}

static void allow(struct hospital *hospital)
{
    struct vault_reply reply = hospital_ask(hospital, hospital_offer(hospital));
    assert_int_equal(reply.type, IPC_SIGNED);
    if (reply.message->study_answer.verdict != STUDY_ALLOWED)
        fail_msg("%s", reply.message->study_answer.reason);
}

static void open_all(const char *lines, const char *policy)
{
    task = 0;
    for (int i = 0; i < N; i++) {
        hospital_open_as(&h[i], NAMES[i], SITES, lines, policy);
        allow(&h[i]);
    }
}

static void close_all(void)
{
    forget_words();
    for (int i = 0; i < N; i++)
        hospital_close(&h[i]);
}

static void expect_declined(struct vault_reply reply, const char *part)
{
    assert_int_equal(reply.type, IPC_SIGNED);
    assert_int_equal(reply.message->kind, MESSAGE_TASK_DECLINED);
    if (!strstr(reply.message->task_declined.reason, part))
        fail_msg("'%s' lacks '%s'", reply.message->task_declined.reason, part);
}

/* The input of a stage from what the sites in `from` said in the one before. */
static unsigned char *input_of(uint32_t stage, uint32_t round, const bool *from, size_t *ret_n)
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

static struct vault_reply ask(int site, uint32_t stage, uint32_t number, uint32_t round,
                              const unsigned char *input, size_t n)
{
    return hospital_ask(&h[site], hospital_task_with(&h[site], task_of_stage(stage), number, round,
                                                     input, n));
}

static void keep(int site, uint32_t stage, struct vault_reply reply)
{
    if (reply.type != IPC_RESULT)
        fail_msg("%s, stage %u: %s", NAMES[site], stage,
                 reply.message ? reply.message->task_declined.reason : reply.sentence);
    free(words[stage][site].bytes);
    words[stage][site].bytes = hospital_open_result(&h[site], &reply, &words[stage][site].n);
}

static const bool ALL[N] = {true, true, true, true};

/* One stage as it should be: input from `from`, answers of `asked`. */
static void stage_of(uint32_t stage, uint32_t round, const bool *from, const bool *asked)
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
static void until_masked(uint32_t round)
{
    for (uint32_t stage = 1; stage <= 3; stage++)
        stage_of(stage, round, ALL, ALL);
}

static struct secure_scope scope_of(uint32_t round, unsigned char *model_hash)
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
static enum mask_result open_sum(uint32_t round, const bool *survivors, uint64_t total[D])
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
static void plain_sum(const bool *survivors, uint64_t total[D])
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

static void sums_are_exact(void **state)
{
    static const bool PATTERNS[][N] = {{true, true, true, true},
                                       {false, true, true, true},
                                       {true, true, true, false}};
    (void)state;
    for (size_t p = 0; p < sizeof PATTERNS / sizeof *PATTERNS; p++) {
        const bool *survivors = PATTERNS[p];
        uint64_t total[D], expected[D];
        open_all(PLAIN SECURE, ALLOW);
        until_masked(1);
        stage_of(4, 1, survivors, survivors);
        stage_of(5, 1, survivors, survivors);
        assert_int_equal(open_sum(1, survivors, total), MASK_OK);
        plain_sum(survivors, expected);
        assert_memory_equal(total, expected, sizeof total);
        close_all();
    }
}

/* One of those that agreed falls silent before it reveals: the threshold is enough. */
static void a_silent_site_does_not_matter(void **state)
{
    static const bool THREE[N] = {true, false, true, true};
    uint64_t total[D], expected[D];
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    until_masked(1);
    stage_of(4, 1, ALL, ALL);
    stage_of(5, 1, ALL, THREE);
    assert_int_equal(open_sum(1, ALL, total), MASK_OK);
    plain_sum(ALL, expected);
    assert_memory_equal(total, expected, sizeof total);
    close_all();
}

/* All that the coordinator ever heard about site j: shares of its seed and of its key. */
static void count_shares(uint32_t round, unsigned seeds[N], unsigned keys[N])
{
    struct why why;
    memset(seeds, 0, N * sizeof *seeds);
    memset(keys, 0, N * sizeof *keys);
    for (int i = 0; i < N; i++) {
        struct secure_word word;
        struct mask_reveal reveals[N];
        if (!words[5][i].bytes)
            continue;
        assert_true(ok(secure_word_decode(&word, words[5][i].bytes, words[5][i].n, TASK_REVEAL,
                                          round, N, &why)));
        assert_true(secure_reveals_get(word.parts, N, reveals));
        secure_word_free(&word);
        for (int j = 0; j < N; j++) {
            seeds[j] += reveals[j].share.at != 0 && reveals[j].survivor;
            keys[j] += reveals[j].share.at != 0 && !reveals[j].survivor;
        }
    }
}

/* The coordinator wants south's update: it tells some that south delivered, others that it dropped
 * out, asks again with other lists, restarts vaults, and starts the round anew. */
static void selective_dropping_opens_nothing(void **state)
{
    static const bool WITH[N] = {true, true, true, true}, WITHOUT[N] = {true, false, true, true};
    size_t with_n = 0, without_n = 0, n = 0;
    unsigned seeds[N], keys[N];
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    until_masked(1);
    unsigned char *with = input_of(4, 1, WITH, &with_n);
    unsigned char *without = input_of(4, 1, WITHOUT, &without_n);
    task++;
    keep(0, 4, ask(0, 4, task, 1, with, with_n));
    keep(1, 4, ask(1, 4, task, 1, with, with_n));
    keep(2, 4, ask(2, 4, task, 1, without, without_n));
    keep(3, 4, ask(3, 4, task, 1, without, without_n));
    /* Each list has two sites behind it, the threshold is three: nobody reveals anything. */
    unsigned char *tags = input_of(5, 1, ALL, &n);
    for (int i = 0; i < N; i++)
        expect_declined(ask(i, 5, task + 1, 1, tags, n), "fewer sites than the threshold");
    free(tags);
    /* The same question again brings the same answer; another list is not answered at all. */
    for (int i = 0; i < N; i++)
        expect_declined(ask(i, 4, task + 2, 1, i < 2 ? without : with, i < 2 ? without_n : with_n),
                        "second");
    /* Nor after a restart, which has not forgotten the list. */
    for (int i = 0; i < N; i++) {
        hospital_crash(&h[i]);
        hospital_start(&h[i]);
        expect_declined(ask(i, 4, task + 3, 1, without, without_n), "second");
    }
    count_shares(1, seeds, keys);
    for (int j = 0; j < N; j++)
        assert_int_equal(seeds[j] + keys[j], 0);
    free(with);
    free(without);
    close_all();
}

/* Having opened the sum of all, it wants the sum without south to take the difference. */
static void no_second_sum_of_a_round(void **state)
{
    static const bool WITHOUT[N] = {true, false, true, true};
    size_t n = 0;
    unsigned seeds[N], keys[N];
    uint64_t total[D];
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    until_masked(1);
    stage_of(4, 1, ALL, ALL);
    stage_of(5, 1, ALL, ALL);
    assert_int_equal(open_sum(1, ALL, total), MASK_OK);
    uint32_t last = task;
    /* The reveal again with other tags: the very same bytes, from the outbox. */
    struct word first = words[5][0];
    words[5][0].bytes = NULL;
    unsigned char *other = input_of(5, 1, WITHOUT, &n);
    keep(0, 5, ask(0, 5, last, 1, other, n));
    assert_int_equal(words[5][0].n, first.n);
    assert_memory_equal(words[5][0].bytes, first.bytes, first.n);
    free(first.bytes);
    free(other);
    /* Another list, another reveal, the round from its start: refused, restart or not. */
    for (int restart = 0; restart < 2; restart++) {
        size_t list_n = 0, model_n = 0;
        unsigned char *list = input_of(4, 1, WITHOUT, &list_n);
        unsigned char *model = hospital_model(&h[0], 1, 0.125f, &model_n);
        for (int i = 0; i < N; i++) {
            expect_declined(ask(i, 4, last + 5, 1, list, list_n), "second");
            expect_declined(ask(i, 1, last + 6, 1, model, model_n), "second");
            hospital_crash(&h[i]);
            hospital_start(&h[i]);
        }
        free(list);
        free(model);
    }
    count_shares(1, seeds, keys);
    for (int j = 0; j < N; j++)
        assert_true(seeds[j] == N && keys[j] == 0);
    /* The next round is another matter. */
    forget_words();
    task = last + 10;
    until_masked(2);
    stage_of(4, 2, WITHOUT, WITHOUT);
    stage_of(5, 2, WITHOUT, WITHOUT);
    assert_int_equal(open_sum(2, WITHOUT, total), MASK_OK);
    count_shares(2, seeds, keys);
    assert_true(seeds[1] == 0 && keys[1] == 3 && seeds[0] == 3 && keys[0] == 0);
    close_all();
}

/* Lists of survivors below the threshold, or without the site itself. */
static void short_lists_are_refused(void **state)
{
    static const bool TWO[N] = {true, true, false, false}, OTHERS[N] = {false, true, true, true};
    size_t n = 0;
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    until_masked(1);
    unsigned char *two = input_of(4, 1, TWO, &n);
    task++;
    expect_declined(ask(0, 4, task, 1, two, n), "fewer sites than the threshold");
    free(two);
    unsigned char *others = input_of(4, 1, OTHERS, &n);
    expect_declined(ask(0, 4, task, 1, others, n), "out of range");
    free(others);
    close_all();
}

/* Keys that their site did not sign, for this model and this round, are found out. */
static void substituted_keys_are_found(void **state)
{
    size_t n = 0;
    struct why why;
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    stage_of(1, 1, ALL, ALL);
    /* The coordinator's own key in south's place, signed by nobody. */
    struct secure_word word;
    assert_true(
        ok(secure_word_decode(&word, words[1][1].bytes, words[1][1].n, TASK_KEYS, 1, N, &why)));
    unsigned char secret[MASK_KEY_BYTES];
    randombytes_buf(secret, sizeof secret);
    crypto_scalarmult_base(word.parts, secret);
    free(words[1][1].bytes);
    assert_true(ok(secure_word_encode(&word, &words[1][1].bytes, &words[1][1].n, &why)));
    secure_word_free(&word);
    unsigned char *input = input_of(2, 1, ALL, &n);
    expect_declined(ask(0, 2, ++task, 1, input, n), "'south' are not signed");
    free(input);
    close_all();
    /* East was given another model, to make the others' gradients vanish. */
    open_all(PLAIN SECURE, ALLOW);
    stage_of(1, 1, (const bool[N]){0}, (const bool[N]){true, true, false, true});
    unsigned char *model = hospital_model(&h[2], 1, 1000.0f, &n);
    keep(2, 1, ask(2, 1, task, 1, model, n));
    free(model);
    input = input_of(2, 1, ALL, &n);
    task++;
    expect_declined(ask(0, 2, task, 1, input, n), "'east' are not signed");
    expect_declined(ask(2, 2, task, 1, input, n), "'north' are not signed");
    free(input);
    close_all();
}

/* A key that changes in the middle of a study is refused, after a restart too: the coordinator
 * cannot put itself between sites that have met. */
static void keys_of_sites_are_remembered(void **state)
{
    size_t n = 0;
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    stage_of(1, 1, ALL, ALL);
    stage_of(2, 1, ALL, ALL);
    hospital_crash(&h[0]);
    hospital_start(&h[0]);
    stage_of(1, 1, ALL, ALL);
    /* South's key and signature are made anew by the coordinator. */
    unsigned char hash[PLAN_HASH_BYTES];
    task += 4; /* scope_of counts from the round's last task */
    struct secure_scope scope = scope_of(1, hash);
    task -= 4;
    struct secure_word word;
    struct mask_advert advert;
    struct why why;
    assert_true(
        ok(secure_word_decode(&word, words[1][1].bytes, words[1][1].n, TASK_KEYS, 1, N, &why)));
    assert_true(secure_advert_open(&scope, "south", word.parts, h[1].site.sign_public, &advert));
    crypto_sign_keypair(h[1].site.sign_public, h[1].site.sign_secret);
    secure_advert_sign(&scope, "south", &advert, h[1].site.sign_secret, word.parts);
    free(words[1][1].bytes);
    assert_true(ok(secure_word_encode(&word, &words[1][1].bytes, &words[1][1].n, &why)));
    secure_word_free(&word);
    unsigned char *input = input_of(2, 1, ALL, &n);
    expect_declined(ask(0, 2, ++task, 1, input, n), "another key than this site saw");
    free(input);
    close_all();
}

/* A vault that was started anew has no keys, and is back in the next attempt. */
static void a_restart_costs_one_round(void **state)
{
    size_t n = 0;
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    stage_of(1, 1, ALL, ALL);
    stage_of(2, 1, ALL, ALL);
    hospital_crash(&h[3]);
    hospital_start(&h[3]);
    unsigned char *input = input_of(3, 1, ALL, &n);
    expect_declined(ask(3, 3, ++task, 1, input, n), "takes part again");
    free(input);
    until_masked(1);
    stage_of(4, 1, ALL, ALL);
    stage_of(5, 1, ALL, ALL);
    close_all();
}

/* A vault that was started anew after it trained goes on: agreeing and revealing, with the very
 * words that it would have said. */
static void a_restart_after_training_costs_nothing(void **state)
{
    uint64_t total[D], expected[D];
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    until_masked(1);
    for (int i = 0; i < N; i++) {
        hospital_crash(&h[i]);
        hospital_start(&h[i]);
    }
    stage_of(4, 1, ALL, ALL);
    for (int i = 0; i < N; i++) {
        hospital_crash(&h[i]);
        hospital_start(&h[i]);
    }
    stage_of(5, 1, ALL, ALL);
    assert_int_equal(open_sum(1, ALL, total), MASK_OK);
    plain_sum(ALL, expected);
    assert_memory_equal(total, expected, sizeof total);
    close_all();
}

static bool is_erased(const struct hospital *hospital)
{
    char path[256];
    bool zeros = true;
    int c;
    snprintf(path, sizeof path, "%s/secure", hospital->folder);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    while (zeros && (c = fgetc(file)) != EOF)
        zeros = c == 0;
    fclose(file);
    return zeros;
}

/* Fewer than the threshold revealed: asked again under a new number, those that did say the same
 * again, those that were away say it for the first time, restarted or not. Then nothing is kept. */
static void a_failed_reveal_is_answered_again(void **state)
{
    static const bool TWO[N] = {true, true, false, false};
    uint64_t total[D], expected[D];
    size_t n = 0;
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    until_masked(1);
    stage_of(4, 1, ALL, ALL);
    stage_of(5, 1, ALL, TWO);
    assert_int_equal(open_sum(1, ALL, total), MASK_TOO_FEW);
    for (int i = 0; i < N; i++) {
        assert_true(is_erased(&h[i]) == TWO[i]); /* the outbox answers for those */
        hospital_crash(&h[i]);
        hospital_start(&h[i]);
        assert_true(is_erased(&h[i]) == TWO[i]);
    }
    unsigned char *input = input_of(5, 1, ALL, &n);
    for (int again = 0; again < 3; again++) {
        task++;
        for (int i = 0; i < N; i++) {
            struct word was = words[5][i];
            words[5][i].bytes = NULL;
            keep(i, 5, ask(i, 5, task, 1, input, n));
            if (was.bytes) {
                assert_int_equal(words[5][i].n, was.n);
                assert_memory_equal(words[5][i].bytes, was.bytes, was.n);
            }
            free(was.bytes);
            assert_true(is_erased(&h[i]));
        }
    }
    task = 5; /* scope_of counts from the round's first reveal */
    assert_int_equal(open_sum(1, ALL, total), MASK_OK);
    plain_sum(ALL, expected);
    assert_memory_equal(total, expected, sizeof total);
    /* Other tags, and so perhaps another list: no. */
    static const bool THREE[N] = {true, true, true, false};
    size_t other_n = 0;
    unsigned char *other = input_of(5, 1, THREE, &other_n);
    for (int i = 0; i < N; i++)
        expect_declined(ask(i, 5, 20, 1, other, other_n), "second");
    for (int i = 0; i < N; i++) {
        hospital_crash(&h[i]);
        hospital_start(&h[i]);
        expect_declined(ask(i, 5, 21, 1, other, other_n), "second");
    }
    free(other);
    free(input);
    close_all();
}

/* What is on disk is sealed, is this site's, and is of no use once the round is another. */
static void what_is_kept_is_sealed_and_bounded(void **state)
{
    char line[600], path[256];
    size_t n = 0;
    (void)state;
    open_all(PLAIN SECURE, ALLOW);
    until_masked(1);
    unsigned char *list = input_of(4, 1, ALL, &n);
    /* South's file in north's place does not open; a torn half of east's neither. */
    hospital_crash(&h[0]);
    hospital_crash(&h[1]);
    hospital_crash(&h[2]);
    snprintf(line, sizeof line, "cp %s/secure %s/secure", h[1].folder, h[0].folder);
    assert_int_equal(system(line), 0);
    snprintf(path, sizeof path, "%s/secure", h[2].folder);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 60 * 1024, SEEK_SET); /* within the half that was written */
    int c = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(c ^ 1, file);
    fclose(file);
    for (int i = 0; i < 3; i++)
        hospital_start(&h[i]);
    task++;
    expect_declined(ask(0, 4, task, 1, list, n), "takes part again");
    expect_declined(ask(2, 4, task, 1, list, n), "takes part again");
    assert_true(is_erased(&h[0]) && is_erased(&h[2]) && !is_erased(&h[1]));
    keep(1, 4, ask(1, 4, task, 1, list, n));
    free(list);
    /* New keys, and the old are gone. */
    stage_of(1, 1, ALL, ALL);
    assert_true(is_erased(&h[1]) && is_erased(&h[3]));
    hospital_crash(&h[1]);
    hospital_start(&h[1]);
    close_all();
}

/* With privacy: the site's policy decides whether a share of the noise will do; rounds are paid
 * for once, attempts that stay closed are not. */
static void shared_noise_is_charged_once(void **state)
{
    (void)state;
    hospital_open_as(&h[0], NAMES[0], SITES, PRIVATE SECURE, ALLOW);
    struct vault_reply reply = hospital_ask(&h[0], hospital_offer(&h[0]));
    assert_int_equal(reply.message->study_answer.verdict, STUDY_REFUSED);
    assert_non_null(strstr(reply.message->study_answer.reason, "noise_shares"));
    hospital_close(&h[0]);

    open_all(PRIVATE SECURE, ALLOW "noise_shares: true\n");
    const struct ledger_study *study = ledger_find(&h[0].vault.ledger, "falls");
    double paid = study->charge.epsilon;
    assert_true(paid > 0.5 && paid < 1.5);
    assert_non_null(strstr(study->charge.events, "|ed:0:")); /* the rounding's share of delta */
    for (int attempt = 0; attempt < 5; attempt++)
        until_masked(1); /* none is ever opened */
    for (uint32_t round = 1; round <= 3; round++) {
        uint64_t total[D];
        if (round > 1)
            until_masked(round);
        stage_of(4, round, ALL, ALL);
        stage_of(5, round, ALL, ALL);
        assert_int_equal(open_sum(round, ALL, total), MASK_OK);
        /* Noise of 8 clip norms is 2^24 steps of the aggregate's grid, times sqrt(2) since four
         * shares of 8 / sqrt(2) are in; a grid step is that of one share. */
        for (int k = 0; k < D; k++)
            assert_true(llabs(mask_centred(total[k], 64)) < (INT64_C(1) << 32));
    }
    study = ledger_find(&h[0].vault.ledger, "falls");
    assert_int_equal(study->revealed, 3);
    assert_true(study->charge.epsilon == paid);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_exact),
        cmocka_unit_test(a_silent_site_does_not_matter),
        cmocka_unit_test(selective_dropping_opens_nothing),
        cmocka_unit_test(no_second_sum_of_a_round),
        cmocka_unit_test(short_lists_are_refused),
        cmocka_unit_test(substituted_keys_are_found),
        cmocka_unit_test(keys_of_sites_are_remembered),
        cmocka_unit_test(a_restart_costs_one_round),
        cmocka_unit_test(a_restart_after_training_costs_nothing),
        cmocka_unit_test(a_failed_reveal_is_answered_again),
        cmocka_unit_test(what_is_kept_is_sealed_and_bounded),
        cmocka_unit_test(shared_noise_is_charged_once),
    };
    return cmocka_run_group_tests_name("secure", tests, NULL, NULL);
}
