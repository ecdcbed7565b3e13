/* SPDX-License-Identifier: Apache-2.0 */
/* The budget refuses before it overspends, says what would fit, and its chain cannot be altered. */
#include "privacy/budget.h"
#include "privacy/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char record[BUDGET_RECORD_MAX], error[BUDGET_TEXT_MAX];
static struct event_list events;

static struct budget *opened(double epsilon, double delta)
{
    struct budget *b = calloc(1, sizeof *b);
    assert_non_null(b);
    assert_int_equal(budget_open(epsilon, delta, 1, record), 0);
    assert_int_equal(budget_apply(b, record, error), 0);
    return b;
}

static enum budget_verdict ask(const struct budget *b, const char *study, const char *list,
                               struct budget_answer *answer)
{
    char reason[EVENT_ERROR_MAX];
    assert_int_equal(event_list_parse(&events, list, reason), 0);
    const struct budget_charge charge = {study, "training", 1700000000000, &events};
    return budget_decide(b, &charge, answer, record);
}

static void pay(struct budget *b, const char *study, const char *list)
{
    struct budget_answer answer;
    assert_int_equal(ask(b, study, list, &answer), BUDGET_ACCEPTED);
    assert_int_equal(budget_apply(b, record, error), 0);
}

/* k studies of (q = .02, s = 1, T = 500): what the filter charges, and what was true in hindsight.
 */
static void price_of_several_studies(void **state)
{
    (void)state;
    static const double filter[] = {3.144, 4.324}, hindsight[] = {2.773, 3.899};
    for (int k = 0; k < 2; k++) {
        struct budget *b = opened(1.03 * filter[k], 1e-5);
        for (int i = 0; i <= k; i++)
            pay(b, "stroke-2026", "g:0.02:1:500");
        double spent = budget_epsilon(b, 1);
        assert_true(spent > 0.99 * filter[k] && spent < 1.03 * filter[k]);
        assert_true(fabs(budget_epsilon_in_advance(b) - hindsight[k]) < 2e-3);
        assert_true(budget_epsilon(b, 2) > spent);
        assert_int_equal(b->records, k + 2);
        free(b);
    }
    struct budget *b = opened(4, 1e-5);
    pay(b, "stroke-2026", "g:0.02:1:500");
    pay(b, "stroke-2026", "g:1:10:5"); /* metric releases are lines of the same ledger */
    assert_int_equal(b->records, 3);
    free(b);
}

static void refusal_says_what_fits(void **state)
{
    (void)state;
    struct budget *b = opened(3, 1e-6);
    struct budget_answer answer;
    pay(b, "first", "g:0.02:2:500");
    struct budget before;
    memcpy(&before, b, sizeof before);
    assert_int_equal(ask(b, "second", "g:0.02:0.8:2000", &answer), BUDGET_REFUSED);
    assert_memory_equal(&before, b, sizeof before);
    print_message("%s\n", answer.text);
    assert_non_null(strstr(answer.text, "at noise multiplier "));
    char list[64];
    snprintf(list, sizeof list, "g:0.02:%.6g:2000", atof(strstr(answer.text, "multiplier ") + 11));
    assert_int_equal(ask(b, "second", list, &answer), BUDGET_ACCEPTED);
    snprintf(list, sizeof list, "g:0.02:%.6g:2000", 0.98 * atof(list + 7));
    assert_int_equal(ask(b, "second", list, &answer), BUDGET_REFUSED);
    /* So does the stated number of steps. */
    assert_int_equal(ask(b, "second", "g:0.02:2:5000", &answer), BUDGET_REFUSED);
    int steps = atoi(strstr(answer.text, ", or ") + 5);
    assert_true(steps > 0 && steps < 5000);
    snprintf(list, sizeof list, "g:0.02:2:%d", steps);
    assert_int_equal(ask(b, "second", list, &answer), BUDGET_ACCEPTED);
    snprintf(list, sizeof list, "g:0.02:2:%d", steps + 1);
    assert_int_equal(ask(b, "second", list, &answer), BUDGET_REFUSED);
    /* A first plan that no order allows. */
    struct budget *small = opened(0.1, 1e-6);
    assert_int_equal(ask(small, "a", "g:1:1:10|lap:3:4", &answer), BUDGET_REFUSED);
    assert_non_null(strstr(answer.text, "with all its noise times "));
    free(small);
    free(b);
}

static void two_plans_cannot_both_take_the_last(void **state)
{
    (void)state;
    struct budget *b = opened(3.5, 1e-6);
    struct budget_answer answer;
    static char first[BUDGET_RECORD_MAX];
    pay(b, "start", "g:0.02:1.5:200");
    /* Both are asked while neither is stored: each alone would fit. */
    assert_int_equal(ask(b, "a", "g:0.02:1.2:700", &answer), BUDGET_ACCEPTED);
    memcpy(first, record, sizeof first);
    assert_int_equal(ask(b, "b", "g:0.02:1.2:701", &answer), BUDGET_ACCEPTED);
    assert_int_equal(budget_apply(b, first, error), 0);
    /* The second record no longer follows the chain, and asking again is refused. */
    assert_int_equal(budget_apply(b, record, error), -1);
    assert_non_null(strstr(error, "does not follow"));
    assert_int_equal(ask(b, "b", "g:0.02:1.2:701", &answer), BUDGET_REFUSED);
    free(b);
}

static void never_overspends(void **state)
{
    (void)state;
    static const unsigned char key[RNG_KEY_BYTES] = {5};
    struct rng rng;
    rng_init_seeded(&rng, key, 0);
    for (int run = 0; run < 3; run++) {
        struct budget *b = opened(1 + run, 1e-6);
        int accepted = 0;
        for (int i = 0; i < 30; i++) {
            struct budget_answer answer;
            char list[64];
            snprintf(list, sizeof list, "g:%.3f:%.2f:%d", 0.001 + 0.05 * rng_uniform(&rng),
                     0.7 + 3 * rng_uniform(&rng), 1 + (int)rng_below(&rng, 300));
            double before = b->spent;
            enum budget_verdict v = ask(b, "s", list, &answer);
            if (v == BUDGET_ACCEPTED) {
                assert_int_equal(budget_apply(b, record, error), 0);
                assert_true(b->spent > before);
                accepted++;
            } else {
                assert_int_equal(v, BUDGET_REFUSED);
            }
            assert_true(b->order == 0 || b->spent <= b->limit);
            assert_true(budget_epsilon(b, 1) <= 1 + run + 1e-12);
        }
        assert_true(accepted > 0);
        /* What was true in hindsight is never above what the filter charged. */
        assert_true(budget_epsilon_in_advance(b) <= budget_epsilon(b, 1) + 1e-9);
        free(b);
    }
}

static void replay_gives_the_same_state(void **state)
{
    (void)state;
    static char stored[4][BUDGET_RECORD_MAX];
    static const char *const lists[] = {"g:0.02:2:100", "g:1:12:3|lap:40:2", "ed:0.01:0:5"};
    struct budget *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
    struct budget_answer answer;
    assert_int_equal(budget_open(5, 1e-6, 1, stored[0]), 0);
    assert_int_equal(budget_apply(a, stored[0], error), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(a, "s", lists[i], &answer), BUDGET_ACCEPTED);
        memcpy(stored[i + 1], record, sizeof record);
        assert_int_equal(budget_apply(a, record, error), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(budget_apply(b, stored[i], error), 0);
    assert_memory_equal(a, b, sizeof *a);
    /* Left out, twice, in another order, cut at any byte, or changed in any byte: refused. */
    memset(b, 0, sizeof *b);
    assert_int_equal(budget_apply(b, stored[1], error), -1);
    assert_int_equal(budget_apply(b, stored[0], error), 0);
    assert_int_equal(budget_apply(b, stored[0], error), -1);
    assert_int_equal(budget_apply(b, stored[2], error), -1);
    size_t length = strlen(stored[1]);
    for (size_t i = 0; i < length; i++) {
        memcpy(record, stored[1], sizeof record);
        record[i] = '\0';
        assert_int_equal(budget_apply(b, record, error), -1);
        record[i] = (char)(stored[1][i] ^ 1);
        assert_int_equal(budget_apply(b, record, error), -1);
    }
    assert_int_equal(b->records, 1);
    assert_int_equal(budget_apply(b, stored[1], error), 0);
    free(a);
    free(b);
}

static void senseless_requests(void **state)
{
    (void)state;
    struct budget_answer answer;
    struct budget *b = calloc(1, sizeof *b);
    assert_int_equal(budget_open(0, 1e-6, 1, record), -1);
    assert_int_equal(budget_open(1, 0, 1, record), -1);
    assert_int_equal(budget_open((double)NAN, 1e-6, 1, record), -1);
    assert_int_equal(ask(b, "s", "g:0.1:1:1", &answer), BUDGET_INVALID);
    free(b);
    b = opened(3, 1e-6);
    assert_int_equal(ask(b, "s p", "g:0.1:1:1", &answer), BUDGET_INVALID);
    assert_int_equal(ask(b, "", "g:0.1:1:1", &answer), BUDGET_INVALID);
    assert_int_equal(ask(b, "s", "ed:0.1:1e-9:1", &answer), BUDGET_INVALID);
    assert_int_equal(ask(b, "s", "trunc:100:.1:20:1:1", &answer), BUDGET_INVALID);
    assert_int_equal(ask(b, "s", "g:0.1:?:1", &answer), BUDGET_INVALID);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(price_of_several_studies),
        cmocka_unit_test(refusal_says_what_fits),
        cmocka_unit_test(two_plans_cannot_both_take_the_last),
        cmocka_unit_test(never_overspends),
        cmocka_unit_test(replay_gives_the_same_state),
        cmocka_unit_test(senseless_requests),
    };
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
