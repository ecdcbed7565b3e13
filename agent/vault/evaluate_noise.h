/* SPDX-License-Identifier: Apache-2.0 */
/* Figures from a noised score histogram: the only thing of an evaluation that a plan with
 * metrics_noise lets out. */
#ifndef CONSILIUM_VAULT_EVALUATE_NOISE_H
#define CONSILIUM_VAULT_EVALUATE_NOISE_H

#include "privacy/rng.h"
#include "proto/payload.h"

/* Adds to each count of out's histogram discrete Laplace noise of standard deviation noise (> 0) or
 * a little more (laplace_scale), and replaces all figures: everybody's are computed from the noised
 * counts alone, the groups' are refused. A patient is in one cell, so the release costs the epsilon
 * of one count (laplace_event), whatever the figures. Counts may be negative: clamping would bias
 * the AUROC. */
void evaluation_noise(struct evaluation_model *out, double noise, struct rng *rng);

#endif
