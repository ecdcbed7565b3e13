/* SPDX-License-Identifier: Apache-2.0 */
/* What a site should know of its own file before it trusts it to a study. */
#include "agent/vault/dataset.h"

#include <math.h>
#include <stdio.h>

/* "400 of 500 rows are refused, most because the column ...". */
static void say_refused(const struct dataset_counts *counts, size_t size, char *text)
{
    const struct dataset_refusal *worst = &counts->refusal[0];
    for (unsigned i = 1; i < counts->refusals; i++)
        if (counts->refusal[i].rows > worst->rows)
            worst = &counts->refusal[i];
    snprintf(text, size,
             "%llu of %llu rows are refused, most because the column \"%s\" %s (first at line "
             "%llu)",
             (unsigned long long)counts->rows_refused, (unsigned long long)counts->rows_read,
             worst->column, encode_reason_text(worst->reason),
             (unsigned long long)worst->first_line);
}

/* A number whose mean lies this many spreads from the plan's centre is rather in another unit. */
static const double FAR = 3.0;

static const struct plan_feature *far_feature(const struct dataset *d, const struct plan *plan)
{
    size_t column = 0;
    for (unsigned i = 0; i < plan->features_count; i++) {
        const struct plan_feature *f = &plan->features[i];
        double sum = 0.0;
        for (size_t row = 0; f->type == FEATURE_NUMBER && row < d->train.rows; row++)
            sum += d->train.x[row * d->inputs + column];
        if (d->train.rows > 0 && fabs(sum) > FAR * (double)d->train.rows)
            return f;
        column += plan_feature_columns(f);
    }
    return NULL;
}

size_t dataset_remarks(const struct dataset *d, const struct plan *plan,
                       char remark[DATASET_REMARKS][DATASET_REMARK_BYTES])
{
    size_t n = 0;
    if (d->counts.refusals > 0)
        say_refused(&d->counts, DATASET_REMARK_BYTES, remark[n++]);
    bool alike = plan->label.type != LABEL_REAL && d->train.rows > 0;
    for (size_t i = 1; alike && i < d->train.rows; i++)
        alike = d->train.y[i] == d->train.y[0];
    if (alike)
        snprintf(remark[n++], DATASET_REMARK_BYTES,
                 "every patient to train on has the same label: is the column or its codes "
                 "mistaken? A site with one class can train and has no figures");
    const struct plan_feature *far = far_feature(d, plan);
    if (far)
        snprintf(remark[n++], DATASET_REMARK_BYTES,
                 "the values of \"%s\" lie more than %g spreads from the plan's centre on average: "
                 "are they in the plan's unit? factor in the mapping converts them",
                 far->name, FAR);
    return n;
}
