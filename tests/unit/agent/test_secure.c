/* SPDX-License-Identifier: Apache-2.0 */
/* Four vaults and a coordinator between them that may lie: sums that are exact, drop-outs that are
 * survived, and single updates that stay closed whatever it asks. */
#include "tests/unit/agent/secure_world.h"

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
        cmocka_unit_test(shared_noise_is_charged_once),
    };
    return cmocka_run_group_tests_name("secure", tests, NULL, NULL);
}
