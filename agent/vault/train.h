/* SPDX-License-Identifier: Apache-2.0 */
/* One site's part of a round: local steps from the global model, with or without privacy. */
#ifndef CONSILIUM_VAULT_TRAIN_H
#define CONSILIUM_VAULT_TRAIN_H

#include "agent/vault/dataset.h"
#include "linalg/model.h"
#include "proto/base/result.h"
#include "proto/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a site keeps for itself between rounds when the plan asks for a site intercept: plain data,
 * zero before the first round. */
struct train_intercept {
    double current[MODEL_MAX_CLASSES]; /* after the last round */
    double sum[MODEL_MAX_CLASSES];     /* over the rounds that the plan averages */
    uint32_t rounds;                   /* how many those are */
};

/* Public constants of the site; the noise multiplier is the plan's or the calibrated one. */
struct train_site {
    uint64_t declared_patients; /* with privacy: > 0; the noise normaliser, never counted */
    double noise_multiplier;    /* with privacy: > 0 */
    bool noise_ahead; /* by a thread of its own, for a round at a time; else when needed */
};

struct trainer;

/* Allocates everything that the rounds need; nothing is allocated later. plan and dataset must
 * outlive *ret_trainer, which the caller ends with trainer_free. Errors: RESULT_INPUT where plan
 * and dataset or the site's constants do not fit, RESULT_SYSTEM without memory. */
struct result trainer_create(struct trainer **ret_trainer, const struct plan *plan,
                             const struct dataset *dataset, const struct train_site *site,
                             struct why *why) MUST_CHECK;
void trainer_free(struct trainer *trainer);

const struct model *trainer_model(const struct trainer *trainer);

/* Round round_number (from 1) from global [parameters]. update [parameters] becomes the change of
 * the shared parameters, 0 at an intercept that stays at the site; *after becomes the site's
 * intercept state, given the one before (they may be the same object). Without privacy the result
 * depends on plan, dataset, global and round alone; with privacy each call draws fresh samples and
 * noise: plan_steps_per_round events, to be charged beforehand. Errors: RESULT_INPUT when training
 * diverges (a parameter that is no float), with global, before and after unchanged. */
struct result trainer_round(struct trainer *trainer, unsigned round_number, const double *global,
                            const struct train_intercept *before, struct train_intercept *after,
                            float *update, struct why *why) MUST_CHECK;

/* One private step at global [parameters]: the clipped and noised sum over patients as integers on
 * the release grid, total [parameters]. One event, to be charged beforehand. */
struct result trainer_sum(struct trainer *trainer, const double *global, int64_t *total,
                          struct why *why) MUST_CHECK;

/* The parameters to score with at this site: global, with the site's own intercept (its average
 * where the plan averages) when the plan keeps one. */
void trainer_local_parameters(const struct plan *plan, const struct model *model,
                              const double *global, const struct train_intercept *intercept,
                              double *parameters);

#endif
