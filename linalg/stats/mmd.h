/* SPDX-License-Identifier: Apache-2.0 */
/* Maximum mean discrepancy of two samples of vectors: exact kernel form, random Fourier features,
 * and a seeded permutation test. */
#ifndef CONSILIUM_LINALG_STATS_MMD_H
#define CONSILIUM_LINALG_STATS_MMD_H

#include "linalg/stats/status.h"

#include <stddef.h>
#include <stdint.h>

enum {
    MMD_SIGMA_ROWS = 1000,       /* rows that the median distance looks at */
    MMD_FEATURES_MAX = 4096,     /* random features */
    MMD_DIMENSIONS_MAX = 100000, /* columns */
    MMD_PERMUTATIONS_MAX = 1000000,
    MMD_CELLS_MAX = 1 << 28, /* rows times random features; rows times permutations / 32 */
};

/* Median Euclidean distance between the first MMD_SIGMA_ROWS rows of x[n][d]; NaN for n < 2 or
 * without memory. */
double mmd_sigma(size_t n, size_t d, const double *x);

/* Squared MMD with kernel exp(-|x-y|^2/(2 sigma^2)), x[n][d], y[m][d]; O((n+m)^2 d). The unbiased
 * value is NaN unless both have two rows. */
void mmd_exact(size_t n, const double *x, size_t m, const double *y, size_t d, double sigma,
               double *biased, double *unbiased);

/* Random features z[n][features] of x[n][d]: z = sqrt(2/D) cos(W x + b), W normal/sigma row by row,
 * then b uniform in (0,2 pi), from one seed. False without memory. */
int mmd_features(size_t n, size_t d, const double *x, size_t features, double sigma, uint64_t seed,
                 double *z);

struct mmd_plan {
    size_t features;     /* D, 256 by default */
    size_t permutations; /* B, 999 by default */
    double sigma;        /* kernel width; 0 takes mmd_sigma of the reference */
    uint64_t seed_features;
    uint64_t seed_permutation;
};

struct mmd {
    enum stat_status status;
    double sigma;
    double mmd2; /* |mean z_ref - mean z_cur|^2 */
    size_t permutations, n_ge;
    double p; /* (1 + n_ge)/(1 + B); ties within 1e-12 count */
};

/* Tests ref[n][d] against cur[m][d]. OK; EMPTY; INVALID_INPUT (non-finite, d = 0); DEGENERATE
 * (sigma 0 or undefined: constant reference); TOO_LARGE; NO_MEMORY. */
enum stat_status mmd_test(size_t n, const double *ref, size_t m, const double *cur, size_t d,
                          const struct mmd_plan *plan, struct mmd *out);

#endif
