/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of one step at a site: the plain mean of a batch, or the clipped and noised one. */
#ifndef CONSILIUM_VAULT_TRAIN_GRADIENT_H
#define CONSILIUM_VAULT_TRAIN_GRADIENT_H

#include "agent/vault/dataset.h"
#include "linalg/model.h"
#include "privacy/clip.h"
#include "privacy/rng.h"

enum { TRAIN_BATCH_ROWS = 256 }; /* rows in memory at a time; a multiple of no patient's rows */

/* Room for plain gradients of any batch, a few rows at a time. */
struct plain_gradient {
    const struct model *model;
    struct model_work work;
    double y[TRAIN_BATCH_ROWS], weight[TRAIN_BATCH_ROWS];
};

enum model_status plain_gradient_create(struct plain_gradient *plain, const struct model *model);
void plain_gradient_free(struct plain_gradient *plain);

/* gradient [parameters] = mean over the chosen patients (count >= 1 of them, indices into
 * part->first) of the mean gradient over each patient's rows. */
void plain_gradient_mean(struct plain_gradient *plain, const struct dataset_part *part,
                         const double *parameters, const size_t *chosen, size_t count,
                         double *gradient);

#endif
