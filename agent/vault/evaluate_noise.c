/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the noised counts alone (linalg/stats/hist_figures.h); the AUROC's variance is
 * Newcombe's from them plus the noise's, never the unnoised one. */
#include "agent/vault/evaluate_noise.h"

#include "agent/vault/evaluate_figures.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/hist_figures.h"
#include "linalg/stats/status.h"
#include "privacy/laplace.h"

#include <math.h>

static void add_noise(double *counts, size_t n, uint64_t scale, struct rng *rng)
{
    for (size_t b = 0; b < n; b++)
        counts[b] += (double)laplace_draw(rng, scale);
}

static void histogram_figures(const struct evaluation_model *m, double noise,
                              struct evaluation_figures *f)
{
    struct hist_figures h;
    hist_figures(m->bins_count, m->positives, m->negatives, noise, &h);
    if (!isfinite(h.auroc)) {
        figures_clear(f, EVALUATION_SINGLE_CLASS);
        return;
    }
    struct auroc_interval interval;
    f->positives = (uint64_t)llrint(h.positives);
    f->negatives = (uint64_t)llrint(h.negatives);
    f->auroc = h.auroc;
    f->brier = h.brier;
    f->observed_expected = h.observed_expected;
    f->ece = h.ece;
    f->ece_null = h.ece_null;
    f->calibration_slope = h.slope;
    f->calibration_slope_se = h.slope_se;
    f->spiegelhalter_z = h.spiegelhalter_z;
    if (!isfinite(h.auroc_variance))
        return;
    f->auroc_variance = h.auroc_variance;
    auroc_interval(f->auroc, f->auroc_variance, STAT_Z975, &interval);
    f->auroc_low = interval.logit[0];
    f->auroc_high = interval.logit[1];
}

void evaluation_noise(struct evaluation_model *out, double noise, struct rng *rng)
{
    uint64_t scale = laplace_scale(noise);
    add_noise(out->positives, out->bins_count, scale, rng);
    add_noise(out->negatives, out->bins_count, scale, rng);
    for (uint32_t g = 0; g < out->groups_count; g++)
        figures_clear(&out->groups[g], g == 0 ? EVALUATION_OK : EVALUATION_REFUSED);
    histogram_figures(out, laplace_deviation(scale), &out->groups[0]);
    out->difference = out->difference_variance = (double)NAN;
}
