/* SPDX-License-Identifier: Apache-2.0 */
/* Vector primitives on hand-computed values. */
#include "linalg/vec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void dot_and_norm(void **state)
{
    (void)state;
    const double x[] = {3.0, 4.0};
    const double y[] = {2.0, -1.0};
    assert_true(vec_dot(2, x, y) == 2.0);
    assert_true(vec_norm(2, x) == 5.0);
    assert_true(vec_norm(0, x) == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dot_and_norm)};
    return cmocka_run_group_tests_name("vec", tests, NULL, NULL);
}
