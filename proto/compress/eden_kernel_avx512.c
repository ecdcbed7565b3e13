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

/* A whole group of vectors is kept in registers, which takes indices known to the compiler. */
/* clang-format off */
#define EACH(DO) \
    DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) \
    DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define PAIRS(DO) \
    DO(0, 1) DO(2, 3) DO(4, 5) DO(6, 7) DO(8, 9) DO(10, 11) DO(12, 13) DO(14, 15) \
    DO(0, 2) DO(1, 3) DO(4, 6) DO(5, 7) DO(8, 10) DO(9, 11) DO(12, 14) DO(13, 15) \
    DO(0, 4) DO(1, 5) DO(2, 6) DO(3, 7) DO(8, 12) DO(9, 13) DO(10, 14) DO(11, 15) \
    DO(0, 8) DO(1, 9) DO(2, 10) DO(3, 11) DO(4, 12) DO(5, 13) DO(6, 14) DO(7, 15)
/* clang-format on */

/* Four stages across 16 vectors. */
INLINE void outer_stages(__m512 v[GROUP])
{
    __m512 a;
#define PAIR(i, j) a = v[i], v[i] = _mm512_add_ps(a, v[j]), v[j] = _mm512_sub_ps(a, v[j]);
    PAIRS(PAIR)
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

/* Fetches part 0..63 of the block that comes next. */
INLINE void fetch(const float *next, int part)
{
    if (next)
        for (int i = 0; i < 4; i++)
            _mm_prefetch((const char *)(next + WIDTH * (4 * part + i)), _MM_HINT_T0);
}

/* The low stages, of 16 runs of 16 vectors; signs flipped before or after, or not (NULL). from may
 * be x. */
INLINE void low_stages(const float *from, float *x, const unsigned char *before,
                       const unsigned char *after, const float *next, int part)
{
    for (int run = 0; run < GROUP; run++) {
        __m512 v[GROUP];
        int first = GROUP * run;
        fetch(next, part + run);
#define LOAD(i)                                                                                    \
    v[i] = inner_stages(flip(_mm512_loadu_ps(from + WIDTH * (first + i)), before, first + i));
        EACH(LOAD)
#undef LOAD
        outer_stages(v);
#define STORE(i) _mm512_store_ps(x + WIDTH * (first + i), flip(v[i], after, first + i));
        EACH(STORE)
#undef STORE
    }
}

/* The high stages, of 16 vectors that are 16 apart; signs flipped after them, and then, if
 * `again`, the high stages once more. */
INLINE void high_stages(float *x, const unsigned char *signs, bool again, const float *next,
                        int part)
{
    for (int first = 0; first < GROUP; first++) {
        __m512 v[GROUP];
        fetch(next, part + first);
#define LOAD(i) v[i] = _mm512_load_ps(x + WIDTH * (first + GROUP * i));
        EACH(LOAD)
#undef LOAD
        outer_stages(v);
#define FLIP(i) v[i] = flip(v[i], signs, first + GROUP * i);
        EACH(FLIP)
        if (again)
            outer_stages(v);
#define STORE(i) _mm512_store_ps(x + WIDTH * (first + GROUP * i), v[i]);
        EACH(STORE)
    }
}

TARGET static void rotate(const float *x, float *y, const unsigned char *first,
                          const unsigned char *second, const float *next)
{
    low_stages(x, y, first, NULL, next, 0);
    if (second) {
        high_stages(y, second, true, next, 16);
        low_stages(y, y, NULL, NULL, next, 32);
    } else {
        high_stages(y, NULL, false, next, 16);
    }
}

TARGET static void unrotate(float *x, const unsigned char *first, const unsigned char *second,
                            const float *next)
{
    low_stages(x, x, NULL, NULL, next, 0);
    if (second) {
        high_stages(x, second, true, next, 16);
        low_stages(x, x, NULL, first, next, 32);
    } else {
        high_stages(x, first, false, next, 16);
    }
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

/* Codes of 16 coordinates of at most 4 bits from the coarse grid; adds u * level to *sum. */
INLINE __m512i code_coarse(__m512 y, __m512 inverse, const struct eden_quantiser *q, __m512 *sum)
{
    const __m512 scale = _mm512_mul_ps(inverse, _mm512_set1_ps(EDEN_COARSE_PER_UNIT));
    __m512 place = _mm512_mul_ps(y, scale);
    /* Of place and the last cell the smaller in magnitude, with the sign of place. */
    __m512 held = _mm512_range_ps(place, _mm512_set1_ps(EDEN_COARSE_CELLS - 0.5F), 0x2);
    __m512i cell = _mm512_cvt_roundps_epi32(held, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512i code = _mm512_permutex2var_epi32(_mm512_loadu_si512(q->coarse_code), cell,
                                             _mm512_loadu_si512(q->coarse_code + WIDTH));
    __m512 cut = _mm512_permutex2var_ps(_mm512_loadu_ps(q->coarse_cut), cell,
                                        _mm512_loadu_ps(q->coarse_cut + WIDTH));
    __mmask16 over = _mm512_cmp_ps_mask(_mm512_abs_ps(place), cut, _CMP_GT_OQ);
    code = _mm512_mask_add_epi32(code, over, code, _mm512_set1_epi32(1));
    __m512 level = _mm512_permutexvar_ps(code, _mm512_loadu_ps(q->coarse_level));
    __m512 u = _mm512_abs_ps(_mm512_mul_ps(y, inverse));
    *sum = _mm512_add_ps(*sum, _mm512_mul_ps(u, level));
    return code;
}

/* table[index] of 128 floats, by the lowest 7 bits: 32 at a time from registers, for gathers are
 * slower. */
INLINE __m512 look_up(const float *table, __m512i index)
{
    __m512 part[4];
    for (int k = 0; k < 4; k++)
        part[k] = _mm512_permutex2var_ps(_mm512_loadu_ps(table + 2 * WIDTH * k), index,
                                         _mm512_loadu_ps(table + 2 * WIDTH * k + WIDTH));
    __mmask16 odd = _mm512_test_epi32_mask(index, _mm512_set1_epi32(2 * WIDTH));
    __mmask16 upper = _mm512_test_epi32_mask(index, _mm512_set1_epi32(4 * WIDTH));
    return _mm512_mask_blend_ps(upper, _mm512_mask_blend_ps(odd, part[0], part[1]),
                                _mm512_mask_blend_ps(odd, part[2], part[3]));
}

/* table[index] of EDEN_LINES. */
INLINE __m512 line_of(const float *table, __m512i index)
{
    return _mm512_permutex2var_ps(_mm512_loadu_ps(table), index, _mm512_loadu_ps(table + WIDTH));
}

/* The same for 8 bits, with the level guessed from a line. */
INLINE __m512i code_fine(__m512 y, __m512 inverse, const struct eden_quantiser *q, __m512 *sum)
{
    __m512 u = _mm512_mul_ps(_mm512_abs_ps(y), inverse);
    __m512 held = _mm512_min_ps(u, _mm512_set1_ps(EDEN_LINES_TOP));
    __m512i line = _mm512_cvttps_epi32(_mm512_mul_ps(held, _mm512_set1_ps(EDEN_LINES_PER_UNIT)));
    __m512i level = _mm512_cvttps_epi32(
        _mm512_fmadd_ps(line_of(q->line_slope, line), held, line_of(q->line_offset, line)));
    __mmask16 over = _mm512_cmp_ps_mask(u, look_up(q->threshold, level), _CMP_GT_OQ);
    level = _mm512_mask_add_epi32(level, over, level, _mm512_set1_epi32(1));
    *sum = _mm512_add_ps(*sum, _mm512_mul_ps(u, look_up(q->level, level)));
    __mmask16 negative = _mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_LT_OQ);
    return _mm512_mask_or_epi32(level, negative, level, _mm512_set1_epi32(EDEN_MAX_LEVELS));
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
        for (int i = 0; i < 7; i++)
            memcpy(packed + 3 * i, &lane[i], 4); /* the fourth byte is overwritten */
        memcpy(packed + 21, &lane[7], 3);
    }
}

/* 64 coordinates to their codes, one a byte. */
INLINE __m512i codes64(const float *y, __m512 inverse, unsigned bits,
                       const struct eden_quantiser *q, __m512 sum[2])
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i c[4];
#define CODE(k)                                                                                    \
    c[k] = bits <= 4 ? code_coarse(_mm512_load_ps(y + WIDTH * k), inverse, q, &sum[k % 2])         \
                     : code_fine(_mm512_load_ps(y + WIDTH * k), inverse, q, &sum[k % 2]);
    CODE(0)
    CODE(1)
    CODE(2)
    CODE(3)
    __m512i bytes =
        _mm512_packus_epi16(_mm512_packus_epi32(c[0], c[1]), _mm512_packus_epi32(c[2], c[3]));
    return _mm512_permutexvar_epi32(order, bytes);
}

INLINE double quantise_bits(const float *y, float inverse, unsigned bits,
                            const struct eden_quantiser *q, unsigned char *packed)
{
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int i = 0; i < CODEC_BLOCK; i += 64)
        pack64(codes64(y + i, _mm512_set1_ps(inverse), bits, q, sum), bits,
               packed + i / 8 * (int)bits);
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
        uint32_t low = 0, high = 0; /* 8 codes each; bits above them do not matter */
        const unsigned char *from = packed + 2 * bits * (unsigned)i;
        if (bits == 3) {
            memcpy(&low, from, 4);
            memcpy(&high, from + 2, 4);
            high >>= 8;
        } else {
            memcpy(&low, from, bits);
            memcpy(&high, from + bits, bits);
        }
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
        __m512i code = _mm512_cvtepu8_epi32(byte); /* its top bit is the sign */
        __m512 sign = _mm512_castsi512_ps(_mm512_slli_epi32(code, 24));
        sign = _mm512_and_ps(sign, _mm512_set1_ps(-0.0F));
        _mm512_store_ps(y + WIDTH * i, _mm512_xor_ps(look_up(table, code), sign));
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

TARGET static void restore(const unsigned char *packed, unsigned bits, const float *table, float *y,
                           const unsigned char *first, const unsigned char *second,
                           const float *next)
{
    expand(packed, bits, table, y);
    unrotate(y, first, second, next);
}

const struct eden_kernel eden_kernel_avx512 = {
    .name = "avx512",
    .rotate = rotate,
    .norm2 = norm2,
    .quantise = quantise,
    .restore = restore,
};
