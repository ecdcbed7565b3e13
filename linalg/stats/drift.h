/* SPDX-License-Identifier: Apache-2.0 */
/* Label-free drift of one feature or score: bins of a frozen reference, divergences with their null
 * distribution, Kolmogorov-Smirnov, missingness. */
#ifndef CONSILIUM_LINALG_STATS_DRIFT_H
#define CONSILIUM_LINALG_STATS_DRIFT_H

#include "linalg/stats/status.h"

#include <stddef.h>

enum { DRIFT_BINS_MAX = 1024 };
#define DRIFT_SMOOTHING 0.5

/* Interior edges of bins equal-mass bins of ref[n]: order statistics x_(ceil(nk/bins)), duplicates
 * dropped, ascending, into edges[bins-1]; *count of them. Bin k holds edges[k-1] < x <= edges[k],
 * so there are *count + 1 bins. OK, EMPTY, INVALID_INPUT (non-finite, bins out
 * of 1..DRIFT_BINS_MAX), NO_MEMORY. */
enum stat_status drift_edges(size_t n, const double *ref, size_t bins, double *edges,
                             size_t *count);

/* Counts of x[n] in the n_edges + 1 bins. INVALID_INPUT on a non-finite value. */
enum stat_status drift_counts(size_t n, const double *x, size_t n_edges, const double *edges,
                              double *counts);

/* Bins that n current rows can carry at ten rows a bin: between 2 and wanted. */
size_t drift_bins_for(size_t n, size_t wanted);

/* p (test) against q (reference), p_k = (c_k + smoothing)/(n + smoothing B). Under no drift
 * PSI ~ (1/n+1/m) chi2_(B-1) and KL ~ half of that; with B = 1 the p-values are NaN. */
struct drift {
    enum stat_status status;
    size_t bins;
    double n_test, n_ref;
    double smoothing;
    double kl_test_ref, kl_ref_test, psi, js;
    double psi_null_mean, psi_crit95, psi_p;
    double kl_null_mean, kl_crit95, kl_p;
};

/* Divergences of two count vectors [bins] (also categories). EMPTY if either has no rows;
 * INVALID_INPUT for negative or non-finite counts, or smoothing not positive. */
enum stat_status drift_compare(size_t bins, const double *test, const double *ref, double smoothing,
                               struct drift *out);

/* Two-sample Kolmogorov-Smirnov distance and its asymptotic p. */
struct ks {
    enum stat_status status;
    double d, p;
};
enum stat_status ks_two_sample(size_t n, const double *x, size_t m, const double *y,
                               struct ks *out);

/* z of two proportions k1/n1 - k2/n2 with pooled variance; 0 when both are all or nothing alike;
 * NaN if a group is empty. */
double two_proportion_z(size_t k1, size_t n1, size_t k2, size_t n2);

#endif
