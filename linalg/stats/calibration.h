/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration of predicted probabilities: Brier, slope and intercept, O:E, Spiegelhalter, binned
 * calibration error and its value under perfect calibration. */
#ifndef CONSILIUM_LINALG_STATS_CALIBRATION_H
#define CONSILIUM_LINALG_STATS_CALIBRATION_H

#include "linalg/stats/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CALIBRATION_BINS_MAX = 512 };

/* Probabilities are moved into [this, 1 - this] for logits only. */
#define CALIBRATION_CLIP 1e-6

/* brier_var is NaN for n < 2. From ipa on, NaN unless both classes occur; the groups that need a
 * fit or a spread of p have a flag of their own. */
struct calibration {
    enum stat_status status;
    size_t n;
    double observed, expected; /* sums of y and of p */
    double brier, brier_var;   /* mean squared error, variance of that mean */
    double ipa;                /* 1 - brier/(prevalence (1 - prevalence)) */
    double log_oe, log_oe_se;
    bool fitted; /* logistic regression of y on logit p converged */
    double intercept, slope;
    double intercept_se, slope_se, cov;
    bool citl_fitted; /* intercept with slope 1: calibration in the large */
    double citl, citl_se;
    bool spiegelhalter_defined;
    double spiegelhalter_z, spiegelhalter_p;
};

/* y[n] in {0,1}, p[n] in [0,1]. Statuses: OK; INVALID_INPUT; EMPTY; SINGLE_CLASS (sums and Brier
 * stand); NO_CONVERGENCE (the slope fit only: separable or constant p). */
enum stat_status calibration(size_t n, const double *y, const double *p, struct calibration *out);

enum calibration_binning {
    BINS_EQUAL_MASS,  /* by midrank: ties never split */
    BINS_EQUAL_WIDTH, /* [0,1/B), ..., [(B-1)/B,1] */
};

struct calibration_bin {
    size_t n, n_pos;
    double sum_p;
};

struct calibration_error {
    enum stat_status status;
    size_t bins, bins_used;
    double ece, mce;
    double ece_null;      /* expected ECE of a perfectly calibrated model of these p */
    double ece2_debiased; /* squared error less its sampling noise; may be negative */
    struct calibration_bin bin[CALIBRATION_BINS_MAX];
};

/* Bin of each row; mass bins by min(B-1, B (r2-1) div 2n) with r2 twice the midrank. False without
 * memory. */
bool calibration_bins(size_t n, const double *p, size_t bins, enum calibration_binning binning,
                      uint64_t *bin);

/* Binned error with bins in 1..CALIBRATION_BINS_MAX (else INVALID_INPUT). */
enum stat_status calibration_error(size_t n, const double *y, const double *p, size_t bins,
                                   enum calibration_binning binning, struct calibration_error *out);

/* Expected AUROC without labels if p is calibrated (confidence-based estimate), O(n log n); NaN
 * when undefined, for invalid p, or without memory. */
double calibration_expected_auroc(size_t n, const double *p);

#endif
