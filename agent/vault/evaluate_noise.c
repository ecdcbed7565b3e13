/* SPDX-License-Identifier: Apache-2.0 */
/* AUROC of a histogram: sum_b pos_b (sum_{c<b} neg_c + neg_b / 2) / (P N); its variance is
 * Newcombe's from the AUROC and the noised totals, never the unnoised one. */
#include "agent/vault/evaluate_noise.h"

#include "agent/vault/evaluate_figures.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/status.h"
#include "privacy/noise.h"

#include <math.h>

enum { LEAST_EACH = 2 }; /* noised patients of a class without which there is no figure */

static void add_noise(double *counts, size_t n, double noise, struct rng *rng)
{
    int64_t draw[EVALUATION_BINS_MAX];
    noise_fill(rng, draw, n);
    for (size_t b = 0; b < n; b++)
        counts[b] += noise * ldexp((double)draw[b], -NOISE_BITS);
}

/* Brier score with every patient at the middle of the bin. */
static double histogram_brier(const struct evaluation_model *m, double total)
{
    double sum = 0.0;
    for (uint32_t b = 0; b < m->bins_count; b++) {
        double p = ((double)b + 0.5) / (double)m->bins_count;
        sum += m->positives[b] * (1.0 - p) * (1.0 - p) + m->negatives[b] * p * p;
    }
    return sum / total;
}

static void histogram_figures(const struct evaluation_model *m, struct evaluation_figures *f)
{
    double positives = 0.0, negatives = 0.0, wins = 0.0;
    for (uint32_t b = 0; b < m->bins_count; b++) {
        wins += m->positives[b] * (negatives + 0.5 * m->negatives[b]);
        positives += m->positives[b];
        negatives += m->negatives[b];
    }
    if (positives < LEAST_EACH || negatives < LEAST_EACH) {
        figures_clear(f, EVALUATION_SINGLE_CLASS);
        return;
    }
    struct auroc_interval interval;
    f->positives = (uint64_t)llrint(positives);
    f->negatives = (uint64_t)llrint(negatives);
    f->auroc = fmin(fmax(wins / (positives * negatives), 0.0), 1.0);
    f->brier = fmax(histogram_brier(m, positives + negatives), 0.0);
    if (f->auroc <= 0.0 || f->auroc >= 1.0)
        return;
    f->auroc_variance = auroc_newcombe_var(f->auroc, f->positives, f->negatives);
    auroc_interval(f->auroc, f->auroc_variance, STAT_Z975, &interval);
    f->auroc_low = interval.logit[0];
    f->auroc_high = interval.logit[1];
}

void evaluation_noise(struct evaluation_model *out, double noise, struct rng *rng)
{
    add_noise(out->positives, out->bins_count, noise, rng);
    add_noise(out->negatives, out->bins_count, noise, rng);
    for (uint32_t g = 0; g < out->groups_count; g++)
        figures_clear(&out->groups[g], g == 0 ? EVALUATION_OK : EVALUATION_REFUSED);
    histogram_figures(out, &out->groups[0]);
    out->difference = out->difference_variance = (double)NAN;
}
