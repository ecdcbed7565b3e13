/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops of eden with AVX2 and FMA: 512 vectors of 8 floats a block. */
#include "proto/compress/eden_kernel.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE TARGET __attribute__((always_inline)) static inline

enum { WIDTH = 8, VECTORS = CODEC_BLOCK / WIDTH };

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

/* Flips the signs of vector i; or none. Four vectors share 32 bits of signs; `turn` moves the bit
 * of each of i's lanes to the top and depends on i modulo 4 alone. */
INLINE __m256 flip(__m256 x, const unsigned char *signs, int i, __m256i turn)
{
    int four;
    if (!signs)
        return x;
    memcpy(&four, signs + (i & ~3), sizeof four);
    __m256 top = _mm256_castsi256_ps(_mm256_sllv_epi32(_mm256_set1_epi32(four), turn));
    return _mm256_xor_ps(x, _mm256_and_ps(top, _mm256_set1_ps(-0.0F)));
}

INLINE __m256i turn_of(int i)
{
    const __m256i first = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    return _mm256_sub_epi32(first, _mm256_set1_epi32(WIDTH * (i & 3)));
}

/* Fetches part 0..127 of the block that comes next. */
INLINE void fetch(const float *next, int part)
{
    if (next) {
        _mm_prefetch((const char *)(next + 32 * part), _MM_HINT_T0);
        _mm_prefetch((const char *)(next + 32 * part + 16), _MM_HINT_T0);
    }
}

/* The stages 1 to 32; signs flipped before, or not (NULL). from may be x. */
INLINE void pass_first(const float *from, float *x, const unsigned char *before)
{
    __m256 v[8];
    for (int first = 0; first < VECTORS; first += 8) {
#define LOAD(i)                                                                                    \
    v[i] = inner_stages(                                                                           \
        flip(_mm256_loadu_ps(from + WIDTH * (first + i)), before, first + i, turn_of(i)));
        EACH8(LOAD)
#undef LOAD
        outer8(v);
#define STORE(i) _mm256_store_ps(x + WIDTH * (first + i), v[i]);
        EACH8(STORE)
#undef STORE
    }
}

/* Three stages, the first over vectors `stride` apart; signs flipped after them, or not (NULL). */
INLINE void pass8(float *x, int stride, const unsigned char *after, const float *next, int part)
{
    __m256 v[8];
    for (int base = 0; base < VECTORS; base += 8 * stride)
        for (int first = base; first < base + stride; first++) {
            __m256i turn = turn_of(first);
            fetch(next, part++);
#define LOAD(i) v[i] = _mm256_load_ps(x + WIDTH * (first + stride * i));
            EACH8(LOAD)
#undef LOAD
            outer8(v);
#define STORE(i)                                                                                   \
    _mm256_store_ps(x + WIDTH * (first + stride * i), flip(v[i], after, first + stride * i, turn));
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
    pass8(x, 8, NULL, next, 0);
    pass8(x, 64, again ? between : end, next, 64);
    if (again) {
        pass8(x, 32, NULL, NULL, 0);
        pass_over(x);
        pass8(x, 4, end, NULL, 0);
    }
}

TARGET static void rotate(const float *x, float *y, const unsigned char *first,
                          const unsigned char *second, const float *next)
{
    pass_first(x, y, first);
    if (second)
        later_stages(y, true, second, NULL, next);
    else
        later_stages(y, false, NULL, NULL, next);
}

TARGET static void unrotate(float *x, const unsigned char *first, const unsigned char *second,
                            const float *next)
{
    pass_first(x, x, NULL);
    if (second)
        later_stages(x, true, second, first, next);
    else
        later_stages(x, false, NULL, first, next);
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

/* Up to 4 bits, a search by halves: after every step `found` is minus the number of the half, the
 * quarter, the eighth ... that u lies in, an index of a register's table modulo 8. */
struct search {
    __m256 threshold[3]; /* of step s */
    __m256 level;
    __m256 inverse;
};

INLINE struct search search_init(unsigned bits, float inverse, const struct eden_quantiser *q)
{
    struct search s;
    float table[WIDTH] = {0};
    for (unsigned step = 0; step + 1 < bits; step++) {
        unsigned width = 1u << (bits - 2 - step);
        for (unsigned j = 0; j < 1u << step; j++)
            table[-j % WIDTH] = q->threshold[(2 * j + 1) * width - 1];
        s.threshold[step] = _mm256_loadu_ps(table);
    }
    for (unsigned l = 0; l < WIDTH; l++)
        table[-l % WIDTH] = q->level[l % q->levels];
    s.level = _mm256_loadu_ps(table);
    s.inverse = _mm256_set1_ps(inverse);
    return s;
}

/* 8 coordinates at y; adds u * level to *sum, returns the codes. */
INLINE __m256i code_coarse(const float *y, unsigned bits, const struct search *s, __m256 *sum)
{
    __m256 v = _mm256_load_ps(y);
    __m256 u = _mm256_mul_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0F), v), s->inverse);
    __m256i found = _mm256_setzero_si256();
    for (unsigned step = 0; step + 1 < bits; step++) {
        __m256 at = _mm256_permutevar8x32_ps(s->threshold[step], found);
        __m256i above = _mm256_castps_si256(_mm256_cmp_ps(u, at, _CMP_GT_OQ));
        found = _mm256_add_epi32(_mm256_add_epi32(found, found), above);
    }
    *sum = _mm256_add_ps(*sum, _mm256_mul_ps(u, _mm256_permutevar8x32_ps(s->level, found)));
    __m256i negative = _mm256_castps_si256(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LT_OQ));
    return _mm256_sub_epi32(_mm256_and_si256(negative, _mm256_set1_epi32(1 << (bits - 1))), found);
}

/* The same for 8 bits from the grid. */
INLINE __m256i code_fine(const float *y, __m256 inverse, const struct eden_quantiser *q,
                         __m256 *sum)
{
    __m256 v = _mm256_load_ps(y);
    __m256 u = _mm256_mul_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0F), v), inverse);
    __m256 place = _mm256_mul_ps(u, _mm256_set1_ps(EDEN_CELLS_PER_UNIT));
    __m256i cell = _mm256_cvttps_epi32(_mm256_min_ps(place, _mm256_set1_ps(EDEN_CELLS - 1)));
    __m256 over = _mm256_cmp_ps(u, _mm256_i32gather_ps(q->cut, cell, 4), _CMP_GT_OQ);
    __m256i level =
        _mm256_sub_epi32(_mm256_i32gather_epi32(q->below, cell, 4), _mm256_castps_si256(over));
    *sum = _mm256_add_ps(*sum, _mm256_mul_ps(u, _mm256_i32gather_ps(q->level, level, 4)));
    __m256 negative = _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LT_OQ);
    return _mm256_or_si256(level, _mm256_and_si256(_mm256_castps_si256(negative),
                                                   _mm256_set1_epi32(EDEN_MAX_LEVELS)));
}

/* 32 codes, one a byte. */
INLINE __m256i codes32(const float *y, float inverse, unsigned bits, const struct search *s,
                       const struct eden_quantiser *q, __m256 sum[4])
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i c[4];
#define CODE(k)                                                                                    \
    c[k] = bits <= 4 ? code_coarse(y + WIDTH * k, bits, s, &sum[k])                                \
                     : code_fine(y + WIDTH * k, _mm256_set1_ps(inverse), q, &sum[k]);
    CODE(0)
    CODE(1)
    CODE(2)
    CODE(3)
    __m256i bytes =
        _mm256_packus_epi16(_mm256_packus_epi32(c[0], c[1]), _mm256_packus_epi32(c[2], c[3]));
    return _mm256_permutevar8x32_epi32(bytes, order);
}

INLINE double quantise_bits(const float *y, float inverse, unsigned bits,
                            const struct eden_quantiser *q, unsigned char *packed)
{
    unsigned char code[CODEC_BLOCK];
    struct search s = search_init(bits <= 4 ? bits : 1, inverse, q);
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    for (int i = 0; i < CODEC_BLOCK; i += 2 * EDEN_LANES) {
        __m256i low = codes32(y + i, inverse, bits, &s, q, sum);
        __m256i high = codes32(y + i + EDEN_LANES, inverse, bits, &s, q, sum);
        if (bits == 4) { /* code 2k + 16 * code 2k+1 in each 16 bits, then narrowed */
            const __m256i weights = _mm256_set1_epi16(0x1001);
            __m256i both = _mm256_packus_epi16(_mm256_maddubs_epi16(low, weights),
                                               _mm256_maddubs_epi16(high, weights));
            _mm256_storeu_si256((__m256i *)(packed + i / 2), _mm256_permute4x64_epi64(both, 0xd8));
        } else {
            _mm256_storeu_si256((__m256i *)(code + i), low);
            _mm256_storeu_si256((__m256i *)(code + i + EDEN_LANES), high);
        }
    }
    if (bits != 4)
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

INLINE __m256 expand8(uint32_t codes, __m256 values, __m256i to_level, __m256i to_sign)
{
    __m256i all = _mm256_set1_epi32((int)codes);
    __m256 value = _mm256_permutevar8x32_ps(values, _mm256_srlv_epi32(all, to_level));
    __m256 sign =
        _mm256_and_ps(_mm256_castsi256_ps(_mm256_sllv_epi32(all, to_sign)), _mm256_set1_ps(-0.0F));
    return _mm256_xor_ps(value, sign);
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
    for (int i = 0; i < VECTORS; i += 2) {
        uint32_t low = 0, high = 0; /* 8 codes each; bits above them do not matter */
        const unsigned char *from = packed + bits * (unsigned)i;
        if (bits == 3) {
            memcpy(&low, from, 4);
            memcpy(&high, from + 2, 4);
            high >>= 8;
        } else {
            memcpy(&low, from, bits);
            memcpy(&high, from + bits, bits);
        }
        _mm256_store_ps(y + WIDTH * i, expand8(low, values, to_level, to_sign));
        _mm256_store_ps(y + WIDTH * i + WIDTH, expand8(high, values, to_level, to_sign));
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
