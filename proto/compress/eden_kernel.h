/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inner loops of eden over one block of B = CODEC_BLOCK coordinates: a portable set and fast
 * twins, chosen at run time, that give the same bits. That is possible because every result is a
 * fixed tree of float additions (the butterflies, stage 1 to B/2) or a sum over EDEN_LANES fixed
 * lanes, coordinate i in lane i mod EDEN_LANES, of products rounded before they are added.
 *
 * Blocks of floats are 64-byte aligned. signs: one bit per coordinate, least significant first, 1
 * negates. packed[B*bits/8]: code i at bits [bits*i, bits*i + bits), least significant first;
 * bits in {1,2,3,4,8}.
 */
#ifndef CONSILIUM_COMPRESS_EDEN_KERNEL_H
#define CONSILIUM_COMPRESS_EDEN_KERNEL_H

#include "proto/compress/codec.h"
#include "proto/compress/eden_levels.h"

enum { EDEN_SIGN_BYTES = CODEC_BLOCK / 8, EDEN_LANES = 32 };

struct eden_kernel {
    const char *name;
    /* x <- H D x, not normalised: |x| grows by sqrt(B). H: Walsh-Hadamard, natural order. */
    void (*rotate)(float *x, const unsigned char *signs);
    /* x <- D H x, not normalised. */
    void (*unrotate)(float *x, const unsigned char *signs);
    /* Sum of squares of y[B], in double, where the squares are exact. */
    double (*norm2)(const float *y);
    /* With u_i = |y_i| * inverse: packs sign(y_i) << (bits-1) | level of u_i; returns the sum of
     * u_i * level_i, of float lanes. */
    double (*quantise)(const float *y, float inverse, unsigned bits,
                       const struct eden_quantiser *quantiser, unsigned char *packed);
    /* y[i] = table[code i]; table[2^bits], its second half the negative of the first. */
    void (*expand)(const unsigned char *packed, unsigned bits, const float *table, float *y);
};

/* The fastest set this processor runs. */
const struct eden_kernel *eden_kernel(void);

/* Every set this processor runs, the portable first, NULL last. */
const struct eden_kernel *const *eden_kernels_here(void);

/* For kernels: sums lanes pairwise; packs and unpacks one byte a code. */
double eden_sum_lanes(double lane[EDEN_LANES]);
void eden_pack(const unsigned char *code, unsigned bits, unsigned char *packed);
void eden_unpack(const unsigned char *packed, unsigned bits, unsigned char *code);

extern const struct eden_kernel eden_kernel_portable;
extern const struct eden_kernel eden_kernel_avx2;   /* x86-64 builds only */
extern const struct eden_kernel eden_kernel_avx512; /* x86-64 builds only */

#endif
