/* SPDX-License-Identifier: Apache-2.0 */
/* The form in which figures may leave: small cells suppressed, values rounded, histograms
 * coarsened until no bin tells of a few patients. */
#include "agent/vault/release.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double rounded(double x, double step)
{
    return isfinite(x) ? round(x / step) * step : x;
}

static void blank(struct evaluation_figures *f, enum evaluation_status status)
{
    char group[sizeof f->group];
    memcpy(group, f->group, sizeof group);
    *f = (struct evaluation_figures){
        .status = status,
        .auroc = NAN,
        .auroc_variance = NAN,
        .auroc_low = NAN,
        .auroc_high = NAN,
        .brier = NAN,
        .brier_variance = NAN,
        .calibration_slope = NAN,
        .calibration_slope_se = NAN,
        .calibration_intercept = NAN,
        .calibration_intercept_se = NAN,
        .observed_expected = NAN,
        .accuracy = NAN,
        .sensitivity = NAN,
        .specificity = NAN,
        .loss = NAN,
        .ece = NAN,
        .ece_null = NAN,
        .spiegelhalter_z = NAN,
        .ipa = NAN,
        .difference = NAN,
        .difference_variance = NAN,
        .ppv = NAN,
        .alert_rate = NAN,
        .sensitivity_fixed = NAN,
        .macro_auroc = NAN,
        .difference_p = NAN,
        .cindex = NAN,
        .cindex_variance = NAN,
        .rows_per_patient = NAN,
    };
    memcpy(f->group, group, sizeof group);
}

static void round_figures(struct evaluation_figures *f)
{
    const double step = 1e-3, fine = 1e-6;
    double *coarse[] = {
        &f->auroc,
        &f->auroc_low,
        &f->auroc_high,
        &f->brier,
        &f->calibration_slope,
        &f->calibration_slope_se,
        &f->accuracy,
        &f->calibration_intercept,
        &f->calibration_intercept_se,
        &f->sensitivity,
        &f->specificity,
        &f->observed_expected,
        &f->loss,
        &f->ece,
        &f->ece_null,
        &f->spiegelhalter_z,
        &f->ipa,
        &f->difference,
        &f->ppv,
        &f->alert_rate,
        &f->sensitivity_fixed,
        &f->macro_auroc,
        &f->difference_p,
        &f->cindex,
    };
    for (size_t i = 0; i < sizeof coarse / sizeof coarse[0]; i++)
        *coarse[i] = rounded(*coarse[i], step);
    f->auroc_variance = rounded(f->auroc_variance, fine);
    f->brier_variance = rounded(f->brier_variance, fine);
    f->difference_variance = rounded(f->difference_variance, fine);
    f->cindex_variance = rounded(f->cindex_variance, fine);
    f->rows_per_patient = rounded(f->rows_per_patient, 0.1);
}

/* A cell is what could be counted out of the figures: the patients of either outcome. */
static bool small(const struct evaluation_figures *f, unsigned min_cell)
{
    bool few_positives = f->positives > 0 && f->positives < min_cell;
    bool few_negatives = f->negatives > 0 && f->negatives < min_cell;
    return few_positives || few_negatives || f->positives + f->negatives < min_cell;
}

static bool same_column(const char *a, const char *b)
{
    const char *end = strchr(a, '=');
    return end && strncmp(a, b, (size_t)(end - a) + 1) == 0;
}

/* One suppressed level could be had as the whole less the others: the smallest other level of the
 * column goes too. */
static void suppress_complement(struct evaluation_model *m, uint32_t at)
{
    struct evaluation_figures *least = NULL;
    for (uint32_t i = 1; i < m->groups_count; i++) {
        struct evaluation_figures *f = &m->groups[i];
        if (i == at || !same_column(m->groups[at].group, f->group))
            continue;
        if (f->status == EVALUATION_BELOW_MINIMUM_CELL)
            return;
        if (!least || f->positives + f->negatives < least->positives + least->negatives)
            least = f;
    }
    if (least)
        blank(least, EVALUATION_BELOW_MINIMUM_CELL);
}

static void suppress(struct evaluation_model *m, unsigned min_cell)
{
    if (m->groups_count > 0 && small(&m->groups[0], min_cell)) {
        const struct evaluation_figures *all = &m->groups[0];
        bool typed = all->status != EVALUATION_OK && all->positives + all->negatives == 0;
        enum evaluation_status status = typed ? all->status : EVALUATION_BELOW_MINIMUM_CELL;
        for (uint32_t i = 0; i < m->groups_count; i++)
            blank(&m->groups[i], i == 0 ? status : EVALUATION_BELOW_MINIMUM_CELL);
        m->bins_count = 0;
        m->difference = m->difference_variance = NAN;
        return;
    }
    for (uint32_t i = 1; i < m->groups_count; i++) {
        if (m->groups[i].status != EVALUATION_BELOW_MINIMUM_CELL && small(&m->groups[i], min_cell))
            blank(&m->groups[i], EVALUATION_BELOW_MINIMUM_CELL);
    }
    for (uint32_t i = 1; i < m->groups_count; i++) {
        if (m->groups[i].status == EVALUATION_BELOW_MINIMUM_CELL)
            suppress_complement(m, i);
    }
}

/* Whether both counts are none or enough. */
static bool coarse_enough(double positives, double negatives, unsigned min_cell)
{
    return (positives == 0.0 || positives >= min_cell) &&
           (negatives == 0.0 || negatives >= min_cell);
}

/* Adjacent bins are merged, into the last of each run, until no count is between 1 and min_cell;
 * what is left at the end joins the runs before it, as many as it takes. */
static void coarsen(struct evaluation_model *m, unsigned min_cell)
{
    double positives = 0.0, negatives = 0.0;
    for (uint32_t i = 0; i < m->bins_count; i++) {
        positives += m->positives[i];
        negatives += m->negatives[i];
        m->positives[i] = m->negatives[i] = 0.0;
        if (!coarse_enough(positives, negatives, min_cell))
            continue;
        m->positives[i] = positives;
        m->negatives[i] = negatives;
        positives = negatives = 0.0;
    }
    for (uint32_t i = m->bins_count; i > 0 && positives + negatives > 0.0; i--) {
        positives += m->positives[i - 1];
        negatives += m->negatives[i - 1];
        m->positives[i - 1] = m->negatives[i - 1] = 0.0;
        if (!coarse_enough(positives, negatives, min_cell))
            continue;
        m->positives[i - 1] = positives;
        m->negatives[i - 1] = negatives;
        return;
    }
    if (positives + negatives > 0.0)
        m->bins_count = 0;
}

static enum evaluation_release release_form(enum policy_metrics metrics, bool noised)
{
    if (metrics == METRICS_NONE || (metrics == METRICS_NOISED_HISTOGRAM && !noised))
        return EVALUATION_RELEASE_NONE;
    if (noised)
        return EVALUATION_RELEASE_NOISED_HISTOGRAM;
    return metrics == METRICS_THRESHOLD ? EVALUATION_RELEASE_THRESHOLD
                                        : EVALUATION_RELEASE_HISTOGRAM;
}

static bool untouched(enum evaluation_release release)
{
    return release == EVALUATION_RELEASE_THRESHOLD || release == EVALUATION_RELEASE_HISTOGRAM;
}

/* Which epoch it was is no figure of patients; how many they are is. */
static void shape_epoch(struct payload_evaluation *evaluation)
{
    if (evaluation->release == EVALUATION_RELEASE_NONE)
        evaluation->epoch = (struct evaluation_epoch){0};
    else if (!untouched(evaluation->release))
        evaluation->epoch.low = evaluation->epoch.high = 0;
}

static void round_column(struct evaluation_drift_column *c)
{
    double *figures[] = {&c->kl, &c->kl_p, &c->psi, &c->psi_p, &c->ks, &c->ks_p, &c->missing_z};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        *figures[i] = rounded(*figures[i], 1e-3);
}

static void shape_drift(struct payload_evaluation *evaluation)
{
    struct evaluation_drift *d = &evaluation->drift;
    if (!untouched(evaluation->release)) {
        free(d->columns);
        evaluation_drift_clear(d, EVALUATION_STATISTIC_REFUSED);
        return;
    }
    round_column(&d->score);
    for (uint32_t i = 0; i < d->columns_count; i++)
        round_column(&d->columns[i]);
    d->mmd2 = rounded(d->mmd2, 1e-6);
    d->mmd_p = rounded(d->mmd_p, 1e-3);
    d->expected_auroc = rounded(d->expected_auroc, 1e-3);
}

/* Small cells were left out when the clusters were tested. */
static void shape_strata(struct payload_evaluation *evaluation)
{
    struct evaluation_strata *s = &evaluation->strata;
    if (!untouched(evaluation->release)) {
        evaluation_strata_clear(s, EVALUATION_STATISTIC_REFUSED);
        return;
    }
    double *figures[] = {&s->gap, &s->gap_low, &s->gap_high, &s->p};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        *figures[i] = rounded(*figures[i], 1e-3);
}

void release_shape(struct payload_evaluation *evaluation, enum policy_metrics metrics,
                   unsigned min_cell, bool noised)
{
    evaluation->release = release_form(metrics, noised);
    if (evaluation->release != EVALUATION_RELEASE_NOISED_HISTOGRAM)
        evaluation->metrics_noise = 0.0;
    shape_epoch(evaluation);
    shape_drift(evaluation);
    shape_strata(evaluation);
    for (uint32_t i = 0; i < evaluation->models_count; i++) {
        struct evaluation_model *m = &evaluation->models[i];
        if (metrics == METRICS_NONE || (metrics == METRICS_NOISED_HISTOGRAM && !noised)) {
            for (uint32_t g = 0; g < m->groups_count; g++)
                blank(&m->groups[g], EVALUATION_REFUSED);
            m->bins_count = 0;
            m->difference = m->difference_variance = NAN;
            continue;
        }
        /* Noised histograms are private as they are; nothing is suppressed after the noise. */
        if (noised)
            continue;
        suppress(m, min_cell);
        if (metrics == METRICS_THRESHOLD)
            m->bins_count = 0;
        else
            coarsen(m, min_cell);
        for (uint32_t g = 0; g < m->groups_count; g++)
            round_figures(&m->groups[g]);
        m->difference = rounded(m->difference, 1e-3);
        m->difference_variance = rounded(m->difference_variance, 1e-6);
    }
}
