/* SPDX-License-Identifier: Apache-2.0 */
/* The stream is ChaCha20 (RFC 7539 key-stream vector), reproducible, and unbiased below a bound. */
#include "privacy/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void known_stream(void **state)
{
    (void)state;
    /* RFC 7539 A.1 test vector 1: zero key, zero nonce, block 0. */
    static const unsigned char expected[16] = {0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
                                               0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28};
    unsigned char key[RNG_KEY_BYTES] = {0};
    unsigned char got[16];
    struct rng rng;
    rng_init_seeded(&rng, key, 0);
    rng_bytes(&rng, got, sizeof got);
    assert_memory_equal(got, expected, sizeof got);
}

static void split_reads_equal_one_read(void **state)
{
    (void)state;
    unsigned char key[RNG_KEY_BYTES] = {7};
    unsigned char whole[10000], parts[10000];
    struct rng a, b;
    rng_init_seeded(&a, key, 3);
    rng_init_seeded(&b, key, 3);
    rng_bytes(&a, whole, sizeof whole);
    for (size_t at = 0, step = 1; at < sizeof parts; at += step, step = step * 2 + 1) {
        if (step > sizeof parts - at)
            step = sizeof parts - at;
        rng_bytes(&b, parts + at, step);
    }
    assert_memory_equal(whole, parts, sizeof whole);
}

static void below_stays_below(void **state)
{
    (void)state;
    unsigned char key[RNG_KEY_BYTES] = {1};
    struct rng rng;
    rng_init_seeded(&rng, key, 0);
    unsigned count[3] = {0};
    for (int i = 0; i < 30000; i++)
        count[rng_below(&rng, 3)]++;
    for (int k = 0; k < 3; k++)
        assert_in_range(count[k], 9500, 10500);
    assert_int_equal(rng_below(&rng, 0), 0);
    assert_int_equal(rng_below(&rng, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_stream),
        cmocka_unit_test(split_reads_equal_one_read),
        cmocka_unit_test(below_stays_below),
    };
    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
