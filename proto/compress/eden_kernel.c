/* SPDX-License-Identifier: Apache-2.0 */
/* Portable inner loops of eden: the reference of the fast sets. */
#include "proto/compress/eden_kernel.h"

#include "proto/compress/codec_ops.h"

#include <math.h>

static const struct eden_kernel *used;

void eden_kernel_use(const struct eden_kernel *kernel)
{
    used = kernel;
}

const struct eden_kernel *eden_kernel(void)
{
    return used ? used : eden_kernel_best();
}

/* Four floats, which any processor with vectors adds at once. */
typedef float quad __attribute__((vector_size(16)));
typedef uint32_t quad_bits __attribute__((vector_size(16)));

enum { WIDTH = 4, VECTORS = CODEC_BLOCK / WIDTH };

static inline quad load(const float *x)
{
    quad v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline void store(float *x, quad v)
{
    memcpy(x, &v, sizeof v);
}

/* Flips the signs of vector i; or none. */
static inline quad flip(quad v, const unsigned char *signs, size_t i)
{
    const quad_bits bit = {1, 2, 4, 8};
    if (!signs)
        return v;
    quad_bits four = (quad_bits){0} + (uint32_t)(signs[i / 2] >> (4 * (i % 2)));
    quad_bits flipped = (quad_bits)((four & bit) == bit);
    return (quad)((quad_bits)v ^ (flipped & UINT32_C(0x80000000)));
}

/* Stages 1 and 2 inside one vector. */
static inline quad inner_stages(quad v)
{
    const quad one = {1, -1, 1, -1}, two = {1, 1, -1, -1};
    v = v * one + __builtin_shufflevector(v, v, 1, 0, 3, 2);
    return v * two + __builtin_shufflevector(v, v, 2, 3, 0, 1);
}

#define PAIR(i, j) a = v[i], v[i] = a + v[j], v[j] = a - v[j];

/* Three stages across 8 vectors. */
static inline void outer8(quad v[8])
{
    quad a;
    PAIR(0, 1) PAIR(2, 3) PAIR(4, 5) PAIR(6, 7);
    PAIR(0, 2) PAIR(1, 3) PAIR(4, 6) PAIR(5, 7);
    PAIR(0, 4) PAIR(1, 5) PAIR(2, 6) PAIR(3, 7);
}

/* Stages 1 to 16; signs flipped before, or not (NULL). from may be x. */
static void pass_first(const float *from, float *x, const unsigned char *before)
{
    for (size_t first = 0; first < VECTORS; first += 8) {
        quad v[8];
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++)
            v[i] = inner_stages(flip(load(from + WIDTH * (first + i)), before, first + i));
        outer8(v);
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++)
            store(x + WIDTH * (first + i), v[i]);
    }
}

/* Three stages, the first over vectors `stride` apart; signs flipped after them, or not (NULL). */
static void pass8(float *x, size_t stride, const unsigned char *after)
{
    for (size_t base = 0; base < VECTORS; base += 8 * stride)
        for (size_t first = base; first < base + stride; first++) {
            quad v[8];
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                v[i] = load(x + WIDTH * (first + i * stride));
            outer8(v);
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; i++)
                store(x + WIDTH * (first + i * stride), flip(v[i], after, first + i * stride));
        }
}

/* Two stages, likewise. */
static void pass4(float *x, size_t stride, const unsigned char *after)
{
    for (size_t base = 0; base < VECTORS; base += 4 * stride)
        for (size_t first = base; first < base + stride; first++) {
            quad v[4], a;
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++)
                v[i] = load(x + WIDTH * (first + i * stride));
            PAIR(0, 1) PAIR(2, 3);
            PAIR(0, 2) PAIR(1, 3);
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++)
                store(x + WIDTH * (first + i * stride), flip(v[i], after, first + i * stride));
        }
}

static void low_stages(const float *from, float *x, const unsigned char *before,
                       const unsigned char *after)
{
    pass_first(from, x, before);
    pass8(x, 8, after);
}

static void high_stages(float *x, const unsigned char *after)
{
    pass4(x, EDEN_LOW_STAGES / WIDTH, NULL);
    pass4(x, 4 * EDEN_LOW_STAGES / WIDTH, after);
}

static void rotate(const float *x, float *y, const unsigned char *first,
                   const unsigned char *second, const float *next)
{
    (void)next;
    low_stages(x, y, first, NULL);
    high_stages(y, second);
    if (!second)
        return;
    high_stages(y, NULL);
    low_stages(y, y, NULL, NULL);
}

static void unrotate(float *x, const unsigned char *first, const unsigned char *second,
                     const float *next)
{
    (void)next;
    low_stages(x, x, NULL, NULL);
    if (!second) {
        high_stages(x, first);
        return;
    }
    high_stages(x, second);
    high_stages(x, NULL);
    low_stages(x, x, NULL, first);
}

double eden_sum_lanes(double lane[EDEN_LANES])
{
    for (size_t width = EDEN_LANES / 2; width; width /= 2)
        for (size_t j = 0; j < width; j++)
            lane[j] += lane[j + width];
    return lane[0];
}

static double norm2(const float *y)
{
    double lane[EDEN_LANES] = {0};
    for (size_t i = 0; i < CODEC_BLOCK; i++)
        lane[i % EDEN_LANES] += (double)y[i] * (double)y[i];
    return eden_sum_lanes(lane);
}

/* Levels of the 32 values u by comparing with every threshold, and the levels' floats, which grow
 * with them as their bits do. */
static void search_level(const float *u, const struct eden_quantiser *q, uint32_t *level,
                         float *value)
{
    uint32_t bits[EDEN_LANES];
    for (size_t j = 0; j < EDEN_LANES; j++) {
        level[j] = 0;
        bits[j] = float_bits(q->level[0]);
    }
    for (unsigned t = 0; t + 1 < q->levels; t++) {
        float threshold = q->threshold[t];
        uint32_t step = float_bits(q->level[t + 1]) - float_bits(q->level[t]);
        for (size_t j = 0; j < EDEN_LANES; j++) {
            uint32_t above = u[j] > threshold ? UINT32_MAX : 0;
            level[j] -= above;
            bits[j] += above & step;
        }
    }
    memcpy(value, bits, sizeof bits);
}

/* The same from the grid. */
static void look_up_level(const float *u, const struct eden_quantiser *q, uint32_t *level,
                          float *value)
{
    for (size_t j = 0; j < EDEN_LANES; j++) {
        float place = u[j] * EDEN_CELLS_PER_UNIT;
        const struct eden_cell *cell = &q->cell[place < EDEN_CELLS ? (int)place : EDEN_CELLS - 1];
        level[j] = (uint32_t)cell->below + (u[j] > cell->cut);
        value[j] = q->level[level[j]];
    }
}

static double quantise(const float *y, float inverse, unsigned bits,
                       const struct eden_quantiser *quantiser, unsigned char *packed)
{
    float sum[EDEN_LANES] = {0};
    double lane[EDEN_LANES];
    unsigned char code[CODEC_BLOCK];
    for (size_t i = 0; i < CODEC_BLOCK; i += EDEN_LANES) {
        float u[EDEN_LANES], value[EDEN_LANES];
        uint32_t level[EDEN_LANES];
        for (size_t j = 0; j < EDEN_LANES; j++)
            u[j] = fabsf(y[i + j]) * inverse;
        if (bits <= 4)
            search_level(u, quantiser, level, value);
        else
            look_up_level(u, quantiser, level, value);
        for (size_t j = 0; j < EDEN_LANES; j++) {
            code[i + j] = (unsigned char)((y[i + j] < 0 ? 1u : 0u) << (bits - 1) | level[j]);
            sum[j] += u[j] * value[j];
        }
    }
    eden_pack(code, bits, packed);
    for (size_t j = 0; j < EDEN_LANES; j++)
        lane[j] = (double)sum[j];
    return eden_sum_lanes(lane);
}

static void expand(const unsigned char *packed, unsigned bits, const float *table, float *y)
{
    unsigned char code[CODEC_BLOCK];
    eden_unpack(packed, bits, code);
    for (size_t i = 0; i < CODEC_BLOCK; i++)
        y[i] = table[code[i]];
}

static void restore(const unsigned char *packed, unsigned bits, const float *table, float *y,
                    const unsigned char *first, const unsigned char *second, const float *next)
{
    expand(packed, bits, table, y);
    unrotate(y, first, second, next);
}

const struct eden_kernel eden_kernel_portable = {
    .name = "portable",
    .rotate = rotate,
    .norm2 = norm2,
    .quantise = quantise,
    .restore = restore,
};

/* Eight codes, one a byte, fold to 8*bits adjacent bits in three doublings of the lane width. */
static uint64_t gather_bits(uint64_t v, unsigned bits)
{
    uint64_t two = 0x0001000100010001u * ((1u << 2 * bits) - 1);
    uint64_t four = 0x0000000100000001u * ((UINT64_C(1) << 4 * bits) - 1);
    uint64_t eight = (UINT64_C(1) << 4 * bits << 4 * bits) - 1;
    v = (v | v >> (8 - bits)) & two;
    v = (v | v >> (16 - 2 * bits)) & four;
    return (v | v >> (32 - 4 * bits)) & eight;
}

static uint64_t spread_bits(uint64_t v, unsigned bits)
{
    uint64_t one = 0x0101010101010101u * ((1u << bits) - 1);
    uint64_t two = 0x0001000100010001u * ((1u << 2 * bits) - 1);
    uint64_t four = 0x0000000100000001u * ((UINT64_C(1) << 4 * bits) - 1);
    v = (v | v << (32 - 4 * bits)) & four;
    v = (v | v << (16 - 2 * bits)) & two;
    return (v | v << (8 - bits)) & one;
}

void eden_pack(const unsigned char *code, unsigned bits, unsigned char *packed)
{
    if (bits == 8) {
        memcpy(packed, code, CODEC_BLOCK);
        return;
    }
    for (size_t i = 0; i < CODEC_BLOCK / 8; i++) {
        uint64_t v = htole64(gather_bits(load_u64(code + 8 * i), bits));
        memcpy(packed + bits * i, &v, bits);
    }
}

void eden_unpack(const unsigned char *packed, unsigned bits, unsigned char *code)
{
    if (bits == 8) {
        memcpy(code, packed, CODEC_BLOCK);
        return;
    }
    for (size_t i = 0; i < CODEC_BLOCK / 8; i++) {
        uint64_t v = 0;
        memcpy(&v, packed + bits * i, bits);
        store_u64(code + 8 * i, spread_bits(le64toh(v), bits));
    }
}
