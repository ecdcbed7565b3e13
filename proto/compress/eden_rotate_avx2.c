/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rotations of eden with AVX2 and FMA. A round is 12 stages of butterflies over 512 vectors of
 * 8 floats: 12,288 additions a block of two rounds, of which a processor does two a cycle; all
 * that stands beside them here is kept from taking their place.
 */
#include "proto/compress/eden_avx2.h"

#include <stdbool.h>
#include <string.h>

INLINE __m256 stage_4(__m256 low, __m256 high)
{
    return _mm256_fmadd_ps(high, _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1), low);
}

#define PAIR(i, j) a = v[i], v[i] = _mm256_add_ps(a, v[j]), v[j] = _mm256_sub_ps(a, v[j]);

/* clang-format off */
#define PAIRS_NEAR(DO) \
    DO(0, 1) DO(2, 3) DO(4, 5) DO(6, 7) \
    DO(0, 2) DO(1, 3) DO(4, 6) DO(5, 7)
#define PAIRS_FAR(DO) DO(0, 4) DO(1, 5) DO(2, 6) DO(3, 7)
/* clang-format on */

#define EACH8(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)

/* Three stages across 8 vectors. */
INLINE void outer8(__m256 v[8])
{
    __m256 a;
    PAIRS_NEAR(PAIR)
    PAIRS_FAR(PAIR)
}

/* Four vectors share 32 bits of signs; this moves the bit of each lane of the vector `place` of
 * the four to the top. */
INLINE __m256i turn_of(int place)
{
    static const int turns[4 * WIDTH] = {31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21,
                                         20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10,
                                         9,  8,  7,  6,  5,  4,  3,  2,  1,  0};
    return _mm256_loadu_si256((const __m256i *)(turns + WIDTH * place));
}

/* Flips the signs of the vector that `turn` stands for, of the four whose signs are given. */
INLINE __m256 flip(__m256 x, const unsigned char *signs, __m256i turn)
{
    int four;
    memcpy(&four, signs, sizeof four);
    __m256 top = _mm256_castsi256_ps(_mm256_sllv_epi32(_mm256_set1_epi32(four), turn));
    return _mm256_xor_ps(x, _mm256_and_ps(top, _mm256_set1_ps(-0.0F)));
}

/* Fetches 128 floats that are wanted soon, or none (NULL). */
INLINE void fetch(const float *next)
{
    if (next)
        for (int i = 0; i < 128; i += 16)
            _mm_prefetch((const char *)(next + i), _MM_HINT_T0);
}

/* Signs flipped, then stages 1 and 2. */
INLINE void pass_1_2(const float *from, float *x, const unsigned char *signs)
{
    const __m256i turn[4] = {turn_of(0), turn_of(1), turn_of(2), turn_of(3)};
    for (int at = 0; at < VECTORS; at += 4)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            __m256 v = _mm256_loadu_ps(from + WIDTH * (at + i));
            v = eden_stages_1_2(flip(v, signs + at, turn[i]));
            _mm256_store_ps(x + WIDTH * (at + i), v);
        }
}

/* Stages 4 to 32. Halves of a vector are loaded doubled, which spares a shuffle. */
INLINE void pass_4_32(float *x)
{
    __m256 v[8];
    for (int at = 0; at < VECTORS; at += 8) {
#define HALF(i) _mm256_broadcast_ps((const __m128 *)(x + WIDTH * at + 4 * (i)))
#define LOAD(i) v[i] = stage_4(HALF(2 * (i)), HALF(2 * (i) + 1));
        EACH8(LOAD)
#undef LOAD
        outer8(v);
#define STORE(i) _mm256_store_ps(x + WIDTH * (at + (i)), v[i]);
        EACH8(STORE)
#undef STORE
    }
}

/* Three stages over the vectors at, at + stride, ...; signs flipped after them, if `flips`. */
INLINE void next8(float *x, int stride, bool flips, const unsigned char *after, __m256i turn)
{
    __m256 v[8];
#define LOAD(i) v[i] = _mm256_load_ps(x + WIDTH * stride * (i));
    EACH8(LOAD)
#undef LOAD
    outer8(v);
#define STORE(i)                                                                                   \
    _mm256_store_ps(x + WIDTH * stride * (i),                                                      \
                    flips ? flip(v[i], after + stride * (i), turn) : v[i]);
    EACH8(STORE)
#undef STORE
}

/* Three stages, the first over vectors `stride` apart, a multiple of 4; signs flipped after them,
 * if `flips`. */
INLINE void pass8(float *x, int stride, bool flips, const unsigned char *after, const float *next)
{
    const __m256i turn[4] = {turn_of(0), turn_of(1), turn_of(2), turn_of(3)};
    for (int base = 0; base < VECTORS; base += 8 * stride)
        for (int at = base; at < base + stride; at += 4) {
            fetch(next);
            next = next ? next + 128 : NULL;
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                next8(x + WIDTH * (at + i), stride, flips, flips ? after + at : NULL, turn[i]);
        }
}

/* Stage 2048, then 1 to 16, over vectors 0..3 and 256..259 of each run. */
INLINE void pass_over(float *x)
{
    __m256 v[8], a;
    for (int at = 0; at < VECTORS / 2; at += 4) {
#define AT(i) (x + WIDTH * (at + (i) % 4 + VECTORS / 2 * ((i) / 4)))
#define LOAD(i) v[i] = _mm256_load_ps(AT(i));
        EACH8(LOAD)
#undef LOAD
        PAIRS_FAR(PAIR)
#define INNER(i)                                                                                   \
    v[i] = eden_stages_1_2(v[i]), v[i] = stage_4(_mm256_permute2f128_ps(v[i], v[i], 1), v[i]);
        EACH8(INNER)
#undef INNER
        PAIRS_NEAR(PAIR)
#define STORE(i) _mm256_store_ps(AT(i), v[i]);
        EACH8(STORE)
#undef STORE
    }
}

/* Stages 4 to 2048 of the first round; signs flipped after them, if `flips`. */
INLINE void first_round(float *x, bool flips, const unsigned char *after, const float *next)
{
    pass_4_32(x);
    pass8(x, 8, false, NULL, next);
    pass8(x, 64, flips, after, next ? next + CODEC_BLOCK / 2 : NULL);
}

/* Stages 256 to 2048, then 1 to 128; signs flipped after them, if `flips`. */
INLINE void second_round(float *x, bool flips, const unsigned char *after)
{
    pass8(x, 32, false, NULL, NULL);
    pass_over(x);
    pass8(x, 4, flips, after, NULL);
}

TARGET void eden_rotate_avx2(const float *x, float *y, const unsigned char *first,
                             const unsigned char *second, const float *next)
{
    pass_1_2(x, y, first);
    if (second) {
        first_round(y, true, second, next);
        second_round(y, false, NULL);
    } else {
        first_round(y, false, NULL, next);
    }
}

TARGET void eden_unrotate_avx2(float *x, const unsigned char *first, const unsigned char *second,
                               const float *next)
{
    if (second) {
        first_round(x, true, second, next);
        second_round(x, true, first);
    } else {
        first_round(x, true, first, next);
    }
}
