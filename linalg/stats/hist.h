/* SPDX-License-Identifier: Apache-2.0 */
/* AUROC and decisions from a histogram of scores by class: all a site in histogram mode sends. */
#ifndef CONSILIUM_LINALG_STATS_HIST_H
#define CONSILIUM_LINALG_STATS_HIST_H

#include "linalg/stats/status.h"

#include <stddef.h>

enum { HIST_BINS_MAX = 4096 };

/* Counts of p[n] in [0,1] by class in equal-width bins [0,1/B) ... [(B-1)/B,1], into pos[bins],
 * neg[bins]. INVALID_INPUT. */
enum stat_status hist_fill(size_t n, const double *y, const double *p, size_t bins, double *pos,
                           double *neg);

/* AUROC of the histogram, ties within a bin one half; counts may be noisy (fractional, negative).
 * NaN unless both totals are positive. */
double hist_auroc(size_t bins, const double *pos, const double *neg);

/* Bound on |exact - histogram| AUROC: half the sum of pos share times neg share. */
double hist_auroc_bound(size_t bins, const double *pos, const double *neg);

/* Sensitivity and specificity when bins from first on are alerts; NaN if a class is empty. */
void hist_decision(size_t bins, const double *pos, const double *neg, size_t first,
                   double *sensitivity, double *specificity);

#endif
