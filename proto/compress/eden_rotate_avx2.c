/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rotations of eden with AVX2 and FMA. A round is 12 stages of butterflies over 512 vectors of
 * 8 floats: 12,288 additions a block of two rounds, of which a processor does two a cycle; all
 * that stands beside them here is kept from taking their place.
 */
#include "proto/compress/eden_avx2.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

/* Stages 1, 2, 4 inside one vector: (a, b) -> (a + b, a - b). The product with +-1 is exact, so
 * the fused operation rounds like a plain addition. */
INLINE __m256 inner_stages(__m256 x)
{
    x = _mm256_fmadd_ps(x, _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1), _mm256_permute_ps(x, 0xb1));
    x = _mm256_fmadd_ps(x, _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1), _mm256_permute_ps(x, 0x4e));
    return _mm256_fmadd_ps(x, _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1),
                           _mm256_permute2f128_ps(x, x, 1));
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

/* Flips the signs of the vector that `turn` stands for, of the four whose signs are given; or
 * none (NULL). */
INLINE __m256 flip(__m256 x, const unsigned char *signs, __m256i turn)
{
    int four;
    if (!signs)
        return x;
    memcpy(&four, signs, sizeof four);
    __m256 top = _mm256_castsi256_ps(_mm256_sllv_epi32(_mm256_set1_epi32(four), turn));
    return _mm256_xor_ps(x, _mm256_and_ps(top, _mm256_set1_ps(-0.0F)));
}

/* Fetches 32 floats that are wanted soon, or none (NULL). */
INLINE void fetch(const float *next)
{
    if (next) {
        _mm_prefetch((const char *)next, _MM_HINT_T0);
        _mm_prefetch((const char *)(next + 16), _MM_HINT_T0);
    }
}

/* The stages 1 to 32; signs flipped before, or not (NULL). from may be x. */
INLINE void pass_first(const float *from, float *x, const unsigned char *before)
{
    __m256 v[8];
    const __m256i turn[4] = {turn_of(0), turn_of(1), turn_of(2), turn_of(3)};
    for (int first = 0; first < VECTORS; first += 8) {
        const unsigned char *signs = before ? before + first : NULL;
#define LOAD(i)                                                                                    \
    v[i] = inner_stages(flip(_mm256_loadu_ps(from + WIDTH * (first + (i))),                        \
                             before ? signs + ((i) & ~3) : NULL, turn[(i)&3]));
        EACH8(LOAD)
#undef LOAD
        outer8(v);
#define STORE(i) _mm256_store_ps(x + WIDTH * (first + (i)), v[i]);
        EACH8(STORE)
#undef STORE
    }
}

/* Three stages, the first over vectors `stride` apart, a multiple of 4; signs flipped after them,
 * or not (NULL). */
INLINE void pass8(float *x, int stride, const unsigned char *after, const float *next)
{
    __m256 v[8];
    for (int base = 0; base < VECTORS; base += 8 * stride)
        for (int first = base; first < base + stride; first++) {
            const unsigned char *signs = after ? after + (first & ~3) : NULL;
            const __m256i turn = turn_of(first & 3);
            fetch(next);
            next = next ? next + 32 : NULL;
#define LOAD(i) v[i] = _mm256_load_ps(x + WIDTH * (first + stride * (i)));
            EACH8(LOAD)
#undef LOAD
            outer8(v);
#define STORE(i)                                                                                   \
    _mm256_store_ps(x + WIDTH * (first + stride * (i)),                                            \
                    flip(v[i], after ? signs + stride * (i) : NULL, turn));
            EACH8(STORE)
#undef STORE
        }
}

/* Stage 2048, then 1 to 16, over vectors 0..3 and 256..259 of each run. */
INLINE void pass_over(float *x)
{
    __m256 v[8], a;
    for (int first = 0; first < VECTORS / 2; first += 4) {
#define AT(i) (x + WIDTH * (first + (i) % 4 + VECTORS / 2 * ((i) / 4)))
#define LOAD(i) v[i] = _mm256_load_ps(AT(i));
        EACH8(LOAD)
#undef LOAD
        PAIRS_FAR(PAIR)
#define INNER(i) v[i] = inner_stages(v[i]);
        EACH8(INNER)
#undef INNER
        PAIRS_NEAR(PAIR)
#define STORE(i) _mm256_store_ps(AT(i), v[i]);
        EACH8(STORE)
#undef STORE
    }
}

/* Stages 64 to 2048 of a round that began with pass_first, then, with `again`, 256 to 2048 and 1 to
 * 128; the signs given are flipped between the two and at the end. */
INLINE void later_stages(float *x, bool again, const unsigned char *between,
                         const unsigned char *end, const float *next)
{
    pass8(x, 8, NULL, next);
    pass8(x, 64, again ? between : end, next ? next + CODEC_BLOCK / 2 : NULL);
    if (again) {
        pass8(x, 32, NULL, NULL);
        pass_over(x);
        pass8(x, 4, end, NULL);
    }
}

TARGET void eden_rotate_avx2(const float *x, float *y, const unsigned char *first,
                             const unsigned char *second, const float *next)
{
    pass_first(x, y, first);
    if (second)
        later_stages(y, true, second, NULL, next);
    else
        later_stages(y, false, NULL, NULL, next);
}

TARGET void eden_unrotate_avx2(float *x, const unsigned char *first, const unsigned char *second,
                               const float *next)
{
    pass_first(x, x, NULL);
    if (second)
        later_stages(x, true, second, first, next);
    else
        later_stages(x, false, NULL, first, next);
}
