/* SPDX-License-Identifier: Apache-2.0 */
/* Discrete Laplace: the law against its formula, the scale against the deviation, the event's
 * epsilon. */
#include "privacy/accountant.h"
#include "privacy/laplace.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Chi-square of 400,000 draws over the cells -R..R and the rest; 12 or more expected in each. */
static double chi_square(uint64_t scale, int reach, unsigned char seed)
{
    enum { DRAWS = 400000, CELLS = 129 };
    unsigned char key[RNG_KEY_BYTES] = {seed};
    struct rng rng;
    double seen[CELLS] = {0}, beyond = 0.0, sum = 0.0;
    double a = exp(-(double)LAPLACE_UNIT / (double)scale), left = 1.0;
    rng_init_seeded(&rng, key, 1);
    for (int i = 0; i < DRAWS; i++) {
        int64_t x = laplace_draw(&rng, scale);
        if (llabs(x) <= reach)
            seen[x + reach] += 1.0;
        else
            beyond += 1.0;
    }
    for (int x = -reach; x <= reach; x++) {
        double p = (1.0 - a) / (1.0 + a) * pow(a, abs(x));
        double expected = p * DRAWS;
        assert_true(expected >= 12.0);
        sum += (seen[x + reach] - expected) * (seen[x + reach] - expected) / expected;
        left -= p;
    }
    sum += (beyond - left * DRAWS) * (beyond - left * DRAWS) / (left * DRAWS);
    return sum;
}

static void the_law_is_the_formula(void **state)
{
    (void)state;
    /* Bounds: the 1 - 1e-6 quantiles of chi-square with 2 R + 1 degrees of freedom. */
    assert_true(chi_square(512, 3, 1) < 40.6);       /* b = 1/2 */
    assert_true(chi_square(1024, 6, 2) < 53.0);      /* b = 1 */
    assert_true(chi_square(3 * 1024, 20, 3) < 96.4); /* b = 3 */
    assert_true(chi_square(10007, 60, 4) < 210.0);   /* b is no simple fraction */
}

static void the_scale_reaches_the_deviation(void **state)
{
    (void)state;
    const double deviations[] = {1e-3, 0.3, 0.5, 1.0, 2.0, 5.0, 20.0, 1234.5, 1e6};
    for (size_t i = 0; i < sizeof deviations / sizeof deviations[0]; i++) {
        uint64_t scale = laplace_scale(deviations[i]);
        assert_true(laplace_deviation(scale) >= deviations[i]);
        assert_true(scale == 1 || laplace_deviation(scale - 1) < deviations[i]);
    }
    /* By the sum over the law: variance 2a / (1 - a)^2 at b = 2. */
    double a = exp(-0.5), variance = 0.0;
    for (int x = 1; x < 400; x++)
        variance += 2.0 * x * x * (1.0 - a) / (1.0 + a) * pow(a, x);
    assert_true(fabs(laplace_deviation(2048) - sqrt(variance)) < 1e-12);
}

static void one_release_costs_one_over_b(void **state)
{
    (void)state;
    struct event_list *list = calloc(1, sizeof *list);
    struct accountant_bound bound;
    struct privacy_event event = laplace_event(8 * LAPLACE_UNIT, 1);
    assert_non_null(list);
    assert_int_equal(event_list_add(list, &event), 0);
    assert_int_equal(accountant_epsilon(list, 1e-9, NULL, &bound), ACCOUNTANT_OK);
    assert_true(bound.upper >= 0.125 - 1e-6 && bound.upper <= 0.125 + 1e-3);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_law_is_the_formula),
        cmocka_unit_test(the_scale_reaches_the_deviation),
        cmocka_unit_test(one_release_costs_one_over_b),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
