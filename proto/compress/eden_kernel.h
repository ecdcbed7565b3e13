/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inner loops of eden over one block of B = CODEC_BLOCK coordinates: a portable set and fast
 * twins, chosen at run time, that give the same bits. That is possible because every result is a
 * fixed tree of float additions (the butterflies, stage 1 to B/2) or a sum in double of exact
 * products over 16 fixed lanes.
 *
 * Blocks are 64-byte aligned. signs: one bit per coordinate, least significant first, 1 negates.
 */
#ifndef CONSILIUM_COMPRESS_EDEN_KERNEL_H
#define CONSILIUM_COMPRESS_EDEN_KERNEL_H

#include "proto/compress/codec.h"
#include "proto/compress/eden_levels.h"

enum { EDEN_SIGN_BYTES = CODEC_BLOCK / 8 };

struct eden_kernel {
    const char *name;
    /* x <- H D x, not normalised: x[B] grows by sqrt(B). H: Walsh-Hadamard, natural order. */
    void (*rotate)(float *x, const unsigned char *signs);
    /* x <- D H x, not normalised. */
    void (*unrotate)(float *x, const unsigned char *signs);
    /* Sum of squares of y[B]. */
    double (*norm2)(const float *y);
    /* code[i] = sign(y_i) << (bits-1) | level of |y_i| * inverse, one byte a code; returns the
     * sum of |y_i| * level_i. */
    double (*quantise)(const float *y, float inverse, unsigned bits,
                       const struct eden_quantiser *quantiser, unsigned char *code);
    /* y[i] = table[code[i]]; table[2^bits], bits in {1,2,3,4,8}. */
    void (*expand)(const unsigned char *code, unsigned bits, const float *table, float *y);
};

/* The fastest set this processor runs. */
const struct eden_kernel *eden_kernel(void);

/* The portable set, and all sets this processor runs (NULL-terminated), for tests. */
extern const struct eden_kernel eden_kernel_portable;
const struct eden_kernel *const *eden_kernels_here(void);

/* packed[B*bits/8] <-> one byte a code: code i at bits [bits*i, bits*i + bits), least significant
 * first. */
void eden_pack(const unsigned char *code, unsigned bits, unsigned char *packed);
void eden_unpack(const unsigned char *packed, unsigned bits, unsigned char *code);

#endif
