/* SPDX-License-Identifier: Apache-2.0 */
/* Lossless model frames: bit for bit, smaller, and refused when damaged. */
#include "proto/compress/planes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { D = 20000 };

static void fill(float *x)
{
    uint32_t state = 1;
    for (size_t i = 0; i < D; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = 0.05F * sinf((float)(state >> 8));
    }
}

static void bit_for_bit(void **unused)
{
    (void)unused;
    static float x[D], y[D];
    struct why why;
    size_t cap = planes_max_bytes(D), len;
    unsigned char *frame = malloc(cap);
    fill(x);
    x[1] = NAN;
    x[2] = -0.0F;
    x[3] = INFINITY;
    assert_true(ok(planes_pack(D, x, frame, cap, &len, &why)));
    assert_true(ok(planes_unpack(frame, len, D, y, &why)));
    assert_memory_equal(x, y, sizeof x);
    print_message("%zu of %zu bytes\n", len, sizeof x);
    assert_true(len < sizeof x * 9 / 10);
    free(frame);
}

static void damaged_frames(void **unused)
{
    (void)unused;
    static float x[D], y[D];
    struct why why;
    size_t cap = planes_max_bytes(D), len;
    unsigned char *frame = malloc(cap);
    fill(x);
    assert_int_equal(planes_pack(D, x, frame, 100, &len, &why).code, RESULT_INPUT);
    assert_int_equal(planes_pack(0, x, frame, cap, &len, &why).code, RESULT_INPUT);
    assert_true(ok(planes_pack(D, x, frame, cap - 1, &len, &why)));
    for (size_t cut = 0; cut < len; cut += cut < 64 ? 1 : 997)
        assert_int_equal(planes_unpack(frame, cut, D, y, &why).code, RESULT_INPUT);
    frame[len] = 0;
    assert_int_equal(planes_unpack(frame, len + 1, D, y, &why).code, RESULT_INPUT);
    assert_int_equal(planes_unpack(frame, len, D - 1, y, &why).code, RESULT_INPUT);
    for (size_t bit = 0; bit < 8 * len; bit += bit < 400 ? 1 : 1009) {
        frame[bit / 8] ^= (unsigned char)(1u << bit % 8);
        why.text[0] = 0;
        if (!ok(planes_unpack(frame, len, D, y, &why)))
            assert_true(why.text[0] != 0);
        frame[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bit_for_bit),
        cmocka_unit_test(damaged_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
