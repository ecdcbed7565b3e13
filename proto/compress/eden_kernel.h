/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inner loops of eden over one block of B = CODEC_BLOCK coordinates: a portable set and fast
 * twins, chosen at run time, that give the same bits. That is possible because every result is a
 * fixed tree of float operations:
 *   H (Walsh-Hadamard, natural order) is 12 stages of butterflies at distances 1 to B/2; they
 *   commute but for rounding, so their order is part of the format: the low ones (1 to 128) then
 *   the high ones (256 to 2048), and the other way round in a second round, which lets two rounds
 *   share their passes over the high ones;
 *   sums run over EDEN_LANES lanes, coordinate i in lane i mod EDEN_LANES.
 *
 * Blocks of floats are 64-byte aligned. signs: one bit per coordinate, least significant first, 1
 * negates. packed[B*bits/8]: code i at bits [bits*i, bits*i + bits), least significant first;
 * bits in {1,2,3,4,8}.
 */
#ifndef CONSILIUM_COMPRESS_EDEN_KERNEL_H
#define CONSILIUM_COMPRESS_EDEN_KERNEL_H

#include "proto/compress/codec.h"
#include "proto/compress/eden_levels.h"

enum { EDEN_SIGN_BYTES = CODEC_BLOCK / 8, EDEN_LANES = 32, EDEN_LOW_STAGES = 256 };

struct eden_kernel {
    const char *name;
    /* y <- H D2 H D1 x, not normalised: |x| grows by sqrt(B) a round; second NULL: H D1 x. x may be
     * y, and need not be aligned. next: a block of floats that is wanted in the cache soon, or
     * NULL. */
    void (*rotate)(const float *x, float *y, const unsigned char *first,
                   const unsigned char *second, const float *next);
    /* Sum of squares of y[B], in double, where the squares are exact. */
    double (*norm2)(const float *y);
    /* With u_i = |y_i| * inverse: packs (y_i < 0) << (bits-1) | level of u_i; returns the sum of
     * u_i * level_i, of float lanes. */
    double (*quantise)(const float *y, float inverse, unsigned bits,
                       const struct eden_quantiser *quantiser, unsigned char *packed);
    /* y <- D1 H D2 H z, not normalised, of z[i] = table[code i]; second NULL: D1 H z.
     * table[2^bits], its second half the negative of the first. */
    void (*restore)(const unsigned char *packed, unsigned bits, const float *table, float *y,
                    const unsigned char *first, const unsigned char *second, const float *next);
};

/* The fastest set this processor runs, or what eden_kernel_use named. */
const struct eden_kernel *eden_kernel(void);
const struct eden_kernel *eden_kernel_best(void);

/* For benches and tests, before any thread is there: the codec uses this set; NULL: the fastest. */
void eden_kernel_use(const struct eden_kernel *kernel);

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
