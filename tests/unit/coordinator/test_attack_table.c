/* SPDX-License-Identifier: Apache-2.0 */
/* Rules against attacks, heterogeneity and privacy noise, in training a small network on data made
 * here: the worst test accuracy of each rule over the attacks, by the fast engine, within 0.02 of
 * the table that the plain twins in double gave, and the order that the rules' theory asks for.
 *
 * CONSILIUM_PLAIN=1 prints the table by the plain twins and asserts nothing. */
#include "tests/attack_world.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char KEY[RNG_KEY_BYTES] = "rules against attacks";

/* By the plain twins. */
static const double EXPECTED[WORLD_RULES][WORLD_SETTINGS] = {
    {.806, .864, .814, .480}, /* mean */
    {.884, .752, .654, .448}, /* median */
    {.886, .768, .768, .500}, /* trimmed-mean */
    {.874, .786, .800, .508}, /* nnm+trimmed-mean */
    {.884, .782, .832, .480}, /* caf */
};

static void fill_table(struct attack_world *w, double worst[WORLD_RULES][WORLD_SETTINGS])
{
    struct why why = {""};
    for (size_t s = 0; s < WORLD_SETTINGS; s++) {
        struct rng rng;
        rng_init_seeded(&rng, KEY, 3);
        attack_world_deal(w, WORLD_SETTING[s].alpha, &rng);
        for (size_t r = 0; r < WORLD_RULES; r++) {
            const char *by = "";
            worst[r][s] = 2.0;
            for (size_t a = 0; a < WORLD_ATTACKS; a++) {
                double reached = 0.0;
                if (!ok(attack_world_train(w, WORLD_RULE[r], WORLD_ATTACK[a],
                                           WORLD_SETTING[s].ratio, 7, &reached, &why)))
                    fail_msg("%s", why.text);
                by = reached < worst[r][s] ? WORLD_ATTACK[a] : by;
                worst[r][s] = fmin(worst[r][s], reached);
            }
            print_message("%-18s %-12s %.3f (%s)\n", WORLD_RULE[r], WORLD_SETTING[s].name,
                          worst[r][s], by);
        }
    }
}

static void table(void **state)
{
    (void)state;
    struct attack_world w = {.inputs = 16,
                             .hidden = 16,
                             .classes = 6,
                             .samples = 1400,
                             .train = 900,
                             .n = 11,
                             .f = 3,
                             .steps = 100,
                             .batch = 12,
                             .rate = 1.0,
                             .beta = 0.9,
                             .plain = getenv("CONSILIUM_PLAIN") != NULL};
    struct rng rng;
    attack_world_open(&w);
    rng_init_seeded(&rng, KEY, 1);
    attack_world_make(&w, &rng);
    attack_world_shuffle(&w, &rng);
    double worst[WORLD_RULES][WORLD_SETTINGS];
    fill_table(&w, worst);
    attack_world_close(&w);
    if (w.plain)
        return;
    for (size_t r = 0; r < WORLD_RULES; r++)
        for (size_t s = 0; s < WORLD_SETTINGS; s++)
            assert_true(fabs(worst[r][s] - EXPECTED[r][s]) <= 0.02);
    /* Every rule beats the mean where sites are alike, the mixed ones where they differ and noise.
     */
    for (size_t r = 1; r < WORLD_RULES; r++)
        assert_true(worst[r][0] > worst[0][0] + 0.04);
    assert_true(worst[3][2] > worst[2][2] + 0.02 && worst[2][2] > worst[1][2] + 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};
    return cmocka_run_group_tests_name("attack_table", tests, NULL, NULL);
}
