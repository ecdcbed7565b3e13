/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops of eden with AVX2 and FMA: 512 vectors of 8 floats a block. */
#include "proto/compress/eden_avx2.h"

#include <string.h>

TARGET static double norm2(const float *y)
{
    __m256d sum[8];
    double lane[EDEN_LANES];
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++)
        sum[k] = _mm256_setzero_pd();
    for (int i = 0; i < CODEC_BLOCK; i += EDEN_LANES)
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++) {
            __m256d v = _mm256_cvtps_pd(_mm_load_ps(y + i + 4 * k));
            sum[k] = _mm256_fmadd_pd(v, v, sum[k]);
        }
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++)
        _mm256_storeu_pd(lane + 4 * k, sum[k]);
    return eden_sum_lanes(lane);
}

/* The tables of up to 4 bits, in registers. */
struct coarse {
    __m256 inverse, place, last, cut, level;
};

INLINE struct coarse coarse_init(float inverse, const struct eden_quantiser *q)
{
    return (struct coarse){
        .inverse = _mm256_set1_ps(inverse),
        .place = _mm256_set1_ps(inverse * q->near_per_unit),
        .last = _mm256_set1_ps((float)(q->levels - 1)),
        .cut = _mm256_loadu_ps(q->near_cut),
        .level = _mm256_loadu_ps(q->level),
    };
}

INLINE __m256 magnitude(const float *y)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), _mm256_load_ps(y));
}

/* -1 where y < 0; zeros of either sign are not. */
INLINE __m256i negative(const float *y)
{
    return _mm256_castps_si256(_mm256_cmp_ps(_mm256_setzero_ps(), _mm256_load_ps(y), _CMP_GT_OQ));
}

/* Levels of 8 coordinates of at most 4 bits from the cells nearest; adds u * level to *sum. */
INLINE __m256i levels_coarse(const float *y, const struct coarse *c, __m256 *sum)
{
    __m256 a = magnitude(y), u = _mm256_mul_ps(a, c->inverse);
    __m256i cell = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_mul_ps(a, c->place), c->last));
    __m256 under = _mm256_cmp_ps(u, _mm256_permutevar8x32_ps(c->cut, cell), _CMP_LE_OQ);
    __m256i level = _mm256_add_epi32(cell, _mm256_castps_si256(under));
    *sum = _mm256_add_ps(*sum, _mm256_mul_ps(u, _mm256_permutevar8x32_ps(c->level, level)));
    return level;
}

/* Rows a and b of a table of cells, by their offsets in bytes. */
INLINE __m256 two_cells(const struct eden_quantiser *q, int a, int b)
{
    const char *cells = (const char *)q->cell;
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_load_ps((const float *)(cells + a))),
                                _mm_load_ps((const float *)(cells + b)), 1);
}

/* The same for 8 bits from the grid: eight rows of four, transposed, for gathers are slower. */
INLINE __m256i levels_fine(const float *y, __m256 inverse, const struct eden_quantiser *q,
                           __m256 *sum)
{
    _Alignas(32) int at[WIDTH];
    __m256 u = _mm256_mul_ps(magnitude(y), inverse);
    __m256 place = _mm256_mul_ps(u, _mm256_set1_ps(EDEN_CELLS_PER_UNIT));
    __m256i cell = _mm256_cvttps_epi32(_mm256_min_ps(place, _mm256_set1_ps(EDEN_CELLS - 1)));
    _mm256_store_si256((__m256i *)at, _mm256_slli_epi32(cell, 4));
    __m256 r0 = two_cells(q, at[0], at[4]), r1 = two_cells(q, at[1], at[5]);
    __m256 r2 = two_cells(q, at[2], at[6]), r3 = two_cells(q, at[3], at[7]);
    __m256 a = _mm256_unpacklo_ps(r0, r1), b = _mm256_unpacklo_ps(r2, r3);
    __m256 c = _mm256_unpackhi_ps(r0, r1), d = _mm256_unpackhi_ps(r2, r3);
    __m256 over = _mm256_cmp_ps(u, _mm256_shuffle_ps(a, b, 0x44), _CMP_GT_OQ);
    __m256 value =
        _mm256_blendv_ps(_mm256_shuffle_ps(a, b, 0xee), _mm256_shuffle_ps(c, d, 0x44), over);
    __m256i below = _mm256_castps_si256(_mm256_shuffle_ps(c, d, 0xee));
    *sum = _mm256_add_ps(*sum, _mm256_mul_ps(u, value));
    return _mm256_sub_epi32(below, _mm256_castps_si256(over));
}

/* Folds 32 codes, one a byte, to 32*bits adjacent bits. */
INLINE void pack32(__m256i v, unsigned bits, unsigned char *packed)
{
    if (bits == 8) {
        _mm256_storeu_si256((__m256i *)packed, v);
        return;
    }
    v = _mm256_maddubs_epi16(v, _mm256_set1_epi16((short)(1 | 256 << bits)));
    if (bits == 4) {
        v = _mm256_permute4x64_epi64(_mm256_packus_epi16(v, v), 0x08);
        _mm_storeu_si128((__m128i *)packed, _mm256_castsi256_si128(v));
        return;
    }
    uint64_t eight[4];
    v = _mm256_madd_epi16(v, _mm256_set1_epi32(1 | 65536 << 2 * bits));
    v = _mm256_or_si256(v, _mm256_srli_epi64(v, 32 - 4 * (int)bits));
    _mm256_storeu_si256((__m256i *)eight, v);
    for (int i = 0; i < 4; i++)
        memcpy(packed + bits * (unsigned)i, &eight[i], bits);
}

INLINE double quantise_bits(const float *y, float inverse, unsigned bits,
                            const struct eden_quantiser *q, unsigned char *packed)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i sign = _mm256_set1_epi8((char)(1 << (bits - 1)));
    struct coarse coarse = coarse_init(inverse, q);
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    for (int i = 0; i < CODEC_BLOCK; i += EDEN_LANES, packed += EDEN_LANES / 8 * bits) {
#define LEVELS(k)                                                                                  \
    (bits <= 4 ? levels_coarse(y + i + WIDTH * (k), &coarse, &s##k)                                \
               : levels_fine(y + i + WIDTH * (k), coarse.inverse, q, &s##k))
#define NEGATIVE(k) negative(y + i + WIDTH * (k))
        __m256i levels = _mm256_packs_epi16(_mm256_packs_epi32(LEVELS(0), LEVELS(1)),
                                            _mm256_packs_epi32(LEVELS(2), LEVELS(3)));
        __m256i below = _mm256_packs_epi16(_mm256_packs_epi32(NEGATIVE(0), NEGATIVE(1)),
                                           _mm256_packs_epi32(NEGATIVE(2), NEGATIVE(3)));
        __m256i codes = _mm256_or_si256(levels, _mm256_and_si256(below, sign));
        pack32(_mm256_permutevar8x32_epi32(codes, order), bits, packed);
    }
    float lanes[EDEN_LANES];
    double lane[EDEN_LANES];
    _mm256_storeu_ps(lanes, s0);
    _mm256_storeu_ps(lanes + WIDTH, s1);
    _mm256_storeu_ps(lanes + 2 * WIDTH, s2);
    _mm256_storeu_ps(lanes + 3 * WIDTH, s3);
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

/* The 8 codes of vector i; bits above them do not matter. */
INLINE int load8(const unsigned char *packed, unsigned bits, unsigned i)
{
    uint32_t eight = 0;
    if (bits == 3) { /* four bytes at once, inside the block */
        memcpy(&eight, packed + 3 * i - i % 2, 4);
        eight >>= 8 * (i % 2);
    } else {
        memcpy(&eight, packed + bits * i, bits);
    }
    return (int)eight;
}

/* Values of 8 codes of up to 4 bits, of which `shift` moves each to the bottom of its lane. The
 * table is by the lowest 3 bits, and without the level's bits where the code's top bit is shifted
 * into the sign. */
INLINE __m256 expand8(int eight, unsigned bits, __m256 table, __m256i shift)
{
    __m256i code = _mm256_srlv_epi32(_mm256_set1_epi32(eight), shift);
    __m256 sign = _mm256_castsi256_ps(_mm256_slli_epi32(code, 32 - (int)bits));
    return _mm256_xor_ps(_mm256_permutevar8x32_ps(table, code), sign);
}

INLINE void expand_bits(const unsigned char *packed, unsigned bits, const float *table, float *y)
{
    uint32_t by_code[WIDTH];
    int shifts[WIDTH];
    for (unsigned i = 0; i < WIDTH; i++) {
        unsigned level = i & ((1u << (bits - 1)) - 1);
        memcpy(&by_code[i], &table[level], sizeof by_code[i]);
        by_code[i] ^= level << (32 - bits);
        shifts[i] = (int)(bits * i);
    }
    const __m256 values = _mm256_loadu_ps((const float *)by_code);
    const __m256i shift = _mm256_loadu_si256((const __m256i *)shifts);
#pragma GCC unroll 4
    for (unsigned i = 0; i < VECTORS; i++)
        _mm256_store_ps(y + WIDTH * i,
                        eden_stages_1_2(expand8(load8(packed, bits, i), bits, values, shift)));
}

/* One by one: the processor's gather instructions are slower. */
INLINE void expand_bytes(const unsigned char *packed, const float *table, float *y)
{
#pragma GCC unroll 8
    for (int i = 0; i < CODEC_BLOCK; i++)
        y[i] = table[packed[i]];
    for (int i = 0; i < CODEC_BLOCK; i += WIDTH)
        _mm256_store_ps(y + i, eden_stages_1_2(_mm256_load_ps(y + i)));
}

TARGET static void restore(const unsigned char *packed, unsigned bits, const float *table, float *y,
                           const unsigned char *first, const unsigned char *second,
                           const float *next)
{
    switch (bits) {
    case 1:
        expand_bits(packed, 1, table, y);
        break;
    case 2:
        expand_bits(packed, 2, table, y);
        break;
    case 3:
        expand_bits(packed, 3, table, y);
        break;
    case 4:
        expand_bits(packed, 4, table, y);
        break;
    default:
        expand_bytes(packed, table, y);
    }
    eden_unrotate_avx2(y, first, second, next);
}

const struct eden_kernel eden_kernel_avx2 = {
    .name = "avx2",
    .rotate = eden_rotate_avx2,
    .norm2 = norm2,
    .quantise = quantise,
    .restore = restore,
};
