/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration: logistic recalibration by Newton's method on logit p (Cox 1958; Van Calster 2019),
 * Spiegelhalter's z (1986), IPA (Kattan and Gerds 2018). */
#include "linalg/stats/calibration.h"

#include "linalg/special.h"
#include "linalg/stats/rank.h"

#include <math.h>
#include <stdlib.h>

enum { NEWTON_STEPS = 100 };
static const double NEWTON_TOLERANCE = 1e-12;
static const double COEFFICIENT_MAX = 1e3;
static const double SINGULAR = 1e-14; /* determinant over product of the diagonal */

static enum stat_status check_rows(size_t n, const double *y, const double *p)
{
    if (n == 0)
        return STAT_EMPTY;
    for (size_t i = 0; i < n; i++) {
        if (!(p[i] >= 0.0 && p[i] <= 1.0) || !(y[i] == 0.0 || y[i] == 1.0))
            return STAT_INVALID_INPUT;
    }
    return STAT_OK;
}

static double logit_clipped(double p)
{
    return logit(fmin(fmax(p, CALIBRATION_CLIP), 1.0 - CALIBRATION_CLIP));
}

/* Score vector and information of intercept a and slope b at the current point. */
struct curvature {
    double g0, g1;
    double h00, h01, h11;
};

static struct curvature curvature_at(size_t n, const double *y, const double *p, double a, double b)
{
    struct curvature c = {0};
    for (size_t i = 0; i < n; i++) {
        double x = logit_clipped(p[i]);
        double mu = expit(a + b * x);
        double w = mu * (1.0 - mu);
        c.g0 += y[i] - mu;
        c.g1 += x * (y[i] - mu);
        c.h00 += w;
        c.h01 += w * x;
        c.h11 += w * x * x;
    }
    return c;
}

static bool fit_line(size_t n, const double *y, const double *p, struct calibration *out)
{
    double a = 0.0;
    double b = 0.0;
    for (int step = 0; step < NEWTON_STEPS; step++) {
        struct curvature c = curvature_at(n, y, p, a, b);
        double det = c.h00 * c.h11 - c.h01 * c.h01;
        if (!(det > SINGULAR * c.h00 * c.h11))
            return false;
        double da = (c.h11 * c.g0 - c.h01 * c.g1) / det;
        double db = (c.h00 * c.g1 - c.h01 * c.g0) / det;
        a += da;
        b += db;
        if (!(fabs(a) <= COEFFICIENT_MAX) || !(fabs(b) <= COEFFICIENT_MAX))
            return false;
        if (fmax(fabs(da), fabs(db)) >= NEWTON_TOLERANCE)
            continue;
        c = curvature_at(n, y, p, a, b);
        det = c.h00 * c.h11 - c.h01 * c.h01;
        if (!(det > SINGULAR * c.h00 * c.h11))
            return false;
        out->intercept = a;
        out->slope = b;
        out->intercept_se = sqrt(c.h11 / det);
        out->slope_se = sqrt(c.h00 / det);
        out->cov = -c.h01 / det;
        return true;
    }
    return false;
}

static bool fit_offset(size_t n, const double *y, const double *p, struct calibration *out)
{
    double a = 0.0;
    for (int step = 0; step < NEWTON_STEPS; step++) {
        struct curvature c = curvature_at(n, y, p, a, 1.0);
        if (!(c.h00 > 0.0))
            return false;
        double da = c.g0 / c.h00;
        a += da;
        if (!(fabs(a) <= COEFFICIENT_MAX))
            return false;
        if (fabs(da) >= NEWTON_TOLERANCE)
            continue;
        c = curvature_at(n, y, p, a, 1.0);
        if (!(c.h00 > 0.0))
            return false;
        out->citl = a;
        out->citl_se = sqrt(1.0 / c.h00);
        return true;
    }
    return false;
}

static void spiegelhalter(size_t n, const double *y, const double *p, struct calibration *out)
{
    double numerator = 0.0;
    double variance = 0.0;
    for (size_t i = 0; i < n; i++) {
        double tilt = 1.0 - 2.0 * p[i];
        numerator += (y[i] - p[i]) * tilt;
        variance += tilt * tilt * p[i] * (1.0 - p[i]);
    }
    if (!(variance > 0.0))
        return;
    out->spiegelhalter_defined = true;
    out->spiegelhalter_z = numerator / sqrt(variance);
    out->spiegelhalter_p = 2.0 * normal_sf(fabs(out->spiegelhalter_z));
}

static void brier(size_t n, const double *y, const double *p, struct calibration *out)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        out->observed += y[i];
        out->expected += p[i];
        sum += (p[i] - y[i]) * (p[i] - y[i]);
    }
    out->brier = sum / (double)n;
    if (n < 2)
        return;
    double spread = 0.0;
    for (size_t i = 0; i < n; i++) {
        double r = (p[i] - y[i]) * (p[i] - y[i]) - out->brier;
        spread += r * r;
    }
    out->brier_var = spread / (double)(n - 1) / (double)n;
}

enum stat_status calibration(size_t n, const double *y, const double *p, struct calibration *out)
{
    *out = (struct calibration){
        .n = n,
        .brier = NAN,
        .brier_var = NAN,
        .ipa = NAN,
        .log_oe = NAN,
        .log_oe_se = NAN,
        .intercept = NAN,
        .slope = NAN,
        .intercept_se = NAN,
        .slope_se = NAN,
        .cov = NAN,
        .citl = NAN,
        .citl_se = NAN,
        .spiegelhalter_z = NAN,
        .spiegelhalter_p = NAN,
    };
    out->status = check_rows(n, y, p);
    if (out->status != STAT_OK)
        return out->status;
    brier(n, y, p, out);
    double rate = out->observed / (double)n;
    if (rate == 0.0 || out->observed == (double)n)
        return out->status = STAT_SINGLE_CLASS;
    out->ipa = 1.0 - out->brier / (rate * (1.0 - rate));
    out->log_oe = log(out->observed / out->expected);
    out->log_oe_se = sqrt((1.0 - rate) / out->observed);
    out->fitted = fit_line(n, y, p, out);
    if (!out->fitted)
        out->status = STAT_NO_CONVERGENCE;
    out->citl_fitted = fit_offset(n, y, p, out);
    spiegelhalter(n, y, p, out);
    return out->status;
}

bool calibration_bins(size_t n, const double *p, size_t bins, enum calibration_binning binning,
                      uint64_t *bin)
{
    if (binning == BINS_EQUAL_MASS && !rank_twice_midranks(n, p, bin))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t k = binning == BINS_EQUAL_MASS ? bins * (bin[i] - 1) / (2 * (uint64_t)n)
                                                : (uint64_t)(p[i] * (double)bins);
        bin[i] = k < bins ? k : bins - 1;
    }
    return true;
}

static void sum_bins(size_t n, const double *spread, struct calibration_error *out)
{
    for (size_t k = 0; k < out->bins; k++) {
        const struct calibration_bin *b = &out->bin[k];
        if (b->n == 0)
            continue;
        double size = (double)b->n;
        double rate = (double)b->n_pos / size;
        double gap = fabs(rate - b->sum_p / size);
        double share = size / (double)n;
        out->bins_used++;
        out->ece += share * gap;
        out->mce = fmax(out->mce, gap);
        out->ece_null += sqrt(2.0 / M_PI) * sqrt(spread[k]) / (double)n;
        if (b->n > 1)
            out->ece2_debiased += share * (gap * gap - rate * (1.0 - rate) / (size - 1.0));
    }
}

enum stat_status calibration_error(size_t n, const double *y, const double *p, size_t bins,
                                   enum calibration_binning binning, struct calibration_error *out)
{
    *out = (struct calibration_error){.bins = bins};
    if (bins == 0 || bins > CALIBRATION_BINS_MAX)
        return out->status = STAT_INVALID_INPUT;
    out->status = check_rows(n, y, p);
    if (out->status != STAT_OK)
        return out->status;
    if (n > RANK_ROWS_MAX)
        return out->status = STAT_TOO_LARGE;
    uint64_t *bin = calloc(n, sizeof *bin);
    if (!bin || !calibration_bins(n, p, bins, binning, bin)) {
        free(bin);
        return out->status = STAT_NO_MEMORY;
    }
    double spread[CALIBRATION_BINS_MAX] = {0.0};
    for (size_t i = 0; i < n; i++) {
        struct calibration_bin *b = &out->bin[bin[i]];
        b->n++;
        b->n_pos += y[i] == 1.0;
        b->sum_p += p[i];
        spread[bin[i]] += p[i] * (1.0 - p[i]);
    }
    free(bin);
    sum_bins(n, spread, out);
    return out->status;
}

double calibration_expected_auroc(size_t n, const double *p)
{
    double positives = 0.0;
    double same = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (!(p[i] >= 0.0 && p[i] <= 1.0))
            return NAN;
        positives += p[i];
        same += p[i] * (1.0 - p[i]);
    }
    struct rank_item *items = rank_order(n, p);
    if (!items)
        return NAN;
    /* Pairs i != j only; a group of k ties at value q adds k(k-1)/2 pairs worth q(1-q). */
    double won = 0.0;
    double negatives_below = 0.0;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && items[end].key == items[i].key)
            end++;
        double q = rank_value(items[i].key);
        double ties = (double)(end - i);
        won += ties * q * negatives_below + 0.5 * q * (1.0 - q) * ties * (ties - 1.0);
        negatives_below += ties * (1.0 - q);
        i = end;
    }
    free(items);
    double pairs = positives * ((double)n - positives) - same;
    return pairs > 0.0 ? won / pairs : (double)NAN;
}
