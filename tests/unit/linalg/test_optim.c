/* SPDX-License-Identifier: Apache-2.0 */
/* Optimisers against steps worked out by hand; what they refuse. */
#include "linalg/optim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct model logistic(void)
{
    struct model m;
    struct model_spec spec = {.output = OUTPUT_LOGISTIC, .inputs = 1, .outputs = 1};
    assert_int_equal(model_build(&m, &spec), MODEL_OK);
    return m;
}

static void momentum_accumulates(void **state)
{
    (void)state;
    struct model m = logistic();
    struct optim_settings s = optim_defaults();
    struct optim o;
    s.rate = 0.5;
    s.momentum = 0.5;
    assert_int_equal(optim_create(&o, &m, &s), OPTIM_OK);
    double w[2] = {1.0, 2.0};
    for (int i = 0; i < 2; i++) {
        double g[2] = {2.0, -4.0};
        optim_step(&o, w, g, NULL);
    }
    assert_true(w[0] == 1.0 - 0.5 * 2.0 - 0.5 * 3.0);
    assert_true(w[1] == 2.0 + 0.5 * 4.0 + 0.5 * 6.0);
    optim_reset(&o);
    double g[2] = {2.0, 0.0};
    optim_step(&o, w, g, NULL);
    assert_true(w[0] == -2.5);
    optim_free(&o);
}

static void penalties_spare_the_intercept(void **state)
{
    (void)state;
    struct model m = logistic();
    struct optim_settings s = optim_defaults();
    struct optim o;
    s.rate = 1.0;
    s.l2 = 0.25;
    assert_int_equal(optim_create(&o, &m, &s), OPTIM_OK);
    double w[2] = {4.0, 4.0}, g[2] = {0.0, 0.0};
    optim_step(&o, w, g, NULL);
    assert_true(w[0] == 3.0 && w[1] == 4.0);
    const double centre[2] = {7.0, 9.0};
    double none[2] = {0.0, 0.0};
    o.centre = centre;
    optim_step(&o, w, none, NULL);
    assert_true(w[0] == 4.0 && w[1] == 4.0);
    w[0] = 3.0;
    optim_free(&o);
    s.l2 = 0.0;
    s.proximal = 0.5;
    assert_int_equal(optim_create(&o, &m, &s), OPTIM_OK);
    const double anchor[2] = {1.0, 2.0};
    double zero[2] = {0.0, 0.0};
    optim_step(&o, w, zero, anchor);
    assert_true(w[0] == 2.0 && w[1] == 3.0);
    optim_free(&o);
}

/* Adam's first step is rate * sign(g), whatever the size of g. */
static void adam_first_steps(void **state)
{
    (void)state;
    struct model m = logistic();
    struct optim_settings s = optim_defaults();
    struct optim o;
    s.kind = OPTIM_ADAM;
    s.rate = 0.1;
    assert_int_equal(optim_create(&o, &m, &s), OPTIM_OK);
    double w[2] = {0.0, 0.0}, g[2] = {3.0, -1e-3};
    optim_step(&o, w, g, NULL);
    assert_true(fabs(w[0] + 0.1) < 1e-9 && fabs(w[1] - 0.1) < 1e-5);
    double second[2] = {-3.0, -1e-3};
    optim_step(&o, w, second, NULL);
    /* m = (0.09*3 - 0.1*3)... unbiased by 1 - 0.9^2; v unbiased is 9 */
    double mean = (0.9 * 0.1 * 3.0 - 0.1 * 3.0) / (1.0 - 0.81);
    assert_true(fabs(w[0] - (-0.1 - 0.1 * mean / 3.0)) < 1e-8);
    optim_free(&o);
}

static void bad_settings_are_refused(void **state)
{
    (void)state;
    struct model m = logistic();
    struct optim o;
    struct optim_settings s = optim_defaults();
    s.rate = 0.0;
    assert_int_equal(optim_create(&o, &m, &s), OPTIM_BAD_SETTING);
    s = optim_defaults();
    s.momentum = 1.0;
    assert_int_equal(optim_create(&o, &m, &s), OPTIM_BAD_SETTING);
    s = optim_defaults();
    s.l2 = (double)NAN;
    assert_int_equal(optim_create(&o, &m, &s), OPTIM_BAD_SETTING);
    s = optim_defaults();
    s.kind = OPTIM_ADAM;
    s.epsilon = 0.0;
    assert_int_equal(optim_create(&o, &m, &s), OPTIM_BAD_SETTING);
    optim_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(momentum_accumulates),
        cmocka_unit_test(penalties_spare_the_intercept),
        cmocka_unit_test(adam_first_steps),
        cmocka_unit_test(bad_settings_are_refused),
    };
    return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
