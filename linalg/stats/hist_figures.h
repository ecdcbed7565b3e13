/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of a histogram of scores by class, which may be a sum of several and noised. */
#ifndef CONSILIUM_LINALG_STATS_HIST_FIGURES_H
#define CONSILIUM_LINALG_STATS_HIST_FIGURES_H

#include <stddef.h>

/* NaN where the counts give nothing. Every row is taken to stand in the middle of its bin. */
struct hist_figures {
    double positives, negatives;
    double auroc;          /* in [0,1] */
    double auroc_bound;    /* of |exact - this| by the binning alone */
    double auroc_variance; /* Newcombe's of AUROC and counts, plus that of the noise */
    double brier;
    double observed_expected;
    double ece, ece_null; /* over the bins; expected under calibration, noise included */
    double slope, slope_se;
    double spiegelhalter_z;
};

/* Counts pos[bins], neg[bins] on equal-width bins of [0,1]; they may be fractional and negative.
 * noise: standard deviation of what was added to every count, 0 = none. */
void hist_figures(size_t bins, const double *pos, const double *neg, double noise,
                  struct hist_figures *out);

#endif
