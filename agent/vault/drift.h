/* SPDX-License-Identifier: Apache-2.0 */
/* The drift block of an evaluation: patients of now against a frozen reference, without labels. */
#ifndef CONSILIUM_VAULT_DRIFT_H
#define CONSILIUM_VAULT_DRIFT_H

#include "proto/payload.h"
#include "proto/plan.h"

#include <stddef.h>
#include <stdint.h>

enum {
    DRIFT_BINS = 10,      /* of a number or a score, equal mass in the reference */
    DRIFT_ROWS_MIN = 50,  /* values a side, of a column and of the whole */
    DRIFT_MMD_ROWS = 2000 /* a side: what is beyond is left out of the permutation test */
};

/* Borrowed arrays of one side. */
struct drift_side {
    size_t rows;
    const double *x;        /* [rows][inputs] encoded */
    const uint8_t *missing; /* [rows][missing bytes] */
    const double *score;    /* [rows], or NULL: not to be told */
};

/* Fills the figures of *out, whose status is EVALUATION_STATISTIC_OK or says why there is none;
 * dates and bands are the caller's. Counts of missing cells between 1 and min_cell - 1 are not told
 * (missing_z is NaN). With probabilities the score is also the label-free estimate's. RESULT_SYSTEM
 * without memory. */
struct result drift_fill(struct evaluation_drift *out, const struct plan *plan,
                         const struct drift_side *reference, const struct drift_side *current,
                         unsigned min_cell, struct why *why) MUST_CHECK;

#endif
