/* SPDX-License-Identifier: Apache-2.0 */
/* Post-processing of counts. With A = sum_b pos_b (below_b + neg_b/2) / (m n) the noise s adds
 * s^2 sum_b [(dA/dpos_b)^2 + (dA/dneg_b)^2], dA/dpos_b = (below_b + neg_b/2)/(m n) - A/m and
 * dA/dneg_b = (above_b + pos_b/2)/(m n) - A/n. Slope: weighted logistic regression on the logit of
 * the bins' middles, its variance by the sandwich I^-1 (I + s^2 sum x x' ((1-p)^2 + p^2)) I^-1. */
#include "linalg/stats/hist_figures.h"

#include "linalg/stats/auroc.h"
#include "linalg/stats/hist.h"

#include <math.h>
#include <stdbool.h>

enum { NEWTON_STEPS = 50 };
static const double LEAST_EACH = 2.0; /* rows of a class without which there is no figure */

static double middle(size_t bins, size_t b)
{
    return ((double)b + 0.5) / (double)bins;
}

static double noise_variance(size_t bins, const double *pos, const double *neg,
                             const struct hist_figures *f, double noise)
{
    double below = 0.0, above = f->positives, sum = 0.0, product = f->positives * f->negatives;
    for (size_t b = 0; b < bins; b++) {
        above -= pos[b];
        double by_pos = (below + 0.5 * neg[b]) / product - f->auroc / f->positives;
        double by_neg = (above + 0.5 * pos[b]) / product - f->auroc / f->negatives;
        sum += by_pos * by_pos + by_neg * by_neg;
        below += neg[b];
    }
    return noise * noise * sum;
}

static void put_auroc(size_t bins, const double *pos, const double *neg, double noise,
                      struct hist_figures *f)
{
    f->auroc = fmin(fmax(hist_auroc(bins, pos, neg), 0.0), 1.0);
    f->auroc_bound = hist_auroc_bound(bins, pos, neg);
    if (f->auroc > 0.0 && f->auroc < 1.0)
        f->auroc_variance = auroc_newcombe_var(f->auroc, (size_t)llrint(f->positives),
                                               (size_t)llrint(f->negatives)) +
                            noise_variance(bins, pos, neg, f, noise);
}

static void put_calibration(size_t bins, const double *pos, const double *neg, double noise,
                            struct hist_figures *f)
{
    double n = f->positives + f->negatives, expected = 0.0, gap = 0.0, null = 0.0;
    double score = 0.0, variance = 0.0, squares = 0.0;
    for (size_t b = 0; b < bins; b++) {
        double p = middle(bins, b), q = 1.0 - p, rows = pos[b] + neg[b];
        double extra = noise * noise * (q * q + p * p);
        expected += rows * p;
        gap += fabs(pos[b] - rows * p);
        null += sqrt(fmax(rows, 0.0) * p * q + extra);
        score += (pos[b] - rows * p) * (1.0 - 2.0 * p);
        variance += (1.0 - 2.0 * p) * (1.0 - 2.0 * p) * (fmax(rows, 0.0) * p * q + extra);
        squares += pos[b] * q * q + neg[b] * p * p;
    }
    f->brier = fmax(squares / n, 0.0);
    f->observed_expected = expected > 0.0 ? f->positives / expected : (double)NAN;
    f->ece = gap / n;
    f->ece_null = sqrt(2.0 / M_PI) * null / n;
    f->spiegelhalter_z = variance > 0.0 ? score / sqrt(variance) : (double)NAN;
}

/* Gradient and information of the grouped logistic likelihood at intercept a, slope b. */
struct fit {
    double a, b;
    double ga, gb;
    double iaa, iab, ibb;
    double vaa, vab, vbb; /* of the gradient, noise included */
};

static void evaluate(size_t bins, const double *pos, const double *neg, double noise, struct fit *t)
{
    t->ga = t->gb = t->iaa = t->iab = t->ibb = t->vaa = t->vab = t->vbb = 0.0;
    for (size_t k = 0; k < bins; k++) {
        double p = middle(bins, k), x = log(p / (1.0 - p)), rows = pos[k] + neg[k];
        double fitted = 1.0 / (1.0 + exp(-(t->a + t->b * x))), w = rows * fitted * (1.0 - fitted);
        double v = w + noise * noise * ((1.0 - fitted) * (1.0 - fitted) + fitted * fitted);
        t->ga += pos[k] - rows * fitted;
        t->gb += x * (pos[k] - rows * fitted);
        t->iaa += w, t->iab += w * x, t->ibb += w * x * x;
        t->vaa += v, t->vab += v * x, t->vbb += v * x * x;
    }
}

static void put_slope(size_t bins, const double *pos, const double *neg, double noise,
                      struct hist_figures *f)
{
    struct fit t = {.b = 1.0};
    bool settled = false;
    for (int step = 0; step < NEWTON_STEPS && !settled; step++) {
        evaluate(bins, pos, neg, noise, &t);
        double det = t.iaa * t.ibb - t.iab * t.iab;
        if (!(det > 0.0) || !(t.iaa > 0.0))
            return;
        double da = (t.ibb * t.ga - t.iab * t.gb) / det, db = (t.iaa * t.gb - t.iab * t.ga) / det;
        t.a += da;
        t.b += db;
        settled = fabs(da) + fabs(db) < 1e-10;
        if (!(fabs(t.a) + fabs(t.b) < 1e3))
            return;
    }
    if (!settled)
        return;
    evaluate(bins, pos, neg, noise, &t);
    double det = t.iaa * t.ibb - t.iab * t.iab;
    double ca = -t.iab / det, cb = t.iaa / det; /* the slope's row of the inverse information */
    double variance = ca * ca * t.vaa + 2.0 * ca * cb * t.vab + cb * cb * t.vbb;
    if (!(det > 0.0) || !(variance >= 0.0))
        return;
    f->slope = t.b;
    f->slope_se = sqrt(variance);
}

void hist_figures(size_t bins, const double *pos, const double *neg, double noise,
                  struct hist_figures *f)
{
    const double nan = (double)NAN;
    *f = (struct hist_figures){.auroc = nan,
                               .auroc_bound = nan,
                               .auroc_variance = nan,
                               .brier = nan,
                               .observed_expected = nan,
                               .ece = nan,
                               .ece_null = nan,
                               .slope = nan,
                               .slope_se = nan,
                               .spiegelhalter_z = nan};
    for (size_t b = 0; b < bins; b++) {
        f->positives += pos[b];
        f->negatives += neg[b];
    }
    if (!(f->positives >= LEAST_EACH) || !(f->negatives >= LEAST_EACH))
        return;
    put_auroc(bins, pos, neg, noise, f);
    put_calibration(bins, pos, neg, noise, f);
    put_slope(bins, pos, neg, noise, f);
}
