/* SPDX-License-Identifier: Apache-2.0 */
/* Portable inner loops of eden: the reference of the fast sets. */
#include "proto/compress/eden_kernel.h"

#include "proto/compress/codec_ops.h"

#include <math.h>

static void flip_signs(float *x, const unsigned char *signs)
{
    for (size_t i = 0; i < CODEC_BLOCK; i++)
        x[i] = bits_float(float_bits(x[i]) ^ (uint32_t)(signs[i / 8] >> (i % 8) & 1) << 31);
}

/* Butterflies (a, b) -> (a + b, a - b) at distances from, 2 from, ... below to. */
static void stages(float *x, size_t from, size_t to)
{
    for (size_t h = from; h < to; h *= 2)
        for (size_t i = 0; i < CODEC_BLOCK; i += 2 * h)
            for (size_t j = i; j < i + h; j++) {
                float a = x[j], b = x[j + h];
                x[j] = a + b;
                x[j + h] = a - b;
            }
}

static void rotate(float *x, const unsigned char *first, const unsigned char *second,
                   const float *next)
{
    (void)next;
    flip_signs(x, first);
    stages(x, 1, EDEN_LOW_STAGES);
    stages(x, EDEN_LOW_STAGES, CODEC_BLOCK);
    if (!second)
        return;
    flip_signs(x, second);
    stages(x, EDEN_LOW_STAGES, CODEC_BLOCK);
    stages(x, 1, EDEN_LOW_STAGES);
}

static void unrotate(float *x, const unsigned char *first, const unsigned char *second,
                     const float *next)
{
    (void)next;
    stages(x, 1, EDEN_LOW_STAGES);
    stages(x, EDEN_LOW_STAGES, CODEC_BLOCK);
    if (second) {
        flip_signs(x, second);
        stages(x, EDEN_LOW_STAGES, CODEC_BLOCK);
        stages(x, 1, EDEN_LOW_STAGES);
    }
    flip_signs(x, first);
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

static double quantise(const float *y, float inverse, unsigned bits,
                       const struct eden_quantiser *quantiser, unsigned char *packed)
{
    float sum[EDEN_LANES] = {0};
    double lane[EDEN_LANES];
    unsigned char code[CODEC_BLOCK];
    for (size_t i = 0; i < CODEC_BLOCK; i++) {
        float u = fabsf(y[i]) * inverse;
        int cell = (int)fminf(u * EDEN_CELLS_PER_UNIT, EDEN_CELLS - 1);
        unsigned level = (unsigned)quantiser->below[cell] + (u > quantiser->cut[cell]);
        code[i] = (unsigned char)((y[i] < 0 ? 1u : 0u) << (bits - 1) | level);
        sum[i % EDEN_LANES] = fmaf(u, quantiser->level[level], sum[i % EDEN_LANES]);
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

const struct eden_kernel eden_kernel_portable = {
    .name = "portable",
    .rotate = rotate,
    .unrotate = unrotate,
    .norm2 = norm2,
    .quantise = quantise,
    .expand = expand,
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
