/* SPDX-License-Identifier: Apache-2.0 */
/* Any threshold of shares gives the secret back, one fewer does not, and no byte leans either way.
 */
#include "privacy/shamir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char KEY[RNG_KEY_BYTES] = {21};

static void any_threshold_joins(void **state)
{
    (void)state;
    static const unsigned sizes[][2] = {{1, 1}, {2, 3}, {3, 5}, {7, 10}, {171, 255}, {255, 255}};
    struct rng rng;
    rng_init_seeded(&rng, KEY, 0);
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        unsigned t = sizes[c][0], n = sizes[c][1];
        struct shamir_share shares[SHAMIR_SHARES_MAX], some[SHAMIR_SHARES_MAX];
        unsigned char secret[SHAMIR_SECRET_BYTES], got[SHAMIR_SECRET_BYTES];
        rng_bytes(&rng, secret, sizeof secret);
        assert_int_equal(shamir_split(&rng, secret, t, n, shares), 0);
        for (unsigned first = 0; first <= n - t; first += 1 + (n - t) / 3) {
            for (unsigned i = 0; i < t; i++) /* backwards, from `first` */
                some[i] = shares[first + t - 1 - i];
            assert_int_equal(shamir_join(some, t, got), 0);
            assert_memory_equal(got, secret, sizeof got);
            if (t > 1) {
                assert_int_equal(shamir_join(some, t - 1, got), 0);
                assert_memory_not_equal(got, secret, sizeof got);
                some[0].value[5] ^= 1;
                assert_int_equal(shamir_join(some, t, got), 0);
                assert_memory_not_equal(got, secret, sizeof got);
            }
        }
    }
}

/* One share of two says nothing: over fresh splits of one secret its bytes are uniform. */
static void too_few_say_nothing(void **state)
{
    (void)state;
    static const unsigned char secret[SHAMIR_SECRET_BYTES] = {0};
    unsigned count[256] = {0};
    struct rng rng;
    rng_init_seeded(&rng, KEY, 1);
    for (int i = 0; i < 4000; i++) {
        struct shamir_share shares[2];
        assert_int_equal(shamir_split(&rng, secret, 2, 2, shares), 0);
        for (int b = 0; b < SHAMIR_SECRET_BYTES; b++)
            count[shares[1].value[b]]++;
    }
    double chi = 0;
    for (int v = 0; v < 256; v++)
        chi += (count[v] - 500.0) * (count[v] - 500.0) / 500.0;
    assert_true(chi > 165 && chi < 360);
}

static void senseless_numbers(void **state)
{
    (void)state;
    struct rng rng;
    struct shamir_share shares[3];
    unsigned char secret[SHAMIR_SECRET_BYTES] = {1};
    rng_init_seeded(&rng, KEY, 2);
    assert_int_equal(shamir_split(&rng, secret, 0, 3, shares), -1);
    assert_int_equal(shamir_split(&rng, secret, 4, 3, shares), -1);
    assert_int_equal(shamir_split(&rng, secret, 2, 256, shares), -1);
    assert_int_equal(shamir_split(&rng, secret, 2, 3, shares), 0);
    shares[1].at = 1;
    assert_int_equal(shamir_join(shares, 2, secret), -1);
    shares[1].at = 0;
    assert_int_equal(shamir_join(shares, 2, secret), -1);
    assert_int_equal(shamir_join(shares, 0, secret), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_threshold_joins),
        cmocka_unit_test(too_few_say_nothing),
        cmocka_unit_test(senseless_numbers),
    };
    return cmocka_run_group_tests_name("shamir", tests, NULL, NULL);
}
