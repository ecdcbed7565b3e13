/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops of eden with AVX-512 (F, DQ, BW, VL): 256 vectors of 16 floats a block. */
#include "proto/compress/eden_kernel.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl")))
#define INLINE TARGET __attribute__((always_inline)) static inline

enum { WIDTH = 16, VECTORS = CODEC_BLOCK / WIDTH, GROUP = 16 };

/* (a, b) -> (a + b, a - b) in lanes that `partner` holds swapped; minus is -1 where b stands.
 * The product is exact, so the fused operation rounds like a plain addition. */
INLINE __m512 butterfly(__m512 x, __m512 partner, __m512 minus)
{
    return _mm512_fmadd_ps(x, minus, partner);
}

/* Stages 1, 2, 4, 8 inside one vector. */
INLINE __m512 inner_stages(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1), less = _mm512_set1_ps(-1);
    x = butterfly(x, _mm512_permute_ps(x, 0xb1), _mm512_mask_blend_ps(0xaaaa, one, less));
    x = butterfly(x, _mm512_permute_ps(x, 0x4e), _mm512_mask_blend_ps(0xcccc, one, less));
    x = butterfly(x, _mm512_shuffle_f32x4(x, x, 0xb1), _mm512_mask_blend_ps(0xf0f0, one, less));
    return butterfly(x, _mm512_shuffle_f32x4(x, x, 0x4e), _mm512_mask_blend_ps(0xff00, one, less));
}

/* Four stages across 16 vectors. */
INLINE void outer_stages(__m512 v[GROUP])
{
#pragma GCC unroll 4
    for (int h = 1; h < GROUP; h *= 2)
#pragma GCC unroll 16
        for (int i = 0; i < GROUP; i++)
            if (!(i & h)) {
                __m512 a = v[i], b = v[i + h];
                v[i] = _mm512_add_ps(a, b);
                v[i + h] = _mm512_sub_ps(a, b);
            }
}

/* Flips the signs of vector i; or none. */
INLINE __m512 flip(__m512 x, const unsigned char *signs, int i)
{
    uint16_t mask;
    if (!signs)
        return x;
    memcpy(&mask, signs + 2 * i, sizeof mask);
    return _mm512_mask_xor_ps(x, mask, x, _mm512_set1_ps(-0.0F));
}

/* All 12 stages in two passes over the block; signs flipped before, after, or not (NULL). */
INLINE void hadamard(float *x, const unsigned char *before, const unsigned char *after)
{
    __m512 v[GROUP];
    for (int start = 0; start < VECTORS; start += GROUP) {
#pragma GCC unroll 16
        for (int i = 0; i < GROUP; i++)
            v[i] = inner_stages(flip(_mm512_load_ps(x + WIDTH * (start + i)), before, start + i));
        outer_stages(v);
#pragma GCC unroll 16
        for (int i = 0; i < GROUP; i++)
            _mm512_store_ps(x + WIDTH * (start + i), v[i]);
    }
    for (int start = 0; start < VECTORS / GROUP; start++) {
#pragma GCC unroll 16
        for (int i = 0; i < GROUP; i++)
            v[i] = _mm512_load_ps(x + WIDTH * (start + GROUP * i));
        outer_stages(v);
#pragma GCC unroll 16
        for (int i = 0; i < GROUP; i++)
            _mm512_store_ps(x + WIDTH * (start + GROUP * i), flip(v[i], after, start + GROUP * i));
    }
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
    __m512d sum[4] = {_mm512_setzero_pd(), _mm512_setzero_pd(), _mm512_setzero_pd(),
                      _mm512_setzero_pd()};
    double lane[EDEN_LANES];
    for (int i = 0; i < CODEC_BLOCK; i += EDEN_LANES)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            __m512d v = _mm512_cvtps_pd(_mm256_load_ps(y + i + 8 * k));
            sum[k] = _mm512_fmadd_pd(v, v, sum[k]);
        }
    for (int k = 0; k < 4; k++)
        _mm512_storeu_pd(lane + 8 * k, sum[k]);
    return eden_sum_lanes(lane);
}

/* Code of 16 coordinates of at most 4 bits from the coarse grid; adds u * level to *sum. */
INLINE __m512i code_coarse(__m512 y, __m512 u, unsigned bits, const struct eden_quantiser *q,
                           __m512 *sum)
{
    __m512 place = _mm512_mul_ps(u, _mm512_set1_ps(EDEN_COARSE_PER_UNIT));
    __m512i cell = _mm512_cvttps_epi32(_mm512_min_ps(place, _mm512_set1_ps(EDEN_COARSE_CELLS - 1)));
    __m512i below = _mm512_permutexvar_epi32(cell, _mm512_loadu_si512(q->coarse_below));
    __m512 cut = _mm512_permutexvar_ps(cell, _mm512_loadu_ps(q->coarse_cut));
    __mmask16 over = _mm512_cmp_ps_mask(u, cut, _CMP_GT_OQ);
    __m512i level = _mm512_mask_add_epi32(below, over, below, _mm512_set1_epi32(1));
    __m512 value = _mm512_permutexvar_ps(level, _mm512_loadu_ps(q->level));
    *sum = _mm512_add_ps(*sum, _mm512_mul_ps(u, value));
    __m512i sign = _mm512_srli_epi32(_mm512_castps_si512(y), 32 - bits);
    /* level | (sign & 1 << (bits-1)) */
    return _mm512_ternarylogic_epi32(level, sign, _mm512_set1_epi32(1 << (bits - 1)), 0xf8);
}

/* The same from the fine grid, any bits. */
INLINE __m512i code_fine(__m512 y, __m512 u, unsigned bits, const struct eden_quantiser *q,
                         __m512 *sum)
{
    __m512 place = _mm512_mul_ps(u, _mm512_set1_ps(EDEN_CELLS_PER_UNIT));
    __m512i cell = _mm512_cvttps_epi32(_mm512_min_ps(place, _mm512_set1_ps(EDEN_CELLS - 1)));
    __m512i below = _mm512_i32gather_epi32(cell, q->below, 4);
    __m512 cut = _mm512_i32gather_ps(cell, q->cut, 4);
    __mmask16 over = _mm512_cmp_ps_mask(u, cut, _CMP_GT_OQ);
    __m512i level = _mm512_mask_add_epi32(below, over, below, _mm512_set1_epi32(1));
    __m512 value = _mm512_i32gather_ps(level, q->level, 4);
    *sum = _mm512_add_ps(*sum, _mm512_mul_ps(u, value));
    __m512i sign = _mm512_srli_epi32(_mm512_castps_si512(y), 32 - bits);
    return _mm512_ternarylogic_epi32(level, sign, _mm512_set1_epi32(1 << (bits - 1)), 0xf8);
}

/* Folds 64 codes, one a byte, to 64*bits adjacent bits. */
INLINE void pack64(__m512i v, unsigned bits, unsigned char *packed)
{
    if (bits == 8) {
        _mm512_storeu_si512(packed, v);
        return;
    }
    const __m512i two = _mm512_set1_epi64(0x0001000100010001 * ((1 << 2 * bits) - 1));
    const __m512i four = _mm512_set1_epi64(0x0000000100000001 * ((1LL << 4 * bits) - 1));
    v = _mm512_and_si512(_mm512_or_si512(v, _mm512_srli_epi64(v, 8 - bits)), two);
    v = _mm512_and_si512(_mm512_or_si512(v, _mm512_srli_epi64(v, 16 - 2 * bits)), four);
    v = _mm512_or_si512(v, _mm512_srli_epi64(v, 32 - 4 * bits));
    if (bits == 4) {
        _mm256_storeu_si256((__m256i *)packed, _mm512_cvtepi64_epi32(v));
    } else if (bits == 2) {
        _mm_storeu_si128((__m128i *)packed, _mm512_cvtepi64_epi16(v));
    } else if (bits == 1) {
        _mm_storel_epi64((__m128i *)packed, _mm512_cvtepi64_epi8(v));
    } else {
        uint64_t lane[8];
        _mm512_storeu_si512(lane, v);
        for (int i = 0; i < 8; i++)
            memcpy(packed + bits * (unsigned)i, &lane[i], bits);
    }
}

INLINE double quantise_bits(const float *y, float inverse, unsigned bits,
                            const struct eden_quantiser *q, unsigned char *packed)
{
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int i = 0; i < CODEC_BLOCK; i += 64) {
        __m128i byte[4];
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            __m512 v = _mm512_load_ps(y + i + WIDTH * k);
            __m512 u = _mm512_mul_ps(_mm512_abs_ps(v), _mm512_set1_ps(inverse));
            byte[k] = _mm512_cvtepi32_epi8(bits <= 4 ? code_coarse(v, u, bits, q, &sum[k % 2])
                                                     : code_fine(v, u, bits, q, &sum[k % 2]));
        }
        __m512i all = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_set_m128i(byte[1], byte[0])),
                                         _mm256_set_m128i(byte[3], byte[2]), 1);
        pack64(all, bits, packed + i / 8 * (int)bits);
    }
    float lanes[EDEN_LANES];
    double lane[EDEN_LANES];
    _mm512_storeu_ps(lanes, sum[0]);
    _mm512_storeu_ps(lanes + WIDTH, sum[1]);
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

/* Up to 4 bits: the table fits a register, repeated so that bits above a code do not matter. */
INLINE void expand_bits(const unsigned char *packed, unsigned bits, const float *table, float *y)
{
    float repeated[WIDTH];
    int shifts[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
        repeated[i] = table[i & ((1 << bits) - 1)];
        shifts[i] = (int)bits * (i % 8);
    }
    const __m512 values = _mm512_loadu_ps(repeated);
    const __m512i shift = _mm512_loadu_si512(shifts);
    for (int i = 0; i < VECTORS; i++) {
        uint32_t low = 0, high = 0; /* 8 codes each */
        memcpy(&low, packed + 2 * bits * (unsigned)i, bits);
        memcpy(&high, packed + 2 * bits * (unsigned)i + bits, bits);
        __m512i both =
            _mm512_inserti64x4(_mm512_set1_epi32((int)low), _mm256_set1_epi32((int)high), 1);
        _mm512_store_ps(y + WIDTH * i,
                        _mm512_permutexvar_ps(_mm512_srlv_epi32(both, shift), values));
    }
}

TARGET static void expand_bytes(const unsigned char *packed, const float *table, float *y)
{
    for (int i = 0; i < VECTORS; i++) {
        __m128i byte = _mm_loadu_si128((const __m128i *)(packed + WIDTH * i));
        _mm512_store_ps(y + WIDTH * i, _mm512_i32gather_ps(_mm512_cvtepu8_epi32(byte), table, 4));
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

const struct eden_kernel eden_kernel_avx512 = {
    .name = "avx512",
    .rotate = rotate,
    .unrotate = unrotate,
    .norm2 = norm2,
    .quantise = quantise,
    .expand = expand,
};
