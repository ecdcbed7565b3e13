/* SPDX-License-Identifier: Apache-2.0 */
/* AUROC with DeLong's interval on the logit scale, Brier score, calibration, decisions; primary and
 * complementary suppression of small cells. */
#include "agent/vault/evaluate_figures.h"

#include "agent/vault/evaluate.h"
#include "linalg/stats/auroc.h"
#include "linalg/stats/calibration.h"
#include "linalg/stats/threshold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ECE_BINS = 10 };
static const double FIXED_SPECIFICITY = 0.9;

void figures_clear(struct evaluation_figures *f, enum evaluation_status status)
{
    double nan = (double)NAN;
    f->status = status;
    f->positives = f->negatives = 0;
    f->auroc = f->auroc_variance = f->auroc_low = f->auroc_high = nan;
    f->brier = f->brier_variance = nan;
    f->calibration_slope = f->calibration_slope_se = nan;
    f->calibration_intercept = f->calibration_intercept_se = nan;
    f->observed_expected = nan;
    f->accuracy = f->sensitivity = f->specificity = f->loss = nan;
    f->ece = f->ece_null = f->spiegelhalter_z = f->ipa = nan;
    f->difference = f->difference_variance = f->difference_p = nan;
    f->ppv = f->alert_rate = f->sensitivity_fixed = f->macro_auroc = nan;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A score that takes few values, or one value for half of the rows, can point at one patient. */
static enum evaluation_status scores_reveal(size_t n, const double *p)
{
    double *sorted = calloc(n, sizeof *sorted);
    if (!sorted)
        return EVALUATION_REFUSED;
    memcpy(sorted, p, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    size_t distinct = 1, run = 1, longest = 1;
    for (size_t i = 1; i < n; i++) {
        bool same = sorted[i] == sorted[i - 1];
        distinct += same ? 0 : 1;
        run = same ? run + 1 : 1;
        longest = run > longest ? run : longest;
    }
    free(sorted);
    bool few = n >= EVALUATE_DISTINCT_ROWS && distinct < EVALUATE_DISTINCT_MIN;
    return few || 2 * longest > n ? EVALUATION_DEGENERATE_SCORES : EVALUATION_OK;
}

static enum evaluation_status judge(size_t n, const double *y, const double *p, size_t positives,
                                    unsigned min_cell)
{
    size_t negatives = n - positives;
    if (n == 0)
        return EVALUATION_NO_LABELS;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(p[i]) || (y[i] != 0.0 && y[i] != 1.0))
            return EVALUATION_INVALID_INPUT;
    bool one_class = positives == 0 || negatives == 0;
    if (one_class && n >= min_cell)
        return EVALUATION_SINGLE_CLASS;
    if (positives < min_cell || negatives < min_cell)
        return EVALUATION_BELOW_MINIMUM_CELL;
    return scores_reveal(n, p);
}

static void put_auroc(struct evaluation_figures *f, size_t n, const double *y, const double *p)
{
    struct auroc a;
    struct auroc_pool_input pooled;
    struct auroc_interval interval;
    auroc_delong(n, y, p, NULL, &a);
    if (!auroc_pool_input(&a, &pooled))
        return;
    auroc_interval(pooled.auc, pooled.var, STAT_Z975, &interval);
    f->auroc = a.auc;
    f->auroc_variance = pooled.var;
    f->auroc_low = interval.logit[0];
    f->auroc_high = interval.logit[1];
}

static void put_calibration(struct evaluation_figures *f, size_t n, const double *y,
                            const double *p)
{
    struct calibration c;
    enum stat_status status = calibration(n, y, p, &c);
    if (status == STAT_INVALID_INPUT || status == STAT_EMPTY)
        return;
    f->brier = c.brier;
    f->brier_variance = c.brier_var;
    f->observed_expected = exp(c.log_oe);
    if (c.fitted) {
        f->calibration_slope = c.slope;
        f->calibration_slope_se = c.slope_se;
    }
    if (c.citl_fitted) {
        f->calibration_intercept = c.citl;
        f->calibration_intercept_se = c.citl_se;
    }
    f->ipa = c.ipa;
    if (c.spiegelhalter_defined)
        f->spiegelhalter_z = c.spiegelhalter_z;
}

static void put_calibration_error(struct evaluation_figures *f, size_t n, const double *y,
                                  const double *p)
{
    struct calibration_error e;
    if (calibration_error(n, y, p, ECE_BINS, BINS_EQUAL_MASS, &e) != STAT_OK)
        return;
    f->ece = e.ece;
    f->ece_null = e.ece_null;
}

static void put_decisions(struct evaluation_figures *f, size_t n, const double *y, const double *p,
                          double threshold)
{
    struct confusion c;
    double at, sensitivity;
    if (threshold_at_specificity(n, y, p, FIXED_SPECIFICITY, &at, &sensitivity) == STAT_OK &&
        isfinite(at))
        f->sensitivity_fixed = sensitivity;
    if (!(threshold > 0.0) || threshold_confusion(n, y, p, threshold, &c) != STAT_OK)
        return;
    struct confusion_rates rates = threshold_rates(&c);
    f->accuracy = rates.acc;
    f->sensitivity = rates.sens;
    f->specificity = rates.spec;
    f->ppv = rates.ppv;
    f->alert_rate = rates.alert;
}

void figures_binary(struct evaluation_figures *f, size_t n, const double *y, const double *p,
                    double threshold, unsigned min_cell)
{
    size_t positives = 0;
    for (size_t i = 0; i < n; i++)
        positives += y[i] == 1.0;
    enum evaluation_status status = judge(n, y, p, positives, min_cell);
    figures_clear(f, status);
    if (status != EVALUATION_OK && status != EVALUATION_SINGLE_CLASS &&
        status != EVALUATION_DEGENERATE_SCORES)
        return;
    f->positives = positives;
    f->negatives = n - positives;
    if (status != EVALUATION_OK)
        return;
    put_auroc(f, n, y, p);
    put_calibration(f, n, y, p);
    put_calibration_error(f, n, y, p);
    put_decisions(f, n, y, p, threshold);
}

void figures_suppress(struct evaluation_figures *figures, const size_t *rows, size_t levels,
                      size_t others, unsigned min_cell)
{
    for (;;) {
        size_t hidden_groups = others > 0 ? 1 : 0, hidden_rows = others, smallest = levels;
        for (size_t g = 0; g < levels; g++) {
            if (figures[g].status == EVALUATION_BELOW_MINIMUM_CELL) {
                hidden_groups++;
                hidden_rows += rows[g];
            } else if (rows[g] > 0 && (smallest == levels || rows[g] < rows[smallest])) {
                smallest = g;
            }
        }
        bool safe = hidden_groups == 0 || (hidden_groups > 1 && hidden_rows >= min_cell);
        if (safe || smallest == levels)
            return;
        figures_clear(&figures[smallest], EVALUATION_BELOW_MINIMUM_CELL);
    }
}
