/* SPDX-License-Identifier: Apache-2.0 */
/* Pooled figures of one evaluation: fixed weights w_k = n_k / sum n, mean = sum w_k y_k,
 * variance = sum w_k^2 v_k; the logit interval by the delta method. */
#include "coordinator/pooling.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const double QUANTILE_975 = 1.959963984540054;

const struct evaluation_figures *pooling_everybody(const struct pooling_input *input)
{
    return &input->evaluation.models[0].groups[0];
}

double pooling_rows(const struct study *study, const struct pooling_input *input)
{
    const struct evaluation_figures *f = pooling_everybody(input);
    double rows = (double)f->positives + (double)f->negatives;
    return rows > 0 ? rows : (double)study->members[input->site].declared_patients;
}

double pooling_rows_per_patient(const struct evaluation_figures *figures)
{
    return fmin(fmax(figures->rows_per_patient, 1.0), POOLING_ROWS_MAX);
}

const char *pooling_status_word(enum evaluation_status status)
{
    switch (status) {
    case EVALUATION_OK:
        return "ok";
    case EVALUATION_NO_LABELS:
        return "no_labels";
    case EVALUATION_SINGLE_CLASS:
        return "single_class";
    case EVALUATION_BELOW_MINIMUM_CELL:
        return "below_min_cell";
    case EVALUATION_DEGENERATE_SCORES:
        return "degenerate_scores";
    case EVALUATION_INVALID_INPUT:
        return "invalid_input";
    case EVALUATION_REFUSED:
        return "refused_by_policy";
    case EVALUATION_BUDGET_EXHAUSTED:
        return "budget_exhausted";
    case EVALUATION_SCHEMA_MISMATCH:
        return "schema_mismatch";
    case EVALUATION_TOO_CLOSE:
        return "too_close_to_earlier";
    case EVALUATION_NOTHING_NEW:
        return "no_newer_patients";
    }
    return "unknown";
}

static double figure(const struct pooling_input *input, size_t offset)
{
    double value;
    memcpy(&value, (const char *)pooling_everybody(input) + offset, sizeof value);
    return value;
}

/* Mean weighted by rows over the sites that have the figure at that offset; with a variance figure
 * also the standard error. NaN when nobody has it. */
static double weighted(const struct study *study, const struct pooling_input *inputs, size_t n,
                       size_t offset, size_t variance_offset, double *ret_se)
{
    double mass = 0, sum = 0, spread = 0;
    for (size_t i = 0; i < n; i++) {
        double y = figure(&inputs[i], offset);
        if (pooling_everybody(&inputs[i])->status != EVALUATION_OK || !isfinite(y))
            continue;
        double w = pooling_rows(study, &inputs[i]);
        mass += w;
        sum += w * y;
        if (ret_se)
            spread += w * w * figure(&inputs[i], variance_offset);
    }
    if (ret_se)
        *ret_se = mass > 0 ? sqrt(spread) / mass : (double)NAN;
    return mass > 0 ? sum / mass : (double)NAN;
}

/* Inverse-variance mean of the calibration slope or intercept. */
static double precise(const struct pooling_input *inputs, size_t n, size_t offset, size_t se_offset)
{
    double mass = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double y = figure(&inputs[i], offset), se = figure(&inputs[i], se_offset);
        if (pooling_everybody(&inputs[i])->status != EVALUATION_OK || !isfinite(y) || !(se > 0))
            continue;
        mass += 1 / (se * se);
        sum += y / (se * se);
    }
    return mass > 0 ? sum / mass : (double)NAN;
}

static void interval(double auroc, double se, double *low, double *high)
{
    *low = *high = (double)NAN;
    if (!(auroc > 0 && auroc < 1) || !isfinite(se))
        return;
    double logit = log(auroc / (1 - auroc));
    double half = QUANTILE_975 * se / (auroc * (1 - auroc));
    *low = 1 / (1 + exp(-(logit - half)));
    *high = 1 / (1 + exp(-(logit + half)));
}

#define AT(field) offsetof(struct evaluation_figures, field)

void pooling_compute(const struct study *study, const struct pooling_input *inputs, size_t n,
                     struct pooling *p)
{
    double se = (double)NAN;
    p->auroc = weighted(study, inputs, n, AT(auroc), AT(auroc_variance), &se);
    interval(p->auroc, se, &p->auroc_low, &p->auroc_high);
    se = (double)NAN;
    p->cindex = weighted(study, inputs, n, AT(cindex), AT(cindex_variance), &se);
    interval(p->cindex, se, &p->cindex_low, &p->cindex_high);
    p->brier = weighted(study, inputs, n, AT(brier), 0, NULL);
    p->accuracy = weighted(study, inputs, n, AT(accuracy), 0, NULL);
    p->loss = weighted(study, inputs, n, AT(loss), 0, NULL);
    p->calibration_slope = precise(inputs, n, AT(calibration_slope), AT(calibration_slope_se));
    p->calibration_intercept =
        precise(inputs, n, AT(calibration_intercept), AT(calibration_intercept_se));
    p->rows = 0;
    for (size_t i = 0; i < n; i++)
        if (pooling_everybody(&inputs[i])->status == EVALUATION_OK)
            p->rows += pooling_rows(study, &inputs[i]);
    p->score = isfinite(p->auroc) ? p->auroc : -p->loss;
}
