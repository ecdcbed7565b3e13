/* SPDX-License-Identifier: Apache-2.0 */
/* AUROC with DeLong's interval on the logit scale, Brier score, calibration, decisions, C-index;
 * primary and complementary suppression of small cells. */
#include "agent/vault/evaluate_figures.h"

#include "agent/vault/evaluate.h"
#include "linalg/stats/cindex.h"
#include "linalg/stats/cluster.h"
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
    f->cindex = f->cindex_variance = f->rows_per_patient = nan;
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

static enum evaluation_status judge(const struct figures_rows *rows, size_t positives,
                                    size_t negatives, unsigned min_cell)
{
    if (rows->n == 0)
        return EVALUATION_NO_LABELS;
    for (size_t i = 0; i < rows->n; i++)
        if (!isfinite(rows->p[i]) || (rows->y[i] != 0.0 && rows->y[i] != 1.0))
            return EVALUATION_INVALID_INPUT;
    bool one_class = positives == 0 || negatives == 0;
    if (one_class && rows->patients >= min_cell)
        return EVALUATION_SINGLE_CLASS;
    if (positives < min_cell || negatives < min_cell)
        return EVALUATION_BELOW_MINIMUM_CELL;
    return scores_reveal(rows->n, rows->p);
}

static void put_auroc(struct evaluation_figures *f, const struct figures_rows *r)
{
    struct auroc a;
    struct auroc_pool_input pooled;
    struct auroc_interval interval;
    cluster_auroc(r->n, r->y, r->p, r->patient, r->patients, &a);
    if (!auroc_pool_input(&a, &pooled))
        return;
    auroc_interval(pooled.auc, pooled.var, STAT_Z975, &interval);
    f->auroc = a.auc;
    f->auroc_variance = pooled.var;
    f->auroc_low = interval.logit[0];
    f->auroc_high = interval.logit[1];
}

static void put_calibration(struct evaluation_figures *f, const struct figures_rows *r)
{
    struct calibration c;
    enum stat_status status = cluster_calibration(r->n, r->y, r->p, r->patient, r->patients, &c);
    if (status == STAT_INVALID_INPUT || status == STAT_EMPTY || status == STAT_NO_MEMORY)
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

static void put_calibration_error(struct evaluation_figures *f, const struct figures_rows *r)
{
    struct calibration_error e;
    if (cluster_calibration_error(r->n, r->y, r->p, ECE_BINS, BINS_EQUAL_MASS, r->patient,
                                  r->patients, &e) != STAT_OK)
        return;
    f->ece = e.ece;
    f->ece_null = e.ece_null;
}

/* Rows of one patient at a threshold: [label][decision]. */
struct tally {
    double rows[2][2];
};

static double share(double part, double whole)
{
    return whole > 0.0 ? part / whole : (double)NAN;
}

/* Each patient counts as one, by the share of the rows: so p (1 - p) / patients is never less than
 * the variance of such a mean, whatever the rows of a patient have in common. */
static void put_rates(struct evaluation_figures *f, const struct figures_rows *r, double threshold)
{
    double right = 0.0, alerts = 0.0, hits = 0.0, caught[2] = {0.0}, patients[2] = {0.0};
    for (size_t i = 0; i < r->n;) {
        struct tally t = {{{0.0}}};
        size_t from = i;
        for (; i < r->n && r->patient[i] == r->patient[from]; i++)
            t.rows[r->y[i] == 1.0][r->p[i] >= threshold] += 1.0;
        double rows = (double)(i - from);
        right += (t.rows[0][0] + t.rows[1][1]) / rows;
        alerts += (t.rows[0][1] + t.rows[1][1]) / rows;
        hits += t.rows[1][1] / rows;
        for (int k = 0; k < 2; k++) {
            double of_class = t.rows[k][0] + t.rows[k][1];
            patients[k] += of_class > 0.0 ? 1.0 : 0.0;
            caught[k] += of_class > 0.0 ? t.rows[k][k] / of_class : 0.0;
        }
    }
    f->accuracy = share(right, (double)r->patients);
    f->sensitivity = share(caught[1], patients[1]);
    f->specificity = share(caught[0], patients[0]);
    f->ppv = share(hits, alerts);
    f->alert_rate = share(alerts, (double)r->patients);
}

static void put_decisions(struct evaluation_figures *f, const struct figures_rows *r,
                          double threshold)
{
    double at, sensitivity;
    if (threshold_at_specificity(r->n, r->y, r->p, FIXED_SPECIFICITY, &at, &sensitivity) ==
            STAT_OK &&
        isfinite(at))
        f->sensitivity_fixed = sensitivity;
    if (threshold > 0.0)
        put_rates(f, r, threshold);
}

void figures_binary(struct evaluation_figures *f, const struct figures_rows *rows, double threshold,
                    unsigned min_cell)
{
    size_t positives, negatives;
    if (!cluster_count(rows->n, rows->y, rows->patient, rows->patients, &positives, &negatives)) {
        figures_clear(f, EVALUATION_REFUSED);
        return;
    }
    enum evaluation_status status = judge(rows, positives, negatives, min_cell);
    figures_clear(f, status);
    if (status != EVALUATION_OK && status != EVALUATION_SINGLE_CLASS &&
        status != EVALUATION_DEGENERATE_SCORES)
        return;
    f->positives = positives;
    f->negatives = negatives;
    if (status != EVALUATION_OK)
        return;
    f->rows_per_patient = (double)rows->n / (double)rows->patients;
    put_auroc(f, rows);
    put_calibration(f, rows);
    put_calibration_error(f, rows);
    put_decisions(f, rows, threshold);
}

void figures_survival(struct evaluation_figures *f, const struct figures_rows *rows,
                      const double *time)
{
    struct cindex c;
    if (cindex_harrell(rows->n, time, rows->y, rows->p, rows->patient, rows->patients, &c) !=
        STAT_OK)
        return;
    f->cindex = c.c;
    f->cindex_variance = c.var;
}

void figures_suppress(struct evaluation_figures *figures, const size_t *patients, size_t levels,
                      size_t others, unsigned min_cell)
{
    for (;;) {
        size_t hidden_groups = others > 0 ? 1 : 0, hidden = others, smallest = levels;
        for (size_t g = 0; g < levels; g++) {
            if (figures[g].status == EVALUATION_BELOW_MINIMUM_CELL) {
                hidden_groups++;
                hidden += patients[g];
            } else if (patients[g] > 0 &&
                       (smallest == levels || patients[g] < patients[smallest])) {
                smallest = g;
            }
        }
        bool safe = hidden_groups == 0 || (hidden_groups > 1 && hidden >= min_cell);
        if (safe || smallest == levels)
            return;
        figures_clear(&figures[smallest], EVALUATION_BELOW_MINIMUM_CELL);
    }
}
