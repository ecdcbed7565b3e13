/* SPDX-License-Identifier: Apache-2.0 */
/* Vaults that are started anew in the middle of a secure round, and reveals that are asked again.
 */
#include "tests/unit/agent/secure_world.h"

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
    snprintf(path, sizeof path, "%.63s/secure", hospital->folder);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_costs_one_round),
        cmocka_unit_test(a_restart_after_training_costs_nothing),
        cmocka_unit_test(a_failed_reveal_is_answered_again),
        cmocka_unit_test(what_is_kept_is_sealed_and_bounded),
    };
    return cmocka_run_group_tests_name("secure_restart", tests, NULL, NULL);
}
