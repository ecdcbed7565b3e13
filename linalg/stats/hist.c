/* SPDX-License-Identifier: Apache-2.0 */
/* AUROC = sum_b pos_b (neg below b + neg_b/2) / (m n): post-processing of counts, free under
 * differential privacy. Noisy counts are not clamped: clamping biases the AUROC. */
#include "linalg/stats/hist.h"

#include <math.h>

enum stat_status hist_fill(size_t n, const double *y, const double *p, size_t bins, double *pos,
                           double *neg)
{
    if (bins == 0 || bins > HIST_BINS_MAX)
        return STAT_INVALID_INPUT;
    for (size_t b = 0; b < bins; b++)
        pos[b] = neg[b] = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (!(p[i] >= 0.0 && p[i] <= 1.0) || !(y[i] == 0.0 || y[i] == 1.0))
            return STAT_INVALID_INPUT;
        size_t b = (size_t)(p[i] * (double)bins);
        b = b < bins ? b : bins - 1;
        *(y[i] == 1.0 ? &pos[b] : &neg[b]) += 1.0;
    }
    return STAT_OK;
}

static double total(size_t bins, const double *counts)
{
    double sum = 0.0;
    for (size_t b = 0; b < bins; b++)
        sum += counts[b];
    return sum;
}

double hist_auroc(size_t bins, const double *pos, const double *neg)
{
    double m = total(bins, pos);
    double k = total(bins, neg);
    if (!(m > 0.0) || !(k > 0.0))
        return NAN;
    double won = 0.0;
    double below = 0.0;
    for (size_t b = 0; b < bins; b++) {
        won += pos[b] * (below + 0.5 * neg[b]);
        below += neg[b];
    }
    return won / (m * k);
}

double hist_auroc_bound(size_t bins, const double *pos, const double *neg)
{
    double m = total(bins, pos);
    double k = total(bins, neg);
    if (!(m > 0.0) || !(k > 0.0))
        return NAN;
    double sum = 0.0;
    for (size_t b = 0; b < bins; b++)
        sum += pos[b] / m * (neg[b] / k);
    return 0.5 * sum;
}

void hist_decision(size_t bins, const double *pos, const double *neg, size_t first,
                   double *sensitivity, double *specificity)
{
    double m = total(bins, pos);
    double k = total(bins, neg);
    double below_pos = total(first < bins ? first : bins, pos);
    double below_neg = total(first < bins ? first : bins, neg);
    *sensitivity = m > 0.0 ? 1.0 - below_pos / m : (double)NAN;
    *specificity = k > 0.0 ? below_neg / k : (double)NAN;
}
