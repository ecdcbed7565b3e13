/* SPDX-License-Identifier: Apache-2.0 */
/* From the sites' evaluations of one task to pooled figures and one record (pure). */
#ifndef CONSILIUM_COORDINATOR_POOLING_H
#define CONSILIUM_COORDINATOR_POOLING_H

#include "coordinator/study.h"
#include "proto/payload.h"

struct pooling_input {
    uint32_t site; /* index in the study; ascending */
    struct payload_evaluation evaluation;
};

/* Figures of the set's first model over all sites that gave some; NaN = not available. */
struct pooling {
    double auroc, auroc_low, auroc_high;
    double cindex, cindex_low, cindex_high;
    double brier;
    double calibration_slope, calibration_intercept;
    double accuracy, loss;
    double rows;  /* evaluated, or declared patients where counts are suppressed */
    double score; /* what candidates are compared by: higher is better */
};

/* The figures of the set's first model for all patients of a site's holdout. */
const struct evaluation_figures *pooling_everybody(const struct pooling_input *input);

/* Patients behind those figures; declared ones where the counts are suppressed. */
double pooling_rows(const struct study *study, const struct pooling_input *input);

/* By how much more than one row a patient a site's variance may be less than that of its patients:
 * at least 1, and no more than POOLING_ROWS_MAX whatever the site says. */
#define POOLING_ROWS_MAX 16.0
double pooling_rows_per_patient(const struct evaluation_figures *figures);

/* "ok", "no_labels", ...: the type of a site's answer in records, one fixed word each. */
const char *pooling_status_word(enum evaluation_status status);

/* Site figures are weighted by evaluated rows; the slope by its inverse variance. The interval is
 * normal on the logit scale with the sites' DeLong variances. */
void pooling_compute(const struct study *study, const struct pooling_input *inputs, size_t n,
                     struct pooling *pooling);

/* The record "pooled": JSON with pooled, sites, subgroups and matrix. *ret_text is owned by the
 * caller (free). detail gets the short form for the audit entry. */
struct result pooling_record(const struct study *study, const struct pooling_input *inputs,
                             size_t n, const struct pooling *pooling, char **ret_text,
                             char **ret_detail, struct why *why) MUST_CHECK;

#endif
