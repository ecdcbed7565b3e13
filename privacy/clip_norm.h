/* SPDX-License-Identifier: Apache-2.0 */
/* Norm of one patient's gradient from activations and deltas. */
#ifndef CONSILIUM_PRIVACY_CLIP_NORM_H
#define CONSILIUM_PRIVACY_CLIP_NORM_H

#include "linalg/model.h"

#include <stddef.h>

/* Doubles of scratch that a patient of at most rows rows needs. */
size_t clip_norm_scratch(const struct model *model, size_t rows);

/* Sum of squares of x[n]. */
double clip_square(size_t n, const double *x);

/* A bound, tight to rounding, from above on the norm of the gradient of the patient whose rows are
 * first .. first + rows - 1 of work; NaN or infinite where the gradient is not finite. square[rows]
 * are the squared norms of the rows of a[0]. With several rows, those whose own norm is above
 * row_limit are scaled down to it first, in work->d. */
double clip_patient_norm(const struct model *model, struct model_work *work, size_t first,
                         size_t rows, const double *square, double row_limit, double *scratch);

#endif
