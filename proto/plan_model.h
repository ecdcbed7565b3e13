/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan fixes about its model and its training schedule, the same at every party. */
#ifndef CONSILIUM_PLAN_MODEL_H
#define CONSILIUM_PLAN_MODEL_H

#include "linalg/model.h"
#include "proto/plan.h"

/* The model of the plan: shape, tensor names, parameter count. Nothing to free. Errors:
 * RESULT_INPUT when the plan's layers are beyond the limits of a model. */
struct result plan_build_model(const struct plan *plan, struct model *model,
                               struct why *why) MUST_CHECK;

/* How the 0/1 column of a level is scaled: (v - *centre) / *spread. 0 and 1 without shares; a share
 * near 0 or 1 is moved in for the spread (PLAN_SHARE_MIN). */
void plan_level_scale(const struct plan_feature *feature, unsigned level, double *centre,
                      double *spread);

/* The features' priors in the places of their coefficients, 0 elsewhere: parameters
 * [model->parameters]. */
void plan_prior(const struct plan *plan, const struct model *model, double *parameters);

/* The model before the first round: the prior, or a network's seeded weights. */
void plan_start(const struct plan *plan, const struct model *model, double *parameters);

/* Learning rate of round 1..rounds: constant, or from learning_rate to learning_rate_end on half a
 * cosine. */
double plan_learning_rate(const struct plan *plan, unsigned round_number);

/* Whether the model after this round counts in the average of iterates. */
bool plan_averages(const struct plan *plan, unsigned round_number);

#endif
