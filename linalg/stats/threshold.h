/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions at a threshold: the confusion table, its rates and Wilson intervals. */
#ifndef CONSILIUM_LINALG_STATS_THRESHOLD_H
#define CONSILIUM_LINALG_STATS_THRESHOLD_H

#include "linalg/stats/status.h"

#include <stdbool.h>
#include <stddef.h>

struct confusion {
    size_t tp, fp, fn, tn;
};

/* Rates; NaN where the denominator is zero. alert is (tp+fp)/n. */
struct confusion_rates {
    double sens, spec, ppv, npv, acc, alert;
};

/* Positive decision when score >= threshold. INVALID_INPUT on a non-finite score or a label other
 * than 0 and 1. */
enum stat_status threshold_confusion(size_t n, const double *y, const double *score,
                                     double threshold, struct confusion *out);

struct confusion_rates threshold_rates(const struct confusion *c);

/* Wilson's score interval of k of n at normal quantile z; false when n = 0. */
bool wilson_interval(size_t k, size_t n, double z, double interval[2]);

/* Smallest threshold whose specificity is at least target (0..1), and the sensitivity there; +inf
 * when only a threshold above every score reaches it. INVALID_INPUT, SINGLE_CLASS, NO_MEMORY or OK.
 */
enum stat_status threshold_at_specificity(size_t n, const double *y, const double *score,
                                          double target, double *threshold, double *sensitivity);

/* Net benefit tp/n - fp/n * t/(1-t) of acting at probability threshold t in [0,1). */
double net_benefit(const struct confusion *c, double t);

#endif
