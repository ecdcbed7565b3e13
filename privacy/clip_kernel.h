/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of ghost norms: squared norms of rows and products between rows, for the
 * processor at hand. Any order of summation, fused or not: errors stay within gamma_n of
 * clip_norm.c. */
#ifndef CONSILIUM_PRIVACY_CLIP_KERNEL_H
#define CONSILIUM_PRIVACY_CLIP_KERNEL_H

#include <stddef.h>

struct clip_kernel {
    /* out[r] = sum of squares of row r of x [rows][n]. */
    void (*squares)(size_t rows, size_t n, const double *x, double *out);
    /* Products of four rows with one another: out = 01, 02, 03, 12, 13, 23. */
    void (*four)(size_t n, const double *const x[4], double out[6]);
    /* Products of two rows with two others: out = x0 y0, x0 y1, x1 y0, x1 y1. */
    void (*cross)(size_t n, const double *const x[2], const double *const y[2], double out[4]);
};

/* The fastest that this processor runs; the portable one is always among them. */
const struct clip_kernel *clip_kernel_choose(void);

extern const struct clip_kernel clip_kernel_portable;

#endif
