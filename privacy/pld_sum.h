/* SPDX-License-Identifier: Apache-2.0 */
/* The composition of privacy loss distributions, and the two questions asked of it. */
#ifndef CONSILIUM_PRIVACY_PLD_SUM_H
#define CONSILIUM_PRIVACY_PLD_SUM_H

#include "privacy/pld_tilt.h"

/* Tilted masses of the total loss: loss (low + i) grid has probability
 * mass[(first + i) mod count] e^{log_total - theta loss}. */
struct pld_sum {
    double grid;
    long low;
    size_t count;
    size_t first;
    double *mass; /* [count + 2], owned */
    double theta, log_total;
    double infinite; /* mass at +infinity */
    double slack;    /* wrapped mass and rounding, as tilted mass: added to every upper bound */
    double runs;     /* mechanisms composed on the grid */
    double moved;    /* mass off the grid, over all runs */
};

struct fft_plan;

/* Composes parts on one common grid with the given tilt. PLD_TOO_FINE when the range of the tilt
 * needs more than PLD_POINTS_MAX points. *plan is kept for the next composition of about that
 * length: start it zeroed, free it at the end. Free the sum with pld_sum_free also after a failure.
 */
enum pld_result pld_sum_init(struct pld_sum *sum, const struct pld_part *parts, size_t count,
                             const struct pld_tilt *tilt, struct fft_plan *plan);

void pld_sum_free(struct pld_sum *sum);

/* Upper bound on delta at epsilon >= 0, and a proven lower bound in *ret_lower. */
double pld_sum_delta(const struct pld_sum *sum, double epsilon, double *ret_lower);

/* Upper bound on epsilon at delta (infinite when delta is not above the infinite mass), and a
 * proven lower bound in *ret_lower. */
double pld_sum_epsilon(const struct pld_sum *sum, double delta, double *ret_lower);

/* What wrapping and rounding may have added to delta at epsilon. */
double pld_sum_doubt(const struct pld_sum *sum, double epsilon);

#endif
