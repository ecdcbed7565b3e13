/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler's table, its distribution, its known answers, and the pool. */
#include "privacy/noise.h"
#include "privacy/noise_pool.h"
#include "privacy/noise_table.h"
#include "privacy/normal.h"
#include "privacy/release_grid.h"
#include "privacy/wide.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DRAWS = 4000000, CELLS = 128 };

static double to_double(wide v)
{
    return ldexp((double)(uint64_t)(v >> 64), -64) + ldexp((double)(uint64_t)v, -128);
}

static void wide_fractions(void **state)
{
    (void)state;
    for (int i = 1; i < 70; i++) {
        double t = i / 100.0;
        wide v = wide_make((uint64_t)(t * 0x1p32) << 32, 0);
        assert_true(fabs(to_double(wide_exp_minus(v)) / exp(-to_double(v)) - 1) < 1e-15);
        wide s = wide_make(UINT64_C(1) << 63 | (uint64_t)(t * 0x1p62), 12345);
        assert_true(fabs(to_double(wide_half_inverse(s)) * 2 * to_double(s) - 1) < 1e-15);
    }
    /* e^{-a} e^{-b} = e^{-(a+b)} to the last bits. */
    wide a = wide_make(UINT64_C(0x1234567890abcdef), 77),
         b = wide_make(UINT64_C(0x2fedcba987654321), 9);
    wide left = wide_mul(wide_exp_minus(a), wide_exp_minus(b)), right = wide_exp_minus(a + b);
    wide difference = left > right ? left - right : right - left;
    assert_true(difference < (wide)1 << 7);
}

/* The table gives each bin its weight: exact shares recombined, against doubles. */
static void table_has_the_weights(void **state)
{
    (void)state;
    const struct noise_table *t = noise_table_get();
    double got[NOISE_BINS] = {0}, sum = 0;
    for (int c = 0; c < NOISE_BINS; c++) {
        double own = ldexp((double)t->high[c], -55) + ldexp((double)t->low[c], -119);
        got[c] += own / NOISE_BINS;
        got[t->alias[c]] += (1 - own) / NOISE_BINS;
        sum += exp(-0.5 * (c / 32.0) * (c / 32.0));
    }
    for (int j = 0; j < NOISE_BINS; j++) {
        double want = exp(-0.5 * (j / 32.0) * (j / 32.0)) / sum;
        assert_true(fabs(got[j] - want) < 1e-16 + 1e-13 * want);
        assert_true((double)t->sure[j] + 1 <= 0x1p32 * exp(-(j + 0.5) / 1024));
    }
}

static double chi_square_z(const unsigned *count, const double *probability, int cells, double n)
{
    double chi = 0;
    for (int i = 0; i < cells; i++) {
        double want = n * probability[i];
        chi += (count[i] - want) * (count[i] - want) / want;
    }
    return (chi - (cells - 1)) / sqrt(2.0 * (cells - 1));
}

/* CONSILIUM_NOISE_BLOCKS=25 looks at 10^8 samples. */
static int blocks_wanted(void)
{
    const char *text = getenv("CONSILIUM_NOISE_BLOCKS");
    int blocks = text ? atoi(text) : 1;
    return blocks >= 1 && blocks <= 1000 ? blocks : 1;
}

static void follows_the_normal_law(void **state)
{
    (void)state;
    const int blocks = blocks_wanted();
    static const unsigned char key[RNG_KEY_BYTES] = {42};
    static unsigned coarse[CELLS], low_byte[256];
    double probability[CELLS], even[256], sum = 0, square = 0, fourth = 0;
    int64_t *k = malloc(DRAWS * sizeof *k);
    struct rng rng;
    rng_init_seeded(&rng, key, 0);
    for (size_t i = 0; i < DRAWS * (size_t)blocks; i++) {
        if (i % DRAWS == 0)
            noise_fill(&rng, k, DRAWS);
        const int64_t drawn = k[i % DRAWS];
        double z = ldexp((double)drawn, -NOISE_BITS);
        /* Cells of 1/16 from -4 to 4, the ends open; a sample stands for [k - 1/2, k + 1/2). */
        int64_t cell = (drawn + (INT64_C(1) << 26)) >> 20;
        coarse[cell < 0 ? 0 : cell >= CELLS ? CELLS - 1 : cell]++;
        low_byte[(uint64_t)drawn & 255]++;
        sum += z;
        square += z * z;
        fourth += z * z * z * z;
    }
    for (int i = 0; i < CELLS; i++) {
        double half = 0x1p-25, from = i / 16.0 - 4 - half, to = from + 1 / 16.0;
        probability[i] = normal_mass(i == 0 ? -HUGE_VAL : from, i == CELLS - 1 ? HUGE_VAL : to);
    }
    for (int i = 0; i < 256; i++)
        even[i] = 1 / 256.0;
    double n = (double)DRAWS * blocks;
    print_message("%.0f samples: z %.2f by cells of 1/16, %.2f by the low byte\n", n,
                  chi_square_z(coarse, probability, CELLS, n),
                  chi_square_z(low_byte, even, 256, n));
    assert_true(fabs(chi_square_z(coarse, probability, CELLS, n)) < 4);
    assert_true(fabs(chi_square_z(low_byte, even, 256, n)) < 4);
    assert_true(fabs(sum / n) < 4 / sqrt(n));
    assert_true(fabs(square / n - 1) < 4 * sqrt(2 / n));
    assert_true(fabs(fourth / n - 3) < 4 * sqrt(96 / n));
    free(k);
}

static void known_answers(void **state)
{
    (void)state;
    /* Worked out apart, from the same words of the stream, with 60-digit decimals. */
    static const unsigned char key[RNG_KEY_BYTES] = {1, 2, 3};
    static const int64_t expected[8] = {7592788,  9014438,  431728,  19656519,
                                        14722525, 17828406, 6587597, -6652076};
    int64_t k[8];
    struct rng rng;
    rng_init_seeded(&rng, key, 5);
    noise_fill(&rng, k, 8);
    assert_memory_equal(k, expected, sizeof k);
}

static void pool_hands_out_fresh_noise(void **state)
{
    (void)state;
    struct noise_pool *pool = noise_pool_start(10000);
    assert_non_null(pool);
    int64_t *a = malloc(50000 * sizeof *a);
    double square = 0;
    noise_pool_take(pool, a, 7);
    noise_pool_take(pool, a, 50000); /* more than it holds */
    for (int i = 0; i < 50000; i++)
        square += ldexp((double)a[i], -NOISE_BITS) * ldexp((double)a[i], -NOISE_BITS);
    assert_true(fabs(square / 50000 - 1) < 0.05);
    assert_true(noise_pool_ready(pool) <= 10000);
    noise_pool_stop(pool);
    noise_pool_stop(NULL);
    assert_null(noise_pool_start(0));
    assert_null(noise_pool_start(NOISE_POOL_MAX + 1));
    free(a);
}

static void release_is_exact(void **state)
{
    (void)state;
    struct release_grid grid;
    assert_int_equal(release_grid_init(&grid, 0.5, 1.0, 100000, 256), 0);
    assert_true(grid.step == ldexp(0.5, -24));
    assert_true(fabs(grid.slack - 1.885e-5) < 1e-7); /* sqrt(1e5) 2^-24 and very little */
    assert_true(grid.effective_noise < 1 && grid.effective_noise > 0.9999);
    /* Slots add up to the same integers in any order. */
    double slot[3][4] = {{0.1, -0.2, 0.3, 1e-9}, {0.25, 0.1, -0.3, 0.5}, {1e3, -1e3, 0.2, 0.1}};
    int64_t forth[4] = {0}, back[4] = {0}, noise[4] = {1, -2, 3, -4};
    double out[4];
    for (int s = 0; s < 3; s++) {
        assert_int_equal(release_add(&grid, slot[s], forth, 4), 0);
        assert_int_equal(release_add(&grid, slot[2 - s], back, 4), 0);
    }
    assert_memory_equal(forth, back, sizeof forth);
    release_noise(forth, noise, 4);
    release_values(&grid, forth, 2, out, 4);
    for (int i = 0; i < 4; i++) {
        double sum = slot[0][i] + slot[1][i] + slot[2][i];
        assert_true(fabs(out[i] - (sum + (double)noise[i] * grid.step) / 2) < 2 * grid.step);
    }
    double bad[2][4] = {{0, (double)NAN, 0, 0}, {0, 0, 0, 1e300}};
    for (int b = 0; b < 2; b++) {
        memcpy(back, forth, sizeof back);
        assert_int_equal(release_add(&grid, bad[b], back, 4), -1);
        assert_memory_equal(back, forth, sizeof back);
    }
    assert_int_equal(release_grid_init(&grid, 0, 1, 1, 1), -1);
    assert_int_equal(release_grid_init(&grid, 1, (double)NAN, 1, 1), -1);
    assert_int_equal(release_grid_init(&grid, 1, 1, 0, 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_fractions),
        cmocka_unit_test(table_has_the_weights),
        cmocka_unit_test(follows_the_normal_law),
        cmocka_unit_test(known_answers),
        cmocka_unit_test(pool_hands_out_fresh_noise),
        cmocka_unit_test(release_is_exact),
    };
    return cmocka_run_group_tests_name("noise", tests, NULL, NULL);
}
