/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops of eden with AVX2 and FMA: 512 vectors of 8 floats a block. */
#include "proto/compress/eden_kernel.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE TARGET __attribute__((always_inline)) static inline

enum { WIDTH = 8, VECTORS = CODEC_BLOCK / WIDTH, GROUP = 8 };

/* Stages 1, 2, 4 inside one vector: (a, b) -> (a + b, a - b). The product with +-1 is exact, so
 * the fused operation rounds like a plain addition. */
INLINE __m256 inner_stages(__m256 x)
{
    x = _mm256_fmadd_ps(x, _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1), _mm256_permute_ps(x, 0xb1));
    x = _mm256_fmadd_ps(x, _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1), _mm256_permute_ps(x, 0x4e));
    return _mm256_fmadd_ps(x, _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1),
                           _mm256_permute2f128_ps(x, x, 1));
}

/* Three stages across 8 vectors. */
INLINE void outer_stages(__m256 v[GROUP])
{
#pragma GCC unroll 3
    for (int h = 1; h < GROUP; h *= 2)
#pragma GCC unroll 8
        for (int i = 0; i < GROUP; i++)
            if (!(i & h)) {
                __m256 a = v[i], b = v[i + h];
                v[i] = _mm256_add_ps(a, b);
                v[i + h] = _mm256_sub_ps(a, b);
            }
}

/* Flips the signs of vector i; or none. */
INLINE __m256 flip(__m256 x, const unsigned char *signs, int i)
{
    if (!signs)
        return x;
    __m256i bits = _mm256_sllv_epi32(_mm256_set1_epi32(signs[i]),
                                     _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24));
    __m256 top = _mm256_and_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(-0.0F));
    return _mm256_xor_ps(x, top);
}

/* Three stages over vectors `stride` apart, the last vector of a group after the first by 7. */
INLINE void outer_pass(float *x, int stride, const unsigned char *after)
{
    __m256 v[GROUP];
    for (int base = 0; base < VECTORS; base += GROUP * stride)
        for (int start = base; start < base + stride; start++) {
#pragma GCC unroll 8
            for (int i = 0; i < GROUP; i++)
                v[i] = _mm256_load_ps(x + WIDTH * (start + stride * i));
            outer_stages(v);
#pragma GCC unroll 8
            for (int i = 0; i < GROUP; i++)
                _mm256_store_ps(x + WIDTH * (start + stride * i),
                                flip(v[i], after, start + stride * i));
        }
}

/* All 12 stages in three passes; signs flipped before, after, or not (NULL). */
INLINE void hadamard(float *x, const unsigned char *before, const unsigned char *after)
{
    __m256 v[GROUP];
    for (int start = 0; start < VECTORS; start += GROUP) {
#pragma GCC unroll 8
        for (int i = 0; i < GROUP; i++)
            v[i] = inner_stages(flip(_mm256_load_ps(x + WIDTH * (start + i)), before, start + i));
        outer_stages(v);
#pragma GCC unroll 8
        for (int i = 0; i < GROUP; i++)
            _mm256_store_ps(x + WIDTH * (start + i), v[i]);
    }
    outer_pass(x, GROUP, NULL);
    outer_pass(x, GROUP * GROUP, after);
}

TARGET static void rotate(float *x, const unsigned char *signs)
{
    hadamard(x, signs, NULL);
}

TARGET static void unrotate(float *x, const unsigned char *signs)
{
    hadamard(x, NULL, signs);
}

TARGET static double norm2(const float *y)
{
    __m256d sum[8];
    double lane[EDEN_LANES];
    for (int k = 0; k < 8; k++)
        sum[k] = _mm256_setzero_pd();
    for (int i = 0; i < CODEC_BLOCK; i += EDEN_LANES)
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++) {
            __m256d v = _mm256_cvtps_pd(_mm_load_ps(y + i + 4 * k));
            sum[k] = _mm256_fmadd_pd(v, v, sum[k]);
        }
    for (int k = 0; k < 8; k++)
        _mm256_storeu_pd(lane + 4 * k, sum[k]);
    return eden_sum_lanes(lane);
}

/* Level of 8 values u and its float: by comparing with every threshold up to 4 bits, by the grid
 * above. */
INLINE __m256i level_of(__m256 u, unsigned bits, const struct eden_quantiser *q, __m256 *value)
{
    __m256i level = _mm256_setzero_si256();
    if (bits <= 4) {
        for (int t = 0; t + 1 < 1 << (bits - 1); t++)
            level = _mm256_sub_epi32(level, _mm256_castps_si256(
                                                _mm256_cmp_ps(u, _mm256_set1_ps(q->threshold[t]),
                                                              _CMP_GT_OQ)));
        *value = _mm256_permutevar8x32_ps(_mm256_loadu_ps(q->level), level);
        return level;
    }
    __m256 place = _mm256_mul_ps(u, _mm256_set1_ps(EDEN_CELLS_PER_UNIT));
    __m256i cell = _mm256_cvttps_epi32(_mm256_min_ps(place, _mm256_set1_ps(EDEN_CELLS - 1)));
    __m256 over = _mm256_cmp_ps(u, _mm256_i32gather_ps(q->cut, cell, 4), _CMP_GT_OQ);
    level = _mm256_sub_epi32(_mm256_i32gather_epi32(q->below, cell, 4), _mm256_castps_si256(over));
    *value = _mm256_i32gather_ps(q->level, level, 4);
    return level;
}

/* 8 coordinates at y; adds u * level to *sum, returns the codes. */
INLINE __m256i code_of(const float *y, __m256 inverse, unsigned bits,
                       const struct eden_quantiser *q, __m256 *sum)
{
    __m256 v = _mm256_load_ps(y), value;
    __m256 u = _mm256_mul_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0F), v), inverse);
    __m256i level = level_of(u, bits, q, &value);
    *sum = _mm256_add_ps(*sum, _mm256_mul_ps(u, value));
    __m256i sign = _mm256_srli_epi32(_mm256_castps_si256(v), 31);
    return _mm256_or_si256(level, _mm256_slli_epi32(sign, (int)bits - 1));
}

INLINE double quantise_bits(const float *y, float inverse, unsigned bits,
                            const struct eden_quantiser *q, unsigned char *packed)
{
    unsigned char code[CODEC_BLOCK];
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int i = 0; i < CODEC_BLOCK; i += EDEN_LANES) {
        __m256i c[4];
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            c[k] = code_of(y + i + WIDTH * k, _mm256_set1_ps(inverse), bits, q, &sum[k]);
        __m256i bytes =
            _mm256_packus_epi16(_mm256_packus_epi32(c[0], c[1]), _mm256_packus_epi32(c[2], c[3]));
        _mm256_storeu_si256((__m256i *)(code + i), _mm256_permutevar8x32_epi32(bytes, order));
    }
    eden_pack(code, bits, packed);
    float lanes[EDEN_LANES];
    double lane[EDEN_LANES];
    for (int k = 0; k < 4; k++)
        _mm256_storeu_ps(lanes + WIDTH * k, sum[k]);
    for (int j = 0; j < EDEN_LANES; j++)
        lane[j] = (double)lanes[j];
    return eden_sum_lanes(lane);
}

TARGET static double quantise(const float *y, float inverse, unsigned bits,
                              const struct eden_quantiser *q, unsigned char *packed)
{
    switch (bits) {
    case 1:
        return quantise_bits(y, inverse, 1, q, packed);
    case 2:
        return quantise_bits(y, inverse, 2, q, packed);
    case 3:
        return quantise_bits(y, inverse, 3, q, packed);
    case 4:
        return quantise_bits(y, inverse, 4, q, packed);
    default:
        return quantise_bits(y, inverse, 8, q, packed);
    }
}

/* Up to 4 bits: magnitudes from a register, repeated so that bits above the level do not matter,
 * and the code's top bit shifted into the sign. */
INLINE void expand_bits(const unsigned char *packed, unsigned bits, const float *table, float *y)
{
    float repeated[WIDTH];
    int right[WIDTH], left[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
        repeated[i] = table[i & ((1 << (bits - 1)) - 1)];
        right[i] = (int)bits * i;
        left[i] = 32 - (int)bits * (i + 1);
    }
    const __m256 values = _mm256_loadu_ps(repeated);
    const __m256i to_level = _mm256_loadu_si256((const __m256i *)right);
    const __m256i to_sign = _mm256_loadu_si256((const __m256i *)left);
    for (int i = 0; i < VECTORS; i++) {
        uint32_t codes = 0;
        memcpy(&codes, packed + bits * (unsigned)i, bits);
        __m256i all = _mm256_set1_epi32((int)codes);
        __m256 value = _mm256_permutevar8x32_ps(values, _mm256_srlv_epi32(all, to_level));
        __m256 sign = _mm256_and_ps(_mm256_castsi256_ps(_mm256_sllv_epi32(all, to_sign)),
                                    _mm256_set1_ps(-0.0F));
        _mm256_store_ps(y + WIDTH * i, _mm256_xor_ps(value, sign));
    }
}

TARGET static void expand_bytes(const unsigned char *packed, const float *table, float *y)
{
    for (int i = 0; i < VECTORS; i++) {
        __m128i byte = _mm_loadl_epi64((const __m128i *)(packed + WIDTH * i));
        _mm256_store_ps(y + WIDTH * i, _mm256_i32gather_ps(table, _mm256_cvtepu8_epi32(byte), 4));
    }
}

TARGET static void expand(const unsigned char *packed, unsigned bits, const float *table, float *y)
{
    switch (bits) {
    case 1:
        expand_bits(packed, 1, table, y);
        return;
    case 2:
        expand_bits(packed, 2, table, y);
        return;
    case 3:
        expand_bits(packed, 3, table, y);
        return;
    case 4:
        expand_bits(packed, 4, table, y);
        return;
    default:
        expand_bytes(packed, table, y);
    }
}

const struct eden_kernel eden_kernel_avx2 = {
    .name = "avx2",
    .rotate = rotate,
    .unrotate = unrotate,
    .norm2 = norm2,
    .quantise = quantise,
    .expand = expand,
};
