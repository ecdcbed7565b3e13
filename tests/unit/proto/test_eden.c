/* SPDX-License-Identifier: Apache-2.0 */
/* eden: levels against Lloyd's iteration, error and bias against theory, kernels against twins. */
#include "proto/compress/codec.h"
#include "proto/compress/eden_kernel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const unsigned all_bits[] = {1, 2, 3, 4, 8};
enum { BITS = 5 };
/* D_b / (1 - D_b), D_b the Lloyd-Max distortion of N(0,1) (Max 1960, and pi/2 - 1 at 1 bit). */
static const double theory[BITS] = {0.570796, 0.133121, 0.0357840, 0.00959214, 4.11868e-5};

/* A small generator for test data: splitmix64 and Box-Muller. */
static uint64_t state;

static double uniform(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
    double r = sqrt(-2 * log(uniform()));
    return r * cos(2 * M_PI * uniform());
}

static double student_t3(void)
{
    double a = normal(), b = normal(), c = normal();
    return normal() / sqrt((a * a + b * b + c * c) / 3);
}

enum shape { GAUSS, STUDENT, SPIKES, LAYERED, SHAPES };

static void fill(enum shape shape, size_t d, float *x)
{
    for (size_t i = 0; i < d; i++) {
        double layer = pow(10, -3 + 4.0 * (double)(8 * i / d) / 7);
        switch (shape) {
        case GAUSS:
            x[i] = (float)normal();
            break;
        case STUDENT:
            x[i] = (float)student_t3();
            break;
        case SPIKES:
            x[i] = (float)(uniform() < 0.01 ? normal() : 0);
            break;
        case LAYERED:
        case SHAPES:
            x[i] = (float)(layer * normal());
            break;
        }
    }
}

static struct codec eden(unsigned bits)
{
    return (struct codec){.id = CODEC_EDEN, .bits = bits, .rounds = 2};
}

static void make_seed(uint64_t number, unsigned char seed[CODEC_SEED_BYTES])
{
    unsigned char secret[CODEC_SEED_BYTES] = "test";
    codec_seed(secret, number, NULL, seed);
}

static void round_trip(const struct codec *codec, uint64_t number, size_t d, const float *x,
                       unsigned char *frame, float *out)
{
    struct why why = {""};
    unsigned char seed[CODEC_SEED_BYTES];
    size_t len = 0, bytes = (size_t)codec_frame_bytes(codec, d);
    make_seed(number, seed);
    struct result r = codec_encode(codec, seed, d, x, frame, bytes, &len, &why);
    if (!ok(r))
        fail_msg("%s", why.text);
    assert_int_equal(len, bytes);
    r = codec_decode(frame, len, d, out, &why);
    if (!ok(r))
        fail_msg("%s", why.text);
}

static double nmse(size_t d, const float *x, const float *y)
{
    double error = 0, norm = 0;
    for (size_t i = 0; i < d; i++) {
        error += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
        norm += (double)x[i] * (double)x[i];
    }
    return error / norm;
}

/* Lloyd's iteration on |N(0,1)| from equal-probability starts, in double. */
static void lloyd(unsigned n, double *level)
{
    double change = 1;
    for (unsigned i = 0; i < n; i++)
        level[i] = 5.0 * (i + 0.5) / n;
    while (change > 1e-12) {
        double low = 0;
        change = 0;
        for (unsigned i = 0; i < n; i++) {
            double high = i + 1 < n ? (level[i] + level[i + 1]) / 2 : HUGE_VAL;
            double mass = (erfc(low / M_SQRT2) - erfc(high / M_SQRT2)) / 2;
            double mean = (exp(-low * low / 2) - exp(-high * high / 2)) / sqrt(2 * M_PI) / mass;
            change = fmax(change, fabs(mean - level[i]));
            level[i] = mean;
            low = high;
        }
    }
}

static void levels_are_lloyds(void **unused)
{
    (void)unused;
    double want[EDEN_MAX_LEVELS];
    for (int b = 0; b < BITS; b++) {
        unsigned n = 1u << (all_bits[b] - 1);
        const float *got = eden_levels(all_bits[b]);
        lloyd(n, want);
        for (unsigned i = 0; i < n; i++)
            assert_true(fabs((double)got[i] - want[i]) < 2e-7 * want[i] + 1e-8);
    }
}

static unsigned level_of(const struct eden_quantiser *q, float a)
{
    unsigned level = 0;
    while (level + 1 < q->levels && a > q->threshold[level])
        level++;
    return level;
}

/* Level by the fine grid; by the cells nearest, up to 4 bits; by the lines, at 8. */
static unsigned level_by_grid(const struct eden_quantiser *q, float a)
{
    const struct eden_cell *cell = &q->cell[(int)fminf(a * EDEN_CELLS_PER_UNIT, EDEN_CELLS - 1)];
    unsigned level = (unsigned)(cell->below + (a > cell->cut));
    assert_true(q->level[level] == (a > cell->cut ? cell->over : cell->under));
    return level;
}

static unsigned level_by_near(const struct eden_quantiser *q, float a)
{
    int k = (int)lrintf(fminf(a * q->near_per_unit, (float)(q->levels - 1)));
    return (unsigned)(k - (a <= q->near_cut[k]));
}

static unsigned level_by_line(const struct eden_quantiser *q, float a)
{
    float held = fminf(a, EDEN_LINES_TOP);
    int line = (int)(held * EDEN_LINES_PER_UNIT);
    int n = (int)(q->line_offset[line] + q->line_slope[line] * held);
    return (unsigned)(n + (a > q->threshold[n]));
}

/* On a fine lattice, and on both sides of each threshold. */
static void quantiser_tables_are_exact(void **unused)
{
    (void)unused;
    enum { PER_UNIT = 4096, TOP = 70 };
    for (int b = 0; b < BITS; b++) {
        struct eden_quantiser q;
        eden_quantiser_init(all_bits[b], &q);
        for (unsigned i = 0; i < PER_UNIT * TOP + 3 * q.levels; i++) {
            unsigned t = i / 3 % q.levels;
            float a = i < PER_UNIT * TOP  ? (float)i / PER_UNIT
                      : t + 1 == q.levels ? 64
                      : i % 3 == 0        ? q.threshold[t]
                      : i % 3 == 1        ? nextafterf(q.threshold[t], 0)
                                          : nextafterf(q.threshold[t], 99);
            unsigned want = level_of(&q, a);
            assert_int_equal(level_by_grid(&q, a), want);
            assert_int_equal(all_bits[b] <= 4 ? level_by_near(&q, a) : level_by_line(&q, a), want);
        }
    }
}

static void packing_round_trips(void **unused)
{
    (void)unused;
    unsigned char code[CODEC_BLOCK], packed[CODEC_BLOCK + 8], back[CODEC_BLOCK];
    for (int b = 0; b < BITS; b++) {
        unsigned bits = all_bits[b];
        for (size_t i = 0; i < CODEC_BLOCK; i++)
            code[i] = (unsigned char)((unsigned)(uniform() * 256) & ((1u << bits) - 1));
        memset(packed, 0xa5, sizeof packed);
        eden_pack(code, bits, packed);
        assert_int_equal(packed[CODEC_BLOCK / 8 * bits], 0xa5);
        for (size_t i = 0; i < CODEC_BLOCK * bits; i++)
            assert_int_equal(packed[i / 8] >> i % 8 & 1, code[i / bits] >> i % bits & 1);
        eden_unpack(packed, bits, back);
        assert_memory_equal(code, back, sizeof code);
    }
}

static void random_bytes(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(uniform() * 256);
}

/* table[2^bits] of levels times 0.3, as a decoder has it. */
static void fill_table(unsigned bits, float *table)
{
    unsigned n = 1u << (bits - 1);
    for (unsigned i = 0; i < n; i++) {
        table[i] = 0.3F * eden_levels(bits)[i];
        table[n + i] = -table[i];
    }
}

static void rotation_is_orthogonal(void **unused)
{
    (void)unused;
    _Alignas(64) float x[CODEC_BLOCK], y[CODEC_BLOCK];
    unsigned char signs[2][EDEN_SIGN_BYTES], codes[CODEC_BLOCK];
    float table[2 * EDEN_MAX_LEVELS];
    const struct eden_kernel *kernel = &eden_kernel_portable;
    random_bytes(signs[0], sizeof signs);
    random_bytes(codes, sizeof codes);
    fill_table(8, table);
    kernel->restore(codes, 8, table, x, signs[0], signs[1], NULL);
    kernel->rotate(x, y, signs[0], signs[1], NULL);
    assert_true(fabs(kernel->norm2(y) / kernel->norm2(x) / CODEC_BLOCK / CODEC_BLOCK - 1) < 1e-6);
    for (size_t i = 0; i < CODEC_BLOCK; i++)
        assert_true(fabsf(y[i] / CODEC_BLOCK / CODEC_BLOCK - table[codes[i]]) < 1e-5F);
}

/* One set of inner loops against the portable one, bit for bit. */
static void compare_kernel(const struct eden_kernel *fast, const float *from, unsigned bits,
                           int rounds)
{
    const struct eden_kernel *plain = &eden_kernel_portable;
    static _Alignas(64) float x[CODEC_BLOCK], y[CODEC_BLOCK];
    static unsigned char signs[2][EDEN_SIGN_BYTES], a[CODEC_BLOCK + 8], b[CODEC_BLOCK + 8];
    float table[2 * EDEN_MAX_LEVELS];
    struct eden_quantiser q;
    const unsigned char *second = rounds == 2 ? signs[1] : NULL;
    random_bytes(signs[0], sizeof signs);
    memcpy(x, from, sizeof x);
    plain->rotate(x, x, signs[0], second, from);
    fast->rotate(from, y, signs[0], second, from);
    assert_memory_equal(x, y, sizeof x);
    double n2 = plain->norm2(x);
    assert_true(n2 == fast->norm2(x));
    eden_quantiser_init(bits, &q);
    float inverse = (float)(64 / sqrt(n2));
    memset(a, 0x5a, sizeof a);
    memset(b, 0x5a, sizeof b);
    assert_true(plain->quantise(x, inverse, bits, &q, a) ==
                fast->quantise(x, inverse, bits, &q, b));
    assert_memory_equal(a, b, sizeof a);
    fill_table(bits, table);
    plain->restore(a, bits, table, x, signs[0], second, from);
    fast->restore(a, bits, table, y, signs[0], second, from);
    assert_memory_equal(x, y, sizeof x);
}

static void fast_kernels_give_the_same_bits(void **unused)
{
    (void)unused;
    static float x[CODEC_BLOCK];
    for (const struct eden_kernel *const *k = eden_kernels_here(); *k; k++) {
        print_message("%s\n", (*k)->name);
        for (int b = 0; b < BITS; b++)
            for (int scale = -30; scale <= 30; scale += 10) {
                fill((enum shape)(b % SHAPES), CODEC_BLOCK, x);
                for (size_t i = 0; i < CODEC_BLOCK; i++)
                    x[i] *= powf(10, (float)scale);
                compare_kernel(*k, x, all_bits[b], 1 + (scale / 10 & 1));
            }
    }
}

static void error_matches_theory(void **unused)
{
    (void)unused;
    enum { D = 1 << 17, VECTORS = 16 };
    float *x = malloc(D * sizeof *x), *y = malloc(D * sizeof *y);
    unsigned char *frame = malloc(4 * D);
    static const char *const names[SHAPES] = {"gauss", "student-t3", "1% spikes", "layered"};
    for (enum shape shape = GAUSS; shape < SHAPES; shape++)
        for (int b = 0; b < BITS; b++) {
            struct codec codec = eden(all_bits[b]);
            double sum = 0;
            for (uint64_t v = 0; v < VECTORS; v++) {
                state = 100 * v + shape;
                fill(shape, D, x);
                round_trip(&codec, v, D, x, frame, y);
                sum += nmse(D, x, y);
            }
            print_message("eden-%u %-10s nmse %.4e theory %.4e\n", all_bits[b], names[shape],
                          sum / VECTORS, theory[b]);
            /* A layered vector's error is that of its largest layer, few blocks: more spread. */
            assert_true(fabs(sum / VECTORS / theory[b] - 1) < 0.01);
        }
    free(frame);
    free(y);
    free(x);
}

/* |mean over seeds of decoded - x|^2 / |x|^2, less what an unbiased codec would leave. */
static double bias2(const struct codec *codec, size_t d, const float *x, unsigned seeds)
{
    double *mean = calloc(d, sizeof *mean);
    float *y = malloc(d * sizeof *y);
    unsigned char *frame = malloc((size_t)codec_frame_bytes(codec, d));
    double spread = 0, norm = 0, bias = 0;
    for (unsigned s = 0; s < seeds; s++) {
        round_trip(codec, s, d, x, frame, y);
        spread += nmse(d, x, y) / seeds;
        for (size_t i = 0; i < d; i++)
            mean[i] += (double)y[i] / seeds;
    }
    for (size_t i = 0; i < d; i++) {
        bias += (mean[i] - (double)x[i]) * (mean[i] - (double)x[i]);
        norm += (double)x[i] * (double)x[i];
    }
    free(frame);
    free(y);
    free(mean);
    return bias / norm - spread / seeds;
}

static void unbiased_on_sparse_blocks(void **unused)
{
    (void)unused;
    enum { SEEDS = 400 };
    static const unsigned kinds[] = {1, 2, 5, 17, CODEC_BLOCK};
    float x[CODEC_BLOCK];
    for (int b = 0; b < BITS; b++)
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            struct codec codec = eden(all_bits[b]);
            memset(x, 0, sizeof x);
            for (unsigned i = 0; i < kinds[k]; i++)
                x[(i * 1237) % CODEC_BLOCK] = powf(0.5F, (float)(i % 24));
            double bias = bias2(&codec, CODEC_BLOCK, x, SEEDS);
            print_message("eden-%u %u-sparse bias^2 %.1e\n", all_bits[b], kinds[k], bias);
            /* The estimate itself scatters by about sqrt(2 / d) of nmse / seeds. */
            assert_true(bias <= 1e-4);
        }
}

static void zero_and_short_blocks(void **unused)
{
    (void)unused;
    enum { D = 2 * CODEC_BLOCK + 5 };
    static float x[D], y[D];
    static unsigned char frame[4 * D];
    for (int b = 0; b < BITS; b++) {
        struct codec codec = eden(all_bits[b]);
        memset(x, 0, sizeof x);
        for (size_t i = CODEC_BLOCK; i < D; i++)
            x[i] = (float)normal();
        memset(y, 0x7f, sizeof y);
        round_trip(&codec, 5, D, x, frame, y);
        for (size_t i = 0; i < CODEC_BLOCK; i++)
            assert_true(y[i] == 0);
        assert_true(nmse(CODEC_BLOCK, x + CODEC_BLOCK, y + CODEC_BLOCK) < 1.05 * theory[b]);
    }
}

static void extreme_magnitudes(void **unused)
{
    (void)unused;
    static float x[CODEC_BLOCK], y[CODEC_BLOCK];
    static unsigned char frame[4 * CODEC_BLOCK];
    struct codec codec = eden(4);
    for (int power = -44; power <= 31; power++) {
        for (size_t i = 0; i < CODEC_BLOCK; i++)
            x[i] = (float)(normal() * pow(10, power));
        round_trip(&codec, 5, CODEC_BLOCK, x, frame, y);
        for (size_t i = 0; power <= -32 && i < CODEC_BLOCK; i++)
            assert_true(y[i] == 0);
        assert_true(power <= -32 || nmse(CODEC_BLOCK, x, y) < 1.25 * theory[3]);
    }
}

static void one_round_is_decoded_too(void **unused)
{
    (void)unused;
    enum { D = 3 * CODEC_BLOCK };
    static float x[D], y[D];
    static unsigned char frame[4 * D];
    struct codec codec = {.id = CODEC_EDEN, .bits = 4, .rounds = 1};
    fill(GAUSS, D, x);
    round_trip(&codec, 5, D, x, frame, y);
    assert_true(nmse(D, x, y) < 1.05 * theory[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_lloyds),
        cmocka_unit_test(quantiser_tables_are_exact),
        cmocka_unit_test(packing_round_trips),
        cmocka_unit_test(rotation_is_orthogonal),
        cmocka_unit_test(fast_kernels_give_the_same_bits),
        cmocka_unit_test(error_matches_theory),
        cmocka_unit_test(unbiased_on_sparse_blocks),
        cmocka_unit_test(zero_and_short_blocks),
        cmocka_unit_test(extreme_magnitudes),
        cmocka_unit_test(one_round_is_decoded_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
