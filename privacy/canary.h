/* SPDX-License-Identifier: Apache-2.0 */
/* Canaries of an audit run: made-up patients, each in the data or not by a coin the trainer does
 * not see, and the guesses an attacker who sees every release makes about them. */
#ifndef CONSILIUM_PRIVACY_CANARY_H
#define CONSILIUM_PRIVACY_CANARY_H

#include "privacy/rng.h"

#include <stdbool.h>
#include <stddef.h>

/* Fair coins: in[count]. */
void canary_coins(struct rng *rng, bool *in, size_t count);

/* Log-likelihood ratio of one release under "in" against "out" for a canary whose gradient is C
 * e_j: x = (released sum)_j / C, Poisson rate q, noise multiplier s: ln(1 - q + q e^{(2x - 1) / (2
 * s^2)}). */
double canary_evidence(double x, double q, double noise);

/* Adds one step's evidence to score[count]; released[count] holds the coordinates of the released
 * sum (not divided by the lot) that belong to the canaries, clip is C. */
void canary_score(double *score, const double *released, size_t count, double clip, double q,
                  double noise);

/* Guesses "in" for the `guesses` highest scores (ties by position) and returns how many are right.
 * guesses <= count. Returns (size_t)-1 when out of memory. */
size_t canary_guess(const double *score, const bool *in, size_t count, size_t guesses);

/* Guesses that could refute an epsilon if all were right: about 3 e^epsilon. */
double canary_guesses_needed(double epsilon);

#endif
