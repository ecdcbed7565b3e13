/* SPDX-License-Identifier: Apache-2.0 */
/* Distribution functions against published values and their own inverses. */
#include "linalg/special.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want)))
        fail_msg("got %.17g, want %.17g", got, want);
}

static void published_values(void **state)
{
    (void)state;
    near(normal_isf(0.025), 1.959963984540054, 1e-15);
    near(normal_isf(0.05), 1.6448536269514722, 1e-15);
    near(normal_isf(1e-20), 9.262340089798408, 1e-14);
    near(normal_ppf(0.6), 0.2533471031357997, 1e-14);
    near(normal_sf(10.0), 7.619853024160527e-24, 1e-13);
    near(t_isf(0.025, 1.0), 12.706204736174707, 1e-13);
    near(t_isf(0.025, 4.0), 2.7764451051977987, 1e-12);
    near(t_isf(0.025, 30.0), 2.0422724563012373, 1e-12);
    near(t_sf(3.3007698787270763, 567.7047773367773), 0.001024714715675166 / 2.0, 1e-11);
    near(chi2_isf(0.05, 1.0), 3.841458820694124, 1e-12);
    near(chi2_isf(0.05, 9.0), 16.918977604620448, 1e-12);
    near(chi2_sf(10.083589537546427, 4.0), 0.0390429227850961, 1e-12);
    near(chi2_sf(32.31420608027177, 7.0), 3.551422116072832e-05, 1e-11);
    near(kolmogorov_sf(1.0), 0.26999967167735456, 1e-13);
    near(kolmogorov_sf(0.5), 0.9639452436648751, 1e-13);
    near(beta_inc(2.0, 3.0, 0.5, 0.5), 0.6875, 1e-14);
    near(gamma_p(1.0, 2.0), 1.0 - exp(-2.0), 1e-14);
}

static void inverses_come_back(void **state)
{
    (void)state;
    static const double P[] = {1e-12, 1e-6, 0.01, 0.3, 0.5, 0.7, 0.99};
    static const double DF[] = {0.5, 1.0, 2.0, 7.5, 100.0, 5000.0};
    for (size_t i = 0; i < sizeof P / sizeof *P; i++) {
        near(normal_sf(normal_isf(P[i])), P[i], 1e-12);
        for (size_t k = 0; k < sizeof DF / sizeof *DF; k++) {
            near(t_sf(t_isf(P[i], DF[k]), DF[k]), P[i], 1e-9);
            near(chi2_sf(chi2_isf(P[i], DF[k]), DF[k]), P[i], 1e-9);
        }
    }
    double x = beta_ppf(0.1, 3.0, 8.0);
    near(beta_inc(3.0, 8.0, x, 1.0 - x), 0.1, 1e-12);
}

static void kolmogorov_halves_meet(void **state)
{
    (void)state;
    near(kolmogorov_sf(0.82 - 1e-12), kolmogorov_sf(0.82 + 1e-12), 1e-10);
}

static void nonsense_is_nan(void **state)
{
    (void)state;
    assert_true(isnan(normal_ppf(1.5)));
    assert_true(isnan(normal_ppf(NAN)));
    assert_true(isnan(chi2_sf(1.0, 0.0)));
    assert_true(isnan(chi2_isf(0.05, 0.0)));
    assert_true(isnan(t_isf(0.05, -1.0)));
    assert_true(isnan(gamma_q(-1.0, 1.0)));
    assert_true(isnan(beta_inc(1.0, NAN, 0.5, 0.5)));
    assert_true(isnan(kolmogorov_sf(NAN)));
    assert_true(isinf(normal_isf(0.0)));
    assert_true(expit(-1e308) == 0.0);
    assert_true(expit(1e308) == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values),
        cmocka_unit_test(inverses_come_back),
        cmocka_unit_test(kolmogorov_halves_meet),
        cmocka_unit_test(nonsense_is_nan),
    };
    return cmocka_run_group_tests_name("special", tests, NULL, NULL);
}
