/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling is independent a patient and a step, repeatable, and at the stated rate. */
#include "privacy/sampling.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char KEY[RNG_KEY_BYTES] = {3, 1, 4};

static void frequency_is_the_rate(void **state)
{
    (void)state;
    enum { PATIENTS = 1000, STEPS = 2000 };
    struct sampling s;
    size_t chosen[PATIENTS], total = 0;
    unsigned per_patient[PATIENTS] = {0};
    assert_int_equal(sampling_init_seeded(&s, 0.02, KEY), 0);
    assert_true(sampling_rate(&s) == 0.02);
    for (uint64_t t = 0; t < STEPS; t++) {
        size_t n = sampling_draw(&s, t, PATIENTS, chosen);
        total += n;
        for (size_t i = 0; i < n; i++) {
            assert_true(chosen[i] < PATIENTS && (i == 0 || chosen[i] > chosen[i - 1]));
            per_patient[chosen[i]]++;
        }
    }
    double mean = 0.02 * PATIENTS * STEPS;
    assert_true(fabs((double)total - mean) < 4 * sqrt(mean));
    for (int p = 0; p < PATIENTS; p++)
        assert_true(fabs(per_patient[p] - 40.0) < 5.5 * sqrt(40));
}

static void the_same_step_repeats_and_others_differ(void **state)
{
    (void)state;
    struct sampling s;
    size_t a[500], b[500];
    assert_int_equal(sampling_init_seeded(&s, 0.5, KEY), 0);
    size_t n = sampling_draw(&s, 7, 500, a), m = sampling_draw(&s, 7, 500, b);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n * sizeof *a);
    m = sampling_draw(&s, 8, 500, b);
    assert_true(n != m || memcmp(a, b, n * sizeof *a) != 0);
    /* A patient's fate does not depend on how many others there are. */
    m = sampling_draw(&s, 7, 200, b);
    for (size_t i = 0; i < m; i++)
        assert_int_equal(a[i], b[i]);
}

static void edges_of_the_rate(void **state)
{
    (void)state;
    struct sampling s;
    size_t chosen[64];
    assert_int_equal(sampling_init(&s, 1), 0);
    assert_int_equal(sampling_draw(&s, 0, 64, chosen), 64);
    assert_true(sampling_rate(&s) == 1);
    assert_int_equal(sampling_init(&s, 1e-30), 0);
    assert_true(sampling_rate(&s) == 0x1p-64);
    assert_int_equal(sampling_draw(&s, 0, 64, chosen), 0); /* an empty batch is an answer */
    assert_int_equal(sampling_init(&s, 0), -1);
    assert_int_equal(sampling_init(&s, 1.5), -1);
    assert_int_equal(sampling_init(&s, (double)NAN), -1);
    sampling_wipe(&s);
    for (size_t i = 0; i < sizeof s; i++)
        assert_int_equal(((unsigned char *)&s)[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequency_is_the_rate),
        cmocka_unit_test(the_same_step_repeats_and_others_differ),
        cmocka_unit_test(edges_of_the_rate),
    };
    return cmocka_run_group_tests_name("sampling", tests, NULL, NULL);
}
