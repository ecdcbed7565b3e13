/* SPDX-License-Identifier: Apache-2.0 */
/* Honest updates pass the window, updates without their noise do not; the robustness rule. */
#include "privacy/noise.h"
#include "privacy/noise_floor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LARGEST = 20000 };
static int64_t k[LARGEST];
static double x[LARGEST];

/* Norm of noise of deviation s times `share`, plus a signal of the given norm. */
static double update(struct rng *rng, size_t d, double s, double share, double signal)
{
    noise_fill(rng, k, d);
    for (size_t i = 0; i < d; i++)
        x[i] = share * s * ldexp((double)k[i], -NOISE_BITS) + signal / sqrt((double)d);
    return noise_floor_norm(x, d);
}

static void honest_passes_and_faults_do_not(void **state)
{
    (void)state;
    static const unsigned char key[RNG_KEY_BYTES] = {8};
    static const size_t dimensions[] = {11, 100, 2500, LARGEST};
    struct rng rng;
    rng_init_seeded(&rng, key, 0);
    for (size_t i = 0; i < 4; i++) {
        size_t d = dimensions[i];
        struct noise_window w;
        assert_int_equal(noise_window_init(&w, d, 0.3, 0.5), 0);
        for (int n = 0; n < 50; n++) {
            double signal = n % 2 ? 0.5 : 0;
            assert_int_equal(noise_floor_test(&w, update(&rng, d, 0.3, 1, signal)), NOISE_FLOOR_OK);
        }
        assert_int_equal(noise_floor_test(&w, update(&rng, d, 0.3, 0, 0.0)),
                         NOISE_FLOOR_TOO_LITTLE);
        assert_int_equal(noise_floor_test(&w, update(&rng, d, 0.3, 20, 0.5)), NOISE_FLOOR_TOO_MUCH);
        if (d < 100)
            continue; /* a few coordinates cannot tell a half */
        assert_int_equal(noise_floor_test(&w, update(&rng, d, 0.3, 0.5, 0.5)),
                         NOISE_FLOOR_TOO_LITTLE);
        assert_int_equal(noise_floor_test(&w, update(&rng, d, 0.3, 2, 0.5)), NOISE_FLOOR_TOO_MUCH);
    }
    struct noise_window w;
    assert_int_equal(noise_window_init(&w, 1000000, 1, 0), 0);
    assert_true(fabs(w.low - (1000 - 3.536)) < 0.01 && w.high < 1004);
    assert_int_equal(noise_floor_test(&w, (double)NAN), NOISE_FLOOR_INVALID);
    assert_int_equal(noise_window_init(&w, 0, 1, 0), -1);
    assert_int_equal(noise_window_init(&w, 5, 0, 0), -1);
    assert_int_equal(noise_window_init(&w, 5, 1, (double)NAN), -1);
}

/* The window's ends are continuous where the formula changes. */
static void window_has_no_step(void **state)
{
    (void)state;
    struct noise_window a, b;
    noise_window_init(&a, 2000, 1, 0);
    noise_window_init(&b, 2001, 1, 0);
    assert_true(fabs(a.low - b.low) < 0.1);
}

static void deviation_of_an_update(void **state)
{
    (void)state;
    static const double weight[] = {0.1, 0.2, 0.2};
    assert_true(fabs(noise_floor_std(1.5, 2, 100, weight, 3) - 0.03 * 0.3) < 1e-12);
}

static void robustness_rule(void **state)
{
    (void)state;
    struct robustness r;
    /* sigma 1, |g| = 0.3 C, f/n = 0.2: L >= 38, 267, 843 for d = 200, 1e4, 1e5. */
    static const double dimensions[] = {200, 1e4, 1e5}, lots[] = {38, 267, 843};
    for (int i = 0; i < 3; i++) {
        uint64_t d = (uint64_t)dimensions[i];
        assert_int_equal(robustness_check(&r, 1, 2, d, 100, 0.6, 2, 10), 0);
        assert_true(fabs(r.lot_needed - lots[i]) < 1);
        assert_int_equal(robustness_check(&r, 1, 2, d, lots[i] + 1, 0.6, 2, 10), 0);
        assert_true(r.claimed && r.liars >= 2 && r.noise_most >= 1);
        assert_int_equal(robustness_check(&r, 1, 2, d, lots[i] - 1, 0.6, 2, 10), 0);
        assert_true(!r.claimed && r.liars < 2 && r.noise_most < 1);
    }
    assert_int_equal(robustness_check(&r, 1, 2, 100, 10, 0.6, 0, 10), 0);
    assert_true(r.claimed);
    assert_int_equal(robustness_check(&r, 1, 2, 100, 10, 0, 1, 10), -1);
    assert_int_equal(robustness_check(&r, 1, 2, 100, 10, 1, 10, 10), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_passes_and_faults_do_not),
        cmocka_unit_test(window_has_no_step),
        cmocka_unit_test(deviation_of_an_update),
        cmocka_unit_test(robustness_rule),
    };
    return cmocka_run_group_tests_name("noise_floor", tests, NULL, NULL);
}
