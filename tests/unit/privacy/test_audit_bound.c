/* SPDX-License-Identifier: Apache-2.0 */
/* The one-run bounds against the reference table. */
#include "privacy/audit_bound.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void reference_table(void **state)
{
    (void)state;
    char path[4096], line[512];
    snprintf(path, sizeof path, "%s/privacy/audit.csv", getenv("CONSILIUM_VECTORS"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int rows = 0;
    while (fgets(line, sizeof line, file)) {
        struct audit_result a;
        unsigned long long m, r, v;
        double plain, gaussian, got;
        if (sscanf(line, "%llu,%llu,%llu,%lf,%lf,%lf,%lf", &m, &r, &v, &a.delta, &a.beta, &plain,
                   &gaussian) != 7)
            continue;
        a.canaries = m;
        a.guesses = r;
        a.right = v;
        assert_int_equal(audit_bound_one_run(&a, &got), 0);
        assert_true(fabs(got - plain) < 1e-4);
        assert_int_equal(audit_bound_gaussian(&a, &got), 0);
        assert_true(fabs(got - gaussian) < 1e-4);
        rows++;
    }
    fclose(file);
    assert_int_equal(rows, 18);
}

static void more_right_guesses_refute_more(void **state)
{
    (void)state;
    double before = -1, got;
    for (uint64_t v = 60; v <= 100; v += 10) {
        const struct audit_result a = {1000, 100, v, 1e-6, 0.05};
        assert_int_equal(audit_bound_one_run(&a, &got), 0);
        assert_true(got >= before);
        before = got;
    }
    /* All right: about ln(k / 3). */
    assert_true(fabs(before - log(100 / 3.0)) < 0.1);
}

static void senseless_numbers(void **state)
{
    (void)state;
    double got;
    static const struct audit_result bad[] = {{0, 0, 0, 0, 0.05},         {10, 11, 5, 0, 0.05},
                                              {10, 5, 6, 0, 0.05},        {10, 5, 5, -1, 0.05},
                                              {10, 5, 5, 1, 0.05},        {10, 5, 5, 0, 0},
                                              {UINT64_MAX, 5, 5, 0, 0.05}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(audit_bound_one_run(&bad[i], &got), -1);
    const struct audit_result none = {10, 0, 0, 1e-5, 0.05};
    assert_int_equal(audit_bound_one_run(&none, &got), 0);
    assert_true(got == 0);
    assert_int_equal(audit_bound_gaussian(&none, &got), 0);
    assert_true(got == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_table),
        cmocka_unit_test(more_right_guesses_refute_more),
        cmocka_unit_test(senseless_numbers),
    };
    return cmocka_run_group_tests_name("audit_bound", tests, NULL, NULL);
}
