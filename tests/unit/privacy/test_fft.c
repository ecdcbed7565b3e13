/* SPDX-License-Identifier: Apache-2.0 */
/* The transform equals the direct sum for every kind of factor, and its inverse undoes it. */
#include "privacy/fft.h"
#include "privacy/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double *random_reals(size_t n)
{
    static const unsigned char key[RNG_KEY_BYTES] = {9};
    struct rng rng;
    rng_init_seeded(&rng, key, n);
    double *x = malloc((n + 2) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = rng_uniform(&rng) - 0.5;
    return x;
}

static void equals_the_direct_sum(void **state)
{
    (void)state;
    static const size_t lengths[] = {4,  6,  8,  10, 12, 16,  18,  20,
                                     24, 30, 50, 60, 90, 128, 360, 1000};
    for (size_t c = 0; c < sizeof lengths / sizeof *lengths; c++) {
        size_t n = lengths[c];
        struct fft_plan plan;
        assert_int_equal(fft_plan_init(&plan, n), 0);
        double *x = random_reals(n), *y = random_reals(n);
        fft_forward(&plan, y);
        for (size_t k = 0; k <= n / 2; k++) {
            double re = 0, im = 0;
            for (size_t j = 0; j < n; j++) {
                double angle = -2 * M_PI * (double)(j * k % n) / (double)n;
                re += x[j] * cos(angle);
                im += x[j] * sin(angle);
            }
            assert_true(fabs(re - y[2 * k]) < 1e-13 * (double)n);
            assert_true(fabs(im - y[2 * k + 1]) < 1e-13 * (double)n);
        }
        fft_inverse(&plan, y);
        for (size_t j = 0; j < n; j++)
            assert_true(fabs(x[j] - y[j]) < 1e-14);
        free(x);
        free(y);
        fft_plan_free(&plan);
    }
}

static void long_round_trip(void **state)
{
    (void)state;
    size_t n = fft_good_length(300001);
    struct fft_plan plan;
    assert_int_equal(fft_plan_init(&plan, n), 0);
    double *x = random_reals(n), *y = random_reals(n);
    fft_forward(&plan, y);
    fft_inverse(&plan, y);
    for (size_t j = 0; j < n; j++)
        assert_true(fabs(x[j] - y[j]) < 1e-14);
    free(x);
    free(y);
    fft_plan_free(&plan);
}

static void good_lengths(void **state)
{
    (void)state;
    assert_int_equal(fft_good_length(0), 4);
    assert_int_equal(fft_good_length(5), 6);
    assert_int_equal(fft_good_length(14), 16);
    assert_int_equal(fft_good_length(2 * 7), 16);
    assert_int_equal(fft_good_length(262145), 2 * 131220);
    struct fft_plan plan;
    assert_int_equal(fft_plan_init(&plan, 14), -1);
    assert_int_equal(fft_plan_init(&plan, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_direct_sum),
        cmocka_unit_test(long_round_trip),
        cmocka_unit_test(good_lengths),
    };
    return cmocka_run_group_tests_name("fft", tests, NULL, NULL);
}
