/* SPDX-License-Identifier: Apache-2.0 */
/* Norm of one patient's gradient from activations and deltas. */
#ifndef CONSILIUM_PRIVACY_CLIP_NORM_H
#define CONSILIUM_PRIVACY_CLIP_NORM_H

#include "linalg/model.h"
#include "privacy/clip_kernel.h"

#include <stddef.h>

/* Room for the norms of one batch. */
struct clip_norms {
    const struct clip_kernel *kernel;
    size_t capacity;  /* rows of a batch */
    double *rows;     /* [layers][capacity]: (|a_r|^2 + 1) |d_r|^2 */
    double *a, *d;    /* [capacity] */
    double *scratch;  /* of one patient with several rows */
    size_t scratch_n; /* doubles */
};

/* patient_rows: the most that one patient has in a batch. false: no memory. End with
 * clip_norms_free, which wipes and accepts a zeroed struct. */
bool clip_norms_create(struct clip_norms *norms, const struct model *model, size_t capacity,
                       size_t patient_rows);
void clip_norms_free(struct clip_norms *norms, const struct model *model);

/* Sum of squares of x[n]. */
double clip_square(size_t n, const double *x);

/* After a backward pass over rows of work: their squared norms in each layer. square[rows] are the
 * squared norms of the rows of a[0]. */
void clip_norms_rows(struct clip_norms *norms, const struct model *model,
                     const struct model_work *work, size_t rows, const double *square);

/* A bound, tight to rounding, from above on the norm of the gradient of the patient whose rows are
 * first .. first + rows - 1 of work, after clip_norms_rows; NaN or infinite where the gradient is
 * not finite. With several rows, those whose own norm is above row_limit are scaled down to it
 * first, in work->d. */
double clip_patient_norm(struct clip_norms *norms, const struct model *model,
                         struct model_work *work, size_t first, size_t rows, double row_limit);

#endif
