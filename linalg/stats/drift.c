/* SPDX-License-Identifier: Apache-2.0 */
/* Drift: KL(test||ref) = sum p log(p/q), PSI = sum (p-q) log(p/q), Jensen-Shannon in nats; null law
 * by the chi-square expansion of the multinomial likelihood ratio. */
#include "linalg/stats/drift.h"

#include "linalg/special.h"
#include "linalg/stats/rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_PER_BIN = 10 };

static double *sorted_copy(size_t n, const double *x)
{
    double *copy = calloc(n ? n : 1, sizeof *copy);
    if (!copy)
        return NULL;
    if (n > 0)
        memcpy(copy, x, n * sizeof *copy);
    if (!rank_sort_values(n, copy)) {
        free(copy);
        return NULL;
    }
    return copy;
}

enum stat_status drift_edges(size_t n, const double *ref, size_t bins, double *edges, size_t *count)
{
    *count = 0;
    if (n == 0)
        return STAT_EMPTY;
    if (bins == 0 || bins > DRIFT_BINS_MAX || !rank_all_finite(n, ref))
        return STAT_INVALID_INPUT;
    if (n > RANK_ROWS_MAX)
        return STAT_TOO_LARGE;
    double *x = sorted_copy(n, ref);
    if (!x)
        return STAT_NO_MEMORY;
    for (size_t k = 1; k < bins; k++) {
        double edge = x[(n * k + bins - 1) / bins - 1];
        if (*count == 0 || edge > edges[*count - 1])
            edges[(*count)++] = edge;
    }
    free(x);
    return STAT_OK;
}

enum stat_status drift_counts(size_t n, const double *x, size_t n_edges, const double *edges,
                              double *counts)
{
    for (size_t k = 0; k <= n_edges; k++)
        counts[k] = 0.0;
    if (!rank_all_finite(n, x))
        return STAT_INVALID_INPUT;
    for (size_t i = 0; i < n; i++) {
        size_t lo = 0; /* first edge that is not below x */
        size_t hi = n_edges;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (edges[mid] < x[i])
                lo = mid + 1;
            else
                hi = mid;
        }
        counts[lo] += 1.0;
    }
    return STAT_OK;
}

size_t drift_bins_for(size_t n, size_t wanted)
{
    size_t carried = n / ROWS_PER_BIN;
    if (carried < 2)
        carried = 2;
    return carried < wanted ? carried : wanted;
}

static void drift_null(struct drift *out)
{
    double scale = 1.0 / out->n_test + 1.0 / out->n_ref;
    double df = (double)(out->bins - 1);
    double crit = chi2_isf(0.05, df);
    out->psi_null_mean = scale * df;
    out->psi_crit95 = scale * crit;
    out->psi_p = chi2_sf(out->psi / scale, df);
    out->kl_null_mean = scale * df / 2.0;
    out->kl_crit95 = scale / 2.0 * crit;
    out->kl_p = chi2_sf(2.0 * out->kl_test_ref / scale, df);
}

enum stat_status drift_compare(size_t bins, const double *test, const double *ref, double smoothing,
                               struct drift *out)
{
    *out = (struct drift){.bins = bins, .smoothing = smoothing};
    out->status = STAT_INVALID_INPUT;
    if (bins == 0 || bins > DRIFT_BINS_MAX || !(smoothing > 0.0) || !isfinite(smoothing))
        return out->status;
    for (size_t k = 0; k < bins; k++) {
        if (!(test[k] >= 0.0) || !(ref[k] >= 0.0) || isinf(test[k]) || isinf(ref[k]))
            return out->status;
        out->n_test += test[k];
        out->n_ref += ref[k];
    }
    if (out->n_test == 0.0 || out->n_ref == 0.0)
        return out->status = STAT_EMPTY;
    double extra = smoothing * (double)bins;
    for (size_t k = 0; k < bins; k++) {
        double p = (test[k] + smoothing) / (out->n_test + extra);
        double q = (ref[k] + smoothing) / (out->n_ref + extra);
        double middle = 0.5 * (p + q);
        out->kl_test_ref += p * log(p / q);
        out->kl_ref_test += q * log(q / p);
        out->psi += (p - q) * log(p / q);
        out->js += 0.5 * p * log(p / middle) + 0.5 * q * log(q / middle);
    }
    drift_null(out);
    return out->status = STAT_OK;
}

static double ks_distance(size_t n, const double *x, size_t m, const double *y)
{
    double largest = 0.0;
    size_t i = 0;
    size_t j = 0;
    while (i < n && j < m) {
        double at = x[i] < y[j] ? x[i] : y[j];
        while (i < n && x[i] <= at)
            i++;
        while (j < m && y[j] <= at)
            j++;
        largest = fmax(largest, fabs((double)i / (double)n - (double)j / (double)m));
    }
    return largest;
}

enum stat_status ks_two_sample(size_t n, const double *x, size_t m, const double *y, struct ks *out)
{
    *out = (struct ks){.d = NAN, .p = NAN};
    if (n == 0 || m == 0)
        return out->status = STAT_EMPTY;
    if (!rank_all_finite(n, x) || !rank_all_finite(m, y))
        return out->status = STAT_INVALID_INPUT;
    double *a = sorted_copy(n, x);
    double *b = sorted_copy(m, y);
    out->status = a && b ? STAT_OK : STAT_NO_MEMORY;
    if (out->status == STAT_OK) {
        double rows = (double)n;
        double others = (double)m;
        out->d = ks_distance(n, a, m, b);
        out->p = kolmogorov_sf(out->d * sqrt(rows * others / (rows + others)));
    }
    free(a);
    free(b);
    return out->status;
}

double two_proportion_z(size_t k1, size_t n1, size_t k2, size_t n2)
{
    if (n1 == 0 || n2 == 0)
        return NAN;
    double a = (double)k1 / (double)n1;
    double b = (double)k2 / (double)n2;
    double pooled = ((double)k1 + (double)k2) / ((double)n1 + (double)n2);
    double var = pooled * (1.0 - pooled) * (1.0 / (double)n1 + 1.0 / (double)n2);
    return var > 0.0 ? (a - b) / sqrt(var) : 0.0;
}
