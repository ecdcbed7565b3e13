/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of one step at a site: the plain mean of a batch, or the clipped and noised one. */
#ifndef CONSILIUM_VAULT_TRAIN_GRADIENT_H
#define CONSILIUM_VAULT_TRAIN_GRADIENT_H

#include "agent/vault/dataset.h"
#include "agent/vault/train.h"
#include "linalg/model.h"
#include "privacy/clip.h"
#include "privacy/noise_pool.h"
#include "privacy/release_grid.h"
#include "privacy/rng.h"
#include "privacy/sampling.h"

enum { TRAIN_BATCH_ROWS = 256 }; /* rows in memory at a time, at least those of one patient */

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

/* Room and randomness for noised gradients. */
struct private_gradient {
    const struct model *model;
    struct release_grid grid;
    struct sampling sampling; /* who is sampled: keyed for this run alone */
    struct rng rng;           /* of the noise, where it is drawn when needed */
    struct noise_pool *pool;  /* where it is drawn ahead, or NULL */
    struct clip clip;
    double lot;    /* public normaliser: expected patients of a step */
    uint64_t step; /* counts over rounds */
    size_t patients;
    size_t *chosen; /* [patients] */
    int64_t *noise; /* [parameters] */
};

/* Rows of one patient that a private step can take: the plan's, within the limit. */
size_t private_gradient_patient_rows(const struct plan *plan);

/* End with private_gradient_free, which accepts a zeroed struct and the remains of a failure. */
struct result private_gradient_create(struct private_gradient *private, const struct plan *plan,
                                      const struct model *model, const struct dataset_part *part,
                                      const struct train_site *site, struct why *why) MUST_CHECK;
void private_gradient_free(struct private_gradient *private);

/* gradient [parameters] = (sum over a fresh Poisson sample of clipped gradients + noise) / lot.
 * Each call is one event (sampling rate, noise multiplier) for the accountant, also when the sample
 * is empty. Fails, without a release, when a slot or patient has more rows than clipping allows. */
struct result private_gradient_mean(struct private_gradient *private,
                                    const struct dataset_part *part, const double *parameters,
                                    double *gradient, struct why *why) MUST_CHECK;

/* The same sum as integers on the grid, not divided: total [parameters]. */
struct result private_gradient_sum(struct private_gradient *private,
                                   const struct dataset_part *part, const double *parameters,
                                   int64_t *total, struct why *why) MUST_CHECK;

#endif
