/* SPDX-License-Identifier: Apache-2.0 */
/* An audit run leaves an honest mechanism alone and notices every planted fault. */
#include "privacy/rehearsal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* q = .02, sigma = 1, T = 500 costs epsilon 2.773 at delta 1e-5. */
#define CLAIM 2.774

static struct rehearsal_result audit(enum rehearsal_fault fault)
{
    struct rehearsal_options o = {.rate = 0.02,
                                  .noise = 1.0,
                                  .clip = 3.0,
                                  .steps = 500,
                                  .canaries = 1000,
                                  .delta = 1e-5,
                                  .beta = 0.05,
                                  .fault = fault};
    struct rehearsal_result r = {0};
    assert_int_equal(rehearsal_run(&o, &r), 0);
    return r;
}

static void honest_mechanism_passes(void **state)
{
    (void)state;
    struct rehearsal_result r = audit(FAULT_NONE);
    assert_true(r.epsilon_bound < CLAIM);
    assert_true(fabs(r.noise_z) < 6.0);
    assert_true(fabs(r.sampling_z) < 6.0);
    assert_true(r.clip_ratio <= 1.0 + 1e-9);
}

static void gross_faults_are_refuted(void **state)
{
    (void)state;
    assert_true(audit(FAULT_NO_NOISE).epsilon_bound > CLAIM);
    assert_true(audit(FAULT_QUARTER_NOISE).epsilon_bound > CLAIM);
    assert_true(audit(FAULT_UNSCALED_NOISE).epsilon_bound > CLAIM);
    struct rehearsal_result r = audit(FAULT_NO_CLIPPING);
    assert_true(r.epsilon_bound > CLAIM);
    assert_true(r.clip_ratio > 9.0);
}

static void half_the_noise_is_seen_directly(void **state)
{
    (void)state;
    struct rehearsal_result r = audit(FAULT_HALF_NOISE);
    assert_true(r.noise_z < -100.0);
    assert_true(fabs(r.noise_ratio - 0.5) < 0.01);
}

static void wrong_constants_are_refused(void **state)
{
    (void)state;
    struct rehearsal_options o = {
        .rate = 0.0, .noise = 1.0, .clip = 1.0, .steps = 1, .canaries = 1};
    struct rehearsal_result r;
    assert_int_equal(rehearsal_run(&o, &r), -1);
    o.rate = 1.0;
    o.canaries = 0;
    assert_int_equal(rehearsal_run(&o, &r), -1);
    assert_int_equal(rehearsal_fault_by_name("nonsense"), -1);
    assert_int_equal(rehearsal_fault_by_name("half-noise"), FAULT_HALF_NOISE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_mechanism_passes),
        cmocka_unit_test(gross_faults_are_refuted),
        cmocka_unit_test(half_the_noise_is_seen_directly),
        cmocka_unit_test(wrong_constants_are_refused),
    };
    return cmocka_run_group_tests_name("rehearsal", tests, NULL, NULL);
}
