/* SPDX-License-Identifier: Apache-2.0 */
/* An audit of the mechanism itself: honest noise stays under its claim, planted faults do not. */
#include "privacy/audit_bound.h"
#include "privacy/canary.h"
#include "privacy/noise.h"
#include "privacy/sampling.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { CANARIES = 1000, STEPS = 500, GUESSES = 100 };

/* One run with m Dirac canaries at rate .02 and multiplier 1, which claims epsilon 2.78 at 1e-5:
 * what an attacker's best guesses refute, when the noise is really `noise` times what it should be
 * and each gradient `scale` times C. */
static double audited(uint64_t run, double noise, double scale)
{
    static const unsigned char key[RNG_KEY_BYTES] = {17};
    static bool in[CANARIES];
    static int64_t k[CANARIES];
    static size_t chosen[CANARIES];
    static double score[CANARIES], released[CANARIES];
    struct rng rng;
    struct sampling sampling;
    rng_init_seeded(&rng, key, run);
    unsigned char sampling_key[RNG_KEY_BYTES];
    rng_bytes(&rng, sampling_key, sizeof sampling_key);
    assert_int_equal(sampling_init_seeded(&sampling, 0.02, sampling_key), 0);
    canary_coins(&rng, in, CANARIES);
    memset(score, 0, sizeof score);
    for (uint64_t t = 0; t < STEPS; t++) {
        noise_fill(&rng, k, CANARIES);
        for (size_t i = 0; i < CANARIES; i++)
            released[i] = noise * ldexp((double)k[i], -NOISE_BITS);
        size_t n = sampling_draw(&sampling, t, CANARIES, chosen);
        for (size_t i = 0; i < n; i++)
            released[chosen[i]] += in[chosen[i]] ? scale : 0;
        canary_score(score, released, CANARIES, 1, 0.02, 1);
    }
    size_t right = canary_guess(score, in, CANARIES, GUESSES);
    const struct audit_result a = {CANARIES, GUESSES, right, 1e-5, 0.05};
    double bound;
    assert_int_equal(audit_bound_one_run(&a, &bound), 0);
    return bound;
}

static void honest_mechanism_stays_below_its_claim(void **state)
{
    (void)state;
    double sum = 0;
    for (uint64_t run = 0; run < 5; run++) {
        double bound = audited(run, 1, 1);
        assert_true(bound < 2.78);
        sum += bound;
    }
    /* Nor is the audit blind: about 0.9 on average is what this size can show. */
    print_message("mean bound %.3f\n", sum / 5);
    assert_true(sum / 5 > 0.5);
}

static void planted_faults_are_caught(void **state)
{
    (void)state;
    for (uint64_t run = 10; run < 12; run++) {
        double quarter = audited(run, 0.25, 1), none = audited(run, 0, 1),
               loud = audited(run, 1, 10);
        print_message("noise/4 %.3f, no noise %.3f, no clipping %.3f\n", quarter, none, loud);
        assert_true(quarter > 2.78 && none > 2.78 && loud > 2.78);
    }
}

static void evidence(void **state)
{
    (void)state;
    assert_true(fabs(canary_evidence(0.5, 0.3, 2)) < 1e-15);
    assert_true(canary_evidence(3, 0.3, 1) > 0 && canary_evidence(-3, 0.3, 1) < 0);
    assert_true(fabs(canary_evidence(2, 1, 1) - 1.5) < 1e-15);
    assert_true(isfinite(canary_evidence(1e6, 0.01, 0.1)));
    static const double score[] = {1, (double)NAN, 3, 3};
    static const bool in[] = {true, true, true, false};
    assert_int_equal(canary_guess(score, in, 4, 1), 1);
    assert_int_equal(canary_guess(score, in, 4, 2), 1);
    assert_int_equal(canary_guess(score, in, 4, 4), 3);
    assert_true(canary_guesses_needed(3) == 61);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_mechanism_stays_below_its_claim),
        cmocka_unit_test(planted_faults_are_caught),
        cmocka_unit_test(evidence),
    };
    return cmocka_run_group_tests_name("canary", tests, NULL, NULL);
}
